// Gravitation among five bodies: dependent double arithmetic with divisions and square roots.
#include "../benchmark.h"
#include <math.h>

enum { bodyCount = 5 };
typedef struct {
    double position[3], velocity[3], mass;
} Body;
static Body bodies[bodyCount];

static void place(uint64_t *seed) {
    for (int i = 0; i < bodyCount; i++) {
        for (int k = 0; k < 3; k++) {
            bodies[i].position[k] = (double)(int64_t)(random_next(seed) >> 44) / 65536.0 + 4.0 * i;
            bodies[i].velocity[k] = (double)((int64_t)(random_next(seed) >> 44) - 524288) / 4194304.0;
        }
        bodies[i].mass = i == 0 ? 40.0 : 0.03 / (1 + i);
    }
}

static void advance(double step) {
    for (int i = 0; i < bodyCount; i++) {
        Body *a = &bodies[i];
        for (int j = i + 1; j < bodyCount; j++) {
            Body *b = &bodies[j];
            double d[3], squared = 0.01; // softened, so that close passes stay finite
            for (int k = 0; k < 3; k++) {
                d[k] = a->position[k] - b->position[k];
                squared += d[k] * d[k];
            }
            double magnitude = step / (squared * sqrt(squared));
            for (int k = 0; k < 3; k++) {
                a->velocity[k] -= d[k] * b->mass * magnitude;
                b->velocity[k] += d[k] * a->mass * magnitude;
            }
        }
    }
    for (int i = 0; i < bodyCount; i++)
        for (int k = 0; k < 3; k++) bodies[i].position[k] += step * bodies[i].velocity[k];
}

static double energy(void) {
    double total = 0;
    for (int i = 0; i < bodyCount; i++) {
        const Body *a = &bodies[i];
        for (int k = 0; k < 3; k++) total += 0.5 * a->mass * a->velocity[k] * a->velocity[k];
        for (int j = i + 1; j < bodyCount; j++) {
            double squared = 0.01;
            for (int k = 0; k < 3; k++) {
                double d = a->position[k] - bodies[j].position[k];
                squared += d * d;
            }
            total -= a->mass * bodies[j].mass / sqrt(squared);
        }
    }
    return total;
}

int main(int count, char **arguments) {
    uint64_t steps = iterations(count, arguments, 3800000), seed = 31, sum = 0;
    place(&seed);
    for (uint64_t step = 0; step < steps; step++) {
        advance(0.001);
        if (step % 10000 == 0) sum = fold_double(sum, energy());
    }
    for (int i = 0; i < bodyCount; i++)
        for (int k = 0; k < 3; k++) sum = fold_double(sum, bodies[i].position[k]);
    return report("nbody", fold_double(sum, energy()));
}

// Integer matrices: 32-bit and 64-bit products, a transpose, and all-pairs shortest paths.
#include "../benchmark.h"

enum { side = 160 };
static int32_t a[side][side], b[side][side], c[side][side];
static int64_t wide[side][side];

static void multiply32(void) {
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            uint32_t sum = 0;
            for (int k = 0; k < side; k++) sum += (uint32_t)a[i][k] * (uint32_t)b[k][j];
            c[i][j] = (int32_t)sum;
        }
}

static void multiply64(void) {
    for (int i = 0; i < side; i++) {
        for (int j = 0; j < side; j++) wide[i][j] = 0;
        for (int k = 0; k < side; k++) {
            int64_t factor = a[i][k];
            for (int j = 0; j < side; j++) wide[i][j] += factor * b[k][j];
        }
    }
}

static void transpose(int32_t matrix[side][side]) {
    for (int i = 0; i < side; i++)
        for (int j = 0; j < i; j++) {
            int32_t kept = matrix[i][j];
            matrix[i][j] = matrix[j][i];
            matrix[j][i] = kept;
        }
}

static void shortest_paths(void) {
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) c[i][j] = 1 + (int32_t)((uint32_t)c[i][j] % 100003);
    for (int k = 0; k < side; k++)
        for (int i = 0; i < side; i++)
            for (int j = 0; j < side; j++) {
                int32_t through = c[i][k] + c[k][j];
                if (through < c[i][j]) c[i][j] = through;
            }
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 60), seed = 99, sum = 0;
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            a[i][j] = (int32_t)random_next(&seed);
            b[i][j] = (int32_t)random_next(&seed);
        }
    for (uint64_t round = 0; round < rounds; round++) {
        multiply32();
        multiply64();
        shortest_paths();
        transpose(b);
        for (int i = 0; i < side; i++)
            for (int j = 0; j < side; j++) {
                a[i][j] += (int32_t)(wide[i][j] >> 40) & 0xff;
                a[i][j] &= 0x3fffffff;
                sum = fold(sum, (uint64_t)(uint32_t)c[i][j] ^ (uint64_t)wide[j][i]);
            }
    }
    return report("matrix-integer", sum);
}

// Single precision as in a small neural network: product, 3x3 convolution, pooling, rational activation, conversion.
#include "../benchmark.h"

enum { side = 128, batch = 32 };
static float weights[side][side], input[batch][side], hidden[batch][side], image[side][side], filtered[side][side];
static signed char quantised[side][side];

static void dense(void) {
    for (int i = 0; i < batch; i++) {
        for (int j = 0; j < side; j++) hidden[i][j] = 0;
        for (int k = 0; k < side; k++) {
            float factor = input[i][k];
            for (int j = 0; j < side; j++) hidden[i][j] += factor * weights[k][j];
        }
        // x / (1 + |x|) stands for the sigmoid: no library function, so every machine gives the same bits
        for (int j = 0; j < side; j++) {
            float x = hidden[i][j];
            hidden[i][j] = x / (1.0f + (x < 0 ? -x : x));
        }
    }
}

static void convolve(const float kernel[3][3]) {
    for (int y = 1; y < side - 1; y++)
        for (int x = 1; x < side - 1; x++) {
            float sum = 0;
            for (int dy = 0; dy < 3; dy++)
                for (int dx = 0; dx < 3; dx++) sum += kernel[dy][dx] * image[y + dy - 1][x + dx - 1];
            filtered[y][x] = sum > 0 ? sum : 0.125f * sum;
        }
}

static float largest_pool(int y, int x) {
    float best = filtered[y][x];
    for (int dy = 0; dy < 2; dy++)
        for (int dx = 0; dx < 2; dx++)
            if (filtered[y + dy][x + dx] > best) best = filtered[y + dy][x + dx];
    return best;
}

static int64_t quantise(void) {
    int64_t sum = 0;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            int32_t level = (int32_t)(filtered[y][x] * 64.0f);
            quantised[y][x] = (signed char)(level > 127 ? 127 : level < -128 ? -128 : level);
            sum += quantised[y][x];
        }
    return sum;
}

static float random_unit(uint64_t *seed) { return (float)(int32_t)random_next(seed) / 2147483648.0f; }

int main(int count, char **arguments) {
    static const float kernel[3][3] = {{0.0625f, 0.25f, 0.0625f}, {0.25f, -1.0f, 0.3f}, {0.0625f, 0.25f, 0.1f}};
    uint64_t rounds = iterations(count, arguments, 1100), seed = 1001, sum = 0;
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) weights[i][j] = random_unit(&seed) * 0.3f, image[i][j] = random_unit(&seed);
    for (int i = 0; i < batch; i++)
        for (int j = 0; j < side; j++) input[i][j] = random_unit(&seed);
    for (uint64_t round = 0; round < rounds; round++) {
        dense();
        convolve(kernel);
        sum = fold(sum, (uint64_t)quantise());
        for (int y = 0; y < side; y += 2)
            for (int x = 0; x < side; x += 2) {
                float pooled = largest_pool(y, x);
                image[y][x] = pooled * 0.75f + hidden[y % batch][x] * 0.5f;
                sum += (uint64_t)(pooled > 0.1f);
            }
        for (int i = 0; i < batch; i++) input[i][round % side] = hidden[i][(round * 5) % side];
        sum = fold_float(fold_float(sum, hidden[round % batch][round % side]), image[round % side & ~1][2]);
    }
    return report("linalg-float", sum);
}

// Memory bandwidth: copy, scale, add and triad on doubles and on bytes and 32-bit words.
#include "../benchmark.h"

enum { length = 1 << 18 };
static double a[length], b[length], c[length];
static uint32_t words[length], other[length];
static unsigned char bytes[length];

static void kernels(double factor) {
    for (long i = 0; i < length; i++) c[i] = a[i];
    for (long i = 0; i < length; i++) b[i] = factor * c[i];
    for (long i = 0; i < length; i++) c[i] = a[i] + b[i];
    for (long i = 0; i < length; i++) a[i] = b[i] + factor * c[i];
}

static uint64_t integer_kernels(uint32_t factor) {
    uint32_t sum = 0;
    for (long i = 0; i < length; i++) other[i] = words[i] * 3 + factor;
    for (long i = 0; i < length; i++) words[i] ^= other[i] >> 3;
    for (long i = 0; i < length; i++) bytes[i] = (unsigned char)(bytes[i] + other[i]);
    for (long i = 0; i < length; i++) sum += bytes[i];
    return sum;
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 650), sum = 0;
    for (long i = 0; i < length; i++) a[i] = 1.0 + (double)(i % 17) / 16, b[i] = 2, c[i] = 0, words[i] = (uint32_t)i;
    for (uint64_t round = 0; round < rounds; round++) {
        kernels(round % 2 ? 0.4375 : 0.375);
        sum = fold(sum, integer_kernels((uint32_t)round));
        if (round % 16 == 15)
            for (long i = 0; i < length; i++) a[i] = a[i] > 1e6 || a[i] < 1e-6 ? 1.0 + (double)(i & 7) : a[i];
    }
    for (long i = 0; i < length; i += 101) sum = fold_double(fold_double(sum, a[i]), b[i] + c[i]);
    return report("stream", sum);
}

// SHA-256 and SHA-512 (FIPS 180-4). The constants are computed from their definition: roots of the first primes.
#include "../benchmark.h"

static uint64_t constants[80], initial[8];

/// Compares root^power with prime * 2^(64 * power) in 32-bit limbs; nonzero when the power is larger.
static int power_exceeds(unsigned __int128 root, int power, uint32_t prime) {
    uint32_t factor[3] = {(uint32_t)root, (uint32_t)(root >> 32), (uint32_t)(root >> 64)};
    uint32_t value[12] = {1}, next[12];
    for (int step = 0; step < power; step++) {
        memset(next, 0, sizeof next);
        for (int i = 0; i < 3; i++) {
            uint64_t carry = 0;
            for (int j = 0; i + j < 12; j++) {
                carry += (uint64_t)factor[i] * value[j] + next[i + j];
                next[i + j] = (uint32_t)carry;
                carry >>= 32;
            }
        }
        memcpy(value, next, sizeof value);
    }
    int top = 2 * power;
    for (int i = 11; i > top; i--)
        if (value[i]) return 1;
    return value[top] >= prime;
}

/// The first 64 bits of the fraction of the square (2) or cube (3) root.
static uint64_t root_fraction(uint32_t prime, int power) {
    unsigned __int128 root = 0;
    for (int bit = 69; bit >= 0; bit--) {
        unsigned __int128 trial = root | (unsigned __int128)1 << bit;
        if (!power_exceeds(trial, power, prime)) root = trial;
    }
    return (uint64_t)root;
}

static void make_constants(void) {
    int found = 0;
    for (uint32_t candidate = 2; found < 80; candidate++) {
        int prime = 1;
        for (uint32_t divisor = 2; divisor * divisor <= candidate; divisor++) prime &= candidate % divisor != 0;
        if (!prime) continue;
        if (found < 8) initial[found] = root_fraction(candidate, 2);
        constants[found++] = root_fraction(candidate, 3);
    }
}

// One compression function per width: only the word, the rotations and the number of rounds differ.
#define DEFINE_COMPRESS(NAME, WORD, BITS, ROUNDS, A, B, C, D, E, F, G, H, I, J, K, L)                                  \
    static void NAME(WORD state[8], const unsigned char *block) {                                                      \
        WORD w[ROUNDS], v[8];                                                                                          \
        for (int i = 0; i < 16; i++) {                                                                                 \
            w[i] = 0;                                                                                                  \
            for (size_t k = 0; k < sizeof(WORD); k++) w[i] = w[i] << 8 | block[i * sizeof(WORD) + k];                  \
        }                                                                                                              \
        for (int i = 16; i < ROUNDS; i++) {                                                                            \
            WORD x = w[i - 15], y = w[i - 2];                                                                          \
            w[i] = w[i - 16] + w[i - 7] + (ROTATE(x, A, BITS) ^ ROTATE(x, B, BITS) ^ x >> C) +                         \
                   (ROTATE(y, D, BITS) ^ ROTATE(y, E, BITS) ^ y >> F);                                                 \
        }                                                                                                              \
        memcpy(v, state, sizeof v);                                                                                    \
        for (int i = 0; i < ROUNDS; i++) {                                                                             \
            WORD e = v[4], a = v[0];                                                                                   \
            WORD first = v[7] + (ROTATE(e, G, BITS) ^ ROTATE(e, H, BITS) ^ ROTATE(e, I, BITS)) +                       \
                         ((e & v[5]) ^ (~e & v[6])) + (WORD)(constants[i] >> (64 - BITS)) + w[i];                      \
            WORD second = (ROTATE(a, J, BITS) ^ ROTATE(a, K, BITS) ^ ROTATE(a, L, BITS)) +                             \
                          ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));                                                   \
            for (int k = 7; k > 0; k--) v[k] = v[k - 1];                                                               \
            v[4] += first;                                                                                             \
            v[0] = first + second;                                                                                     \
        }                                                                                                              \
        for (int i = 0; i < 8; i++) state[i] += v[i];                                                                  \
    }
#define ROTATE(X, BY, BITS) ((X) >> (BY) | (X) << ((BITS) - (BY)))
DEFINE_COMPRESS(compress256, uint32_t, 32, 64, 7, 18, 3, 17, 19, 10, 6, 11, 25, 2, 13, 22)
DEFINE_COMPRESS(compress512, uint64_t, 64, 80, 1, 8, 7, 19, 61, 6, 14, 18, 41, 28, 34, 39)

static void begin(uint32_t small[8], uint64_t large[8]) {
    for (int i = 0; i < 8; i++) {
        large[i] = initial[i];
        small[i] = (uint32_t)(initial[i] >> 32);
    }
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 360), seed = 3, sum = 0, large[8];
    uint32_t small[8];
    static unsigned char data[1 << 16], single[128];
    make_constants();
    memcpy(single, "abc\x80", 4);
    begin(small, large);
    single[63] = 24;
    compress256(small, single);
    single[63] = 0, single[127] = 24;
    compress512(large, single);
    require(small[0] == 0xba7816bf && small[7] == 0xf20015ad, "SHA-256 of abc");
    require(large[0] == 0xddaf35a193617abaull && large[7] == 0x2a9ac94fa54ca49full, "SHA-512 of abc");
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)random_next(&seed);
    for (uint64_t round = 0; round < rounds; round++) {
        begin(small, large);
        for (size_t i = 0; i < sizeof data; i += 128) {
            compress512(large, data + i);
            compress256(small, data + i);
            compress256(small, data + i + 64);
        }
        memcpy(data + (round * 64) % sizeof data, large, sizeof large);
        for (int i = 0; i < 8; i++) sum = fold(sum, large[i] ^ small[i]);
    }
    return report("sha", sum);
}

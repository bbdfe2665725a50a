// AES-128 (FIPS 197) with 32-bit tables that are computed at the start; counter mode over a buffer.
#include "../benchmark.h"

static unsigned char substitution[256];
static uint32_t table[4][256], round_keys[44];

static unsigned char times2(unsigned char x) { return (unsigned char)(x << 1 ^ (x & 0x80 ? 0x1b : 0)); }
static uint32_t rotate(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void make_tables(void) {
    // 3 generates the field's multiplicative group, so powers and inverses follow from one walk.
    unsigned char power[256], logarithm[256] = {0}, x = 1;
    for (int i = 0; i < 255; i++) {
        power[i] = x;
        logarithm[x] = (unsigned char)i;
        x ^= times2(x);
    }
    for (int i = 0; i < 256; i++) {
        unsigned inverse = i ? power[(255 - logarithm[i]) % 255] : 0, s = inverse;
        for (int k = 1; k < 5; k++) s ^= (inverse << k | inverse >> (8 - k)) & 0xff;
        substitution[i] = (unsigned char)(s ^ 0x63);
        unsigned char one = substitution[i], two = times2(one);
        table[0][i] = (uint32_t)two << 24 | (uint32_t)one << 16 | (uint32_t)one << 8 | (uint32_t)(two ^ one);
        for (int k = 1; k < 4; k++) table[k][i] = rotate(table[0][i], 8 * k);
    }
}

static uint32_t substitute_word(uint32_t x) {
    return (uint32_t)substitution[x >> 24] << 24 | (uint32_t)substitution[x >> 16 & 0xff] << 16 |
           (uint32_t)substitution[x >> 8 & 0xff] << 8 | substitution[x & 0xff];
}

static void expand_key(const uint32_t key[4]) {
    unsigned char constant = 1;
    for (int i = 0; i < 44; i++) {
        if (i < 4) {
            round_keys[i] = key[i];
            continue;
        }
        uint32_t word = round_keys[i - 1];
        if (i % 4 == 0) {
            word = substitute_word(rotate(word, 24)) ^ (uint32_t)constant << 24;
            constant = times2(constant);
        }
        round_keys[i] = round_keys[i - 4] ^ word;
    }
}

static void encrypt(const uint32_t in[4], uint32_t out[4]) {
    uint32_t s[4], t[4];
    for (int i = 0; i < 4; i++) s[i] = in[i] ^ round_keys[i];
    for (int round = 1; round < 10; round++) {
        for (int i = 0; i < 4; i++)
            t[i] = table[0][s[i] >> 24] ^ table[1][s[(i + 1) & 3] >> 16 & 0xff] ^ table[2][s[(i + 2) & 3] >> 8 & 0xff] ^
                   table[3][s[(i + 3) & 3] & 0xff] ^ round_keys[4 * round + i];
        memcpy(s, t, sizeof s);
    }
    for (int i = 0; i < 4; i++)
        out[i] = round_keys[40 + i] ^ ((uint32_t)substitution[s[i] >> 24] << 24 |
                                       (uint32_t)substitution[s[(i + 1) & 3] >> 16 & 0xff] << 16 |
                                       (uint32_t)substitution[s[(i + 2) & 3] >> 8 & 0xff] << 8 |
                                       substitution[s[(i + 3) & 3] & 0xff]);
}

int main(int count, char **arguments) {
    static uint32_t buffer[4096];
    uint64_t rounds = iterations(count, arguments, 2800), sum = 0;
    uint32_t block[4], stream[4];
    make_tables();
    expand_key((const uint32_t[]){0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f});
    encrypt((const uint32_t[]){0x00112233, 0x44556677, 0x8899aabb, 0xccddeeff}, block);
    require(block[0] == 0x69c4e0d8 && block[1] == 0x6a7b0430 && block[2] == 0xd8cdb780 && block[3] == 0x70b4c55a,
            "the example vector of FIPS 197, appendix C.1");
    for (uint64_t round = 0; round < rounds; round++) {
        expand_key(block);
        for (uint32_t i = 0; i < 4096; i += 4) {
            encrypt((const uint32_t[]){(uint32_t)round, 7, 9, i}, stream);
            for (int k = 0; k < 4; k++) buffer[i + k] ^= stream[k];
        }
        memcpy(block, buffer + (round * 4 & 4095), sizeof block);
        sum = fold(sum, (uint64_t)block[0] << 32 | block[3]);
    }
    return report("aes", sum);
}

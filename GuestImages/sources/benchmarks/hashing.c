// Non-cryptographic hashes built on 64-bit multiplication, rotation and the high half of a 128-bit product.
#include "../benchmark.h"

enum { length = 1 << 16 };
static unsigned char data[length];

static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t load64(const unsigned char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static uint64_t bytewise(const unsigned char *at, size_t count) {
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < count; i++) hash = (hash ^ at[i]) * 0x100000001b3ull;
    return hash;
}

static uint64_t finish(uint64_t hash) {
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdull;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ull;
    return hash ^ hash >> 33;
}

static uint64_t two_lanes(const unsigned char *at, size_t count, uint64_t seed) {
    uint64_t first = seed, second = seed;
    for (size_t i = 0; i + 16 <= count; i += 16) {
        first ^= rotate(load64(at + i) * 0x87c37b91114253d5ull, 31) * 0x4cf5ad432745937full;
        first = (rotate(first, 27) + second) * 5 + 0x52dce729;
        second ^= rotate(load64(at + i + 8) * 0x4cf5ad432745937full, 33) * 0x87c37b91114253d5ull;
        second = (rotate(second, 31) + first) * 5 + 0x38495ab5;
    }
    return finish(first ^ count) + finish(second);
}

static uint64_t four_lanes(const unsigned char *at, size_t count, uint64_t seed) {
    const uint64_t p1 = 0x9e3779b185ebca87ull, p2 = 0xc2b2ae3d27d4eb4full;
    uint64_t lane[4] = {seed + p1 + p2, seed + p2, seed, seed - p1};
    for (size_t i = 0; i + 32 <= count; i += 32)
        for (int k = 0; k < 4; k++) lane[k] = rotate(lane[k] + load64(at + i + 8 * k) * p2, 31) * p1;
    return finish(rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18));
}

static uint64_t wide_product(const unsigned char *at, size_t count, uint64_t seed) {
    for (size_t i = 0; i + 16 <= count; i += 16) {
        unsigned __int128 product =
            (unsigned __int128)(load64(at + i) ^ 0xa0761d6478bd642full) * (load64(at + i + 8) ^ seed);
        seed = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    return seed;
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 9000), seed = 5, sum = 0;
    for (int i = 0; i < length; i++) data[i] = (unsigned char)random_next(&seed);
    for (uint64_t round = 0; round < rounds; round++) {
        size_t offset = round & 7;
        sum = fold(sum, bytewise(data + offset, length / 4));
        sum = fold(sum, two_lanes(data + offset, length - 8, round));
        sum = fold(sum, four_lanes(data + offset, length - 8, round));
        sum = fold(sum, wide_product(data + offset, length - 8, round));
        for (size_t i = 0; i < 64; i++) sum += four_lanes(data + i * 40, 32 + i, sum);
        data[round % length] ^= (unsigned char)sum;
    }
    return report("hashing", sum);
}

// Primes three ways: a byte per number, a bit per odd number in segments, and trial division.
#include "../benchmark.h"

enum { limit = 2000000, segmentBits = 1 << 17 };
static unsigned char composite[limit];
static uint64_t segment[segmentBits / 64];
static uint32_t small_primes[400];

static uint64_t count_bytes(void) {
    uint64_t found = 0;
    memset(composite, 0, sizeof composite);
    for (uint64_t i = 2; i < limit; i++) {
        if (composite[i]) continue;
        found++;
        for (uint64_t j = i * i; j < limit; j += i) composite[j] = 1;
    }
    return found;
}

static uint64_t count_segments(void) {
    uint64_t found = 1; // two is the only even prime
    int primes = 0;
    for (uint32_t i = 3; i < 1500; i += 2)
        if (!composite[i]) small_primes[primes++] = i;
    for (uint64_t low = 1; low < limit; low += 2 * segmentBits) {
        memset(segment, 0, sizeof segment);
        if (low == 1) segment[0] |= 1;
        for (int k = 0; k < primes; k++) {
            uint64_t prime = small_primes[k], start = prime * prime;
            if (start < low) start = (low + prime - 1) / prime * prime, start += start % 2 ? 0 : prime;
            for (uint64_t bit = (start - low) / 2; bit < segmentBits; bit += prime) segment[bit / 64] |= 1ull << bit % 64;
        }
        for (uint64_t bit = 0; bit < segmentBits && low + 2 * bit < limit; bit++) found += ~segment[bit / 64] >> bit % 64 & 1;
    }
    return found;
}

static uint64_t count_by_division(uint32_t from, uint32_t to) {
    uint64_t found = 0;
    for (uint32_t candidate = from | 1; candidate < to; candidate += 2) {
        uint32_t divisor = 3;
        while (divisor * divisor <= candidate && candidate % divisor) divisor += 2;
        found += divisor * divisor > candidate;
    }
    return found;
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 50), sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t bytes = count_bytes(), bits = count_segments();
        require(bytes == 148933 && bits == bytes, "148933 primes below two million");
        sum = fold(sum, bytes + count_by_division(1000000 + (uint32_t)round * 4000, 1004000 + (uint32_t)round * 4000));
    }
    return report("sieve", sum);
}

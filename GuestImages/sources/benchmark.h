// Shared by every benchmark: the iteration scale on the command line, a random sequence, and the checksum line.
// A benchmark prints only what follows from its arithmetic, so native and translated runs can be compared byte by byte.
#ifndef BENCHMARK_H
#define BENCHMARK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/// The optional first argument: percent of the full amount of work, 100 when absent.
static inline uint64_t scale_percent(int count, char **arguments) {
    if (count < 2) return 100;
    char *end;
    unsigned long percent = strtoul(arguments[1], &end, 10);
    if (count > 2 || *end != 0 || percent == 0 || percent > 100000) {
        fprintf(stderr, "usage: %s [PERCENT]\nPERCENT is the amount of work, 1 to 100000; default 100\n", arguments[0]);
        exit(2);
    }
    return percent;
}

/// The scaled number of iterations, never zero.
static inline uint64_t iterations(int count, char **arguments, uint64_t full) {
    uint64_t scaled = full * scale_percent(count, arguments) / 100;
    return scaled ? scaled : 1;
}

/// xorshift64*: the same sequence on every machine. The state must not be zero.
static inline uint64_t random_next(uint64_t *state) {
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

/// Folds one word into a checksum.
static inline uint64_t fold(uint64_t sum, uint64_t word) {
    sum ^= word;
    sum *= 0x9e3779b97f4a7c15ull;
    return sum ^ (sum >> 29);
}

/// Folds the exact bits of a double into a checksum.
static inline uint64_t fold_double(uint64_t sum, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return fold(sum, bits);
}

/// Folds the exact bits of a float into a checksum.
static inline uint64_t fold_float(uint64_t sum, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return fold(sum, bits);
}

/// Ends the program with a message when a self-check fails.
static inline void require(int holds, const char *what) {
    if (holds) return;
    printf("FAILED: %s\n", what);
    exit(1);
}

/// Prints the only line of a successful run.
static inline int report(const char *name, uint64_t sum) {
    printf("%s checksum %016llx\n", name, (unsigned long long)sum);
    return 0;
}

#endif

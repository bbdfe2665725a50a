// LZ77 with hash chains, then canonical Huffman codes, and back again: the round trip must give the input.
#include "../benchmark.h"

enum { length = 1 << 16, window = 1 << 14, hashSize = 1 << 13, shortest = 3, longest = 66, symbolCount = 512, maximumBits = 15 };
// Symbols below 256 are literals; 256 + n is a match of length shortest + n, followed by 14 raw bits of distance.

static unsigned char input[length], restored[length], packed[2 * length];
static uint16_t symbols[length], distances[length];
static int32_t head[hashSize], previous[length];
static uint32_t frequency[symbolCount];
static unsigned char code_length[symbolCount];
static uint16_t code[symbolCount];

static void make_input(uint64_t *seed) {
    long at = 0;
    while (at < length) {
        uint64_t word = random_next(seed);
        long run = (long)(word % 40) + 1, from = at > 300 ? (long)(word >> 20) % at : 0;
        if (word >> 63 || at < 300)
            for (long i = 0; i < run && at < length; i++) input[at++] = "etaoin shrdlucmfwyp"[random_next(seed) % 19 * (random_next(seed) & 1)];
        else
            for (long i = 0; i < run && at < length; i++) input[at++] = input[from + i];
    }
}

static uint32_t hash_at(long at) { return (input[at] * 2654435761u + input[at + 1] * 40503u + input[at + 2] * 2246822519u) >> 19; }

static long find_matches(void) {
    long out = 0, at = 0;
    for (int i = 0; i < hashSize; i++) head[i] = -1;
    while (at < length) {
        long best = 0, distance = 0;
        if (at + shortest < length) {
            int32_t candidate = head[hash_at(at)];
            for (int tries = 24; candidate >= 0 && at - candidate < window && tries; tries--, candidate = previous[candidate]) {
                long same = 0, most = length - at < longest ? length - at : longest;
                while (same < most && input[candidate + same] == input[at + same]) same++;
                if (same > best) best = same, distance = at - candidate;
            }
        }
        if (best < shortest) best = 0;
        symbols[out] = best ? (uint16_t)(256 + best - shortest) : input[at];
        distances[out++] = (uint16_t)distance;
        for (long end = at + (best ? best : 1); at < end; at++) {
            if (at + shortest >= length) continue;
            uint32_t slot = hash_at(at);
            previous[at] = head[slot];
            head[slot] = (int32_t)at;
        }
    }
    return out;
}

/// Code lengths from repeated merging of the two rarest trees; frequencies are flattened until they fit.
static void make_lengths(long count) {
    static uint64_t weight[2 * symbolCount];
    static int parent[2 * symbolCount], alive[2 * symbolCount];
    memset(frequency, 0, sizeof frequency);
    for (long i = 0; i < count; i++) frequency[symbols[i]]++;
    for (int shift = 0;; shift++) {
        int living = 0, nodes = symbolCount, deepest = 0;
        for (int i = 0; i < symbolCount; i++) {
            code_length[i] = 0;
            if (!frequency[i]) continue;
            weight[i] = (frequency[i] >> shift) + 1;
            alive[living++] = i;
        }
        while (living > 1) {
            int pair[2];
            for (int k = 0; k < 2; k++) {
                int least = 0;
                for (int i = 1; i < living; i++)
                    if (weight[alive[i]] < weight[alive[least]]) least = i;
                pair[k] = alive[least];
                alive[least] = alive[--living];
            }
            weight[nodes] = weight[pair[0]] + weight[pair[1]];
            parent[pair[0]] = parent[pair[1]] = nodes;
            alive[living++] = nodes++;
        }
        for (int i = 0; i < symbolCount; i++) {
            if (!frequency[i]) continue;
            int bits = 0;
            for (int node = i; node != nodes - 1; node = parent[node]) bits++;
            code_length[i] = (unsigned char)bits;
            if (bits > deepest) deepest = bits;
        }
        if (deepest <= maximumBits) return;
    }
}

static uint16_t first_code[maximumBits + 2], first_index[maximumBits + 2], sorted[symbolCount];

static void make_codes(void) {
    int next = 0, value = 0;
    for (int bits = 1; bits <= maximumBits; bits++) {
        first_code[bits] = (uint16_t)value;
        first_index[bits] = (uint16_t)next;
        for (int i = 0; i < symbolCount; i++)
            if (code_length[i] == bits) {
                code[i] = (uint16_t)value++;
                sorted[next++] = (uint16_t)i;
            }
        value <<= 1;
    }
    first_index[maximumBits + 1] = (uint16_t)next;
}

static long write_bits(long count) {
    uint64_t pending = 0;
    int held = 0;
    long out = 0;
    for (long i = 0; i < count; i++) {
        pending = pending << code_length[symbols[i]] | code[symbols[i]];
        held += code_length[symbols[i]];
        if (symbols[i] >= 256) pending = pending << 14 | distances[i], held += 14;
        while (held >= 8) packed[out++] = (unsigned char)(pending >> (held -= 8));
    }
    packed[out++] = (unsigned char)(pending << (8 - held));
    return out;
}

static uint64_t bit_position;
static unsigned next_bit(void) {
    unsigned bit = packed[bit_position >> 3] >> (7 - (bit_position & 7)) & 1;
    bit_position++;
    return bit;
}

static void read_back(void) {
    long at = 0;
    bit_position = 0;
    while (at < length) {
        int bits = 0, value = 0;
        for (;;) {
            value = value << 1 | (int)next_bit();
            bits++;
            int offset = value - first_code[bits];
            if (offset >= 0 && offset < first_index[bits + 1] - first_index[bits]) {
                value = sorted[first_index[bits] + offset];
                break;
            }
            require(bits < maximumBits, "every code is known");
        }
        if (value < 256) {
            restored[at++] = (unsigned char)value;
            continue;
        }
        long distance = 0;
        for (int i = 0; i < 14; i++) distance = distance << 1 | (long)next_bit();
        for (long end = at + value - 256 + shortest; at < end; at++) restored[at] = restored[at - distance];
    }
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 170), seed = 17, sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        make_input(&seed);
        long symbols_used = find_matches();
        make_lengths(symbols_used);
        make_codes();
        long size = write_bits(symbols_used);
        memset(restored, 0, sizeof restored);
        read_back();
        require(!memcmp(input, restored, sizeof input), "the round trip gives the input");
        sum = fold(sum, (uint64_t)size);
        for (long i = 0; i < size; i += 61) sum = fold(sum, packed[i]);
    }
    return report("compress", sum);
}

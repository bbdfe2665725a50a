// Dependent loads: random cycles through a small, a middle and a large set of nodes.
#include "../benchmark.h"

typedef struct Node {
    struct Node *next;
    uint64_t value;
} Node;

enum { largest = 1 << 18 };
static Node nodes[largest];
static uint32_t order[largest];

/// Links the first `size` nodes into one cycle (Sattolo's shuffle).
static void link_cycle(uint32_t size, uint64_t *seed) {
    for (uint32_t i = 0; i < size; i++) order[i] = i;
    for (uint32_t i = size - 1; i > 0; i--) {
        uint32_t other = (uint32_t)(random_next(seed) % i), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    for (uint32_t i = 0; i < size; i++) {
        nodes[i].next = &nodes[order[i]];
        nodes[i].value = i * 0x9e3779b97f4a7c15ull;
    }
}

static uint64_t chase(uint64_t steps, uint32_t size) {
    Node *node = nodes;
    uint64_t sum = size;
    for (uint64_t i = 0; i < steps; i++) {
        sum = (sum << 1 | sum >> 63) ^ node->value;
        node->value += i;
        node = node->next;
    }
    return fold(sum, (uint64_t)(node - nodes));
}

int main(int count, char **arguments) {
    uint64_t steps = iterations(count, arguments, 20000000), seed = 8, sum = 0;
    static const struct { uint32_t size, share; } sets[] = {{1 << 10, 4}, {1 << 14, 2}, {1 << 18, 1}};
    for (int i = 0; i < 3; i++) {
        link_cycle(sets[i].size, &seed);
        sum = fold(sum, chase(steps * sets[i].share / 2, sets[i].size));
    }
    return report("pointer-chase", sum);
}

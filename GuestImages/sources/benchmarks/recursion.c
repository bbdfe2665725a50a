// Deep and wide recursion: calls and returns dominate.
#include "../benchmark.h"

#define CALL __attribute__((noinline, noclone)) static

CALL uint64_t fibonacci(uint64_t n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

CALL uint64_t ackermann(uint64_t m, uint64_t n) {
    if (m == 0) return n + 1;
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

CALL int tak(int x, int y, int z) {
    if (y >= x) return z;
    return tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y));
}

CALL uint64_t queens(uint32_t all, uint32_t columns, uint32_t left, uint32_t right) {
    if (columns == all) return 1;
    uint64_t solutions = 0;
    for (uint32_t free = all & ~(columns | left | right); free; free &= free - 1) {
        uint32_t place = free & (0 - free);
        solutions += queens(all, columns | place, (left | place) << 1, (right | place) >> 1);
    }
    return solutions;
}

CALL uint64_t hanoi(int disks, int from, int to) {
    if (disks == 0) return 0;
    int other = 6 - from - to;
    return hanoi(disks - 1, from, other) * 3 + (uint64_t)(from * 4 + to) + hanoi(disks - 1, other, to) * 5;
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 60), sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        int extra = (int)(round & 1);
        uint64_t value = fibonacci(29 + (uint64_t)extra);
        require(value == (extra ? 832040 : 514229), "Fibonacci numbers 29 and 30");
        sum = fold(sum, value);
        sum = fold(sum, ackermann(2, 700 + round) + ackermann(3, 7));
        sum = fold(sum, (uint64_t)tak(18, 12, 6 + extra));
        uint64_t solutions = queens((1u << 10) - 1, 0, 0, 0);
        require(solutions == 724, "ten queens have 724 solutions");
        sum = fold(sum, solutions);
        sum = fold(sum, hanoi(18, 1, 3));
    }
    return report("recursion", sum);
}

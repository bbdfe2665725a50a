// Multi-precision integers: Montgomery powers modulo a Mersenne prime, and factorials written in decimal.
#include "../benchmark.h"

enum { maximumLimbs = 40, factorialLimbs = 1400 };
typedef unsigned __int128 wide_t;

/// -1 / odd modulo 2^64, by Newton's iteration.
static uint64_t negated_inverse(uint64_t odd) {
    uint64_t inverse = odd;
    for (int i = 0; i < 6; i++) inverse *= 2 - odd * inverse;
    return 0 - inverse;
}

static int not_less(const uint64_t *a, const uint64_t *b, int limbs) {
    for (int i = limbs - 1; i >= 0; i--)
        if (a[i] != b[i]) return a[i] > b[i];
    return 1;
}

static uint64_t subtract(uint64_t *a, const uint64_t *b, int limbs) {
    uint64_t borrow = 0;
    for (int i = 0; i < limbs; i++) {
        wide_t difference = (wide_t)a[i] - b[i] - borrow;
        a[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow;
}

/// out = a * b / 2^(64 * limbs) modulo the modulus.
static void montgomery(uint64_t *out, const uint64_t *a, const uint64_t *b, const uint64_t *modulus, uint64_t factor, int limbs) {
    uint64_t t[maximumLimbs + 2] = {0};
    for (int i = 0; i < limbs; i++) {
        wide_t carry = 0;
        for (int j = 0; j < limbs; j++) {
            carry += (wide_t)a[j] * b[i] + t[j];
            t[j] = (uint64_t)carry;
            carry >>= 64;
        }
        carry += t[limbs];
        t[limbs] = (uint64_t)carry;
        t[limbs + 1] = (uint64_t)(carry >> 64);
        uint64_t m = t[0] * factor;
        carry = ((wide_t)m * modulus[0] + t[0]) >> 64;
        for (int j = 1; j < limbs; j++) {
            carry += (wide_t)m * modulus[j] + t[j];
            t[j - 1] = (uint64_t)carry;
            carry >>= 64;
        }
        carry += t[limbs];
        t[limbs - 1] = (uint64_t)carry;
        t[limbs] = t[limbs + 1] + (uint64_t)(carry >> 64);
    }
    if (t[limbs] || not_less(t, modulus, limbs)) subtract(t, modulus, limbs);
    memcpy(out, t, (size_t)limbs * sizeof *out);
}

/// base^exponent modulo 2^bits - 1.
static void power_modulo(uint64_t *out, uint64_t base, const uint64_t *exponent, int bits) {
    int limbs = (bits + 63) / 64;
    uint64_t modulus[maximumLimbs], one[maximumLimbs] = {1}, square[maximumLimbs] = {0}, result[maximumLimbs] = {0};
    for (int i = 0; i < limbs; i++) modulus[i] = ~0ull;
    if (bits % 64) modulus[limbs - 1] = (1ull << bits % 64) - 1;
    uint64_t factor = negated_inverse(modulus[0]);
    // 2^(64 * limbs) modulo 2^bits - 1 is a power of two: that is one in Montgomery form.
    int shift = 64 * limbs - bits;
    result[shift / 64] = 1ull << shift % 64;
    int doubled = 2 * shift;
    uint64_t to_form[maximumLimbs] = {0};
    to_form[doubled / 64] = 1ull << doubled % 64;
    square[0] = base;
    montgomery(square, square, to_form, modulus, factor, limbs);
    for (int bit = 0; bit < bits; bit++) {
        if (exponent[bit / 64] >> bit % 64 & 1) montgomery(result, result, square, modulus, factor, limbs);
        montgomery(square, square, square, modulus, factor, limbs);
    }
    montgomery(out, result, one, modulus, factor, limbs);
}

static uint64_t fermat(int bits, uint64_t base) {
    int limbs = (bits + 63) / 64;
    uint64_t exponent[maximumLimbs], result[maximumLimbs], sum = 0;
    for (int i = 0; i < limbs; i++) exponent[i] = ~0ull;
    if (bits % 64) exponent[limbs - 1] = (1ull << bits % 64) - 1;
    exponent[0] -= 1;
    power_modulo(result, base, exponent, bits);
    int is_one = result[0] == 1;
    for (int i = 1; i < limbs; i++) is_one &= result[i] == 0;
    require(is_one, "Fermat's little theorem");
    exponent[0] = 0x123456789abcdefull * base;
    power_modulo(result, base, exponent, bits);
    for (int i = 0; i < limbs; i++) sum = fold(sum, result[i]);
    return sum;
}

static uint64_t factorial_digits(uint32_t n) {
    static uint32_t limb[factorialLimbs];
    int used = 1;
    limb[0] = 1;
    for (uint32_t k = 2; k <= n; k++) {
        uint64_t carry = 0;
        for (int i = 0; i < used; i++) {
            carry += (uint64_t)limb[i] * k;
            limb[i] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry) limb[used++] = (uint32_t)carry;
    }
    uint64_t sum = n;
    while (used) {
        uint64_t remainder = 0;
        for (int i = used - 1; i >= 0; i--) {
            remainder = remainder << 32 | limb[i];
            limb[i] = (uint32_t)(remainder / 1000000000);
            remainder %= 1000000000;
        }
        while (used && !limb[used - 1]) used--;
        sum = fold(sum, remainder);
    }
    return sum;
}

int main(int count, char **arguments) {
    uint64_t rounds = iterations(count, arguments, 75), sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        sum = fold(sum, fermat(521, 3 + round));
        sum = fold(sum, fermat(1279, 5 + round));
        sum = fold(sum, factorial_digits(1500 + (uint32_t)(round % 500)));
    }
    return report("bigint", sum);
}

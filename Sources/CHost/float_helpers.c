// Floating-point operations for which translated code calls C: rare, or not in every processor. They run with the guest's
// MXCSR; arguments and results are words (a float as its bits). Each is found through a function that gives its address.
#include "CHost.h"

#include <string.h>

static inline double d(uint64_t bits) { double r; memcpy(&r, &bits, 8); return r; }
static inline float s(uint64_t bits) { uint32_t low = (uint32_t)bits; float r; memcpy(&r, &low, 4); return r; }
static inline uint64_t db(double v) { uint64_t r; memcpy(&r, &v, 8); return r; }
static inline uint64_t sb(float v) { uint32_t r; memcpy(&r, &v, 4); return r; }

#define FUSED(name, sign_product, sign_addend) \
    static uint64_t name##_f64(uint64_t a, uint64_t b, uint64_t c) { \
        return db(mynah_fma_f64(sign_product d(a), d(b), sign_addend d(c))); \
    } \
    static uint64_t name##_f32(uint64_t a, uint64_t b, uint64_t c) { \
        return sb(mynah_fma_f32(sign_product s(a), s(b), sign_addend s(c))); \
    }
FUSED(multiply_add, +, +)
FUSED(multiply_subtract, +, -)
FUSED(negated_multiply_add, -, +)
FUSED(negated_multiply_subtract, -, -)

uint64_t mynah_helper_fused(int kind, int single) {
    switch (kind) {
    case 0: return single ? (uint64_t)multiply_add_f32 : (uint64_t)multiply_add_f64;
    case 1: return single ? (uint64_t)multiply_subtract_f32 : (uint64_t)multiply_subtract_f64;
    case 2: return single ? (uint64_t)negated_multiply_add_f32 : (uint64_t)negated_multiply_add_f64;
    default: return single ? (uint64_t)negated_multiply_subtract_f32 : (uint64_t)negated_multiply_subtract_f64;
    }
}

// Unsigned 64-bit to float with one rounding: a large value is halved with its lost bit kept sticky.
static uint64_t from_u64_f64(uint64_t a) {
    if ((int64_t)a >= 0) return db(mynah_i64_to_f64((int64_t)a));
    double half = mynah_i64_to_f64((int64_t)((a >> 1) | (a & 1)));
    return db(mynah_add_f64(half, half));
}
static uint64_t from_u64_f32(uint64_t a) {
    if ((int64_t)a >= 0) return sb(mynah_i64_to_f32((int64_t)a));
    float half = mynah_i64_to_f32((int64_t)((a >> 1) | (a & 1)));
    return sb(mynah_add_f32(half, half));
}
uint64_t mynah_helper_from_u64(int single) { return single ? (uint64_t)from_u64_f32 : (uint64_t)from_u64_f64; }

enum { FLAG_INVALID = 1, FLAG_INEXACT = 32 };

// Float to integer with saturation, NaN to the largest. kind: Rounding | signed 8 | single 16 | 32-bit result 32.
static inline uint64_t to_integer(uint64_t bits, int kind) {
    double value = (kind & 16) ? (double)s(bits) : d(bits);
    uint32_t saved = mynah_get_mxcsr();
    uint32_t sticky = saved & 63;
    // A signalling NaN raised "invalid" in the widening already; it does so below anyway.
    static const uint32_t control[] = { 0, 0x0000, 0x6000, 0x2000, 0x4000 };
    int rounding = kind & 7;
    uint32_t mode = rounding == 0 ? (saved & 0x6000) : control[rounding];
    mynah_set_mxcsr(0x1f80 | mode);
    int is_signed = kind & 8, is_long = !(kind & 32);
    uint64_t result;
    uint32_t flags = 0;
    double rounded = value;
    if (value == value && __builtin_fabs(value) < 4503599627370496.0) rounded = (double)mynah_f64_to_i64(value);
    double low = is_signed ? (is_long ? -9223372036854775808.0 : -2147483648.0) : 0.0;
    double high =
        is_signed ? (is_long ? 9223372036854775808.0 : 2147483648.0) : (is_long ? 18446744073709551616.0 : 4294967296.0);
    if (value != value || rounded >= high) {
        flags = FLAG_INVALID;
        result = is_signed ? (is_long ? (uint64_t)INT64_MAX : (uint64_t)INT32_MAX) : (is_long ? UINT64_MAX : UINT32_MAX);
    } else if (rounded < low) {
        flags = FLAG_INVALID;
        result = is_signed ? (is_long ? (uint64_t)INT64_MIN : (uint64_t)INT32_MIN) : 0;
    } else {
        flags = rounded != value ? FLAG_INEXACT : 0;
        result = rounded >= 9223372036854775808.0
            ? (uint64_t)(int64_t)(rounded - 9223372036854775808.0) + (1ull << 63) : (uint64_t)(int64_t)rounded;
    }
    mynah_set_mxcsr((saved & ~63u) | sticky | flags);
    return result;
}
#define TO_INTEGER(k) static uint64_t to_integer_##k(uint64_t bits) { return to_integer(bits, k); }
TO_INTEGER(0) TO_INTEGER(1) TO_INTEGER(2) TO_INTEGER(3) TO_INTEGER(4)
TO_INTEGER(8) TO_INTEGER(9) TO_INTEGER(10) TO_INTEGER(11) TO_INTEGER(12)
TO_INTEGER(16) TO_INTEGER(17) TO_INTEGER(18) TO_INTEGER(19) TO_INTEGER(20)
TO_INTEGER(24) TO_INTEGER(25) TO_INTEGER(26) TO_INTEGER(27) TO_INTEGER(28)
TO_INTEGER(32) TO_INTEGER(33) TO_INTEGER(34) TO_INTEGER(35) TO_INTEGER(36)
TO_INTEGER(40) TO_INTEGER(41) TO_INTEGER(42) TO_INTEGER(43) TO_INTEGER(44)
TO_INTEGER(48) TO_INTEGER(49) TO_INTEGER(50) TO_INTEGER(51) TO_INTEGER(52)
TO_INTEGER(56) TO_INTEGER(57) TO_INTEGER(58) TO_INTEGER(59) TO_INTEGER(60)
uint64_t mynah_helper_to_integer(int kind) {
    static uint64_t (*const table[64])(uint64_t) = {
        [0] = to_integer_0, to_integer_1, to_integer_2, to_integer_3, to_integer_4,
        [8] = to_integer_8, to_integer_9, to_integer_10, to_integer_11, to_integer_12,
        [16] = to_integer_16, to_integer_17, to_integer_18, to_integer_19, to_integer_20,
        [24] = to_integer_24, to_integer_25, to_integer_26, to_integer_27, to_integer_28,
        [32] = to_integer_32, to_integer_33, to_integer_34, to_integer_35, to_integer_36,
        [40] = to_integer_40, to_integer_41, to_integer_42, to_integer_43, to_integer_44,
        [48] = to_integer_48, to_integer_49, to_integer_50, to_integer_51, to_integer_52,
        [56] = to_integer_56, to_integer_57, to_integer_58, to_integer_59, to_integer_60,
    };
    return (uint64_t)table[kind & 63];
}

// minimumNumber and maximumNumber of IEEE 754-2019. kind: maximum 1 | single 2.
static uint64_t min_max_f64(uint64_t a, uint64_t b, int maximum) {
    const uint64_t canonical = 0x7ff8000000000000ull;
    uint32_t order = mynah_compare_quiet_f64(d(a), d(b));
    if (order & 1) {
        int a_nan = (a & 0x7fffffffffffffffull) > 0x7ff0000000000000ull;
    int b_nan = (b & 0x7fffffffffffffffull) > 0x7ff0000000000000ull;
        return a_nan && b_nan ? canonical : a_nan ? b : a;
    }
    if (order & 4) return maximum ? (a & b) : (a | b);   // equal: only zeros can differ, in their sign
    return ((order & 2) != 0) != (maximum != 0) ? a : b;
}
static uint64_t min_max_f32(uint64_t a64, uint64_t b64, int maximum) {
    uint32_t a = (uint32_t)a64, b = (uint32_t)b64;
    uint32_t order = mynah_compare_quiet_f32(s(a), s(b));
    if (order & 1) {
        int a_nan = (a & 0x7fffffffu) > 0x7f800000u, b_nan = (b & 0x7fffffffu) > 0x7f800000u;
        return a_nan && b_nan ? 0x7fc00000u : a_nan ? b : a;
    }
    if (order & 4) return maximum ? (a & b) : (a | b);
    return ((order & 2) != 0) != (maximum != 0) ? a : b;
}
static uint64_t minimum_f64(uint64_t a, uint64_t b) { return min_max_f64(a, b, 0); }
static uint64_t maximum_f64(uint64_t a, uint64_t b) { return min_max_f64(a, b, 1); }
static uint64_t minimum_f32(uint64_t a, uint64_t b) { return min_max_f32(a, b, 0); }
static uint64_t maximum_f32(uint64_t a, uint64_t b) { return min_max_f32(a, b, 1); }
uint64_t mynah_helper_minimum_maximum(int kind) {
    switch (kind) {
    case 0: return (uint64_t)minimum_f64;
    case 1: return (uint64_t)maximum_f64;
    case 2: return (uint64_t)minimum_f32;
    default: return (uint64_t)maximum_f32;
    }
}

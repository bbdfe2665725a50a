// Atomic operations on guest memory by width, and fused multiply-add.
#include "CHost.h"

#define SIGNED_MIN(T, a, b) ((T)(a) < (T)(b) ? (a) : (b))
#define SIGNED_MAX(T, a, b) ((T)(a) > (T)(b) ? (a) : (b))

#define ATOMIC(U, S) \
    { \
        U *p = (U *)address, v = (U)operand; \
        switch (kind) { \
        case MYNAH_EXCHANGE: return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); \
        case MYNAH_ADD: return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); \
        case MYNAH_AND: return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); \
        case MYNAH_OR: return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); \
        case MYNAH_XOR: return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST); \
        default: break; \
        } \
        U old = __atomic_load_n(p, __ATOMIC_SEQ_CST), new; \
        do { \
            switch (kind) { \
            case MYNAH_MIN_S: new = SIGNED_MIN(S, old, v); break; \
            case MYNAH_MAX_S: new = SIGNED_MAX(S, old, v); break; \
            case MYNAH_MIN_U: new = old < v ? old : v; break; \
            default: new = old > v ? old : v; break; \
            } \
        } while (!__atomic_compare_exchange_n(p, &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)); \
        return old; \
    }

uint64_t mynah_atomic(int kind, int width, uint64_t address, uint64_t operand) {
    switch (width) {
    case 1: ATOMIC(uint8_t, int8_t)
    case 2: ATOMIC(uint16_t, int16_t)
    case 4: ATOMIC(uint32_t, int32_t)
    default: ATOMIC(uint64_t, int64_t)
    }
}

#define EXCHANGE(U) \
    { \
        U old = (U)expected; \
        __atomic_compare_exchange_n((U *)address, &old, (U)replacement, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        return old; \
    }

uint64_t mynah_compare_exchange(int width, uint64_t address, uint64_t expected, uint64_t replacement) {
    switch (width) {
    case 1: EXCHANGE(uint8_t)
    case 2: EXCHANGE(uint16_t)
    case 4: EXCHANGE(uint32_t)
    default: EXCHANGE(uint64_t)
    }
}

// Infinity times zero is invalid also beside a quiet NaN, where IEEE 754 leaves it open and hosts do not raise it.
#define FMA(T, name, fused) \
    T name(T a, T b, T c) { \
        T result = fused(a, b, c); \
        if (__builtin_isnan(result) && ((__builtin_isinf(a) && b == 0) || (a == 0 && __builtin_isinf(b)))) { \
            volatile T product = a; \
            product *= b; \
        } \
        return result; \
    }
FMA(double, mynah_fma_f64, __builtin_fma)
FMA(float, mynah_fma_f32, __builtin_fmaf)

// Scalar floating point as single host instructions, which the compiler may neither fold, repeat nor move across a change
// of MXCSR. Rounding mode and sticky flags are those of MXCSR: an interpreter runs with the guest's MXCSR loaded.
#ifndef MYNAH_CHOST_FLOAT_H
#define MYNAH_CHOST_FLOAT_H

#include <stdint.h>

#define MYNAH_BINARY(name, instruction, type) \
    static inline type mynah_##name(type a, type b) { __asm__ volatile(instruction " %1, %0" : "+x"(a) : "x"(b)); return a; }
MYNAH_BINARY(add_f64, "addsd", double)
MYNAH_BINARY(sub_f64, "subsd", double)
MYNAH_BINARY(mul_f64, "mulsd", double)
MYNAH_BINARY(div_f64, "divsd", double)
MYNAH_BINARY(sqrt_f64_of, "sqrtsd", double)
MYNAH_BINARY(add_f32, "addss", float)
MYNAH_BINARY(sub_f32, "subss", float)
MYNAH_BINARY(mul_f32, "mulss", float)
MYNAH_BINARY(div_f32, "divss", float)
MYNAH_BINARY(sqrt_f32_of, "sqrtss", float)
#undef MYNAH_BINARY
static inline double mynah_sqrt_f64(double a) { return mynah_sqrt_f64_of(a, a); }
static inline float mynah_sqrt_f32(float a) { return mynah_sqrt_f32_of(a, a); }

static inline double mynah_f32_to_f64(float a) { double r; __asm__ volatile("cvtss2sd %1, %0" : "=x"(r) : "x"(a)); return r; }
static inline float mynah_f64_to_f32(double a) { float r; __asm__ volatile("cvtsd2ss %1, %0" : "=x"(r) : "x"(a)); return r; }
static inline double mynah_i64_to_f64(int64_t a) { double r; __asm__ volatile("cvtsi2sdq %1, %0" : "=x"(r) : "r"(a)); return r; }
static inline float mynah_i64_to_f32(int64_t a) { float r; __asm__ volatile("cvtsi2ssq %1, %0" : "=x"(r) : "r"(a)); return r; }
// Conversions to integer in the current rounding mode and by truncation; the "indefinite" value on overflow and NaN.
static inline int64_t mynah_f64_to_i64(double a) { int64_t r; __asm__ volatile("cvtsd2siq %1, %0" : "=r"(r) : "x"(a)); return r; }
static inline int32_t mynah_f64_to_i32(double a) { int32_t r; __asm__ volatile("cvtsd2sil %1, %0" : "=r"(r) : "x"(a)); return r; }
static inline int32_t mynah_f64_to_i32_truncating(double a) {
    int32_t r;
    __asm__ volatile("cvttsd2sil %1, %0" : "=r"(r) : "x"(a));
    return r;
}
// One comparison: bit 0 unordered, bit 1 less, bit 2 equal. The quiet form signals only for signalling NaNs.
static inline uint32_t mynah_flags_of_comparison(uint8_t below, uint8_t zero, uint8_t parity) {
    return parity ? 1u : (below ? 2u : 0u) | (zero ? 4u : 0u);
}
#define MYNAH_COMPARE(name, instruction, type) \
    static inline uint32_t mynah_##name(type a, type b) { \
        uint8_t below, zero, parity; \
        __asm__ volatile(instruction " %4, %3\n\tsetb %0\n\tsete %1\n\tsetp %2" \
            : "=q"(below), "=q"(zero), "=q"(parity) : "x"(a), "x"(b) : "cc"); \
        return mynah_flags_of_comparison(below, zero, parity); }
MYNAH_COMPARE(compare_quiet_f64, "ucomisd", double)
MYNAH_COMPARE(compare_signalling_f64, "comisd", double)
MYNAH_COMPARE(compare_quiet_f32, "ucomiss", float)
MYNAH_COMPARE(compare_signalling_f32, "comiss", float)
#undef MYNAH_COMPARE

// a * b + c with one rounding, flags exact (libm's fma uses the instruction where there is one, otherwise exact software).
double mynah_fma_f64(double a, double b, double c);
float mynah_fma_f32(float a, float b, float c);

static inline uint32_t mynah_get_mxcsr(void) { uint32_t r; __asm__ volatile("stmxcsr %0" : "=m"(r)); return r; }
static inline void mynah_set_mxcsr(uint32_t v) { __asm__ volatile("ldmxcsr %0" : : "m"(v)); }
static inline uint64_t mynah_cycle_counter(void) {
    uint32_t low, high; __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)); return ((uint64_t)high << 32) | low;
}

#endif

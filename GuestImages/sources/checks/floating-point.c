// Floating point at its edges: flags, rounding modes, NaNs, zeros, conversions, minimum and maximum, classes.
// What RISC-V defines more strictly than C (canonical NaNs, saturating conversions) is checked in RISC-V builds only.
#include "check.h"
#include <fenv.h>
#include <math.h>

static volatile double zero = 0.0, one = 1.0, three = 3.0, ten = 10.0, largest = 0x1.fffffffffffffp1023, tiny = 0x1p-1074;
static volatile float one_single = 1.0f, three_single = 3.0f;

static uint64_t bits(double value) {
    uint64_t word;
    memcpy(&word, &value, 8);
    return word;
}

static uint32_t bits_single(float value) {
    uint32_t word;
    memcpy(&word, &value, 4);
    return word;
}

static double from_bits(uint64_t word) {
    volatile double value;
    memcpy((void *)&value, &word, 8);
    return value;
}

/// The exception flags that one expression raises.
#define FLAGS(expression) (feclearexcept(FE_ALL_EXCEPT), (void)(sink = (expression)), fetestexcept(FE_ALL_EXCEPT))
static volatile double sink;
static volatile int64_t sink_integer;

static void flags(void) {
    EXPECT(FLAGS(one / three) == FE_INEXACT, "one third is inexact");
    EXPECT(FLAGS(one / zero) == FE_DIVBYZERO && isinf(sink), "division by zero");
    EXPECT(FLAGS(zero / zero) == FE_INVALID && isnan(sink), "zero by zero is invalid");
    EXPECT(FLAGS(largest * ten) == (FE_OVERFLOW | FE_INEXACT), "overflow");
    EXPECT(FLAGS(tiny / three) == (FE_UNDERFLOW | FE_INEXACT), "underflow");
    EXPECT(FLAGS(tiny / one) == 0, "an exact subnormal raises nothing");
    EXPECT(FLAGS(sqrt(-one)) == FE_INVALID, "the root of a negative number");
    EXPECT(FLAGS(one + one) == 0, "an exact sum raises nothing");
    EXPECT(FLAGS(one + tiny) == FE_INEXACT, "a lost addend is inexact");
    feclearexcept(FE_ALL_EXCEPT);
    sink = one / zero;
    sink = one / three;
    EXPECT(fetestexcept(FE_ALL_EXCEPT) == (FE_DIVBYZERO | FE_INEXACT), "flags add up");
    feraiseexcept(FE_OVERFLOW);
    EXPECT(fetestexcept(FE_OVERFLOW) == FE_OVERFLOW, "feraiseexcept");
    fexcept_t kept;
    fegetexceptflag(&kept, FE_ALL_EXCEPT);
    feclearexcept(FE_ALL_EXCEPT);
    fesetexceptflag(&kept, FE_DIVBYZERO);
    EXPECT(fetestexcept(FE_ALL_EXCEPT) == FE_DIVBYZERO, "flags are saved and restored");
    feclearexcept(FE_ALL_EXCEPT);
    volatile int quiet = from_bits(0x7ff8000000000000) == one;
    EXPECT(!quiet && fetestexcept(FE_ALL_EXCEPT) == 0, "equality with a quiet NaN raises nothing");
    volatile int ordered = from_bits(0x7ff8000000000000) < one;
    EXPECT(!ordered && fetestexcept(FE_ALL_EXCEPT) == FE_INVALID, "order with a quiet NaN is invalid");
}

static void rounding(void) {
    static const int modes[4] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    static const uint64_t third[4] = {0x3fd5555555555555, 0x3fd5555555555555, 0x3fd5555555555556, 0x3fd5555555555555};
    static const uint64_t negative[4] = {0xbfd5555555555555, 0xbfd5555555555556, 0xbfd5555555555555, 0xbfd5555555555555};
    static const uint64_t overflow[4] = {0x7ff0000000000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0x7fefffffffffffff};
    static const uint64_t difference[4] = {0, 0x8000000000000000, 0, 0};
    static const uint32_t single[4] = {0x3eaaaaab, 0x3eaaaaaa, 0x3eaaaaab, 0x3eaaaaaa};
    static const int64_t halves[4] = {2, 2, 3, 2}, negative_halves[4] = {-2, -3, -2, -2};
    static const double root[4] = {0x1.bb67ae8584caap0, 0x1.bb67ae8584caap0, 0x1.bb67ae8584cabp0, 0x1.bb67ae8584caap0};
    volatile double half = 2.5, negative_half = -2.5;
    volatile int64_t large = 0x7fffffffffffffff;
    int good[8] = {0};
    for (int i = 0; i < 4; i++) {
        fesetround(modes[i]);
        good[0] += fegetround() == modes[i] && bits(one / three) == third[i];
        good[1] += bits(-one / three) == negative[i];
        good[2] += bits(largest + largest) == overflow[i];
        good[3] += bits(one - one) == difference[i];
        good[4] += bits_single(one_single / three_single) == single[i];
        good[5] += llrint(half) == halves[i] && llrint(negative_half) == negative_halves[i];
        good[6] += sqrt(three) == root[i];
        good[7] += bits((double)large) == (i == 0 || i == 2 ? 0x43e0000000000000 : 0x43dfffffffffffff);
        sink_integer = (int64_t)half;
        good[7] -= sink_integer != 2; // a cast always cuts
    }
    fesetround(FE_TONEAREST);
    EXPECT(good[0] == 4 && good[1] == 4, "division in four rounding modes");
    EXPECT(good[2] == 4, "overflow in four rounding modes");
    EXPECT(good[3] == 4, "the sign of an exact zero difference");
    EXPECT(good[4] == 4, "single precision in four rounding modes");
    EXPECT(good[5] == 4, "rounding to integers in four rounding modes");
    EXPECT(good[6] == 4, "square roots in four rounding modes");
    EXPECT(good[7] == 4, "integers to doubles in four rounding modes");
}

static void values(void) {
    volatile double minus_zero = -0.0, infinity = INFINITY, not_a_number = NAN;
    EXPECT(minus_zero == zero && bits(minus_zero) == 1ull << 63 && bits(-zero) == 1ull << 63, "minus zero");
    EXPECT(bits(zero + minus_zero) == 0 && bits(minus_zero + minus_zero) == 1ull << 63, "sums of zeros");
    EXPECT(!(not_a_number == not_a_number) && !(not_a_number < one) && !(not_a_number >= one) && not_a_number != one, "comparisons with NaN");
    EXPECT(isnan(infinity - infinity) && isnan(infinity * zero) && infinity + one == infinity, "infinities");
    EXPECT(bits(tiny) == 1 && tiny * one == tiny && (float)tiny == 0.0f, "subnormals are kept");
    EXPECT(bits(fma(largest, 2.0, -largest)) == bits(largest), "a fused product does not overflow in between");
    volatile double a = 1.0 + 0x1p-52;
    EXPECT(fma(a, a, -(a * a)) == 0x1p-104, "a fused product is rounded once");
    EXPECT((float)0x1.000001p0 == 1.0f && (double)(float)0.1 == 0x1.99999ap-4, "narrowing rounds to even");
    EXPECT(bits(copysign(3.0, minus_zero)) == bits(-3.0) && bits(fabs(minus_zero)) == 0, "signs are copied");
    volatile uint64_t huge = 0xfffffffffffffc00ull;
    EXPECT((double)huge == 0x1.fffffffffffff8p63 && (uint64_t)0x1p63 == 1ull << 63 && (uint32_t)(volatile double){4294967295.0} == 0xffffffffu, "unsigned conversions");
}

#if defined(__riscv)
#define CONVERT(instruction, type, value) ({ type result; __asm__ volatile(instruction " %0, %1, rtz" : "=r"(result) : "f"(value)); (int64_t)result; })
#define BINARY(instruction, type, a, b) ({ type result; __asm__ volatile(instruction " %0, %1, %2" : "=f"(result) : "f"((type)(a)), "f"((type)(b))); result; })
#define CLASS(instruction, value) ({ long result; __asm__ volatile(instruction " %0, %1" : "=r"(result) : "f"(value)); result; })

static unsigned long take_flags(void) {
    unsigned long old;
    __asm__ volatile("csrrw %0, fflags, zero" : "=r"(old)::"memory");
    return old;
}

static void riscv_only(void) {
    double quiet = from_bits(0xfff8123456789abc), signalling = from_bits(0x7ff0000000000001), infinity = INFINITY;
    EXPECT(bits(BINARY("fadd.d", double, quiet, 1.0)) == 0x7ff8000000000000, "arithmetic gives the canonical NaN");
    EXPECT(bits(BINARY("fmul.d", double, infinity, 0.0)) == 0x7ff8000000000000, "so does an invalid operation");
    EXPECT(bits(BINARY("fsgnj.d", double, quiet, 1.0)) == 0x7ff8123456789abc, "sign injection keeps a NaN's bits");
    float narrowed;
    __asm__ volatile("fcvt.s.d %0, %1" : "=f"(narrowed) : "f"(quiet));
    EXPECT(bits_single(narrowed) == 0x7fc00000, "a narrowed NaN is canonical");
    take_flags();
    EXPECT(bits(BINARY("fmin.d", double, quiet, 2.0)) == bits(2.0) && take_flags() == 0, "the minimum ignores a quiet NaN");
    EXPECT(bits(BINARY("fmax.d", double, signalling, 2.0)) == bits(2.0) && take_flags() == 0x10, "and reports a signalling one");
    EXPECT(bits(BINARY("fmin.d", double, 0.0, -0.0)) == 1ull << 63 && bits(BINARY("fmax.d", double, -0.0, 0.0)) == 0, "minus zero is below zero");
    EXPECT(bits(BINARY("fmin.d", double, quiet, signalling)) == 0x7ff8000000000000, "two NaNs give the canonical one");
    take_flags();
    EXPECT(CONVERT("fcvt.w.d", int32_t, 1e30) == INT32_MAX && take_flags() == 0x10, "large doubles saturate at 32 bits");
    EXPECT(CONVERT("fcvt.w.d", int32_t, -1e30) == INT32_MIN && CONVERT("fcvt.w.d", int32_t, quiet) == INT32_MAX, "small ones too, and NaN is the largest");
    EXPECT(CONVERT("fcvt.l.d", int64_t, 1e30) == INT64_MAX && CONVERT("fcvt.l.d", int64_t, -infinity) == INT64_MIN, "64 bits saturate");
    take_flags();
    EXPECT(CONVERT("fcvt.wu.d", int64_t, -1.0) == 0 && take_flags() == 0x10, "a negative number is zero when unsigned");
    EXPECT(CONVERT("fcvt.wu.d", int64_t, -0.75) == 0 && take_flags() == 0x01, "but a fraction is only inexact");
    EXPECT(CONVERT("fcvt.wu.d", int64_t, 4294967295.0) == -1 && CONVERT("fcvt.wu.d", int64_t, 1e12) == -1, "unsigned 32-bit results are sign-extended");
    EXPECT(CONVERT("fcvt.lu.d", int64_t, 1e30) == -1 && CONVERT("fcvt.lu.d", int64_t, quiet) == -1, "unsigned 64 bits saturate");
    EXPECT(CONVERT("fcvt.lu.d", uint64_t, 0x1.8p63) == (int64_t)0xc000000000000000, "unsigned 64 bits above the sign bit");
    EXPECT(CLASS("fclass.d", -infinity) == 1 && CLASS("fclass.d", -1.0) == 2 && CLASS("fclass.d", -tiny) == 4 && CLASS("fclass.d", -0.0) == 8, "classes of negative numbers");
    EXPECT(CLASS("fclass.d", 0.0) == 16 && CLASS("fclass.d", tiny) == 32 && CLASS("fclass.d", 1.0) == 64 && CLASS("fclass.d", infinity) == 128, "classes of positive numbers");
    EXPECT(CLASS("fclass.d", signalling) == 256 && CLASS("fclass.d", quiet) == 512, "classes of NaNs");
    // a single in a register is boxed in ones; a register that is not boxed reads as the canonical NaN
    uint64_t boxed;
    __asm__ volatile("fmv.w.x ft0, %1\n fmv.x.d %0, ft0" : "=r"(boxed) : "r"(0x3f800000L) : "ft0");
    EXPECT(boxed == 0xffffffff3f800000, "singles are boxed");
    uint32_t unboxed;
    __asm__ volatile("fmv.d.x ft0, %1\n fadd.s ft0, ft0, ft0\n fmv.x.w %0, ft0" : "=r"(unboxed) : "r"(0x3f800000L) : "ft0");
    EXPECT(unboxed == 0x7fc00000, "an unboxed register is NaN");
    int64_t moved;
    __asm__ volatile("fmv.w.x ft0, %1\n fmv.x.w %0, ft0" : "=r"(moved) : "r"(0x80000000L) : "ft0");
    EXPECT(moved == (int64_t)0xffffffff80000000, "a moved single is sign-extended");
    int64_t nearest_away, to_even;
    __asm__ volatile("fcvt.l.d %0, %1, rmm" : "=r"(nearest_away) : "f"(2.5));
    __asm__ volatile("fcvt.l.d %0, %1, rne" : "=r"(to_even) : "f"(2.5));
    EXPECT(nearest_away == 3 && to_even == 2, "static rounding modes, nearest away from zero among them");
    double fused;
    take_flags();
    __asm__ volatile("fmadd.d %0, %1, %2, %3" : "=f"(fused) : "f"(infinity), "f"(0.0), "f"(quiet));
    EXPECT(bits(fused) == 0x7ff8000000000000 && take_flags() == 0x10, "infinity times zero is invalid even beside a quiet NaN");
    __asm__ volatile("fnmadd.d %0, %1, %2, %3" : "=f"(fused) : "f"(2.0), "f"(3.0), "f"(1.0));
    EXPECT(fused == -7.0, "fnmadd negates product and addend");
    __asm__ volatile("fnmsub.d %0, %1, %2, %3" : "=f"(fused) : "f"(2.0), "f"(3.0), "f"(1.0));
    EXPECT(fused == -5.0, "fnmsub negates the product");
    long quotient, remainder;
    __asm__ volatile("div %0, %2, %3\n rem %1, %2, %3" : "=&r"(quotient), "=&r"(remainder) : "r"(42L), "r"(0L));
    EXPECT(quotient == -1 && remainder == 42, "integer division by zero has a result");
    __asm__ volatile("div %0, %2, %3\n rem %1, %2, %3" : "=&r"(quotient), "=&r"(remainder) : "r"(INT64_MIN), "r"(-1L));
    EXPECT(quotient == INT64_MIN && remainder == 0, "so has its overflow");
    __asm__ volatile("divw %0, %2, %3\n remuw %1, %2, %3" : "=&r"(quotient), "=&r"(remainder) : "r"(0x80000000L), "r"(0L));
    EXPECT(quotient == -1 && remainder == INT32_MIN, "and 32-bit division by zero");
}
#else
static void riscv_only(void) {}
#endif

int main(void) {
    flags();
    rounding();
    values();
    riscv_only();
    return conclude();
}

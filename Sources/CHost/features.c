// Which optional x86-64 instructions this processor and its kernel allow.
#include "CHost.h"

uint32_t mynah_cpu_features(void) {
    __builtin_cpu_init();
    uint32_t f = 0;
    if (__builtin_cpu_supports("sse4.1")) f |= MYNAH_SSE41;
    if (__builtin_cpu_supports("popcnt")) f |= MYNAH_POPCNT;
    if (__builtin_cpu_supports("avx")) f |= MYNAH_AVX;
    if (__builtin_cpu_supports("avx2")) f |= MYNAH_AVX2;
    if (__builtin_cpu_supports("fma")) f |= MYNAH_FMA;
    if (__builtin_cpu_supports("bmi")) f |= MYNAH_BMI1;
    if (__builtin_cpu_supports("bmi2")) f |= MYNAH_BMI2;
    if (__builtin_cpu_supports("ssse3")) f |= MYNAH_SSSE3;
    if (__builtin_cpu_supports("aes")) f |= MYNAH_AES;
    if (__builtin_cpu_supports("pclmul")) f |= MYNAH_PCLMUL;
    uint32_t a = 0x80000001u, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (c & (1u << 5)) f |= MYNAH_LZCNT;
    return f;
}

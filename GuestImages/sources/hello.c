// The smallest guest: no C library, one write, one exit. Shows that loading, the first instruction and system calls work.

static const char greeting[] = "Hello from a guest program\n";

static long system_call(long number, long first, long second, long third) {
#if defined(__riscv)
    register long a7 __asm__("a7") = number;
    register long a0 __asm__("a0") = first;
    register long a1 __asm__("a1") = second;
    register long a2 __asm__("a2") = third;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
#else
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(first), "S"(second), "d"(third) : "rcx", "r11", "memory");
    return result;
#endif
}

#if defined(__riscv)
enum { write_number = 64, exit_number = 93 };
#else
enum { write_number = 1, exit_number = 60 };
#endif

__attribute__((noreturn)) void _start(void) {
    long written = system_call(write_number, 1, (long)greeting, sizeof greeting - 1);
    for (;;) system_call(exit_number, written == (long)sizeof greeting - 1 ? 0 : 1, 0, 0);
}

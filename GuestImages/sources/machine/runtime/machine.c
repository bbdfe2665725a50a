// Console, checks, traps and harts of the bare-metal programs.
#include <stdarg.h>
#include "machine.h"

struct trap traps[MAXIMUM_HARTS];
int (*exception_handler)(u64, u64, struct frame *);
int (*interrupt_handler)(u64, struct frame *);
static int failures;
static int print_lock;

// MARK: Console

void put_character(char character) {
    while (!(read8(UART + 5) & 0x20)) pause_hart();
    write8(UART, character);
}

static void put_number(u64 value, unsigned base) {
    char digits[24];
    int count = 0;
    do digits[count++] = "0123456789abcdef"[value % base]; while (value /= base);
    while (count) put_character(digits[--count]);
}

void print(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    while (__atomic_exchange_n(&print_lock, 1, __ATOMIC_ACQUIRE)) pause_hart();
    for (; *format; format++) {
        if (*format != '%') { put_character(*format); continue; }
        switch (*++format) {
        case 's': for (const char *text = va_arg(arguments, const char *); *text; text++) put_character(*text); break;
        case 'c': put_character(va_arg(arguments, int)); break;
        case 'u': put_number(va_arg(arguments, u64), 10); break;
        case 'x': put_number(va_arg(arguments, u64), 16); break;
        case 'd': {
            i64 value = va_arg(arguments, i64);
            if (value < 0) put_character('-');
            put_number(value < 0 ? -(u64)value : (u64)value, 10);
            break;
        }
        default: put_character(*format);
        }
    }
    __atomic_store_n(&print_lock, 0, __ATOMIC_RELEASE);
    va_end(arguments);
}

void expect(int holds, const char *text, int line) {
    if (holds) print("ok      %s\n", text);
    else print("FAILED  line %d: %s (last trap: cause %x, pc %x, value %x)\n", (i64)line, text, trap()->cause, trap()->pc, trap()->value);
    if (!holds) __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
}

_Noreturn void power_off(int status) {
    if (failures) status = 1;
    write32(TEST, status ? (u32)status << 16 | 0x3333 : 0x5555);
    for (;;) wait_for_interrupt();
}

void *copy_bytes(void *to, const void *from, u64 count) {
    for (u64 i = 0; i < count; i++) ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
    return to;
}

void fill_bytes(void *to, int value, u64 count) {
    for (u64 i = 0; i < count; i++) ((volatile u8 *)to)[i] = value;
}

// What the compiler calls by itself.
void *memcpy(void *to, const void *from, u64 count) { return copy_bytes(to, from, count); }
void *memset(void *to, int value, u64 count) { fill_bytes(to, value, count); return to; }

// MARK: Traps

void handle_trap(u64 cause, u64 value, struct frame *frame) {
    if (cause & INTERRUPT) {
        u64 number = cause & ~INTERRUPT;
        if (interrupt_handler && interrupt_handler(number, frame)) return;
        print("FAILED  interrupt %u that nobody expects, at %x\n", number, frame->pc);
        failures++;
        power_off(1);
    }
    if (exception_handler && exception_handler(cause, value, frame)) return;
    struct trap *last = trap();
    *last = (struct trap){last->count + 1, cause, frame->pc, value};
    if (last->count > 1000) {
        print("FAILED  the same trap again and again: cause %x, pc %x, value %x\n", cause, frame->pc, value);
        failures++;
        power_off(1);
    }
    if ((frame->status & XPP_MASK) != XPP_OWN) leave_lower(-1000 - (i64)cause); // code of a lower mode ends there
    if (cause == FETCH_ACCESS || cause == FETCH_PAGE || cause == FETCH_MISALIGNED) frame->pc = frame->x[0];
    else frame->pc += (*(u16 *)frame->pc & 3) == 3 ? 4 : 2;
}

// The lower mode's code lies in pages of its own, which the paging tests may map for it.
__attribute__((section(".lower.text"), noinline)) void exit_lower(i64 value) {
    register u64 a0 asm("a0") = value;
    register u64 a7 asm("a7") = 93;
    asm volatile("ecall" : : "r"(a0), "r"(a7) : "memory");
    __builtin_unreachable();
}

__attribute__((section(".lower.text"), naked)) static void return_from_lower(void) { asm volatile("li a7, 93\necall"); }

static int lower_exit(u64 cause, struct frame *frame) {
    return (cause == CALL_FROM_USER || cause == CALL_FROM_SUPERVISOR) && A7(frame) == 93;
}

struct lower_stack { u8 bytes[8192]; struct frame frame; u64 start[2]; };
static struct lower_stack lower_stacks[MAXIMUM_HARTS] __attribute__((aligned(4096)));
static u8 lower_data_stacks[MAXIMUM_HARTS][8192] __attribute__((aligned(4096), section(".bss.lower")));
static int (*previous_handler)(u64, u64, struct frame *);

static int handle_exit(u64 cause, u64 value, struct frame *frame) {
    if (lower_exit(cause, frame)) leave_lower(A0(frame));
    return previous_handler ? previous_handler(cause, value, frame) : 0;
}

i64 call_lower(int mode, i64 (*function)(u64), u64 argument) {
    struct lower_stack *stack = &lower_stacks[current_hart()];
    struct frame *frame = &stack->frame;
    fill_bytes(frame, 0, sizeof *frame);
    frame->pc = (u64)function;
    frame->x[0] = (u64)return_from_lower;
    frame->x[1] = (u64)lower_data_stacks[current_hart()] + sizeof lower_data_stacks[0];
    frame->x[3] = current_hart();
    A0(frame) = argument;
#ifdef MACHINE
    frame->status = (csr_read(mstatus) & ~(u64)XPP_MASK) | (u64)mode << 11;
#else
    (void)mode;
    frame->status = csr_read(sstatus) & ~(u64)XPP_MASK;
#endif
    previous_handler = exception_handler;
    exception_handler = handle_exit;
    i64 result = enter_lower(frame);
    exception_handler = previous_handler;
    previous_handler = 0;
    return result;
}

// MARK: Harts

extern u64 secondary_work;
void secondary_start(void);

int start_hart(u64 hart, void (*function)(u64)) {
    if (hart >= machine.harts) return 0;
#ifdef MACHINE
    // All of the others start at once, and those that are not meant go to sleep again.
    __atomic_store_n(&secondary_work, (u64)function, __ATOMIC_SEQ_CST);
    return 1;
#else
    return sbi_call(0x48534d, 0, hart, (u64)secondary_start, (u64)function, 0, 0).error == 0;
#endif
}

struct sbi_result sbi_call(u64 extension, u64 function, u64 x0, u64 x1, u64 x2, u64 x3, u64 x4) {
    register u64 a0 asm("a0") = x0;
    register u64 a1 asm("a1") = x1;
    register u64 a2 asm("a2") = x2;
    register u64 a3 asm("a3") = x3;
    register u64 a4 asm("a4") = x4;
    register u64 a6 asm("a6") = function;
    register u64 a7 asm("a7") = extension;
    asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_result){(i64)a0, a1};
}

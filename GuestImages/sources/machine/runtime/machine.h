// Runtime of bare-metal programs: console, checks, traps, harts. Each check prints a line; the machine powers off with status 1 when
// one of them failed, and 0 otherwise.
#pragma once
#include "modes.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

#define TEXT_OF(name) #name
#define NAME_OF(name) TEXT_OF(name)
#define csr_read(csr) ({ u64 value_; asm volatile("csrr %0, " NAME_OF(csr) : "=r"(value_) : : "memory"); value_; })
#define csr_write(csr, value) ({ asm volatile("csrw " NAME_OF(csr) ", %0" : : "rK"((u64)(value)) : "memory"); })
#define csr_set(csr, bits) ({ asm volatile("csrs " NAME_OF(csr) ", %0" : : "rK"((u64)(bits)) : "memory"); })
#define csr_clear(csr, bits) ({ asm volatile("csrc " NAME_OF(csr) ", %0" : : "rK"((u64)(bits)) : "memory"); })
#define wait_for_interrupt() asm volatile("wfi" : : : "memory")
// Sleeps until the condition holds, which an interrupt makes true. Between the look at it and the sleep interrupts are off: one that was
// taken there would be slept over, but one that is pending ends the sleep. `csr` and `bit` turn them on, as they are before and afterwards.
#define sleep_until(csr, bit, condition) \
    do { \
        csr_clear(csr, bit); \
        while (!(condition)) { \
            wait_for_interrupt(); \
            csr_set(csr, bit); \
            csr_clear(csr, bit); \
        } \
        csr_set(csr, bit); \
    } while (0)
#define pause_hart() asm volatile(".insn i 0x0f, 0, x0, x0, 0x010" : : : "memory")
// The condition, waited for as long as even a host with much else to do may take: ten minutes of the machine's time.
#define await(condition) \
    do { \
        u64 end_ = now() + 6000000000ul; \
        while (!(condition) && now() < end_) pause_hart(); \
    } while (0)
#define full_fence() asm volatile("fence rw, rw" : : : "memory")

#define INTERRUPT (1ul << 63)
enum { // causes
    FETCH_MISALIGNED, FETCH_ACCESS, ILLEGAL, BREAKPOINT, LOAD_MISALIGNED, LOAD_ACCESS, STORE_MISALIGNED, STORE_ACCESS,
    CALL_FROM_USER, CALL_FROM_SUPERVISOR, CALL_FROM_MACHINE = 11, FETCH_PAGE, LOAD_PAGE, STORE_PAGE = 15,
};
enum { SUPERVISOR_SOFTWARE = 1, MACHINE_SOFTWARE = 3, SUPERVISOR_TIMER = 5, MACHINE_TIMER = 7, SUPERVISOR_EXTERNAL = 9, MACHINE_EXTERNAL = 11 };
enum { USER = 0, SUPERVISOR = 1, MACHINE_MODE = 3 };

struct frame {
    u64 pc, x[32 - 1], status, unused; // x[0] is x1
};
#define A0(frame) ((frame)->x[9])
#define A1(frame) ((frame)->x[10])
#define A7(frame) ((frame)->x[16])
_Static_assert(sizeof(struct frame) == FRAME_BYTES, "as start.S has it");

// Devices of the board.
#define UART   0x10000000ul
#define CLINT  0x2000000ul
#define PLIC   0xc000000ul
#define RTC    0x101000ul
#define TEST   0x100000ul
#define VIRTIO 0x10001000ul
static inline u8 read8(u64 address) { return *(volatile u8 *)address; }
static inline u32 read32(u64 address) { return *(volatile u32 *)address; }
static inline u64 read64(u64 address) { return *(volatile u64 *)address; }
static inline void write8(u64 address, u8 value) { *(volatile u8 *)address = value; }
static inline void write32(u64 address, u32 value) { *(volatile u32 *)address = value; }
static inline void write64(u64 address, u64 value) { *(volatile u64 *)address = value; }
static inline u64 current_hart(void) { u64 hart; asm volatile("mv %0, tp" : "=r"(hart)); return hart; }
static inline u64 now(void) { u64 time; asm volatile("csrr %0, time" : "=r"(time) : : "memory"); return time; } // 100 ns each

// A program defines this one; what it returns is the machine's exit status, unless a check failed.
int main_hart(u64 hart, const void *device_tree);

void put_character(char character);
void print(const char *format, ...); // %s %c %d %u %x (all of 64 bits) %%
void expect(int holds, const char *text, int line);
#define EXPECT(condition) expect(!!(condition), #condition, __LINE__)
_Noreturn void power_off(int status);
void *copy_bytes(void *to, const void *from, u64 count);
void fill_bytes(void *to, int value, u64 count);

// Device tree: the number of harts, and the RAM that the machine says it has.
struct machine { u64 harts, memory_start, memory_bytes, boot_hart; };
extern struct machine machine;

// The last exception, of each hart. After one that nobody handles, execution goes on behind the instruction, or at the return
// address when the fetch itself failed.
struct trap { u64 count, cause, pc, value; };
extern struct trap traps[MAXIMUM_HARTS];
static inline struct trap *trap(void) { return &traps[current_hart()]; }
// Runs the statement and says which exception it raised: -1 for none.
#define CAUSE_OF(statement) ({ trap()->count = 0; full_fence(); statement; full_fence(); trap()->count ? (i64)trap()->cause : -1l; })

// Handlers get a trap first and return whether they took it.
extern int (*exception_handler)(u64 cause, u64 value, struct frame *frame);
extern int (*interrupt_handler)(u64 number, struct frame *frame);

// Runs function(argument) in a lower mode, with a stack of its own, until it returns or calls exit_lower; gives its result.
i64 call_lower(int mode, i64 (*function)(u64), u64 argument);
// The same with the frame's registers, status and program counter as the caller wants them.
i64 enter_lower(struct frame *frame);
_Noreturn void leave_lower(i64 value);
void exit_lower(i64 value); // called by code that runs in the lower mode

// Starts function on another hart; false when there is none of that number.
int start_hart(u64 hart, void (*function)(u64 hart));

struct sbi_result { i64 error; u64 value; };
struct sbi_result sbi_call(u64 extension, u64 function, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);

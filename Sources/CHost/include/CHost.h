// What Swift cannot say: the record that translated code, signal handlers and Swift share, fault recovery, and
// floating-point operations that must happen exactly once. No policy.
#ifndef MYNAH_CHOST_H
#define MYNAH_CHOST_H

#include <setjmp.h>
#include <stdint.h>
#include <stddef.h>

#include "CHostFloat.h"
#include "CHostLinux.h"
#include "CHostTerminal.h"
#include "CHostNetwork.h"

// Size of the header; the guest's own state follows it, and "the state pointer" means the end of the header.
#define MYNAH_CPU_HEADER_BYTES 1024
// Translated code keeps the state pointer plus this bias in rbp, so that one-byte displacements reach 256 bytes of state.
#define MYNAH_STATE_BIAS 128
#define MYNAH_SPILL_SLOTS 64

// Where a virtual CPU is executing; what a fault means depends on it.
enum {
    MYNAH_OUTSIDE = 0,      // in Mynah's own code: a fault is a defect of ours
    MYNAH_TRANSLATED = 1,   // in the code cache
    MYNAH_INTERPRETING = 2  // in an interpreter: recover through `recovery`
};

// The engine's part of a virtual CPU's state block, at negative offsets from the state pointer.
typedef struct mynah_cpu {
    uint64_t host_stack;            // rsp of the host while translated code runs on its return stack
    uint64_t return_stack;          // rsp of translated code while it is not running
    uint64_t return_stack_base;     // where an empty return stack starts
    uint64_t return_stack_guard;    // lowest address of the inaccessible page below the stack
    uint64_t return_stack_guard_bytes;
    void *_Null_unspecified jump_table;    // the table in use: `jump_table_own`, or the empty one to force an exit
    void *_Null_unspecified jump_table_own;
    void *_Null_unspecified jump_table_empty;
    volatile uint32_t interrupt_pending;
    volatile uint32_t mode;         // MYNAH_OUTSIDE, ...
    volatile int32_t ticks;         // counted down by transfers backwards where regions are made; negative: come out
    int32_t budget;                 // where instructions are counted: how many may be executed still
    int32_t undone;                 // and how many of a superblock were not, at a fault: they have been counted
    uint32_t guest_mxcsr;           // rounding mode and sticky flags of the guest while it is not running
    uint32_t host_mxcsr;
    uint64_t exit_word;             // what the exit stub returned
    uint64_t exit_argument;
    uint64_t fault_address;
    uint64_t fault_host_pc;         // in the code cache, when mode was MYNAH_TRANSLATED
    int32_t fault_signal;           // SIGSEGV, SIGBUS
    int32_t fault_code;             // si_code
    sigjmp_buf *_Null_unspecified recovery;
    uint64_t code_start;            // the executable view of the code cache: what a fault there is, is the guest's doing
    uint64_t code_end;
    uint64_t stubs_end;             // behind the stubs at its start
    uint64_t fault_exit;            // where translated code is redirected to after a fault
    uint64_t call_exit;             // and a call that overflows the return stack, when an interrupt is pending
    volatile uint32_t in_code;      // set while the CPU may be in, or come back to, the code cache
    void *_Nullable owner;          // the Swift object, unmanaged
    uint64_t helper_scratch[4];
    uint64_t registers[16];         // host registers by number: at a fault, and around a call of a helper
    uint64_t vectors[16];           // their low halves
    uint64_t spill[MYNAH_SPILL_SLOTS];
} mynah_cpu;

_Static_assert(sizeof(mynah_cpu) <= MYNAH_CPU_HEADER_BYTES, "header too small");

static inline mynah_cpu *_Nonnull mynah_cpu_of(void *_Nonnull state) {
    return (mynah_cpu *)((char *)state - MYNAH_CPU_HEADER_BYTES);
}

// ---- Faults (faults.c)

// Installs the SIGSEGV and SIGBUS handlers. May be called again.
void mynah_install_fault_handlers(void);
// Gives this thread an alternate signal stack (once).
void mynah_prepare_thread(void);
// The CPU that this thread is running; NULL for none.
void mynah_set_current_cpu(mynah_cpu *_Nullable cpu);
mynah_cpu *_Nullable mynah_get_current_cpu(void);
// Called first by the SIGSEGV/SIGBUS handler for a signal that is no memory fault of ours (sent by kill, or outside guest code);
// returns nonzero when it dealt with it. Async-signal-safe code only.
extern int (*_Nullable mynah_foreign_fault)(int signal_number, void *_Nonnull siginfo, void *_Nonnull ucontext);

// Runs body(context) in MYNAH_INTERPRETING mode. Returns 0 when it returned, 1 when a memory fault ended it (fault_* say which).
// The body must own nothing that needs cleaning up: the frames are abandoned on a fault.
int mynah_run_recoverable(mynah_cpu *_Nonnull cpu, void (*_Nonnull body)(void *_Nullable), void *_Nullable context);
// memcpy that returns 0, or -1 when source or destination is not accessible. Usable anywhere, also outside guest code.
int mynah_copy(void *_Nonnull destination, const void *_Nonnull source, size_t byte_count);
// Length of the string at `source` (at most `limit`), or -1 on a fault, -2 when there is no NUL within limit.
int64_t mynah_string_length(const char *_Nonnull source, size_t limit);

// Makes translated code and interpreter return soon. Async-signal-safe, from any thread.
static inline void mynah_request_interrupt(mynah_cpu *_Nonnull cpu) {
    cpu->interrupt_pending = 1;
    cpu->ticks = -1;    // may be lost to a count at the same time: then it runs out soon
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    cpu->jump_table = cpu->jump_table_empty;
}
// The table first: a request in between leaves the empty table without a request, which costs time, and not a request with the
// full table, which code that only jumps indirectly would never notice.
static inline void mynah_clear_interrupt(mynah_cpu *_Nonnull cpu) {
    cpu->jump_table = cpu->jump_table_own;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    cpu->interrupt_pending = 0;
}

// Makes translated code come out at its next poll or transfer without asking for an interrupt: 2 in place of 1. An interrupt
// that is requested meanwhile stays requested.
static inline void mynah_begin_single_pass(mynah_cpu *_Nonnull cpu) {
    __sync_bool_compare_and_swap(&cpu->interrupt_pending, 0, 2);
    cpu->ticks = -1;
    cpu->jump_table = cpu->jump_table_empty;
}
static inline void mynah_end_single_pass(mynah_cpu *_Nonnull cpu) {
    if (__sync_bool_compare_and_swap(&cpu->interrupt_pending, 2, 0)) cpu->jump_table = cpu->jump_table_own;
}

// A word of 1, 2, 4 or 8 bytes in guest memory; a fault is the caller's to recover from.
static inline uint64_t mynah_load_word(uint64_t address, int byte_count) {
    switch (byte_count) {
    case 1: return *(volatile uint8_t *)address;
    case 2: return *(volatile uint16_t *)address;
    case 4: return *(volatile uint32_t *)address;
    default: return *(volatile uint64_t *)address;
    }
}
static inline void mynah_store_word(uint64_t address, int byte_count, uint64_t value) {
    switch (byte_count) {
    case 1: *(volatile uint8_t *)address = (uint8_t)value; break;
    case 2: *(volatile uint16_t *)address = (uint16_t)value; break;
    case 4: *(volatile uint32_t *)address = (uint32_t)value; break;
    default: *(volatile uint64_t *)address = value;
    }
}

// ---- Translated code

typedef uint64_t (*mynah_entry_function)(void *_Nonnull state, const void *_Nonnull code);
// Calls the entry stub at `stub` (state pointer, code address); returns the exit word.
static inline uint64_t mynah_enter(uint64_t stub, void *_Nonnull state, uint64_t code) {
    return ((mynah_entry_function)stub)(state, (const void *)code);
}

// ---- Floating-point helpers for translated code (float_helpers.c): addresses of functions of words
uint64_t mynah_helper_fused(int kind, int single);
uint64_t mynah_helper_from_u64(int single);
uint64_t mynah_helper_to_integer(int kind);
uint64_t mynah_helper_minimum_maximum(int kind);
/// Address of 256 words, one a byte: what SM4 makes of it in a round, or in the key schedule.
uint64_t mynah_sm4_words(int key_schedule);

// ---- Processor features
enum {
    MYNAH_SSE41 = 1, MYNAH_POPCNT = 2, MYNAH_AVX = 4, MYNAH_FMA = 8, MYNAH_BMI1 = 16, MYNAH_BMI2 = 32, MYNAH_LZCNT = 64,
    MYNAH_AVX2 = 128, MYNAH_SSSE3 = 256, MYNAH_AES = 512, MYNAH_PCLMUL = 1024
};
uint32_t mynah_cpu_features(void);

// ---- Memory mapping (variadic in libc)
int mynah_memfd(const char *_Nonnull name);
// mremap to `place`, or anywhere when that is NULL; returns NULL on an error, with errno.
void *_Nullable mynah_remap(void *_Nonnull old, size_t old_size, size_t new_size, void *_Nullable place);
// A system call with six words; returns the result or -errno.
long mynah_syscall(long number, long a, long b, long c, long d, long e, long f);

// ---- Translations kept on disk (cache.c)
// Tells apart what differs by accident; no protection against intent.
uint64_t mynah_digest(const void *_Nonnull data, size_t byte_count, uint64_t seed);
// The build identity that the linker gave this program; returns its length, 0 when there is none.
int mynah_build_identity(unsigned char identity[_Nonnull 64]);
// An address in the same part of this program as the helpers for translated code.
uint64_t mynah_helper_anchor(void);

// ---- Atomics on guest memory, for interpreters. width in bytes 1, 2, 4, 8. All sequentially consistent.
enum { MYNAH_EXCHANGE, MYNAH_ADD, MYNAH_AND, MYNAH_OR, MYNAH_XOR, MYNAH_MIN_S, MYNAH_MAX_S, MYNAH_MIN_U, MYNAH_MAX_U };
uint64_t mynah_atomic(int kind, int width, uint64_t address, uint64_t operand);   // old value, zero-extended
uint64_t mynah_compare_exchange(int width, uint64_t address, uint64_t expected, uint64_t replacement); // old value
static inline void mynah_fence(void) { __sync_synchronize(); }
// Loads stay in their order, which this processor keeps and the compiler would not.
static inline void mynah_keep_order(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

#endif

// Memory faults: of translated code (redirected to the fault exit, all registers untouched), of an interpreter or a guarded
// copy (long jump back), of a full return stack (emptied). Everything else is passed on.
#define _GNU_SOURCE
#include "CHost.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static __thread mynah_cpu *current_cpu;
static __thread sigjmp_buf *volatile guarded_copy;
static __thread void *alternate_stack;
int (*mynah_foreign_fault)(int, void *, void *);

void mynah_set_current_cpu(mynah_cpu *cpu) { current_cpu = cpu; }
mynah_cpu *mynah_get_current_cpu(void) { return current_cpu; }

static void internal_error(int signal_number, siginfo_t *info, ucontext_t *context) {
    char line[160];
    static const char digits[] = "0123456789abcdef";
    const char *head = "mynah: internal error: memory fault in Mynah itself at 0x";
    size_t n = strlen(head);
    memcpy(line, head, n);
    uint64_t values[2] = { (uint64_t)context->uc_mcontext.gregs[REG_RIP], (uint64_t)info->si_addr };
    for (int v = 0; v < 2; v++) {
        for (int shift = 60; shift >= 0; shift -= 4) line[n++] = digits[(values[v] >> shift) & 15];
        const char *rest = v == 0 ? ", address 0x" : ". This is a defect of Mynah; please report it.\n";
        memcpy(line + n, rest, strlen(rest));
        n += strlen(rest);
    }
    if (write(2, line, n) < 0) {}
    signal(signal_number, SIG_DFL);   // the retried access then ends the process with a core
}

// A handler starts with floating-point control and flags of its own; whoever jumps out of it takes those of the interrupted code
// along.
static void leave(sigjmp_buf *place, const ucontext_t *context) {
    uint32_t control = context->uc_mcontext.fpregs->mxcsr;
    __asm__ volatile("ldmxcsr %0" : : "m"(control));
    siglongjmp(*place, 1);
}

// The opcode of the call of other translated code, and not of a stub, at pc; 0 when there is none. It may be padded with
// prefixes.
static uint64_t guest_call(const mynah_cpu *cpu, uint64_t pc) {
    int32_t displacement;
    while (*(const uint8_t *)pc == 0x26) pc++;
    if (*(const uint8_t *)pc != 0xe8) return 0;
    memcpy(&displacement, (const char *)pc + 1, sizeof displacement);
    return pc + 5 + (uint64_t)(int64_t)displacement >= cpu->stubs_end ? pc : 0;
}

static void handle(int signal_number, siginfo_t *info, void *raw_context) {
    int saved_errno = errno;
    ucontext_t *context = raw_context;
    greg_t *registers = context->uc_mcontext.gregs;
    mynah_cpu *cpu = current_cpu;
    uint64_t pc = (uint64_t)registers[REG_RIP], address = (uint64_t)info->si_addr;
    int synchronous = info->si_code > 0;
    if (synchronous && guarded_copy) leave(guarded_copy, context);
    if (synchronous && cpu && pc >= cpu->code_start && pc < cpu->code_end) {
        if (address - cpu->return_stack_guard < cpu->return_stack_guard_bytes) {
            // SAFETY: entries are predictions only; forgetting them costs time, never correctness.
            registers[REG_RSP] = (greg_t)cpu->return_stack_base;
            // Endless calls do not poll otherwise.
            uint64_t call = cpu->interrupt_pending ? guest_call(cpu, pc) : 0;
            if (call) {
                cpu->fault_host_pc = call;
                registers[REG_RIP] = (greg_t)cpu->call_exit;
            }
            errno = saved_errno;
            return;
        }
        cpu->fault_address = address;
        cpu->fault_host_pc = pc;
        cpu->fault_signal = signal_number;
        cpu->fault_code = info->si_code;
        registers[REG_RIP] = (greg_t)cpu->fault_exit;
        errno = saved_errno;
        return;
    }
    if (synchronous && cpu && cpu->mode == MYNAH_INTERPRETING && cpu->recovery) {
        cpu->fault_address = address;
        cpu->fault_host_pc = 0;
        cpu->fault_signal = signal_number;
        cpu->fault_code = info->si_code;
        leave(cpu->recovery, context);
    }
    if (mynah_foreign_fault && mynah_foreign_fault(signal_number, info, raw_context)) { errno = saved_errno; return; }
    if (!synchronous) { signal(signal_number, SIG_DFL); raise(signal_number); errno = saved_errno; return; }
    internal_error(signal_number, info, context);
}

void mynah_install_fault_handlers(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handle;
    // SA_NODEFER: the recovery long-jumps out without a system call to restore the mask.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

void mynah_prepare_thread(void) {
    if (alternate_stack) return;
    const size_t size = 64 * 1024;
    alternate_stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (alternate_stack == MAP_FAILED) { alternate_stack = NULL; return; }
    stack_t stack = { .ss_sp = alternate_stack, .ss_flags = 0, .ss_size = size };
    sigaltstack(&stack, NULL);
}

int mynah_run_recoverable(mynah_cpu *cpu, void (*body)(void *), void *context) {
    sigjmp_buf here;
    sigjmp_buf *outer = cpu->recovery;
    uint32_t outer_mode = cpu->mode;
    int faulted = sigsetjmp(here, 0);
    if (!faulted) {
        cpu->recovery = &here;
        cpu->mode = MYNAH_INTERPRETING;
        body(context);
    }
    cpu->recovery = outer;
    cpu->mode = outer_mode;
    return faulted;
}

int mynah_copy(void *destination, const void *source, size_t byte_count) {
    sigjmp_buf here;
    if (sigsetjmp(here, 0)) { guarded_copy = NULL; return -1; }
    guarded_copy = &here;
    __asm__ volatile("" ::: "memory");
    void *to = destination;
    const void *from = source;
    size_t count = byte_count;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    guarded_copy = NULL;
    return 0;
}

int64_t mynah_string_length(const char *source, size_t limit) {
    sigjmp_buf here;
    if (sigsetjmp(here, 0)) { guarded_copy = NULL; return -1; }
    guarded_copy = &here;
    __asm__ volatile("" ::: "memory");
    int64_t result = -2;
    for (size_t i = 0; i < limit; i++)
        if (((const volatile char *)source)[i] == 0) { result = (int64_t)i; break; }
    guarded_copy = NULL;
    return result;
}

void *mynah_remap(void *old, size_t old_size, size_t new_size, void *place) {
    int flags = place ? MREMAP_MAYMOVE | MREMAP_FIXED : MREMAP_MAYMOVE;
    void *result = mremap(old, old_size, new_size, flags, place);
    return result == MAP_FAILED ? NULL : result;
}

int mynah_memfd(const char *name) { return (int)syscall(SYS_memfd_create, name, 1u /* MFD_CLOEXEC */); }

long mynah_syscall(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result = number;
    __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}

// Host signals of guest threads. The handler queues the siginfo in the thread's record, asks the virtual CPU to stop and
// leaves with all signals blocked, so that the kernel queues what follows until the guest has seen this one. A system call
// that had not begun is abandoned: the program counter lies between two labels, or at the instruction because the kernel
// restarts the call behind this handler.
#define _GNU_SOURCE
#include "CHost.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

// Guests use the signals that libc keeps for itself, hence the raw interface.
struct kernel_sigaction {
    void *handler;
    uint64_t flags;
    void *restorer;
    uint64_t mask;
};

#define BIT(n) (1ull << ((n) - 1))
#define NEVER_BLOCKED (BIT(SIGSEGV) | BIT(SIGBUS))
#define RAW_SA_RESTORER 0x04000000ull

static __thread mynah_signal_record *volatile current_record;
static volatile int fault_disposition[2];   // of SIGSEGV, SIGBUS

extern char mynah_safe_syscall_start[], mynah_safe_syscall_instruction[], mynah_safe_syscall_interrupted[];
extern void mynah_signal_restorer(void);

__asm__(
    ".text\n"
    ".globl mynah_safe_syscall\n.type mynah_safe_syscall, @function\n"
    "mynah_safe_syscall:\n"
    "  mov %rdi, %r11\n"
    "  mov %rsi, %rcx\n"
    "  mov 0(%rcx), %rax\n"
    "  mov 8(%rcx), %rdi\n"
    "  mov 16(%rcx), %rsi\n"
    "  mov 24(%rcx), %rdx\n"
    "  mov 32(%rcx), %r10\n"
    "  mov 40(%rcx), %r8\n"
    "  mov 48(%rcx), %r9\n"
    ".globl mynah_safe_syscall_start\nmynah_safe_syscall_start:\n"
    "  cmpl $0, (%r11)\n"      // `pending` is the record's first member
    "  jne mynah_safe_syscall_interrupted\n"
    ".globl mynah_safe_syscall_instruction\nmynah_safe_syscall_instruction:\n"
    "  syscall\n"
    "  ret\n"
    ".globl mynah_safe_syscall_interrupted\nmynah_safe_syscall_interrupted:\n"
    "  mov $-512, %rax\n"
    "  ret\n"
    ".size mynah_safe_syscall, . - mynah_safe_syscall\n"
    ".globl mynah_signal_restorer\n.type mynah_signal_restorer, @function\n"
    "mynah_signal_restorer:\n"
    "  mov $15, %eax\n"
    "  syscall\n"
    ".size mynah_signal_restorer, . - mynah_signal_restorer\n");

_Static_assert(offsetof(mynah_signal_record, pending) == 0, "the assembly reads it");
_Static_assert(sizeof(siginfo_t) == MYNAH_SIGNAL_INFO_BYTES, "siginfo_t");

static int queue_signal(mynah_signal_record *record, int signal_number, const siginfo_t *info) {
    if (signal_number < 32)   // as in the kernel, a standard signal is pending at most once
        for (uint32_t i = 0; i < record->count; i++)
            if (((const siginfo_t *)record->info[i])->si_signo == signal_number) return 1;
    if (record->count == MYNAH_SIGNAL_RING) return 0;
    memcpy(record->info[record->count], info, sizeof *info);
    record->count = record->count + 1;
    record->pending = 1;
    if (record->cpu) mynah_request_interrupt(record->cpu);
    return 1;
}

// A system call that has not begun, or that the kernel would begin again, is not made.
static void abandon_call(ucontext_t *context) {
    greg_t *pc = &context->uc_mcontext.gregs[REG_RIP];
    if ((uint64_t)*pc >= (uint64_t)mynah_safe_syscall_start && (uint64_t)*pc <= (uint64_t)mynah_safe_syscall_instruction)
        *pc = (greg_t)mynah_safe_syscall_interrupted;
}

static void handle_signal(int signal_number, siginfo_t *info, void *raw_context) {
    int saved_errno = errno;
    ucontext_t *context = raw_context;
    mynah_signal_record *record = current_record;
    info->si_signo = signal_number;
    if (!record || !queue_signal(record, signal_number, info))   // another thread takes it, or this one later
        syscall(SYS_rt_sigqueueinfo, getpid(), signal_number, info);
    uint64_t all = ~NEVER_BLOCKED;
    memcpy(&context->uc_sigmask, &all, sizeof all);
    abandon_call(context);
    errno = saved_errno;
}

// A signal that never reaches the guest: it brings a thread out of a system call. SIGBUS, since that is never blocked.
static char kick_mark;

void mynah_kick(int thread) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = SIGBUS;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = &kick_mark;
    syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, SIGBUS, &info);
}

static int take_kick(const siginfo_t *info, ucontext_t *context) {
    if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &kick_mark || info->si_pid != getpid()) return 0;
    mynah_signal_record *record = current_record;
    if (!record) return 1;
    record->pending = 1;
    if (record->cpu) mynah_request_interrupt(record->cpu);
    abandon_call(context);
    return 1;
}

// SIGSEGV and SIGBUS that somebody sent: the handler in faults.c owns these signals.
static int foreign_fault(int signal_number, void *info, void *context) {
    if (((siginfo_t *)info)->si_code > 0) return 0;
    if (signal_number == SIGBUS && take_kick(info, context)) return 1;
    int disposition = fault_disposition[signal_number == SIGBUS];
    if (disposition == MYNAH_SIGNAL_IGNORE) return 1;
    if (disposition != MYNAH_SIGNAL_CATCH || !current_record) return 0;
    handle_signal(signal_number, info, context);
    return 1;
}

void mynah_adopt_foreign_faults(void) { mynah_foreign_fault = foreign_fault; }

mynah_signal_record *mynah_make_signal_record(struct mynah_cpu *cpu) {
    mynah_signal_record *record = calloc(1, sizeof *record);
    record->cpu = cpu;
    return record;
}

void mynah_free_signal_record(mynah_signal_record *record) { free(record); }
void mynah_set_signal_record(mynah_signal_record *record) { current_record = record; }

int mynah_take_signal(mynah_signal_record *record, uint64_t blocked, void *info) {
    for (uint32_t i = 0; i < record->count; i++) {
        int number = ((siginfo_t *)record->info[i])->si_signo;
        if (blocked & BIT(number)) continue;
        memcpy(info, record->info[i], MYNAH_SIGNAL_INFO_BYTES);
        memmove(record->info[i], record->info[i + 1], (record->count - i - 1) * MYNAH_SIGNAL_INFO_BYTES);
        record->count = record->count - 1;
        return number;
    }
    return 0;
}

uint64_t mynah_queued_signals(const mynah_signal_record *record) {
    uint64_t set = 0;
    for (uint32_t i = 0; i < record->count; i++) set |= BIT(((const siginfo_t *)record->info[i])->si_signo);
    return set;
}

void mynah_return_signals(mynah_signal_record *record) {
    for (uint32_t i = 0; i < record->count; i++)
        syscall(SYS_rt_sigqueueinfo, getpid(), ((siginfo_t *)record->info[i])->si_signo, record->info[i]);
    record->count = 0;
}

int mynah_set_disposition(int signal_number, int disposition, uint64_t flags) {
    if (signal_number == SIGSEGV || signal_number == SIGBUS) {
        fault_disposition[signal_number == SIGBUS] = disposition;
        return 0;
    }
    struct kernel_sigaction action = { SIG_DFL, flags | RAW_SA_RESTORER, (void *)mynah_signal_restorer, 0 };
    if (disposition == MYNAH_SIGNAL_IGNORE) action.handler = SIG_IGN;
    if (disposition == MYNAH_SIGNAL_CATCH) {
        action.handler = (void *)handle_signal;
        // The alternate stack, since translated code keeps its predictions on the stack pointer.
        action.flags |= SA_SIGINFO | SA_ONSTACK;
        action.mask = ~NEVER_BLOCKED;
    }
    return (int)mynah_syscall(SYS_rt_sigaction, signal_number, (long)&action, 0, 8, 0, 0);
}

int mynah_get_disposition(int signal_number) {
    struct kernel_sigaction action = { 0 };
    mynah_syscall(SYS_rt_sigaction, signal_number, 0, (long)&action, 8, 0, 0);
    if (action.handler == (void *)SIG_IGN) return MYNAH_SIGNAL_IGNORE;
    return action.handler == (void *)SIG_DFL ? MYNAH_SIGNAL_DEFAULT : MYNAH_SIGNAL_CATCH;
}

uint64_t mynah_set_host_mask(uint64_t mask) {
    uint64_t before = 0;
    mask &= ~NEVER_BLOCKED;
    mynah_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, (long)&before, 8, 0, 0);
    return before;
}

void mynah_die_of_signal(int signal_number) {
    struct kernel_sigaction action = { SIG_DFL, RAW_SA_RESTORER, (void *)mynah_signal_restorer, 0 };
    struct rlimit none = { 0, 0 };
    uint64_t mask = ~BIT(signal_number);
    getrlimit(RLIMIT_CORE, &none);
    none.rlim_cur = 0;   // the dump would show the emulator, not the guest
    setrlimit(RLIMIT_CORE, &none);
    mynah_syscall(SYS_rt_sigaction, signal_number, (long)&action, 0, 8, 0, 0);
    mynah_syscall(SYS_tgkill, getpid(), mynah_thread_id(), signal_number, 0, 0, 0);
    mynah_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, 8, 0, 0);
}

int mynah_thread_id(void) { return (int)syscall(SYS_gettid); }

void mynah_release_alternate_stack(void) {
    stack_t none = { .ss_flags = SS_DISABLE }, stack;
    if (sigaltstack(&none, &stack) == 0 && !(stack.ss_flags & SS_DISABLE)) munmap(stack.ss_sp, stack.ss_size);
}

struct thread_start {
    void (*body)(void *);
    void *context;
};

static void *run_thread(void *raw_start) {
    struct thread_start start = *(struct thread_start *)raw_start;
    free(raw_start);
    start.body(start.context);
    return NULL;
}

int mynah_start_thread(void (*body)(void *), void *context, size_t stack_bytes) {
    struct thread_start *start = malloc(sizeof *start);
    if (!start) return ENOMEM;
    start->body = body;
    start->context = context;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    uint64_t before = mynah_set_host_mask(~0ull);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, run_thread, start);
    mynah_set_host_mask(before);
    pthread_attr_destroy(&attributes);
    if (error) free(start);
    return error;
}

int mynah_fork(int exit_signal) {
    pid_t child = -1;
    int *number = NULL;
    // The C library's fork has SIGCHLD only. What it does beside the call is for processes with threads, whose locks it takes,
    // and has the child's number written where the library keeps it: the kernel knows where that is.
    if (exit_signal == SIGCHLD || prctl(PR_GET_TID_ADDRESS, &number) != 0 || !number)
        child = fork();
    else
        child = (pid_t)syscall(
            SYS_clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | (unsigned)exit_signal, NULL, NULL, number, NULL);
    return child < 0 ? -errno : child;
}

static int run_vfork_child(void *raw_start) {
    struct thread_start *start = raw_start;
    start->body(start->context);
    _exit(127);
}

int mynah_vfork(void (*body)(void *), void *context, int exit_signal) {
    const size_t size = 1 << 20;
    char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -ENOMEM;
    struct thread_start start = { body, context };
    int child = clone(run_vfork_child, stack + size, CLONE_VM | CLONE_VFORK | exit_signal, &start);
    int error = errno;
    munmap(stack, size);
    return child < 0 ? -error : child;
}

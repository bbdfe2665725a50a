// Signals: handlers, information, masks, alternate stacks, faults and both ways out of them, interrupted calls.
#include "check.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

static volatile sig_atomic_t seen, depth, deepest, last_code, last_value;
static void *volatile fault_address;
static sigjmp_buf recovery;
static volatile int *volatile low_address = (volatile int *)16; // volatile, so that the compiler does not see the bad access

static void install(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, NULL)) perror("sigaction");
}

static void note(int number, siginfo_t *info, void *context) {
    (void)context;
    seen = number;
    last_code = info->si_code;
    last_value = info->si_value.sival_int;
}

static void basic_delivery(void) {
    install(SIGUSR1, note, 0);
    seen = 0;
    raise(SIGUSR1);
    EXPECT(seen == SIGUSR1 && last_code == SI_TKILL, "raise runs the handler before it returns");
    seen = 0;
    kill(getpid(), SIGUSR1);
    EXPECT(seen == SIGUSR1 && last_code == SI_USER, "kill of the own process is delivered at once");
    install(SIGRTMIN, note, 0);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 4242});
    EXPECT(seen == SIGRTMIN && last_code == SI_QUEUE && last_value == 4242, "sigqueue carries its value");
    struct sigaction old;
    sigaction(SIGUSR1, NULL, &old);
    EXPECT(old.sa_sigaction == note && old.sa_flags & SA_SIGINFO, "sigaction reports the handler and its flags");
    signal(SIGUSR1, SIG_IGN);
    seen = 0;
    raise(SIGUSR1);
    EXPECT(seen == 0, "an ignored signal is ignored");
    install(SIGUSR2, note, SA_RESETHAND);
    raise(SIGUSR2);
    sigaction(SIGUSR2, NULL, &old);
    EXPECT(seen == SIGUSR2 && old.sa_handler == SIG_DFL, "SA_RESETHAND restores the default");
    EXPECT(sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_IGN}, NULL) == -1 && errno == EINVAL, "SIGKILL cannot be caught");
    struct sigaction unknown = {.sa_handler = SIG_IGN, .sa_flags = SA_NODEFER | 0x400};
    EXPECT(sigaction(SIGUSR2, &unknown, NULL) == 0 && sigaction(SIGUSR2, NULL, &old) == 0 && (old.sa_flags & SA_NODEFER)
               && !(old.sa_flags & 0x400), "a flag that no kernel knows does not stay");
    EXPECT(kill(getpid(), 0) == 0 && kill(getpid(), 999) == -1 && errno == EINVAL, "kill checks the signal number");
}

static void masks(void) {
    sigset_t block, old, pending;
    install(SIGUSR1, note, 0);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, &old);
    seen = 0;
    raise(SIGUSR1);
    sigpending(&pending);
    EXPECT(seen == 0 && sigismember(&pending, SIGUSR1), "a blocked signal stays pending");
    sigprocmask(SIG_SETMASK, &old, NULL);
    EXPECT(seen == SIGUSR1, "unblocking delivers it");
    sigprocmask(SIG_BLOCK, &block, NULL);
    raise(SIGUSR1);
    siginfo_t info;
    struct timespec second = {1, 0};
    seen = 0;
    EXPECT(sigtimedwait(&block, &info, &second) == SIGUSR1 && seen == 0, "sigtimedwait takes it without the handler");
    second = (struct timespec){0, 1000000};
    EXPECT(sigtimedwait(&block, &info, &second) == -1 && errno == EAGAIN, "sigtimedwait ends after its time");
    raise(SIGUSR1);
    EXPECT(sigsuspend(&old) == -1 && errno == EINTR && seen == SIGUSR1, "sigsuspend waits with another mask");
    sigprocmask(SIG_BLOCK, NULL, &pending);
    EXPECT(sigismember(&pending, SIGUSR1), "the mask is back after sigsuspend");
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void nest(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    depth++;
    if (depth > deepest) deepest = depth;
    if (number == SIGUSR1) raise(SIGUSR2);
    if (number == SIGUSR1 && deepest < 2) seen = -1;
    depth--;
}

static void count_same(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    depth++;
    if (depth > deepest) deepest = depth;
    if (seen++ == 0) raise(number);
    depth--;
}

static void nesting(void) {
    install(SIGUSR1, nest, 0);
    install(SIGUSR2, nest, 0);
    seen = depth = deepest = 0;
    raise(SIGUSR1);
    EXPECT(deepest == 2 && depth == 0 && seen == 0, "a handler is interrupted by another signal");
    install(SIGUSR1, count_same, 0);
    seen = depth = deepest = 0;
    raise(SIGUSR1);
    EXPECT(seen == 2 && deepest == 1, "the own signal is blocked in its handler");
    install(SIGUSR1, count_same, SA_NODEFER);
    seen = depth = deepest = 0;
    raise(SIGUSR1);
    EXPECT(seen == 2 && deepest == 2, "SA_NODEFER lets it nest");
}

static char alternate[65536];
static void on_alternate(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    char here;
    stack_t now;
    sigaltstack(NULL, &now);
    seen = number;
    last_value = (char *)&here >= alternate && (char *)&here < alternate + sizeof alternate && (now.ss_flags & SS_ONSTACK);
}

static void alternate_stack(void) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate}, old;
    EXPECT(sigaltstack(&stack, NULL) == 0, "sigaltstack");
    install(SIGUSR1, on_alternate, SA_ONSTACK);
    raise(SIGUSR1);
    EXPECT(last_value == 1, "SA_ONSTACK runs the handler on the alternate stack");
    install(SIGUSR1, on_alternate, 0);
    raise(SIGUSR1);
    EXPECT(last_value == 0, "without SA_ONSTACK it does not");
    sigaltstack(NULL, &old);
    EXPECT(old.ss_sp == alternate && old.ss_size == sizeof alternate && old.ss_flags == 0, "sigaltstack reports the stack");
}

static void jump_out(int number, siginfo_t *info, void *context) {
    (void)context;
    fault_address = info->si_addr;
    last_code = info->si_code;
    siglongjmp(recovery, number);
}

static void faults(void) {
    long page = sysconf(_SC_PAGESIZE);
    char *area = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    install(SIGSEGV, jump_out, 0);
    install(SIGBUS, jump_out, 0);
    mprotect(area + page, page, PROT_READ);
    munmap(area + 2 * page, page);
    int caught = sigsetjmp(recovery, 1);
    if (!caught) *(volatile char *)(area + page + 5) = 1;
    EXPECT(caught == SIGSEGV && fault_address == area + page + 5 && last_code == SEGV_ACCERR, "a write to a read-only page names its address");
    caught = sigsetjmp(recovery, 1);
    if (!caught) (void)*(volatile char *)(area + 2 * page + 9);
    EXPECT(caught == SIGSEGV && fault_address == area + 2 * page + 9 && last_code == SEGV_MAPERR, "a read from nowhere names its address");
    caught = sigsetjmp(recovery, 1);
    if (!caught) *low_address = 1;
    EXPECT(caught == SIGSEGV && fault_address == (void *)16, "a null pointer with an offset");
    caught = sigsetjmp(recovery, 1);
    if (!caught) ((void (*)(void))(area + 2 * page))();
    EXPECT(caught == SIGSEGV && fault_address == area + 2 * page, "a jump to nowhere");
    caught = sigsetjmp(recovery, 1);
    if (!caught) ((void (*)(void))area)();
    EXPECT(caught == SIGSEGV && fault_address == area, "a jump to a page that is not executable");
#if defined(__riscv)
    static char *const volatile nowhere[] = {(char *)0x8000000000000008, (char *)0x0000800000000000, (char *)0xdeadbeefdeadbee8};
    for (volatile int i = 0; i < 3; i++) {
        caught = sigsetjmp(recovery, 1);
        if (!caught) (void)*(volatile long *)nowhere[i];
        EXPECT(caught == SIGSEGV && fault_address == nowhere[i] && last_code == SEGV_MAPERR, "an address that no page table can have");
    }
#endif
    volatile int again = 0;
    for (volatile int i = 0; i < 1000; i++)
        if (sigsetjmp(recovery, 1)) again++;
        else *(volatile char *)(area + page + i) = 1;
    EXPECT(again == 1000, "a thousand faults in a row");
    install(SIGILL, jump_out, 0);
    caught = sigsetjmp(recovery, 1);
    if (!caught) {
#if defined(__riscv)
        __asm__ volatile(".insn 0xc0001073"); // unimp
#else
        __asm__ volatile("ud2");
#endif
    }
    EXPECT(caught == SIGILL, "an illegal instruction");
    munmap(area, 2 * page);
}

// A signal whose frame has no place becomes a SIGSEGV, whose handler has a stack of its own.
static void frames_without_room(void) {
    install(SIGUSR1, note, 0);
    install(SIGSEGV, jump_out, SA_ONSTACK);
    int caught = sigsetjmp(recovery, 1);
    if (!caught) {
#if defined(__riscv)
        register long a0 __asm__("a0") = getpid(), a1 __asm__("a1") = SIGUSR1, a7 __asm__("a7") = 129; // kill
        __asm__ volatile("mv s1, sp\nli sp, 64\necall\nmv sp, s1" : "+r"(a0) : "r"(a1), "r"(a7) : "s1", "memory");
#else
        long number = 62; // kill
        __asm__ volatile("mov %%rsp, %%rbx\nmov $64, %%esp\nsyscall\nmov %%rbx, %%rsp"
                         : "+a"(number) : "D"((long)getpid()), "S"((long)SIGUSR1) : "rbx", "rcx", "r11", "memory");
#endif
    }
    EXPECT(caught == SIGSEGV && last_code == SI_KERNEL, "a signal frame without room is a SIGSEGV");
    signal(SIGSEGV, SIG_DFL);
}

static volatile uint64_t kept[4];
static char *fixable;
static void skip_instruction(int number, siginfo_t *info, void *context) {
    ucontext_t *machine = context;
    seen = number;
    fault_address = info->si_addr;
#if defined(__riscv)
    unsigned long pc = machine->uc_mcontext.__gregs[REG_PC];
    machine->uc_mcontext.__gregs[REG_PC] = pc + ((*(uint16_t *)pc & 3) == 3 ? 4 : 2);
    machine->uc_mcontext.__gregs[10] = 77; // a0, the destination of the load
#else
    machine->uc_mcontext.gregs[REG_RIP] += 3; // mov rax, [rdi] is 48 8b 07
    machine->uc_mcontext.gregs[REG_RAX] = 77;
#endif
}

static void repair_page(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    seen = number;
    mprotect(fixable, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE);
}

static void repairs(void) {
    install(SIGSEGV, skip_instruction, 0);
    seen = 0;
    uint64_t value;
#if defined(__riscv)
    register uint64_t a0 __asm__("a0") = 0;
    register uint64_t a1 __asm__("a1") = 40;
    __asm__ volatile(".option push\n.option norvc\nld a0, 0(a1)\n.option pop" : "+r"(a0) : "r"(a1) : "memory");
    value = a0;
#else
    __asm__ volatile(".byte 0x48, 0x8b, 0x07" : "=a"(value) : "D"(40L) : "memory");
#endif
    EXPECT(seen == SIGSEGV && value == 77 && fault_address == (void *)40, "a handler moves the program counter and sets a register");
    long page = sysconf(_SC_PAGESIZE);
    fixable = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    install(SIGSEGV, repair_page, 0);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < 100; i++) { // many live values around the fault
        mprotect(fixable, page, i % 2 ? PROT_NONE : PROT_READ);
        uint64_t a = i * 3, b = i * 5, c = i * 7;
        *(volatile uint64_t *)(fixable + 8 * i) = a ^ b;
        sum += *(volatile uint64_t *)(fixable + 8 * i) + a + b + c - (i * 15) - ((i * 3) ^ (i * 5));
    }
    EXPECT(sum == 0, "a faulting store runs again after the handler repaired its page");
    munmap(fixable, page);
    signal(SIGSEGV, SIG_DFL);
}

static void interrupted_calls(void) {
    int ends[2];
    char byte = 0;
    // Again and again, as the first may come before the call.
    struct itimerval often = {{0, 20000}, {0, 20000}}, off = {{0, 0}, {0, 0}};
    if (pipe(ends)) perror("pipe");
    install(SIGALRM, note, 0);
    setitimer(ITIMER_REAL, &often, NULL);
    EXPECT(read(ends[0], &byte, 1) == -1 && errno == EINTR, "a read without SA_RESTART gives EINTR");
    setitimer(ITIMER_REAL, &off, NULL);
    install(SIGALRM, note, SA_RESTART);
    seen = 0;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 6; i++) usleep(20000), kill(getppid(), SIGALRM);
        _exit(write(ends[1], "x", 1) != 1);
    }
    ssize_t got = read(ends[0], &byte, 1);
    EXPECT(got == 1 && byte == 'x' && seen == SIGALRM, "a read with SA_RESTART goes on");
    waitpid(child, NULL, 0);
    setitimer(ITIMER_REAL, &often, NULL);
    struct timespec hour = {3600, 0}, left;
    EXPECT(nanosleep(&hour, &left) == -1 && errno == EINTR && left.tv_sec >= 1 && left.tv_sec < 3600, "nanosleep is never restarted and says what is left");
    setitimer(ITIMER_REAL, &off, NULL);
    close(ends[0]);
    install(SIGPIPE, note, 0);
    EXPECT(write(ends[1], "x", 1) == -1 && errno == EPIPE && seen == SIGPIPE, "a write to a closed pipe");
    close(ends[1]);
}

static void busy_loop(void) {
    struct itimerval often = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
    install(SIGALRM, note, 0);
    seen = 0;
    setitimer(ITIMER_REAL, &often, NULL);
    uint64_t x = 1, rounds = 0;
    while (!seen) x = x * 6364136223846793005ull + 1, rounds++;
    setitimer(ITIMER_REAL, &off, NULL);
    kept[0] = x;
    EXPECT(seen == SIGALRM && rounds > 0, "a loop without calls is interrupted");
}

static pthread_t main_thread, handled_in;
static void note_thread(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    handled_in = pthread_self();
    seen = number;
}

static void *wait_for_signal(void *unused) {
    while (!seen) usleep(1000);
    return unused;
}

static void directed(void) {
    pthread_t thread;
    install(SIGUSR1, note_thread, 0);
    seen = 0;
    main_thread = pthread_self();
    pthread_create(&thread, NULL, wait_for_signal, NULL);
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, NULL);
    EXPECT(seen == SIGUSR1 && pthread_equal(handled_in, thread), "pthread_kill chooses the thread");
}

static int death_of(void (*cause)(void)) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        cause();
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void die_of_fault(void) { *low_address = 1; }
static void die_of_term(void) { raise(SIGTERM); }
static void die_of_abort(void) { abort(); }

int main(void) {
    basic_delivery();
    masks();
    nesting();
    alternate_stack();
    faults();
    frames_without_room();
    repairs();
    interrupted_calls();
    busy_loop();
    directed();
    EXPECT(death_of(die_of_term) == SIGTERM, "an unhandled signal ends the process");
    EXPECT(death_of(die_of_fault) == SIGSEGV, "an unhandled fault ends the process");
    EXPECT(death_of(die_of_abort) == SIGABRT, "abort ends the process");
    return conclude();
}

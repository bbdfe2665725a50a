// Processes: fork, vfork, execve of itself, waiting, pipes, exit values, inherited and closed descriptors.
#include "check.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static int wait_value(pid_t child) {
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static volatile int private_value = 1;

static void forks(void) {
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        private_value = 2;
        *shared = 99;
        _exit(getppid() == parent && getpid() != parent ? 17 : 1);
    }
    EXPECT(wait_value(child) == 17, "a child exits with its value");
    EXPECT(private_value == 1 && *shared == 99, "private memory is copied, shared memory is shared");
    int good = 0;
    for (int i = 0; i < 20; i++) {
        child = fork();
        if (child == 0) {
            pid_t grandchild = fork();
            if (grandchild == 0) _exit(i);
            _exit(wait_value(grandchild) + 1);
        }
        good += wait_value(child) == i + 1;
    }
    EXPECT(good == 20, "children of children");
    EXPECT(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no child is left");
    int gate[2];
    char byte;
    if (pipe(gate)) perror("pipe");
    child = fork();
    if (child == 0) {
        close(gate[1]);
        _exit(read(gate[0], &byte, 1) == 0 ? 3 : 4);
    }
    close(gate[0]);
    EXPECT(waitpid(child, NULL, WNOHANG) == 0, "WNOHANG does not wait");
    close(gate[1]);
    siginfo_t info = {0};
    EXPECT(waitid(P_PID, (id_t)child, &info, WEXITED) == 0 && info.si_status == 3 && info.si_pid == child, "waitid");
}

static volatile int told, children;
static siginfo_t what;
static void tell(int number, siginfo_t *info, void *context) {
    (void)context;
    what = *info;
    if (number == SIGCHLD) children++;
    told = number;
}

static int end_at_once(void *value) { _exit((int)(long)value); }

struct clone3_arguments { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls; };
static long clone3(uint64_t flags, uint64_t exit_signal) {
    struct clone3_arguments arguments = {.flags = flags, .exit_signal = exit_signal};
    return syscall(SYS_clone3, &arguments, sizeof arguments);
}

// Waits with and without a kind of children; the value of the child that only ends up in the second wait.
static int wait_as(pid_t child, int wrong, int right) {
    int status = 0;
    if (waitpid(child, &status, wrong | WNOHANG) != -1 || errno != ECHILD) return -1;
    return waitpid(child, &status, right) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -2;
}

// Children whose end is told by another signal than SIGCHLD, or by none.
static void exit_signals(void) {
    const int signals[] = {SIGUSR1, SIGUSR2, SIGRTMIN + 3, SIGCHLD};
    struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
    for (int i = 0; i < 3; i++) {
        told = children = 0;
        pid_t child = (pid_t)syscall(SYS_clone, signals[i], 0, 0, 0, 0);
        if (child == 0) {
            // It is a whole process, with memory of its own.
            char *block = malloc(1 << 20);
            _exit(block && getppid() > 0 && getpid() == syscall(SYS_gettid) ? 30 + i : 1);
        }
        while (!told) usleep(1000);
        EXPECT(told == signals[i] && what.si_code == CLD_EXITED && what.si_status == 30 + i && what.si_pid == child, "clone names the signal of its end");
        EXPECT(wait_as(child, 0, __WCLONE) == 30 + i && children == 0, "such a child is waited for with __WCLONE");
    }
    told = 0;
    pid_t child = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (child == 0) _exit(40);
    siginfo_t info = {0};
    EXPECT(waitid(P_ALL, 0, &info, WEXITED | __WALL) == 0 && info.si_pid == child && info.si_status == 40 && !told, "or without a signal with __WALL");
    child = fork();
    if (child == 0) _exit(41);
    EXPECT(wait_as(child, __WCLONE, __WALL) == 41 && children == 1, "a forked child is none for __WCLONE");
    // One that a child of such a child runs is told to that one.
    told = 0;
    child = (pid_t)syscall(SYS_clone, SIGUSR2, 0, 0, 0, 0);
    if (child == 0) {
        pid_t inner = fork();
        if (inner == 0) _exit(5);
        _exit(wait_value(inner) + 38);
    }
    EXPECT(wait_as(child, 0, __WALL) == 43, "it has children itself");
    static char stack[65536] __attribute__((aligned(16)));
    told = 0;
    child = clone(end_at_once, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGUSR1, (void *)44L);
    EXPECT(wait_as(child, 0, __WCLONE) == 44 && told == SIGUSR1, "the same with shared memory");
    child = (pid_t)clone3(0, SIGUSR2);
    if (child == 0) _exit(45);
    EXPECT(child == -1 && errno == ENOSYS ? 1 : wait_as(child, 0, __WCLONE) == 45 && told == SIGUSR2, "clone3 takes it as a number");
    EXPECT(clone3(0, 65) == -1 && clone3(CLONE_PARENT, SIGCHLD) == -1, "but none that there is not, and none for a sibling");
    // Another program has the usual one.
    char *const arguments[] = {"renamed", "arguments", "two words", "", NULL}, *const none[] = {NULL};
    child = (pid_t)syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
    if (child == 0) {
        execve("/proc/self/exe", arguments, none);
        _exit(126);
    }
    told = 0;
    while (!told) usleep(1000);
    EXPECT(told == SIGCHLD && wait_as(child, __WCLONE, 0) == 21, "after execve it is SIGCHLD");
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], SIG_DFL);
}

static void pipes(void) {
    int down[2], up[2];
    if (pipe(down) || pipe2(up, O_CLOEXEC)) perror("pipe");
    pid_t child = fork();
    if (child == 0) {
        close(down[1]);
        close(up[0]);
        unsigned char buffer[4096];
        unsigned sum = 0;
        ssize_t got;
        while ((got = read(down[0], buffer, sizeof buffer)) > 0)
            for (ssize_t i = 0; i < got; i++) sum += buffer[i];
        _exit(write(up[1], &sum, sizeof sum) != sizeof sum);
    }
    close(down[0]);
    close(up[1]);
    unsigned char block[1000];
    memset(block, 3, sizeof block);
    for (int i = 0; i < 300; i++)
        if (write(down[1], block, sizeof block) != sizeof block) break;
    close(down[1]);
    unsigned sum = 0;
    EXPECT(read(up[0], &sum, sizeof sum) == sizeof sum && sum == 900000, "a pipe carries more than its buffer");
    EXPECT(read(up[0], &sum, 1) == 0 && wait_value(child) == 0, "its end is seen");
    close(up[0]);
}

static int run_self(const char *role, char *const environment[], int with_vfork) {
    char *const arguments[] = {"renamed", (char *)role, "two words", "", NULL};
    pid_t child = with_vfork ? vfork() : fork();
    if (child == 0) {
        execve("/proc/self/exe", arguments, environment);
        _exit(126);
    }
    return wait_value(child);
}

// Executes this program by a descriptor that may close at that: of its file, or of the directory that it is in.
static int run_by_descriptor(int flags, int how) {
    char *const arguments[] = {"renamed", "arguments", "two words", "", NULL}, *const none[] = {NULL};
    char path[4096], link[64];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    if (size <= 0) return -1;
    path[size] = 0;
    char *name = strrchr(path, '/');
    pid_t child = fork();
    if (child == 0) {
        int file = open(path, O_PATH | flags);
        *name++ = 0;
        int directory = open(path, O_PATH | O_DIRECTORY | flags);
        snprintf(link, sizeof link, "/proc/self/fd/%d", file);
        if (how == 0) execve(link, arguments, none);
        if (how == 1) syscall(SYS_execveat, directory, name, arguments, none, 0);
        if (how == 2) syscall(SYS_execveat, file, "", arguments, none, AT_EMPTY_PATH);
        _exit(126);
    }
    return wait_value(child);
}

static int run_role(int count, char **arguments) {
    const char *value = getenv("CHECK_VALUE");
    if (!strcmp(arguments[1], "arguments"))
        return count == 4 && !strcmp(arguments[0], "renamed") && !strcmp(arguments[2], "two words") && !*arguments[3] ? 21 : 1;
    if (!strcmp(arguments[1], "environment")) return value && !strcmp(value, "given") && !getenv("PATH") ? 22 : 1;
    if (!strcmp(arguments[1], "descriptors")) return fcntl(50, F_GETFD) == -1 && fcntl(51, F_GETFD) == 0 ? 23 : 1;
    return 1;
}

static void executions(void) {
    char *const none[] = {NULL}, *const one[] = {"CHECK_VALUE=given", NULL};
    EXPECT(run_self("arguments", none, 0) == 21, "execve passes arguments");
    EXPECT(run_self("environment", one, 0) == 22, "execve passes the environment");
    EXPECT(run_self("arguments", none, 1) == 21, "vfork and execve");
    int descriptor = open("/dev/null", O_RDONLY);
    dup2(descriptor, 51);
    dup3(descriptor, 50, O_CLOEXEC);
    EXPECT(run_self("descriptors", none, 0) == 23, "close-on-exec descriptors are closed, others are kept");
    close(50), close(51), close(descriptor);
    EXPECT(run_by_descriptor(O_CLOEXEC, 0) == 21 && run_by_descriptor(0, 0) == 21, "execve of a path below /proc/self/fd");
    EXPECT(run_by_descriptor(O_CLOEXEC, 1) == 21 && run_by_descriptor(0, 1) == 21, "execveat from a directory");
    EXPECT(run_by_descriptor(O_CLOEXEC, 2) == 21 && run_by_descriptor(0, 2) == 21, "execveat of a descriptor");
    EXPECT(syscall(SYS_execveat, 99, "", (char *[]) {"none", NULL}, none, AT_EMPTY_PATH) == -1 && errno == EBADF, "of none");
    char *const arguments[] = {"none", NULL};
    EXPECT(execve("/nowhere/at/all", arguments, none) == -1 && errno == ENOENT, "execve of a missing file");
    EXPECT(execve("/dev/null", arguments, none) == -1 && errno == EACCES, "execve of a file that cannot be executed");
}

static void identities(void) {
    struct utsname name;
    EXPECT(uname(&name) == 0 && !strcmp(name.sysname, "Linux"), "uname");
#if defined(__riscv)
    EXPECT(!strcmp(name.machine, "riscv64"), "the machine's name is riscv64");
#endif
    // Both are 0 where their leader lives outside of this PID namespace.
    EXPECT(getpgid(0) == getpgrp() && getsid(0) >= 0, "process group and session");
    pid_t child = fork();
    if (child == 0) _exit(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid() ? 19 : 1);
    EXPECT(wait_value(child) == 19, "setsid makes a session and a process group");
    struct rlimit limit;
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 10, "getrlimit");
    char path[512];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    path[size > 0 ? size : 0] = 0;
    EXPECT(size > 7 && !strcmp(path + size - 7, "process"), "/proc/self/exe names this program");
    char directory[512];
    EXPECT(chdir("/tmp") == 0 && getcwd(directory, sizeof directory) && !strcmp(directory, "/tmp"), "chdir and getcwd");
    mode_t old = umask(027);
    EXPECT(umask(old) == 027, "umask");
}

static void at_end(void) {
    static const char text[] = "ok atexit handlers run\n";
    if (write(1, text, sizeof text - 1) < 0) _exit(1);
}

int main(int count, char **arguments) {
    if (count > 1) return run_role(count, arguments);
    identities();
    forks();
    exit_signals();
    pipes();
    executions();
    atexit(at_end);
    return conclude();
}

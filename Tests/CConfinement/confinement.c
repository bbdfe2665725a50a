// What a random guest must not do on the machine that tests it is refused by a seccomp filter, which needs no privileges:
// signals to others, new processes, other programs, sockets, and every call that changes something that has a path.
#define _GNU_SOURCE
#include "CConfinement.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const int refused[] = {
    SYS_fork, SYS_vfork, SYS_execve, SYS_ptrace, SYS_process_vm_writev, SYS_process_vm_readv, SYS_pidfd_send_signal,
    SYS_socket, SYS_socketpair, SYS_bpf, SYS_perf_event_open, SYS_io_uring_setup, SYS_userfaultfd, SYS_keyctl, SYS_add_key,
    SYS_request_key, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_reboot, SYS_swapon,
    SYS_swapoff, SYS_sethostname, SYS_setdomainname, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_iopl, SYS_ioperm, SYS_acct, SYS_quotactl,
    SYS_creat, SYS_openat2, SYS_open_by_handle_at, SYS_truncate, SYS_unlink, SYS_unlinkat, SYS_rename, SYS_renameat,
    SYS_renameat2, SYS_rmdir, SYS_mkdir, SYS_mkdirat, SYS_mknod, SYS_mknodat, SYS_symlink, SYS_symlinkat, SYS_link,
    SYS_linkat, SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_chown, SYS_fchown, SYS_lchown, SYS_fchownat, SYS_utime, SYS_utimes,
    SYS_utimensat, SYS_futimesat, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr,
    SYS_fremovexattr, SYS_setpriority, SYS_ioprio_set, SYS_sched_setscheduler, SYS_sched_setparam, SYS_sched_setattr,
    SYS_shmget, SYS_msgget, SYS_semget, SYS_mq_open, SYS_mq_unlink, SYS_prlimit64, SYS_fanotify_init, SYS_vhangup,
    // Of newer kernels than some headers: fchmodat2, setxattrat, removexattrat, file_setattr.
    452, 463, 466, 469,
};

#define LOAD(offset) (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define ARGUMENT(n) LOAD(offsetof(struct seccomp_data, args) + 8 * (n))   // its low half
#define ANSWER(value) (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value)
#define WHEN(value, skipped) (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped)
#define WHEN_NOT(value, skipped) (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, skipped, 0)
#define WHEN_ANY(bits, skipped) (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, skipped)
#define WHEN_NONE(bits, skipped) (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, skipped, 0)
#define REFUSE ANSWER(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW ANSWER(SECCOMP_RET_ALLOW)

// `path` is the address of the one path that may be executed: that of this start.
static int install_filter(const char *path) {
    struct sock_filter code[320];
    unsigned n = 0;
    code[n++] = LOAD(offsetof(struct seccomp_data, arch));
    code[n++] = WHEN_NOT(AUDIT_ARCH_X86_64, 1);
    code[n++] = ANSWER(SECCOMP_RET_KILL_PROCESS);
    code[n++] = LOAD(offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        code[n++] = WHEN(refused[i], 1);
        code[n++] = REFUSE;
    }
    code[n++] = WHEN(SYS_clone3, 1);
    code[n++] = ANSWER(SECCOMP_RET_ERRNO | ENOSYS);
    // Signals: to itself and to its own group only.
    const int to_process[] = { SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo };
    for (size_t i = 0; i < sizeof to_process / sizeof *to_process; i++) {
        code[n++] = WHEN(to_process[i], 6);
        code[n++] = ARGUMENT(0);
        code[n++] = WHEN((uint32_t)getpid(), 1);
        code[n++] = ALLOW;
        code[n++] = WHEN(0, 1);
        code[n++] = ALLOW;
        code[n++] = REFUSE;
    }
    code[n++] = WHEN(SYS_tkill, 4);
    code[n++] = ARGUMENT(0);
    code[n++] = WHEN((uint32_t)getpid(), 1);
    code[n++] = ALLOW;
    code[n++] = REFUSE;
    code[n++] = WHEN(SYS_clone, 4);
    code[n++] = ARGUMENT(0);
    code[n++] = WHEN_ANY(CLONE_THREAD, 1);
    code[n++] = ALLOW;
    code[n++] = REFUSE;
    code[n++] = WHEN(SYS_execveat, 4);
    code[n++] = ARGUMENT(1);
    code[n++] = WHEN((uint32_t)(uintptr_t)path, 1);
    code[n++] = ALLOW;
    code[n++] = REFUSE;
    const struct { int call, argument; } opening[] = { { SYS_open, 1 }, { SYS_openat, 2 } };
    for (size_t i = 0; i < 2; i++) {
        code[n++] = WHEN(opening[i].call, 4);
        code[n++] = ARGUMENT(opening[i].argument);
        code[n++] = WHEN_NONE(O_ACCMODE | O_CREAT | O_TRUNC, 1);
        code[n++] = ALLOW;
        code[n++] = REFUSE;
    }
    code[n++] = ALLOW;
    struct sock_fprog program = { (unsigned short)n, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void limit(int resource, rlim_t value) {
    struct rlimit both = { value, value };
    setrlimit(resource, &both);
}

// In the forked child: system calls only, as the parent may have threads.
static void become(int program, char *const arguments[], const char *directory, int errors, int failure) {
    static const char here[] = "";
    static char *const nothing[] = { NULL };
    setsid();
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || chdir(directory) != 0) goto failed;
    dup2(null, 0);
    dup2(null, 1);
    dup2(errors, 2);
    syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, 30);
    limit(RLIMIT_AS, 2ul << 30);
    limit(RLIMIT_STACK, 8ul << 20);
    if (geteuid() == 0) {
        if (syscall(SYS_setgroups, 0, NULL) != 0) goto failed;
        if (syscall(SYS_setresgid, 65534, 65534, 65534) != 0 || syscall(SYS_setresuid, 65534, 65534, 65534) != 0) goto failed;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (install_filter(here) != 0) goto failed;
    syscall(SYS_execveat, program, here, arguments, nothing, AT_EMPTY_PATH);
failed:;
    int number = errno;
    if (write(failure, &number, sizeof number) < 0) {}
    _exit(127);
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// Reads standard error until the child has closed it; ends the child when the time is over.
static void follow(pid_t child, int pipe, int milliseconds, char *errors, size_t capacity, confined_result *result) {
    long end = now() + milliseconds;
    for (;;) {
        long left = end - now();
        struct pollfd ready = { pipe, POLLIN, 0 };
        int count = result->timed_out ? 1 : left > 0 ? poll(&ready, 1, (int)left) : 0;
        if (count < 0 && errno == EINTR) continue;
        if (count == 0) {
            result->timed_out = 1;
            kill(child, SIGKILL);
            continue;
        }
        char rest[4096];
        size_t room = capacity - result->error_count;
        ssize_t got = read(pipe, room ? errors + result->error_count : rest, room ? room : sizeof rest);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        if (room) result->error_count += (size_t)got;
    }
    // It may have closed standard error and gone on.
    while (waitpid(child, &result->status, WNOHANG) == 0) {
        if (!result->timed_out && now() > end) {
            result->timed_out = 1;
            kill(child, SIGKILL);
        }
        struct timespec pause = { 0, 200000 };
        nanosleep(&pause, NULL);
    }
}

int confined_run(
    const char *program, char *const arguments[], const char *directory, int milliseconds, char *errors, size_t capacity,
    confined_result *result) {
    memset(result, 0, sizeof *result);
    int executable = open(program, O_RDONLY | O_CLOEXEC), output[2], failure[2];
    if (executable < 0) return errno;
    if (pipe2(output, O_CLOEXEC) != 0) return errno;
    if (pipe2(failure, O_CLOEXEC) != 0) return errno;
    pid_t child = fork();
    if (child == 0) become(executable, arguments, directory, output[1], failure[1]);
    int number = child < 0 ? errno : 0;
    close(executable);
    close(output[1]);
    close(failure[1]);
    if (child > 0) {
        follow(child, output[0], milliseconds, errors, capacity, result);
        if (read(failure[0], &number, sizeof number) != sizeof number) number = 0;
    }
    close(output[0]);
    close(failure[0]);
    return number;
}

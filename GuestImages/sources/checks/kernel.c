// What the kernel keeps for a process: System V and POSIX queues, scheduling, limits, identities, process descriptors, waiting
// signals, robust locks, residency of memory. And the guest's own views in /proc.
#include "check.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

static int is_missing(void) { return errno == ENOSYS || errno == EPERM || errno == EOPNOTSUPP; }

static void queues(void) {
    struct { long type; char text[8]; } message = { 7, "first" }, received;
    int queue = msgget(IPC_PRIVATE, 0600);
    EXPECT(queue >= 0 && msgsnd(queue, &message, 8, 0) == 0, "a message queue");
    struct msqid_ds status;
    EXPECT(msgctl(queue, IPC_STAT, &status) == 0 && status.msg_qnum == 1 && status.msg_lspid == getpid() && status.msg_stime > 1600000000
               && (status.msg_perm.mode & 0777) == 0600, "its status");
    EXPECT(msgrcv(queue, &received, 8, 9, IPC_NOWAIT) == -1 && errno == ENOMSG, "no message of that type");
    EXPECT(msgrcv(queue, &received, 8, 7, 0) == 8 && received.type == 7 && !strcmp(received.text, "first"), "msgrcv");
    EXPECT(msgctl(queue, IPC_RMID, NULL) == 0 && msgsnd(queue, &message, 8, 0) == -1 && errno == EINVAL, "it goes");

    int set = semget(IPC_PRIVATE, 3, 0600);
    union semun { int value; struct semid_ds *status; unsigned short *values; } argument;
    unsigned short values[3] = { 4, 5, 6 };
    argument.values = values;
    EXPECT(set >= 0 && semctl(set, 0, SETALL, argument) == 0, "a set of semaphores");
    struct sembuf down[2] = { { 0, -3, 0 }, { 2, 1, 0 } }, blocked = { 0, -9, 0 };
    EXPECT(semop(set, down, 2) == 0 && semctl(set, 0, GETVAL) == 1 && semctl(set, 2, GETVAL) == 7, "semop");
    struct timespec soon = { 0, 2000000 };
    EXPECT(semtimedop(set, &blocked, 1, &soon) == -1 && errno == EAGAIN, "semtimedop ends after its time");
    struct semid_ds semaphores;
    argument.status = &semaphores;
    EXPECT(semctl(set, 0, IPC_STAT, argument) == 0 && semaphores.sem_nsems == 3 && semaphores.sem_otime > 1600000000
               && semaphores.sem_ctime > 1600000000, "their status");
    EXPECT(semctl(set, 0, GETPID) == getpid() && semctl(set, 0, IPC_RMID) == 0, "the last process");

    int segment = shmget(IPC_PRIVATE, 8192, 0600);
    char *memory = shmat(segment, NULL, 0);
    struct shmid_ds shared;
    EXPECT(memory != (void *)-1 && shmctl(segment, IPC_STAT, &shared) == 0 && shared.shm_segsz == 8192 && shared.shm_nattch == 1
               && shared.shm_cpid == getpid(), "shared memory");
    memory[8191] = 3;
    char *again = shmat(segment, NULL, SHM_RDONLY);
    EXPECT(again != memory && again[8191] == 3 && shmdt(again) == 0 && shmdt(memory) == 0, "attached twice");
    EXPECT(shmctl(segment, IPC_RMID, NULL) == 0 && shmdt(memory) == -1 && errno == EINVAL, "and not any more");

    char name[32];
    snprintf(name, sizeof name, "/check-%d", getpid());
    struct mq_attr attributes = { .mq_maxmsg = 4, .mq_msgsize = 16 }, found;
    mqd_t posix = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    EXPECT(posix >= 0 || is_missing() || errno == EACCES, "mq_open");
    if (posix >= 0) {
        char text[16];
        unsigned priority;
        EXPECT(mq_send(posix, "low", 3, 1) == 0 && mq_send(posix, "high", 4, 9) == 0, "mq_send");
        EXPECT(mq_getattr(posix, &found) == 0 && found.mq_curmsgs == 2 && found.mq_msgsize == 16, "mq_getattr");
        EXPECT(mq_receive(posix, text, 16, &priority) == 4 && priority == 9 && !memcmp(text, "high", 4), "the more urgent comes first");
        EXPECT(mq_unlink(name) == 0 && mq_close(posix) == 0, "mq_unlink");
    }
}

static void scheduling(void) {
    struct sched_param parameter = { 1 };
    struct timespec interval;
    EXPECT(sched_getscheduler(0) == SCHED_OTHER && sched_getparam(0, &parameter) == 0 && parameter.sched_priority == 0, "the scheduler");
    EXPECT(sched_get_priority_max(SCHED_FIFO) == 99 && sched_get_priority_min(SCHED_FIFO) == 1, "its priorities");
    EXPECT(sched_rr_get_interval(0, &interval) == 0, "sched_rr_get_interval");
    cpu_set_t before, one, now;
    CPU_ZERO(&one);
    EXPECT(sched_getaffinity(0, sizeof before, &before) == 0, "sched_getaffinity");
    int chosen = 0;
    while (!CPU_ISSET(chosen, &before)) chosen++;
    CPU_SET(chosen, &one);
    EXPECT(sched_setaffinity(0, sizeof one, &one) == 0 && sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&one, &now), "sched_setaffinity");
    unsigned processor = 99, node;
    EXPECT(getcpu(&processor, &node) == 0 && (int)processor == chosen && sched_getcpu() == chosen, "getcpu");
    sched_setaffinity(0, sizeof before, &before);
    errno = 0;
    int nice_value = getpriority(PRIO_PROCESS, 0);
    EXPECT(errno == 0 && setpriority(PRIO_PROCESS, 0, nice_value + 1) == 0 && getpriority(PRIO_PROCESS, 0) == nice_value + 1, "getpriority");
    EXPECT(syscall(SYS_getpriority, PRIO_PROCESS, 0) == 20 - nice_value - 1, "as the kernel counts it");
    struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t times[3]; uint32_t clamps[2]; } attributes = { 0 };
    EXPECT(syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 && attributes.nice == nice_value + 1, "sched_getattr");
    EXPECT(syscall(SYS_ioprio_get, 1, 0) >= 0 || is_missing(), "ioprio_get");
    EXPECT(syscall(SYS_membarrier, 0, 0, 0) >= 0 || is_missing(), "membarrier");
    struct rlimit limit, old;
    EXPECT(prlimit(0, RLIMIT_CORE, NULL, &old) == 0 && (limit = old, limit.rlim_cur = 0, prlimit(0, RLIMIT_CORE, &limit, NULL)) == 0
               && getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == old.rlim_max, "prlimit");
    limit = (struct rlimit) { 2, 1 };
    EXPECT(setrlimit(RLIMIT_CORE, &limit) == -1 && errno == EINVAL, "setrlimit checks");
}

static void identities(void) {
    uid_t real, effective, saved;
    gid_t groups[64];
    EXPECT(getresuid(&real, &effective, &saved) == 0 && real == getuid() && effective == geteuid(), "getresuid");
    EXPECT(setresuid(-1, real, -1) == 0 && setfsuid(-1) == (int)real && getgroups(64, groups) >= 0, "setresuid to what it is");
    char name[16] = "";
    EXPECT(prctl(PR_SET_NAME, "a new name") == 0 && prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "a new name"), "PR_SET_NAME");
    int signal = 5;
    EXPECT(prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGTERM && prctl(PR_SET_PDEATHSIG, 0) == 0, "PR_SET_PDEATHSIG");
    EXPECT(prctl(PR_GET_DUMPABLE) >= 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0 && prctl(9999) == -1 && errno == EINVAL, "prctl");
    pid_t *cleared = NULL, number;
    pid_t *before = NULL;
    // A kernel may be built without this one, or be older than the other.
    if (prctl(PR_GET_TID_ADDRESS, &before) == 0) {
        EXPECT(syscall(SYS_set_tid_address, &number) == getpid() && prctl(PR_GET_TID_ADDRESS, &cleared) == 0 && cleared == &number,
               "PR_GET_TID_ADDRESS");
        syscall(SYS_set_tid_address, before);
    }
    char vector[4096], shown[4096];
    int size = prctl(0x41555856 /* PR_GET_AUXV */, vector, sizeof vector, 0, 0);
    if (size != -1) {
        int file = open("/proc/self/auxv", O_RDONLY);
        EXPECT(size >= read(file, shown, sizeof shown) && size > 0 && !memcmp(vector, shown, 64), "PR_GET_AUXV");
        close(file);
    }
#ifdef __riscv
    EXPECT(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == -1 && errno == EINVAL, "what only x86 processors have");
    EXPECT(clock_gettime(CLOCK_MONOTONIC, &(struct timespec) { 0 }) == 0, "and the clock still works");
    EXPECT(syscall(SYS_prctl, PR_GET_DUMPABLE | 1l << 40, 0, 0, 0, 0) >= 0, "the kernel takes an int");
#endif
    struct utsname machine;
    EXPECT(uname(&machine) == 0 && machine.release[0] && machine.nodename[0], "uname");
    struct sysinfo information;
    EXPECT(sysinfo(&information) == 0 && information.mem_unit > 0 && information.procs > 0 && information.uptime > 0, "sysinfo");
    EXPECT(syscall(SYS_rseq, NULL, 0, 0, 0) == -1 && (errno == ENOSYS || errno == EINVAL || errno == EPERM || errno == EBUSY), "rseq");
    EXPECT(syscall(9999) == -1 && errno == ENOSYS && syscall(-1) == -1 && errno == ENOSYS, "calls that do not exist");
    struct rusage usage;
    EXPECT(getrusage(RUSAGE_THREAD, &usage) == 0 && usage.ru_utime.tv_usec < 1000000, "getrusage of a thread");
}

static void processes(void) {
    int status;
    struct rusage usage;
    pid_t child = fork();
    if (child == 0) {
        volatile long work = 0;
        for (long i = 0; i < 3000000; i++) work += i;
        _exit(41);
    }
    int descriptor = (int)syscall(SYS_pidfd_open, child, 0);
    EXPECT(descriptor >= 0 || is_missing(), "pidfd_open");
    struct pollfd end = { descriptor, POLLIN, 0 };
    EXPECT(descriptor < 0 || (poll(&end, 1, 10000) == 1 && end.revents & POLLIN), "it tells when the process has ended");
    EXPECT(descriptor < 0 || (syscall(SYS_pidfd_send_signal, descriptor, 0, NULL, 0) == 0 || errno == ESRCH), "and signals to it");
    siginfo_t info;
    memset(&info, 0, sizeof info);
    EXPECT(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0 && info.si_code == CLD_EXITED && info.si_status == 41 && info.si_signo == SIGCHLD, "waitid leaves it");
    EXPECT(wait4(child, &status, 0, &usage) == child && WEXITSTATUS(status) == 41 && usage.ru_maxrss > 0, "wait4 takes it");
    close(descriptor);
    child = fork();
    if (child == 0) {
        raise(SIGSTOP);
        raise(SIGKILL);
    }
    EXPECT(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "a stopped child");
    EXPECT(kill(child, SIGCONT) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a killed one");
    struct clone_args arguments = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = (uint64_t)(uintptr_t)&descriptor };
    child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) _exit(12);
    EXPECT(child > 0 || is_missing(), "clone3");
    EXPECT(child < 0 || (waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 12 && fcntl(descriptor, F_GETFD) == FD_CLOEXEC), "with a descriptor");
    EXPECT(syscall(SYS_clone3, &arguments, 8) == -1 && (errno == EINVAL || is_missing()), "it checks the size");
    char local[8] = "", remote[8] = "content";
    struct iovec to = { local, 8 }, from = { remote, 8 };
    EXPECT((process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 8 && !strcmp(local, "content")) || is_missing(), "process_vm_readv");
    EXPECT(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1) >= 0 || is_missing(), "kcmp");
}

static volatile sig_atomic_t caught_value;
static void note(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    caught_value = info->si_value.sival_int;
}

static void signals(void) {
    sigset_t set, pending, none;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    EXPECT(sigqueue(getpid(), SIGRTMIN + 3, (union sigval) { .sival_int = 1 }) == 0 && sigqueue(getpid(), SIGRTMIN + 3, (union sigval) { .sival_int = 2 }) == 0, "sigqueue");
    EXPECT(sigpending(&pending) == 0 && sigismember(&pending, SIGRTMIN + 3) && !sigismember(&pending, SIGUSR1), "sigpending");
    siginfo_t info;
    struct timespec none_left = { 0, 0 };
    EXPECT(sigtimedwait(&set, &info, &none_left) == SIGRTMIN + 3 && info.si_value.sival_int == 1 && info.si_code == SI_QUEUE && info.si_pid == getpid(), "sigtimedwait");
    EXPECT(sigwaitinfo(&set, &info) == SIGRTMIN + 3 && info.si_value.sival_int == 2, "in order");
    EXPECT(sigtimedwait(&set, &info, &none_left) == -1 && errno == EAGAIN, "and no third");
    struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
    sigaction(SIGRTMIN + 3, &action, NULL);
    sigqueue(getpid(), SIGRTMIN + 3, (union sigval) { .sival_int = 77 });
    EXPECT(caught_value == 0 && sigsuspend(&none) == -1 && errno == EINTR && caught_value == 77, "sigsuspend lets it in");
    EXPECT(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1) == 0
               && syscall(SYS_rt_sigtimedwait, &set, &info, &none_left, 8) == SIGUSR1 && info.si_code == SI_TKILL, "tgkill");
    EXPECT(kill(getpid(), 65) == -1 && errno == EINVAL && kill(0x7ffffff0, 0) == -1 && errno == ESRCH, "kill checks");
    struct timespec soon = { 0, 3000000 };
    fd_set nothing;
    FD_ZERO(&nothing);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigqueue(getpid(), SIGRTMIN + 3, (union sigval) { .sival_int = 88 });
    EXPECT(pselect(0, &nothing, NULL, NULL, &soon, &none) == -1 && errno == EINTR && caught_value == 88, "pselect with a mask");
    EXPECT(pselect(0, &nothing, NULL, NULL, &soon, &none) == 0 && soon.tv_nsec == 3000000, "and with a time");
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static pthread_mutex_t *robust;
static void *die_with_lock(void *unused) {
    pthread_mutex_lock(robust);
    return unused;
}

/// Whether the lock is handed over from an owner that is gone; within some seconds.
static int inherits(void) {
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 4;
    return pthread_mutex_timedlock(robust, &limit) == EOWNERDEAD && pthread_mutex_consistent(robust) == 0 && pthread_mutex_unlock(robust) == 0;
}

static void locks(void) {
    robust = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(robust, &attributes);
    pthread_t thread;
    pthread_create(&thread, NULL, die_with_lock, NULL);
    pthread_join(thread, NULL);
    EXPECT(inherits(), "a lock whose thread ended");
    pthread_mutex_init(robust, &attributes);
    pid_t child = fork();
    if (child == 0) {
        pthread_mutex_lock(robust);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    EXPECT(inherits(), "a lock whose process ended");
    void *head;
    size_t size;
    EXPECT(syscall(SYS_get_robust_list, 0, &head, &size) == 0 && size == 24, "get_robust_list");
    int word = 5;
    struct timespec soon = { 0, 2000000 };
    EXPECT(syscall(SYS_futex, &word, FUTEX_WAIT, 4, NULL) == -1 && errno == EAGAIN, "a futex with another value");
    EXPECT(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, &soon) == -1 && errno == ETIMEDOUT, "a futex with a time");
    EXPECT(syscall(SYS_futex, &word, FUTEX_WAKE_OP, 1, 1, &word, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)) == 0 && word == 8, "FUTEX_WAKE_OP");
}

static void residency(void) {
    char *memory = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char resident[4] = { 9, 9, 9, 9 };
    memory[4096] = 1;
    EXPECT(mincore(memory, 4 * 4096, resident) == 0 && (resident[1] & 1) && !(resident[3] & 1), "mincore");
    EXPECT(mlock(memory, 4096) == 0 || is_missing() || errno == ENOMEM, "mlock");
    EXPECT(munlock(memory, 4096) == 0 && madvise(memory, 4 * 4096, MADV_DONTNEED) == 0 && memory[4096] == 0, "MADV_DONTNEED");
    EXPECT(madvise(memory, 4096, 9999) == -1 && errno == EINVAL, "unknown advice");
    memory[0] = 7;
    char *moved = mremap(memory, 2 * 4096, 64 * 4096, MREMAP_MAYMOVE);
    EXPECT(moved != MAP_FAILED && moved[0] == 7 && moved[63 * 4096] == 0 && munmap(moved, 64 * 4096) == 0, "mremap");
    EXPECT(mincore(moved, 4096, resident) == -1 && errno == ENOMEM, "mincore of nothing");
    EXPECT(msync((void *)4097, 4096, MS_SYNC) == -1 && errno == EINVAL, "msync checks");
}

static char text[1 << 17];
static const char *view(const char *path) {
    int file = open(path, O_RDONLY);
    ssize_t size = 0, count;
    while (file >= 0 && (count = read(file, text + size, sizeof text - 1 - size)) > 0) size += count;
    text[size] = 0;
    close(file);
    return text;
}

/// The line of a map that holds `address`.
static const char *line_of(const char *path, uintptr_t address) {
    for (char *line = strtok((char *)view(path), "\n"); line; line = strtok(NULL, "\n")) {
        unsigned long start, end;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) == 3 && start <= address && address < end) return line;
    }
    return "";
}

static void views(char *name) {
    char *own = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    const char *code = line_of("/proc/self/maps", (uintptr_t)&views);
    EXPECT(strstr(code, "r-xp") && strstr(code, own), "maps: this code");
    EXPECT(strstr(line_of("/proc/self/maps", (uintptr_t)text), "rw-p"), "maps: these data");
    EXPECT(strstr(line_of("/proc/self/smaps", (uintptr_t)&views), "r-xp"), "smaps: this code");
    EXPECT(strstr(line_of("/proc/self/smaps", (uintptr_t)&own), "[stack]"), "smaps: this stack");
    view("/proc/self/smaps");
    const char *first = strstr(text, "Size:");
    EXPECT(first && strstr(text, "\nRss:") && strstr(text, "\nVmFlags:") && !strstr(text, "/mynah\n"), "smaps: its fields, and nobody else's memory");
    EXPECT(strstr(view("/proc/self/smaps_rollup"), "[rollup]") || !*text, "smaps_rollup");
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", getpid());
    EXPECT(strstr(line_of(path, (uintptr_t)&views), own), "maps by number");
    EXPECT(strstr(view("/proc/thread-self/comm"), "a new name"), "comm is what was set");
    EXPECT(strstr(view("/proc/self/cmdline"), own), "cmdline begins with this program");
    uint64_t vector[64] = { 0 };
    int file = open("/proc/self/auxv", O_RDONLY), index = 0;
    ssize_t size = read(file, vector, sizeof vector);
    while (vector[index] != 6 && vector[index]) index += 2;
    EXPECT(size > 64 && size % 16 == 0 && vector[index + 1] == 4096, "auxv");
    close(file);
    unsigned long data[52] = { 0 };
    char *rest = strrchr(view("/proc/self/stat"), ')') + 3;
    for (int field = 3; field < 52 && rest; field++) {
        data[field] = strtoul(rest, NULL, 10);
        rest = strchr(rest, ' ');
        if (rest) rest++;
    }
    EXPECT(data[28] > (uintptr_t)&own && data[28] - (uintptr_t)&own < 1 << 23, "stat: the start of the stack");
    EXPECT(data[4] == (unsigned long)getppid() && data[20] == 1, "stat: parent and threads");
    EXPECT(strstr(view("/proc/self/status"), "Threads:\t1\n") && strstr(text, "\nPid:\t"), "status");
    char link[64], target[256];
    file = open("/dev/null", O_RDONLY);
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    size = readlink(link, target, sizeof target);
    EXPECT(size == 9 && !memcmp(target, "/dev/null", 9), "fd names an open file");
    close(file);
    struct stat by_link, by_name;
    EXPECT(stat("/proc/self/exe", &by_link) == 0 && stat(name, &by_name) == 0 && by_link.st_ino == by_name.st_ino, "exe is this program's file");
    EXPECT(lstat("/proc/self/exe", &by_link) == 0 && S_ISLNK(by_link.st_mode) && access("/proc/self/exe", X_OK) == 0, "and a link");
    unsigned char magic[20];
    file = open("/proc/self/exe", O_RDONLY);
    EXPECT(read(file, magic, 20) == 20 && magic[1] == 'E', "it can be read");
#ifdef __riscv
    EXPECT(magic[18] == 243 && strstr(view("/proc/cpuinfo"), "rv64"), "and is a RISC-V program, on a RISC-V processor");
#endif
    close(file);
}

int main(int count, char **arguments) {
    (void)count;
    queues();
    scheduling();
    identities();
    processes();
    signals();
    locks();
    residency();
    views(arguments[0]);
    return conclude();
}

// What a debugger looks at: functions, variables, threads, signals, children and faults in known places. A call that no kernel
// knows (number 5000) carries the addresses, so that a debugger without symbols can catch it. Without an argument everything runs
// by itself; `fault`, `spin`, `sleep [MILLISECONDS]`, `execute`, `exit N` and `kill` are for debuggers.
#include "check.h"
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { threadCount = 3, rounds = 50, announcement = 5000 };
extern char **environ;

static volatile long counter, watched, released, spins, handled;
static _Atomic long visits;

__attribute__((noinline)) static long checkpoint(long n) {
    counter += n;
    __asm__ volatile("" ::: "memory");
    return counter;
}

__attribute__((noinline)) static void visit(long n) {
    atomic_fetch_add(&visits, n);
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void handle(int number) {
    (void)number;
    handled++;
}

static void *body(void *argument) {
    for (int i = 0; i < rounds; i++) visit((long)argument);
    return argument;
}

static const void *const places[] = {
    (const void *)checkpoint, (const void *)visit, (const void *)handle, (const void *)&counter, (const void *)&watched,
    (const void *)&released, (const void *)&spins, (const void *)&visits,
};

static void everything(char *self) {
    for (long i = 1; i <= 10; i++) checkpoint(i);
    EXPECT(counter == 55, "calls");
    for (long i = 0; i < 5; i++) watched = i;
    EXPECT(__atomic_add_fetch(&watched, 38, __ATOMIC_SEQ_CST) == 42, "stores and an atomic addition");
    pthread_t threads[threadCount];
    int good = 1;
    for (long i = 0; i < threadCount; i++) good &= pthread_create(&threads[i], NULL, body, (void *)(i + 1)) == 0;
    for (long i = 0; i < threadCount; i++) good &= pthread_join(threads[i], NULL) == 0;
    EXPECT(good && visits == rounds * 6, "threads");
    signal(SIGUSR1, handle);
    raise(SIGUSR1);
    EXPECT(handled == 1, "a signal");
    pid_t child = fork();
    if (child == 0) _exit((int)(checkpoint(3) - 55));
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3, "a fork");
    char *words[] = {self, "exit", "4", NULL};
    good = posix_spawn(&child, "/proc/self/exe", NULL, NULL, words, environ) == 0 && waitpid(child, &status, 0) == child;
    EXPECT(good && WIFEXITED(status) && WEXITSTATUS(status) == 4, "a child with another program");
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    if (!strcmp(mode, "exit")) return atoi(arguments[2]);
    long known = syscall(announcement, places, sizeof places / sizeof *places);
    int *volatile nowhere = (int *)16;
    if (!strcmp(mode, "fault")) *nowhere = 1;
    if (!strcmp(mode, "kill")) kill(getpid(), SIGTERM);
    if (!strcmp(mode, "spin")) while (!released) spins++;
    if (!strcmp(mode, "sleep")) {
        long milliseconds = count > 2 ? atol(arguments[2]) : 600;
        struct timespec wait = {milliseconds / 1000, milliseconds % 1000 * 1000000}, rest = {7, 7};
        EXPECT(nanosleep(&wait, &rest) == 0, "a sleep that nothing shortens");
        return conclude();
    }
    if (!strcmp(mode, "execute")) execl("/proc/self/exe", arguments[0], "exit", "9", (char *)NULL);
    EXPECT(known == -1 && errno == ENOSYS, "a call that no kernel knows");
    if (!*mode) everything(arguments[0]);
    return conclude();
}

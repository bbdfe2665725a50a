// Loops that have just turned hot, while the process forks, takes signals, lists its threads and leaves namespaces.
#include "check.h"
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

// Loops of their own, each of several basic blocks, some within others.
#define LOOP(n)                                                                                                        \
    static __attribute__((noinline)) uint64_t loop##n(uint64_t count) {                                                \
        uint64_t sum = n;                                                                                              \
        for (uint64_t i = 0; i < count; i++) {                                                                         \
            if ((sum ^ i) % (n + 2) == 0) sum = sum * 6364136223846793005u + i;                                        \
            else if (sum & 16) sum ^= sum >> (n % 31 + 1);                                                             \
            for (uint64_t j = i & 7; j < 8; j++) sum += j * (n + 3);                                                   \
        }                                                                                                              \
        return sum;                                                                                                    \
    }
#define EIGHT(f, n) f(n##0) f(n##1) f(n##2) f(n##3) f(n##4) f(n##5) f(n##6) f(n##7)
EIGHT(LOOP, 1) EIGHT(LOOP, 2) EIGHT(LOOP, 3) EIGHT(LOOP, 4)
#define NAME(n) loop##n,
static uint64_t (*const loops[])(uint64_t) = {EIGHT(NAME, 1) EIGHT(NAME, 2) EIGHT(NAME, 3) EIGHT(NAME, 4)};
enum { LOOPS = sizeof loops / sizeof *loops, ITERATIONS = 20000 };

static uint64_t expected[LOOPS];

// In small parts, so that most of it is interpreted or runs in blocks.
static uint64_t slowly(int n) {
    uint64_t sum = n % 8 + (n / 8 + 1) * 10;
    volatile uint64_t *place = &sum;
    uint64_t number = *place;
    for (uint64_t i = 0; i < ITERATIONS; i++) {
        if ((*place ^ i) % (number + 2) == 0) *place = *place * 6364136223846793005u + i;
        else if (*place & 16) *place ^= *place >> (number % 31 + 1);
        for (uint64_t j = i & 7; j < 8; j++) *place += j * (number + 3);
    }
    return *place;
}

static int run_all(int first) {
    int good = 0;
    for (int n = 0; n < LOOPS; n++) good += loops[(n + first) % LOOPS](ITERATIONS) == expected[(n + first) % LOOPS];
    return good == LOOPS;
}

static void forks(void) {
    int good = 0;
    for (int round = 0; round < LOOPS; round++) {
        int own = loops[round](ITERATIONS) == expected[round];
        pid_t child = fork();
        if (child == 0) _exit(run_all(round) ? 7 : 1);
        own &= loops[(round + 1) % LOOPS](ITERATIONS) == expected[(round + 1) % LOOPS];
        int status = 0;
        good += waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7 && own;
    }
    EXPECT(good == LOOPS, "parents and children go on with their loops");
}

static volatile sig_atomic_t taken;
static pthread_t taker;
static volatile sig_atomic_t taken_elsewhere;

static void take(int number) {
    (void)number;
    taken++;
    if (!pthread_equal(pthread_self(), taker)) taken_elsewhere++;
}

static void signals(void) {
    struct sigaction action = {.sa_handler = take};
    taker = pthread_self();
    int numbers[] = {SIGUSR1, SIGALRM, SIGSEGV, SIGBUS, SIGRTMIN + 1};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaction(numbers[i], &action, NULL);
    for (unsigned i = 0; i < 200; i++) {
        kill(getpid(), numbers[i % (sizeof numbers / sizeof *numbers)]);
        loops[i % LOOPS](200);
    }
    EXPECT(taken == 200 && taken_elsewhere == 0, "signals reach the only thread there is");
}

static int count_threads(void) {
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));) count += entry->d_name[0] != '.';
    if (directory) closedir(directory);
    return count;
}

static int number_of_threads(void) {
    char line[256];
    int count = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "Threads: %d", &count);
    if (file) fclose(file);
    return count;
}

static void *run(void *context) { return (void *)(intptr_t)run_all((int)(intptr_t)context); }

static void threads(void) {
    EXPECT(count_threads() == 1 && number_of_threads() == 1, "one thread is seen where there is one");
    pthread_t all[4];
    int good = 0;
    for (int i = 0; i < 4; i++) pthread_create(&all[i], NULL, run, (void *)(intptr_t)(i * 5));
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(all[i], &result);
        good += (int)(intptr_t)result;
    }
    EXPECT(good == 4, "threads run the same loops");
}

static void namespaces(void) {
    pid_t child = fork();
    if (child == 0) {
        int before = run_all(3), result = unshare(CLONE_NEWUSER), error = errno;
        // EINVAL would say that the process has several threads.
        _exit(before && (result == 0 || error != EINVAL) && run_all(9) ? 11 : 1);
    }
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 11, "a process of one thread may have a user namespace");
}

int main(void) {
    for (int n = 0; n < LOOPS; n++) expected[n] = slowly(n);
    threads();
    forks();
    EXPECT(run_all(0), "loops give the same again");
    signals();
    namespaces();
    threads();
    return conclude();
}

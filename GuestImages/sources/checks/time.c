// Clocks, sleeping, interval timers, POSIX timers and timer descriptors.
#include "check.h"
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <time.h>

static int64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

// The system call itself, where `now` uses what the vDSO offers.
static int64_t asked(clockid_t clock) {
    struct timespec time;
    syscall(SYS_clock_gettime, clock, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static int ordered(clockid_t clock) {
    for (int i = 0; i < 1000; i++) {
        int64_t before = asked(clock), between = now(clock), after = asked(clock);
        if (before > between || between > after) return 0;
    }
    return 1;
}

static volatile sig_atomic_t ticks;
static void tick(int number) {
    (void)number;
    ticks++;
}

static void clocks(void) {
    int backwards = 0;
    int64_t last = now(CLOCK_MONOTONIC);
    for (int i = 0; i < 20000; i++) {
        int64_t next = now(CLOCK_MONOTONIC);
        backwards += next < last;
        last = next;
    }
    EXPECT(backwards == 0, "the monotonic clock never goes back");
    EXPECT(ordered(CLOCK_MONOTONIC), "the C library and the system call read one monotonic clock");
    EXPECT(ordered(CLOCK_REALTIME), "and one real-time clock");
    EXPECT(ordered(CLOCK_BOOTTIME) && ordered(CLOCK_MONOTONIC_RAW), "and one of each other kind");
    struct timeval day;
    int64_t earlier = asked(CLOCK_REALTIME) / 1000;
    gettimeofday(&day, NULL);
    int64_t microseconds = day.tv_sec * 1000000ll + day.tv_usec;
    EXPECT(day.tv_usec < 1000000 && earlier <= microseconds && microseconds <= asked(CLOCK_REALTIME) / 1000, "gettimeofday reads it, too");
    struct timezone zone = { 77, 77 };
    EXPECT(gettimeofday(&day, &zone) == 0, "gettimeofday with a zone");
    int64_t difference = now(CLOCK_REALTIME) / 1000000000 - day.tv_sec;
    EXPECT(difference >= 0 && difference <= 1 && time(NULL) - day.tv_sec <= 1, "gettimeofday, time and the real-time clock agree");
    EXPECT(day.tv_sec > 1600000000, "the date is not before 2020");
    struct timespec resolution;
    EXPECT(clock_getres(CLOCK_MONOTONIC, &resolution) == 0 && resolution.tv_sec == 0 && resolution.tv_nsec > 0, "clock_getres");
    EXPECT(clock_gettime(9999, &resolution) == -1 && errno == EINVAL, "an unknown clock");
    int64_t before = now(CLOCK_PROCESS_CPUTIME_ID);
    volatile uint64_t work = 0;
    for (int i = 0; i < 3000000; i++) work += (uint64_t)i;
    EXPECT(now(CLOCK_PROCESS_CPUTIME_ID) > before, "processor time grows with work");
    struct rusage usage;
    struct tms ticks_used;
    EXPECT(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss > 0 && times(&ticks_used) != (clock_t)-1, "getrusage and times");
}

static void sleeping(void) {
    int64_t before = now(CLOCK_MONOTONIC);
    struct timespec short_time = {0, 20000000};
    EXPECT(nanosleep(&short_time, NULL) == 0 && now(CLOCK_MONOTONIC) - before >= 20000000, "nanosleep sleeps long enough");
    struct timespec wrong = {0, 1000000000};
    EXPECT(nanosleep(&wrong, NULL) == -1 && errno == EINVAL, "and checks its argument");
    int64_t target = now(CLOCK_MONOTONIC) + 15000000;
    struct timespec until = {target / 1000000000, target % 1000000000};
    EXPECT(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0 && now(CLOCK_MONOTONIC) >= target, "clock_nanosleep until a moment");
    EXPECT(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0, "a moment in the past returns at once");
}

static void timers(void) {
    signal(SIGALRM, tick);
    struct itimerval interval = {{0, 5000}, {0, 5000}}, off = {{0, 0}, {0, 0}}, old;
    setitimer(ITIMER_REAL, &interval, NULL);
    while (ticks < 4) pause();
    setitimer(ITIMER_REAL, &off, &old);
    EXPECT(old.it_interval.tv_usec == 5000, "an interval timer ticks");
    ticks = 0;
    signal(SIGVTALRM, tick);
    setitimer(ITIMER_VIRTUAL, &interval, NULL);
    volatile uint64_t work = 0;
    while (ticks < 2) work++;
    setitimer(ITIMER_VIRTUAL, &off, NULL);
    EXPECT(ticks >= 2, "a virtual timer ticks while the program works");
    alarm(100);
    EXPECT(alarm(0) >= 99, "alarm tells what was left");
    signal(SIGUSR1, tick);
    ticks = 0;
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec soon = {{0, 0}, {0, 5000000}}, left;
    EXPECT(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &soon, NULL) == 0, "timer_create");
    while (!ticks) usleep(1000);
    EXPECT(timer_gettime(timer, &left) == 0 && left.it_value.tv_nsec == 0 && timer_delete(timer) == 0, "a POSIX timer fires once");
}

static void descriptors(void) {
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct itimerspec often = {{0, 2000000}, {0, 2000000}}, left;
    uint64_t expirations = 0;
    EXPECT(timer >= 0 && read(timer, &expirations, 8) == -1 && errno == EAGAIN, "a timer descriptor that is not set");
    EXPECT(timerfd_settime(timer, 0, &often, NULL) == 0, "timerfd_settime");
    usleep(15000);
    struct pollfd waiting = {.fd = timer, .events = POLLIN};
    EXPECT(poll(&waiting, 1, 1000) == 1 && read(timer, &expirations, 8) == 8 && expirations >= 5, "it counts its expirations");
    EXPECT(timerfd_gettime(timer, &left) == 0 && left.it_interval.tv_nsec == 2000000, "timerfd_gettime");
    close(timer);
}

int main(void) {
    clocks();
    sleeping();
    timers();
    descriptors();
    struct tm parts;
    time_t moment = 951782400; // 29 February 2000
    EXPECT(gmtime_r(&moment, &parts) && parts.tm_year == 100 && parts.tm_mon == 1 && parts.tm_mday == 29, "a leap day");
    return conclude();
}

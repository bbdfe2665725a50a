// Threads: locks, conditions, barriers, atomics of every width, thread-local storage, exit values.
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum { threadCount = 4, rounds = 50000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static long plain_counter, exchange_total;
static _Atomic uint64_t counter64;
static _Atomic uint32_t counter32, bits32;
static _Atomic uint16_t counter16;
static _Atomic unsigned char counter8;
static _Atomic int64_t minimum_of;
static _Thread_local long own = 7;
static _Thread_local char own_bytes[64];

static int run_all(void *(*body)(void *)) {
    pthread_t threads[threadCount];
    int good = 1;
    for (long i = 0; i < threadCount; i++) good &= pthread_create(&threads[i], NULL, body, (void *)i) == 0;
    for (long i = 0; i < threadCount; i++) {
        void *result = NULL;
        good &= pthread_join(threads[i], &result) == 0 && result == (void *)(i * 3 + 1);
    }
    return good;
}

static void *with_mutex(void *argument) {
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&lock);
        plain_counter++;
        pthread_mutex_unlock(&lock);
    }
    return (void *)((long)argument * 3 + 1);
}

static void *with_atomics(void *argument) {
    for (int i = 0; i < rounds; i++) {
        atomic_fetch_add(&counter64, 3);
        atomic_fetch_add_explicit(&counter32, 1, memory_order_relaxed);
        atomic_fetch_add(&counter16, 1);
        atomic_fetch_add(&counter8, 1);
        atomic_fetch_xor(&bits32, 1u << ((long)argument * 8 + i % 8));
        int64_t seen = atomic_load(&minimum_of), mine = -(int64_t)i - (long)argument;
        while (mine < seen && !atomic_compare_exchange_weak(&minimum_of, &seen, mine)) {}
    }
    return (void *)((long)argument * 3 + 1);
}

static atomic_flag spin = ATOMIC_FLAG_INIT;
static void *with_spin_lock(void *argument) {
    for (int i = 0; i < rounds / 5; i++) {
        while (atomic_flag_test_and_set_explicit(&spin, memory_order_acquire)) sched_yield();
        exchange_total += i & 1;
        atomic_flag_clear_explicit(&spin, memory_order_release);
    }
    return (void *)((long)argument * 3 + 1);
}

static long phase_sums[threadCount];
static _Atomic int phase_errors, serial_threads;
static void *with_barrier(void *argument) {
    long me = (long)argument;
    for (long phase = 0; phase < 200; phase++) {
        phase_sums[me] = phase * 10 + me;
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) serial_threads++;
        for (long i = 0; i < threadCount; i++)
            if (phase_sums[i] != phase * 10 + i) phase_errors++;
        pthread_barrier_wait(&barrier);
    }
    return (void *)(me * 3 + 1);
}

static long queue[16], queue_head, queue_tail, consumed;
static void *with_condition(void *argument) {
    long me = (long)argument;
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&lock);
        if (me % 2 == 0) {
            while (queue_tail - queue_head == 16) pthread_cond_wait(&condition, &lock);
            queue[queue_tail++ % 16] = i;
        } else {
            while (queue_tail == queue_head) pthread_cond_wait(&condition, &lock);
            consumed += queue[queue_head++ % 16];
        }
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&lock);
    }
    return (void *)(me * 3 + 1);
}

static _Atomic int local_errors;
static void *with_locals(void *argument) {
    long me = (long)argument;
    if (own != 7 || own_bytes[5] != 0) local_errors++;
    own = me;
    memset(own_bytes, (int)me, sizeof own_bytes);
    for (int i = 0; i < 100; i++) {
        sched_yield();
        if (own != me + i || own_bytes[63] != (char)me) local_errors++;
        own++;
    }
    errno = (int)me + 100;
    sched_yield();
    if (errno != (int)me + 100) local_errors++;
    return (void *)(me * 3 + 1);
}

static volatile long published;
static _Atomic int ready;
static void *reader(void *argument) {
    while (!atomic_load_explicit(&ready, memory_order_acquire)) sched_yield();
    return (void *)(published + (long)argument);
}

static pthread_key_t key;
static _Atomic int destroyed;
static void destroy(void *value) { destroyed += (int)(long)value; }
static void *with_key(void *argument) {
    pthread_setspecific(key, (void *)((long)argument + 1));
    pthread_exit((void *)((long)argument * 3 + 1));
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int once_runs;
static void run_once(void) { once_runs++; }
static void *with_once(void *argument) {
    pthread_once(&once, run_once);
    sem_wait(&semaphore);
    return (void *)((long)argument * 3 + 1);
}

static void *leave(void *argument) {
    for (;;) pause();
    return argument;
}

int main(void) {
    EXPECT(run_all(with_mutex) && plain_counter == threadCount * rounds, "a mutex protects a counter");
    EXPECT(run_all(with_atomics) && counter64 == 3ull * threadCount * rounds && counter32 == threadCount * rounds, "atomic additions of 64 and 32 bits");
    EXPECT(counter16 == (uint16_t)(threadCount * rounds) && counter8 == (unsigned char)(threadCount * rounds), "atomic additions of 16 and 8 bits");
    uint32_t expected = 0;
    for (int i = 0; i < threadCount * 8; i++) expected ^= (rounds / 8 % 2) << i;
    EXPECT(bits32 == expected && minimum_of == -(rounds - 1) - (threadCount - 1), "atomic exclusive or, and minimum by compare and exchange");
    EXPECT(run_all(with_spin_lock) && exchange_total == threadCount * rounds / 10, "a spin lock");
    pthread_barrier_init(&barrier, NULL, threadCount);
    EXPECT(run_all(with_barrier) && phase_errors == 0 && serial_threads == 200, "barriers keep threads in step");
    EXPECT(run_all(with_condition) && consumed == 2 * (1999L * 2000 / 2), "a bounded queue with a condition variable");
    EXPECT(run_all(with_locals) && local_errors == 0 && own == 7, "thread-local variables and errno");
    pthread_key_create(&key, destroy);
    EXPECT(run_all(with_key) && destroyed == 10, "destructors of thread-specific values run");
    sem_init(&semaphore, 0, threadCount);
    EXPECT(run_all(with_once) && once_runs == 1, "pthread_once and semaphores");
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, reader, (void *)1L);
    published = 41;
    atomic_store_explicit(&ready, 1, memory_order_release);
    pthread_join(thread, &result);
    EXPECT(result == (void *)42L, "release and acquire publish a value");
    pthread_create(&thread, NULL, leave, NULL);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    EXPECT(result == PTHREAD_CANCELED, "a waiting thread is cancelled");
    int created = 0;
    for (int i = 0; i < 200; i++) {
        ready = 1;
        created += pthread_create(&thread, NULL, reader, (void *)1L) == 0 && pthread_join(thread, &result) == 0 && result == (void *)42L;
    }
    EXPECT(created == 200, "two hundred threads, one after the other");
    EXPECT(syscall(SYS_gettid) == getpid(), "the first thread's number is the process's");
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20000000;
    if (soon.tv_nsec >= 1000000000) soon.tv_nsec -= 1000000000, soon.tv_sec++;
    pthread_mutex_lock(&lock);
    EXPECT(pthread_cond_timedwait(&condition, &lock, &soon) == ETIMEDOUT, "a condition times out");
    pthread_mutex_unlock(&lock);
    return conclude();
}

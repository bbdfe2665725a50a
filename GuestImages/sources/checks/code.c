// Code that changes: written, run, rewritten in place, under changing protection, through a second mapping, by another
// thread, and by a store in the block that is running. Programs with their own translators depend on every one of these.
#include "check.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

typedef long (*Function)(long);

/// Writes `long f(long x) { return x + addend; }`, addend from 0 to 2047; returns its size in bytes.
static size_t write_add(unsigned char *at, int addend) {
#if defined(__riscv)
    uint32_t words[2] = {(uint32_t)addend << 20 | 10 << 15 | 10 << 7 | 0x13, 0x00008067}; // addi a0, a0, addend; ret
    memcpy(at, words, sizeof words);
    return sizeof words;
#else
    unsigned char bytes[8] = {0x48, 0x8d, 0x87, 0, 0, 0, 0, 0xc3}; // lea rax, [rdi + addend]; ret
    memcpy(bytes + 3, &addend, 4);
    memcpy(at, bytes, sizeof bytes);
    return sizeof bytes;
#endif
}

/// Writes a loop that adds `step` to the sum x times.
static size_t write_loop(unsigned char *at, int step) {
#if defined(__riscv)
    uint32_t words[6] = {
        0x00000593,                                              // addi a1, zero, 0
        0x00050863,                                              // loop: beq a0, zero, +16
        (uint32_t)step << 20 | 11 << 15 | 11 << 7 | 0x13,        // addi a1, a1, step
        0xfff50513,                                              // addi a0, a0, -1
        0xff5ff06f,                                              // j loop
        0x00058513,                                              // addi a0, a1, 0
    };
    memcpy(at, words, sizeof words);
    memcpy(at + sizeof words, &(uint32_t){0x00008067}, 4);
    return sizeof words + 4;
#else
    unsigned char bytes[] = {0x31, 0xc0, 0x48, 0x85, 0xff, 0x74, 0x0b, 0x48, 0x05, 0, 0, 0, 0, 0x48, 0xff, 0xcf, 0xeb, 0xf0, 0xc3};
    memcpy(bytes + 9, &step, 4); // xor eax, eax; loop: test rdi, rdi; jz out; add rax, step; dec rdi; jmp loop; out: ret
    memcpy(at, bytes, sizeof bytes);
    return sizeof bytes;
#endif
}

static void flush(unsigned char *at, size_t size) { __builtin___clear_cache((char *)at, (char *)at + size); }
static Function as_function(unsigned char *at) { return (Function)(void *)at; }

static unsigned char *map(size_t size, int protection) {
    return mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void writable_code(void) {
    unsigned char *area = map(65536, PROT_READ | PROT_WRITE | PROT_EXEC);
    size_t size = write_add(area, 5);
    flush(area, size);
    EXPECT(as_function(area)(10) == 15, "written code runs");
    int good = 0;
    for (int i = 0; i < 2000; i++) {
        flush(area, write_add(area, i & 2047));
        good += as_function(area)(1000) == 1000 + (i & 2047);
    }
    EXPECT(good == 2000, "two thousand times rewritten and run at once");
    flush(area, write_loop(area + 256, 3));
    EXPECT(as_function(area + 256)(100000) == 300000, "a hot loop");
    flush(area, write_loop(area + 256, 7));
    EXPECT(as_function(area + 256)(100000) == 700000 && as_function(area)(1) == 1 + (1999 & 2047), "the hot loop rewritten, its neighbour kept");
    good = 0;
    for (int i = 0; i < 2048; i++) write_add(area + 16 * i, i);
    flush(area, 32768);
    for (int i = 0; i < 2048; i++) good += as_function(area + 16 * i)(i) == 2 * i;
    EXPECT(good == 2048, "two thousand functions, written before any runs");
    good = 0;
    for (int i = 0; i < 2048; i++) { // data and code share a page, data is written all the time
        *(volatile uint32_t *)(area + 16 * i + 12) = (uint32_t)i;
        good += as_function(area + 16 * ((i * 7) & 2047))(0) == ((i * 7) & 2047);
    }
    EXPECT(good == 2048, "data beside code");
    size = write_add(area + 4092, 9); // the function lies across two pages
    flush(area + 4092, size);
    EXPECT(as_function(area + 4092)(1) == 10, "code across a page edge");
    size = write_add(area + 4092, 11);
    flush(area + 4092, size);
    EXPECT(as_function(area + 4092)(1) == 12, "and rewritten there");
    munmap(area, 65536);
}

static void changing_protection(void) {
    unsigned char *area = map(4096, PROT_READ | PROT_WRITE);
    int good = 0;
    for (int i = 0; i < 200; i++) {
        mprotect(area, 4096, PROT_READ | PROT_WRITE);
        size_t size = write_add(area, i);
        mprotect(area, 4096, PROT_READ | PROT_EXEC);
        flush(area, size);
        for (int k = 0; k < 50; k++) good += as_function(area)(k) == k + i;
    }
    EXPECT(good == 10000, "writable, then executable, two hundred times");
    munmap(area, 4096);
}

static void new_mapping(void) {
    unsigned char *area = map(8192, PROT_READ | PROT_WRITE | PROT_EXEC);
    flush(area, write_add(area, 1));
    long before = as_function(area)(1);
    munmap(area, 8192);
    unsigned char *again = mmap(area, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    flush(again, write_add(again, 2));
    EXPECT(before == 2 && again == area && as_function(again)(1) == 3, "other code in a new mapping at the same address");
    unsigned char *replaced = mmap(area, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    flush(replaced, write_add(replaced, 3));
    EXPECT(as_function(replaced)(1) == 4, "and in one that replaced it without an unmap");
    unsigned char *moved = mremap(area, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, area + 4096);
    EXPECT(moved == area + 4096 && as_function(moved)(1) == 4, "code that mremap moved");
    munmap(moved, 4096);
}

static void second_mapping(void) {
    int memory = memfd_create("code", MFD_CLOEXEC);
    if (ftruncate(memory, 4096)) perror("ftruncate");
    unsigned char *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    unsigned char *executable = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, memory, 0);
    int good = 0;
    for (int i = 0; i < 300; i++) {
        size_t size = write_add(writable, i);
        flush(executable, size);
        good += as_function(executable)(7) == 7 + i;
    }
    EXPECT(good == 300, "written at one address, run at another");
    size_t size = write_add(writable, 5);
    unsigned char text[32];
    memcpy(text, writable, size);
    write_add(writable, 6);
    flush(executable, size);
    (void)as_function(executable)(1);
    EXPECT(pwrite(memory, text, size, 0) == (ssize_t)size, "code written by a system call");
    flush(executable, size);
    EXPECT(as_function(executable)(1) == 6, "is the code that runs");
    munmap(writable, 4096), munmap(executable, 4096);
    close(memory);
}

// Buffers that go on over pages with code in them: nothing is cut off in front of such a page, in a file or in a stream.
static void read_over_code(void) {
    enum { page = 4096, pages = 4 };
    unsigned char *area = map(pages * page, PROT_READ | PROT_WRITE | PROT_EXEC), content[pages * page];
    char name[] = "/tmp/check-code-XXXXXX";
    int file = mkstemp(name), ends[2], whole = 0, right = 0;
    unlink(name);
    for (int i = 0; i < pages; i++) write_add(content + i * page, 100 + i);
    if (pwrite(file, content, sizeof content, 0) != sizeof content || pipe(ends)) perror("pwrite");
    for (int how = 0; how < 5; how++) {
        for (int i = 0; i < pages; i++) write_add(area + i * page, i);
        flush(area, pages * page);
        for (int i = 1; i < pages; i++) right += as_function(area + i * page)(1000) == 1000 + i; // the first page has none yet
        struct iovec parts[2] = {{area, page + 8}, {area + page + 8, (pages - 1) * page - 8}};
        ssize_t count = 0;
        if (how == 0) lseek(file, 0, SEEK_SET), count = read(file, area, sizeof content);
        if (how == 1) count = pread(file, area, sizeof content, 0);
        if (how == 2) lseek(file, 0, SEEK_SET), count = readv(file, parts, 2);
        if (how == 3) count = preadv(file, parts, 2, 0);
        if (how == 4 && write(ends[1], content, sizeof content) == sizeof content) count = read(ends[0], area, sizeof content);
        whole += count == sizeof content;
        flush(area, pages * page);
        for (int i = 0; i < pages; i++) right += as_function(area + i * page)(1000) == 1100 + i;
    }
    EXPECT(whole == 5, "a read into pages with code is not cut off");
    EXPECT(right == 5 * (2 * pages - 1), "and what was read runs");
    close(file), close(ends[0]), close(ends[1]);
    munmap(area, pages * page);
}

static void read_into_code(void) {
    unsigned char *area = map(4096, PROT_READ | PROT_WRITE | PROT_EXEC), text[32];
    size_t size = write_add(area, 21);
    flush(area, size);
    long before = as_function(area)(1);
    int ends[2];
    if (pipe(ends)) perror("pipe");
    size = write_add(text, 22);
    EXPECT(before == 22 && write(ends[1], text, size) == (ssize_t)size && read(ends[0], area, sizeof text) == (ssize_t)size, "read into a page with code");
    flush(area, size);
    EXPECT(as_function(area)(1) == 23, "runs what was read");
    close(ends[0]), close(ends[1]);
    munmap(area, 4096);
}

#if defined(__riscv)
/// The routine stores a new instruction over one that follows in the same straight line, with the fence the manual asks for.
static void own_block(void) {
    uint32_t *area = (uint32_t *)(void *)map(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    const uint32_t words[] = {
        0x00b62023, // sw a1, 0(a2): over the addi below
        0x0000100f, // fence.i
        0x00150513, // addi a0, a0, 1: replaced
        0x00008067, // ret
    };
    memcpy(area, words, sizeof words);
    flush((unsigned char *)area, sizeof words);
    long (*patch)(long, long, uint32_t *) = (long (*)(long, long, uint32_t *))(void *)area;
    int good = 0;
    for (int i = 0; i < 100; i++) good += patch(1000, (long)((uint32_t)i << 20 | 10 << 15 | 10 << 7 | 0x13), area + 2) == 1000 + i;
    EXPECT(good == 100, "a block that rewrites its own next instruction");
    munmap(area, 4096);
}
#else
static void own_block(void) {}
#endif

static unsigned char *shared_area;
static _Atomic int wanted, acknowledged;
static void *run_what_is_there(void *unused) {
    for (int turn = 1; turn <= 100; turn++) {
        while (atomic_load_explicit(&wanted, memory_order_acquire) != turn) {}
        flush(shared_area, 16); // fence.i of the hart that runs the new code
        if (as_function(shared_area)(0) != turn) return (void *)1;
        atomic_store_explicit(&acknowledged, turn, memory_order_release);
    }
    return unused;
}

static void another_thread(void) {
    pthread_t thread;
    void *result = (void *)1;
    shared_area = map(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
    write_add(shared_area, 0);
    pthread_create(&thread, NULL, run_what_is_there, NULL);
    for (int turn = 1; turn <= 100; turn++) {
        flush(shared_area, write_add(shared_area, turn));
        atomic_store_explicit(&wanted, turn, memory_order_release);
        while (atomic_load_explicit(&acknowledged, memory_order_acquire) != turn) {
            struct timespec moment = {0, 20000};
            nanosleep(&moment, NULL);
            if (pthread_tryjoin_np(thread, &result) == 0) goto ended;
        }
    }
    pthread_join(thread, &result);
ended:
    EXPECT(result == NULL, "a thread runs what another thread wrote");
    munmap(shared_area, 4096);
}

int main(void) {
    writable_code();
    changing_protection();
    new_mapping();
    second_mapping();
    read_into_code();
    read_over_code();
    own_block();
    another_thread();
    return conclude();
}

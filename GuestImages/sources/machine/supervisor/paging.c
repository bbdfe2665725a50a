// Address translation in every mode that the processor has: permissions, large pages, accessed and dirty, remapping, faults.
#include "../runtime/machine.h"

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
#define SUM (1ul << 18)
#define MXR (1ul << 19)
#define GIGABYTE (1ul << 30)
#define MEGABYTES2 (1ul << 21)

extern u8 lower_start[], lower_end[], lower_data_start[], lower_data_end[];

static u64 tables[32][512] __attribute__((aligned(4096)));
static int tables_used;
static u64 *root;
static int levels;
static u8 pages[4][4096] __attribute__((aligned(4096)));
static u8 large[2 * MEGABYTES2] __attribute__((aligned(4096)));

static u64 *new_table(void) {
    fill_bytes(tables[tables_used], 0, 4096);
    return tables[tables_used++];
}

// The entry for an address at a level; 0 is the last level.
static u64 *entry(u64 address, int level) {
    u64 *table = root;
    for (int at = levels - 1; at > level; at--) {
        u64 *slot = &table[address >> (12 + 9 * at) & 511];
        if (!(*slot & V)) *slot = (u64)new_table() >> 12 << 10 | V;
        table = (u64 *)(*slot >> 10 << 12);
    }
    return &table[address >> (12 + 9 * level) & 511];
}

static void map(u64 address, const void *target, u64 flags, int level) {
    *entry(address, level) = (u64)target >> 12 << 10 | flags;
    asm volatile("sfence.vma" : : : "memory");
}

static i64 load_cause(u64 address) { return CAUSE_OF((void)read64(address)); }
static i64 store_cause(u64 address) { return CAUSE_OF(write64(address, 0x55)); }
static i64 fetch_cause(u64 address) { return CAUSE_OF(((void (*)(void))address)()); }

static i64 user_loads(u64 address) __attribute__((section(".lower.text")));
static i64 user_loads(u64 address) { return (i64)*(volatile u64 *)address; }
static i64 user_counts(u64 count) __attribute__((section(".lower.text")));
static i64 user_counts(u64 count) { i64 sum = 0; for (u64 i = 1; i <= count; i++) { sum += i; asm volatile("" : "+r"(sum)); } return sum; }
static i64 user_reads_satp(u64 unused) __attribute__((section(".lower.text")));
static i64 user_reads_satp(u64 unused) { (void)unused; asm volatile("csrr t0, satp" : : : "t0"); return 0; }

static void permissions(u64 window) {
    u64 code = window + 0x3000;
    *(u64 *)pages[0] = 0x1111, *(u64 *)pages[1] = 0x2222;
    *(u32 *)pages[2] = 0x00008067; // ret
    asm volatile("fence.i" : : : "memory");
    map(window, pages[0], V | R | W | A | D, 0);
    map(window + 0x1000, pages[1], V | R | A, 0);
    map(window + 0x2000, pages[1], V | X | A, 0);
    map(code, pages[2], V | R | X | A, 0);
    EXPECT(read64(window) == 0x1111 && read64(window + 0x1000) == 0x2222);
    write64(window + 8, 99);
    EXPECT(*(volatile u64 *)(pages[0] + 8) == 99);
    EXPECT(store_cause(window + 0x1000) == STORE_PAGE && trap()->value == window + 0x1000);
    EXPECT(load_cause(window + 0x2000) == LOAD_PAGE);
    csr_set(sstatus, MXR);
    EXPECT(load_cause(window + 0x2000) == -1);
    csr_clear(sstatus, MXR);
    EXPECT(load_cause(window + 0x2000) == LOAD_PAGE);
    EXPECT(fetch_cause(code) == -1);
    EXPECT(fetch_cause(window) == FETCH_PAGE && trap()->value == window && trap()->pc == window);
    EXPECT(load_cause(window + 0x4000) == LOAD_PAGE && trap()->value == window + 0x4000);
    EXPECT(store_cause(window + 0x4ff8) == STORE_PAGE && trap()->value == window + 0x4ff8);
    map(window + 0x4000, pages[0], V | W | A | D, 0); // writable but not readable is reserved
    EXPECT(load_cause(window + 0x4000) == LOAD_PAGE);
    *entry(window + 0x4000, 0) = (u64)pages[0] >> 12 << 10 | V | R | W | A | D | 1ul << 60; // a reserved bit
    asm volatile("sfence.vma" : : : "memory");
    EXPECT(load_cause(window + 0x4000) == LOAD_PAGE);
    map(window + 0x4000, (void *)0x18000000, V | R | W | A | D, 0); // translated to where nothing is
    EXPECT(load_cause(window + 0x4000) == LOAD_ACCESS && trap()->value == window + 0x4000);
    // Across two pages, the second of which is not there.
    map(window + 0x1000, 0, 0, 0);
    i64 cause = CAUSE_OF((void)read64(window + 0xffd));
    EXPECT(cause == LOAD_PAGE || cause == LOAD_MISALIGNED);
}

static void accessed_and_dirty(u64 window) {
    u64 *slot = entry(window, 0);
    map(window, pages[0], V | R | W, 0);
    i64 cause = load_cause(window);
    EXPECT(cause == -1 ? (*slot & (A | D)) == A : cause == LOAD_PAGE && !(*slot & A));
    map(window, pages[0], V | R | W | A, 0);
    cause = store_cause(window);
    EXPECT(cause == -1 ? (*slot & (A | D)) == (A | D) : cause == STORE_PAGE && !(*slot & D));
    EXPECT(load_cause(window) == -1);
}

static void user_pages(u64 window) {
    map(window, pages[0], V | R | W | A | D | U, 0);
    map(window + 0x3000, pages[2], V | R | X | A | U, 0);
    EXPECT(load_cause(window) == LOAD_PAGE); // not S mode's
    csr_set(sstatus, SUM);
    EXPECT(load_cause(window) == -1);
    EXPECT(fetch_cause(window + 0x3000) == FETCH_PAGE); // never to be executed by S mode
    csr_clear(sstatus, SUM);
    EXPECT(load_cause(window) == LOAD_PAGE);
    *(volatile u64 *)pages[0] = 0x77;
    EXPECT(call_lower(USER, user_loads, window) == 0x77);
    EXPECT(call_lower(USER, user_counts, 100000) == 5000050000);
    EXPECT(call_lower(USER, user_reads_satp, 0) == -1000 - ILLEGAL);
    map(window, pages[0], V | R | W | A | D, 0);
    EXPECT(call_lower(USER, user_loads, window) == -1000 - LOAD_PAGE);
    EXPECT(call_lower(USER, user_loads, window + 0x10000) == -1000 - LOAD_PAGE);
}

static void large_pages(u64 window) {
    u64 aligned = ((u64)large + MEGABYTES2 - 1) & ~(MEGABYTES2 - 1), address = (window + GIGABYTE) & ~(MEGABYTES2 - 1);
    map(address, (void *)aligned, V | R | W | A | D, 1);
    write64(address + 0x123450, 0x4242);
    EXPECT(*(volatile u64 *)(aligned + 0x123450) == 0x4242);
    *(volatile u64 *)(aligned + MEGABYTES2 - 8) = 0x4343;
    EXPECT(read64(address + MEGABYTES2 - 8) == 0x4343);
    map(address, (void *)(aligned + 0x1000), V | R | W | A | D, 1); // a large page that is not aligned
    EXPECT(load_cause(address) == LOAD_PAGE);
    map(address, 0, 0, 1);
    EXPECT(load_cause(address) == LOAD_PAGE);
}

static void changes(u64 window) {
    *(volatile u64 *)pages[0] = 1, *(volatile u64 *)pages[1] = 2;
    for (int turn = 0; turn < 200; turn++) {
        map(window, pages[turn & 1], V | R | W | A | D, 0);
        if (read64(window) != (u64)(turn & 1) + 1) EXPECT(read64(window) == (u64)(turn & 1) + 1);
    }
    // Only this address and address space.
    *entry(window, 0) = (u64)pages[0] >> 12 << 10 | V | R | W | A | D;
    asm volatile("sfence.vma %0, zero" : : "r"(window) : "memory");
    EXPECT(read64(window) == 1);
    // Code that is changed behind its translation.
    u64 code = window + 0x3000;
    map(code, pages[2], V | R | W | X | A | D, 0);
    for (int turn = 0; turn < 50; turn++) {
        *(volatile u32 *)pages[2] = 0x00000513 | (u32)turn << 20; // li a0, turn
        *(volatile u32 *)(pages[2] + 4) = 0x00008067;
        asm volatile("fence.i" : : : "memory");
        i64 got = ((i64 (*)(void))code)();
        if (got != turn) EXPECT(got == turn);
    }
    // The same address with other code behind it, without fence.i: another page is other code.
    *(u32 *)pages[3] = 0x06400513, *(u32 *)(pages[3] + 4) = 0x00008067; // li a0, 100
    asm volatile("fence.i" : : : "memory");
    map(code, pages[3], V | R | X | A, 0);
    EXPECT(((i64 (*)(void))code)() == 100);
    map(code, pages[2], V | R | X | A, 0);
    EXPECT(((i64 (*)(void))code)() == 49);
}

// Two address spaces that agree on everything but one page.
static void address_spaces(u64 window, u64 mode) {
    u64 *first = root, *second = new_table();
    copy_bytes(second, first, 4096);
    map(window, pages[0], V | R | W | A | D, 0);
    root = second;
    *entry(window, levels - 1) = 0;
    map(window, pages[1], V | R | W | A | D, 0);
    *(volatile u64 *)pages[0] = 10, *(volatile u64 *)pages[1] = 20;
    u64 one = mode << 60 | 1ul << 44 | (u64)first >> 12, two = mode << 60 | 2ul << 44 | (u64)second >> 12;
    csr_write(satp, one);
    int has_numbers = (csr_read(satp) >> 44 & 0xffff) == 1;
    asm volatile("sfence.vma" : : : "memory");
    for (int turn = 0; turn < 100; turn++) {
        csr_write(satp, turn & 1 ? two : one);
        if (!has_numbers) asm volatile("sfence.vma" : : : "memory");
        u64 value = read64(window);
        if (value != (turn & 1 ? 20 : 10)) EXPECT(value == (u64)(turn & 1 ? 20 : 10));
    }
    EXPECT(read64(window) == 20);
    root = first;
    csr_write(satp, mode << 60 | (u64)first >> 12);
    asm volatile("sfence.vma" : : : "memory");
}

// Replaces a large page by a table of the next size. The table is whole before anybody can see it: the program runs from there.
static void split(u64 address, int level) {
    u64 *slot = entry(address, level), bytes = 1ul << (12 + 9 * (level - 1)), base = address & ~(512 * bytes - 1);
    if (!(*slot & R)) return;
    u64 *table = new_table();
    for (u64 i = 0; i < 512; i++) table[i] = (base + i * bytes) >> 12 << 10 | V | R | W | X | A | D;
    *slot = (u64)table >> 12 << 10 | V;
    asm volatile("sfence.vma" : : : "memory");
}

// Makes start ..< end pages of U mode.
static void map_for_lower(u64 start, u64 end) {
    for (u64 page = start; page < end; page += 4096) {
        split(page, 2);
        split(page, 1);
        *entry(page, 0) |= U;
    }
}

static int try_mode(u64 mode, int mode_levels) {
    levels = mode_levels;
    tables_used = 0;
    root = new_table();
    // The program where it is, with gigabyte pages; what a lower mode needs is mapped for it below.
    for (u64 start = 0; start < 8 * GIGABYTE; start += GIGABYTE) map(start, (void *)start, V | R | W | X | A | D, 2);
    csr_write(satp, 0);
    csr_write(satp, mode << 60 | (u64)root >> 12);
    asm volatile("sfence.vma" : : : "memory");
    if (csr_read(satp) >> 60 != mode) return 0;
    print("mode %u, %u levels\n", mode, (u64)levels);
    // Pages of U mode must say so: the gigabyte that holds the program becomes small pages around its parts.
    map_for_lower((u64)lower_start, (u64)lower_end);
    map_for_lower((u64)lower_data_start, (u64)lower_data_end);
    asm volatile("sfence.vma" : : : "memory");
    u64 window = 1ul << (12 + 9 * levels - 2); // in the lower half, away from the program
    permissions(window);
    accessed_and_dirty(window);
    user_pages(window);
    large_pages(window);
    changes(window);
    address_spaces(window, mode);
    // The upper half, and addresses that are neither.
    u64 high = -1ul << (12 + 9 * levels - 1);
    map(high, pages[0], V | R | W | A | D | G, 0);
    *(volatile u64 *)pages[0] = 0x9999;
    EXPECT(read64(high) == 0x9999);
    EXPECT(load_cause(high - 0x1000) == LOAD_PAGE);
    EXPECT(load_cause(1ul << (12 + 9 * levels - 1)) == LOAD_PAGE);
    EXPECT(fetch_cause(1ul << (12 + 9 * levels - 1)) == FETCH_PAGE);
    csr_write(satp, 0);
    asm volatile("sfence.vma" : : : "memory");
    return 1;
}

int main_hart(u64 hart, const void *tree) {
    (void)hart, (void)tree;
    int modes = try_mode(8, 3) + try_mode(9, 4) + try_mode(10, 5);
    print("%u of 3 modes\n", (u64)modes);
    EXPECT(modes >= 1);
    // A mode that does not exist leaves the register as it was.
    csr_write(satp, 0);
    csr_write(satp, 5ul << 60 | 1);
    EXPECT(csr_read(satp) == 0);
    return 0;
}

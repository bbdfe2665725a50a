// Pages and address spaces (Sv39). The kernel lives at physical addresses, mapped for itself in every address space.
#include "kernel.h"

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
extern u8 image_end[];
extern const u8 user_image[], user_image_end[];
static u64 next_page, *free_pages, pages_out;

void *take_page(void) {
    u64 *page = free_pages;
    if (page) free_pages = (u64 *)*page;
    else {
        if (!next_page) next_page = ((u64)image_end + 4095) & ~4095ul;
        if (next_page + 4096 > machine.memory_start + machine.memory_bytes / 2) { print("FAILED  out of memory\n"); power_off(1); }
        page = (u64 *)next_page;
        next_page += 4096;
    }
    pages_out++;
    fill_bytes(page, 0, 4096);
    return page;
}

void give_page(void *page) {
    *(u64 *)page = (u64)free_pages;
    free_pages = page;
    pages_out--;
}

u64 pages_in_use(void) { return pages_out; }

static u64 *entry(u64 *root, u64 address, int allocate) {
    u64 *table = root;
    for (int level = 2; level > 0; level--) {
        u64 *slot = &table[address >> (12 + 9 * level) & 511];
        if (!(*slot & V)) {
            if (!allocate) return 0;
            *slot = (u64)take_page() >> 12 << 10 | V;
        }
        table = (u64 *)(*slot >> 10 << 12);
    }
    return &table[address >> 12 & 511];
}

u64 *new_space(void) {
    u64 *root = take_page();
    for (u64 gigabyte = 0; gigabyte < 4; gigabyte++) root[gigabyte] = gigabyte << 28 | V | R | W | X | A | D | G;
    for (u64 offset = 0; offset < (u64)(user_image_end - user_image); offset += 4096) {
        u8 *page = take_page();
        copy_bytes(page, user_image + offset, 4096);
        *entry(root, USER_IMAGE + offset, 1) = (u64)page >> 12 << 10 | V | R | W | X | U | A | D;
    }
    return root;
}

void map_fresh(u64 *root, u64 address) { *entry(root, address, 1) = (u64)take_page() >> 12 << 10 | V | R | W | U | A | D; }

// Where a process may read; 0 when it may not.
const u8 *user_pointer(u64 *root, u64 address) {
    u64 *slot = address >= USER_IMAGE && address < USER_STACK ? entry(root, address, 0) : 0;
    return slot && (*slot & (V | U)) == (V | U) ? (const u8 *)(*slot >> 10 << 12) + (address & 4095) : 0;
}

static void drop_table(u64 *table, int level) {
    for (int index = 0; index < 512; index++) {
        if (!(table[index] & V) || table[index] & G) continue;
        void *next = (void *)(table[index] >> 10 << 12);
        if (level > 0) drop_table(next, level - 1);
        else give_page(next);
    }
    give_page(table);
}

void drop_space(u64 *root) { drop_table(root, 2); }

// Reads what the programs need to know from the device tree (Devicetree specification 0.4, chapter 5), and calls the program.
#include "machine.h"

struct machine machine;

static u32 big_endian(const u8 *bytes) { return (u32)bytes[0] << 24 | (u32)bytes[1] << 16 | (u32)bytes[2] << 8 | bytes[3]; }

static int same(const char *left, const char *right) {
    while (*left && *left == *right) left++, right++;
    return *left == *right;
}

static int begins(const char *text, const char *start) {
    while (*start && *text == *start) text++, start++;
    return !*start;
}

static void read_tree(const u8 *tree) {
    const u8 *at = tree + big_endian(tree + 8);
    const char *strings = (const char *)tree + big_endian(tree + 12);
    int depth = 0, in_memory = 0, in_cpus = 0;
    for (;;) {
        u32 token = big_endian(at);
        at += 4;
        if (token == 1) { // a node begins
            const char *name = (const char *)at;
            u64 length = 0;
            while (name[length]) length++;
            depth++;
            if (depth == 2) in_memory = begins(name, "memory@"), in_cpus = same(name, "cpus");
            if (depth == 3 && in_cpus && begins(name, "cpu@")) machine.harts++;
            at += (length + 4) & ~3ul;
        } else if (token == 2) {
            depth--;
        } else if (token == 3) { // a property
            u32 length = big_endian(at);
            const char *name = strings + big_endian(at + 4);
            at += 8;
            if (depth == 2 && in_memory && same(name, "reg")) {
                machine.memory_start = (u64)big_endian(at) << 32 | big_endian(at + 4);
                machine.memory_bytes = (u64)big_endian(at + 8) << 32 | big_endian(at + 12);
            }
            at += (length + 3) & ~3ul;
        } else if (token == 9) {
            return;
        }
    }
}

void run_main(u64 hart, const u8 *tree) {
    machine.boot_hart = hart;
    if (big_endian(tree) != 0xd00dfeed) {
        print("FAILED  no device tree at %x\n", (u64)tree);
        power_off(1);
    }
    read_tree(tree);
    power_off(main_hart(hart, tree));
}

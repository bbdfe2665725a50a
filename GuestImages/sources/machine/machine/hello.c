// The least: says hello, and what machine the device tree describes.
#include "../runtime/machine.h"

int main_hart(u64 hart, const void *tree) {
    (void)hart, (void)tree;
    print("Hello from machine mode.\n");
    print("%u harts, %u MiB at %x\n", machine.harts, machine.memory_bytes >> 20, machine.memory_start);
    return 0;
}

// A small kernel: processes with address spaces of their own, preempted by the timer, on all harts.
#pragma once
#include "../runtime/machine.h"
#include "calls.h"

enum state { FREE, READY, RUNNING, WAITING, SLEEPING, ENDED };

struct process {
    u8 stack[4096 - FRAME_BYTES - 16]; // the kernel's, for traps out of this process
    struct frame frame;
    u64 start[2];
    enum state state;
    u64 pid, parent, waits_for, wakes_at, heap_end, *root, floats[33], harts_seen;
    i64 status;
};

_Static_assert(sizeof(struct process) % 16 == 0, "stacks are aligned");

void *take_page(void);
void give_page(void *page);
u64 pages_in_use(void);
u64 *new_space(void);
void drop_space(u64 *root);
void map_fresh(u64 *root, u64 address);
const u8 *user_pointer(u64 *root, u64 address);

_Noreturn void go_to(struct frame *frame);
_Noreturn void on_own_stack(void (*function)(void));
void save_floats(u64 *floats);
void restore_floats(const u64 *floats);

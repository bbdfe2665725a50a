// Several harts: software interrupts to each other, reservations, atomic operations, and code that another hart changes.
#include "../runtime/machine.h"

#define MSIP(hart) (CLINT + 4 * (hart))
enum { ROUNDS = 20000 };

static volatile u64 arrived, go, finished, signals[MAXIMUM_HARTS];
static u64 reserved, added, locked, lock;
static u32 narrow;
static volatile u32 mailbox, mailbox_full;

static int on_interrupt(u64 number, struct frame *frame) {
    (void)frame;
    if (number != MACHINE_SOFTWARE) return 0;
    write32(MSIP(current_hart()), 0);
    full_fence();
    signals[current_hart()]++;
    return 1;
}

static void contend(void) {
    for (int round = 0; round < ROUNDS; round++) {
        u64 value, failed;
        do asm volatile("lr.d.aq %0, (%2)\naddi %0, %0, 1\nsc.d.rl %1, %0, (%2)" : "=&r"(value), "=&r"(failed) : "r"(&reserved) : "memory");
        while (failed);
        __atomic_add_fetch(&added, 3, __ATOMIC_RELAXED);
        __atomic_add_fetch(&narrow, 1, __ATOMIC_RELAXED);
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) pause_hart();
        locked = locked + 1;
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
}

static void work(u64 hart) {
    csr_set(mie, 1 << MACHINE_SOFTWARE);
    csr_set(mstatus, 8);
    __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
    sleep_until(mstatus, 8, go);
    contend();
    // Passing a value back and forth, which only works when stores become visible in order.
    if (hart == 1) {
        for (u32 turn = 1; turn <= 200; turn++) {
            while (!__atomic_load_n(&mailbox_full, __ATOMIC_ACQUIRE)) pause_hart();
            u32 value = mailbox;
            mailbox = value + 1;
            __atomic_store_n(&mailbox_full, 0, __ATOMIC_RELEASE);
        }
    }
    __atomic_add_fetch(&finished, 1, __ATOMIC_SEQ_CST);
}

int main_hart(u64 hart, const void *tree) {
    (void)tree;
    u64 others = machine.harts - 1;
    if (hart != 0 || others == 0) {
        print("ok      one hart only: nothing to do\n");
        return 0;
    }
    interrupt_handler = on_interrupt;
    start_hart(1, work);
    await(arrived >= others);
    EXPECT(arrived == others);
    go = 1;
    full_fence();
    for (u64 other = 1; other <= others; other++) write32(MSIP(other), 1);
    contend();
    for (u32 turn = 0; turn < 200; turn++) {
        mailbox = 2 * turn;
        __atomic_store_n(&mailbox_full, 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&mailbox_full, __ATOMIC_ACQUIRE)) pause_hart();
        if (mailbox != 2 * turn + 1) EXPECT(mailbox == 2 * turn + 1);
    }
    await(finished >= others);
    EXPECT(finished == others);
    EXPECT(reserved == machine.harts * ROUNDS);
    EXPECT(added == machine.harts * ROUNDS * 3);
    EXPECT(narrow == machine.harts * ROUNDS);
    EXPECT(locked == machine.harts * ROUNDS);
    EXPECT(signals[1] == 1);

    // A reservation is lost to the store of another hart, and to an sc elsewhere.
    u64 value, failed;
    asm volatile("lr.d %0, (%2)\nsc.d %1, %0, (%3)\nsc.d %1, %0, (%2)" : "=&r"(value), "=&r"(failed) : "r"(&reserved), "r"(&added) : "memory");
    EXPECT(failed != 0);
    asm volatile("sc.d %0, zero, (%1)" : "=r"(failed) : "r"(&reserved) : "memory");
    EXPECT(failed != 0 && reserved == machine.harts * ROUNDS);
    return 0;
}

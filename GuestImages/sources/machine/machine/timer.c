// Time, the timer of the board, software interrupts, vectors, and waiting.
#include "../runtime/machine.h"

#define MTIME (CLINT + 0xbff8)
#define MTIMECMP(hart) (CLINT + 0x4000 + 8 * (hart))
#define MSIP(hart) (CLINT + 4 * (hart))
#define MIE 0x8ul

static volatile u64 timer_count, software_count, vectored_count;

static int on_interrupt(u64 number, struct frame *frame) {
    (void)frame;
    if (number == MACHINE_TIMER) {
        timer_count++;
        write64(MTIMECMP(current_hart()), -1);
        return 1;
    }
    if (number == MACHINE_SOFTWARE) {
        software_count++;
        write32(MSIP(current_hart()), 0);
        return 1;
    }
    return 0;
}

// Entries 0…11 of a vectored table: only the one for the timer is meant to be used.
__attribute__((naked, aligned(256))) static void vectors(void) {
    asm volatile(".option push\n.option norvc\n"
                 ".rept 7\nj trap_entry\n.endr\n"
                 "j 1f\n"
                 ".rept 8\nj trap_entry\n.endr\n"
                 ".option pop\n"
                 "1: csrw mscratch, t0\n"
                 "la t0, vectored_seen\nsd t0, 0(t0)\n"
                 "csrr t0, mscratch\ncsrw mscratch, zero\n"
                 "j trap_entry\n");
}
volatile u64 vectored_seen;

int main_hart(u64 hart, const void *tree) {
    (void)tree;
    interrupt_handler = on_interrupt;
    u64 first = read64(MTIME), second = now(), third = read64(MTIME);
    EXPECT(first <= second && second <= third && third - first < 10000000);
    u64 start = now();
    while (now() == start) pause_hart();
    EXPECT(now() > start);
    EXPECT(read32(MTIME) <= (u32)read64(MTIME) || read32(MTIME + 4) < read64(MTIME) >> 32);

    // Level: pending while the time is reached, gone when it is moved.
    write64(MTIMECMP(hart), 0);
    EXPECT(csr_read(mip) & 1 << MACHINE_TIMER);
    write64(MTIMECMP(hart), -1);
    EXPECT(!(csr_read(mip) & 1 << MACHINE_TIMER));
    write32(MTIMECMP(hart) + 4, 0);
    write32(MTIMECMP(hart), 0);
    EXPECT(read64(MTIMECMP(hart)) == 0 && csr_read(mip) & 1 << MACHINE_TIMER);
    write64(MTIMECMP(hart), -1);

    write32(MSIP(hart), 0xffffffff);
    EXPECT(read32(MSIP(hart)) == 1);
    EXPECT(csr_read(mip) & 1 << MACHINE_SOFTWARE);
    csr_set(mie, 1 << MACHINE_SOFTWARE | 1 << MACHINE_TIMER);
    csr_set(mstatus, MIE);
    EXPECT(software_count == 1 && read32(MSIP(hart)) == 0);

    // A busy host may be late, but not always.
    u64 early = 0, lateness = -1ul, rounds = 0;
    for (; rounds < 5 || (rounds < 100 && lateness >= 10000000); rounds++) {
        u64 deadline = now() + 20000;
        write64(MTIMECMP(hart), deadline);
        sleep_until(mstatus, MIE, timer_count > rounds);
        u64 end = now();
        early += end < deadline;
        if (end - deadline < lateness) lateness = end - deadline;
    }
    EXPECT(early == 0 && lateness < 10000000);
    EXPECT(timer_count == rounds);

    // A loop without any system instruction is interrupted too.
    write64(MTIMECMP(hart), now() + 20000);
    u64 spins = 0;
    for (u64 seen = timer_count; timer_count == seen && spins < 4000000000ul; spins++) asm volatile("" : : : "memory");
    EXPECT(timer_count == rounds + 1);

    // wfi goes on behind itself when interrupts are off but one that is enabled is pending.
    csr_clear(mstatus, MIE);
    write64(MTIMECMP(hart), now() + 1000);
    wait_for_interrupt();
    while (!(csr_read(mip) & 1 << MACHINE_TIMER)) wait_for_interrupt();
    EXPECT(timer_count == rounds + 1);
    csr_write(mtvec, (u64)vectors | 1);
    csr_set(mstatus, MIE);
    await(timer_count >= rounds + 2);
    EXPECT(timer_count == rounds + 2 && vectored_seen != 0);
    EXPECT(CAUSE_OF(asm volatile("ebreak")) == BREAKPOINT); // exceptions go to the base

    u64 cycles = csr_read(mcycle), instructions = csr_read(minstret);
    asm volatile("nop\nnop\nnop\nnop");
    EXPECT(csr_read(mcycle) > cycles && csr_read(minstret) - instructions >= 5);
    csr_write(mcountinhibit, 5);
    instructions = csr_read(minstret);
    EXPECT(csr_read(minstret) == instructions);
    csr_write(mcountinhibit, 0);
    csr_write(minstret, 1000);
    EXPECT(csr_read(minstret) >= 1000 && csr_read(minstret) < 1000000000);
    return 0;
}

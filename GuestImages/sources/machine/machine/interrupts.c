// The interrupt controller with the serial port and the clock as its sources: priorities, thresholds, claims, M and S contexts.
#include "../runtime/machine.h"

#define PRIORITY(source) (PLIC + 4 * (source))
#define PENDING (PLIC + 0x1000)
#define ENABLE(context) (PLIC + 0x2000 + 0x80 * (context))
#define THRESHOLD(context) (PLIC + 0x200000 + 0x1000 * (context))
#define CLAIM(context) (PLIC + 0x200004 + 0x1000 * (context))
enum { UART_SOURCE = 10, RTC_SOURCE = 11, TRANSMITTER = 2 };

static volatile u64 count;
static volatile u32 claimed[4];

static int on_interrupt(u64 number, struct frame *frame) {
    (void)frame;
    if (number != MACHINE_EXTERNAL) return 0;
    u32 source = read32(CLAIM(0));
    if (count < 4) claimed[count] = source;
    count++;
    if (source == UART_SOURCE) write8(UART + 1, 0);
    if (source == RTC_SOURCE) { write32(RTC + 0x10, 0); write32(RTC + 0x1c, 1); }
    write32(CLAIM(0), source);
    return 1;
}

static u64 clock_now(void) { u64 low = read32(RTC); return low | (u64)read32(RTC + 4) << 32; }

static void set_alarm(u64 time) {
    write32(RTC + 0x10, 1);
    write32(RTC + 0xc, time >> 32);
    write32(RTC + 0x8, (u32)time);
}

int main_hart(u64 hart, const void *tree) {
    (void)hart, (void)tree;
    interrupt_handler = on_interrupt;
    for (u32 source = 1; source < 96; source++) write32(PRIORITY(source), 0);
    write32(ENABLE(0), 1 << UART_SOURCE | 1 << RTC_SOURCE);
    write32(ENABLE(1), 0);
    write32(THRESHOLD(0), 0);
    EXPECT(read32(ENABLE(0)) == (1 << UART_SOURCE | 1 << RTC_SOURCE));
    EXPECT(read32(CLAIM(0)) == 0);

    // Priority 0 never interrupts, although it is pending.
    write8(UART + 1, TRANSMITTER);
    EXPECT(read32(PENDING) & 1 << UART_SOURCE);
    EXPECT(!(csr_read(mip) & 1 << MACHINE_EXTERNAL));
    write32(PRIORITY(UART_SOURCE), 3);
    EXPECT(csr_read(mip) & 1 << MACHINE_EXTERNAL);
    write32(THRESHOLD(0), 3);
    EXPECT(!(csr_read(mip) & 1 << MACHINE_EXTERNAL));
    write32(THRESHOLD(0), 2);
    EXPECT(csr_read(mip) & 1 << MACHINE_EXTERNAL);

    // A claim takes it; until it is completed it does not come again, and it does after that while the line is up.
    EXPECT(read32(CLAIM(0)) == UART_SOURCE);
    EXPECT(!(csr_read(mip) & 1 << MACHINE_EXTERNAL) && read32(CLAIM(0)) == 0);
    write32(CLAIM(0), UART_SOURCE);
    EXPECT((read8(UART + 2) & 0xf) == 2); // reading the cause takes the interrupt away
    write8(UART + 1, 0);
    if (read32(CLAIM(0)) == UART_SOURCE) write32(CLAIM(0), UART_SOURCE);
    write32(THRESHOLD(0), 0);
    EXPECT(read32(CLAIM(0)) == 0);

    csr_set(mie, 1 << MACHINE_EXTERNAL);
    csr_set(mstatus, 8);
    write8(UART + 1, TRANSMITTER);
    await(count >= 1);
    EXPECT(count == 1 && claimed[0] == UART_SOURCE);

    // The clock: nanoseconds that advance, and an alarm.
    u64 before = clock_now(), ticks = now();
    while (now() - ticks < 100000) pause_hart();
    u64 passed = clock_now() - before;
    EXPECT(passed >= 5000000 && passed < 5000000000ul);
    write32(PRIORITY(RTC_SOURCE), 1);
    set_alarm(clock_now() + 5000000);
    await(count >= 2);
    EXPECT(count == 2 && claimed[1] == RTC_SOURCE);

    // The higher priority is claimed first, whatever its number; equal ones by number.
    csr_clear(mstatus, 8);
    write32(PRIORITY(RTC_SOURCE), 5);
    set_alarm(clock_now());
    write8(UART + 1, TRANSMITTER);
    await((read32(PENDING) & 3 << UART_SOURCE) == 3 << UART_SOURCE);
    u32 first = read32(CLAIM(0)), second = read32(CLAIM(0));
    EXPECT(first == RTC_SOURCE && second == UART_SOURCE);
    write8(UART + 1, 0);
    write32(RTC + 0x10, 0);
    write32(RTC + 0x1c, 1);
    write32(CLAIM(0), first);
    write32(CLAIM(0), second);

    // The context of S mode raises S mode's bit.
    write32(ENABLE(0), 0);
    write32(ENABLE(1), 1 << UART_SOURCE);
    write32(THRESHOLD(1), 0);
    write8(UART + 1, TRANSMITTER);
    EXPECT((csr_read(mip) & (1 << MACHINE_EXTERNAL | 1 << SUPERVISOR_EXTERNAL)) == 1 << SUPERVISOR_EXTERNAL);
    write8(UART + 1, 0);
    return 0;
}

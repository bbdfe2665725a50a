// Every call of the SBI that a supervisor needs, and what its answers must be. Runs under the built-in firmware and under OpenSBI.
#include "../runtime/machine.h"

#define BASE 0x10
#define TIME 0x54494d45
#define IPI 0x735049
#define FENCE 0x52464e43
#define HSM 0x48534d
#define RESET 0x53525354
#define CONSOLE 0x4442434e
enum { INVALID_PARAMETER = -3, INVALID_ADDRESS = -5, ALREADY_AVAILABLE = -6, NOT_SUPPORTED = -2 };

static volatile u64 timers, softwares, started, resumed;

static int on_interrupt(u64 number, struct frame *frame) {
    (void)frame;
    if (number == SUPERVISOR_TIMER) {
        timers++;
        sbi_call(TIME, 0, -1, 0, 0, 0, 0);
        return 1;
    }
    if (number == SUPERVISOR_SOFTWARE) {
        softwares++;
        csr_clear(sip, 1 << SUPERVISOR_SOFTWARE);
        return 1;
    }
    return 0;
}

static u64 probe(u64 extension) { return sbi_call(BASE, 3, extension, 0, 0, 0, 0).value; }
static i64 status_of(u64 hart) {
    struct sbi_result result = sbi_call(HSM, 2, hart, 0, 0, 0, 0);
    return result.error ? result.error : (i64)result.value;
}

static void stops_itself(u64 hart) {
    (void)hart;
    __atomic_add_fetch(&started, 1, __ATOMIC_SEQ_CST);
    sbi_call(HSM, 1, 0, 0, 0, 0, 0);
    print("FAILED  hart_stop came back\n");
}

static void goes_on(u64 hart) {
    (void)hart;
    resumed = 1;
    csr_set(sie, 1 << SUPERVISOR_TIMER);
    csr_set(sstatus, XIE_BIT);
    await(timers >= 4);
    EXPECT(timers == 4);
    // Status 0 and reason "system failure": the machine ends with status 1, so this must be the last of a run that went well.
    EXPECT(sbi_call(RESET, 0, 7, 0, 0, 0, 0).error == INVALID_PARAMETER);
    power_off(0);
}
void secondary_start(void);

int main_hart(u64 hart, const void *tree) {
    (void)tree;
    interrupt_handler = on_interrupt;
    u64 version = sbi_call(BASE, 0, 0, 0, 0, 0, 0).value;
    print("SBI %u.%u, implementation %x, version %x\n", version >> 24 & 0x7f, version & 0xffffff,
          sbi_call(BASE, 1, 0, 0, 0, 0, 0).value, sbi_call(BASE, 2, 0, 0, 0, 0, 0).value);
    EXPECT(version >= 0x01000000);
    EXPECT(probe(BASE) && probe(TIME) && probe(IPI) && probe(FENCE) && probe(HSM) && probe(RESET));
    EXPECT(probe(0x12345678) == 0);
    EXPECT(sbi_call(0x12345678, 0, 0, 0, 0, 0, 0).error == NOT_SUPPORTED);
    EXPECT(sbi_call(BASE, 99, 0, 0, 0, 0, 0).error == NOT_SUPPORTED);

    csr_set(sie, 1 << SUPERVISOR_TIMER | 1 << SUPERVISOR_SOFTWARE);
    csr_set(sstatus, XIE_BIT);
    EXPECT(sbi_call(TIME, 0, now() + 10000, 0, 0, 0, 0).error == 0);
    await(timers >= 1);
    EXPECT(timers == 1);
    sbi_call(TIME, 0, now() + 20000, 0, 0, 0, 0);
    sleep_until(sstatus, XIE_BIT, timers >= 2);
    EXPECT(timers == 2);
    csr_clear(sstatus, XIE_BIT);
    sbi_call(TIME, 0, 0, 0, 0, 0, 0);
    EXPECT(csr_read(sip) & 1 << SUPERVISOR_TIMER);
    sbi_call(TIME, 0, -1, 0, 0, 0, 0);
    EXPECT(!(csr_read(sip) & 1 << SUPERVISOR_TIMER));
    csr_set(sstatus, XIE_BIT);

    EXPECT(sbi_call(IPI, 0, 1, hart, 0, 0, 0).error == 0);
    await(softwares >= 1);
    EXPECT(softwares == 1);
    EXPECT(sbi_call(IPI, 0, 1, 4000, 0, 0, 0).error == INVALID_PARAMETER);
    EXPECT(sbi_call(FENCE, 0, 1, hart, 0, 0, 0).error == 0);
    EXPECT(sbi_call(FENCE, 1, 0, -1, 0, 0, 0).error == 0);
    EXPECT(sbi_call(FENCE, 2, 1, hart, 0x1000, 0x1000, 1).error == 0);

    EXPECT(status_of(hart) == 0);
    EXPECT(status_of(4000) == INVALID_PARAMETER);
    EXPECT(sbi_call(HSM, 0, hart, (u64)secondary_start, 0, 0, 0).error == ALREADY_AVAILABLE);
    EXPECT(sbi_call(HSM, 0, 4000, (u64)secondary_start, 0, 0, 0).error == INVALID_PARAMETER);
    for (u64 other = 0; other < machine.harts; other++) {
        if (other == hart) continue;
        u64 before = started;
        EXPECT(status_of(other) == 1);
        EXPECT(start_hart(other, stops_itself));
        await(started >= before + 1);
        EXPECT(started == before + 1);
        await(status_of(other) == 1);
        EXPECT(status_of(other) == 1);
        EXPECT(start_hart(other, stops_itself)); // and once more
        await(started >= before + 2);
        EXPECT(started == before + 2);
    }

    // The entropy source: 16 bits each time, hardly ever the same twice.
    u64 drawn[8], alike = 0;
    for (int i = 0; i < 8; i++) {
        asm volatile("csrrw %0, 0x015, zero" : "=r"(drawn[i]));
        alike += drawn[i] >> 30 != 2 || drawn[i] & 0x3fff0000 || (i && drawn[i] == drawn[0]);
    }
    EXPECT(alike < 4);

    static char text[] = "written by the debug console\n";
    if (probe(CONSOLE)) {
        EXPECT(sbi_call(CONSOLE, 0, sizeof text - 1, (u64)text, 0, 0, 0).value == sizeof text - 1);
        EXPECT(sbi_call(CONSOLE, 2, '.', 0, 0, 0, 0).error == 0);
        EXPECT(sbi_call(CONSOLE, 1, 0, (u64)text, 0, 0, 0).value == 0);
    }
    if (probe(1)) sbi_call(1, 0, '\n', 0, 0, 0, 0);

    // Suspended until the timer; with its state, then without.
    csr_clear(sstatus, XIE_BIT);
    sbi_call(TIME, 0, now() + 20000, 0, 0, 0, 0);
    EXPECT(sbi_call(HSM, 3, 0, 0, 0, 0, 0).error == 0);
    csr_set(sstatus, XIE_BIT);
    await(timers >= 3);
    EXPECT(timers == 3);
    EXPECT(sbi_call(HSM, 3, 1, 0, 0, 0, 0).error < 0); // a reserved kind of suspending
    csr_clear(sstatus, XIE_BIT);
    sbi_call(TIME, 0, now() + 20000, 0, 0, 0, 0);
    struct sbi_result result = sbi_call(HSM, 3, 0x80000000, (u64)secondary_start, (u64)goes_on, 0, 0);
    EXPECT(result.error == 0 && resumed); // never reached when it works
    return 1;
}

// Exceptions in M mode, and of S and U mode: causes, values, delegation, privileges, physical memory protection.
#include "../runtime/machine.h"

#define MPP 0x1800ul
#define MIE 0x8ul
#define MPIE 0x80ul
#define TVM (1ul << 20)
#define TW (1ul << 21)
#define TSR (1ul << 22)
#define MPRV (1ul << 17)
#define NOWHERE 0x18000000ul

static u64 scratch[4] __attribute__((aligned(64)));
static void jump(u64 address) { ((void (*)(void))address)(); }

static void own_exceptions(void) {
    EXPECT(CAUSE_OF(asm volatile(".word 0xffffffff")) == ILLEGAL);
    EXPECT(trap()->value == 0 || trap()->value == 0xffffffff);
    EXPECT(CAUSE_OF(asm volatile(".half 0")) == ILLEGAL);
    EXPECT(CAUSE_OF(asm volatile("csrw cycle, zero")) == ILLEGAL); // a read-only register
    EXPECT(CAUSE_OF(asm volatile("csrr t0, 0x5c0" : : : "t0")) == ILLEGAL); // no such register
    EXPECT(CAUSE_OF(asm volatile("ecall")) == CALL_FROM_MACHINE);
    EXPECT(CAUSE_OF(asm volatile("ebreak")) == BREAKPOINT);
    EXPECT(CAUSE_OF((void)read32(NOWHERE)) == LOAD_ACCESS && trap()->value == NOWHERE);
    EXPECT(CAUSE_OF(write8(NOWHERE + 3, 1)) == STORE_ACCESS && trap()->value == NOWHERE + 3);
    EXPECT(CAUSE_OF(jump(NOWHERE)) == FETCH_ACCESS && trap()->value == NOWHERE && trap()->pc == NOWHERE);
    u64 address = (u64)scratch + 1, value;
    i64 cause = CAUSE_OF(asm volatile("lr.d %0, (%1)" : "=r"(value) : "r"(address) : "memory"));
    EXPECT(cause == LOAD_MISALIGNED || cause == LOAD_ACCESS);
    cause = CAUSE_OF(asm volatile("amoadd.d %0, %0, (%1)" : "+r"(value) : "r"(address) : "memory"));
    EXPECT(cause == STORE_MISALIGNED || cause == STORE_ACCESS);
    scratch[0] = 0x8877665544332211, scratch[1] = 0xffeeddccbbaa9988;
    cause = CAUSE_OF(value = read64((u64)scratch + 3)); // either done by hardware or a trap
    EXPECT(cause == LOAD_MISALIGNED || (cause == -1 && value == 0xaa99888877665544));
}

static void trap_state(void) {
    csr_set(mstatus, MPP);
    csr_clear(mstatus, MPIE);
    csr_set(mstatus, MIE);
    CAUSE_OF(asm volatile("ebreak"));
    u64 status = csr_read(mstatus);
    EXPECT(status & MIE);
    EXPECT(status & MPIE);
    EXPECT((status & MPP) == 0); // mret leaves the least privileged mode that there is
    csr_clear(mstatus, MIE);
    csr_write(mepc, (u64)scratch | 1);
    EXPECT(csr_read(mepc) == (u64)scratch);
    u64 isa = csr_read(misa);
    EXPECT(isa >> 62 == 2);
    EXPECT((isa & 0x14112d) == 0x14112d); // A C D F I M S U
    csr_write(mtvec, csr_read(mtvec));
    EXPECT(csr_read(mvendorid) == 0 || csr_read(marchid) != 0);
    EXPECT(csr_read(mhartid) == current_hart());
}

// MARK: Lower modes. What runs there says -1000 - cause when it traps.

#define LOWER(name, statement) static i64 name(u64 argument) { (void)argument; statement; return 7; }
LOWER(nothing, )
LOWER(reads_mstatus, asm volatile("csrr t0, mstatus" : : : "t0"))
LOWER(reads_sstatus, asm volatile("csrr t0, sstatus" : : : "t0"))
LOWER(reads_satp, asm volatile("csrr t0, satp" : : : "t0"))
LOWER(fences, asm volatile("sfence.vma"))
LOWER(waits, asm volatile("wfi"))
LOWER(returns_from_supervisor, asm volatile("sret"))
LOWER(returns_from_machine, asm volatile("mret"))
LOWER(calls, asm volatile("li a7, 1\necall" : : : "a7"))
LOWER(reads_time, asm volatile("csrr t0, time" : : : "t0"))
LOWER(draws_seed, asm volatile("csrrw t0, 0x015, zero" : : : "t0"))
LOWER(reads_cycle, asm volatile("csrr t0, cycle" : : : "t0"))
LOWER(reads_memory, (void)read64(argument))
LOWER(writes_memory, write64(argument, 5))
LOWER(jumps, ((void (*)(void))argument)())
static i64 sum(u64 argument) { return argument ? (i64)argument + sum(argument - 1) : 0; }

static void protect(int entry, u64 address, u64 configuration) {
    u64 shift = 8 * entry, all = csr_read(pmpcfg0);
    if (entry == 0) csr_write(pmpaddr0, address);
    if (entry == 1) csr_write(pmpaddr1, address);
    if (entry == 2) csr_write(pmpaddr2, address);
    csr_write(pmpcfg0, (all & ~(0xfful << shift)) | configuration << shift);
    asm volatile("sfence.vma");
}
static u64 natural(u64 address, u64 bytes) { return address >> 2 | (bytes / 8 - 1); }

static void lower_modes(void) {
    csr_write(mcounteren, 0);
    protect(2, natural(0, 1ul << 55), 0x1f); // everything, for everyone
    EXPECT(call_lower(USER, nothing, 0) == 7);
    EXPECT(call_lower(SUPERVISOR, nothing, 0) == 7);
    EXPECT(call_lower(USER, sum, 100) == 5050);
    EXPECT(call_lower(USER, reads_mstatus, 0) == -1000 - ILLEGAL);
    EXPECT(call_lower(SUPERVISOR, reads_mstatus, 0) == -1000 - ILLEGAL);
    EXPECT(call_lower(USER, reads_sstatus, 0) == -1000 - ILLEGAL);
    EXPECT(call_lower(SUPERVISOR, reads_sstatus, 0) == 7);
    EXPECT(call_lower(USER, calls, 0) == -1000 - CALL_FROM_USER);
    EXPECT(call_lower(SUPERVISOR, calls, 0) == -1000 - CALL_FROM_SUPERVISOR);
    EXPECT(call_lower(USER, returns_from_supervisor, 0) == -1000 - ILLEGAL);
    EXPECT(call_lower(SUPERVISOR, returns_from_machine, 0) == -1000 - ILLEGAL);
    EXPECT(call_lower(SUPERVISOR, reads_satp, 0) == 7);
    EXPECT(call_lower(SUPERVISOR, fences, 0) == 7);
    EXPECT(call_lower(USER, fences, 0) == -1000 - ILLEGAL);
    // The entropy source: for machine mode, and for whom mseccfg says, by instructions that write.
    EXPECT(CAUSE_OF(asm volatile("csrrw t0, 0x015, zero" : : : "t0")) == -1);
    EXPECT(CAUSE_OF(asm volatile("csrrs t0, 0x015, zero" : : : "t0")) == ILLEGAL);
    for (u64 bits = 0; bits < 4; bits++) {
        csr_write(0x747, bits << 8);
        EXPECT(call_lower(USER, draws_seed, 0) == (bits & 1 ? 7 : -1000 - ILLEGAL));
        EXPECT(call_lower(SUPERVISOR, draws_seed, 0) == (bits & 2 ? 7 : -1000 - ILLEGAL));
    }
    csr_write(0x747, 0);
    csr_set(mstatus, TVM | TW | TSR);
    EXPECT(call_lower(SUPERVISOR, reads_satp, 0) == -1000 - ILLEGAL);
    EXPECT(call_lower(SUPERVISOR, fences, 0) == -1000 - ILLEGAL);
    EXPECT(call_lower(SUPERVISOR, waits, 0) == -1000 - ILLEGAL);
    EXPECT(call_lower(SUPERVISOR, returns_from_supervisor, 0) == -1000 - ILLEGAL);
    csr_clear(mstatus, TVM | TW | TSR);
    EXPECT(call_lower(SUPERVISOR, reads_time, 0) == -1000 - ILLEGAL);
    csr_write(mcounteren, 7);
    EXPECT(call_lower(SUPERVISOR, reads_time, 0) == 7);
    csr_write(scounteren, 0);
    EXPECT(call_lower(USER, reads_cycle, 0) == -1000 - ILLEGAL);
    csr_write(scounteren, 1);
    EXPECT(call_lower(USER, reads_cycle, 0) == 7);
}

static void memory_protection(void) {
    u64 guarded = (u64)scratch & ~63ul;
    protect(0, natural(guarded, 64), 0x18); // neither read nor write nor execute
    EXPECT(call_lower(SUPERVISOR, reads_memory, guarded) == -1000 - LOAD_ACCESS);
    EXPECT(call_lower(USER, writes_memory, guarded + 8) == -1000 - STORE_ACCESS);
    EXPECT(call_lower(USER, jumps, guarded) == -1000 - FETCH_ACCESS);
    EXPECT(CAUSE_OF((void)read64(guarded)) == -1); // M mode is not bound while the entry is not locked
    csr_write(mstatus, (csr_read(mstatus) & ~MPP) | MPRV | (u64)SUPERVISOR << 11);
    u64 value;
    i64 cause = CAUSE_OF(asm volatile("ld %0, (%1)" : "=r"(value) : "r"(guarded) : "memory"));
    csr_clear(mstatus, MPRV);
    EXPECT(cause == LOAD_ACCESS);
    protect(0, natural(guarded, 64), 0x19);
    EXPECT(call_lower(SUPERVISOR, reads_memory, guarded) == 7);
    EXPECT(call_lower(SUPERVISOR, writes_memory, guarded) == -1000 - STORE_ACCESS);
    // Top of range: entry 0 is the bottom, entry 1 the top.
    protect(0, guarded >> 2, 0);
    protect(1, (guarded + 8) >> 2, 0x08);
    EXPECT(call_lower(SUPERVISOR, reads_memory, guarded) == -1000 - LOAD_ACCESS);
    EXPECT(call_lower(SUPERVISOR, reads_memory, guarded + 8) == 7);
    protect(1, 0, 0);
    EXPECT(call_lower(SUPERVISOR, reads_memory, guarded) == 7);
}

static volatile u64 delegated_cause;
__attribute__((naked, aligned(4))) static void supervisor_trap(void) {
    asm volatile("csrr a0, scause\nli a7, 93\necall");
}

static void delegation(void) {
    csr_write(stvec, (u64)supervisor_trap);
    csr_write(medeleg, 1ul << BREAKPOINT | 1ul << ILLEGAL);
    EXPECT(csr_read(medeleg) == (1ul << BREAKPOINT | 1ul << ILLEGAL));
    EXPECT(call_lower(USER, reads_mstatus, 0) == ILLEGAL); // the handler in S mode passes it on
    EXPECT(call_lower(SUPERVISOR, reads_mstatus, 0) == ILLEGAL);
    EXPECT((csr_read(sstatus) & 0x100) == 0x100); // it came from S mode
    EXPECT(call_lower(USER, reads_memory, NOWHERE) == -1000 - LOAD_ACCESS); // not delegated
    EXPECT(CAUSE_OF(asm volatile("ebreak")) == BREAKPOINT); // M mode's own are never delegated
    csr_write(medeleg, 0);
}

int main_hart(u64 hart, const void *tree) {
    (void)hart, (void)tree;
    own_exceptions();
    trap_state();
    lower_modes();
    memory_protection();
    delegation();
    return 0;
}

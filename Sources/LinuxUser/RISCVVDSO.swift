// The code of the riscv64 vDSO. Functions that programs call often read the host's clock from a control register, which takes
// a sixth of the time of a system call; the others make theirs.
//
// Rejected: a page with the parameters of the host's clock, as Linux has it. The host does not tell them, and what is
// measured instead would drift away from what the system calls return.

import GuestRISCV

enum RISCVVDSO {
    /// The first function is where signal handlers return to; unwinders know it by its very words.
    static var functions: [VDSOImage.Function] {
        [
            ("__vdso_rt_sigreturn", systemCall(139)), ("__vdso_clock_gettime", clockGetTime),
            ("__vdso_gettimeofday", getTimeOfDay),
            ("__vdso_clock_getres", systemCall(114)), ("__vdso_getcpu", systemCall(168)),
            ("__vdso_flush_icache", systemCall(259)),
            ("__vdso_riscv_hwprobe", systemCall(258)),
        ].map { name, words in
            VDSOImage.Function(
                name: name, code: words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } })
        }
    }

    /// li a7, number; ecall; ret
    private static func systemCall(_ number: Int32) -> [UInt32] {
        [add(.a7, .zero, number), ecall, ret]
    }

    /// clock_gettime(a0: clock, a1: time): seconds and nanoseconds.
    private static var clockGetTime: [UInt32] {
        let monotonic: Int32 = 1
        return [
            branch(.equal, .a0, .zero, over: 5),
            add(.t0, .zero, monotonic),
            branch(.notEqual, .a0, .t0, over: 12),
            read(HostClockRegister.monotonic, .a2),
            branch(.equal, .zero, .zero, over: 2),
            read(HostClockRegister.realTime, .a2),
        ] + splitSeconds + [
            store(.a3, .a1, 0),
            store(.a2, .a1, 8),
            add(.a0, .zero, 0),
            ret,
        ] + systemCall(113)
    }

    /// gettimeofday(a0: time, a1: zone): seconds and microseconds. The zone is the kernel's.
    private static var getTimeOfDay: [UInt32] {
        [
            branch(.notEqual, .a1, .zero, over: 13),
            branch(.equal, .a0, .zero, over: 12),
            read(HostClockRegister.realTime, .a2),
        ] + splitSeconds + [
            add(.t0, .zero, 1000),
            multiplication(.divideUnsigned, .a2, .a2, .t0),
            store(.a3, .a0, 0),
            store(.a2, .a0, 8),
            add(.a0, .zero, 0),
            ret,
        ] + systemCall(169)
    }

    /// a3 = a2 / 10^9, a2 = the rest.
    private static var splitSeconds: [UInt32] {
        let upper: UInt32 = 0x3b9ad, lower: Int32 = 0x3b9a_ca00 - 0x3b9a_d000
        return [
            upper << 12 | Register.t0.rawValue << 7 | 0x37,  // lui t0, upper
            add(.t0, .t0, lower),
            multiplication(.divideUnsigned, .a3, .a2, .t0),
            multiplication(.remainderUnsigned, .a2, .a2, .t0),
        ]
    }

    // MARK: Encodings (Volume I, "RV32/64G Instruction Set Listings")

    private enum Register: UInt32 { case zero = 0, ra = 1, t0 = 5, a0 = 10, a1, a2, a3, a7 = 17 }
    private enum Comparison: UInt32 { case equal = 0, notEqual = 1 }
    private enum Multiplication: UInt32 { case divideUnsigned = 5, remainderUnsigned = 7 }
    private static let ecall: UInt32 = 0x73, ret: UInt32 = 0x8067

    /// addi
    private static func add(_ rd: Register, _ rs1: Register, _ immediate: Int32) -> UInt32 {
        UInt32(bitPattern: immediate) << 20 | rs1.rawValue << 15 | rd.rawValue << 7 | 0x13
    }

    /// csrr
    private static func read(_ register: Int32, _ rd: Register) -> UInt32 {
        UInt32(bitPattern: register) << 20 | 2 << 12 | rd.rawValue << 7 | 0x73
    }

    /// sd
    private static func store(_ rs2: Register, _ base: Register, _ offset: UInt32) -> UInt32 {
        rs2.rawValue << 20 | base.rawValue << 15 | 3 << 12 | offset << 7 | 0x23
    }

    private static func multiplication(_ kind: Multiplication, _ rd: Register, _ rs1: Register, _ rs2: Register) -> UInt32 {
        1 << 25 | rs2.rawValue << 20 | rs1.rawValue << 15 | kind.rawValue << 12 | rd.rawValue << 7 | 0x33
    }

    /// beq or bne to the instruction `count` further on.
    private static func branch(_ comparison: Comparison, _ rs1: Register, _ rs2: Register, over count: UInt32) -> UInt32 {
        let offset = count * 4  // below 2048: bit 11 and the sign stay zero
        let low = offset >> 1 & 15, high = offset >> 5 & 63
        return high << 25 | rs2.rawValue << 20 | rs1.rawValue << 15 | comparison.rawValue << 12 | low << 8 | 0x63
    }
}

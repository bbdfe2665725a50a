// Control registers: what they hold, who may access them, which there are not.

import Guest
import Testing

@testable import GuestRISCV

@Suite struct ControlRegisterTests {
    /// Number, and the bits that remain of all ones and of zero.
    static let masks: [(UInt32, UInt64, UInt64)] = [
        (0x300, 0x8000_000a_007e_79aa, 0x0000_000a_0000_0000), (0x301, 0x8000_0000_0014_112f, 0x8000_0000_0014_112f),
        (0x302, 0xb3ff, 0), (0x303, 0x222, 0), (0x304, 0xaaa, 0), (0x306, 0xffff_ffff, 0), (0x30a, 0xe000_0000_0000_00f1, 0),
        (0x320, 0xffff_fffd, 0), (0x340, .max, 0), (0x341, .max - 1, 0), (0x342, .max, 0), (0x343, .max, 0), (0x344, 0x222, 0),
        (0x3b0, 0x003f_ffff_ffff_ffff, 0), (0x3bf, 0x003f_ffff_ffff_ffff, 0), (0x106, 0xffff_ffff, 0), (0x10a, 0xf1, 0),
        (0x140, .max, 0),
        (0x141, .max - 1, 0), (0x142, .max, 0), (0x143, .max, 0), (0x14d, .max, 0), (0x747, 0x300, 0), (0x323, 0, 0),
        (0xb03, 0, 0), (0xf11, 0, 0),
    ]

    @Test(arguments: masks) func holds(number: UInt32, ones: UInt64, zeros: UInt64) {
        let bench = HartBench()
        for (value, expected) in [(UInt64.max, ones), (0, zeros)] {
            bench.x[5] = value
            let isReadOnly = number >> 10 == 3
            #expect(
                bench.step(Code.csrrw(0, number, 5))
                    == (isReadOnly
                        ? .trap : [0x30a, 0x10a, 0x300].contains(number) || number >> 4 == 0x3b ? .modeChanged : .budget))
            #expect(bench.cause(Code.csrrs(6, number, 0)) == nil)
            #expect(bench.x[6] == expected, "0x\(String(number, radix: 16)): 0x\(String(bench.x[6], radix: 16))")
        }
    }

    @Test func whatIsAbsentIsIllegal() {
        let bench = HartBench()
        // pmpcfg1 (odd), pmpcfg4, pmpaddr16, mstatush, tselect, dcsr, AIA, mstateen0, scountovf, vsatp, vstart, seed to be read
        // only.
        for number: UInt32 in [0x3a1, 0x3a4, 0x3c0, 0x310, 0x7a0, 0x7b0, 0x350, 0x150, 0x30c, 0xda0, 0x280, 0x008, 0x015, 0xcc0] {
            #expect(bench.cause(Code.csrrs(5, number, 0)) == TrapCause.illegalInstruction)
            #expect(bench.hart.trapValue == UInt64(Code.csrrs(5, number, 0)))
        }
    }

    @Test func privilegesAreChecked() {
        for mode in [PrivilegeMode.user, .supervisor, .machine] {
            let bench = HartBench()
            bench.hart.privilege = mode
            bench.hart.contextChanged()
            for row in ControlRegisters.rows where row.number & 0xc00 != 0xc00 || row.number >> 8 == 0xf {
                let number = UInt32(row.number)
                if row.number == 0x14d || row.number == 0x015 { continue }
                let allowed = mode.rawValue >= UInt8(number >> 8 & 3)
                #expect((bench.cause(Code.csrrs(5, number, 0)) == nil) == allowed, "\(row.name) in \(mode)")
            }
        }
    }

    /// Zkr: machine mode always may, the others as `mseccfg` says, and all by instructions that write.
    @Test func entropyIsGated() {
        let bench = HartBench(), hart = bench.hart, seed: UInt32 = 0x015
        #expect(bench.cause(Code.csrrw(5, seed, 0)) == TrapCause.illegalInstruction, "there is no source")
        var drawn: UInt16 = 0xfff0
        hart.entropy = {
            drawn &+= 1
            return drawn
        }
        for (mode, configuration, allowed) in [
            (PrivilegeMode.machine, 0, true), (.supervisor, 0x100, false), (.supervisor, 0x200, true), (.user, 0x200, false),
            (.user, 0x100, true),
        ] as [(PrivilegeMode, UInt64, Bool)] {
            hart.privilege = mode
            hart.mseccfg = configuration
            hart.contextChanged()
            bench.x[6] = .max
            for encoding in [
                Code.csrrw(5, seed, 0), Code.csrrs(5, seed, 6), Code.csrrc(5, seed, 6),
                seed << 20 | 1 << 15 | 6 << 12 | 5 << 7 | 0x73,
            ] {
                bench.x[5] = 0
                let before = drawn
                #expect(bench.cause(encoding) == (allowed ? nil : TrapCause.illegalInstruction))
                #expect(drawn == (allowed ? before &+ 1 : before))
                if allowed { #expect(bench.x[5] == 2 << 30 | UInt64(drawn)) }
            }
            let before = drawn
            for encoding in [Code.csrrs(5, seed, 0), Code.csrrc(5, seed, 0), seed << 20 | 6 << 12 | 5 << 7 | 0x73] {
                #expect(bench.cause(encoding) == TrapCause.illegalInstruction)
            }
            #expect(hart.controlRegisters.contains { $0.name == "seed" } && drawn == before, "looking at it uses nothing up")
        }
    }

    @Test func countersAreGated() {
        let bench = HartBench(), hart = bench.hart
        for (mode, machine, supervisor, allowed) in [
            (PrivilegeMode.machine, 0, 0, true), (.supervisor, 0, 7, false), (.supervisor, 2, 0, true), (.user, 2, 0, false),
            (.user, 0, 2, false),
            (.user, 2, 2, true),
        ] as [(PrivilegeMode, UInt64, UInt64, Bool)] {
            hart.privilege = mode
            hart.mcounteren = machine
            hart.scounteren = supervisor
            hart.contextChanged()
            bench.clock.now = 1234
            #expect((bench.cause(Code.csrrs(5, 0xc01, 0)) == nil) == allowed)
            if allowed { #expect(bench.x[5] == 1234) }
        }
        hart.privilege = .supervisor
        hart.mcounteren = 2
        #expect(bench.cause(Code.csrrs(5, 0x14d, 0)) == TrapCause.illegalInstruction)
        hart.menvcfg = EnvironmentConfiguration.stce
        #expect(bench.cause(Code.csrrs(5, 0x14d, 0)) == nil)
    }

    @Test func translationMayBeTrapped() {
        let bench = HartBench(), hart = bench.hart
        hart.mstatus |= Status.tvm | Status.tw | Status.tsr
        hart.privilege = .supervisor
        hart.contextChanged()
        for encoding in [Code.csrrs(5, 0x180, 0), Code.sfence, Code.sinval, Code.wfi, Code.sret] {
            #expect(bench.cause(encoding) == TrapCause.illegalInstruction)
        }
        #expect(bench.cause(Code.sfenceWInval) == nil && bench.cause(Code.sfenceInvalIr) == nil)
        hart.mstatus = Status.widths
        for encoding in [Code.csrrs(5, 0x180, 0), Code.sfence, Code.sinval, Code.wfi, Code.sret] {
            #expect(bench.cause(encoding) == nil)
        }
        for encoding in [Code.mret, Code.csrrs(5, 0x300, 0)] {
            hart.privilege = .supervisor
            hart.contextChanged()
            #expect(bench.cause(encoding) == TrapCause.illegalInstruction)
        }
        hart.privilege = .user
        hart.contextChanged()
        for encoding in [Code.sret, Code.mret, Code.sfence, Code.sinval, Code.sfenceWInval, Code.sfenceInvalIr, Code.wfi] {
            #expect(bench.cause(encoding) == TrapCause.illegalInstruction)
        }
    }

    @Test func reservedModesAreIgnored() {
        let bench = HartBench(), hart = bench.hart
        _ = hart.setTranslation(9 << 60 | 5)
        _ = hart.setTranslation(11 << 60 | 6)
        #expect(hart.satp == (9 as UInt64) << 60 | 5)
        bench.x[5] = 3 << 11
        bench.step(Code.csrrs(0, 0x300, 5))
        bench.x[5] = 2 << 11
        bench.step(Code.csrrw(0, 0x300, 5))
        #expect(hart.mstatus & Status.mpp == 3 << 11)
        bench.x[5] = 0x8000_0102
        bench.step(Code.csrrw(0, 0x305, 5))
        #expect(hart.mtvec == 0x8000_0100)
    }

    /// FS: off makes floating-point instructions illegal, the first one makes it dirty.
    @Test func floatStateIsTracked() {
        let fadd: UInt32 = 0x02b5_7553, flw: UInt32 = 0x0005_a507
        for state in 0 ..< UInt64(4) {
            let bench = HartBench(), hart = bench.hart
            hart.mstatus = Status.widths | state << 13
            hart.contextChanged()
            bench.x[11] = HartBench.ram + 0x100
            for encoding in [fadd, flw, Code.csrrs(5, 3, 0)] {
                #expect(bench.cause(encoding) == (state == 0 ? TrapCause.illegalInstruction : nil))
            }
            #expect(hart.mstatus & Status.fs == (state == 0 ? 0 : Status.fs))
            bench.step(Code.csrrs(6, 0x300, 0))
            #expect(bench.x[6] >> 63 == (state == 0 ? 0 : 1))
        }
    }

    /// A line that is up is seen in `mip`, but not set by reading, changing and writing back.
    @Test func pendingBits() {
        let bench = HartBench(), hart = bench.hart
        hart.raise(HartInterrupt.supervisorExternal | HartInterrupt.machineTimer | HartInterrupt.supervisorSoftware)
        bench.x[5] = HartInterrupt.supervisorTimer
        bench.step(Code.csrrs(6, 0x344, 5))
        hart.lower(HartInterrupt.supervisorExternal | HartInterrupt.machineTimer)
        #expect(hart.pending == HartInterrupt.supervisorTimer | HartInterrupt.supervisorSoftware)
        bench.x[5] = HartInterrupt.supervisorSoftware
        bench.step(Code.csrrc(6, 0x344, 5))
        #expect(hart.pending == HartInterrupt.supervisorTimer)
        hart.menvcfg = EnvironmentConfiguration.stce
        #expect(hart.pending == 0)
        hart.setTimer(100)
        bench.clock.now = 99
        #expect(hart.pending == 0 && bench.clock.deadline == 100)
        bench.clock.now = 100
        #expect(hart.pending == HartInterrupt.supervisorTimer)
    }

    @Test func cacheBlocksAreGated() {
        let bench = HartBench(), hart = bench.hart
        bench.x[11] = HartBench.ram + 0x1000
        let operations: [(UInt32, UInt64)] = [
            (0x0045_a00f, 1 << 7), (0x0015_a00f, 1 << 6), (0x0025_a00f, 1 << 6), (0x0005_a00f, 1 << 4),
        ]
        for (encoding, bit) in operations {
            for (mode, machine, supervisor, allowed) in [
                (PrivilegeMode.machine, 0, 0, true), (.supervisor, 0, bit, false), (.supervisor, bit, 0, true),
                (.user, bit, 0, false), (.user, bit, bit, true),
            ] as [(PrivilegeMode, UInt64, UInt64, Bool)] {
                hart.privilege = mode
                hart.menvcfg = machine
                hart.senvcfg = supervisor
                hart.contextChanged()
                #expect(bench.cause(encoding) == (allowed ? nil : TrapCause.illegalInstruction))
            }
        }
        bench.x[11] = 0x1000_0000
        hart.privilege = .machine
        hart.contextChanged()
        #expect(bench.cause(0x0045_a00f) == TrapCause.storeAccessFault)
    }
}

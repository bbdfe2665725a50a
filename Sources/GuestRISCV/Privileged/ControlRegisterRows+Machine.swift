// Rows of the registers of machine mode. Volume II, 3.1 and 3.7.

import CHost
import Guest

extension ControlRegisterRows {
    mutating func addMachineInformation() {
        zero(0xf11, "mvendorid")
        zero(0xf12, "marchid")
        zero(0xf13, "mimpid")
        csr(0xf14, "mhartid", { UInt64($0.id) })
        zero(0xf15, "mconfigptr")
        // RV64 with A, B, C, D, F, I, M, S, U; fixed.
        csr(0x301, "misa", { _ in 2 << 62 | 0x14112f })
    }

    mutating func addMachineTraps() {
        csr(0x300, "mstatus", { $0.visibleStatus }) { hart, value in hart.setStatus(value, mask: Status.writable) }
        word(0x302, "medeleg", \.medeleg, mask: ControlRegisterMask.delegableExceptions)
        word(0x303, "mideleg", \.mideleg, mask: HartInterrupt.supervisor, effect: .interrupts)
        word(0x304, "mie", \.mie, mask: HartInterrupt.all, effect: .interrupts)
        csr(0x305, "mtvec", { $0.mtvec }) { hart, value in
            hart.mtvec = RISCVHart.legalVector(value, old: hart.mtvec)
            return .none
        }
        word(0x340, "mscratch", \.mscratch)
        word(0x341, "mepc", \.mepc, mask: ~1)
        word(0x342, "mcause", \.mcause)
        word(0x343, "mtval", \.mtval)
        csr(0x344, "mip", { $0.pending })
    }

    mutating func addMachineConfiguration() {
        csr(0x30a, "menvcfg", { $0.menvcfg }) { hart, value in
            hart.menvcfg = RISCVHart.legalEnvironment(value & EnvironmentConfiguration.machineWritable)
            hart.flushTranslations()
            hart.contextChanged()
            return .context
        }
        word(0x747, "mseccfg", \.mseccfg, mask: SecurityConfiguration.writable)
        word(0x306, "mcounteren", \.mcounteren, mask: ControlRegisterMask.counters)
        word(0x320, "mcountinhibit", \.mcountinhibit, mask: ControlRegisterMask.counters & ~2)
    }

    /// Zkr. Whoever only looks at the registers sees nothing of it, and uses nothing up.
    mutating func addEntropySource() {
        csr(Int(ControlRegister.seed), "seed", accessible: { $0.mayReadSeed }, { _ in 0 }, write: { _, _ in .none })
    }

    mutating func addProtection() {
        for (number, name, first) in [(0x3a0, "pmpcfg0", 0), (0x3a2, "pmpcfg2", 8)] as [(Int, StaticString, Int)] {
            csr(number, name, { $0.protection.configuration(from: first) }) { hart, value in
                hart.protection.setConfiguration(from: first, value)
                hart.flushTranslations()
                return .context
            }
        }
        let names: [StaticString] = [
            "pmpaddr0", "pmpaddr1", "pmpaddr2", "pmpaddr3", "pmpaddr4", "pmpaddr5", "pmpaddr6", "pmpaddr7", "pmpaddr8",
            "pmpaddr9",
            "pmpaddr10", "pmpaddr11", "pmpaddr12", "pmpaddr13", "pmpaddr14", "pmpaddr15",
        ]
        for (index, name) in names.enumerated() {
            csr(0x3b0 + index, name, { $0.protection.addresses[index] }) { hart, value in
                hart.protection.setAddress(index, value)
                hart.flushTranslations()
                return .context
            }
        }
    }

    /// The counters of other events count nothing.
    mutating func addMachineCounters() {
        csr(0xb00, "mcycle", { $0.cycles }) { hart, value in
            hart.cycleOffset = value &- hart.cycles &+ hart.cycleOffset
            return .none
        }
        csr(0xb02, "minstret", { $0.retired }) { hart, value in
            hart.retiredOffset = value &- hart.retired &+ hart.retiredOffset
            return .none
        }
        for index in 3 ... 31 {
            zero(0xb00 + index, "mhpmcounter")
            zero(0x320 + index, "mhpmevent")
        }
    }
}

extension RISCVHart {
    /// Whether the present mode may read `seed`, where there is a source at all.
    var mayReadSeed: Bool {
        guard entropy != nil else { return false }
        return switch privilege {
        case .machine: true
        case .supervisor: mseccfg & SecurityConfiguration.supervisorSeed != 0
        case .user: mseccfg & SecurityConfiguration.userSeed != 0
        }
    }

    /// The next value of `seed`.
    var nextSeed: UInt64 { Seed.ready | UInt64(entropy?() ?? 0) }

    /// Bits of `mip` that machine mode writes; see `modifyPending` in the interpreter.
    var machineWritablePending: UInt64 {
        let software = HartInterrupt.supervisorSoftware | HartInterrupt.supervisorExternal
        return menvcfg & EnvironmentConfiguration.stce != 0 ? software : software | HartInterrupt.supervisorTimer
    }

    /// `mstatus`.
    var visibleStatus: UInt64 { mstatus & Status.fs == Status.fs ? mstatus | Status.sd : mstatus }

    func setStatus(_ value: UInt64, mask: UInt64) -> ControlRegisterEffect {
        let old = mstatus
        mstatus = old & ~mask | value & mask
        // There is no mode 2.
        if mstatus >> Status.mppShift & 3 == 2 { mstatus = mstatus & ~Status.mpp | old & Status.mpp }
        let changed = old ^ mstatus
        if changed & Status.mxr != 0 { flushTranslations() }
        // S's table holds no pages of U, and U's does not depend on SUM.
        let contextBits = Status.fs | Status.mprv | Status.mpp | Status.sum | Status.mxr
        if changed & contextBits == 0 { return .interrupts }
        contextChanged()
        return .context
    }

    /// Modes above "vectored" are reserved: such a write keeps the old one.
    static func legalVector(_ value: UInt64, old: UInt64) -> UInt64 { value & 2 != 0 ? value & ~3 | old & 3 : value }

    /// CBIE 2 is reserved.
    static func legalEnvironment(_ value: UInt64) -> UInt64 {
        value & EnvironmentConfiguration.cbie == 2 << 4 ? value & ~EnvironmentConfiguration.cbie : value
    }

    /// `mcycle`: an instruction takes a cycle.
    var cycles: UInt64 { (mcountinhibit & 1 != 0 ? 0 : counted) &+ cycleOffset }
    var retired: UInt64 { (mcountinhibit & 4 != 0 ? 0 : counted) &+ retiredOffset }
    private var counted: UInt64 { countsHostCycles ? mynah_cycle_counter() : countedInstructions?() ?? executed?.pointee ?? 0 }

    /// Whether the counter with this number may be read in the present mode.
    func mayRead(counter: UInt64) -> Bool {
        if privilege == .machine { return true }
        if mcounteren >> counter & 1 == 0 { return false }
        return privilege == .supervisor || scounteren >> counter & 1 != 0
    }
}

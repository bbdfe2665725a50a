// Rows of the registers of supervisor and user mode. Volume II, 12.1, and the chapters of Sstc and Zicntr.

import Guest

extension ControlRegisterRows {
    mutating func addSupervisor() {
        csr(0x100, "sstatus", { $0.visibleStatus & Status.supervisorVisible }) { hart, value in
            hart.setStatus(value, mask: Status.supervisorWritable)
        }
        csr(0x104, "sie", { $0.mie & $0.mideleg }) { hart, value in
            hart.mie = hart.mie & ~hart.mideleg | value & hart.mideleg
            return .interrupts
        }
        csr(0x105, "stvec", { $0.stvec }) { hart, value in
            hart.stvec = RISCVHart.legalVector(value, old: hart.stvec)
            return .none
        }
        word(0x106, "scounteren", \.scounteren, mask: ControlRegisterMask.counters)
        csr(0x10a, "senvcfg", { $0.senvcfg }) { hart, value in
            let new = RISCVHart.legalEnvironment(value & EnvironmentConfiguration.supervisorWritable)
            if new == hart.senvcfg { return .none }
            hart.senvcfg = new
            // Translations differ by what it permits.
            hart.flushTranslations()
            hart.contextChanged()
            return .context
        }
        word(0x140, "sscratch", \.sscratch)
        word(0x141, "sepc", \.sepc, mask: ~1)
        word(0x142, "scause", \.scause)
        word(0x143, "stval", \.stval)
        csr(0x144, "sip", { $0.pending & $0.mideleg })
        csr(0x180, "satp", accessible: { !($0.privilege == .supervisor && $0.mstatus & Status.tvm != 0) }, { $0.satp }) {
            hart, value in
            hart.setTranslation(value)
        }
        csr(
            0x14d, "stimecmp",
            accessible: { hart in
                let isDelegated = hart.mcounteren & 2 != 0 && hart.menvcfg & EnvironmentConfiguration.stce != 0
                return hart.privilege == .machine || isDelegated
            }, { $0.stimecmp }
        ) { hart, value in
            hart.setTimer(value)
            return .interrupts
        }
    }

    mutating func addUserCounters() {
        counter(0, "cycle") { $0.cycles }
        counter(1, "time") { $0.clock.time() }
        counter(2, "instret") { $0.retired }
        for index in 3 ... 31 { counter(index, "hpmcounter") { _ in 0 } }
    }

    private mutating func counter(_ index: Int, _ name: StaticString, _ read: @escaping (RISCVHart) -> UInt64) {
        csr(0xc00 + index, name, accessible: { $0.mayRead(counter: UInt64(index)) }, read) { _, _ in .none }
    }
}

extension RISCVHart {
    /// `satp`: a mode that there is not changes nothing.
    func setTranslation(_ value: UInt64) -> ControlRegisterEffect {
        let mode = value >> 60
        guard mode == 0 || (mode >= 8 && mode <= 10) else { return .none }
        if value == satp { return .none }
        let modeBefore = satp >> 60
        satp = value
        // Entries do not say of which address space they are: flushing more than software asks for is always right.
        if mode == modeBefore { flushLocalTranslations() } else { flushTranslations() }
        return .context
    }
}

// Everything that makes a hart go on elsewhere as if nothing had happened: registers, control registers, counters, what is
// pending. Look-aside buffers and decoded code are not part of it.
//
// A new register belongs here; a test goes over the rows of `ControlRegisters` and finds those that are forgotten.

import CHost
import Guest

package struct RISCVHartState: Codable, Equatable, Sendable {
    /// x0…x31, f0…f31.
    package var registers: [UInt64]
    package var programCounter: UInt64
    package var fcsr: UInt32
    /// All ones for none.
    package var reservationAddress: UInt64
    package var reservationValue: UInt64
    package var privilege: UInt8

    package var mstatus: UInt64, mie: UInt64, medeleg: UInt64, mideleg: UInt64
    package var mtvec: UInt64, mscratch: UInt64, mepc: UInt64, mcause: UInt64, mtval: UInt64
    package var mcounteren: UInt64, menvcfg: UInt64, mseccfg: UInt64, mcountinhibit: UInt64
    package var stvec: UInt64, sscratch: UInt64, sepc: UInt64, scause: UInt64, stval: UInt64
    package var scounteren: UInt64, senvcfg: UInt64, satp: UInt64, stimecmp: UInt64
    package var pmpConfigurations: [UInt8]
    package var pmpAddresses: [UInt64]
    /// What `mcycle` and `minstret` show.
    package var cycles: UInt64, retired: UInt64
    /// Bits of `mip` that software has set, and SSIP. Those of devices follow from the devices.
    package var softwarePending: UInt64
}

extension RISCVHart {
    /// While the hart does not run. Setting it also forgets all translations; the interrupt lines of devices stay as they are.
    package var savedState: RISCVHartState {
        get {
            let file = RISCVState(state), tail = file.tail.pointee
            return RISCVHartState(
                registers: (0..<64).map { file.words[$0] }, programCounter: file.programCounter, fcsr: file.fcsr,
                reservationAddress: tail.reservationAddress, reservationValue: tail.reservationValue,
                privilege: privilege.rawValue,
                mstatus: mstatus, mie: mie, medeleg: medeleg, mideleg: mideleg, mtvec: mtvec, mscratch: mscratch, mepc: mepc,
                mcause: mcause,
                mtval: mtval, mcounteren: mcounteren, menvcfg: menvcfg, mseccfg: mseccfg, mcountinhibit: mcountinhibit,
                stvec: stvec, sscratch: sscratch, sepc: sepc, scause: scause, stval: stval, scounteren: scounteren,
                senvcfg: senvcfg, satp: satp, stimecmp: stimecmp,
                pmpConfigurations: protection.configurations, pmpAddresses: protection.addresses, cycles: cycles,
                retired: retired,
                softwarePending: softwarePending | (linesRaised & HartInterrupt.supervisorSoftware))
        }
        set {
            let file = RISCVState(state)
            for index in 1..<64 { file.words[index] = newValue.registers[index] }
            file.programCounter = newValue.programCounter
            file.fcsr = newValue.fcsr
            file.tail.pointee.reservationAddress = newValue.reservationAddress
            file.tail.pointee.reservationValue = newValue.reservationValue
            privilege = PrivilegeMode(rawValue: newValue.privilege) ?? .machine
            (mstatus, mie, medeleg, mideleg) = (newValue.mstatus, newValue.mie, newValue.medeleg, newValue.mideleg)
            (mtvec, mscratch, mepc, mcause, mtval) = (
                newValue.mtvec, newValue.mscratch, newValue.mepc, newValue.mcause, newValue.mtval
            )
            (mcounteren, menvcfg, mseccfg) = (newValue.mcounteren, newValue.menvcfg, newValue.mseccfg)
            mcountinhibit = newValue.mcountinhibit
            (stvec, sscratch, sepc, scause, stval) = (
                newValue.stvec, newValue.sscratch, newValue.sepc, newValue.scause, newValue.stval
            )
            (scounteren, senvcfg, satp) = (newValue.scounteren, newValue.senvcfg, newValue.satp)
            protection = PhysicalMemoryProtection(addresses: newValue.pmpAddresses, configurations: newValue.pmpConfigurations)
            cycleOffset = newValue.cycles &- (cycles &- cycleOffset)
            retiredOffset = newValue.retired &- (retired &- retiredOffset)
            let pendingBits = HartInterrupt.supervisorSoftware
            setPending(newValue.softwarePending, clear: pendingBits & ~newValue.softwarePending)
            softwarePending = newValue.softwarePending & ~pendingBits
            setTimer(newValue.stimecmp)
            flushTranslations()
            contextChanged()
            mynah_request_interrupt(header)
        }
    }

    /// What of a state no hart can have; nil when it can be set.
    package func problem(with state: RISCVHartState) -> String? {
        guard state.registers.count == 64, state.registers[0] == 0 else {
            return "there are 64 registers, of which the first is 0"
        }
        guard PrivilegeMode(rawValue: state.privilege) != nil else { return "there is no privilege mode \(state.privilege)" }
        guard state.programCounter & 1 == 0, state.fcsr <= 0xff else { return "pc or fcsr" }
        guard state.pmpConfigurations.count == PhysicalMemoryProtection.entryCount,
            state.pmpAddresses.count == PhysicalMemoryProtection.entryCount
        else {
            return "the number of PMP entries"
        }
        let masked: [(name: String, value: UInt64, mask: UInt64)] = [
            ("mstatus", state.mstatus & ~Status.widths, Status.writable), ("mie", state.mie, HartInterrupt.all),
            ("medeleg", state.medeleg, ControlRegisterMask.delegableExceptions),
            ("mideleg", state.mideleg, HartInterrupt.supervisor),
            ("mepc", state.mepc, ~1), ("sepc", state.sepc, ~1), ("mtvec", state.mtvec, ~2), ("stvec", state.stvec, ~2),
            ("mcounteren", state.mcounteren, ControlRegisterMask.counters),
            ("scounteren", state.scounteren, ControlRegisterMask.counters),
            ("mcountinhibit", state.mcountinhibit, ControlRegisterMask.counters & ~2),
            ("menvcfg", state.menvcfg, EnvironmentConfiguration.machineWritable),
            ("senvcfg", state.senvcfg, EnvironmentConfiguration.supervisorWritable),
            ("mseccfg", state.mseccfg, SecurityConfiguration.writable), ("mip", state.softwarePending, HartInterrupt.supervisor),
        ]
        for (name, value, mask) in masked where value & ~mask != 0 { return "a value of \(name) that it cannot hold" }
        guard state.mstatus & Status.widths == Status.widths, state.mstatus >> Status.mppShift & 3 != 2 else {
            return "a value of mstatus that it cannot hold"
        }
        let mode = state.satp >> 60
        guard mode == 0 || (8...10).contains(mode) else { return "a mode of satp that there is not" }
        guard [state.menvcfg, state.senvcfg].allSatisfy({ RISCVHart.legalEnvironment($0) == $0 }) else {
            return "a value of menvcfg or senvcfg that it cannot hold"
        }
        let protection = PhysicalMemoryProtection(addresses: state.pmpAddresses, configurations: state.pmpConfigurations)
        guard protection.addresses == state.pmpAddresses, protection.configurations == state.pmpConfigurations else {
            return "a PMP entry that there cannot be"
        }
        return nil
    }
}

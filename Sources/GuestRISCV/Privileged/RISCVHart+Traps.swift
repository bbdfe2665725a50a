// Entering traps, and returning from them. Volume II, 3.1.6.1, 3.1.7, 3.3.2.

import CHost
import Guest

extension RISCVHart {
    /// Takes an exception at the program counter in the state.
    package func takeException(_ cause: UInt64, value: UInt64) {
        enterTrap(cause, value: value, delegated: medeleg >> cause & 1 != 0)
    }

    /// Takes an interrupt before the instruction at the program counter.
    package func takeInterrupt(_ code: UInt64) {
        enterTrap(code | TrapCause.interrupt, value: 0, delegated: mideleg >> code & 1 != 0)
    }

    private func enterTrap(_ cause: UInt64, value: UInt64, delegated: Bool) {
        let pc = words[RISCVRegister.programCounter]
        let vector: UInt64
        if delegated && privilege != .machine {
            scause = cause
            sepc = pc
            stval = value
            let enabled = mstatus & Status.sie
            mstatus = mstatus & ~(Status.sie | Status.spie | Status.spp)
            if enabled != 0 { mstatus |= Status.spie }
            if privilege == .supervisor { mstatus |= Status.spp }
            privilege = .supervisor
            vector = stvec
        } else {
            mcause = cause
            mepc = pc
            mtval = value
            let enabled = mstatus & Status.mie
            mstatus = mstatus & ~(Status.mie | Status.mpie | Status.mpp)
            if enabled != 0 { mstatus |= Status.mpie }
            mstatus |= UInt64(privilege.rawValue) << Status.mppShift
            privilege = .machine
            vector = mtvec
        }
        let isVectored = vector & 3 == 1 && cause & TrapCause.interrupt != 0
        words[RISCVRegister.programCounter] = vector & ~3 &+ (isVectored ? cause << 2 : 0)
        RISCVState(state).tail.pointee.reservationAddress = RISCVState.noReservation
        contextChanged()
    }

    /// `mret`; the program counter becomes `mepc`. False when it is illegal here.
    func returnFromMachine() -> Bool {
        guard privilege == .machine else { return false }
        let previous = PrivilegeMode(rawValue: UInt8(truncatingIfNeeded: mstatus >> Status.mppShift & 3)) ?? .user
        let enabled = mstatus & Status.mpie
        mstatus = mstatus & ~(Status.mie | Status.mpp) | Status.mpie
        if enabled != 0 { mstatus |= Status.mie }
        if previous != .machine { mstatus &= ~Status.mprv }
        privilege = previous
        finishReturn(mepc)
        return true
    }

    /// `sret`; the program counter becomes `sepc`. False when it is illegal here.
    func returnFromSupervisor() -> Bool {
        guard privilege != .user, !(privilege == .supervisor && mstatus & Status.tsr != 0) else { return false }
        let previous: PrivilegeMode = mstatus & Status.spp != 0 ? .supervisor : .user
        let enabled = mstatus & Status.spie
        mstatus = mstatus & ~(Status.sie | Status.spp | Status.mprv) | Status.spie
        if enabled != 0 { mstatus |= Status.sie }
        privilege = previous
        finishReturn(sepc)
        return true
    }

    private func finishReturn(_ pc: UInt64) {
        words[RISCVRegister.programCounter] = pc
        RISCVState(state).tail.pointee.reservationAddress = RISCVState.noReservation
        contextChanged()
        interruptsChanged()
    }

    /// The exception that an environment call raises in the present mode.
    package var callCause: UInt64 {
        switch privilege {
        case .user: TrapCause.userCall
        case .supervisor: TrapCause.supervisorCall
        case .machine: TrapCause.machineCall
        }
    }
}

// A hart as a debugger reads and changes it, while it does not run: control registers by number, its mode, and where its
// addresses lead.

import CHost
import Guest

extension RISCVHart {
    /// All control registers, also those of floating point, by rising number.
    package static let controlRegisterNames: [(number: Int, name: String)] = {
        let float = [
            (ControlRegister.flags, "fflags"), (ControlRegister.roundingMode, "frm"), (ControlRegister.floatControl, "fcsr"),
        ]
        let all =
            float.map { (number: Int($0.0), name: $0.1) } + ControlRegisters.rows.map { (number: $0.number, name: $0.uniqueName) }
        return all.sorted { $0.number < $1.number }
    }()

    /// The value, whatever the hart's mode may read; nil when there is no such register.
    package func controlRegister(_ number: Int) -> UInt64? {
        let fcsr = UInt64(RISCVState(state).fcsr)
        switch Int32(truncatingIfNeeded: number) {
        case ControlRegister.flags: return fcsr & 31
        case ControlRegister.roundingMode: return fcsr >> 5 & 7
        case ControlRegister.floatControl: return fcsr
        default: return (0 ..< 4096).contains(number) ? ControlRegisters.row(number)?.read(self) : nil
        }
    }

    /// As `csrw` in machine mode. False when there is no such register, or it is read-only.
    package func setControlRegister(_ number: Int, to value: UInt64) -> Bool {
        let low = UInt32(truncatingIfNeeded: value), view = RISCVState(state), fcsr = view.fcsr
        switch Int32(truncatingIfNeeded: number) {
        case ControlRegister.flags: setFloatControl(fcsr & ~31 | low & 31)
        case ControlRegister.roundingMode: setFloatControl(fcsr & 31 | (low & 7) << 5)
        case ControlRegister.floatControl: setFloatControl(low & 0xff)
        default:
            guard (0 ..< 4096).contains(number), number >> 10 & 3 != 3, let row = ControlRegisters.row(number) else {
                return false
            }
            if !RISCVInterpreter.writePending(number, value, self) { _ = row.write(self, value) }
            interruptsChanged()
        }
        return true
    }

    private func setFloatControl(_ value: UInt32) {
        let view = RISCVState(state)
        if view.fcsr == value { return }
        view.fcsr = value
        // Translations differ by the rounding mode.
        codePages.forgetAll()
        noteFloatChange()
    }

    /// A floating-point register was set: the guest is to save it, when it uses such registers at all.
    package func noteFloatChange() {
        guard mstatus & Status.fs != 0 else { return }
        mstatus |= Status.fs
        contextChanged()
    }

    /// Goes on in another mode.
    package func setPrivilege(_ mode: PrivilegeMode) {
        privilege = mode
        contextChanged()
        interruptsChanged()
    }

    /// Where the present mode finds an address, whatever rights its page gives: the physical address, and how many bytes from
    /// there on to the page's end. Nothing is marked as accessed. Nil when nothing is mapped.
    package func physicalAddress(behind address: UInt64) -> (address: UInt64, byteCount: UInt64)? {
        let toPageEnd = SoftTLB.pageBytes - address & (SoftTLB.pageBytes - 1)
        if privilege == .machine { return (address, toPageEnd) }
        guard let mapping = mapping(of: address) else { return nil }
        return (mapping.physical &+ (address &- mapping.virtual), toPageEnd)
    }
}

extension ControlRegisterRow {
    /// The row's name with the number that tells it from others of the name.
    var uniqueName: String {
        switch number {
        case 0xb03 ... 0xb1f: "\(name)\(number - 0xb00)"
        case 0x323 ... 0x33f: "\(name)\(number - 0x320)"
        case 0xc03 ... 0xc1f: "\(name)\(number - 0xc00)"
        default: "\(name)"
        }
    }
}

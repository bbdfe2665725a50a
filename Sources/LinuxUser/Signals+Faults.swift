// Faults of the guest: signals that its own instruction caused, which cannot be blocked or ignored.

import CHost
import Glibc
import Guest

extension LinuxThread {
    func raiseFault(signal: Int32, code: Int32, address: UInt64) {
        let action = signals.takeAction(for: signal)
        guard action.isCaught, mask & SignalTable.bit(signal) == 0 else {
            return die(of: signal, code: code, address: address, reason: nil)
        }
        process.strace?.signal(Int(signal), code: Int(code))
        enter(action, signal: signal, info: SignalInfo(signal: signal, code: code, address: address))
        if record.pointee.pending == 0 { _ = mynah_set_host_mask(mask) }
    }

    /// The program counter cannot be executed: not mapped, or mapped without that right.
    func raiseFetchFault(address: UInt64) {
        let isMapped = process.memory.isMapped(address)
        raiseFault(signal: SIGSEGV, code: isMapped ? 2 : 1, address: address)
    }

    /// Ends the process by the signal's default action, with one line for a person at a terminal.
    func die(of signal: Int32, code: Int32, address: UInt64, reason: String?) {
        process.strace?.signal(Int(signal), code: Int(code))
        if isatty(2) != 0 || process.options.showsBacktrace { report(signal, address, reason) }
        mynah_die_of_signal(signal)
        _exit(128 + signal)
    }

    func report(_ signal: Int32, _ address: UInt64?, _ reason: String?) {
        let pc = process.abi.programCounter(state)
        let hex = { (value: UInt64) in "0x" + String(value, radix: 16) }
        var text = "mynah: \(process.programPath): \(StraceNames.signal(Int(signal)))"
        if let address, signal == SIGSEGV || signal == SIGBUS { text += " at address \(hex(address))" }
        if let reason { text += " (\(reason))" }
        text += ", pc \(hex(pc))"
        if let window = process.memory.codeWindow(at: GuestAddress(pc)), signal != SIGBUS {
            text += ": " + process.engine.isa.disassemble(at: pc, in: window).text
        }
        text += "; " + process.abi.registerSummary(state) + "\n"
        if process.options.showsBacktrace { text += backtraceText() }
        text.withUTF8 { _ = Glibc.write(2, $0.baseAddress!, $0.count) }
    }
}

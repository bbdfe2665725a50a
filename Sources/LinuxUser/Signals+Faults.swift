// Faults of the guest: signals that its own instruction caused, which cannot be blocked or ignored.

import CHost
import GDBStub
import Glibc
import Guest

extension LinuxThread {
    /// What the guest's kernel tells of a memory fault. The host tells nothing of addresses that no page table can hold (its
    /// SI_KERNEL): they are those of the instruction, and not mapped.
    func memoryFault(address: UInt64, code: Int32) -> (address: UInt64, code: Int32) {
        guard code == SignalInfo.fromKernel else { return (address, code) }
        return (process.abi.memoryAccess(state)?.address ?? address, SignalInfo.notMapped)
    }

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
        raiseFault(signal: SIGSEGV, code: fetchFaultCode(address: address), address: address)
    }

    func fetchFaultCode(address: UInt64) -> Int32 {
        process.memory.isMapped(address) ? SignalInfo.notPermitted : SignalInfo.notMapped
    }

    /// Ends the process by the signal's default action, with one line for a person at a terminal.
    func die(of signal: Int32, code: Int32, address: UInt64, reason: String?) {
        process.strace?.signal(Int(signal), code: Int(code))
        process.strace?.killed(by: signal)
        if isatty(2) != 0 || process.options.showsBacktrace { report(signal, address, reason) }
        process.options.beforeDeath?()
        if !isVforkedProcess { process.debugger?.end(.killed(GDBSignal(linux: signal))) }
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

    /// The signal by which this call of kill, tkill or tgkill will end the process: one to itself, not blocked, whose action
    /// is to terminate. Such a call does not return, so a trace and a report must know beforehand.
    func fatalSignal(ofCall a: SystemCallArguments) -> (number: Int32, code: Int32)? {
        let kill = 129, tkill = 130, tgkill = 131, fromUser: Int32 = 0, fromThread: Int32 = -6
        let own = a.number == tkill ? hostThreadID : getpid()
        guard a.number == kill || a.number == tkill || a.number == tgkill, Int32(truncatingIfNeeded: a.a0) == own else {
            return nil
        }
        if a.number == tgkill && Int32(truncatingIfNeeded: a.a1) != hostThreadID { return nil }
        let signal = Int32(truncatingIfNeeded: a.number == tgkill ? a.a2 : a.a1)
        guard (1...Int32(SignalTable.count)).contains(signal), mask & SignalTable.bit(signal) == 0 else { return nil }
        let harmless: Set<Int32> = [SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU]
        guard !harmless.contains(signal), signals[signal].handler == SignalAction.defaultHandler else { return nil }
        return (signal, a.number == kill ? fromUser : fromThread)
    }
}

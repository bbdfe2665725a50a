// A thread of the guest: a host thread that runs one virtual CPU and serves what the guest asks for.

import CHost
import Engine
import Glibc

package final class LinuxThread {
    /// `MYNAH_RESTART`: the call was not made because of a signal. The guest makes it again after the handler.
    static let restart = Int64(MYNAH_RESTART)

    package unowned let process: LinuxProcess
    package let cpu: VirtualCPU
    package let state: UnsafeMutableRawPointer
    // SAFETY: allocated with the thread, freed when it ends; shared with the signal handler of this thread only.
    let record: UnsafeMutablePointer<mynah_signal_record>
    /// What the guest does with signals; threads share it, the child of a vfork has its own.
    var signals: SignalTable
    /// Signals that the guest has blocked (bit n - 1 for signal n). The host's mask is the same while nothing is queued.
    package internal(set) var mask: UInt64 = 0
    /// The mask to return to when a call that waited with another one is over.
    var maskToRestore: UInt64?
    var alternateStack = AlternateStack.none
    /// Cleared, and woken, when the thread ends (set_tid_address, CLONE_CHILD_CLEARTID).
    var clearedThreadID: UInt64 = 0
    var robustList: UInt64 = 0
    package internal(set) var hostThreadID = mynah_thread_id()
    var isFinished = false
    /// A process that runs in its parent's memory, until it executes a program or ends.
    var isVforkedProcess = false

    init(process: LinuxProcess, cpu: VirtualCPU, signals: SignalTable) {
        self.process = process
        self.cpu = cpu
        self.signals = signals
        state = cpu.state
        record = mynah_make_signal_record(cpu.header)
    }

    deinit { mynah_free_signal_record(record) }

    /// Runs guest code until the thread ends. On the host thread that is to be the guest's.
    package func run() {
        hostThreadID = mynah_thread_id()
        mynah_set_signal_record(record)
        _ = mynah_set_host_mask(mask)
        if let debugger = process.debugger, !isVforkedProcess { runDebugged(by: debugger) }
        while !isFinished {
            switch cpu.run() {
            case .breakpoint where isVforkedProcess && stepOverBreakpoint(): break
            case let exit: serve(exit)
            }
            if record.pointee.pending != 0 { deliverSignals() }
        }
    }

    /// Does what guest code came out for: a system call, or a fault that becomes a signal.
    func serve(_ exit: CPUExit) {
        switch exit {
        case .systemCall: makeSystemCall()
        case .interrupted: break
        case .memoryFault(let hostAddress, let signal, let hostCode):
            let (address, code) = memoryFault(address: hostAddress, code: hostCode)
            raiseFault(signal: signal, code: code, address: address)
        case .instructionFault(let address): raiseFetchFault(address: address)
        case .illegalInstruction: raiseFault(signal: SIGILL, code: 1, address: process.abi.programCounter(state))
        case .breakpoint: raiseFault(signal: SIGTRAP, code: 1, address: process.abi.programCounter(state))
        case .trap, .waitForInterrupt: preconditionFailure("an exit of machine mode")
        }
    }

    func makeSystemCall() {
        let abi = process.abi
        let arguments = abi.systemCallArguments(state)
        if process.options.showsBacktrace { announceOwnDeath(arguments) }
        let table = process.table
        let result = process.strace.map { $0.call(self, arguments, table) } ?? table.dispatch(self, arguments)
        if result == Self.restart { return }
        if keepsRegisters {
            keepsRegisters = false
            return
        }
        abi.finishSystemCall(state, result: result)
    }

    /// The call has set all registers itself (rt_sigreturn).
    var keepsRegisters = false

    /// A system call of the host: its result, minus an errno, or `restart` when a signal came before it began.
    @inline(__always)
    package func hostCall(_ number: Int, _ arguments: SystemCallArguments) -> Int64 {
        var words = arguments
        words.number = number
        // SAFETY: the words of `SystemCallArguments` lie in the order that the C function reads.
        return withUnsafePointer(to: &words) { pointer in
            pointer.withMemoryRebound(to: UInt64.self, capacity: 7) { Int64(mynah_safe_syscall(record, $0)) }
        }
    }

    @inline(__always)
    package func hostCall(
        _ number: Int, _ a0: UInt64 = 0, _ a1: UInt64 = 0, _ a2: UInt64 = 0, _ a3: UInt64 = 0, _ a4: UInt64 = 0, _ a5: UInt64 = 0
    ) -> Int64 {
        hostCall(number, SystemCallArguments(number: number, a0, a1, a2, a3, a4, a5))
    }

    /// Writes to guest memory; lifts write watches when they are in the way.
    func store<T>(_ value: T, at address: UInt64) -> Bool {
        writeGuest(value, at: address) || (process.releaseAllWatches() && writeGuest(value, at: address))
    }
}

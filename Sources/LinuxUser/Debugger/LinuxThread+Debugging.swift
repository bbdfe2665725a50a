// A guest thread under a debugger: the same as `LinuxThread.run`, with a gate between instructions and questions before signals.

import CHost
import Engine
import GDBStub
import Glibc
import Guest

/// The bytes that an instruction accesses.
struct MemoryAccessRange {
    var first: UInt64
    var last: UInt64
    var isLoad: Bool
    var isStore: Bool
}

/// A system call that has been made and whose result the guest has not seen: the debugger stopped it in between. It is finished
/// when the thread goes on with the registers that it made the call with; meanwhile the debugger may have it run something else.
struct HeldCall {
    var arguments: SystemCallArguments
    var programCounter: UInt64
    var stackPointer: UInt64
    var result: Int64
}

extension LinuxThread {
    var isDebugged: Bool { process.debugger != nil && !isVforkedProcess }

    /// Runs guest code until the thread ends, or debugging does.
    func runDebugged(by debugger: ProcessDebugger) {
        guard let entry = debugger.entry(of: self) else { return }
        mynah_prepare_thread()
        mynah_set_current_cpu(cpu.header)
        while !isFinished, process.debugger === debugger, debugger.pass(entry) {
            let signal = entry.takeSignal()
            if signal != .none {
                give(signal, entry, debugger)
            } else if let cause = entry.firstStop {
                entry.firstStop = nil
                give(debugger.stop(entry, .trap, cause, lasts: true), entry, debugger)
            } else if finishHeldCall(entry) {
                callCompleted(entry, debugger)
            } else if record.pointee.pending != 0 {
                deliverQueuedSignals(entry, debugger)
            } else {
                execute(entry, debugger)
            }
        }
        // The debugger has left.
        _ = finishHeldCall(entry)
        if !isFinished && record.pointee.pending != 0 { deliverSignals() }
    }

    // MARK: Instructions

    private func execute(_ entry: DebuggedThread, _ debugger: ProcessDebugger) {
        var exit: CPUExit?
        if case .go = entry.action, debugger.watchpoints.isEmpty {
            exit = cpu.run()
        } else {
            guard let stepped = step(entry, debugger) else { return }
            exit = stepped
        }
        let pc = process.abi.programCounter(state)
        switch exit {
        case .interrupted, nil: break
        case .systemCall: makeDebuggedCall(entry, debugger)
        case .breakpoint:
            let kinds = process.memory.breakpoints(at: pc)
            if kinds.isEmpty {
                // It may have been removed since, when the debugger left.
                if process.abi.isBreakpointInstruction(at: pc) { fault(SIGTRAP, 1, pc, entry, debugger) }
            } else {
                let cause = kinds.contains(.software) ? DebugStopCause.softwareBreakpoint : .hardwareBreakpoint
                give(debugger.stop(entry, .trap, cause), entry, debugger)
            }
        case .memoryFault(let hostAddress, let signal, let hostCode):
            let (address, code) = memoryFault(address: hostAddress, code: hostCode)
            fault(signal, code, address, entry, debugger)
        case .instructionFault(let address): fault(SIGSEGV, fetchFaultCode(address: address), address, entry, debugger)
        case .illegalInstruction: fault(SIGILL, 1, pc, entry, debugger)
        case .trap, .waitForInterrupt: preconditionFailure("an exit of machine mode")
        }
    }

    /// One instruction, or many as long as nothing but a watchpoint asks for single steps. Nil when there is nothing more to do.
    private func step(_ entry: DebuggedThread, _ debugger: ProcessDebugger) -> CPUExit? {
        while true {
            if !debugger.watchpoints.isEmpty, let point = watchpointHit(entry, debugger) {
                entry.toldAccess = process.abi.programCounter(state)
                give(debugger.stop(entry, .trap, .watchpoint(point.kind, address: point.address)), entry, debugger)
                return nil
            }
            let before = process.abi.programCounter(state)
            let exit = cpu.interpretOne()
            if exit != .breakpoint && entry.toldAccess == before { entry.toldAccess = nil }
            if let exit { return exit }
            guard case .go = entry.action else {
                completed(entry, debugger)
                return nil
            }
            if cpu.header.pointee.interrupt_pending != 0 {
                mynah_clear_interrupt(cpu.header)
                return nil
            }
        }
    }

    private func watchpointHit(_ entry: DebuggedThread, _ debugger: ProcessDebugger) -> DebugPoint? {
        guard entry.toldAccess != process.abi.programCounter(state), let access = process.abi.memoryAccess(state) else {
            return nil
        }
        let (last, overflows) = access.address.addingReportingOverflow(access.byteCount - 1)
        guard !overflows else { return nil }
        return debugger.watchpoint(
            for: MemoryAccessRange(first: access.address, last: last, isLoad: access.isLoad, isStore: access.isStore))
    }

    /// An instruction is done: tells the debugger when it asked for just one.
    private func completed(_ entry: DebuggedThread, _ debugger: ProcessDebugger) {
        switch entry.action {
        case .go, .hold: return
        case .stepRange(let start, let end):
            let pc = process.abi.programCounter(state)
            if pc >= start && pc < end { return }
        case .step: break
        }
        give(debugger.stop(entry, .trap), entry, debugger)
    }

    // MARK: Signals

    /// A fault of the instruction at the program counter: the debugger sees it first, and may have it tried again.
    private func fault(_ signal: Int32, _ code: Int32, _ address: UInt64, _ entry: DebuggedThread, _ debugger: ProcessDebugger) {
        let name = GDBSignal(linux: signal)
        if !debugger.passes(signal) {
            let info = SignalInfo(signal: signal, code: code, address: address)
            let given = debugger.stop(entry, name, info: info)
            guard given == name else { return give(given, entry, debugger) }
        }
        raiseFault(signal: signal, code: code, address: address)
        completed(entry, debugger)
    }

    /// Delivers a signal that the debugger chose.
    private func give(_ signal: GDBSignal, _ entry: DebuggedThread, _ debugger: ProcessDebugger) {
        guard let number = signal.linux, number != 0 else { return }
        _ = mynah_set_host_mask(~0)
        // One that the debugger has seen comes with what it came with.
        let seen = entry.signalInformation.flatMap { $0.signal == number ? $0 : nil }
        entry.signalInformation = nil
        let isCaught = signals[number].isCaught
        deliver(number, seen ?? SignalInfo(ownSignal: number))
        if record.pointee.pending == 0 { _ = mynah_set_host_mask(mask) }
        if isCaught { completed(entry, debugger) }
    }

    /// As `deliverSignals`, with a question before each. `interrupted` is a call that a signal ended: the guest sees that only
    /// when one of its handlers runs, otherwise the call is made again.
    private func deliverQueuedSignals(_ entry: DebuggedThread, _ debugger: ProcessDebugger, interrupted: HeldCall? = nil) {
        _ = mynah_set_host_mask(~0)
        record.pointee.pending = 0
        var interrupted = interrupted, isInHandler = false
        var info = SignalInfo()
        while true {
            let queued = mynah_take_signal(record, mask, &info)
            if queued == 0 { break }
            let signal = ask(queued, &info, entry, debugger)
            if signal == 0 { continue }
            if signals[signal].isCaught {
                isInHandler = true
                if let call = interrupted, isAt(call) { process.abi.finishSystemCall(state, result: call.result) }
                interrupted = nil
            }
            deliver(signal, info)
        }
        if let restored = maskToRestore {
            mask = restored
            maskToRestore = nil
        }
        if mynah_queued_signals(record) & ~mask != 0 { record.pointee.pending = 1 }
        _ = mynah_set_host_mask(mask)
        if isInHandler { completed(entry, debugger) }
    }

    /// The signal that the debugger makes of one that came; 0 for none.
    private func ask(_ signal: Int32, _ info: inout SignalInfo, _ entry: DebuggedThread, _ debugger: ProcessDebugger) -> Int32 {
        if entry.unquestioned & SignalTable.bit(signal) != 0 {
            entry.unquestioned &= ~SignalTable.bit(signal)
            return signal
        }
        if debugger.passes(signal) { return signal }
        let given = debugger.stop(entry, GDBSignal(linux: signal), info: info, lasts: true).linux ?? 0
        if given != signal { info = SignalInfo(ownSignal: given) } else if let seen = entry.signalInformation { info = seen }
        entry.signalInformation = nil
        return given
    }

    /// What the kernel does with a signal that the guest left at its default.
    func performDefaultAction(of signal: Int32) {
        let bit = SignalTable.bit(signal)
        if SignalObservation.harmless & bit != 0 { return }
        if SignalObservation.stopping & bit != 0 {
            kill(getpid(), SIGSTOP)
            return
        }
        process.strace?.killed(by: signal)
        process.debugger?.end(.killed(GDBSignal(linux: signal)))
        mynah_die_of_signal(signal)
        _exit(128 + signal)
    }

    // MARK: System calls

    /// Calls that set registers themselves, or end the thread: they are not stopped in between.
    private static let wholeCalls: Set<Int> = [
        93 /* exit */, 94 /* exit_group */, 139 /* rt_sigreturn */, 220 /* clone */, 221 /* execve */, 281 /* execveat */,
        435, /* clone3 */
    ]

    private func makeDebuggedCall(_ entry: DebuggedThread, _ debugger: ProcessDebugger) {
        let arguments = process.abi.systemCallArguments(state)
        var call = HeldCall(
            arguments: arguments, programCounter: process.abi.programCounter(state),
            stackPointer: process.abi.stackPointer(state), result: 0)
        if entry.toldCall != call.programCounter, debugger.catches(arguments.number) {
            entry.toldCall = call.programCounter
            return give(debugger.stop(entry, .trap, .systemCallEntry(arguments.number)), entry, debugger)
        }
        entry.toldCall = nil
        let table = process.table
        let watched = debugger.watchedContents()
        let isWhole = Self.wholeCalls.contains(arguments.number)
        if !isWhole { debugger.enterCall(entry) }
        call.result = process.strace.map { $0.call(self, arguments, table) } ?? table.dispatch(self, arguments)
        if !isWhole { debugger.leaveCall(entry) }
        if keepsRegisters {
            keepsRegisters = false
            if isFinished { return }
        } else {
            let wasKicked = entry.wasKicked
            entry.wasKicked = false
            if call.result == Self.restart { return }
            if call.result == Errno.EINTR.result {
                if record.pointee.pending != 0 { return deliverQueuedSignals(entry, debugger, interrupted: call) }
                if wasKicked { return }
            }
            guard isAt(call) else {
                entry.heldCall = call
                return
            }
            process.abi.finishSystemCall(state, result: call.result)
        }
        if process.debugger === debugger, let point = debugger.changedWatchpoint(since: watched) {
            return give(
                debugger.stop(entry, .trap, .watchpoint(point.kind, address: point.address), lasts: true), entry, debugger)
        }
        // The child of a fork is not debugged.
        if process.debugger === debugger { callCompleted(entry, debugger, arguments.number) }
    }

    private func callCompleted(_ entry: DebuggedThread, _ debugger: ProcessDebugger, _ number: Int? = nil) {
        if let number, debugger.catches(number) {
            return give(debugger.stop(entry, .trap, .systemCallReturn(number), lasts: true), entry, debugger)
        }
        completed(entry, debugger)
    }

    /// The thread is where it made the call, with the registers that it made it with.
    private func isAt(_ call: HeldCall) -> Bool {
        let now = process.abi.systemCallArguments(state)
        return process.abi.programCounter(state) == call.programCounter && process.abi.stackPointer(state) == call.stackPointer
            && now.number == call.arguments.number && (0 ..< 6).allSatisfy { now[$0] == call.arguments[$0] }
    }

    private func finishHeldCall(_ entry: DebuggedThread) -> Bool {
        guard let call = entry.heldCall, isAt(call) else { return false }
        entry.heldCall = nil
        process.abi.finishSystemCall(state, result: call.result)
        return true
    }
}

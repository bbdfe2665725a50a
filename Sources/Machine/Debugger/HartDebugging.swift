// What a debugger has one hart do: run, stand still, or execute single instructions; and what the hart tells of it.

import GDBStub
import Guest
import GuestRISCV

final class HartDebugging {
    private unowned let debugger: MachineDebugger
    // Set while the processor is stopped; then only the hart's thread uses them.
    var action = ResumeAction.go(.none)
    /// Where a watched access was told, and is made when the hart goes on there.
    var toldAccess: UInt64?
    /// The hart executed something of its own accord when `letsGo` was asked last.
    private(set) var hasStepped = false

    init(_ debugger: MachineDebugger) { self.debugger = debugger }

    // MARK: On the hart's thread

    /// Does what the action says. True when the hart may run freely now.
    func letsGo(_ hart: Hart) -> Bool {
        hasStepped = false
        switch action {
        case .go:
            guard toldAccess != nil else { return true }
            execute(hart)
            return hart.processor.isRunning
        case .hold:
            if hart.processor.isDeterministic { return false }
            // Others may wait for its fences.
            hart.sleep { hart.requests.isEmpty }
            hart.serveRequests()
            return false
        case .step, .stepRange:
            step(hart)
            return false
        }
    }

    /// One instruction, and the stop behind it, unless it is one of a range.
    func step(_ hart: Hart) {
        let isStarted = execute(hart)
        if case .stepRange(let start, let end) = action, isStarted {
            let pc = hart.programCounter
            if pc >= start && pc < end && !debugger.hasBreakpoint(at: pc) { return }
        }
        _ = debugger.stop(hart, .none)
    }

    @discardableResult
    private func execute(_ hart: Hart) -> Bool {
        hasStepped = true
        hart.core.passesWatched = toldAccess == hart.programCounter
        toldAccess = nil
        defer { hart.core.passesWatched = false }
        return hart.stepDebugged(takesInterrupts: debugger.stepsTakeInterrupts)
    }

    /// At a trap instruction. False when it is the guest's own.
    func stopsAtBreakpoint(_ hart: Hart) -> Bool {
        guard !hart.core.passesBreakpoint, let kinds = hart.core.breakpoints?.kinds[hart.programCounter] else { return false }
        _ = debugger.stop(hart, kinds.contains(.software) ? .softwareBreakpoint : .hardwareBreakpoint)
        return true
    }

    func stopsBeforeAccess(_ hart: Hart, _ place: Int) {
        if debugger.stop(hart, debugger.cause(ofPlace: place)) { toldAccess = hart.programCounter }
    }
}

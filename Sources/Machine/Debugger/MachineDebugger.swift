// A debugger's hold on a machine: its harts are threads that stop and go on together (all-stop).
//
// The session at the socket asks the machine's conductor to stop and to go on, as everybody does (`MachineSession`). A hart that
// has something to tell notes it, if it is the first since the machine went on, and stops the processor; when all have stopped,
// the session is told. What the others came to is found again when they go on, as they have not executed it.

import DeviceModel
import GDBStub
import GuestRISCV

package final class MachineDebugger: @unchecked Sendable {
    let session: MachineSession
    var processor: Processor { session.board.processor }
    var harts: [Hart] { processor.harts }
    package let description = MachineDebugger.makeDescription()

    private let monitor = Monitor()
    // Guarded by `monitor`.
    private var server: DebugServer?
    private var reason: DebugStop?
    private var stepsAlone = false
    private var isOver = false

    // Of the session's thread, and of the conductor while that waits.
    /// Points as the debugger has them now; the harts have them from the next time on that they run freely.
    var wantedBreakpoints: [UInt64: CodeBreakpoints.Kinds] = [:]
    var watchpoints: [DebugPoint] = []
    private let breakpoints = CodeBreakpoints()
    /// Addresses in packets are physical.
    var isPhysical = false
    /// Single steps take no interrupts: otherwise one of a busy machine's always ends in a handler.
    var stepFlags = StepFlags.standard

    package init(session: MachineSession) {
        self.session = session
        session.holder = self
    }

    // MARK: Connections

    /// Serves the debugger at a connected socket, which stands before a machine that has stopped, until it leaves. Not on a
    /// hart's thread or the conductor's.
    package func serve(connection: Int32) {
        let first = stopReason(.trap)
        monitor.locked { reason = first }
        session.holdAndWait()
        let server = DebugServer(session: DebugSession(target: self, stop: first), descriptor: connection)
        let isOver = monitor.locked { () -> Bool in
            self.server = server
            return self.isOver
        }
        if isOver { server.disconnect() }
        server.serve()
        monitor.locked { self.server = nil }
    }

    private var currentServer: DebugServer? { monitor.locked { server } }

    // MARK: On the threads of harts

    /// Stops the machine because of a hart, which has executed everything before its program counter. False when another reason
    /// came first.
    func stop(_ hart: Hart, _ cause: DebugStopCause) -> Bool {
        let isAlone = monitor.locked { () -> Bool? in
            guard reason == nil else { return nil }
            reason = DebugStop(thread: Self.thread(hart), signal: .trap, cause: cause)
            return stepsAlone
        }
        guard let isAlone else { return false }
        if !isAlone {
            processor.stop()
            session.hold()
        }
        return true
    }

    func hasBreakpoint(at address: UInt64) -> Bool { wantedBreakpoints[address] != nil }
    var stepsTakeInterrupts: Bool { !stepFlags.contains(.withoutInterrupts) }

    func cause(ofPlace place: Int) -> DebugStopCause {
        guard watchpoints.indices.contains(place) else { return .none }
        return .watchpoint(watchpoints[place].kind, address: watchpoints[place].address)
    }

    static func thread(_ hart: Hart) -> DebugThreadID { DebugThreadID(rawValue: UInt64(hart.id) + 1) }

    // MARK: Stopping and going on

    /// A stop that no hart asked for, told of the one that stopped last, if it still runs.
    private func stopReason(_ signal: GDBSignal) -> DebugStop {
        let last = monitor.locked { lastThread }
        let hart = harts.first { Self.thread($0) == last && $0.isStarted } ?? harts.first { $0.isStarted } ?? harts[0]
        return DebugStop(thread: Self.thread(hart), signal: signal)
    }
    private var lastThread: DebugThreadID?

    package func interrupt() {
        let stop = stopReason(.interrupt)
        let isFirst = monitor.locked { () -> Bool in
            guard reason == nil else { return false }
            reason = stop
            return true
        }
        if isFirst { session.hold() }
    }

    package func resume(_ plan: ResumePlan) {
        monitor.locked {
            lastThread = reason?.thread
            reason = nil
        }
        session.release { [self] in prepare(plan) }
    }

    /// By the conductor, before the harts go on. False when a step is all that was wanted, and is done.
    private func prepare(_ plan: ResumePlan) -> Bool {
        var stepping: [Hart] = [], isFree = false
        for hart in harts {
            let debugging = hart.debugging ?? HartDebugging(self)
            hart.debugging = debugging
            debugging.action = plan.action(for: Self.thread(hart))
            switch debugging.action {
            case .go: isFree = true
            case .step, .stepRange: stepping.append(hart)
            case .hold: break
            }
        }
        applyWatchpoints()
        if isFree { applyBreakpoints() }
        guard !isFree, stepping.count == 1, case .step = plan.action(for: Self.thread(stepping[0])) else { return true }
        monitor.locked { stepsAlone = true }
        if !stepFlags.contains(.withoutTimers), !processor.isDeterministic { processor.timers.runDue() }
        stepping[0].prepareThread()
        stepping[0].debugging?.step(stepping[0])
        monitor.locked { stepsAlone = false }
        return false
    }

    /// Translations and decoded code are dropped where traps come or go. Stepping needs none: it sees them itself.
    private func applyBreakpoints() {
        let old = Set(breakpoints.kinds.keys), new = Set(wantedBreakpoints.keys)
        breakpoints.set(wantedBreakpoints)
        for hart in harts { hart.core.breakpoints = new.isEmpty ? nil : breakpoints }
        if old == new { return }
        for page in Set(old.symmetricDifference(new).map { $0 & ~4095 }) { processor.engine.invalidatePage(seenAt: page) }
        for hart in harts { (hart.cpu.interpreter as? MachineInterpreter)?.forgetCode() }
    }

    private func applyWatchpoints() {
        let memory = watchpoints.isEmpty ? nil : WatchedMemory(watchpoints.map { point in
            WatchedMemory.Place(
                first: point.address, last: point.address &+ (point.byteCount &- 1), watchesLoads: point.kind != .writeWatchpoint,
                watchesStores: point.kind != .readWatchpoint)
        })
        for hart in harts { hart.core.watch(memory) }
    }

    package func detach() {
        wantedBreakpoints = [:]
        watchpoints = []
        isPhysical = false
        stepFlags = .standard
        session.betweenInstructions { [self] in
            applyBreakpoints()
            applyWatchpoints()
            for hart in harts { hart.debugging = nil }
        }
        monitor.locked { reason = nil }
        if session.isHeld { session.release { true } }
    }

    package func kill() { session.stop() }
}

extension MachineDebugger: MachineHolder {
    package func machineStopped() {
        for hart in harts { hart.beginPendingStart() }
        let (server, reason) = monitor.locked { (self.server, self.reason) }
        if let reason { server?.post(.stopped(reason)) }
    }

    package func machineRestarted() { currentServer?.post(.message("mynah: the machine was reset\n")) }

    package func machineEnded(_ end: MachineEnd?) {
        monitor.locked { isOver = true }
        guard let server = currentServer else { return }
        server.post(.exited(status: Self.status(end)))
        server.drain(seconds: 20)
        server.disconnect()
    }

    /// As a process tells it: 0 for success.
    private static func status(_ end: MachineEnd?) -> UInt8 {
        switch end {
        case .poweredOff(let code): code == 0 ? 0 : max(1, UInt8(truncatingIfNeeded: code))
        case .rebooted, .stopped, .saved: 0
        case nil: 1
        }
    }
}

/// What QEMU's `qemu.sstep` says of single steps.
struct StepFlags: OptionSet {
    let rawValue: UInt64
    static let enabled = StepFlags(rawValue: 1), withoutInterrupts = StepFlags(rawValue: 2),
        withoutTimers = StepFlags(rawValue: 4)
    static let standard: StepFlags = [.enabled, .withoutInterrupts, .withoutTimers]
}

// A debugger's hold on a guest process: which threads run, which wait, and what stopped them.
//
// All threads stop together (all-stop). Each passes a gate between instructions; whoever has something to tell closes it, and
// when the last thread has come to it, the session is told. A thread that waits in a system call counts as stopped: nothing
// of it changes until the call returns, and then it comes to the gate before the result is seen. So a stop disturbs no call.

import CHost
import GDBStub
import Glibc
import Guest

package final class ProcessDebugger: @unchecked Sendable {
    unowned let process: LinuxProcess
    private(set) var server: DebugServer!
    /// The child of a vfork shares this memory, not its threads.
    let processNumber = getpid()
    private let gate = Monitor()

    private enum World {
        case running
        /// Until all threads have come to the gate.
        case stopping(DebugStop)
        case stopped
    }

    // All of it is guarded by the gate.
    private var world = World.stopped
    private var entries: [DebuggedThread] = []
    private var plan = ResumePlan([])
    private var calls = CaughtSystemCalls.none
    private var observation = SignalObservation()
    private(set) var isActive = true
    /// Watchpoints; changed while no thread executes guest code.
    private(set) var watchpoints: [DebugPoint] = []
    /// /proc/self/mem: memory beyond protection, as ptrace sees it; -1 when the host has none.
    let memoryDescriptor: Int32

    init(process: LinuxProcess) {
        self.process = process
        let opened = open("/proc/self/mem", O_RDWR | O_CLOEXEC)
        let high = opened < 0 ? -1 : fcntl(opened, F_DUPFD_CLOEXEC, 900)
        if high >= 0 { close(opened) }
        memoryDescriptor = high >= 0 ? high : opened
    }

    /// Waits for a debugger at `listener`, and lets it decide when `thread` executes its first instruction.
    /// - Throws: `DebugServerError` when there is no connection.
    static func attach(to process: LinuxProcess, firstThread thread: LinuxThread, _ listener: DebugListener, _ endpoint: DebugEndpoint) throws {
        let debugger = ProcessDebugger(process: process)
        if !listener.address.isEmpty {
            let text = "mynah: waiting for gdb: target remote \(listener.address)\n"
            _ = text.withCString { write(2, $0, strlen($0)) }
        }
        // Whoever grows tired of waiting can end the process.
        let before = mynah_set_host_mask(thread.mask)
        defer { _ = mynah_set_host_mask(before) }
        let connection = try listener.accept()
        let entry = DebuggedThread(thread)
        debugger.entries = [entry]
        var stop: DebugStop?
        if case .inherited = endpoint {
            debugger.world = .running
            entry.action = .go(.none)
            entry.firstStop = .executed(path: process.programPath)
        } else {
            entry.phase = .stopped
            stop = DebugStop(thread: entry.id, signal: .trap)
        }
        let session = DebugSession(target: debugger, stop: stop)
        if case .inherited(_, let agreement) = endpoint { session.adopt(agreement: agreement) }
        debugger.server = DebugServer(session: session, descriptor: connection)
        thread.signals.observe(debugger.observation)
        process.debugger = debugger
        let error = mynah_start_thread(
            { Unmanaged<DebugServer>.fromOpaque($0!).takeRetainedValue().serve() },
            Unmanaged.passRetained(debugger.server!).toOpaque(), 2 << 20)
        guard error == 0 else { throw DebugServerError("no thread to serve gdb: \(String(cString: strerror(error)))") }
    }

    /// Descriptors that the guest must not close.
    var descriptors: [Int32] { (server?.descriptors ?? []) + (memoryDescriptor >= 0 ? [memoryDescriptor] : []) }

    /// Whether the session still has its thread.
    var hasThread: Bool { server?.hasEnded == false }

    // MARK: The gate, on the guest's threads

    func entry(of thread: LinuxThread) -> DebuggedThread? { gate.locked { entries.first { $0.thread === thread } } }

    /// Waits until the thread may execute an instruction. False when debugging is over.
    func pass(_ entry: DebuggedThread) -> Bool {
        gate.locked {
            waitUntilResumed(entry)
            return isActive
        }
    }

    /// Stops everything because of this thread, and returns when it goes on: the signal that it gets then. When another thread's stop
    /// came first, this one is told behind it if it `lasts`, and forgotten otherwise: the reason is found again.
    func stop(
        _ entry: DebuggedThread, _ signal: GDBSignal, _ cause: DebugStopCause = .none, info: SignalInfo? = nil, lasts: Bool = false
    ) -> GDBSignal {
        gate.locked {
            while isActive {
                if case .running = world, entry.action != .hold {
                    world = .stopping(DebugStop(thread: entry.id, signal: signal, cause: cause))
                    entry.signalInformation = info
                    for other in entries where other !== entry { other.thread.cpu.requestInterrupt() }
                    waitUntilResumed(entry)
                    return isActive ? entry.takeSignal() : lasts ? signal : .none
                }
                waitUntilResumed(entry)
                if !lasts { return .none }
            }
            return lasts ? signal : .none
        }
    }

    /// With the gate locked.
    private func waitUntilResumed(_ entry: DebuggedThread) {
        while isActive {
            if case .running = world, entry.action != .hold { break }
            entry.phase = .stopped
            noteStopped()
            gate.wait()
        }
        entry.phase = .running
    }

    private func noteStopped() {
        guard case .stopping(let stop) = world, entries.allSatisfy({ $0.phase != .running }) else { return }
        world = .stopped
        gate.broadcast()
        server.post(.stopped(stop))
    }

    /// The thread makes a system call that may wait, and changes no register in it.
    func enterCall(_ entry: DebuggedThread) {
        gate.locked {
            entry.phase = .inCall
            noteStopped()
        }
    }

    func leaveCall(_ entry: DebuggedThread) { gate.locked { waitUntilResumed(entry) } }

    func catches(_ call: Int) -> Bool { gate.locked { isActive && calls.contains(call) } }
    func passes(_ signal: Int32) -> Bool { gate.locked { !isActive || observation.passed & SignalTable.bit(signal) != 0 } }

    /// The watchpoint that an access is of.
    func watchpoint(for access: MemoryAccessRange) -> DebugPoint? {
        watchpoints.first { point in
            guard point.kind != .readWatchpoint || access.isLoad, point.kind != .writeWatchpoint || access.isStore else { return false }
            return access.first <= point.address &+ (point.byteCount &- 1) && point.address <= access.last
        }
    }

    // MARK: Threads come and go

    /// Before a new thread starts.
    func add(_ thread: LinuxThread) {
        let entry = DebuggedThread(thread)
        gate.locked {
            entry.action = plan.actionForNewThreads == .hold ? .hold : .go(.none)
            entries.append(entry)
        }
    }

    /// The thread executes no guest code any more.
    func remove(_ thread: LinuxThread) {
        gate.locked {
            entries.removeAll { $0.thread === thread }
            noteStopped()
            if isActive, case .running = world, entries.allSatisfy({ $0.action == .hold }) {
                world = .stopped
                server.post(.nothingRuns)
            }
        }
    }

    /// The process ends: tells the debugger, if that can be done in some seconds.
    func end(_ event: DebugEvent) {
        server.post(event)
        server.drain(seconds: 3)
    }

    // MARK: Other programs

    /// Before the process executes another guest program: the words with which that takes the session over.
    func prepareExecution() -> String? {
        guard gate.locked({ isActive }) else { return nil }
        _ = fcntl(server.descriptor, F_SETFD, 0)
        return DebugEndpoint.inherited(descriptor: server.descriptor, state: server.session.agreement).text
    }

    func executionFailed() { _ = fcntl(server.descriptor, F_SETFD, FD_CLOEXEC) }

    /// Before the process becomes a program of the host, which is not debugged.
    func tellForeignExecution(_ path: String) {
        guard gate.locked({ isActive }) else { return }
        server.post(.message("mynah: the process executes \(path), a program of the host: debugging ends here\n"))
        server.drain(seconds: 1)
    }

    /// In the child of a fork, which runs freely. The gate may be locked by a thread that is not there.
    func leaveInChild() {
        for descriptor in descriptors { close(descriptor) }
    }
}

// What the session does to the gate, on its own thread; see `ProcessDebugger+Target`.
extension ProcessDebugger {
    var stoppedEntries: [DebuggedThread] { gate.locked { entries } }

    package func resume(_ plan: ResumePlan) {
        gate.locked {
            self.plan = plan
            for entry in entries {
                entry.action = plan.action(for: entry.id)
                entry.signal = .none
                switch entry.action {
                case .go(let signal), .step(let signal): give(signal, to: entry)
                case .stepRange, .hold: break
                }
            }
            world = .running
            gate.broadcast()
        }
    }

    private func give(_ signal: GDBSignal, to entry: DebuggedThread) {
        guard let number = signal.linux, number != 0 else { return }
        if entry.phase == .inCall {
            // The host brings it out of the call; then nobody is asked again.
            entry.unquestioned |= SignalTable.bit(number)
            _ = mynah_syscall(234 /* tgkill */, Int(getpid()), Int(entry.thread.hostThreadID), Int(number), 0, 0, 0)
        } else {
            entry.signal = signal
        }
    }

    package func interrupt() {
        gate.locked {
            guard case .running = world else { return }
            let awake = entries.first { $0.phase == .running && $0.action != .hold }
            guard let entry = awake ?? entries.first(where: { $0.action != .hold }) ?? entries.first else { return }
            world = .stopping(DebugStop(thread: entry.id, signal: .interrupt))
            entry.signalInformation = nil
            for entry in entries { entry.thread.cpu.requestInterrupt() }
            noteStopped()
        }
    }

    /// Runs `body` with a thread whose registers nobody else changes: one that waits in a system call is brought out of it first. Nil
    /// when there is no such thread, or when it cannot be brought out.
    func withChangeableThread<Result>(_ id: DebugThreadID, _ body: (DebuggedThread) -> Result?) -> Result? {
        gate.locked {
            guard let entry = entries.first(where: { $0.id == id }) else { return nil }
            var attempts = 0
            while entry.phase == .inCall && attempts < 100 {
                entry.wasKicked = true
                mynah_kick(entry.thread.hostThreadID)
                gate.wait(milliseconds: 20)
                attempts += 1
            }
            return entry.phase == .stopped ? body(entry) : nil
        }
    }

    func observe(passing signals: UInt64) {
        let table = gate.locked { () -> SignalTable? in
            observation.passed = signals
            return entries.first?.thread.signals
        }
        table?.observe(gate.locked { observation })
    }

    package func catchSystemCalls(_ calls: CaughtSystemCalls) { gate.locked { self.calls = calls } }

    /// Points are there or not: inserting one twice, or removing what is not there, changes nothing.
    func change(_ point: DebugPoint, inserting: Bool) -> DebugPointResult {
        switch point.kind {
        case .softwareBreakpoint, .hardwareBreakpoint:
            let kind: BreakpointKinds = point.kind == .softwareBreakpoint ? .software : .hardware
            guard inserting else {
                process.memory.removeBreakpoint(kind, at: point.address)
                return .done
            }
            return process.memory.insertBreakpoint(kind, at: point.address, instruction: process.abi.breakpointInstruction) ? .done : .failed
        case .writeWatchpoint, .readWatchpoint, .accessWatchpoint:
            guard point.byteCount > 0, point.address &+ (point.byteCount - 1) >= point.address else { return .failed }
            gate.locked {
                watchpoints.removeAll { $0 == point }
                if inserting { watchpoints.append(point) }
            }
            return .done
        }
    }

    package func detach() {
        process.memory.removeAllBreakpoints()
        let table = gate.locked { () -> SignalTable? in
            isActive = false
            watchpoints = []
            for entry in entries { entry.thread.cpu.requestInterrupt() }
            gate.broadcast()
            return entries.first?.thread.signals
        }
        table?.observe(nil)
    }
}

/// A thread as the debugger holds it. Guarded by the debugger's gate, except for what only the thread itself uses.
final class DebuggedThread {
    unowned let thread: LinuxThread
    enum Phase { case running, inCall, stopped }
    var phase = Phase.running
    var action = ResumeAction.hold
    /// What the thread gets when it goes on.
    var signal = GDBSignal.none
    /// Of the signal that it stopped because of.
    var signalInformation: SignalInfo?
    /// Signals that the debugger sent itself (bit n - 1 for signal n).
    var unquestioned: UInt64 = 0
    /// It was brought out of a system call, which is to be made again.
    var wasKicked = false

    // Used by the thread alone.
    /// What is to be told before the first instruction.
    var firstStop: DebugStopCause?
    /// Where a watched access was told, and is made now.
    var toldAccess: UInt64?
    /// Where the entry of a system call was told, and the call is made now.
    var toldCall: UInt64?
    var heldCall: HeldCall?

    init(_ thread: LinuxThread) { self.thread = thread }

    var id: DebugThreadID { DebugThreadID(rawValue: UInt64(thread.hostThreadID)) }

    func takeSignal() -> GDBSignal {
        defer { signal = .none }
        return signal
    }
}

/// A lock with a condition to wait for.
final class Monitor {
    // SAFETY: allocated for the life of the debugger, which is that of the process; never moved.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t> = .allocate(capacity: 1)
    private let condition: UnsafeMutablePointer<pthread_cond_t> = .allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Gives the lock back until somebody broadcasts.
    func wait() { pthread_cond_wait(condition, mutex) }

    func wait(milliseconds: Int) {
        var end = timespec()
        clock_gettime(CLOCK_REALTIME, &end)
        let nanoseconds = end.tv_nsec + milliseconds * 1_000_000
        end.tv_sec += nanoseconds / 1_000_000_000
        end.tv_nsec = nanoseconds % 1_000_000_000
        pthread_cond_timedwait(condition, mutex, &end)
    }

    func broadcast() { pthread_cond_broadcast(condition) }
}

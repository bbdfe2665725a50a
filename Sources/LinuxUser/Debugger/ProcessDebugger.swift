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
    let gate = Monitor()

    enum World {
        case running
        /// Until all threads have come to the gate.
        case stopping(DebugStop)
        case stopped
    }

    // All of it is guarded by the gate.
    var world = World.stopped
    var entries: [DebuggedThread] = []
    var plan = ResumePlan([])
    var calls = CaughtSystemCalls.none
    var observation = SignalObservation()
    var isActive = true
    /// Watchpoints; changed while no thread executes guest code.
    var watchpoints: [DebugPoint] = []
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
    static func attach(
        to process: LinuxProcess, firstThread thread: LinuxThread, _ listener: DebugListener, _ endpoint: DebugEndpoint
    ) throws {
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
            { context in
                let server = Unmanaged<DebugServer>.fromOpaque(context!).takeRetainedValue()
                server.threadID = Int32(truncatingIfNeeded: mynah_syscall(186 /* gettid */, 0, 0, 0, 0, 0, 0))
                server.serve()
            },
            Unmanaged.passRetained(debugger.server!).toOpaque(), 2 << 20)
        guard error == 0 else { throw DebugServerError("no thread to serve gdb: \(String(cString: strerror(error)))") }
    }

    /// Descriptors that the guest must not close.
    var descriptors: [Int32] { (server?.descriptors ?? []) + (memoryDescriptor >= 0 ? [memoryDescriptor] : []) }

    /// Whether the session still has its thread.
    var hasThread: Bool { server?.hasEnded == false }
    var threadID: Int32? { server?.threadID }

    // MARK: The gate, on the guest's threads

    func entry(of thread: LinuxThread) -> DebuggedThread? { gate.locked { entries.first { $0.thread === thread } } }

    /// Waits until the thread may execute an instruction. False when debugging is over.
    func pass(_ entry: DebuggedThread) -> Bool {
        gate.locked {
            waitUntilResumed(entry)
            return isActive
        }
    }

    /// Stops everything because of this thread, and returns when it goes on: the signal that it gets then. When another thread's
    /// stop came first, this one is told behind it if it `lasts`, and forgotten otherwise: the reason is found again.
    func stop(
        _ entry: DebuggedThread, _ signal: GDBSignal, _ cause: DebugStopCause = .none, info: SignalInfo? = nil,
        lasts: Bool = false
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

    func noteStopped() {
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
            guard point.kind != .readWatchpoint || access.isLoad, point.kind != .writeWatchpoint || access.isStore else {
                return false
            }
            return access.first <= point.address &+ (point.byteCount &- 1) && point.address <= access.last
        }
    }

    /// What stands in memory that is watched for writes, for `changedWatchpoint` after a system call: the kernel's writes are
    /// seen by what they change.
    func watchedContents() -> [[UInt8]] {
        let most: UInt64 = 4096
        return watchpoints.map { point in
            point.kind == .readWatchpoint
                ? [] : readMemory(at: point.address, byteCount: Int(min(point.byteCount, most)), thread: nil)
        }
    }

    func changedWatchpoint(since contents: [[UInt8]]) -> DebugPoint? {
        if contents.isEmpty || contents.count != watchpoints.count { return nil }
        return zip(zip(watchpoints, contents), watchedContents()).first { $0.0.1 != $0.1 }?.0.0
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
        server.drain(seconds: 20)
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
        server.drain(seconds: 20)
    }

    /// In the child of a fork, which runs freely. The gate may be locked by a thread that is not there.
    func leaveInChild() {
        for descriptor in descriptors { close(descriptor) }
    }
}

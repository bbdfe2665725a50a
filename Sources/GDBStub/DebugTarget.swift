// What a debugger can do with a program or a machine: the side of a debugging session that knows the guest.
//
// A session calls it on one thread. The target is stopped or runs as a whole (all-stop): between `resume` and the event
// that follows, only `interrupt`, `kill` and `detach` are called.

/// A thread of a program, or a hart of a machine: never 0, which stands for any in the protocol.
package struct DebugThreadID: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

package struct DebugThread: Equatable, Sendable {
    package var id: DebugThreadID
    package var name: String
    /// More to show beside the name, e.g. what it waits in.
    package var details: String
    package init(id: DebugThreadID, name: String, details: String = "") {
        self.id = id
        self.name = name
        self.details = details
    }
}

/// Where a target is to stop. The raw values are the digits of the packets `Z` and `z`.
package enum DebugPointKind: UInt8, Sendable {
    case softwareBreakpoint = 0, hardwareBreakpoint, writeWatchpoint, readWatchpoint, accessWatchpoint
}

package struct DebugPoint: Hashable, Sendable {
    package var kind: DebugPointKind
    package var address: UInt64
    /// Bytes of a breakpoint instruction of the kind that fits, or bytes watched.
    package var byteCount: UInt64
    package init(_ kind: DebugPointKind, at address: UInt64, byteCount: UInt64) {
        self.kind = kind
        self.address = address
        self.byteCount = byteCount
    }
}

/// What became of a request for a point.
package enum DebugPointResult: Sendable { case done, failed, unsupported }

/// Why a thread stopped, beside the signal.
package enum DebugStopCause: Equatable, Sendable {
    case none
    case softwareBreakpoint, hardwareBreakpoint
    /// Before the access is made, or behind it: as GDB expects of the architecture.
    case watchpoint(DebugPointKind, address: UInt64)
    case systemCallEntry(Int), systemCallReturn(Int)
    /// The process runs another program from now on.
    case executed(path: String)
}

package struct DebugStop: Equatable, Sendable {
    package var thread: DebugThreadID
    package var signal: GDBSignal
    package var cause: DebugStopCause
    package init(thread: DebugThreadID, signal: GDBSignal, cause: DebugStopCause = .none) {
        self.thread = thread
        self.signal = signal
        self.cause = cause
    }
}

/// What a target tells of itself while it runs.
package enum DebugEvent: Equatable, Sendable {
    /// All threads have stopped, because of this one.
    case stopped(DebugStop)
    /// The only threads that were to run have ended.
    case nothingRuns
    case exited(status: UInt8)
    case killed(GDBSignal)
    /// Words for the person at the debugger.
    case message(String)
}

package enum ResumeAction: Equatable, Sendable {
    /// Runs; the thread gets the signal first.
    case go(GDBSignal)
    /// Executes one instruction. With a signal whose handler is entered, none: the next stop is at the handler.
    case step(GDBSignal)
    /// Executes instructions as long as they lie in the range; one at least.
    case stepRange(start: UInt64, end: UInt64)
    /// Does not run.
    case hold
}

/// Who does what when the target goes on: the first rule that names the thread, or all, counts. Without one a thread holds.
package struct ResumePlan: Equatable, Sendable {
    package var rules: [(thread: DebugThreadID?, action: ResumeAction)]
    package init(_ rules: [(thread: DebugThreadID?, action: ResumeAction)]) { self.rules = rules }

    package func action(for thread: DebugThreadID) -> ResumeAction {
        rules.first { $0.thread == nil || $0.thread == thread }?.action ?? .hold
    }

    /// For threads that do not exist yet.
    package var actionForNewThreads: ResumeAction { rules.first { $0.thread == nil }?.action ?? .hold }

    package static func == (left: ResumePlan, right: ResumePlan) -> Bool {
        left.rules.count == right.rules.count && zip(left.rules, right.rules).allSatisfy { $0 == $1 }
    }
}

/// What `qXfer` transfers, beside the description and the list of threads, which the session makes itself.
package enum TransferObject: String, CaseIterable, Sendable {
    case auxiliaryVector = "auxv", executable = "exec-file", libraries = "libraries-svr4", signalInformation = "siginfo"
    case memoryMap = "memory-map"
}

package enum CaughtSystemCalls: Equatable, Sendable {
    case none, all
    case some(Set<Int>)

    package func contains(_ number: Int) -> Bool {
        switch self {
        case .none: false
        case .all: true
        case .some(let numbers): numbers.contains(number)
        }
    }
}

package protocol DebugTarget: AnyObject {
    var description: TargetDescription { get }
    /// All threads; at least one while there is something to debug.
    var threads: [DebugThreadID] { get }
    /// What to show of a thread; nil when there is none.
    func thread(_ id: DebugThreadID) -> DebugThread?
    /// The debugger did not start what it debugs: when it leaves, the target goes on rather than ends.
    var wasAttached: Bool { get }
    var objects: Set<TransferObject> { get }
    var catchesSystemCalls: Bool { get }

    /// The bytes of a register in the target's order; nil when it is not available.
    func register(_ number: Int, of thread: DebugThreadID) -> [UInt8]?
    func setRegister(_ number: Int, to bytes: [UInt8], of thread: DebugThreadID) -> Bool
    /// What can be read of the range from its start on; empty when nothing can.
    func readMemory(at address: UInt64, byteCount: Int, thread: DebugThreadID?) -> [UInt8]
    /// Writes all or says false.
    func writeMemory(at address: UInt64, _ bytes: [UInt8], thread: DebugThreadID?) -> Bool
    func insert(_ point: DebugPoint) -> DebugPointResult
    func remove(_ point: DebugPoint) -> DebugPointResult
    /// Returns at once; an event follows when the target stops.
    func resume(_ plan: ResumePlan)
    /// Has a running target stop soon.
    func interrupt()
    /// The object's bytes; nil when there is none of that annex.
    func object(_ object: TransferObject, annex: String, thread: DebugThreadID?) -> [UInt8]?
    func setObject(_ object: TransferObject, to bytes: [UInt8], at offset: Int, thread: DebugThreadID?) -> Bool
    /// These signals are delivered without a stop.
    func pass(_ signals: Set<GDBSignal>)
    func catchSystemCalls(_ calls: CaughtSystemCalls)
    /// The answer to a question or setting (`q…`, `Q…`) that is not in GDB's manual but another stub's habit; nil when it is not
    /// known.
    func answer(_ packet: String) -> String?
    /// The answer to a command of the debugger's `monitor`; nil when there is no such command.
    func monitor(_ command: String) -> String?
    /// The file of the host that the target knows by this path; nil when its files are not to be read.
    func hostPath(ofFile path: String) -> String?
    /// Ends what is debugged.
    func kill()
    /// Forgets all points and lets everything run without the debugger.
    func detach()
}

extension DebugTarget {
    package var wasAttached: Bool { false }
    package var objects: Set<TransferObject> { [] }
    package var catchesSystemCalls: Bool { false }
    package func object(_ object: TransferObject, annex: String, thread: DebugThreadID?) -> [UInt8]? { nil }
    package func setObject(_ object: TransferObject, to bytes: [UInt8], at offset: Int, thread: DebugThreadID?) -> Bool { false }
    package func pass(_ signals: Set<GDBSignal>) {}
    package func catchSystemCalls(_ calls: CaughtSystemCalls) {}
    package func answer(_ packet: String) -> String? { nil }
    package func monitor(_ command: String) -> String? { nil }
    package func hostPath(ofFile path: String) -> String? { nil }
}

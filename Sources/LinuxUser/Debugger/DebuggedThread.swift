// What a debugger keeps of each thread, and the lock with which it waits for them.

import GDBStub
import Glibc

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

// Deadlines of devices. With host time a thread waits for the next one; with counted time the processor asks for `nextDeadline`
// and calls `runDue` when it has come.

/// One deadline that can be moved.
package final class DeviceTimer: @unchecked Sendable {
    fileprivate unowned let queue: TimerQueue
    fileprivate var deadline: UInt64?
    fileprivate let body: () -> Void

    fileprivate init(_ queue: TimerQueue, _ body: @escaping () -> Void) {
        self.queue = queue
        self.body = body
    }

    /// Calls the body once when the clock reaches `ticks`, soon when it has already; nil: not at all. A call that is already
    /// under way may still come, so the body looks whether it is time.
    package func set(_ ticks: UInt64?) { queue.set(self, ticks) }
}

package final class TimerQueue: @unchecked Sendable {
    package let clock: Clock
    private let monitor = Monitor()
    private var timers: [DeviceTimer] = []
    private var thread: HostThread?
    private var isStopping = false
    /// Told, on the thread that moved a deadline, that `nextDeadline` is earlier than before. For counted time; set before harts
    /// run.
    package var onEarlier: ((UInt64) -> Void)?

    package init(clock: Clock) { self.clock = clock }

    /// `body` runs on the thread of the queue, or of whoever calls `runDue`.
    package func makeTimer(_ body: @escaping () -> Void) -> DeviceTimer {
        let timer = DeviceTimer(self, body)
        monitor.locked { timers.append(timer) }
        return timer
    }

    fileprivate func set(_ timer: DeviceTimer, _ ticks: UInt64?) {
        let isEarlier = monitor.locked { () -> Bool in
            let before = earliest
            timer.deadline = ticks
            guard let ticks, ticks < before ?? .max else { return false }
            monitor.wake()
            return true
        }
        if isEarlier, let ticks { onEarlier?(ticks) }
    }

    private var earliest: UInt64? {
        var result: UInt64?
        for timer in timers { if let deadline = timer.deadline, deadline < result ?? .max { result = deadline } }
        return result
    }

    /// Ticks at which `runDue` has something to do; nil for never.
    package var nextDeadline: UInt64? { monitor.locked { earliest } }

    /// Calls the bodies whose time has come, the earliest first.
    package func runDue() {
        while true {
            let now = clock.ticks
            let due = monitor.locked { () -> DeviceTimer? in
                var first: DeviceTimer?
                for timer in timers {
                    if let deadline = timer.deadline, deadline <= now, deadline < first?.deadline ?? .max { first = timer }
                }
                first?.deadline = nil
                return first
            }
            guard let due else { return }
            due.body()
        }
    }

    /// Starts the thread that serves the deadlines in host time.
    package func start() throws(BackendError) {
        guard thread == nil else { return }
        thread = try HostThread { [self] in serve() }
    }

    private func serve() {
        while true {
            let ends = monitor.locked { () -> Bool in
                while !isStopping {
                    guard let next = earliest else {
                        monitor.wait()
                        continue
                    }
                    let now = clock.ticks
                    if next <= now { break }
                    monitor.wait(nanoseconds: min(next - now, 1 << 40) * Timebase.nanosecondsPerTick)
                }
                return isStopping
            }
            if ends { return }
            runDue()
        }
    }

    /// Ends the thread.
    package func stop() {
        monitor.locked {
            isStopping = true
            monitor.wake()
        }
        thread?.join()
        thread = nil
        monitor.locked { isStopping = false }
    }
}

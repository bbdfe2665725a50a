// Things to do at a time of the machine's clock: by a thread that sleeps until the next, or in turns with the harts.

import Glibc

package final class ProcessorTimers {
    /// One thing to do. Its body runs on the timers' thread, or between turns of the harts.
    package final class Timer {
        fileprivate unowned let timers: ProcessorTimers
        fileprivate let body: () -> Void
        // Guarded by the timers' lock.
        fileprivate var deadline: UInt64?

        fileprivate init(_ timers: ProcessorTimers, _ body: @escaping () -> Void) {
            self.timers = timers
            self.body = body
        }

        /// Has the body run once the clock shows `deadline` (ticks of 100 ns), or not at all. From any thread.
        package func set(_ deadline: UInt64?) { timers.set(self, deadline) }
    }

    /// The machine's clock. Set before timers are.
    package var now: () -> UInt64 = { 0 }
    private var all: [Timer] = []
    private var thread: HartThread?
    private var isStopping = false
    /// What the thread sleeps until.
    private var sleepsUntil = UInt64.max
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private static let nanosecondsPerTick: UInt64 = 100

    init() {
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// A timer that is not set. It lives as long as the timers.
    package func make(_ body: @escaping () -> Void) -> Timer {
        let timer = Timer(self, body)
        locked { all.append(timer) }
        return timer
    }

    /// The earliest deadline.
    var next: UInt64? { locked { all.compactMap(\.deadline).min() } }

    fileprivate func set(_ timer: Timer, _ deadline: UInt64?) {
        locked {
            timer.deadline = deadline
            if let deadline, deadline < sleepsUntil { pthread_cond_signal(condition) }
        }
    }

    /// Runs what is due.
    func fire() {
        let time = now()
        let due = locked {
            let due = all.filter { $0.deadline.map { $0 <= time } ?? false }
            for timer in due { timer.deadline = nil }
            return due
        }
        for timer in due { timer.body() }
    }

    // MARK: The thread

    func startThread() {
        isStopping = false
        thread = HartThread { [unowned self] in
            while !locked({ isStopping }) {
                fire()
                sleep()
            }
        }
    }

    private func sleep() {
        locked {
            guard !isStopping else { return }
            sleepsUntil = all.compactMap(\.deadline).min() ?? .max
            defer { sleepsUntil = .max }
            if sleepsUntil == .max {
                // Nobody compares with it: any new deadline is earlier.
                pthread_cond_wait(condition, mutex)
                return
            }
            let time = now()
            if sleepsUntil <= time { return }
            let ticks = min(sleepsUntil - time, 36_000_000_000)
            var end = timespec()
            clock_gettime(CLOCK_MONOTONIC, &end)
            let nanoseconds = UInt64(end.tv_nsec) + ticks * ProcessorTimers.nanosecondsPerTick
            end.tv_sec += Int(nanoseconds / 1_000_000_000)
            end.tv_nsec = Int(nanoseconds % 1_000_000_000)
            pthread_cond_timedwait(condition, mutex, &end)
        }
    }

    func wakeUp() { locked { _ = pthread_cond_signal(condition) } }

    func stopThread() {
        locked {
            isStopping = true
            pthread_cond_signal(condition)
        }
        thread?.join()
        thread = nil
    }

    @inline(__always)
    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body()
    }
}

// Mutual exclusion and waiting for harts, timers and I/O threads that meet in a device.
//
// Order in which locks may be held together: device, virtqueue worker, interrupt line, interrupt controller. Nobody calls upwards
// with a lock held.

import CHost
import Glibc

/// A mutex with one condition.
package final class Monitor: @unchecked Sendable {
    // SAFETY: both live as long as the object and are only used by it.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    package init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
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

    @inline(__always)
    package func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Inside `locked`: waits for `wake`. May return without one.
    package func wait() { pthread_cond_wait(condition, mutex) }

    /// Inside `locked`: the same, at most so many nanoseconds.
    package func wait(nanoseconds: UInt64) {
        let end = HostClock.monotonicNanoseconds &+ min(nanoseconds, 1 << 60)
        var time = timespec(tv_sec: Int(end / 1_000_000_000), tv_nsec: Int(end % 1_000_000_000))
        pthread_cond_timedwait(condition, mutex, &time)
    }

    package func wake() { pthread_cond_broadcast(condition) }
}

/// A host thread that can be waited for. All signals are blocked in it.
package final class HostThread: @unchecked Sendable {
    private let monitor = Monitor()
    private var hasEnded = false
    private let body: () -> Void

    /// - Throws: `BackendError` when the host has no more threads.
    package init(_ body: @escaping () -> Void) throws(BackendError) {
        self.body = body
        let context = Unmanaged.passRetained(self)
        let status = mynah_start_thread(
            { Unmanaged<HostThread>.fromOpaque($0!).takeRetainedValue().run() }, context.toOpaque(), 512 << 10)
        guard status == 0 else {
            context.release()
            throw BackendError("cannot start a thread for a device", errorNumber: status)
        }
    }

    private func run() {
        body()
        monitor.locked {
            hasEnded = true
            monitor.wake()
        }
    }

    /// Waits for the end of the body. Not from the thread itself.
    package func join() { monitor.locked { while !hasEnded { monitor.wait() } } }
}

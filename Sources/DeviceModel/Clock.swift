// The machine's time in ticks of its timebase, 10 MHz as on QEMU's `virt`: the host's, or one that counts instructions.

import Glibc

/// Time as devices see it. Any thread.
package protocol Clock: AnyObject {
    /// Ticks of 100 ns since the machine was made.
    var ticks: UInt64 { get }
    /// Nanoseconds since 1970, UTC.
    var wallNanoseconds: UInt64 { get }
}

package enum Timebase {
    package static let hertz: UInt64 = 10_000_000
    package static let nanosecondsPerTick: UInt64 = 100
}

/// The host's time, except that it can stand still.
package final class HostClock: Clock, @unchecked Sendable {
    // Changed while nobody who uses the clock runs.
    /// The host's time at tick 0, as if the clock had never stood still.
    private var start = HostClock.monotonicNanoseconds
    /// The host's time at which the clock stopped; 0 while it goes.
    private var stopped: UInt64 = 0

    package init() {}

    package static var monotonicNanoseconds: UInt64 { nanoseconds(CLOCK_MONOTONIC) }

    private static func nanoseconds(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    package var ticks: UInt64 {
        ((stopped != 0 ? stopped : HostClock.monotonicNanoseconds) &- start) / Timebase.nanosecondsPerTick
    }

    /// From now on the time goes on from `ticks`. While nothing runs by it.
    package func set(ticks: UInt64) {
        start = (stopped != 0 ? stopped : HostClock.monotonicNanoseconds) &- ticks &* Timebase.nanosecondsPerTick
    }

    /// Stands still until `go`; the time of day does not.
    package func stop() { if stopped == 0 { stopped = HostClock.monotonicNanoseconds } }

    package func go() {
        guard stopped != 0 else { return }
        start &+= HostClock.monotonicNanoseconds &- stopped
        stopped = 0
    }

    package var wallNanoseconds: UInt64 { HostClock.nanoseconds(CLOCK_REALTIME) }
}

/// A time that somebody else counts, such as a processor by its instructions: the same in every run.
package final class CountedClock: Clock, @unchecked Sendable {
    private let count: () -> UInt64
    private let start: UInt64

    /// `count` gives the ticks; the wall clock starts at `wallStart` nanoseconds since 1970.
    package init(wallStart: UInt64 = 946_684_800_000_000_000, _ count: @escaping () -> UInt64) {
        self.count = count
        start = wallStart
    }

    package var ticks: UInt64 { count() }
    package var wallNanoseconds: UInt64 { start &+ count() &* Timebase.nanosecondsPerTick }
}

// Interrupts virtual CPUs whose program does not come to an end, so that an endless loop is a failure with a report.

import Engine
import Glibc
import Synchronization

final class Watchdog: Sendable {
    static let shared = Watchdog()
    /// Seconds that a program may run: far more than it needs on a host with much else to do.
    private static let limit = 120

    private struct Watched {
        // Only asked for an interrupt, which any thread may do.
        nonisolated(unsafe) let cpu: VirtualCPU
        let start: Int
    }
    private let running = Mutex<[ObjectIdentifier: Watched]>([:])

    private init() {
        var thread = pthread_t()
        let status = pthread_create(&thread, nil, { _ in
            while true {
                sleep(1)
                Watchdog.shared.look()
            }
        }, nil)
        precondition(status == 0, "no thread for the watchdog")
        pthread_detach(thread)
    }

    private func look() {
        running.withLock { running in
            for watched in running.values where Watchdog.hasExpired(watched) { watched.cpu.requestInterrupt() }
        }
    }

    private static func hasExpired(_ watched: Watched) -> Bool { time(nil) - watched.start > limit }

    /// Calls `step` until it says that it is done, or time is up.
    func run(_ cpu: VirtualCPU, until step: () -> Bool) {
        let key = ObjectIdentifier(cpu), watched = Watched(cpu: cpu, start: time(nil))
        running.withLock { $0[key] = watched }
        while !step(), !Watchdog.hasExpired(watched) {}
        _ = running.withLock { $0.removeValue(forKey: key) }
    }
}

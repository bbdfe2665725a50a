// The far end of the serial port: what the guest writes goes to one function, and what a user types waits here until the port has
// room.

import DeviceModel

package final class SerialConsole: CharacterBackend, @unchecked Sendable {
    /// Input that waits, at most about this much; whoever sends more is held up.
    package static let waitingLimit = 1 << 16

    private let monitor = Monitor()
    private let output: (UnsafeRawBufferPointer) -> Void
    private weak var receiver: CharacterReceiver?
    private var waiting: [UInt8] = []
    private var isPumping = false, isHeld = false
    private var isClosed = false

    /// - Parameter output: called with what the guest writes, by one thread at a time.
    package init(output: @escaping (UnsafeRawBufferPointer) -> Void) { self.output = output }

    package func write(_ bytes: UnsafeRawBufferPointer) { output(bytes) }

    package func connect(_ receiver: CharacterReceiver) { monitor.locked { self.receiver = receiver } }

    /// Nobody reads any more: input is thrown away from now on.
    package func disconnect() {
        monitor.locked {
            isClosed = true
            receiver = nil
            waiting = []
            monitor.wake()
        }
    }

    /// Sends to the guest. Waits while too much is under way already.
    package func send(_ bytes: [UInt8]) {
        monitor.locked {
            while waiting.count >= SerialConsole.waitingLimit && !isClosed { monitor.wait() }
            if !isClosed { waiting += bytes }
        }
        pump()
    }

    // MARK: Saving

    /// Nothing is handed over from now on until `release`.
    func hold() {
        monitor.locked {
            isHeld = true
            while isPumping { monitor.wait() }
        }
    }

    func release() {
        monitor.locked { isHeld = false }
        pump()
    }

    /// What was sent and not handed over. While it is held.
    var pendingInput: [UInt8] {
        get { monitor.locked { waiting } }
        set {
            monitor.locked {
                waiting = newValue
                monitor.wake()
            }
        }
    }

    /// Hands over what fits, and comes back when there is room again. One thread does it at a time; no lock is held meanwhile.
    private func pump() {
        guard monitor.locked({ () -> Bool in
            if isPumping || isHeld { return false }
            isPumping = true
            return true
        }) else { return }
        while true {
            let (next, target) = monitor.locked { () -> ([UInt8], CharacterReceiver?) in
                if waiting.isEmpty || receiver == nil || isHeld {
                    isPumping = false
                    monitor.wake()
                    return ([], nil)
                }
                return (Array(waiting.prefix(256)), receiver)
            }
            guard let target else { return }
            let count = next.withUnsafeBytes { target.receive($0) }
            monitor.locked {
                waiting.removeFirst(min(count, waiting.count))
                monitor.wake()
                if count == 0 { isPumping = false }
            }
            if count == 0 { return target.whenReady { [weak self] in self?.pump() } }
        }
    }
}

// A serial line on descriptors of the host: standard input and output, a pipe, a file, a socket. Input is read by a thread, and
// only as fast as the guest takes it.

import DeviceModel
import Glibc

package final class StreamCharacters: CharacterBackend, @unchecked Sendable {
    private let input: Int32, output: Int32
    private let filter: ((UInt8) -> UInt8?)?
    private let monitor = Monitor()
    private let wakeUp: WakeUp
    private var thread: HostThread?
    private var isStopping = false, hasRoom = false
    private weak var receiver: CharacterReceiver?

    /// - Parameters:
    ///   - input: a descriptor to read from; negative for none. It stays open.
    ///   - output: a descriptor to write to; negative for none.
    ///   - filter: sees every byte of input; nil keeps it from the guest (keys of the monitor).
    package init(input: Int32, output: Int32, filter: ((UInt8) -> UInt8?)? = nil) throws(BackendError) {
        self.input = input
        self.output = output
        self.filter = filter
        wakeUp = try WakeUp()
    }

    /// Waits for whoever reads; what nobody will read is lost.
    package func write(_ bytes: UnsafeRawBufferPointer) {
        guard output >= 0 else { return }
        var done = 0
        while done < bytes.count {
            let count = Glibc.write(output, bytes.baseAddress! + done, bytes.count - done)
            if count > 0 {
                done += count
            } else if errno == EAGAIN {
                var descriptor = pollfd(fd: output, events: Int16(POLLOUT), revents: 0)
                poll(&descriptor, 1, 1000)
            } else if errno != EINTR {
                return
            }
        }
    }

    package func connect(_ receiver: CharacterReceiver) {
        self.receiver = receiver
        guard input >= 0, thread == nil else { return }
        // Without a thread there is output, but no input.
        thread = try? HostThread { [self] in serve() }
    }

    private func serve() {
        var buffer = [UInt8](repeating: 0, count: 4096), held: [UInt8] = [], isOpen = true
        while !(monitor.locked { isStopping }) && (isOpen || !held.isEmpty) {
            if !held.isEmpty {
                guard let receiver else { return }
                let taken = held.withUnsafeBytes { receiver.receive($0) }
                held.removeFirst(taken)
                if !held.isEmpty { waitForRoom(receiver) }
                continue
            }
            var descriptors = [
                pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: input, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&descriptors, 2, -1)
            wakeUp.clear()
            guard descriptors[1].revents != 0 else { continue }
            let count = read(input, &buffer, buffer.count)
            if count > 0 {
                held = filter == nil ? Array(buffer.prefix(count)) : buffer.prefix(count).compactMap { filter!($0) }
            } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
                isOpen = false
            }
        }
    }

    private func waitForRoom(_ receiver: CharacterReceiver) {
        monitor.locked { hasRoom = false }
        receiver.whenReady { [weak self] in
            guard let self else { return }
            monitor.locked {
                self.hasRoom = true
                self.monitor.wake()
            }
        }
        monitor.locked { while !hasRoom && !isStopping { monitor.wait() } }
    }

    package func disconnect() {
        monitor.locked {
            isStopping = true
            monitor.wake()
        }
        wakeUp.wake()
        thread?.join()
        thread = nil
    }
}

// A tap interface of the host: the guest is on whatever network the host puts the interface on. Needs CAP_NET_ADMIN, or an
// interface that was made for the user (`ip tuntap add dev tap0 mode tap user NAME`).

import CHost
import DeviceModel
import Glibc

package final class TapNetwork: NetworkBackend, @unchecked Sendable {
    private let descriptor: Int32
    private let monitor = Monitor()
    private let wakeUp: WakeUp
    private var thread: HostThread?
    private var isStopping = false

    /// - Throws: `BackendError` when there is no such interface, or no right to it.
    package init(name: String) throws(BackendError) {
        guard name.utf8.count < 16 else { throw BackendError("the name of a network interface has at most 15 bytes: \(name)") }
        wakeUp = try WakeUp()
        descriptor = mynah_open_tap(name)
        guard descriptor >= 0 else {
            throw BackendError(
                "cannot open the tap interface \(name) (make one: ip tuntap add dev \(name.isEmpty ? "tap0" : name) mode tap "
                    + "user NAME)",
                errorNumber: -descriptor)
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// What the interface does not take is lost, as on a wire.
    package func send(_ frame: UnsafeRawBufferPointer) { _ = write(descriptor, frame.baseAddress!, frame.count) }

    package func start(receive: @escaping (UnsafeRawBufferPointer) -> Bool) throws(BackendError) {
        thread = try HostThread { [self] in serve(receive) }
    }

    package func receiverReady() { wakeUp.wake() }

    /// A frame that the guest has no buffer for is kept, and no other is read meanwhile.
    private func serve(_ receive: (UnsafeRawBufferPointer) -> Bool) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: VirtioNetwork.frameLimit, alignment: 16)
        defer { buffer.deallocate() }
        var held = 0
        while !(monitor.locked { isStopping }) {
            if held > 0 && receive(UnsafeRawBufferPointer(rebasing: buffer[..<held])) { held = 0 }
            if held == 0 {
                held = max(0, read(descriptor, buffer.baseAddress!, buffer.count))
                if held > 0 { continue }
            }
            var descriptors = [
                pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&descriptors, held > 0 ? 1 : 2, -1)
            // The interface is gone: no frame will come any more.
            if descriptors[1].revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0 { return }
            wakeUp.clear()
        }
    }

    package func stop() {
        monitor.locked { isStopping = true }
        wakeUp.wake()
        thread?.join()
        thread = nil
    }
}

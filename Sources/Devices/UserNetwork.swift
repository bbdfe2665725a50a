// A network without rights and set-up: libslirp answers the guest's frames with sockets of this process. Found at run time.
//
// The library knows no threads: everything that enters it holds the lock. Frames to the guest come out of such calls.

import CHost
import DeviceModel
import Glibc

/// A port of the host that leads to one of the guest.
package struct HostForward: Equatable, CustomStringConvertible {
    package var isUDP = false
    /// Four numbers; nil for all addresses of the host.
    package var hostAddress: [UInt8]?
    package var hostPort: UInt16
    /// nil for the first guest, 10.0.2.15.
    package var guestAddress: [UInt8]?
    package var guestPort: UInt16

    package init(
        isUDP: Bool = false, hostAddress: [UInt8]? = nil, hostPort: UInt16, guestAddress: [UInt8]? = nil, guestPort: UInt16
    ) {
        self.isUDP = isUDP
        self.hostAddress = hostAddress
        self.hostPort = hostPort
        self.guestAddress = guestAddress
        self.guestPort = guestPort
    }

    /// qemu's notation: `tcp:[ADDRESS]:PORT-[ADDRESS]:PORT`; also `PORT-PORT` or `PORT:PORT`.
    package init?(_ text: String) {
        let sides = text.split(separator: "-", omittingEmptySubsequences: false)
        if sides.count == 1 {
            let ports = text.split(separator: ":")
            guard ports.count == 2, let host = UInt16(ports[0]), let guest = UInt16(ports[1]) else { return nil }
            self.init(hostPort: host, guestPort: guest)
            return
        }
        guard sides.count == 2 else { return nil }
        var left = sides[0].split(separator: ":", omittingEmptySubsequences: false), isUDP = false
        if left.count > 1, left[0] == "tcp" || left[0] == "udp" || left[0] == "" { isUDP = left.removeFirst() == "udp" }
        let right = sides[1].split(separator: ":", omittingEmptySubsequences: false)
        guard (1...2).contains(left.count), (1...2).contains(right.count), let host = UInt16(left.last!),
            let guest = UInt16(right.last!)
        else {
            return nil
        }
        let address = { (parts: [Substring]) -> [UInt8]?? in
            guard parts.count == 2, !parts[0].isEmpty else { return .some(nil) }
            let numbers = parts[0].split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
            return numbers.count == 4 && numbers.allSatisfy { $0 != nil } ? .some(numbers.map { $0! }) : nil
        }
        guard let hostAddress = address(left), let guestAddress = address(right) else { return nil }
        self.init(isUDP: isUDP, hostAddress: hostAddress, hostPort: host, guestAddress: guestAddress, guestPort: guest)
    }

    package var description: String {
        let text = { (address: [UInt8]?) in address.map { $0.map(String.init).joined(separator: ".") } ?? "" }
        return "\(isUDP ? "udp" : "tcp"):\(text(hostAddress)):\(hostPort)-\(text(guestAddress)):\(guestPort)"
    }
}

package final class UserNetwork: NetworkBackend, @unchecked Sendable {
    private let monitor = Monitor()
    private let forwards: [HostForward]
    private let isRestricted: Bool
    private var slirp: OpaquePointer?
    private var receive: ((UnsafeRawBufferPointer) -> Bool)?
    private let wakeUp: WakeUp
    private var thread: HostThread?
    private var isStopping = false
    /// Frames for which the guest had no buffer yet.
    private var backlog: [[UInt8]] = []
    private static let backlogLimit = 512, descriptorLimit = 2048

    /// - Parameter isRestricted: the guest reaches nothing but what is forwarded to it.
    package init(forwards: [HostForward] = [], isRestricted: Bool = false) throws(BackendError) {
        self.forwards = forwards
        self.isRestricted = isRestricted
        wakeUp = try WakeUp()
    }

    package func start(receive: @escaping (UnsafeRawBufferPointer) -> Bool) throws(BackendError) {
        self.receive = receive
        var events = mynah_slirp_events(
            context: Unmanaged.passUnretained(self).toOpaque(),
            frame: { context, bytes, count in
                Unmanaged<UserNetwork>.fromOpaque(context!).takeUnretainedValue().deliver(
                    UnsafeRawBufferPointer(start: bytes, count: count))
            },
            nanoseconds: { _ in Int64(truncatingIfNeeded: HostClock.monotonicNanoseconds) },
            message: { _, _ in })
        var reason: UnsafePointer<CChar> = UnsafePointer(strdup(""))
        let empty = UnsafeMutablePointer(mutating: reason)
        defer { free(empty) }
        guard let opened = mynah_slirp_open(&events, isRestricted ? 1 : 0, &reason) else {
            throw BackendError(
                "user-mode networking needs libslirp: \(String(cString: reason)). On Debian: apt install libslirp0")
        }
        slirp = opened
        for forward in forwards {
            guard
                mynah_slirp_forward(
                    opened, forward.isUDP ? 1 : 0, UserNetwork.word(forward.hostAddress), Int32(forward.hostPort),
                    UserNetwork.word(forward.guestAddress),
                    Int32(forward.guestPort)) == 0
            else {
                let failure = BackendError("cannot forward \(forward) (is the port in use?)", errorNumber: errno)
                stop()
                throw failure
            }
        }
        thread = try HostThread { [self] in serve() }
    }

    /// In network order.
    private static func word(_ address: [UInt8]?) -> UInt32 {
        (address ?? [0, 0, 0, 0]).reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    package func send(_ frame: UnsafeRawBufferPointer) {
        guard let bytes = frame.baseAddress else { return }
        monitor.locked { if let slirp { mynah_slirp_input(slirp, bytes, Int32(frame.count)) } }
        wakeUp.wake()
    }

    /// With the lock.
    private func deliver(_ frame: UnsafeRawBufferPointer) {
        if backlog.isEmpty && receive?(frame) != false { return }
        if backlog.count < UserNetwork.backlogLimit { backlog.append(Array(frame)) }
    }

    package func receiverReady() { wakeUp.wake() }

    private func drainBacklog() {
        var done = 0
        while done < backlog.count, backlog[done].withUnsafeBytes({ receive?($0) != false }) { done += 1 }
        backlog.removeFirst(done)
    }

    private func serve() {
        let descriptors = UnsafeMutablePointer<pollfd>.allocate(capacity: UserNetwork.descriptorLimit + 1)
        defer { descriptors.deallocate() }
        while true {
            var timeout: Int32 = -1, count: Int32 = 0
            let ends = monitor.locked { () -> Bool in
                guard !isStopping, let slirp else { return true }
                count = mynah_slirp_prepare(slirp, descriptors, Int32(UserNetwork.descriptorLimit), &timeout)
                return false
            }
            if ends { return }
            descriptors[Int(count)] = pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0)
            let result = poll(descriptors, nfds_t(count) + 1, timeout)
            wakeUp.clear()
            monitor.locked {
                guard let slirp, !isStopping else { return }
                drainBacklog()
                mynah_slirp_dispatch(slirp, descriptors, count, result < 0 ? 1 : 0)
            }
        }
    }

    package func stop() {
        monitor.locked { isStopping = true }
        wakeUp.wake()
        thread?.join()
        thread = nil
        monitor.locked {
            if let slirp { mynah_slirp_close(slirp) }
            slirp = nil
            receive = nil
        }
    }
}

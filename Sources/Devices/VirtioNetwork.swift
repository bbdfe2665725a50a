// Virtio network card (section 5.1): one pair of queues, no offloads; frames go to and come from a `NetworkBackend`.

import DeviceModel

package final class VirtioNetwork: VirtioDevice, @unchecked Sendable {
    package let deviceID: UInt32 = 1
    package let features: UInt64
    package let queueSizes: [UInt16] = [256, 256]

    private enum Feature {
        static let mtu: UInt64 = 1 << 3, address: UInt64 = 1 << 5, status: UInt64 = 1 << 16
    }
    private static let receiveQueue = 0, transmitQueue = 1
    /// No link has longer frames.
    package static let frameLimit = 65_550

    private let backend: NetworkBackend
    private let address: [UInt8]
    private let maximumTransmissionUnit: UInt16?
    private let monitor = Monitor()
    /// 12 bytes since version 1.0.
    private var headerBytes = 12
    private var isRunning = false
    private weak var transport: VirtioTransport?
    private let scratch: UnsafeMutableRawBufferPointer

    /// - Parameters:
    ///   - address: the six bytes of the card's Ethernet address.
    ///   - maximumTransmissionUnit: of the host's link, when it is not the standard one.
    /// - Throws: `BackendError` when the backend cannot start.
    package init(backend: NetworkBackend, address: [UInt8], maximumTransmissionUnit: UInt16? = nil) throws(BackendError) {
        precondition(address.count == 6, "an Ethernet address has six bytes")
        self.backend = backend
        self.address = address
        self.maximumTransmissionUnit = maximumTransmissionUnit
        features = Feature.address | Feature.status | (maximumTransmissionUnit == nil ? 0 : Feature.mtu)
        scratch = .allocate(byteCount: VirtioNetwork.frameLimit, alignment: 16)
        try backend.start { [weak self] frame in self?.receive(frame) ?? true }
    }

    deinit { scratch.deallocate() }

    package func attach(_ transport: VirtioTransport) { self.transport = transport }

    package func start(features: UInt64) {
        monitor.locked {
            headerBytes = features & VirtioFeature.version1 != 0 ? 12 : 10
            isRunning = true
        }
        backend.receiverReady()
    }

    package func reset() { monitor.locked { isRunning = false } }
    package func shutDown() { backend.stop() }

    package var configuration: [UInt8] {
        var bytes = address
        bytes.append(word: 1 as UInt16)  // the link is up
        bytes.append(word: 1 as UInt16)  // one pair of queues
        bytes.append(word: maximumTransmissionUnit ?? 1500)
        return bytes
    }

    package func process(_ queue: Int) {
        if queue == VirtioNetwork.receiveQueue { return backend.receiverReady() }
        let header = monitor.locked { headerBytes }
        transport?.drain(queue) { chain in
            let count = chain.readableCount - header
            guard count > 0, count <= VirtioNetwork.frameLimit else { return 0 }
            let pieces = chain.readablePieces(header, count: count)
            if pieces.count == 1 {
                backend.send(pieces[0].bytes)
            } else {
                var done = 0
                for piece in pieces {
                    UnsafeMutableRawBufferPointer(rebasing: scratch[done..<done + piece.byteCount]).copyMemory(from: piece.bytes)
                    done += piece.byteCount
                }
                backend.send(UnsafeRawBufferPointer(rebasing: scratch[..<done]))
            }
            return 0
        }
    }

    /// A frame from the host. False when the guest has no buffer for it; a card that nobody runs loses it.
    private func receive(_ frame: UnsafeRawBufferPointer) -> Bool {
        let (header, runs) = monitor.locked { (headerBytes, isRunning) }
        guard runs, let transport else { return true }
        return transport.deliver(VirtioNetwork.receiveQueue) { chain in
            // A buffer that is too small loses the frame; the length says so.
            guard chain.writableCount >= header + frame.count else { return 0 }
            var bytes = [UInt8](repeating: 0, count: header)
            if header == 12 { bytes[10] = 1 }  // num_buffers
            chain.fill(0, bytes)
            chain.fill(header, frame)
            return header + frame.count
        }
    }
}

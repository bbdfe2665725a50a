// Virtio entropy source (section 5.4): fills buffers with random bytes.

import DeviceModel

package final class VirtioEntropy: VirtioDevice {
    package let deviceID: UInt32 = 4
    package let features: UInt64 = 0
    package let queueSizes: [UInt16] = [8]
    /// More in one request would keep the hart waiting.
    private static let requestLimit = 64 << 10
    private let backend: EntropyBackend
    private weak var transport: VirtioTransport?

    package init(backend: EntropyBackend = HostEntropy()) { self.backend = backend }

    package func attach(_ transport: VirtioTransport) { self.transport = transport }

    package func process(_ queue: Int) {
        transport?.drain(queue) { chain in
            let pieces = chain.writablePieces(0, count: VirtioEntropy.requestLimit)
            for piece in pieces { piece.write { backend.fill($0) } }
            return pieces.reduce(0) { $0 + $1.byteCount }
        }
    }
}

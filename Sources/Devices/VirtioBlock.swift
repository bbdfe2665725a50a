// Virtio block device (section 5.2) on any `BlockBackend`.

import DeviceModel
import Glibc

package final class VirtioBlock: VirtioDevice, Snapshottable, @unchecked Sendable {
    package struct State: Codable, Equatable {
        /// Writes may wait for a flush.
        package var writesBack = true
    }

    package let deviceID: UInt32 = 2
    package let features: UInt64
    package let queueSizes: [UInt16] = [256]
    package let isSlow = true

    private enum Feature {
        static let segmentLimit: UInt64 = 1 << 2, readOnly: UInt64 = 1 << 5, blockSize: UInt64 = 1 << 6, flush: UInt64 = 1 << 9
        static let writeCache: UInt64 = 1 << 11, discard: UInt64 = 1 << 13, writeZeroes: UInt64 = 1 << 14
    }
    private enum Request {
        static let read: UInt32 = 0, write: UInt32 = 1, flush: UInt32 = 4, identify: UInt32 = 8, discard: UInt32 = 11,
            writeZeroes: UInt32 = 13
    }
    private enum Status {
        static let ok: UInt8 = 0, error: UInt8 = 1, unsupported: UInt8 = 2
    }

    private static let sectorBytes: UInt64 = 512
    private static let headerBytes = 16, segmentBytes = 16
    private static let segmentLimit: UInt32 = 254, rangeLimit: UInt32 = 32
    private static let rangeSectorLimit: UInt32 = 0x3f_ffff

    package let backend: BlockBackend
    private let identifier: [UInt8]
    private let monitor = Monitor()
    private var writesBack = true
    private var hasWriteCache = false
    private weak var transport: VirtioTransport?

    /// - Parameter identifier: the serial number, of which the guest sees 20 bytes.
    package init(backend: BlockBackend, identifier: String = "mynah") {
        self.backend = backend
        self.identifier = Array(identifier.utf8.prefix(20))
        var offered = Feature.segmentLimit | Feature.blockSize | Feature.flush | Feature.writeCache
        offered |= backend.isReadOnly ? Feature.readOnly : Feature.discard | Feature.writeZeroes
        features = offered
    }

    package var state: State {
        get { State(writesBack: monitor.locked { writesBack }) }
        set { monitor.locked { writesBack = newValue.writesBack } }
    }

    package func attach(_ transport: VirtioTransport) { self.transport = transport }

    package func start(features: UInt64) {
        monitor.locked {
            hasWriteCache = features & Feature.writeCache != 0
            // Without FLUSH the driver cannot ask, so every write is made durable (section 5.2.6.2).
            writesBack = features & Feature.flush != 0
        }
    }

    package func reset() { monitor.locked { writesBack = true } }
    package func shutDown() { backend.close() }

    package var configuration: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(word: backend.byteCount / VirtioBlock.sectorBytes)
        bytes.append(word: 0 as UInt32)  // size_max
        bytes.append(word: VirtioBlock.segmentLimit)
        bytes.append(word: 0 as UInt32)  // geometry
        bytes.append(word: UInt32(VirtioBlock.sectorBytes))
        bytes.append(word: 0 as UInt64)  // topology
        bytes.append(monitor.locked { writesBack } ? 1 : 0)
        bytes.append(0)
        bytes.append(word: 1 as UInt16)  // num_queues
        for value in [
            VirtioBlock.rangeSectorLimit, VirtioBlock.rangeLimit, 1, VirtioBlock.rangeSectorLimit, VirtioBlock.rangeLimit,
        ] {
            bytes.append(word: value)
        }
        return bytes + [1, 0, 0, 0]  // write_zeroes_may_unmap
    }

    package func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {
        guard offset == 32, bytes.count == 1 else { return }
        monitor.locked { if hasWriteCache { writesBack = bytes[0] & 1 != 0 } }
    }

    // MARK: Requests

    package func process(_ queue: Int) {
        transport?.drain(queue) { (chain) throws(VirtioViolation) in try serve(chain) }
    }

    /// The last writable byte is the status, so all of the writable bytes count as written.
    private func serve(_ chain: VirtioChain) throws(VirtioViolation) -> Int {
        guard let type: UInt32 = chain.word(0), let sector: UInt64 = chain.word(8), chain.writableCount >= 1 else {
            throw VirtioViolation("a block request without header or status")
        }
        let dataCount = chain.writableCount - 1
        var status = Status.ok
        do throws(BackendError) {
            switch type {
            case Request.read:
                let isGood = try transfer(sector, chain.writablePieces(0, count: dataCount), byteCount: dataCount, isRead: true)
                if !isGood { status = Status.error }
            case Request.write: status = try write(chain, sector)
            case Request.flush: try backend.flush()
            case Request.identify: chain.fill(0, Array((identifier + Array(repeating: 0, count: 20)).prefix(min(20, dataCount))))
            case Request.discard, Request.writeZeroes: status = try ranges(chain, isDiscard: type == Request.discard)
            default: status = Status.unsupported
            }
        } catch {
            status = Status.error
        }
        chain.fill(dataCount, [status])
        return chain.writableCount
    }

    private func write(_ chain: VirtioChain, _ sector: UInt64) throws(BackendError) -> UInt8 {
        let count = chain.readableCount - VirtioBlock.headerBytes
        guard !backend.isReadOnly else { return Status.error }
        let pieces = chain.readablePieces(VirtioBlock.headerBytes, count: count)
        guard try transfer(sector, pieces, byteCount: count, isRead: false) else { return Status.error }
        if !(monitor.locked { writesBack }) { try backend.flush() }
        return Status.ok
    }

    private func byteRange(_ sector: UInt64, _ byteCount: UInt64) -> UInt64? {
        let (offset, overflows) = sector.multipliedReportingOverflow(by: VirtioBlock.sectorBytes)
        guard !overflows, byteCount % VirtioBlock.sectorBytes == 0 else { return nil }
        let capacity = backend.byteCount / VirtioBlock.sectorBytes * VirtioBlock.sectorBytes
        return offset <= capacity && capacity - offset >= byteCount ? offset : nil
    }

    /// Returns false when the range is not on the disk.
    private func transfer(_ sector: UInt64, _ pieces: [MemoryRange], byteCount: Int, isRead: Bool) throws(BackendError) -> Bool {
        guard var offset = byteRange(sector, UInt64(byteCount)) else { return false }
        for piece in pieces {
            if isRead {
                var failure: BackendError?
                piece.write { bytes in
                    do throws(BackendError) { try backend.read(at: offset, into: bytes) } catch { failure = error }
                }
                if let failure { throw failure }
            } else {
                try backend.write(at: offset, from: piece.bytes)
            }
            offset += UInt64(piece.byteCount)
        }
        return true
    }

    /// Segments of sector, count and flags (section 5.2.6).
    private func ranges(_ chain: VirtioChain, isDiscard: Bool) throws(BackendError) -> UInt8 {
        let data = chain.bytes(VirtioBlock.headerBytes, count: (Int(VirtioBlock.rangeLimit) + 1) * VirtioBlock.segmentBytes)
        guard !backend.isReadOnly else { return Status.error }
        guard !data.isEmpty, data.count % VirtioBlock.segmentBytes == 0,
            data.count <= Int(VirtioBlock.rangeLimit) * VirtioBlock.segmentBytes
        else { return Status.unsupported }
        for start in stride(from: 0, to: data.count, by: VirtioBlock.segmentBytes) {
            let sector: UInt64 = data.word(start), count: UInt32 = data.word(start + 8), flags: UInt32 = data.word(start + 12)
            if flags & ~1 != 0 || (isDiscard && flags != 0) { return Status.unsupported }
            guard count <= VirtioBlock.rangeSectorLimit, let offset = byteRange(sector, UInt64(count) * VirtioBlock.sectorBytes)
            else {
                return Status.error
            }
            if isDiscard {
                try backend.discard(at: offset, byteCount: UInt64(count) * VirtioBlock.sectorBytes)
            } else {
                try backend.writeZeroes(
                    at: offset, byteCount: UInt64(count) * VirtioBlock.sectorBytes, mayDiscard: flags & 1 != 0)
            }
        }
        return Status.ok
    }
}

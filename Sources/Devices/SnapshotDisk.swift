// A disk whose writes go to a temporary file and are gone in the end: what it lies on is not changed.

import DeviceModel

package final class SnapshotDisk: BlockBackend {
    private let base: BlockBackend
    private let file: ImageFile
    /// Clusters that were written, a bit each in words of 64: an image may say that its disk is as large as it likes. They lie in
    /// the temporary file where they lie on the disk.
    private var written: [UInt64: UInt64] = [:]
    package static let clusterBytes: UInt64 = 1 << 16

    package let byteCount: UInt64
    package let isReadOnly = false
    package var origin: BlockOrigin { base.origin }

    /// - Parameter directory: where the temporary file is made.
    package init(on base: BlockBackend, directory: String = "/var/tmp") throws(BackendError) {
        self.base = base
        byteCount = base.byteCount
        file = try ImageFile(temporaryIn: directory)
    }

    private func isWritten(_ cluster: UInt64) -> Bool { written[cluster / 64, default: 0] >> (cluster % 64) & 1 != 0 }

    /// Calls `body` for each cluster that the range touches: cluster, offset in the range, and the count of bytes.
    private func split(
        _ offset: UInt64, _ byteCount: UInt64, _ body: (UInt64, UInt64, UInt64) throws(BackendError) -> Void
    ) throws(BackendError) {
        var done: UInt64 = 0
        while done < byteCount {
            let place = offset + done, rest = SnapshotDisk.clusterBytes - place % SnapshotDisk.clusterBytes
            let count = min(rest, byteCount - done)
            try body(place / SnapshotDisk.clusterBytes, done, count)
            done += count
        }
    }

    package func read(at offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        try split(offset, UInt64(bytes.count)) { (cluster, start, count) throws(BackendError) in
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[Int(start)..<Int(start + count)])
            if isWritten(cluster) {
                try file.read(at: offset + start, into: part)
            } else {
                try base.read(at: offset + start, into: part)
            }
        }
    }

    /// Copies the cluster from the base unless it is there, or all of it is about to be written.
    private func own(_ cluster: UInt64, writing count: UInt64) throws(BackendError) {
        guard !isWritten(cluster) else { return }
        let start = cluster * SnapshotDisk.clusterBytes, size = min(SnapshotDisk.clusterBytes, byteCount - start)
        if count < size {
            var failure: BackendError?
            let content = [UInt8](unsafeUninitializedCapacity: Int(size)) { buffer, initialized in
                do throws(BackendError) {
                    try base.read(at: start, into: UnsafeMutableRawBufferPointer(buffer))
                    initialized = Int(size)
                } catch { failure = error }
            }
            if let failure { throw failure }
            try file.write(at: start, content)
        }
        written[cluster / 64, default: 0] |= 1 << (cluster % 64)
    }

    package func write(at offset: UInt64, from bytes: UnsafeRawBufferPointer) throws(BackendError) {
        try split(offset, UInt64(bytes.count)) { (cluster, start, count) throws(BackendError) in
            try own(cluster, writing: count)
            try file.write(at: offset + start, from: UnsafeRawBufferPointer(rebasing: bytes[Int(start)..<Int(start + count)]))
        }
    }

    package func flush() throws(BackendError) {}
    package func discard(at offset: UInt64, byteCount: UInt64) throws(BackendError) {}

    package func writeZeroes(at offset: UInt64, byteCount: UInt64, mayDiscard: Bool) throws(BackendError) {
        try split(offset, byteCount) { (cluster, start, count) throws(BackendError) in
            try own(cluster, writing: count)
            if !file.punch(at: offset + start, byteCount: count) { try file.writeZeroes(at: offset + start, byteCount: count) }
        }
    }

    package func close() {
        file.close()
        base.close()
    }

    // MARK: Saving

    /// The clusters that were written to, in rising order.
    package var writtenClusters: [UInt64] {
        written.sorted { $0.key < $1.key }.flatMap { word, bits in
            (0..<64 as Range<UInt64>).lazy.filter { bits >> $0 & 1 != 0 }.map { word * 64 + $0 }
        }
    }

    /// All clusters, also the last that may be shorter.
    package var clusterCount: UInt64 { (byteCount + SnapshotDisk.clusterBytes - 1) / SnapshotDisk.clusterBytes }

    /// Bytes of a cluster, which exists.
    package func byteCount(ofCluster cluster: UInt64) -> Int {
        Int(min(SnapshotDisk.clusterBytes, byteCount - cluster * SnapshotDisk.clusterBytes))
    }

    /// Forgets everything that was written.
    package func forgetWrites() {
        for cluster in writtenClusters {
            file.punch(at: cluster * SnapshotDisk.clusterBytes, byteCount: SnapshotDisk.clusterBytes)
        }
        written = [:]
    }
}

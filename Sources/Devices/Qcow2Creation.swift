// Makes empty qcow2 images, version 3, with or without a backing file.

import DeviceModel
import Glibc

extension DiskImage {
    /// Makes an image at `path`, over a file that is there.
    /// - Parameters:
    ///   - byteCount: size of the disk.
    ///   - clusterBits: clusters of 2 to that many bytes, 9 to 21.
    ///   - refcountOrder: reference counts of 2 to that many bits, 0 to 6.
    ///   - backing: the path of the image that it lies on, absolute or beside it, and its format.
    package static func createQcow2(
        _ path: String, byteCount: UInt64, clusterBits: UInt32 = 16, refcountOrder: UInt32 = 4,
        backing: (path: String, format: DiskFormat)? = nil
    ) throws(BackendError) {
        precondition((9...21).contains(clusterBits) && refcountOrder <= 6 && byteCount < 1 << 50, "limits of the format")
        let clusterBytes = 1 << UInt64(clusterBits) as UInt64, perTable = clusterBytes / 8
        let l1Count = max(1, (byteCount + clusterBytes * perTable - 1) / (clusterBytes * perTable))
        let l1Clusters = (l1Count * 8 + clusterBytes - 1) / clusterBytes
        // Header, refcount table, refcount blocks, L1 table.
        let perBlock = (clusterBytes * 8) >> UInt64(refcountOrder)
        var blockCount: UInt64 = 1
        while blockCount * perBlock < 2 + blockCount + l1Clusters { blockCount += 1 }
        guard blockCount <= perTable else { throw BackendError("a disk of \(byteCount) bytes needs larger clusters") }
        let used = 2 + blockCount + l1Clusters

        var header: [UInt8] = BigEndian.bytes([Qcow2Header.magic, 3])
        let name = Array((backing?.path ?? "").utf8)
        let formatName = Array((backing?.format.rawValue ?? "").utf8),
            extensionBytes = backing == nil ? 8 : 16 + (formatName.count + 7) & ~7
        let nameOffset = backing == nil ? 0 : UInt64(Int(Qcow2Header.versionThreeBytes) + extensionBytes)
        header +=
            BigEndian.bytes([nameOffset]) + BigEndian.bytes([UInt32(name.count), clusterBits]) + BigEndian.bytes([byteCount])
        header += BigEndian.bytes([0, UInt32(l1Count)]) + BigEndian.bytes([(2 + blockCount) * clusterBytes, clusterBytes])
        header += BigEndian.bytes([1, 0 as UInt32]) + BigEndian.bytes([0, 0, 0, 0 as UInt64])
        header += BigEndian.bytes([refcountOrder, Qcow2Header.versionThreeBytes])
        if backing != nil {
            header += BigEndian.bytes([0xe279_2aca, UInt32(formatName.count)]) + formatName
            while header.count & 7 != 0 { header.append(0) }
        }
        header += BigEndian.bytes([0, 0 as UInt32]) + name
        guard header.count <= Int(clusterBytes) else {
            throw BackendError("the path of the backing file is too long for clusters of \(clusterBytes) bytes")
        }

        let table = (0..<blockCount).map { (2 + $0) * clusterBytes }
        let blocks = refcountBytes(used: used, blockCount: blockCount, clusterBytes: clusterBytes, order: refcountOrder)
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw BackendError("cannot make the disk image \(path)", errorNumber: errno) }
        Glibc.close(descriptor)
        let file = try ImageFile(path: path, isWritable: true)
        try file.write(at: 0, header)
        try file.write(at: clusterBytes, BigEndian.store(table))
        try file.write(at: 2 * clusterBytes, blocks)
        try file.write(at: used * clusterBytes - 1, [0])
        try file.flush()
    }

    /// Counters of 1 for the first clusters.
    private static func refcountBytes(used: UInt64, blockCount: UInt64, clusterBytes: UInt64, order: UInt32) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(blockCount * clusterBytes))
        let width = 1 << Int(order)
        for cluster in 0..<Int(used) {
            if width < 8 {
                bytes[cluster * width / 8] |= 1 << UInt8(cluster * width % 8)
            } else {
                bytes[(cluster + 1) * width / 8 - 1] = 1
            }
        }
        return bytes
    }
}

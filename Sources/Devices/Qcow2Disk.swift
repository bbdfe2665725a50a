// A disk in a qcow2 image. Guest clusters are found through two tables; a cluster that is shared with a snapshot, compressed, or
// only in the backing file, is copied when it is written to.
//
// New data and counts go to the file at once; entries that lead to them are kept and written by `flush`, after the data is safe.
// So whenever the host stops, the image is sound, with at most some space lost.

import DeviceModel

package final class Qcow2Disk: BlockBackend {
    private let file: ImageFile
    private var header: Qcow2Header
    private let refcounts: Qcow2Refcounts
    private let backing: BlockBackend?
    private var l1: [UInt64]
    private var l2: [Int: Table] = [:]
    private var dirtyL1: Set<Int> = []
    /// Data or counts were written since the last flush.
    private var hasWritten = false
    private var unpacked: (offset: UInt64, bytes: [UInt8])?
    private var isDamaged = false

    private struct Table {
        var entries: [UInt64]
        var isDirty = false
    }

    private static let copied: UInt64 = 1 << 63, compressed: UInt64 = 1 << 62, zero: UInt64 = 1
    private static let offsetMask: UInt64 = 0x00ff_ffff_ffff_fe00
    private static let tableCacheBytes = 32 << 20

    package let byteCount: UInt64
    package var isReadOnly: Bool { !file.isWritable }
    package var origin: BlockOrigin { file.origin }
    private var clusterBits: UInt64 { UInt64(header.clusterBits) }
    private var clusterBytes: UInt64 { 1 << clusterBits }
    private var entriesPerTable: UInt64 { clusterBytes / 8 }

    init(_ file: ImageFile, _ identities: inout [[UInt64]]) throws(BackendError) {
        self.file = file
        header = try Qcow2Header(file)
        byteCount = header.byteCount
        refcounts = try Qcow2Refcounts(file, header)
        l1 = BigEndian.words(try file.read(at: header.l1Offset, byteCount: Int(header.l1Count) * 8))
        if file.isWritable { try Qcow2Disk.checkTables(header, refcounts, file) }
        backing = try Qcow2Disk.openBacking(header, file, &identities)
        if file.isWritable && header.autoclear != 0 {
            // What the bits vouch for (bitmaps of what changed) is not kept up here.
            header.autoclear = 0
            try file.write(at: 88, BigEndian.bytes([0 as UInt64]))
        }
        refcounts.onTableMove = { [unowned self] (offset, clusters) throws(BackendError) in
            try self.file.write(at: 48, BigEndian.bytes([offset]) + BigEndian.bytes([clusters]))
        }
    }

    /// Space that seems to be free is given away, so that what leads to everything else must not seem so.
    private static func checkTables(_ header: Qcow2Header, _ refcounts: Qcow2Refcounts, _ file: ImageFile) throws(BackendError) {
        let tables = [
            (0, 1), (header.l1Offset, UInt64(header.l1Count) * 8),
            (header.refcountTableOffset, UInt64(header.refcountTableClusters) << UInt64(header.clusterBits)),
        ]
        for (offset, byteCount) in tables {
            for cluster in stride(from: offset, to: offset + byteCount, by: Int(header.clusterBytes)) {
                guard try refcounts.count(cluster >> UInt64(header.clusterBits)) > 0 else {
                    throw Qcow2Header.damaged(file, "its reference counts")
                }
            }
        }
    }

    private static func openBacking(
        _ header: Qcow2Header, _ file: ImageFile, _ identities: inout [[UInt64]]
    ) throws(BackendError) -> BlockBackend? {
        guard var path = header.backingPath, !path.isEmpty else { return nil }
        if path.hasPrefix("file:") { path.removeFirst(5) }
        if path.contains(":") && !path.hasPrefix("/") && !path.hasPrefix(".") {
            throw BackendError(
                "the qcow2 image \(file.path) lies on \(path), which is not a file: rebase it with qemu-img rebase")
        }
        if !path.hasPrefix("/"), let slash = file.path.lastIndex(of: "/") { path = file.path[...slash] + path }
        let format = header.backingFormat.flatMap { DiskFormat(rawValue: $0) }
        if let name = header.backingFormat, format == nil {
            throw BackendError(
                "the backing file \(path) has the format \(name), which is not supported: convert it with qemu-img convert")
        }
        return try DiskImage.open(path, format, isWritable: false, &identities)
    }

    // MARK: Tables

    private func damage(_ what: String) -> BackendError {
        isDamaged = true
        return Qcow2Header.damaged(file, what)
    }

    /// An offset from a table, which must be that of a whole cluster.
    private func clusterOffset(_ entry: UInt64) throws(BackendError) -> UInt64 {
        let offset = entry & Qcow2Disk.offsetMask
        guard offset & (clusterBytes - 1) == 0 else { throw damage("a cluster at \(offset)") }
        return offset
    }

    private func loadTable(_ index: Int) throws(BackendError) -> Bool {
        guard index < l1.count else { throw damage("a cluster outside of the L1 table") }
        if l2[index] != nil { return true }
        let offset = try clusterOffset(l1[index])
        guard offset != 0 else { return false }
        guard offset + clusterBytes <= file.byteCount else { throw damage("it is cut off in front of an L2 table") }
        if l2.count * Int(clusterBytes) >= Qcow2Disk.tableCacheBytes {
            if l2.values.contains(where: \.isDirty) { try flush() }
            l2.removeAll()
        }
        l2[index] = Table(entries: BigEndian.words(try file.read(at: offset, byteCount: Int(clusterBytes))))
        return true
    }

    private func entry(_ guestCluster: UInt64) throws(BackendError) -> UInt64 {
        let index = Int(guestCluster / entriesPerTable)
        guard try loadTable(index) else { return 0 }
        return l2[index]!.entries[Int(guestCluster % entriesPerTable)]
    }

    /// Changes an entry, in a table that is the image's own.
    private func setEntry(_ guestCluster: UInt64, _ entry: UInt64) throws(BackendError) {
        let index = Int(guestCluster / entriesPerTable)
        let exists = try loadTable(index)
        if !exists || l1[index] & Qcow2Disk.copied == 0 {
            // Of a snapshot, or there is none.
            let offset = try refcounts.allocate()
            if exists { refcounts.releaseLater(try clusterOffset(l1[index])) }
            l2[index] = l2[index] ?? Table(entries: Array(repeating: 0, count: Int(entriesPerTable)))
            // Nothing refers to it before the next flush, but then it must not have an older content.
            l1[index] = offset | Qcow2Disk.copied
            dirtyL1.insert(index)
            hasWritten = true
        }
        l2[index]!.entries[Int(guestCluster % entriesPerTable)] = entry
        l2[index]!.isDirty = true
    }

    // MARK: Reading

    /// Calls `body` for each guest cluster of a range: cluster, offset inside it, offset in the range, and count of bytes.
    private func split(
        _ offset: UInt64, _ byteCount: UInt64, _ body: (UInt64, UInt64, Int, Int) throws(BackendError) -> Void
    ) throws(BackendError) {
        var done: UInt64 = 0
        while done < byteCount {
            let place = offset + done, inside = place & (clusterBytes - 1)
            let count = min(clusterBytes - inside, byteCount - done)
            try body(place >> clusterBits, inside, Int(done), Int(count))
            done += count
        }
    }

    package func read(at offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        try split(offset, UInt64(bytes.count)) { (cluster, inside, start, count) throws(BackendError) in
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + count])
            try readCluster(cluster, inside, part)
        }
    }

    private func readCluster(_ cluster: UInt64, _ inside: UInt64, _ bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        let entry = try entry(cluster)
        if entry & Qcow2Disk.compressed != 0 {
            let content = try unpack(entry)
            content.withUnsafeBytes {
                bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(inside)..<Int(inside) + bytes.count]))
            }
        } else if isZero(entry) {
            bytes.initializeMemory(as: UInt8.self, repeating: 0)
        } else if entry & Qcow2Disk.offsetMask != 0 {
            let offset = try clusterOffset(entry)
            // The last cluster of a file may be shorter, but none begins behind the end.
            if try file.read(at: offset + inside, into: bytes) == 0, offset >= file.byteCount {
                throw damage("it is cut off in front of its data")
            }
        } else {
            try readBacking(cluster << clusterBits + inside, bytes)
        }
    }

    private func isZero(_ entry: UInt64) -> Bool { header.version >= 3 && entry & Qcow2Disk.zero != 0 }

    /// The backing file may be shorter.
    private func readBacking(_ offset: UInt64, _ bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        let size = backing?.byteCount ?? 0
        let count = offset >= size ? 0 : Int(min(UInt64(bytes.count), size - offset))
        if let backing, count > 0 { try backing.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])) }
        UnsafeMutableRawBufferPointer(rebasing: bytes[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Where a compressed cluster lies: byte offset and count.
    private func compressedRange(_ entry: UInt64) -> (offset: UInt64, byteCount: UInt64) {
        let bits = 62 - (clusterBits - 8), offset = entry & (1 << bits - 1)
        let sectors = entry >> bits & (1 << (clusterBits - 8) - 1)
        return (offset, (sectors + 1) * 512 - (offset & 511))
    }

    private func unpack(_ entry: UInt64) throws(BackendError) -> [UInt8] {
        let range = compressedRange(entry)
        if let unpacked, unpacked.offset == range.offset { return unpacked.bytes }
        guard range.offset < file.byteCount else { throw damage("a compressed cluster behind its end") }
        let packed = try file.read(at: range.offset, byteCount: Int(range.byteCount))
        var bytes: [UInt8] = []
        do { try Deflate.unpack(packed, appendingTo: &bytes, limit: Int(clusterBytes)) } catch {
            throw damage("a compressed cluster at \(range.offset)")
        }
        guard bytes.count == Int(clusterBytes) else { throw damage("a compressed cluster at \(range.offset)") }
        unpacked = (range.offset, bytes)
        return bytes
    }

    // MARK: Writing

    private func checkWritable() throws(BackendError) {
        guard file.isWritable, !isDamaged else { throw BackendError("the qcow2 image \(file.path) cannot be written to") }
    }

    package func write(at offset: UInt64, from bytes: UnsafeRawBufferPointer) throws(BackendError) {
        try checkWritable()
        try split(offset, UInt64(bytes.count)) { (cluster, inside, start, count) throws(BackendError) in
            try writeCluster(cluster, inside, UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
        }
    }

    private func writeCluster(_ cluster: UInt64, _ inside: UInt64, _ bytes: UnsafeRawBufferPointer) throws(BackendError) {
        let old = try entry(cluster)
        hasWritten = true
        let isOwn = old & Qcow2Disk.compressed == 0 && old & Qcow2Disk.copied != 0 && old & Qcow2Disk.offsetMask != 0
        if isOwn && !isZero(old) { return try file.write(at: try clusterOffset(old) + inside, from: bytes) }
        let place = isOwn ? try clusterOffset(old) : try refcounts.allocate()
        if bytes.count == Int(clusterBytes) {
            try file.write(at: place, from: bytes)
        } else {
            var content = [UInt8](repeating: 0, count: Int(clusterBytes)), failure: BackendError?
            content.withUnsafeMutableBytes { buffer in
                do throws(BackendError) { try readCluster(cluster, 0, buffer) } catch { failure = error }
                UnsafeMutableRawBufferPointer(rebasing: buffer[Int(inside)..<Int(inside) + bytes.count]).copyMemory(from: bytes)
            }
            if let failure { throw failure }
            try file.write(at: place, content)
        }
        try setEntry(cluster, place | Qcow2Disk.copied)
        if !isOwn { try release(old) }
    }

    /// Gives up what an entry referred to.
    private func release(_ entry: UInt64) throws(BackendError) {
        if entry & Qcow2Disk.compressed != 0 {
            let range = compressedRange(entry)
            let last = (range.offset + range.byteCount - 1) >> clusterBits
            for cluster in range.offset >> clusterBits...last { refcounts.releaseLater(cluster << clusterBits) }
            unpacked = nil
        } else if entry & Qcow2Disk.offsetMask != 0 {
            refcounts.releaseLater(try clusterOffset(entry))
        }
    }

    package func discard(at offset: UInt64, byteCount: UInt64) throws(BackendError) {
        try checkWritable()
        try split(offset, byteCount) { (cluster, inside, _, count) throws(BackendError) in
            if inside == 0 && UInt64(count) == wholeCount(cluster) { try clear(cluster, mayDiscard: true) }
        }
    }

    package func writeZeroes(at offset: UInt64, byteCount: UInt64, mayDiscard: Bool) throws(BackendError) {
        try checkWritable()
        try split(offset, byteCount) { (cluster, inside, _, count) throws(BackendError) in
            if inside == 0 && UInt64(count) == wholeCount(cluster), try clear(cluster, mayDiscard: mayDiscard) { return }
            let zeroes = [UInt8](repeating: 0, count: count)
            var failure: BackendError?
            zeroes.withUnsafeBytes { bytes in
                do throws(BackendError) { try writeCluster(cluster, inside, bytes) } catch { failure = error }
            }
            if let failure { throw failure }
        }
    }

    /// Bytes of the disk in a cluster: fewer in the last.
    private func wholeCount(_ cluster: UInt64) -> UInt64 { min(clusterBytes, byteCount - cluster << clusterBits) }

    /// Makes a cluster read as zeroes without writing any; false where the format has no way to say so.
    @discardableResult
    private func clear(_ cluster: UInt64, mayDiscard: Bool) throws(BackendError) -> Bool {
        let old = try entry(cluster)
        if header.version < 3 {
            guard backing == nil else { return false }
            if old != 0 {
                try setEntry(cluster, 0)
                try release(old)
            }
            return true
        }
        if isZero(old) && old & Qcow2Disk.compressed == 0 && (!mayDiscard || old & Qcow2Disk.offsetMask == 0) { return true }
        if backing == nil && old == 0 { return true }
        let keeps =
            !mayDiscard && old & Qcow2Disk.compressed == 0 && old & Qcow2Disk.copied != 0 && old & Qcow2Disk.offsetMask != 0
        try setEntry(cluster, keeps ? old | Qcow2Disk.zero : Qcow2Disk.zero)
        if !keeps { try release(old) }
        return true
    }

    // MARK: Flushing

    /// Data, then tables, then what leads to new tables, then what is free: each safe before the next.
    package func flush() throws(BackendError) {
        guard file.isWritable else { return }
        let dirty = l2.filter(\.value.isDirty)
        if dirty.isEmpty && dirtyL1.isEmpty && !hasWritten && !refcounts.hasPendingFrees { return }
        try file.flush()
        hasWritten = false
        if !dirty.isEmpty || !dirtyL1.isEmpty {
            for (index, table) in dirty {
                try file.write(at: try clusterOffset(l1[index]), BigEndian.store(table.entries))
                l2[index]!.isDirty = false
            }
            if !dirtyL1.isEmpty {
                try file.flush()
                for index in dirtyL1 { try file.write(at: header.l1Offset + UInt64(index) * 8, BigEndian.bytes([l1[index]])) }
                dirtyL1 = []
            }
            try file.flush()
        }
        try refcounts.applyFrees { offset in file.punch(at: offset, byteCount: clusterBytes) }
    }

    package func close() {
        try? flush()
        file.close()
        backing?.close()
    }
}

// Reference counts of a qcow2 image's host clusters: a table of blocks of counters of 1 to 64 bits. They are written at once when
// they grow. When they shrink, that waits until nothing in the file refers to the cluster any more: a crash in between loses
// space, not data.

import DeviceModel

final class Qcow2Refcounts {
    private let file: ImageFile
    private let clusterBits: UInt64
    private let order: UInt64
    private var tableOffset: UInt64
    private var table: [UInt64]
    /// The blocks in use, as bytes.
    private var blocks: [Int: [UInt8]] = [:]
    private var hint: UInt64 = 0
    private var pendingFrees: [UInt64] = []
    /// Told when the table has moved, so that the header can say where: offset and clusters.
    var onTableMove: ((UInt64, UInt32) throws(BackendError) -> Void)?

    private static let offsetMask: UInt64 = 0xffff_ffff_ffff_fe00
    private static let blockCacheBytes = 64 << 20

    private var clusterBytes: UInt64 { 1 << clusterBits }
    private var entriesPerBlock: UInt64 { (clusterBytes * 8) >> order }

    init(_ file: ImageFile, _ header: Qcow2Header) throws(BackendError) {
        self.file = file
        clusterBits = UInt64(header.clusterBits)
        order = UInt64(header.refcountOrder)
        tableOffset = header.refcountTableOffset
        table = BigEndian.words(
            try file.read(at: tableOffset, byteCount: Int(UInt64(header.refcountTableClusters) << clusterBits)))
        for entry in table where entry & (clusterBytes - 1) != 0 || entry >= 1 << 56 {
            throw Qcow2Header.damaged(file, "a refcount block is not at a cluster")
        }
    }

    // MARK: Counters

    private func block(_ index: Int) throws(BackendError) -> [UInt8]? {
        guard index < table.count, table[index] != 0 else { return nil }
        if let cached = blocks[index] { return cached }
        if blocks.count * Int(clusterBytes) >= Qcow2Refcounts.blockCacheBytes { blocks.removeAll() }
        let bytes = try file.read(at: table[index], byteCount: Int(clusterBytes))
        blocks[index] = bytes
        return bytes
    }

    private func counter(_ bytes: [UInt8], _ entry: Int) -> UInt64 {
        switch order {
        case 0...2:
            let width = 1 << Int(order), bit = entry * width
            return UInt64(bytes[bit / 8]) >> UInt64(bit % 8) & (1 << UInt64(width) - 1)
        case 3: return UInt64(bytes[entry])
        case 4: return UInt64(BigEndian.word(bytes, entry * 2) as UInt16)
        case 5: return UInt64(BigEndian.word(bytes, entry * 4) as UInt32)
        default: return BigEndian.word(bytes, entry * 8)
        }
    }

    private func setCounter(_ bytes: inout [UInt8], _ entry: Int, _ value: UInt64) -> Range<Int> {
        let width = 1 << Int(order)
        if width < 8 {
            let bit = entry * width, mask = UInt8((1 << width - 1) << (bit % 8))
            bytes[bit / 8] = bytes[bit / 8] & ~mask | UInt8(truncatingIfNeeded: value << UInt64(bit % 8)) & mask
            return bit / 8..<bit / 8 + 1
        }
        let size = width / 8
        for index in 0..<size { bytes[entry * size + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (size - 1 - index))) }
        return entry * size..<entry * size + size
    }

    /// The count of a host cluster, by number.
    func count(_ cluster: UInt64) throws(BackendError) -> UInt64 {
        let index = cluster / entriesPerBlock
        guard index < UInt64(table.count), let bytes = try block(Int(index)) else { return 0 }
        return counter(bytes, Int(cluster % entriesPerBlock))
    }

    private func set(_ cluster: UInt64, _ value: UInt64) throws(BackendError) {
        let index = Int(cluster / entriesPerBlock)
        guard try block(index) != nil else { throw Qcow2Header.damaged(file, "a cluster without a refcount") }
        let changed = setCounter(&blocks[index]!, Int(cluster % entriesPerBlock), value)
        try file.write(at: table[index] + UInt64(changed.lowerBound), Array(blocks[index]![changed]))
    }

    // MARK: Allocation

    /// Takes `count` host clusters in a row and returns the byte offset of the first.
    func allocate(_ count: UInt64 = 1) throws(BackendError) -> UInt64 {
        let first = try findFree(count)
        for cluster in first..<first + count {
            try makeBlock(for: cluster)
            try set(cluster, 1)
        }
        hint = first + count
        return first << clusterBits
    }

    /// A block for the counters may have taken a cluster of the range: then it is searched anew.
    private func findFree(_ count: UInt64) throws(BackendError) -> UInt64 {
        while true {
            var first = hint, run: UInt64 = 0
            while run < count {
                if try self.count(first + run) == 0 {
                    run += 1
                } else {
                    first += run + 1
                    run = 0
                }
            }
            for cluster in first..<first + count { try makeBlock(for: cluster) }
            var isFree = true
            for cluster in first..<first + count where try self.count(cluster) != 0 { isFree = false }
            if isFree { return first }
            hint = first
        }
    }

    /// Makes sure that there is a counter for the cluster. A new block lies in the first free cluster, usually one of its own.
    private func makeBlock(for cluster: UInt64) throws(BackendError) {
        let index = cluster / entriesPerBlock
        if index >= UInt64(table.count) { try growTable(toHold: index) }
        guard table[Int(index)] == 0 else { return }
        // Its own first cluster: nothing in its range is in use yet, and it counts itself.
        let place = index * entriesPerBlock
        var bytes = [UInt8](repeating: 0, count: Int(clusterBytes))
        _ = setCounter(&bytes, 0, 1)
        try file.write(at: place << clusterBits, bytes)
        try file.write(at: tableOffset + index * 8, BigEndian.bytes([place << clusterBits]))
        blocks[Int(index)] = bytes
        table[Int(index)] = place << clusterBits
    }

    /// Moves the table behind everything that it describes so far, with blocks in front of it that count both.
    private func growTable(toHold index: UInt64) throws(BackendError) {
        let oldOffset = tableOffset, oldClusters = UInt64(table.count * 8) >> clusterBits, perCluster = clusterBytes / 8
        var blockCount: UInt64 = 1, clusters: UInt64 = 0
        repeat {
            blockCount += clusters == 0 ? 0 : 1
            clusters = (index + blockCount + index / 2) / perCluster + 1
        } while blockCount * entriesPerBlock < blockCount + clusters
        guard clusters << clusterBits <= 8 << 20 else {
            throw BackendError("the qcow2 image \(file.path) cannot grow any further")
        }
        // Nothing is different before all of it is written: what fails can be tried again.
        var newTable = table + [UInt64](repeating: 0, count: Int(clusters * perCluster) - table.count),
            newBlocks: [Int: [UInt8]] = [:]
        let first = index * entriesPerBlock, used = blockCount + clusters
        for block in 0..<blockCount {
            var bytes = [UInt8](repeating: 0, count: Int(clusterBytes))
            for entry in 0..<entriesPerBlock where block * entriesPerBlock + entry < used {
                _ = setCounter(&bytes, Int(entry), 1)
            }
            newTable[Int(index + block)] = (first + block) << clusterBits
            newBlocks[Int(index + block)] = bytes
            try file.write(at: (first + block) << clusterBits, bytes)
        }
        let newOffset = (first + blockCount) << clusterBits
        try file.write(at: newOffset, BigEndian.store(newTable))
        // The header is switched over when the new table is safe.
        try file.flush()
        try onTableMove?(newOffset, UInt32(clusters))
        (table, tableOffset) = (newTable, newOffset)
        blocks.merge(newBlocks) { _, new in new }
        for cluster in 0..<oldClusters { try release(oldOffset >> clusterBits + cluster) }
    }

    // MARK: Release

    /// One reference less, once the references are written.
    func releaseLater(_ offset: UInt64) { pendingFrees.append(offset >> clusterBits) }
    var hasPendingFrees: Bool { !pendingFrees.isEmpty }

    /// What refers to them is gone from the file.
    func applyFrees(freed: (UInt64) -> Void) throws(BackendError) {
        let clusters = pendingFrees
        pendingFrees = []
        for cluster in clusters { if try release(cluster) { freed(cluster << clusterBits) } }
    }

    /// True when nobody uses the cluster any more.
    @discardableResult
    private func release(_ cluster: UInt64) throws(BackendError) -> Bool {
        let old = try count(cluster)
        guard old > 0 else { return false }
        try set(cluster, old - 1)
        if old == 1 { hint = min(hint, cluster) }
        return old == 1
    }
}

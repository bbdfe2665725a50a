// A file of the translation cache, mapped. Everything is copied before it is looked at, guarded against faults, and its digest
// compared: the file may be damaged, and become shorter at any time.

import CHost
import Glibc
import X86Backend

/// Memory that units are read into, one after the other.
struct CacheScratch {
    // SAFETY: `capacity` bytes, of which a reader uses what `reserve` gave.
    private(set) var bytes: UnsafeMutableRawPointer
    private var capacity: Int

    init(capacity: Int = 1 << 16) {
        bytes = .allocate(byteCount: capacity, alignment: 16)
        self.capacity = capacity
    }

    mutating func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer {
        if byteCount > capacity {
            bytes.deallocate()
            capacity = byteCount + byteCount / 2
            bytes = .allocate(byteCount: capacity, alignment: 16)
        }
        return bytes
    }

    func deallocate() { bytes.deallocate() }
}

final class CacheFile {
    let header: CacheFileHeader
    let content: CacheContent
    private let mapping: UnsafeMutableRawPointer
    private let byteCount: Int
    // SAFETY: `unitCount` units and the refused loops, copied and checked by `init`.
    private let table: UnsafeMutableRawPointer
    private var units: UnsafeMutablePointer<CacheFileUnit> { table.assumingMemoryBound(to: CacheFileUnit.self) }
    var unitCount: Int { Int(header.unitCount) }

    static let unitLimit = 1 << 20, refusalLimit = 1 << 16, byteLimit = 1 << 30
    /// Smaller files are mapped as a whole at once: a good part of them is used, and faults cost more.
    private static let populatedBytes = 16 << 20
    private static func flags(_ content: CacheContent, _ byteCount: Int) -> Int32 {
        MAP_PRIVATE | (content == .blocks && byteCount < CacheFile.populatedBytes ? MAP_POPULATE : 0)
    }

    /// nil when it is no file of ours with that content, damaged, or does not belong to `byteCount` bytes.
    init?(_ descriptor: Int32, _ byteCount: Int, _ content: CacheContent) {
        guard byteCount >= CacheFileHeader.byteCount, byteCount <= CacheFile.byteLimit,
            let mapping = mmap(nil, byteCount, PROT_READ, CacheFile.flags(content, byteCount), descriptor, 0),
            mapping != MAP_FAILED
        else { return nil }
        var header = CacheFileHeader()
        let isRead = withUnsafeMutableBytes(of: &header) { mynah_copy($0.baseAddress!, mapping, $0.count) == 0 }
        guard isRead, header.magic == CacheFileHeader.magic, header.version == CacheFileHeader.version,
            header.content == content.rawValue, header.digest == CacheFile.digest(of: header),
            header.byteCount == UInt64(byteCount), header.unitCount <= CacheFile.unitLimit, header.refusalCount <= CacheFile.refusalLimit,
            CacheFileHeader.byteCount + header.tableByteCount <= byteCount
        else {
            munmap(mapping, byteCount)
            return nil
        }
        let tableBytes = header.tableByteCount
        let table = UnsafeMutableRawPointer.allocate(byteCount: max(1, tableBytes), alignment: 16)
        guard mynah_copy(table, mapping + CacheFileHeader.byteCount, tableBytes) == 0,
            mynah_digest(table, tableBytes, header.digest) == header.tableDigest
        else {
            table.deallocate()
            munmap(mapping, byteCount)
            return nil
        }
        self.header = header
        self.content = content
        self.table = table
        self.mapping = mapping
        self.byteCount = byteCount
    }

    deinit {
        table.deallocate()
        munmap(mapping, byteCount)
    }

    static func digest(of header: CacheFileHeader) -> UInt64 {
        var header = header
        // The table's digest is made with this one.
        header.digest = 0
        header.tableDigest = 0
        return withUnsafeBytes(of: &header) { mynah_digest($0.baseAddress!, $0.count, 1) }
    }

    func unit(_ index: Int) -> CacheFileUnit {
        precondition(index >= 0 && index < unitCount)
        return units[index]
    }

    /// Loops of which no region was made.
    var refusals: UnsafeMutableBufferPointer<StoredLoop> {
        UnsafeMutableBufferPointer(
            start: (table + header.unitTableByteCount).assumingMemoryBound(to: StoredLoop.self), count: Int(header.refusalCount))
    }

    /// The units of a page.
    func units(of page: UInt32) -> Range<Int> {
        var low = 0, high = unitCount
        while low < high {
            let middle = (low + high) / 2
            if units[middle].page < page { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < unitCount && units[end].page == page { end += 1 }
        return low ..< end
    }

    /// The unit of a loop's region.
    func region(_ loop: StoredLoop, page: UInt32) -> Int? { units(of: page).first { self.loop(of: $0) == loop } }

    func loop(of index: Int) -> StoredLoop { StoredLoop(address: unit(index).address, mode: unit(index).mode) }

    /// The bytes of a unit; nil when they are damaged. They are gone with the next.
    func bytes(of index: Int, into scratch: inout CacheScratch) -> UnsafeMutableRawBufferPointer? {
        let unit = unit(index), count = Int(unit.byteCount)
        guard unit.offset <= UInt64(byteCount), count <= byteCount - Int(unit.offset), count >= MemoryLayout<CacheUnitHeader>.size
        else { return nil }
        let bytes = scratch.reserve(count)
        guard mynah_copy(bytes, mapping + Int(unit.offset), count) == 0,
            mynah_digest(bytes, count, UInt64(unit.page)) == unit.digest
        else { return nil }
        return UnsafeMutableRawBufferPointer(start: bytes, count: count)
    }

    func read(_ index: Int, into scratch: inout CacheScratch) -> CacheUnit? {
        bytes(of: index, into: &scratch).flatMap { CacheUnit($0) }
    }
}

/// A unit in memory.
struct CacheUnit {
    let header: CacheUnitHeader
    private let layout: CacheUnitLayout
    // SAFETY: aligned to 16; `init` checks that the layout's parts lie in it.
    private let bytes: UnsafeMutableRawPointer

    init?(_ buffer: UnsafeMutableRawBufferPointer) {
        guard buffer.count >= MemoryLayout<CacheUnitHeader>.size, let start = buffer.baseAddress else { return nil }
        header = start.load(as: CacheUnitHeader.self)
        layout = CacheUnitLayout(header)
        guard layout.byteCount == buffer.count else { return nil }
        bytes = start
    }

    private func records<Record>(_ offset: Int, _ count: UInt32, _ type: Record.Type) -> UnsafeMutableBufferPointer<Record> {
        UnsafeMutableBufferPointer(start: (bytes + offset).assumingMemoryBound(to: Record.self), count: Int(count))
    }

    var blocks: UnsafeMutableBufferPointer<StoredBlock> { records(layout.blocks, header.blockCount, StoredBlock.self) }
    var links: UnsafeMutableBufferPointer<StoredLink> { records(layout.links, header.linkCount, StoredLink.self) }
    var caches: UnsafeMutableBufferPointer<StoredCache> { records(layout.caches, header.cacheCount, StoredCache.self) }
    var positions: UnsafeMutableBufferPointer<UInt8> { records(layout.positions, header.positionByteCount, UInt8.self) }
    var deferringCode: UnsafeMutableBufferPointer<StoredDeferringCode> {
        records(layout.deferring, header.deferringCount, StoredDeferringCode.self)
    }
    var deferredWrites: UnsafeMutableBufferPointer<StoredDeferredWrite> {
        records(layout.writes, header.writeCount, StoredDeferredWrite.self)
    }
    var relocations: UnsafeMutableBufferPointer<StoredRelocation> {
        records(layout.relocations, header.relocationCount, StoredRelocation.self)
    }
    var ranges: UnsafeMutableBufferPointer<StoredRange> { records(layout.ranges, header.rangeCount, StoredRange.self) }
    var homes: UnsafeMutableBufferPointer<StoredHome> { records(layout.homes, header.homeCount, StoredHome.self) }
    var proofs: UnsafeMutableBufferPointer<StoredRange> { records(layout.proofs, header.proofCount, StoredRange.self) }
    var proofBytes: UnsafeRawPointer { UnsafeRawPointer(bytes + layout.proofBytes) }
    var code: UnsafeMutableRawPointer { bytes + layout.code }

    /// Every number in it names something in it: a digest can be made right by whoever wants to.
    var isConsistent: Bool {
        let code = header.codeByteCount
        /// A displacement that can be patched lies within an aligned quadword.
        func isPatchable(_ field: UInt32) -> Bool { fits(field, 4, code) && field & 7 <= 4 }
        func fits(_ first: UInt32, _ count: UInt32, _ whole: UInt32) -> Bool { UInt64(first) + UInt64(count) <= UInt64(whole) }
        for block in blocks {
            guard fits(block.code, block.byteCount, code), block.code & 15 == 0, block.loopEntry < max(1, block.byteCount),
                fits(block.firstLink, block.linkCount, header.linkCount),
                fits(block.positions, block.positionByteCount, header.positionByteCount),
                fits(block.firstRange, block.rangeCount, header.rangeCount),
                fits(block.firstHome, block.homeCount, header.homeCount),
                fits(block.firstDeferring, block.deferringCount, header.deferringCount),
                fits(block.firstWrite, block.writeCount, header.writeCount)
            else { return false }
            for code in deferringCode[Int(block.firstDeferring) ..< Int(block.firstDeferring + block.deferringCount)] {
                guard fits(code.firstWrite, code.writeCount, block.writeCount) else { return false }
            }
        }
        for link in links {
            guard link.field == StoredLink.noField || isPatchable(link.field), link.stub < code, link.block < header.blockCount else {
                return false
            }
        }
        for cache in caches {
            guard fits(cache.target, 8, code), cache.target & 7 == 0, isPatchable(cache.hit), isPatchable(cache.miss),
                cache.lookup < code, fits(cache.firstCase, cache.caseCount, header.linkCount)
            else { return false }
        }
        var proved: UInt64 = 0
        for proof in proofs { proved += UInt64(proof.byteCount) }
        return proved == UInt64(header.proofByteCount)
    }
}

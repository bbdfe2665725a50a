// Collects translations of one page of guest code, in the form in which a unit has them.

import CHost
import Guest
import X86Backend

final class CacheUnitBuilder {
    private let base: UInt64
    private let codeStart: UInt64
    private let anchor = mynah_helper_anchor()
    private(set) var keys: [BlockKey] = []
    /// Of each block, the number of its first link in the engine.
    private var firstLinks: [Int] = []
    private var blocks: [StoredBlock] = []
    private var links: [StoredLink] = []
    private var caches: [StoredCache] = []
    private var positions: [UInt8] = []
    private var deferringCode: [StoredDeferringCode] = []
    private var deferredWrites: [StoredDeferredWrite] = []
    private var relocations: [StoredRelocation] = []
    private var ranges: [StoredRange] = []
    private var homes: [StoredHome] = []
    private var code: [UInt8] = []
    /// The guest's bytes of `ranges`, one behind the other.
    private var guestBytes: [UInt8] = []

    /// - Parameters:
    ///   - base: guest address of the file's first byte.
    ///   - codeStart: executable address of the code cache's first byte.
    init(base: UInt64, codeStart: UInt64) {
        self.base = base
        self.codeStart = codeStart
    }

    private func distance(_ address: UInt64) -> Int64 { Int64(bitPattern: address &- base) }

    /// - Parameters:
    ///   - firstLink: the number of its first link in the engine; `firstCache` is that of its first inline cache.
    ///   - bytes: the code as it was made.
    ///   - revision: see `StoredBlock.revision`.
    ///   - guest: puts the bytes of a range of guest code behind others; false when that is not possible.
    /// - Returns: false when it was not added.
    func add(
        _ key: BlockKey, _ firstLink: Int, _ firstCache: Int, _ guestRanges: [Range<UInt64>], _ instructionCount: Int,
        _ translation: Translation, _ bytes: UnsafeRawBufferPointer, revision: UInt32 = 0,
        guest: (Range<UInt64>, inout [UInt8]) -> Bool
    ) -> Bool {
        let guestCount = guestBytes.count
        for range in guestRanges where !guest(range, &guestBytes) {
            guestBytes.removeSubrange(guestCount...)
            return false
        }
        let start = UInt32(code.count), ownLink = UInt32(links.count), ownCache = UInt32(caches.count)
        let block = UInt32(blocks.count)
        let entry = translation.entry
        code.append(contentsOf: bytes)
        while code.count & 15 != 0 { code.append(0xcc) }
        relocate(
            translation.relocations, start, stubs: UInt32(truncatingIfNeeded: entry &- codeStart),
            links: (UInt32(truncatingIfNeeded: firstLink) &- ownLink) << 3,
            caches: (UInt32(truncatingIfNeeded: firstCache) &- ownCache) << 3)
        @inline(__always) func offset(_ address: UInt64) -> UInt32 { start &+ UInt32(truncatingIfNeeded: address &- entry) }
        for link in translation.links {
            links.append(
                StoredLink(
                    target: distance(link.target), field: link.field == 0 ? StoredLink.noField : offset(link.field),
                    stub: offset(link.stub), kind: link.kind.rawValue, isBackward: link.isBackward ? 1 : 0, isTaken: 0,
                    isReentry: link.isReentry ? 1 : 0, block: block))
        }
        for cache in translation.caches {
            caches.append(
                StoredCache(
                    address: distance(cache.address), target: offset(cache.target), hit: offset(cache.hit),
                    miss: offset(cache.miss), lookup: offset(cache.lookup),
                    firstCase: UInt32(cache.cases.lowerBound), caseCount: UInt32(cache.cases.count)))
        }
        let firstPosition = positions.count, firstRange = ranges.count, firstHome = homes.count
        EncodedPositions.append(translation.positions, of: key.address, to: &positions)
        let firstDeferring = deferringCode.count, firstWrite = deferredWrites.count
        for code in translation.deferringCode {
            deferringCode.append(
                StoredDeferringCode(
                    start: code.code.lowerBound, end: code.code.upperBound, firstWrite: UInt32(code.writes.lowerBound),
                    writeCount: UInt32(code.writes.count)))
        }
        for write in translation.deferredWrites { deferredWrites.append(StoredDeferredWrite(write, of: key.address)) }
        for range in guestRanges { ranges.append(StoredRange(start: distance(range.lowerBound), byteCount: UInt32(range.count))) }
        if !translation.hasUsualHomes {
            for home in translation.homes {
                homes.append(StoredHome(offset: home.offset, register: home.register, isVector: home.isVector ? 1 : 0))
            }
        }
        blocks.append(
            StoredBlock(
                address: distance(key.address), mode: key.mode.rawValue, code: start, byteCount: UInt32(translation.byteCount),
                loopEntry: UInt32(truncatingIfNeeded: translation.loopEntry &- entry), firstLink: ownLink,
                linkCount: UInt32(translation.links.count), positions: UInt32(firstPosition),
                positionByteCount: UInt32(positions.count - firstPosition), firstRange: UInt32(firstRange),
                rangeCount: UInt32(guestRanges.count), homeCount: UInt32(homes.count - firstHome), firstHome: UInt32(firstHome),
                instructionCount: UInt32(instructionCount), firstDeferring: UInt32(firstDeferring),
                deferringCount: UInt32(deferringCode.count - firstDeferring), firstWrite: UInt32(firstWrite),
                writeCount: UInt32(deferredWrites.count - firstWrite), revision: revision))
        keys.append(key)
        firstLinks.append(firstLink)
        return true
    }

    /// Makes the fields say what they would in a unit at the start of the code cache, for guest code at address 0.
    private func relocate(_ list: [Relocation], _ start: UInt32, stubs: UInt32, links: UInt32, caches: UInt32) {
        code.withUnsafeMutableBytes { bytes in
            for relocation in list {
                let field = bytes.baseAddress! + Int(start + relocation.offset)
                precondition(Int(start + relocation.offset) + relocation.kind.byteCount <= bytes.count)
                switch relocation.kind {
                case .guestAddress: field.storeBytes(of: field.loadUnaligned(as: UInt64.self) &- base, as: UInt64.self)
                case .helper: field.storeBytes(of: field.loadUnaligned(as: UInt64.self) &- anchor, as: UInt64.self)
                case .link: field.storeBytes(of: field.loadUnaligned(as: UInt32.self) &- links, as: UInt32.self)
                case .cache: field.storeBytes(of: field.loadUnaligned(as: UInt32.self) &- caches, as: UInt32.self)
                case .stub: field.storeBytes(of: field.loadUnaligned(as: UInt32.self) &+ stubs &- start, as: UInt32.self)
                }
            }
        }
        for relocation in list {
            let place = (start + relocation.offset) << StoredRelocation.kindBits
            relocations.append(StoredRelocation(bits: place | UInt32(relocation.kind.rawValue)))
        }
    }

    // MARK: The whole

    var blockCount: Int { blocks.count }

    /// The ranges of guest code, sorted, each byte once.
    private func mergedProof() -> (ranges: [StoredRange], bytes: [UInt8]) {
        var starts: [Int] = [], offset = 0
        starts.reserveCapacity(ranges.count)
        for range in ranges {
            starts.append(offset)
            offset += Int(range.byteCount)
        }
        var merged: [StoredRange] = [], bytes: [UInt8] = []
        merged.reserveCapacity(ranges.count)
        bytes.reserveCapacity(guestBytes.count)
        for number in ranges.indices.sorted(by: { ranges[$0].start < ranges[$1].start }) {
            let range = ranges[number], end = range.start + Int64(range.byteCount)
            var first = range.start
            if let last = merged.last, last.start + Int64(last.byteCount) >= first {
                first = last.start + Int64(last.byteCount)
                guard end > first else { continue }
                merged[merged.count - 1].byteCount += UInt32(end - first)
            } else {
                merged.append(range)
            }
            bytes += guestBytes[starts[number] + Int(first - range.start) ..< starts[number] + Int(range.byteCount)]
        }
        return (merged, bytes)
    }

    /// The unit's bytes.
    /// - Parameter isTaken: whether the link of that number, in the engine, goes to its target.
    func finish(isTaken: (Int) -> Bool) -> [UInt8] {
        for (block, first) in zip(blocks, firstLinks) {
            for link in 0 ..< Int(block.linkCount) where isTaken(first + link) { links[Int(block.firstLink) + link].isTaken = 1 }
        }
        let proofs = mergedProof()
        let header = CacheUnitHeader(
            blockCount: UInt32(blocks.count), linkCount: UInt32(links.count), cacheCount: UInt32(caches.count),
            positionByteCount: UInt32(positions.count), deferringCount: UInt32(deferringCode.count),
            writeCount: UInt32(deferredWrites.count), relocationCount: UInt32(relocations.count),
            rangeCount: UInt32(ranges.count), homeCount: UInt32(homes.count), proofCount: UInt32(proofs.ranges.count), proofByteCount: UInt32(proofs.bytes.count),
            codeByteCount: UInt32(code.count))
        let layout = CacheUnitLayout(header)
        var result = [UInt8](repeating: 0, count: layout.byteCount)
        result.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: header, as: CacheUnitHeader.self)
            func put<Record>(_ records: [Record], at offset: Int) {
                records.withUnsafeBytes { records in
                    if !records.isEmpty { UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]).copyMemory(from: records) }
                }
            }
            put(blocks, at: layout.blocks)
            put(links, at: layout.links)
            put(caches, at: layout.caches)
            put(positions, at: layout.positions)
            put(deferringCode, at: layout.deferring)
            put(deferredWrites, at: layout.writes)
            put(relocations, at: layout.relocations)
            put(ranges, at: layout.ranges)
            put(homes, at: layout.homes)
            put(proofs.ranges, at: layout.proofs)
            put(proofs.bytes, at: layout.proofBytes)
            put(code, at: layout.code)
        }
        return result
    }
}

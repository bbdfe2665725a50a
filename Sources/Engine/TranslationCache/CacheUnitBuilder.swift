// Writes translations of one page of guest code as a unit.

import CHost
import Guest
import X86Backend

struct CacheUnitBuilder {
    private let origin: CodeOrigin
    private let codeStart: UInt64
    private let anchor = mynah_helper_anchor()
    private var blocks: [StoredBlock] = []
    private var links: [StoredLink] = []
    private var caches: [StoredCache] = []
    private var positions: [UInt8] = []
    private var relocations: [StoredRelocation] = []
    private var ranges: [StoredRange] = []
    private var homes: [StoredHome] = []
    private var code: [UInt8] = []
    /// The guest's bytes by their distance from the file's first byte.
    private var proof: [(start: UInt64, bytes: ArraySlice<UInt8>)] = []

    /// - Parameter codeStart: executable address of the code cache's first byte.
    init(_ origin: CodeOrigin, codeStart: UInt64) {
        self.origin = origin
        self.codeStart = codeStart
    }

    var blockCount: Int { blocks.count }

    private func distance(_ address: UInt64) -> Int64 { Int64(bitPattern: address &- origin.base) }

    /// - Parameters:
    ///   - bytes: the code as it was made, and the guest's bytes behind it.
    ///   - isTaken: whether the link of that number goes to its target.
    mutating func add(_ pending: PendingTranslation, _ bytes: ArraySlice<UInt8>, hasOwnHomes: Bool, isTaken: (Int) -> Bool) {
        let translation = pending.translation, start = UInt32(code.count)
        func offset(_ address: UInt64) -> UInt32 { start + UInt32(truncatingIfNeeded: address &- translation.entry) }
        let block = UInt32(blocks.count), firstLink = UInt32(links.count), firstCache = UInt32(caches.count)
        code += bytes.prefix(translation.byteCount)
        for relocation in translation.relocations {
            relocate(relocation, start, translation.entry, UInt32(pending.firstLink) &- firstLink, UInt32(pending.firstCache) &- firstCache)
        }
        while code.count & 15 != 0 { code.append(0xcc) }
        for (number, link) in translation.links.enumerated() {
            links.append(
                StoredLink(
                    target: distance(link.target), field: link.field == 0 ? StoredLink.noField : offset(link.field), stub: offset(link.stub),
                    kind: link.kind.rawValue, isBackward: link.isBackward ? 1 : 0, isTaken: isTaken(number) ? 1 : 0, block: block))
        }
        for cache in translation.caches {
            caches.append(
                StoredCache(
                    address: distance(cache.address), target: offset(cache.target), hit: offset(cache.hit), miss: offset(cache.miss),
                    lookup: offset(cache.lookup)))
        }
        let firstPosition = positions.count, firstRange = ranges.count, firstHome = homes.count
        EncodedPositions.append(translation.positions, of: pending.key.address, to: &positions)
        var guest = bytes.dropFirst(translation.byteCount)
        for range in pending.ranges {
            ranges.append(StoredRange(start: distance(range.lowerBound), byteCount: UInt32(range.count)))
            proof.append((range.lowerBound &- origin.base, guest.prefix(range.count)))
            guest = guest.dropFirst(range.count)
        }
        if hasOwnHomes {
            homes += translation.homes.map { StoredHome(offset: $0.offset, register: $0.register, isVector: $0.isVector ? 1 : 0) }
        }
        blocks.append(
            StoredBlock(
                address: distance(pending.key.address), mode: pending.key.mode.rawValue, code: start, byteCount: UInt32(translation.byteCount),
                loopEntry: UInt32(truncatingIfNeeded: translation.loopEntry &- translation.entry), firstLink: firstLink,
                linkCount: UInt32(translation.links.count), positions: UInt32(firstPosition),
                positionByteCount: UInt32(positions.count - firstPosition), firstRange: UInt32(firstRange),
                rangeCount: UInt32(ranges.count - firstRange), homeCount: UInt32(homes.count - firstHome), firstHome: UInt32(firstHome),
                instructionCount: UInt32(pending.instructionCount)))
    }

    /// Makes a field say what it would in a unit that is at the start of the code cache, for code at address 0.
    private mutating func relocate(
        _ relocation: Relocation, _ start: UInt32, _ entry: UInt64, _ linkExcess: UInt32, _ cacheExcess: UInt32
    ) {
        let field = Int(start + relocation.offset)
        relocations.append(StoredRelocation(bits: UInt32(field) << StoredRelocation.kindBits | UInt32(relocation.kind.rawValue)))
        code.withUnsafeMutableBytes { bytes in
            func change<Word: FixedWidthInteger>(_ type: Word.Type, _ body: (Word) -> Word) {
                bytes.storeBytes(of: body(bytes.loadUnaligned(fromByteOffset: field, as: type)), toByteOffset: field, as: type)
            }
            switch relocation.kind {
            case .guestAddress: change(UInt64.self) { $0 &- origin.base }
            case .helper: change(UInt64.self) { $0 &- anchor }
            case .link: change(UInt32.self) { $0 &- linkExcess << 3 }
            case .cache: change(UInt32.self) { $0 &- cacheExcess << 3 }
            case .stub: change(UInt32.self) { $0 &+ UInt32(truncatingIfNeeded: entry &- codeStart) &- start }
            }
        }
    }

    // MARK: The whole

    /// The ranges of guest code, sorted, each byte once.
    private func mergedProof() -> (ranges: [StoredRange], bytes: [UInt8]) {
        var ranges: [StoredRange] = [], bytes: [UInt8] = []
        var end: UInt64 = 0
        for (start, part) in proof.sorted(by: { $0.start < $1.start }) {
            let partEnd = start + UInt64(part.count)
            if partEnd <= end { continue }
            let skipped = !ranges.isEmpty && start < end ? Int(end - start) : 0
            bytes += part.dropFirst(skipped)
            if !ranges.isEmpty, start <= end {
                ranges[ranges.count - 1].byteCount += UInt32(part.count - skipped)
            } else {
                ranges.append(StoredRange(start: Int64(bitPattern: start), byteCount: UInt32(part.count)))
            }
            end = partEnd
        }
        return (ranges, bytes)
    }

    /// The unit's bytes.
    func finish() -> [UInt8] {
        let proofs = mergedProof()
        let header = CacheUnitHeader(
            blockCount: UInt32(blocks.count), linkCount: UInt32(links.count), cacheCount: UInt32(caches.count),
            positionByteCount: UInt32(positions.count), relocationCount: UInt32(relocations.count), rangeCount: UInt32(ranges.count),
            homeCount: UInt32(homes.count), proofCount: UInt32(proofs.ranges.count), proofByteCount: UInt32(proofs.bytes.count),
            codeByteCount: UInt32(code.count))
        let layout = CacheUnitLayout(header)
        var result = [UInt8](repeating: 0, count: layout.byteCount)
        result.withUnsafeMutableBytes { bytes in
            bytes.storeBytes(of: header, as: CacheUnitHeader.self)
            func put<Record>(_ records: [Record], at offset: Int) {
                records.withUnsafeBytes { if !$0.isEmpty { UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]).copyMemory(from: $0) } }
            }
            put(blocks, at: layout.blocks)
            put(links, at: layout.links)
            put(caches, at: layout.caches)
            put(positions, at: layout.positions)
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

// Giving translations to the cache on disk: what is made is kept aside as it was before anything was patched, and written when the
// program ends or executes another.

import CHost
import Guest
import X86Backend

extension Engine {
    /// Keeps a new block aside, when the cache has a place for it. Its code must not be patched yet. Holds the lock.
    func keepForCache(_ index: Int, _ ranges: [Range<UInt64>], _ instructionCount: Int, _ translation: Translation) {
        guard let cache, !translation.isTied else { return }
        let block = blocks[index]
        guard let group = cache.group(at: block.key.address, memory) else { return }
        let mapping = group.origin.range
        let isInside = ranges.allSatisfy { !$0.isEmpty && $0.lowerBound >= mapping.lowerBound && $0.upperBound <= mapping.upperBound }
        guard isInside, !ranges.isEmpty else { return }
        counters.cacheMisses += 1
        let start = cache.bytes.count
        cache.bytes.append(
            contentsOf: UnsafeRawBufferPointer(start: code.writable + Int(translation.entry - code.executable), count: translation.byteCount))
        for range in ranges {
            let bytes = cache.guestBytes.reserve(range.count)
            guard copyGuest(range.lowerBound, range.count, to: bytes) else { return cache.bytes.removeSubrange(start...) }
            cache.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: range.count))
        }
        group.pending.append(
            PendingTranslation(
                key: block.key, block: index, ranges: ranges, instructionCount: instructionCount, firstLink: block.firstLink,
                firstCache: caches.count - translation.caches.count, translation: translation, start: start))
    }

    /// Writes to the cache what this run added to it, if it is worth it. Nothing happens when that is not possible.
    package func saveTranslations() {
        guard cache != nil else { return }
        locked {
            guard let cache else { return }
            var isChanged = false
            for group in cache.groups where isWorthSaving(group, cache.options) {
                isChanged = save(group, cache) || isChanged
                group.pending.removeAll()
            }
            if isChanged { cache.directory.prune(to: cache.options.byteLimit) }
        }
    }

    private func isWorthSaving(_ group: CodeGroup, _ options: TranslationCacheOptions) -> Bool {
        let known = Int(group.file?.header.blockCount ?? 0)
        return group.pending.count >= max(known == 0 ? 1 : options.leastNew, known / options.growth)
    }

    private func save(_ group: CodeGroup, _ cache: TranslationCache) -> Bool {
        // Another process may have written since.
        let file = cache.file(of: group.origin, group.name)
        // What was dropped meanwhile is not the guest's code any more.
        let valid = group.pending.filter { blocks[$0.block].isValid }
        var newUnits: [(page: UInt32, blocks: Int, bytes: [UInt8])] = []
        let isFixed = CodeGroup.fixedBase(of: group.origin) != 0
        for (page, translations) in Dictionary(grouping: valid, by: { group.page(of: $0.key.address) }) {
            let known = file.map { keys(in: $0, page, group, &cache.scratch) } ?? []
            var unit = CacheUnitBuilder(group.origin, codeStart: code.executable)
            for pending in translations where !known.contains(pending.key) {
                precondition(isFixed || pending.key.address >> 32 != 0)
                unit.add(
                    pending, cache.bytes[pending.start...], hasOwnHomes: !pending.translation.hasUsualHomes,
                    isTaken: { self.linkedTo[pending.firstLink + $0] >= 0 })
            }
            if unit.blockCount > 0 { newUnits.append((page, unit.blockCount, unit.finish())) }
        }
        guard !newUnits.isEmpty, let bytes = contents(file, newUnits, group, cache) else { return false }
        guard bytes.withUnsafeBytes({ cache.directory.write($0, named: group.name) }) else { return false }
        counters.cacheSaved += newUnits.reduce(0) { $0 + $1.blocks }
        return true
    }

    private func keys(in file: CacheFile, _ page: UInt32, _ group: CodeGroup, _ scratch: inout CacheScratch) -> Set<BlockKey> {
        var result: Set<BlockKey> = []
        for number in file.units(of: page) {
            guard let unit = file.read(number, into: &scratch) else { continue }
            for block in unit.blocks {
                result.insert(BlockKey(address: group.origin.base &+ UInt64(bitPattern: block.address), mode: .init(rawValue: block.mode)))
            }
        }
        return result
    }

    /// A file of the old units that are whole, and the new ones.
    private func contents(
        _ old: CacheFile?, _ added: [(page: UInt32, blocks: Int, bytes: [UInt8])], _ group: CodeGroup, _ cache: TranslationCache
    ) -> [UInt8]? {
        var units: [CacheFileUnit] = [], body: [UInt8] = []
        func add(_ page: UInt32, _ blocks: UInt32, _ bytes: UnsafeRawBufferPointer) {
            let digest = mynah_digest(bytes.baseAddress!, bytes.count, UInt64(page))
            units.append(
                CacheFileUnit(page: page, blockCount: blocks, offset: UInt64(body.count), byteCount: UInt32(bytes.count), digest: digest))
            body.append(contentsOf: bytes)
        }
        if let old {
            body.reserveCapacity(Int(old.header.byteCount) + added.reduce(0) { $0 + $1.bytes.count })
            for number in 0 ..< old.unitCount {
                guard let bytes = old.bytes(of: number, into: &cache.scratch) else { continue }
                add(old.unit(number).page, old.unit(number).blockCount, UnsafeRawBufferPointer(bytes))
            }
        }
        for unit in added { unit.bytes.withUnsafeBytes { add(unit.page, UInt32(unit.blocks), $0) } }
        guard units.count <= CacheFile.unitLimit else { return nil }
        let bodyStart = (CacheFileHeader.byteCount + units.count * MemoryLayout<CacheFileUnit>.stride + 15) & ~15
        guard bodyStart + body.count <= CacheFile.byteLimit else { return nil }
        for index in units.indices { units[index].offset += UInt64(bodyStart) }
        units.sort { $0.page < $1.page }
        var header = CacheFileHeader()
        header.unitCount = UInt32(units.count)
        header.identity = cache.identity
        header.device = group.origin.device
        header.inode = group.origin.inode
        header.sourceByteCount = group.origin.byteCount
        header.sourceModified = group.origin.modified
        header.base = CodeGroup.fixedBase(of: group.origin)
        header.byteCount = UInt64(bodyStart + body.count)
        header.blockCount = units.reduce(0) { $0 + UInt64($1.blockCount) }
        header.digest = CacheFile.digest(of: header)
        header.tableDigest = units.withUnsafeBytes { mynah_digest($0.baseAddress!, $0.count, header.digest) }
        var result: [UInt8] = []
        result.reserveCapacity(bodyStart + body.count)
        withUnsafeBytes(of: header) { result.append(contentsOf: $0) }
        units.withUnsafeBytes { result.append(contentsOf: $0) }
        while result.count < bodyStart { result.append(0) }
        result += body
        return result
    }
}

// Giving translations to the cache on disk: what is made is kept aside as it was before anything was patched, and written when the
// program ends or executes another.

import CHost
import Guest
import X86Backend

extension Engine {
    /// Keeps a new block aside, when the cache has a place for it. Its code must not be patched yet. Holds the lock.
    /// - Parameter version: the version of the guest's code before it was lifted.
    func keepForCache(
        _ index: Int, _ ranges: [Range<UInt64>], _ instructionCount: Int, _ translation: Translation, _ version: UInt64
    ) {
        guard let cache, !translation.isTied, !ranges.isEmpty else { return }
        let block = blocks[index]
        guard let group = cache.group(at: block.key.address, memory) else { return }
        let mapping = group.origin.range
        for range in ranges where range.isEmpty || range.lowerBound < mapping.lowerBound || range.upperBound > mapping.upperBound { return }
        counters.cacheMisses += 1
        let code = UnsafeRawBufferPointer(start: code.writable + Int(translation.entry - code.executable), count: translation.byteCount)
        let isAdded = group.builder(for: group.page(of: block.key.address), codeStart: self.code.executable).add(
            block.key, block.firstLink, caches.count - translation.caches.count, ranges, instructionCount, translation, code
        ) { range, bytes in
            let place = cache.guestBytes.reserve(range.count)
            guard copyGuest(range.lowerBound, range.count, to: place) else { return false }
            bytes.append(contentsOf: UnsafeRawBufferPointer(start: place, count: range.count))
            // What was lifted and what was copied are the same: nobody could write there in between.
            return memory.codeVersion == version && memory.codeOrigin(at: range.lowerBound) == group.origin
        }
        if isAdded { group.notePending() }
    }

    /// Writes to the cache what this run added to it, if it is worth it. Nothing happens when that is not possible.
    package func saveTranslations() {
        guard cache != nil else { return }
        locked {
            guard let cache else { return }
            var isChanged = false
            for group in cache.groups where isWorthSaving(group, cache.options) {
                isChanged = save(group, cache) || isChanged
                group.dropPending()
            }
            if isChanged { cache.directory.prune(to: cache.options.byteLimit) }
        }
    }

    private func isWorthSaving(_ group: CodeGroup, _ options: TranslationCacheOptions) -> Bool {
        let known = Int(group.file?.header.blockCount ?? 0)
        return group.pendingCount >= max(known == 0 ? 1 : options.leastNew, known / options.growth)
    }

    private func save(_ group: CodeGroup, _ cache: TranslationCache) -> Bool {
        // Another process may have written since.
        let file = cache.file(of: group.origin, group.name)
        var added: [NewUnit] = []
        for (page, builder) in group.pending where builder.blockCount > 0 {
            let known = file.map { keys(in: $0, page, group, &cache.scratch) } ?? []
            // Some may be known already: whoever loads them takes the first.
            if !known.isEmpty, builder.keys.allSatisfy(known.contains) { continue }
            added.append(NewUnit(page: page, blockCount: builder.blockCount, bytes: builder.finish { self.linkedTo[$0] >= 0 }))
        }
        guard !added.isEmpty, let bytes = contents(file, added, group, cache) else { return false }
        guard bytes.withUnsafeBytes({ cache.directory.write($0, named: group.name) }) else { return false }
        counters.cacheSaved += added.reduce(0) { $0 + $1.blockCount }
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
    private func contents(_ old: CacheFile?, _ added: [NewUnit], _ group: CodeGroup, _ cache: TranslationCache) -> [UInt8]? {
        let unitCount = (old?.unitCount ?? 0) + added.count
        let bodyStart = (CacheFileHeader.byteCount + unitCount * MemoryLayout<CacheFileUnit>.stride + 15) & ~15
        var units: [CacheFileUnit] = []
        var result = [UInt8](repeating: 0, count: bodyStart)
        result.reserveCapacity(Int(old?.header.byteCount ?? 0) + bodyStart + added.reduce(0) { $0 + $1.bytes.count })
        func add(_ page: UInt32, _ blocks: UInt32, _ digest: UInt64, _ bytes: UnsafeRawBufferPointer) {
            units.append(
                CacheFileUnit(page: page, blockCount: blocks, offset: UInt64(result.count), byteCount: UInt32(bytes.count), digest: digest))
            result.append(contentsOf: bytes)
        }
        for number in 0 ..< (old?.unitCount ?? 0) {
            guard let old, let bytes = old.bytes(of: number, into: &cache.scratch) else { continue }
            let unit = old.unit(number)
            add(unit.page, unit.blockCount, unit.digest, UnsafeRawBufferPointer(bytes))
        }
        for unit in added {
            unit.bytes.withUnsafeBytes {
                add(unit.page, UInt32(unit.blockCount), mynah_digest($0.baseAddress!, $0.count, UInt64(unit.page)), $0)
            }
        }
        guard units.count <= CacheFile.unitLimit, result.count <= CacheFile.byteLimit else { return nil }
        units.sort { $0.page < $1.page }
        var header = CacheFileHeader()
        header.unitCount = UInt32(units.count)
        header.identity = cache.identity
        header.device = group.origin.device
        header.inode = group.origin.inode
        header.sourceByteCount = group.origin.byteCount
        header.sourceModified = group.origin.modified
        header.base = CodeGroup.fixedBase(of: group.origin)
        header.byteCount = UInt64(result.count)
        header.blockCount = units.reduce(0) { $0 + UInt64($1.blockCount) }
        header.digest = CacheFile.digest(of: header)
        header.tableDigest = units.withUnsafeBytes { mynah_digest($0.baseAddress!, $0.count, header.digest) }
        result.withUnsafeMutableBytes { bytes in
            withUnsafeBytes(of: header) { bytes.copyMemory(from: $0) }
            units.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: bytes[CacheFileHeader.byteCount...]).copyMemory(from: $0) }
        }
        return result
    }
}

/// A unit to be written.
private struct NewUnit {
    var page: UInt32
    var blockCount: Int
    var bytes: [UInt8]
}

// Giving translations to the cache on disk: what is made is kept aside as it was before anything was patched, and written when
// the program ends or executes another.

import CHost
import Guest
import X86Backend

extension Engine {
    /// Keeps a new block aside, when the cache has a place for it. Its code must not be patched yet. Holds the lock.
    /// - Parameter version: the version of the guest's code before it was lifted.
    func keepForCache(
        _ index: Int, _ ranges: [Range<UInt64>], _ instructionCount: Int, _ translation: Translation, _ version: UInt64
    ) {
        guard let group = groupToKeep(index, ranges, translation) else { return }
        counters.cacheMisses += 1
        let builder = group.builder(for: group.page(of: blocks[index].key.address), codeStart: code.executable)
        if keep(index, ranges, instructionCount, translation, version, in: builder, of: group) { group.notePending() }
    }

    /// What the cache has to do with a new translation; nil when nothing. Holds the lock.
    func groupToKeep(_ index: Int, _ ranges: [Range<UInt64>], _ translation: Translation) -> CodeGroup? {
        guard let cache, !translation.isTied, !ranges.isEmpty else { return nil }
        guard let group = cache.group(at: blocks[index].key.address, memory) else { return nil }
        return ranges.allSatisfy(group.contains) ? group : nil
    }

    /// Puts a new translation into what becomes a unit; false when the guest's code is not what it was made of. Holds the lock.
    func keep(
        _ index: Int, _ ranges: [Range<UInt64>], _ instructionCount: Int, _ translation: Translation, _ version: UInt64,
        in builder: CacheUnitBuilder, of group: CodeGroup, revision: UInt32 = 0, from source: CodeSource? = nil
    ) -> Bool {
        guard let cache else { return false }
        let block = blocks[index]
        let start = code.writable + Int(translation.entry - code.executable)
        let code = UnsafeRawBufferPointer(start: start, count: translation.byteCount)
        return builder.add(
            block.key, block.firstLink, caches.count - translation.caches.count, ranges, instructionCount, translation, code,
            revision: revision
        ) { range, bytes in
            let place = cache.guestBytes.reserve(range.count)
            guard copyGuest(range.lowerBound, range.count, from: source, to: place) else { return false }
            bytes.append(contentsOf: UnsafeRawBufferPointer(start: place, count: range.count))
            // What was lifted and what was copied are the same: nobody could write there in between.
            return memory.codeVersion == version && memory.codeOrigin(at: range.lowerBound) == group.origin
        }
    }

    /// Writes to the cache what this run added to it, if it is worth it. Nothing happens when that is not possible.
    package func saveTranslations() {
        guard cache != nil else { return }
        locked {
            guard let cache else { return }
            var isChanged = false
            for group in cache.groups {
                if isWorthSaving(group, cache.options) {
                    isChanged = save(group, cache) || isChanged
                    group.dropPending()
                }
                isChanged = saveRegions(group, cache) || isChanged
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
        let file = cache.file(of: group.origin, .blocks)
        var added: [NewUnit] = []
        for (page, builder) in group.pending where builder.blockCount > 0 {
            let known = file.map { keys(in: $0, page, group, &cache.scratch) } ?? []
            // Some may be known already: whoever loads them takes the first.
            if !known.isEmpty, builder.keys.allSatisfy(known.contains) { continue }
            added.append(NewUnit(page: page, blockCount: builder.blockCount, bytes: builder.finish { self.linkedTo[$0] >= 0 }))
        }
        guard !added.isEmpty, let bytes = contents(file, added, group, cache) else { return false }
        let name = cache.name(of: group.origin, .blocks)
        guard bytes.withUnsafeBytes({ cache.directory.write($0, named: name) }) else { return false }
        counters.cacheSaved += added.reduce(0) { $0 + $1.blockCount }
        return true
    }

    private func keys(in file: CacheFile, _ page: UInt32, _ group: CodeGroup, _ scratch: inout CacheScratch) -> Set<BlockKey> {
        var result: Set<BlockKey> = []
        for number in file.units(of: page) {
            guard let unit = file.read(number, into: &scratch) else { continue }
            for block in unit.blocks { result.insert(key(of: block, group)) }
        }
        return result
    }

    /// A file of the old units that are whole, and the new ones.
    private func contents(_ old: CacheFile?, _ added: [NewUnit], _ group: CodeGroup, _ cache: TranslationCache) -> [UInt8]? {
        let oldCount = old?.unitCount ?? 0, byteCount = Int(old?.header.byteCount ?? 0) + added.reduce(0) { $0 + $1.bytes.count }
        var writer = CacheFileWriter(.blocks, unitCount: oldCount + added.count, unitByteCount: byteCount)
        if let old { for number in 0 ..< oldCount { writer.add(number, of: old, &cache.scratch) } }
        for unit in added {
            let entry = CacheFileUnit(page: unit.page, blockCount: UInt32(unit.blockCount), offset: 0, byteCount: 0, digest: 0)
            unit.bytes.withUnsafeBytes { writer.add(entry, $0) }
        }
        return writer.finish(group.origin, cache.identity)
    }
}

/// A unit to be written.
private struct NewUnit {
    var page: UInt32
    var blockCount: Int
    var bytes: [UInt8]
}

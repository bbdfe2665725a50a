// Regions between runs: a loop that turns out to be hot, at its first sample, gets the region that an earlier run made of it.
//
// Loops that do not get hot cost nothing so, however many there were in earlier runs. What a region does not have is what no
// earlier run did there: when this one does, and comes back to the loop's start from outside of the region time and again, it is
// made anew, from what all of them are known to do.

import Guest
import X86Backend

extension Engine {
    // MARK: Loading

    /// Puts the region of an earlier run in the place of the block translation at the key. Holds the lock.
    /// - Returns: false when there is none that is right.
    func installCachedRegion(_ key: BlockKey, replacing replaced: Int) -> Bool {
        guard let cache, let group = cache.group(at: key.address, memory) else { return false }
        let start = nanoseconds(), store = group.regions, loop = group.loop(key)
        defer { counters.cacheNanoseconds += nanoseconds() - start }
        store.open { cache.file(of: group.origin, .regions) }
        guard let file = store.file, let number = file.region(loop, page: group.page(of: loop)) else { return false }
        // As its loops were aligned where it was made.
        codeUsed = (codeUsed + NewRegion.alignment - 1) & -NewRegion.alignment
        guard let unit = readyUnit(number, of: file, group, cache), unit.blocks.count == 1,
            self.key(of: unit.blocks[0], group) == key
        else { return false }
        let places = addTables(of: unit, group), index = blocks.count
        blocks.append(block(unit.blocks[0], key, of: unit, places))
        blocks[index].isRegion = true
        noteStored(index)
        noteCases(of: index, caches.suffix(unit.caches.count))
        replacedBlocks[key] = replaced
        takeOver(from: replaced, index)
        store.noteLoaded(key, loop, revision: unit.blocks[0].revision)
        connectTaken(unit, places.firstLink)
        counters.cacheRegions += 1
        return true
    }

    /// How many samples more than usual a loop takes until it is looked at whether a region pays: many when none did in an
    /// earlier run.
    func patience(with key: BlockKey) -> Int {
        guard let cache, let group = cache.group(at: key.address, memory) else { return 0 }
        return group.regions.wasRefused(group.loop(key)) ? configuration.regionSamples * 16 : 0
    }

    // MARK: Renewing

    /// A sample of a transfer to the start of an earlier run's region, from outside of it. After several of them the region is
    /// made anew, when this run knows of ways there that no run before did.
    /// - Returns: whether more samples are wanted.
    func renewRegion(_ key: BlockKey, _ index: Int) -> Bool {
        guard let group = cache?.group(at: key.address, memory), group.regions.mayBeMadeAnew(key) else { return false }
        let count = (samples[key] ?? 0) + 1
        samples[key] = count
        guard count >= 2 * configuration.regionSamples else { return true }
        samples[key] = nil
        group.regions.noteLookedAt(key)
        return openWays(out: index) && makeRegion(key, replacing: index)
    }

    /// Block translations in a region are not executed, and so are not seen to take ways that the region leaves by: has those
    /// of their links that go where links of the region go lead there, too.
    /// - Returns: whether there were any.
    func openWays(out index: Int) -> Bool {
        let region = blocks[index], ranges = codeRanges[region.ranges]
        var taken: [UInt64: Int] = [:]
        for link in region.firstLink ..< region.firstLink + region.linkCount where linkedTo[link] >= 0 {
            taken[links[link].target] = Int(linkedTo[link])
        }
        let pages = Set(ranges.flatMap { ($0.lowerBound >> 12) ... (($0.upperBound &- 1) >> 12) })
        var isChanged = false
        for number in Set(pages.flatMap(blocksOfPage.blocks(of:))) where blocks[number].isValid && !blocks[number].isRegion {
            let block = blocks[number]
            guard block.key.mode == region.key.mode, ranges.contains(where: { $0.contains(block.key.address) }) else { continue }
            for link in block.firstLink ..< block.firstLink + block.linkCount where linkedTo[link] < 0 && links[link].field != 0 {
                guard let target = taken[links[link].target], blocks[target].isValid else { continue }
                connect(link, to: target)
                isChanged = true
            }
        }
        return isChanged
    }

    // MARK: Saving

    /// Keeps a new region aside. Its code must not be patched yet. Holds the lock.
    /// - Parameter source: where the guest's code was read, and is read again.
    func keepRegionForCache(_ index: Int, _ region: NewRegion, _ source: CodeSource) {
        guard let group = groupToKeep(index, region.ranges, region.translation) else { return }
        let builder = CacheUnitBuilder(base: group.origin.base, codeStart: code.executable)
        let isKept = keep(
            index, region.ranges, region.instructionCount, region.translation, region.codeVersion, in: builder, of: group,
            revision: group.regions.nextRevision(of: region.key), from: source)
        if isKept { group.regions.keep(region.key, builder) }
    }

    /// Writes the regions of a mapping, those of earlier runs too. Holds the lock.
    /// - Returns: whether it did.
    func saveRegions(_ group: CodeGroup, _ cache: TranslationCache) -> Bool {
        let store = group.regions
        let refused = refusedRegions.filter { group.origin.range.contains($0.address) }.map(group.loop)
        guard store.isWorthSaving(newRefusals: refused.count { !store.wasRefused($0) }) else { return false }
        defer { store.dropPending() }
        // Another process may have written since.
        let file = cache.file(of: group.origin, .regions)
        var room = cache.options.regionByteLimit
        func takesRoom(_ byteCount: Int) -> Bool {
            guard byteCount <= room else { return false }
            room -= byteCount
            return true
        }
        let pending = store.pending.map { key, builder in
            (loop: group.loop(key), bytes: builder.finish { self.linkedTo[$0] >= 0 })
        }
        let added = pending.filter { takesRoom($0.bytes.count) }
        let replaced = Set(added.map(\.loop))
        let kept = unitsWorthKeeping(of: file, without: replaced, store).filter { takesRoom(Int(file?.unit($0).byteCount ?? 0)) }
        let known = replaced.union(kept.compactMap { file?.loop(of: $0) })
        let refusals = Set(file?.refusals.map { $0 } ?? []).union(refused).subtracting(known)
        var writer = CacheFileWriter(
            .regions, unitCount: added.count + kept.count, unitByteCount: cache.options.regionByteLimit - room,
            refusals: Array(refusals))
        if let file { for number in kept { writer.add(number, of: file, &cache.scratch) } }
        for (loop, bytes) in added {
            let unit = CacheFileUnit(
                page: group.page(of: loop), blockCount: 1, offset: 0, byteCount: 0, mode: loop.mode, address: loop.address,
                digest: 0)
            bytes.withUnsafeBytes { writer.add(unit, $0) }
        }
        guard let bytes = writer.finish(group.origin, cache.identity) else { return false }
        let name = cache.name(of: group.origin, .regions)
        guard bytes.withUnsafeBytes({ cache.directory.write($0, named: name) }) else { return false }
        counters.cacheRegionsSaved += added.count
        return true
    }

    /// The regions of a file that have no newer ones, those that this run used first.
    private func unitsWorthKeeping(of file: CacheFile?, without replaced: Set<StoredLoop>, _ store: RegionStore) -> [Int] {
        guard let file else { return [] }
        let numbers = (0 ..< file.unitCount).filter { !replaced.contains(file.loop(of: $0)) }
        let isUsed = { (number: Int) in store.used.contains(file.loop(of: number)) }
        return numbers.filter(isUsed) + numbers.filter { !isUsed($0) }
    }
}

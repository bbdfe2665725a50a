// Making regions: which loops are hot, which of them iterate, and putting a region in the place of a block translation.

import Guest
import IR
import X86Backend

extension Engine {
    /// One transfer back to the address, of many. When there have been several, the block there is made to count how often it is
    /// entered from elsewhere; several later that tells how often the loop iterates, and whether a region pays.
    /// - Parameter link: what it went through, in `generation`.
    /// - Returns: whether more of them are wanted.
    func sample(
        _ address: UInt64, _ mode: TranslationMode, page: UInt32, secondPage: UInt32, link: Int, of generation: Int,
        _ entries: UnsafeMutablePointer<Int32>
    ) -> Bool {
        let place = VirtualCPU.executionsPlace(address), step = configuration.regionSamples
        return locked {
            let key = BlockKey(address: address, mode: mode, page: page, secondPage: secondPage)
            guard let replaced = blockOfKey[key], !refusedRegions.contains(key) else { return false }
            if blocks[replaced].isRegion { return blocks[replaced].isStored && renewRegion(key, replaced) }
            if generation == self.generation { noteWayBack(to: key, through: link) }
            if let background, background.isUnderWay(key) { return true }
            if samples[key] == nil, installCachedRegion(key, replacing: replaced) { return true }
            let count = (samples[key] ?? -patience(with: key)) + 1
            samples[key] = count
            if count <= 0 { return false }
            if count == step {
                entries[place] = 0
                probe(key, replaced, place)
            }
            guard count >= 2 * step, let counting = blockOfKey[key], !isYoung(key) else { return true }
            samples[key] = nil
            let iterations = step * configuration.samplePeriod / max(1, Int(entries[place]))
            // A single sample tells nothing.
            let iterates = iterations >= configuration.regionIterations || step == 1
            if !iterates {
                refuse(key, counting)
                return true
            }
            switch background?.request(key, counting: counting, self) ?? .unavailable {
            case .accepted: break
            // To be found hot again.
            case .refused: stopProbing(key, counting)
            case .unavailable: if !makeRegion(key, replacing: counting) { refuse(key, counting) }
            }
            return true
        }
    }

    private func noteWayBack(to key: BlockKey, through link: Int) {
        // Links are numbered in the order of the translations that they belong to, and are nearly evenly spread over them.
        var low = 0, high = blocks.count, guess = high * link / max(1, links.count), step = 1
        while low < high {
            let isBehind = blocks[guess].firstLink <= link
            if isBehind { low = guess + 1 } else { high = guess }
            guess = step < high - low ? (isBehind ? guess + step : guess - step) : (low + high) / 2
            step *= 2
        }
        guard low > 0 else { return }
        let source = blocks[low - 1]
        if source.firstLink ..< source.firstLink + source.linkCount ~= link { waysBack[key, default: [:]][source.key.address, default: 0] += 1 }
    }

    /// The superblock that mostly leads back to the start of a loop, when it is another one; nil when that is not known. Holds the lock.
    func wayBack(to key: BlockKey) -> UInt64? {
        guard let ways = waysBack[key], let most = ways.max(by: { $0.value < $1.value }), most.key != key.address else { return nil }
        return most.value * 4 >= ways.values.reduce(0, +) * 3 ? most.key : nil
    }

    /// No region is made of the key, as long as its code is what it is. Holds the lock.
    func refuse(_ key: BlockKey, _ counting: Int) {
        refusedRegions.insert(key)
        stopProbing(key, counting)
    }

    /// Replaces a block translation by one that counts.
    private func probe(_ key: BlockKey, _ replaced: Int, _ place: Int) {
        translator.executionsOffset = Int32(VirtualCPU.executionsOffset(isa) + place * 4)
        defer { translator.executionsOffset = nil }
        let generation = counters.flushes
        blockOfKey[key] = nil
        counters.probes += 1
        let index = translate(key, configuration.limits)
        guard generation == counters.flushes else { return }
        if let index {
            takeOver(from: replaced, index)
            uncounted[key] = replaced
        } else {
            blockOfKey[key] = replaced
        }
    }

    /// Back to the block translation that does not count.
    func stopProbing(_ key: BlockKey, _ counting: Int) {
        guard let original = uncounted.removeValue(forKey: key), blocks[original].isValid else { return }
        blockOfKey[key] = original
        takeOver(from: counting, original)
    }

    /// Whoever comes to the one translation now comes to the other.
    func takeOver(from replaced: Int, _ index: Int) {
        let entry = blocks[index].entry, address = blocks[index].key.address
        for link in takeIncoming(of: replaced) { direct(link, to: index) }
        for cache in takeIncomingCaches(of: replaced) {
            patch(caches[cache].hit, toJumpTo: entry)
            caches[cache].nextIncoming = blocks[index].lastIncomingCache
            blocks[index].lastIncomingCache = Int32(cache)
        }
        for cpu in cpus {
            let place = cpu.tableEntry(address)
            if place.pointee.guest == address { place.pointee.host = entry }
        }
    }

    /// Makes a region here and now, if one can be made.
    func makeRegion(_ key: BlockKey, replacing replaced: Int) -> Bool {
        guard counters.translations < configuration.translationLimit else { return false }
        regions.translator.counting = translator.counting
        defer {
            translator.counting = regions.translator.counting
            counters.regionStages += regions.takeStages()
        }
        guard var region = regions.translate(key) else { return false }
        return install(&region, by: regions, replacing: replaced)
    }

    /// Puts the region that was just made in the place of the block translation. Holds the lock.
    /// - Returns: false when there is no room for it.
    func install(_ region: inout NewRegion, by maker: RegionTranslator, replacing replaced: Int) -> Bool {
        let start = nanoseconds(), key = region.key
        // As it was emitted: where its loops are in the lines of the host's cache matters.
        let place = (codeUsed + NewRegion.alignment - 1) & ~(NewRegion.alignment - 1)
        guard code.byteCount - place >= region.translation.byteCount + Engine.reserve else { return false }
        codeUsed = place
        maker.put(&region, at: code.writable + place, code.executable + UInt64(place), firstLink: links.count, firstCache: caches.count)
        let index = install(key, region.ranges, region.instructionCount, region.translation)
        blocks[index].isRegion = true
        keepRegionForCache(index, region, maker.source)
        noteCounted(index, region.translation, plan: region.plan, by: maker.translator)
        if !blocks[replaced].isRegion {
            replacedBlocks[key] = replaced
        } else if blocks[replaced].isStored {
            counters.cacheRegionsRenewed += 1
        } else {
            counters.regionsRenewed += 1
        }
        uncounted[key] = nil
        takeOver(from: replaced, index)
        noteCases(of: index, region.translation.caches)
        counters.regions += 1
        counters.vectorLoops += region.translation.vectorLoopCount
        counters.regionInstructions += region.instructionCount
        maker.stages.install += nanoseconds() - start
        if configuration.observer != nil { report(key, "", region.text, region.translation) }
        return true
    }
}

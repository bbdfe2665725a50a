// Making regions: which loops are hot, which of them iterate, and putting a region in the place of a block translation.

import Guest
import IR
import X86Backend

extension Engine {
    func function(ofRegion index: Int) -> Function {
        while regionFunctions.count <= index { regionFunctions.append(Function(capacity: 512)) }
        return regionFunctions[index]
    }

    /// One transfer back to the address, of many. When there have been several, the block there is made to count how often it is
    /// entered from elsewhere; several later that tells how often the loop iterates, and whether a region pays.
    /// - Returns: whether more of them are wanted.
    func sample(_ address: UInt64, _ mode: TranslationMode, page: UInt32, secondPage: UInt32, _ entries: UnsafeMutablePointer<Int32>) -> Bool {
        let place = VirtualCPU.executionsPlace(address), step = configuration.regionSamples
        return locked {
            let key = BlockKey(address: address, mode: mode, page: page, secondPage: secondPage)
            guard let replaced = blockOfKey[key], !blocks[replaced].isRegion, !refusedRegions.contains(key) else { return false }
            let count = (samples[key] ?? 0) + 1
            samples[key] = count
            if count == step {
                entries[place] = 0
                probe(key, replaced, place)
            }
            guard count >= 2 * step, let counting = blockOfKey[key] else { return true }
            samples[key] = nil
            let iterations = step * configuration.samplePeriod / max(1, Int(entries[place]))
            // A single sample tells nothing.
            let iterates = iterations >= configuration.regionIterations || step == 1
            if !iterates || !makeRegion(key, replacing: counting) {
                refusedRegions.insert(key)
                stopProbing(key, counting)
            }
            return true
        }
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
    private func stopProbing(_ key: BlockKey, _ counting: Int) {
        guard let original = uncounted.removeValue(forKey: key), blocks[original].isValid else { return }
        blockOfKey[key] = original
        takeOver(from: counting, original)
    }

    /// Whoever comes to the one translation now comes to the other.
    private func takeOver(from replaced: Int, _ index: Int) {
        let entry = blocks[index].entry, address = blocks[index].key.address
        for link in takeIncoming(of: replaced) { direct(link, to: index) }
        for cache in blocks[replaced].incomingCaches { patch(caches[cache].hit, toJumpTo: entry) }
        blocks[index].incomingCaches = blocks[replaced].incomingCaches
        blocks[replaced].incomingCaches = []
        for cpu in cpus {
            let place = cpu.tableEntry(address)
            if place.pointee.guest == address { place.pointee.host = entry }
        }
    }

    func makeRegion(_ key: BlockKey, replacing replaced: Int) -> Bool {
        guard counters.translations < configuration.translationLimit else { return false }
        let start = nanoseconds(), optimizedBefore = counters.regionStages.optimize
        guard let region = Region(around: key, in: self) else { return false }
        if code.byteCount - codeUsed < 256 << 10 { return false }
        let emitStart = nanoseconds()
        translator.firstLink = links.count
        translator.firstCache = caches.count
        translator.codePage = key.page
        translator.secondCodePage = 0
        let translation = translator.translate(
            region.blocks.map(\.function), weights: region.blocks.map(\.weight), vectors: region.blocks.map(\.vectors), writable: code.writable + codeUsed,
            executable: code.executable + UInt64(codeUsed), capacity: code.byteCount - codeUsed)
        guard let translation else { return false }
        let emitEnd = nanoseconds()
        // The superblocks were optimised one by one, as they were found.
        counters.regionStages.lift += emitStart - start - (counters.regionStages.optimize - optimizedBefore)
        counters.regionStages.emit += emitEnd - emitStart
        let index = install(key, region.ranges, region.instructionCount, translation)
        blocks[index].isRegion = true
        noteCounted(index, plan: region.plan)
        replacedBlocks[key] = replaced
        uncounted[key] = nil
        takeOver(from: replaced, index)
        counters.regions += 1
        counters.vectorLoops += translation.vectorLoopCount
        counters.regionInstructions += region.instructionCount
        counters.regionStages.install += nanoseconds() - emitEnd
        if configuration.observer != nil {
            report(key, "", region.blocks.map { ($0.vectors.map { text(of: $0) + "\n" } ?? "") + text(of: $0.function) }.joined(separator: "\n"), translation)
        }
        return true
    }
}

// Indirect jumps: where they go, and regions of the loops that they close, as in interpreters.

import Guest
import X86Backend

extension Engine {
    /// Samples of a jump until a region is made of where it leads, and those of one superblock's.
    private var jumpSamples: Int { configuration.regionSamples * 16 }
    private var superblockSamples: Int32 { Int32(configuration.regionSamples * 8) }
    /// An inline cache goes on with its target when this part of the jumps go there, in percent.
    private static let worthwhileShare = 25
    /// Blocks that are looked at for a way back, at most; and of those on it, so many must come on one with a call.
    private static let searchedBlocks = 256, fewestPerCall = 8

    /// One execution, of many, of the indirect jump with this inline cache. After enough of them, what the jump leads to becomes
    /// a region, if that leads back; again when it turns out that it goes elsewhere, too.
    /// - Returns: whether more of them are wanted.
    func sample(jump number: Int, to target: UInt64, _ generation: Int) -> Bool {
        locked {
            guard generation == counters.flushes else { return false }
            let owner = blocks[blockIndex(ofHost: caches[number].hit)]
            guard owner.isValid else { return false }
            let jump = BlockKey(address: caches[number].address, mode: owner.key.mode, page: owner.key.page)
            jumps.note(jump, in: owner.isRegion ? nil : owner.key, to: target)
            lookAgain(number, owner)
            if !jumps.hasRegion(jump), let key = head(target, jump), let replaced = blockOfKey[key], !blocks[replaced].isRegion,
                installCachedRegion(key, replacing: replaced)
            {
                return true
            }
            guard let recent = jumps.takeRecent(jump, samples: jumpSamples) else { return jumps.isWanted(jump) }
            // Rather a better one than another.
            let isCurrent = owner.isRegion && blockOfKey[owner.key].map { blocks[$0].entry == owner.entry } ?? false
            let heads = recent.compactMap { head($0, jump) }
            let known = heads.prefix(4).first { blockOfKey[$0].map { blocks[$0].isRegion } ?? false }
            if let key = isCurrent ? owner.key : known ?? heads.first, blocksLeadingBack(to: key).contains(key.address) {
                request(key)
            } else {
                jumps.doubt(jump)
            }
            return true
        }
    }

    /// What a jump to the target may make a region of.
    private func head(_ target: UInt64, _ jump: BlockKey) -> BlockKey? {
        jump.page == 0 || (target ^ jump.address) >> 12 == 0 ? BlockKey(address: target, mode: jump.mode, page: jump.page) : nil
    }

    /// Where the block translations are that lead back to the start of the one at `key`, by ways from there that were taken,
    /// calls left out. None where many of them call: going out of a region and back in costs more than jumping in it saves.
    /// Holds the lock.
    func blocksLeadingBack(to key: BlockKey) -> Set<UInt64> {
        var sources: [UInt64: [UInt64]] = [:], calling: Set<UInt64> = []
        var seen: Set<UInt64> = [key.address], rest = [key.address], next = 0
        while next < rest.count, next < Engine.searchedBlocks {
            let place = BlockKey(address: rest[next], mode: key.mode, page: key.page)
            next += 1
            guard let index = profiledBlock(place) else { continue }
            let ways = blocks[index].firstLink ..< blocks[index].firstLink + blocks[index].linkCount
            let taken = ways.filter { linkedTo[$0] >= 0 && links[$0].kind == .jump }
            let targets = taken.map { links[$0].target } + jumpTargets(of: place, index)
            if ways.contains(where: { links[$0].kind == .call }) { calling.insert(place.address) }
            for target in targets where key.page == 0 || (target ^ key.address) >> 12 == 0 {
                sources[target, default: []].append(place.address)
                if seen.insert(target).inserted { rest.append(target) }
            }
        }
        var result: Set<UInt64> = []
        rest = [key.address]
        while let address = rest.popLast() {
            for source in sources[address] ?? [] where result.insert(source).inserted { rest.append(source) }
        }
        return result.count(where: calling.contains) * Engine.fewestPerCall > result.count ? [] : result
    }

    private func request(_ key: BlockKey) {
        guard let index = blockOfKey[key], !refusedRegions.contains(key) else { return }
        if let background, background.isUnderWay(key) { return }
        if blocks[index].isRegion { _ = openWays(out: index) }
        switch background?.request(key, counting: index, isProven: false, self) ?? .unavailable {
        case .accepted, .refused: break
        case .unavailable: _ = makeRegion(key, replacing: index)
        }
    }

    /// The inline cache has no target while it is not known how often it is right.
    private func lookAgain(_ number: Int, _ owner: TranslatedBlock) {
        let cache = caches[number]
        guard cache.filled != 0, cache.samples < superblockSamples else { return }
        caches[number].samples += 1
        if cache.samples == 0 { setTarget(of: cache, InlineCache.noTarget) }
        let isRight = jumps.share(of: cache.filled, in: owner.key) >= Engine.worthwhileShare
        if cache.samples + 1 == superblockSamples, isRight { setTarget(of: cache, cache.filled) }
    }

    /// Whether there are too few samples of the jump at the end of the superblock to make a region that it is in.
    func isYoung(_ key: BlockKey) -> Bool { jumps.isYoung(key, samples: jumpSamples) }

    /// Where the block translation `index`, which is at `key`, was seen to jump, the likeliest first. Holds the lock.
    func jumpTargets(of key: BlockKey, _ index: Int) -> [UInt64] {
        guard blocks[index].mayHaveCache, let cache = cache(of: index) else { return [] }
        let jump = BlockKey(address: cache.address, mode: key.mode, page: key.page)
        return jumps.targets(of: jump, in: key, likeliest: cache.filled == 0 ? nil : cache.filled)
    }

    /// The inline cache of a block translation.
    private func cache(of index: Int) -> InlineCache? {
        let block = blocks[index]
        var low = 0, high = caches.count
        while low < high {
            let middle = (low + high) / 2
            if caches[middle].hit < block.entry { low = middle + 1 } else { high = middle }
        }
        return low < caches.count && caches[low].hit < block.entry + UInt64(block.byteCount) ? caches[low] : nil
    }

    /// Notes which targets a region, new or from the cache on disk, compares with.
    func noteCases(of index: Int, _ found: [InlineCache]) {
        let block = blocks[index]
        for cache in found where !cache.cases.isEmpty {
            let targets = cache.cases.filter { $0 < block.linkCount }.map { links[block.firstLink + Int($0)].target }
            jumps.noteRegion(BlockKey(address: cache.address, mode: block.key.mode, page: block.key.page), of: targets)
        }
    }
}

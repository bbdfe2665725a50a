// Taking translations from the cache on disk: all that start in a page of guest code at once, when the first of them is wanted.
//
// They become blocks like those made here: with links, inline caches and guest ranges in the engine's tables. Only deferred
// writes stay as they are there until a fault asks for them.

import CHost
import Glibc
import Guest
import X86Backend

extension Engine {
    /// The block at the key, from the cache. Holds the lock.
    func cachedBlock(_ key: BlockKey) -> Int? {
        guard let cache, let group = cache.group(at: key.address, memory), group.tries(key.address), let file = group.file else {
            return nil
        }
        let start = nanoseconds()
        for unit in file.units(of: group.page(of: key.address)) { load(unit, of: file, group, cache) }
        counters.cacheNanoseconds += nanoseconds() - start
        return blockOfKey[key]
    }

    /// Whether the address has a translation, in memory or in the cache, or is to get one now.
    func hasTranslation(_ address: UInt64, _ mode: TranslationMode) -> Bool {
        locked {
            let key = BlockKey(address: address, mode: mode)
            if blockOfKey[key] != nil || cachedBlock(key) != nil { return true }
            return cache?.group(at: address, memory).map { $0.eagerCount > 0 } ?? false
        }
    }

    /// Whether cold code is translated for the sake of later runs. Holds the lock.
    func isWanted(_ address: UInt64) -> Bool { cache?.group(at: address, memory)?.spendEager() ?? false }

    private func load(_ number: Int, of file: CacheFile, _ group: CodeGroup, _ cache: TranslationCache) {
        guard let unit = readyUnit(number, of: file, group, cache) else { return }
        let places = addTables(of: unit, group)
        for stored in unit.blocks {
            let key = key(of: stored, group), index = blocks.count, isNew = blockOfKey[key] == nil
            blocks.append(block(stored, key, of: unit, places))
            blocks[index].isValid = isNew
            guard isNew else { continue }
            noteStored(index)
            counters.cacheHits += 1
        }
        connectTaken(unit, places.firstLink)
    }

    /// A unit that may be put into the code cache as it is; nil when it is damaged, of other code than the guest has, or too
    /// large. The next one takes its place.
    func readyUnit(_ number: Int, of file: CacheFile, _ group: CodeGroup, _ cache: TranslationCache) -> CacheUnit? {
        guard let unit = file.read(number, into: &cache.scratch), unit.isConsistent,
            // Never empties the code cache for it.
            code.byteCount - codeUsed >= Int(unit.header.codeByteCount) + 64 << 10, isProved(unit, group, cache),
            relocate(unit, group)
        else {
            counters.cacheRefusals += 1
            return nil
        }
        counters.cacheBytes += Int(file.unit(number).byteCount)
        return unit
    }

    func key(of stored: StoredBlock, _ group: CodeGroup) -> BlockKey {
        BlockKey(address: group.origin.base &+ UInt64(bitPattern: stored.address), mode: TranslationMode(rawValue: stored.mode))
    }

    // MARK: Guest bytes

    /// Whether the guest has the code that the unit was made of. From here on writes to it are noticed.
    private func isProved(_ unit: CacheUnit, _ group: CodeGroup, _ cache: TranslationCache) -> Bool {
        let mapping = group.origin.range, base = group.origin.base
        var proof = unit.proofBytes, watched = UInt64.max
        // Of the guest's memory `copied` is in the scratch memory: a proof is mostly near the one before.
        var copied: Range<UInt64> = 0 ..< 0
        for range in unit.proofs {
            let start = base &+ UInt64(bitPattern: range.start)
            guard mapping.contains(start), UInt64(range.byteCount) <= mapping.upperBound - start else { return false }
            let end = start + UInt64(range.byteCount)
            for page in (start >> 12) ... (max(start, end &- 1) >> 12) where page != watched {
                watched = page
                let first = max(page << 12, mapping.lowerBound)
                memory.watchCode(first ..< min((page << 12) + 4096, mapping.upperBound))
            }
            if start < copied.lowerBound || end > copied.upperBound {
                let upper = min(max((start | 4095) + 1, end), mapping.upperBound)
                copied = start ..< upper
                let bytes = cache.guestBytes.reserve(Int(upper - start))
                guard copyGuest(start, Int(upper - start), to: bytes) else { return false }
            }
            let bytes = cache.guestBytes.bytes + Int(start - copied.lowerBound)
            guard memcmp(bytes, proof, Int(range.byteCount)) == 0 else { return false }
            proof += Int(range.byteCount)
        }
        return true
    }

    /// Guest code as it is in memory; false when it cannot be read.
    /// - Parameter source: where the code is read, if not in the guest's memory: see `CodeSnapshot`.
    func copyGuest(_ address: UInt64, _ byteCount: Int, from source: CodeSource? = nil, to bytes: UnsafeMutableRawPointer) -> Bool {
        var done = 0
        while done < byteCount {
            let place = address + UInt64(done)
            guard let window = (source ?? memory).codeWindow(at: GuestAddress(place)), window.end > place else { return false }
            let count = Int(min(window.end - place, UInt64(byteCount - done)))
            guard mynah_copy(bytes + done, window.host + Int(place - window.start), count) == 0 else { return false }
            done += count
        }
        return true
    }

    // MARK: Code

    /// Makes the unit's code right for the place where it is about to be, and for where the guest's code is.
    private func relocate(_ unit: CacheUnit, _ group: CodeGroup) -> Bool {
        let bytes = unit.code, count = UInt64(unit.header.codeByteCount), place = UInt32(truncatingIfNeeded: codeUsed)
        let anchor = mynah_helper_anchor(), base = group.origin.base
        let linkNumber = UInt32(truncatingIfNeeded: links.count) << 3, cacheNumber = UInt32(truncatingIfNeeded: caches.count) << 3
        for relocation in unit.relocations {
            let offset = Int(relocation.bits >> StoredRelocation.kindBits)
            guard let kind = Relocation.Kind(rawValue: UInt8(relocation.bits & 7)), UInt64(offset + kind.byteCount) <= count else {
                return false
            }
            let field = bytes + offset
            switch kind {
            case .guestAddress: field.storeBytes(of: field.loadUnaligned(as: UInt64.self) &+ base, as: UInt64.self)
            case .helper: field.storeBytes(of: field.loadUnaligned(as: UInt64.self) &+ anchor, as: UInt64.self)
            case .link: field.storeBytes(of: field.loadUnaligned(as: UInt32.self) &+ linkNumber, as: UInt32.self)
            case .cache: field.storeBytes(of: field.loadUnaligned(as: UInt32.self) &+ cacheNumber, as: UInt32.self)
            case .stub: field.storeBytes(of: field.loadUnaligned(as: UInt32.self) &- place, as: UInt32.self)
            }
        }
        return true
    }

    // MARK: Tables

    /// Where what a unit has went.
    struct UnitPlaces {
        /// Executable address of its code.
        var code: UInt64
        var firstLink: Int
        var firstRange: Int
        var firstPosition: Int
        var firstDeferring: Int
        var firstWrite: Int
    }

    /// Puts the unit's code, and all that its translations refer to, behind what is there.
    func addTables(of unit: CacheUnit, _ group: CodeGroup) -> UnitPlaces {
        let base = group.origin.base
        let start = code.executable + UInt64(codeUsed)
        let places = UnitPlaces(
            code: start, firstLink: links.count, firstRange: codeRanges.count, firstPosition: positions.count,
            firstDeferring: stored.deferringCode.count, firstWrite: stored.deferredWrites.count)
        positions.append(contentsOf: unit.positions)
        stored.deferringCode.append(contentsOf: unit.deferringCode)
        stored.deferredWrites.append(contentsOf: unit.deferredWrites)
        // SAFETY: `readyUnit` has seen that there is room.
        (code.writable + codeUsed).copyMemory(from: unit.code, byteCount: Int(unit.header.codeByteCount))
        codeUsed += (Int(unit.header.codeByteCount) + 15) & ~15
        for link in unit.links {
            links.append(
                LinkSite(
                    field: link.field == StoredLink.noField ? 0 : start + UInt64(link.field), stub: start + UInt64(link.stub),
                    target: base &+ UInt64(bitPattern: link.target), kind: LinkKind(rawValue: link.kind) ?? .jump,
                    isBackward: link.isBackward != 0))
            links[links.count - 1].isReentry = link.isReentry != 0
            linkedTo.append(-1)
            nextIncoming.append(-1)
        }
        for cache in unit.caches {
            caches.append(
                InlineCache(
                    address: base &+ UInt64(bitPattern: cache.address), target: start + UInt64(cache.target),
                    hit: start + UInt64(cache.hit), miss: start + UInt64(cache.miss), lookup: start + UInt64(cache.lookup),
                    cases: Int32(cache.firstCase) ..< Int32(cache.firstCase + cache.caseCount)))
        }
        for range in unit.ranges {
            let lower = base &+ UInt64(bitPattern: range.start)
            codeRanges.append(lower ..< lower &+ UInt64(range.byteCount))
        }
        counters.cacheUnits += 1
        return places
    }

    func block(_ stored: StoredBlock, _ key: BlockKey, of unit: CacheUnit, _ places: UnitPlaces) -> TranslatedBlock {
        func range(_ first: UInt32, _ count: UInt32, from start: Int) -> Range<Int> {
            start + Int(first) ..< start + Int(first + count)
        }
        let entry = places.code + UInt64(stored.code)
        return TranslatedBlock(
            key: key, entry: entry, innerEntry: entry, loopEntry: entry + UInt64(stored.loopEntry),
            byteCount: Int(stored.byteCount), ranges: range(stored.firstRange, stored.rangeCount, from: places.firstRange),
            links: range(stored.firstLink, stored.linkCount, from: places.firstLink),
            positions: range(stored.positions, stored.positionByteCount, from: places.firstPosition),
            deferringCode: range(stored.firstDeferring, stored.deferringCount, from: places.firstDeferring),
            homeList: homeList(of: stored, unit), mayHaveCache: true, isStored: true,
            firstWrite: places.firstWrite + Int(stored.firstWrite))
    }

    /// The block is what runs at its key from now on, until its guest code changes.
    func noteStored(_ index: Int) {
        blockOfKey[blocks[index].key] = index
        for range in codeRanges[blocks[index].ranges] { note(range, of: index) }
    }

    private func homeList(of block: StoredBlock, _ unit: CacheUnit) -> Int {
        if block.homeCount == 0 { return 0 }
        let homes = unit.homes[Int(block.firstHome) ..< Int(block.firstHome + block.homeCount)]
        return homeList(of: homes.map { Home(offset: $0.offset, register: $0.register & 15, isVector: $0.isVector != 0) })
    }

    /// Ways that an earlier run took are open from the start, as far as what they lead to is here.
    func connectTaken(_ unit: CacheUnit, _ firstLink: Int) {
        let stored = unit.links, owners = unit.blocks
        for number in stored.indices where stored[number].isTaken != 0 && stored[number].isReentry == 0 {
            let link = firstLink + number, mode = TranslationMode(rawValue: owners[Int(stored[number].block)].mode)
            if let target = blockOfKey[BlockKey(address: links[link].target, mode: mode)] { connect(link, to: target) }
        }
    }
}

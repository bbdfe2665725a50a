// The engine: translations, who links to whom, and what to drop when guest code changes. One for all CPUs of a guest.
//
// One lock guards translating, linking and dropping; running takes none. A 32-bit displacement is patched with one store
// store, which the processor fetches either before or after. The cache is emptied as a whole when it is full, with every
// CPU kept out of it meanwhile.

import CHost
import Glibc
import Guest
import Host
import IR
import Optimizer
import X86Backend

/// A translation as the lockstep comparison runs it.
struct UnlinkedTranslation {
    var entry: UInt64
    /// Changes when entries become those of other translations.
    var generation: Int
    /// Its guest instructions, in the order in which it executes them.
    var positions: [GuestPosition]
}

package final class Engine: @unchecked Sendable {
    package let isa: GuestISA
    package let memory: GuestMemory
    package let configuration: EngineConfiguration
    package let stubs: CodeStubs
    let emptyJumpTable: UnsafeMutablePointer<JumpTableEntry>
    let code: ExecutableMemory
    var codeUsed: Int
    let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let registerMap: RegisterMap
    let translator: Translator
    private let function = Function()
    private var builder: Builder
    let optimizer: Pipeline
    var blocks: [TranslatedBlock] = []
    /// What runs at an address: a region, or a block translation.
    let blockOfKey = BlockTable()
    /// Block translations that regions took the place of: their links tell which ways are taken.
    var replacedBlocks: [BlockKey: Int] = [:]
    let blocksOfPage = PageTable()
    var codeRanges: [Range<UInt64>] = []
    var links: [LinkSite] = []
    var linkedTo: [Int32] = []
    /// Of the links to the same block, the one before; see `TranslatedBlock.lastIncoming`.
    var nextIncoming: [Int32] = []
    var caches: [InlineCache] = []
    /// See `EncodedPositions`.
    var positions: [UInt8] = []
    /// What home registers hold in translations; the first is what they usually do.
    var homeLists: [[Home]]
    /// What faults ask for as well, of blocks that came from the cache on disk.
    var stored = StoredFaultTables()
    var deferringCode: [DeferringCode] = []
    var deferredWrites: [DeferredWrite] = []
    var cpus: [VirtualCPU] = []
    var isFlushing = false
    var pages = CodePages()
    var counters = EngineStatistics()
    /// Bytes of the code cache that a block translation finds free.
    static let reserve = 64 << 10
    private static let heatPlaces = 1 << 15
    /// Executions of untranslated code, by a hash of its address.
    private var heat = [UInt8](repeating: 0, count: Engine.heatPlaces)
    /// Makes regions while the lock is held.
    private(set) lazy var regions = RegionTranslator(self, for: self, source: memory)
    /// Makes them otherwise; nil when they are made at once.
    private(set) var background: BackgroundTranslation?
    /// Addresses of which no region was made.
    var refusedRegions: Set<BlockKey> = []
    /// Block translations in whose place one that counts runs.
    var uncounted: [BlockKey: Int] = [:]
    /// Samples of transfers back to an address.
    var samples: [BlockKey: Int] = [:]
    /// And of indirect jumps.
    var jumps = JumpProfiles()
    /// Where those came from: starts of block translations, and how many samples.
    var waysBack: [BlockKey: [UInt64: Int]] = [:]
    /// What translations do, when that is counted.
    var counts: ExecutionCounts?
    private let perfMap: PerfMap?
    /// Translations of other runs, and for them; nil unless there is a place on disk for them.
    private(set) var cache: TranslationCache?
    /// Compares what translations do; nil unless that was asked for.
    package internal(set) var lockstep: Lockstep?

    /// - Throws: `HostError` when the host refuses memory for code.
    package init(isa: GuestISA, memory: GuestMemory, configuration: EngineConfiguration = EngineConfiguration()) throws {
        self.isa = isa
        self.memory = memory
        self.configuration = configuration
        code = try ExecutableMemory(byteCount: configuration.codeCacheBytes)
        registerMap = RegisterMap(
            slots: isa.slots.map { SlotLayout(offset: $0.offset, type: $0.type) }, hotIntegers: isa.hotIntegerSlots,
            hotFloats: isa.hotFloatSlots, programCounterOffset: isa.programCounterOffset)
        let helper = unsafeBitCast(VirtualCPU.interpretOneFromCode, to: UInt.self)
        let fill = unsafeBitCast(VirtualCPU.fillBufferFromCode, to: UInt.self)
        let fillRange = unsafeBitCast(VirtualCPU.fillRangeFromCode, to: UInt.self), softBuffer = isa.softMemory.map(Engine.softBuffer)
        stubs = CodeStubs(
            writable: code.writable, executable: code.executable, capacity: 8192, map: registerMap, interpretOneFunction: UInt64(helper),
            softMemory: softBuffer.map { SoftMemoryFunctions(buffer: $0, fillBuffer: UInt64(fill), fillRange: UInt64(fillRange)) })
        codeUsed = stubs.byteCount
        translator = Engine.makeTranslator(registerMap, stubs, configuration, isa)
        homeLists = [translator.usualHomes]
        if configuration.countsExecutions {
            counts = ExecutionCounts()
            translator.counting = CountingWords(VirtualCPU.countingRange(isa))
        }
        builder = Builder(function: function, slotTypes: isa.slots.map(\.type))
        optimizer = Pipeline(options: configuration.optimizations)
        emptyJumpTable = VirtualCPU.makeJumpTable()
        lock = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        perfMap = configuration.writesPerfMap ? PerfMap() : nil
        if let options = configuration.translationCache, configuration.mayCache, isa.softMemory == nil, let identity = cacheIdentity() {
            cache = TranslationCache(options: options, identity: identity)
            translator.recordsRelocations = true
            reserveTables()
        }
        lockstep = configuration.lockstep.map { Lockstep(isa: isa, source: memory, options: $0) }
        mynah_install_fault_handlers()
        if configuration.translatesInBackground { background = BackgroundTranslation(self) }
    }

    deinit { background?.end() }

    /// A translator of code for this engine.
    func makeTranslator() -> Translator { Engine.makeTranslator(registerMap, stubs, configuration, isa) }

    private static func makeTranslator(
        _ map: RegisterMap, _ stubs: CodeStubs, _ configuration: EngineConfiguration, _ isa: GuestISA
    ) -> Translator {
        let translator = Translator(map: map, stubs: stubs, features: configuration.features)
        translator.softBuffer = isa.softMemory.map(Engine.softBuffer)
        translator.defersWrites = configuration.optimizations.contains(.deferredWrites)
        translator.carriesFloats = configuration.optimizations.contains(.regionFloats)
        translator.isSampling = configuration.policy.makesRegions
        translator.countsInstructions = configuration.countsInstructions
        return translator
    }

    /// Tables that many blocks are put into at once: memory that is not used costs nothing, growing does.
    private func reserveTables() {
        let count = 1 << 15
        blocks.reserveCapacity(count)
        links.reserveCapacity(count * 3)
        linkedTo.reserveCapacity(count * 3)
        nextIncoming.reserveCapacity(count * 3)
        codeRanges.reserveCapacity(count * 2)
        caches.reserveCapacity(count / 4)
        positions.reserveCapacity(count * 40)
        stored.deferredWrites.reserveCapacity(count)
        stored.deferringCode.reserveCapacity(count)
    }

    @inline(__always)
    func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    /// The code cache as it is executed.
    var executableRange: Range<UInt64> { code.executable ..< code.executable + UInt64(code.byteCount) }

    // MARK: CPUs

    package func makeCPU() -> VirtualCPU {
        let cpu = VirtualCPU(engine: self)
        locked { cpus.append(cpu) }
        return cpu
    }

    func remove(_ cpu: VirtualCPU) {
        locked {
            counters.add(cpu)
            retireCounts(of: cpu)
            cpus.removeAll { $0 === cpu }
        }
    }

    // MARK: Forking

    /// Before a fork: no other thread is in the middle of a change.
    package func prepareForFork() {
        pthread_mutex_lock(lock)
        background?.holdStill()
    }

    package func parentAfterFork() {
        background?.goOn()
        pthread_mutex_unlock(lock)
    }

    /// In the child: one CPU is left, and the code cache becomes the child's own.
    /// - Throws: `HostError` when there is no memory for it.
    package func childAfterFork(keeping cpu: VirtualCPU) throws {
        pthread_mutex_init(lock, nil)
        background?.childAfterFork()
        cpus = [cpu]
        isFlushing = false
        cache?.dropPending()
        try code.becomePrivate(usedByteCount: codeUsed)
    }

    // MARK: Threads of its own

    /// The host's number of the thread that makes regions, when this process has one.
    package var ownThreadID: Int32? { background?.ownThreadID }
    /// Ends that thread until it is needed again.
    package func endOwnThread() { background?.end() }
    /// Waits until all regions that were asked for are made.
    package func finishRegions() { background?.finish() }

    // MARK: Finding and making translations

    /// Changes when the code cache is emptied: numbers of links and caches mean something within one generation only.
    var generation: Int { counters.flushes }
    /// The same, read before anything that follows. What a CPU finds in tables without the lock may be gone when it gets there: it enters
    /// what it found only in the generation from before the search.
    var generationBeforeLookup: Int {
        let result = counters.flushes
        mynah_keep_order()
        return result
    }

    /// For a CPU that counts as being in the code cache: whoever empties it holds the lock and waits, and changes nothing.
    @inline(__always)
    private func lockedInCode<Result>(_ body: () -> Result) -> Result {
        while pthread_mutex_trylock(lock) != 0 {
            if isFlushing { return body() }
            sched_yield()
        }
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    /// The translation that an executable address is in. Holds the lock.
    func blockIndex(ofHost address: UInt64) -> Int {
        var low = 0, high = blocks.count
        while low < high {
            let middle = (low + high) / 2
            if blocks[middle].entry <= address { low = middle + 1 } else { high = middle }
        }
        precondition(low > 0, "outside of all translations")
        return low - 1
    }

    /// For a CPU that counts as being in the code cache.
    func target(ofLink link: Int) -> UInt64 { lockedInCode { links[link].target } }

    /// For the same: the target of the direct call at an executable address; nil for an indirect one.
    func target(ofCall address: UInt64) -> UInt64? {
        lockedInCode {
            let block = blocks[blockIndex(ofHost: address)]
            return links[block.firstLink ..< block.firstLink + block.linkCount].first { $0.kind == .call && $0.field == address + 1 }?.target
        }
    }

    /// Code for a guest address, made now if there is none; patches `link` (when not negative) to go there, and fills `tableEntry`: both
    /// with the lock, as whoever drops the code takes it out of the tables only once.
    /// - Returns: nil when the address is not to be translated.
    func codeAddress(
        _ address: UInt64, _ mode: TranslationMode, page: UInt32 = 0, secondPage: UInt32 = 0, link: Int, _ generation: Int,
        tableEntry: UnsafeMutablePointer<JumpTableEntry>? = nil
    ) -> UInt64? {
        locked {
            counters.linkExits += link >= 0 ? 1 : 0
            counters.indirectMisses += link < 0 ? 1 : 0
            var key = BlockKey(address: address, mode: mode, page: page, secondPage: secondPage)
            if link >= 0, generation == counters.flushes, links[link].isSplit { key.mode = mode.split }
            let known = blockOfKey[key] ?? cachedBlock(key)
            if known == nil, isCold(address), !isWanted(address) { return nil }
            guard let index = known ?? translate(key, configuration.limits) else { return nil }
            if link >= 0, generation == counters.flushes { connect(link, to: index) }
            if let tableEntry {
                tableEntry.pointee.host = blocks[index].entry
                tableEntry.pointee.guest = address
            }
            return blocks[index].entry
        }
    }

    /// The translation of an address, which nothing is linked to: made now if there is none, or if there are `limits` for it.
    /// - Returns: nil when the address is not to be translated.
    func unlinkedTranslation(_ address: UInt64, _ mode: TranslationMode, limits: LiftLimits? = nil) -> UnlinkedTranslation? {
        locked {
            let key = BlockKey(address: address, mode: mode)
            let known = limits == nil ? blockOfKey[key] : nil
            guard let index = known ?? translate(key, limits ?? configuration.limits) else { return nil }
            return UnlinkedTranslation(
                entry: blocks[index].entry, generation: counters.flushes,
                positions: EncodedPositions.all(in: positions[blocks[index].positions], of: address))
        }
    }

    /// Counts the execution of untranslated code; true while it has run too seldom to be worth a translation. Holds the lock.
    private func isCold(_ address: UInt64) -> Bool {
        guard configuration.policy == .auto else { return false }
        let place = Int(truncatingIfNeeded: address >> 1) & (Engine.heatPlaces - 1)
        guard heat[place] < configuration.visitThreshold else { return false }
        heat[place] += 1
        return true
    }

    /// The interpreter has executed the code at the address often: from now on it is translated.
    func noteHot(_ address: UInt64) {
        locked { heat[Int(truncatingIfNeeded: address >> 1) & (Engine.heatPlaces - 1)] = .max }
    }

    func connect(_ link: Int, to index: Int) {
        guard linkedTo[link] < 0, links[link].field != 0 else { return }
        direct(link, to: index)
        counters.links += 1
    }

    /// Patches a link that leads nowhere, and notes it as one of the block's.
    func direct(_ link: Int, to index: Int) {
        patch(links[link].field, toJumpTo: entry(of: index, for: link))
        linkedTo[link] = Int32(index)
        nextIncoming[link] = blocks[index].lastIncoming
        blocks[index].lastIncoming = Int32(link)
    }

    /// The links to the block, which are none of its links any more.
    func takeIncoming(of index: Int) -> [Int] {
        var result: [Int] = [], link = blocks[index].lastIncoming
        while link >= 0 {
            result.append(Int(link))
            link = nextIncoming[Int(link)]
        }
        blocks[index].lastIncoming = -1
        return result
    }

    /// The inline caches that lead to the block, which are none of its caches any more.
    func takeIncomingCaches(of index: Int) -> [Int] {
        var result: [Int] = [], cache = blocks[index].lastIncomingCache
        while cache >= 0 {
            result.append(Int(cache))
            cache = caches[Int(cache)].nextIncoming
        }
        blocks[index].lastIncomingCache = -1
        return result
    }

    /// Lets the inline cache lead to the code of its first target.
    /// - Returns: false when it has had one.
    func fill(
        cache number: Int, _ address: UInt64, _ mode: TranslationMode, page: UInt32 = 0, secondPage: UInt32 = 0, _ generation: Int
    ) -> Bool {
        locked {
            guard generation == counters.flushes, let index = blockOfKey[BlockKey(address: address, mode: mode, page: page, secondPage: secondPage)]
            else { return true }
            let cache = caches[number]
            // Two CPUs may miss at once, with different targets.
            if cache.isUsed { return false }
            caches[number].isUsed = true
            // A hit does not poll for interrupts: only forwards, so that no loop consists of hits.
            if address > cache.address {
                patch(cache.hit, toJumpTo: blocks[index].entry)
                setTarget(of: cache, address)
                caches[number].filled = address
                caches[number].nextIncoming = blocks[index].lastIncomingCache
                blocks[index].lastIncomingCache = Int32(number)
                counters.cachesFilled += 1
            }
            patch(cache.miss, toJumpTo: cache.lookup)
            return true
        }
    }

    func setTarget(of cache: InlineCache, _ target: UInt64) {
        // SAFETY: aligned to eight and inside the cache: one store. Whoever sees it sees the jump behind it, which was made before.
        (code.writable + Int(cache.target &- code.executable)).storeBytes(of: target, as: UInt64.self)
    }

    func entry(of index: Int, for link: Int) -> UInt64 {
        if links[link].isChecked { return blocks[index].entry }
        return links[link].isBackward ? blocks[index].loopEntry : blocks[index].innerEntry
    }

    func patch(_ field: UInt64, toJumpTo target: UInt64) {
        let distance = Int32(truncatingIfNeeded: Int64(bitPattern: target &- (field &+ 4)))
        let place = code.writable + Int(field &- code.executable)
        // SAFETY: `field` is inside the cache and within an aligned quadword: one store, seen whole by other threads' instruction fetch.
        place.storeBytes(of: distance, as: Int32.self)
    }

    func translate(_ key: BlockKey, _ wantedLimits: LiftLimits) -> Int? {
        guard counters.translations < configuration.translationLimit else { return nil }
        var limits = wantedLimits
        limits.crossesPage = key.secondPage != 0
        while true {
            let start = time(), version = memory.codeVersion
            function.reset(entry: key.address)
            limits.predicates = !configuration.countsInstructions
            let lifted = isa.lift(at: GuestAddress(key.address), mode: key.mode, source: memory, limits: limits, into: &builder)
            let liftEnd = time()
            let liftedText = configuration.observer == nil ? "" : text(of: function)
            optimizer.optimize(function)
            if isa.softMemory != nil, !key.mode.isSplit { optimizer.groupAccesses(function) }
            if let pass = configuration.lastPass { optimizer.run(pass, function) }
            let optimizeEnd = time()
            if code.byteCount - codeUsed < Engine.reserve, codeUsed > stubs.byteCount {
                flush()
                // Whoever wrote to code meanwhile left it to the emptying to drop its translations: what was lifted may be old.
                continue
            }
            translator.firstLink = links.count
            translator.firstCache = caches.count
            translator.codePage = key.page
            translator.secondCodePage = key.secondPage
            translator.looksAtRanges = configuration.looksAtRangesInBlocks && isa.hasRanges(key.mode)
            translator.leavesOnReturn = key.mode.isSplit
            defer { translator.leavesOnReturn = false }
            let translation = translator.translate(
                function, writable: code.writable + codeUsed, executable: code.executable + UInt64(codeUsed),
                capacity: code.byteCount - codeUsed)
            guard let translation else {
                // Too many values at once: less code at a time always fits.
                precondition(limits.instructions > 1, "an instruction needs more spill slots than there are")
                limits.instructions = max(1, limits.instructions / 4)
                continue
            }
            let emitEnd = time()
            let index = install(key, lifted.ranges, lifted.instructionCount, translation)
            if translator.executionsOffset == nil { keepForCache(index, lifted.ranges, lifted.instructionCount, translation, version) }
            if counts != nil { noteCounted(index, translation, plan: [SuperblockPlan(address: key.address)], by: translator) }
            counters.blockStages.lift += liftEnd - start
            counters.blockStages.optimize += optimizeEnd - liftEnd
            counters.blockStages.emit += emitEnd - optimizeEnd
            counters.blockStages.install += time() - emitEnd
            if configuration.observer != nil { report(key, liftedText, text(of: function), translation) }
            return index
        }
    }

    func text(of function: Function) -> String { Printer(slotNames: isa.slots.map(\.name)).text(of: function) }

    func nanoseconds() -> UInt64 { Engine.nanoseconds() }

    /// Nanoseconds where somebody wants to know them.
    @inline(__always)
    private func time() -> UInt64 { configuration.takesTimes ? Engine.nanoseconds() : 0 }

    static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    func install(
        _ key: BlockKey, _ ranges: [Range<UInt64>], _ instructionCount: Int, _ translation: Translation
    ) -> Int {
        let index = blocks.count, firstPosition = positions.count
        EncodedPositions.append(translation.positions, of: key.address, to: &positions)
        blocks.append(
            TranslatedBlock(
                key: key, entry: translation.entry, innerEntry: translation.innerEntry, loopEntry: translation.loopEntry,
                byteCount: translation.byteCount, ranges: codeRanges.count ..< codeRanges.count + ranges.count,
                links: links.count ..< links.count + translation.links.count, positions: firstPosition ..< positions.count,
                deferringCode: deferringCode.count ..< deferringCode.count + translation.deferringCode.count,
                homeList: translation.hasUsualHomes ? 0 : homeList(of: translation.homes),
                mayHaveCache: !translation.caches.isEmpty))
        blockOfKey[key] = index
        for code in translation.deferringCode {
            let first = deferredWrites.count
            deferringCode.append(
                DeferringCode(code: code.code, writes: code.writes.lowerBound + first ..< code.writes.upperBound + first))
        }
        if !translation.deferredWrites.isEmpty { deferredWrites += translation.deferredWrites }
        links += translation.links
        if !translation.caches.isEmpty { caches += translation.caches }
        for _ in translation.links {
            linkedTo.append(-1)
            nextIncoming.append(-1)
        }
        codeRanges += ranges
        if key.page != 0 {
            blocksOfPage.add(index, to: pages.host(key.page) >> 12)
            if key.secondPage != 0 { blocksOfPage.add(index, to: pages.host(key.secondPage) >> 12) }
        } else {
            for range in ranges { note(range, of: index) }
        }
        codeUsed += (translation.byteCount + 15) & ~15
        counters.translations += 1
        counters.guestInstructionsTranslated += instructionCount
        counters.hostBytes += translation.byteCount
        perfMap?.add(translation.entry, translation.byteCount, key.address)
        return index
    }

    /// A number for what home registers hold in a translation.
    func homeList(of homes: [Home]) -> Int {
        homeLists.append(homes)
        return homeLists.count - 1
    }

    /// The block depends on the range of guest code.
    @inline(__always)
    func note(_ range: Range<UInt64>, of index: Int) {
        guard !range.isEmpty else { return }
        for page in (range.lowerBound >> 12) ... ((range.upperBound &- 1) >> 12) { blocksOfPage.add(index, to: page) }
    }

    func report(_ key: BlockKey, _ liftedText: String, _ optimizedText: String, _ translation: Translation) {
        var guest: [DisassembledInstruction] = []
        for position in translation.positions {
            guard let window = memory.codeWindow(at: GuestAddress(position.address)) else { continue }
            guest.append(isa.disassemble(at: position.address, in: window))
        }
        let offset = Int(translation.entry - code.executable)
        let bytes = UnsafeRawBufferPointer(start: code.writable + offset, count: translation.byteCount)
        configuration.observer?(
            TranslationReport(
                entry: key.address, guest: guest, lifted: liftedText, optimized: optimizedText, host: Array(bytes),
                hostAddress: translation.entry, positions: translation.positions.map { (Int($0.codeOffset), $0.address) }))
    }

    // MARK: Faults

    /// The guest instruction that a place in the code belongs to, what the home registers hold there, and what they lack. For a CPU that
    /// counts as being in the code cache.
    func guestPosition(ofHost address: UInt64) -> (guest: GuestPosition, homes: [Home], deferred: ArraySlice<DeferredWrite>) {
        lockedInCode {
            counters.faults += 1
            let block = blocks[blockIndex(ofHost: address)], offset = UInt32(truncatingIfNeeded: address - block.entry)
            let position = EncodedPositions.last(in: positions[block.positions], of: block.key.address, upTo: offset)
            let homes = homeLists[Int(block.homeList)]
            if block.isStored { return (position, homes, stored.deferredWrites(of: block, at: offset)) }
            let code = deferringCode[block.deferringCode].first { $0.code.contains(offset) }
            return (position, homes, deferredWrites[code?.writes ?? 0 ..< 0])
        }
    }

    // MARK: Statistics

    package var statistics: EngineStatistics {
        locked {
            var result = counters
            for cpu in cpus { result.add(cpu) }
            return result
        }
    }
}

// Regions that another engine made and wrote, for code at another address: what the guest sees is what the interpreter does.

import CHost
import Glibc
import Guest
import GuestRISCV
import Synchronization
import Testing

@testable import Engine

@Suite struct CachedRegionTests {
    typealias Change = (inout EngineConfiguration) -> Void

    static let configurations: [(String, Change)] = [
        ("regions", { _ in }), ("unoptimised", { $0.optimizations = [] }), ("plain processor", { $0.features = [] }),
        ("older processor", { $0.features.subtract([.avx2, .fma]) }),
    ]

    private static func regions(_ change: @escaping Change = { _ in }) -> Change {
        {
            $0.policy = .region
            $0.samplePeriod = 1
            $0.regionSamples = 1
            change(&$0)
        }
    }

    /// Random programs with the regions of an engine at another address.
    @Test(arguments: configurations.indices) func programsRunWithTheRegionsOfOthers(_ number: Int) {
        let (name, change) = Self.configurations[number]
        let home = GuestArena(), abroad = GuestArena(), folder = CacheFolder()
        let reference = EngineExecutor("interpreter", abroad) { $0.policy = .interpreter }
        let writer = folder.engine(home, Self.regions(change)), reader = folder.engine(abroad, Self.regions(change))
        var inode: UInt64 = 0
        for kind in ProgramKind.allCases {
            let before = reader.engine.statistics.cacheRegions
            for seed in 1000 ..< 1080 as Range<UInt64> {
                let program = kind.program(seed: seed)
                inode += 1
                home.inode = inode
                abroad.inode = inode
                _ = writer.run(program, home)
                writer.engine.saveTranslations()
                let expected = reference.run(program, abroad), actual = reader.run(program, abroad)
                #expect(actual == expected, "\(name), \(kind.rawValue) \(seed): \(actual.differences(from: expected))")
            }
            let loaded = reader.engine.statistics.cacheRegions - before
            // Straight code has no loops, code that changes leaves little to keep, and faults end most calls early.
            if kind == .straight || kind == .changing { continue }
            let leavesLittle = [.callChanges, .callFaults, .switchChanges].contains(kind)
            #expect(loaded > (leavesLittle ? 8 : 40), "\(name), \(kind.rawValue): \(loaded)")
        }
    }

    // MARK: One loop

    /// Runs a program from the folder; expects that it does what the interpreter does.
    @discardableResult
    private func run(
        _ folder: CacheFolder, _ start: GuestProgram? = nil, saving: Bool = false, arena: GuestArena = GuestArena(),
        comment: String = "", change: @escaping Change = regions(), location: SourceLocation = #_sourceLocation
    ) -> EngineStatistics {
        arena.inode = 1
        let start = start ?? threeLoops(), reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        let engine = folder.engine(arena, change)
        let expected = reference.run(start, arena), actual = engine.run(start, arena)
        #expect(actual == expected, "\(comment): \(actual.differences(from: expected))", sourceLocation: location)
        if saving { engine.engine.saveTranslations() }
        return engine.engine.statistics
    }

    @Test func whatIsThereIsNotMadeAgain() {
        let folder = CacheFolder()
        let first = run(folder, saving: true)
        #expect(first.regions > 0 && first.cacheRegions == 0 && first.cacheRegionsSaved == first.regions)
        #expect(run(folder, saving: true).cacheRegions == first.cacheRegionsSaved)
        // Ways that were not seen before the first region was made are in it then.
        run(folder, saving: true)
        for _ in 0 ..< 2 {
            let later = run(folder, saving: true)
            #expect(later.regions == 0 && later.translations <= 1, "\(later)")
            #expect(later.cacheRegions >= first.cacheRegionsSaved && later.cacheRegionsSaved == 0, "\(later)")
            #expect(later.cacheRefusals == 0)
        }
    }

    @Test func coldLoopsTakeNoRegion() {
        let folder = CacheFolder()
        run(folder, saving: true)
        let later = run(folder) {
            $0.policy = .region
            $0.samplePeriod = 1 << 20
        }
        #expect(later.cacheRegions == 0 && later.cacheHits > 0)
    }

    @Test func otherTranslatorsHaveRegionsOfTheirOwn() {
        let folder = CacheFolder()
        run(folder, saving: true)
        for change in [{ $0.features = [] }, { $0.optimizations = [] }, { $0.limits.instructions = 3 }] as [Change] {
            #expect(run(folder, change: Self.regions(change)).cacheRegions == 0)
        }
        #expect(run(folder) { $0.policy = .block }.cacheRegions == 0)
        #expect(run(folder).cacheRegions > 0)
    }

    /// Twelve times two loops: x25 times one with x24 iterations.
    private func pairs(outer: UInt64, inner: UInt64) -> GuestProgram {
        var list = ItemList()
        for _ in 0 ..< 12 {
            list.words(Encode.addi(21, 25, 0))
            let top = list.here
            // csrwi frm, 0: leaves to the interpreter, so that there is no region of the outer loop.
            list.words(Encode.immediate(0x73, 5, 0, 0, 2), Encode.addi(20, 24, 0))
            let loop = list.here
            list.words(Encode.addi(23, 23, 1), Encode.addi(20, 20, -1))
            list.branch(1, 20, 0, to: loop)
            list.words(Encode.addi(21, 21, -1))
            list.branch(1, 21, 0, to: top)
        }
        return list.program([25: outer, 24: inner])
    }

    /// A loop of which no region was made is not looked at so soon again, but it is when it runs long.
    @Test func refusalsAreKnown() {
        let folder = CacheFolder()
        let change: Change = {
            $0.policy = .region
            $0.samplePeriod = 16
            $0.longestSamplePeriods = 32
            $0.regionSamples = 2
        }
        for _ in 0 ..< 3 { run(folder, pairs(outer: 60, inner: 3), saving: true, change: change) }
        let short = run(folder, pairs(outer: 60, inner: 3), change: change)
        let ignorant = run(CacheFolder(), pairs(outer: 60, inner: 3), change: change)
        #expect(short.probes < ignorant.probes, "\(short.probes), \(ignorant.probes)")
        let long = run(folder, pairs(outer: 60, inner: 3000), change: change)
        #expect(long.regions + long.cacheRegions > short.regions + short.cacheRegions, "\(long)")
    }

    // MARK: Other ways

    /// A loop of two ways, of which x18 says which is taken.
    private func fork(_ way: UInt64) -> GuestProgram {
        var list = ItemList()
        let loop = list.here
        list.words(Encode.addi(20, 20, 1), Encode.add(22, 22, 20))
        let other = list.branch(1, 18, 0)
        list.words(Encode.mul(23, 22, 20), Encode.mul(24, 23, 23), Encode.add(25, 25, 24))
        list.words(Encode.mul(26, 25, 20), Encode.add(27, 27, 26))
        let end = list.branch(0, 0, 0)
        list.land(other)
        list.words(Encode.mul(23, 22, 22), Encode.mul(28, 23, 20), Encode.add(29, 29, 28))
        list.words(Encode.mul(26, 29, 20), Encode.add(16, 16, 26))
        list.branch(4, 20, 21, to: loop)
        let behind = list.branch(0, 0, 0)
        list.land(end)
        list.branch(4, 20, 21, to: loop)
        list.land(behind)
        return list.program([18: way, 21: 500])
    }

    /// A region that lacks the way that this run goes is made anew, and has both from then on.
    @Test func regionsGetTheWaysThatLaterRunsTake() {
        let folder = CacheFolder()
        let first = run(folder, fork(0), saving: true)
        #expect(first.cacheRegionsSaved > 0)
        let second = run(folder, fork(1), saving: true)
        #expect(second.cacheRegions > 0 && second.cacheRegionsRenewed == 1 && second.cacheRegionsSaved == 1, "\(second)")
        for way in [0, 1, 0] as [UInt64] {
            let later = run(folder, fork(way), saving: true)
            #expect(later.cacheRegions > 0 && later.regions == 0 && later.cacheRegionsSaved == 0, "\(way): \(later)")
        }
    }

    // MARK: Code that changes

    /// A loop in two pages; the second has an addition of `step`.
    private func acrossPages(_ step: Int32) -> GuestProgram {
        var list = ItemList()
        list.jump(to: 2)
        list.gap(2000)
        let loop = list.here
        list.words(Encode.addi(20, 20, 1), Encode.add(22, 22, 20), Encode.mul(23, 22, 20))
        let over = list.here
        list.jump(to: over + 2)
        list.gap(3000)
        list.words(Encode.addi(24, 24, step), Encode.add(25, 25, 24))
        list.branch(4, 20, 21, to: loop)
        return list.program([21: 300])
    }

    @Test func everyPageOfARegionIsCompared() {
        let folder = CacheFolder(), arena = GuestArena()
        #expect(run(folder, acrossPages(3), saving: true, arena: arena).cacheRegionsSaved == 1)
        #expect(run(folder, acrossPages(3)).cacheRegions == 1)
        let other = run(folder, acrossPages(4), comment: "the second page is another")
        #expect(other.cacheRegions == 0 && other.cacheRefusals > 0 && other.regions > 0)
        #expect(run(folder, acrossPages(3), arena: arena).cacheRegions == 1)
    }

    /// In the iteration that x15 says, an instruction of the loop becomes another one.
    @Test func loopsThatChangeThemselvesDropLoadedRegions() {
        let folder = CacheFolder()
        let list = nestedLoops {
            $0.words(Encode.register(0, 32, 5, 23, 15))  // sub x5, x23, x15
            let over = $0.branch(1, 5, 0)
            $0.patch($0.here + 1, Encode.addi(6, 6, 100))
            $0.land(over)
            $0.words(Encode.addi(6, 6, 1))
        }
        #expect(run(folder, list.program([15: 1000, 19: 7, 25: 3]), saving: true).cacheRegionsSaved > 0)
        for iteration in [20, 60, 61, 90] as [UInt64] {
            let result = run(folder, list.program([15: iteration, 19: 7, 25: 3]), saving: true, comment: "\(iteration)")
            #expect(result.cacheRegions > 0 && result.invalidations > 0, "\(iteration): \(result)")
        }
    }

    /// A CPU in a loaded region comes out when another thread changes its code.
    @Test func otherCPUsLeaveLoadedRegions() {
        func counting(to end: UInt64) -> GuestProgram {
            program([Encode.addi(20, 20, 1), Encode.addi(23, 23, 1), Encode.branch(1, 20, 21, -8)], [21: end])
        }
        let folder = CacheFolder()
        #expect(run(folder, counting(to: 1000), saving: true).cacheRegionsSaved == 1)
        let arena = GuestArena()
        arena.inode = 1
        let executor = folder.engine(arena, Self.regions()), state = RISCVState(executor.cpu.state)
        counting(to: 0).load(into: arena, state)
        let running = RunningCPUs([executor.cpu])
        for _ in 0 ..< 120_000 where executor.engine.statistics.cacheRegions == 0 { usleep(1000) }
        #expect(executor.engine.statistics.cacheRegions == 1)
        usleep(5000)
        _ = arena.releaseWatch(at: arena.start)
        arena.host(arena.start).storeBytes(of: 0x0010_0073, as: UInt32.self)
        executor.engine.invalidate(arena.start ..< arena.start + 4)
        #expect(running.finish() == [.breakpoint])
        #expect(state.programCounter == arena.start && state[20] == state[23] && state[20] > 2)
    }

    // MARK: Threads

    /// Several CPUs take regions from the cache, and run in them, at the same time.
    @Test func cpusShareLoadedRegions() {
        let folder = CacheFolder(), start = threeLoops(outer: 800)
        run(folder, start, saving: true)
        for _ in 0 ..< 20 {
            let arena = GuestArena()
            arena.inode = 1
            let executor = folder.engine(arena, Self.regions()), others = (0 ..< 3).map { _ in executor.engine.makeCPU() }
            let cpus = [executor.cpu] + others
            defer { others.forEach { $0.destroy() } }
            start.load(into: arena, RISCVState(executor.cpu.state))
            for (number, cpu) in others.enumerated() {
                let state = RISCVState(cpu.state)
                for (index, word) in start.words.enumerated() { state[index] = word }
                state[25] = UInt64(number) * 5
                state.programCounter = arena.start
            }
            #expect(RunningCPUs(cpus).finish() == cpus.map { _ in .breakpoint })
            #expect(executor.engine.statistics.cacheRegions > 0)
            for cpu in cpus {
                let state = RISCVState(cpu.state)
                #expect(state[23] == 800 * 9 && state[22] == 800 * 3 && state[21] == 0)
            }
        }
    }

    @Test func manyMayWriteAtOnce() async {
        let folder = CacheFolder()
        await withTaskGroup(of: Void.self) { group in
            for seed in 0 ..< 6 as Range<UInt64> {
                group.addTask {
                    let arena = GuestArena()
                    for round in 0 ..< 6 as Range<UInt64> {
                        arena.inode = 1 + round & 1
                        let start = ProgramKind.vectors.program(seed: (seed + round) % 4)
                        let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
                        let engine = folder.engine(arena, Self.regions())
                        let expected = reference.run(start, arena), actual = engine.run(start, arena)
                        #expect(actual == expected, "\(actual.differences(from: expected))")
                        engine.engine.saveTranslations()
                    }
                }
            }
        }
        #expect(folder.names.contains { $0.hasSuffix(CacheContent.regions.suffix) })
        for name in folder.names { #expect(CacheDirectory(path: folder.path).verify(name) != nil) }
    }

    // MARK: Files

    /// The table says that the unit is of another loop than it is.
    @Test func regionsOfOtherLoopsAreRefused() {
        let folder = CacheFolder()
        run(folder, saving: true)
        var bytes = folder.bytes(.regions)
        bytes.withUnsafeMutableBytes { buffer in
            let header = buffer.loadUnaligned(as: CacheFileHeader.self)
            let places = (0 ..< Int(header.unitCount)).map { CacheFileHeader.byteCount + $0 * MemoryLayout<CacheFileUnit>.stride }
            let units = places.map { buffer.loadUnaligned(fromByteOffset: $0, as: CacheFileUnit.self) }
            #expect(units.count > 1)
            for (place, (unit, other)) in zip(places, zip(units, units.dropFirst() + units.prefix(1))) {
                var changed = unit
                changed.address = other.address
                buffer.storeBytes(of: changed, toByteOffset: place, as: CacheFileUnit.self)
            }
            buffer.correctDigests(ofUnit: 0)
        }
        folder.replace(.regions, bytes)
        #expect(run(folder).cacheRegions == 0)
    }

    @Test func filesStayBelowTheirLimit() {
        let folder = CacheFolder()
        run(folder, saving: true)
        let whole = folder.bytes(.regions).count
        for limit in [whole / 2, 100] {
            let small = CacheFolder()
            let result = run(small, saving: true) {
                Self.regions()(&$0)
                $0.translationCache = TranslationCacheOptions(directory: small.path)
                $0.translationCache?.regionByteLimit = limit
            }
            #expect(result.regions > 0 && small.bytes(.regions).count <= limit + 1024, "\(limit)")
            run(small, saving: true)
        }
    }
}

/// Runs CPUs on threads of their own until something else than an interrupt happens.
private final class RunningCPUs: @unchecked Sendable {
    private let cpus: [VirtualCPU]
    private let exits: Mutex<[CPUExit]>
    private var threads: [TestThread] = []

    init(_ cpus: [VirtualCPU]) {
        self.cpus = cpus
        exits = Mutex(cpus.map { _ in .interrupted })
        threads = cpus.indices.map { number in TestThread { self.run(number) } }
    }

    private func run(_ number: Int) {
        var exit = CPUExit.interrupted
        Watchdog.shared.run(cpus[number]) {
            exit = cpus[number].run()
            return exit != .interrupted
        }
        mynah_set_current_cpu(nil)
        exits.withLock { $0[number] = exit }
    }

    /// How they ended; `interrupted` where that took too long.
    func finish() -> [CPUExit] {
        threads.forEach { $0.join() }
        return exits.withLock { $0 }
    }
}

// Translations that another engine wrote, for code at another address: what the guest sees is what the interpreter does.

import CHost
import Glibc
import Guest
import GuestRISCV
import Host
import Optimizer
import Testing
import X86Backend

@testable import Engine

@Suite struct TranslationCacheTests {
    typealias Change = (inout EngineConfiguration) -> Void

    static let regions: Change = {
        $0.policy = .region
        $0.samplePeriod = 1
        $0.regionSamples = 1
    }
    static let configurations: [(String, Change)] = [
        ("blocks", { _ in }), ("unoptimised", { $0.optimizations = [] }), ("plain processor", { $0.features = [] }),
        ("short", { $0.limits.instructions = 4 }), ("regions", regions), ("auto", { $0.policy = .auto }),
    ]

    /// Random programs from what an engine at another address wrote.
    @Test(arguments: configurations.indices) func programsRunFromTheCacheOfOthers(_ number: Int) {
        let (name, change) = Self.configurations[number]
        let home = GuestArena(), abroad = GuestArena(), folder = CacheFolder()
        let reference = EngineExecutor("interpreter", abroad) { $0.policy = .interpreter }
        let writer = folder.engine(home, change), reader = folder.engine(abroad, change)
        var inode: UInt64 = 0
        for kind in ProgramKind.allCases {
            for seed in 0 ..< 60 as Range<UInt64> {
                let program = kind.program(seed: seed)
                inode += 1
                home.inode = inode
                abroad.inode = inode
                _ = writer.run(program, home)
                writer.engine.saveTranslations()
                let expected = reference.run(program, abroad), actual = reader.run(program, abroad)
                #expect(actual == expected, "\(name), \(kind.rawValue) \(seed): \(actual.differences(from: expected))")
            }
        }
        let counts = reader.engine.statistics
        #expect(counts.cacheHits > 200 && writer.engine.statistics.cacheSaved > 200, "\(name): \(counts.cacheHits)")
        if number < 4 {
            #expect(counts.cacheHits > counts.cacheMisses, "\(name): \(counts.cacheHits), \(counts.cacheMisses) missed")
        }
    }

    /// Addresses of the code in comparisons, whose code is moved to align the jump behind it; and deferred, for exits.
    @Test(arguments: configurations.indices) func comparisonsHaveTheAddressesOfWhereTheyAre(_ number: Int) {
        let (name, change) = Self.configurations[number]
        let home = GuestArena(), abroad = GuestArena(), folder = CacheFolder()
        let reference = EngineExecutor("interpreter", abroad) { $0.policy = .interpreter }
        let writer = folder.engine(home, change), reader = folder.engine(abroad, change)
        func auipc(_ rd: UInt32, _ pages: UInt32 = 0) -> UInt32 { 0x17 | rd << 7 | pages << 12 }
        var inode: UInt64 = 0
        for register in 5 ..< 31 as Range<UInt32> {
            for count in 0 ..< 5 {
                var list = ItemList()
                for function in [0, 1, 4, 5, 6, 7] as [UInt32] {
                    list.words(auipc(register))
                    for step in 0 ..< count { list.words(Encode.addi(1, 1, Int32(step * 300))) }
                    list.words(auipc(register + 1, function & 2))
                    let over = list.branch(function, register, register + 1)
                    for _ in 0 ..< 8 { list.words(Encode.mul(2, 2, 1), Encode.addi(2, 2, 77)) }
                    list.land(over)
                    list.words(auipc(4), Encode.addi(4, 4, 16), Encode.add(3, 3, 4))
                    let again = list.branch(function, 4, 2)
                    for _ in 0 ..< 8 { list.words(Encode.mul(2, 2, 1), Encode.addi(2, 2, 78)) }
                    list.land(again)
                    list.words(Encode.addi(register, 0, 3), Encode.addi(register + 1, 0, 4), Encode.addi(4, 0, 5))
                }
                let code = list.program([1: 3, 2: 5])
                inode += 1
                home.inode = inode
                abroad.inode = inode
                _ = writer.run(code, home)
                writer.engine.saveTranslations()
                let expected = reference.run(code, abroad), actual = reader.run(code, abroad)
                #expect(actual == expected, "\(name), x\(register), \(count): \(actual.differences(from: expected))")
            }
        }
        if number < 4 { #expect(reader.engine.statistics.cacheHits > 500, "\(name): \(reader.engine.statistics.cacheHits)") }
    }

    private static let loop = nestedLoops()

    private func sample() -> GuestProgram {
        var program = program([])
        program.items = Self.loop.items
        return program
    }

    /// Runs the sample from the folder; expects that it does what the interpreter does.
    @discardableResult
    private func run(
        _ folder: CacheFolder, saving: Bool = false, _ comment: String = "", change: @escaping Change = { _ in },
        location: SourceLocation = #_sourceLocation
    ) -> EngineStatistics {
        let arena = GuestArena()
        arena.inode = 1
        let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        let engine = folder.engine(arena, change)
        let expected = reference.run(sample(), arena), actual = engine.run(sample(), arena)
        #expect(actual == expected, "\(comment): \(actual.differences(from: expected))", sourceLocation: location)
        if saving { engine.engine.saveTranslations() }
        return engine.engine.statistics
    }

    @Test func whatIsThereIsNotMadeAgain() {
        let folder = CacheFolder()
        let first = run(folder, saving: true)
        #expect(first.cacheHits == 0 && first.cacheSaved > 0 && first.translations == first.cacheSaved)
        let second = run(folder, saving: true)
        #expect(second.translations == 0 && second.cacheHits == first.cacheSaved && second.cacheSaved == 0)
        #expect(second.cacheBytes > 0 && second.cacheRefusals == 0)
    }

    @Test func otherTranslatorsHaveFilesOfTheirOwn() {
        let folder = CacheFolder()
        run(folder, saving: true)
        let others: [Change] = [{ $0.features = [] }, { $0.optimizations = [] }, { $0.limits.instructions = 3 }, Self.regions]
        for change in others { #expect(run(folder, change: change).cacheHits == 0) }
        #expect(run(folder).cacheHits > 0)
    }

    @Test func whoeverLooksAtTranslationsMakesThem() {
        let folder = CacheFolder()
        run(folder, saving: true)
        let observers: [Change] = [
            { $0.observer = { _ in } }, { $0.translationLimit = 100 }, { $0.policy = .interpreter }, { $0.writesPerfMap = true },
            { $0.countsExecutions = true },
        ]
        for change in observers { #expect(run(folder, change: change).cacheHits == 0) }
    }

    @Test func otherCodeInTheSameFileIsTranslatedAnew() {
        let folder = CacheFolder(), arena = GuestArena()
        arena.inode = 1
        let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        for value in [3, 5, 3] as [Int32] {
            let code = program([Encode.addi(10, 0, value), Encode.addi(10, 10, 1)])
            let engine = folder.engine(arena)
            #expect(engine.run(code, arena) == reference.run(code, arena))
            engine.engine.saveTranslations()
        }
        // Both are kept; which one is right shows.
        let engine = folder.engine(arena), code = program([Encode.addi(10, 0, 5), Encode.addi(10, 10, 1)])
        #expect(engine.run(code, arena) == reference.run(code, arena))
        #expect(engine.engine.statistics.cacheHits == 0 || engine.engine.statistics.translations == 0)
    }

    // MARK: The directory

    @Test func whatOthersMayWriteIsNotUsed() {
        let folder = CacheFolder()
        run(folder, saving: true)
        for mode in [0o777, 0o770, 0o702] as [mode_t] {
            chmod(folder.path, mode)
            #expect(run(folder, saving: true).cacheHits == 0)
            #expect(CacheDirectory(path: folder.path).objection != nil)
        }
        chmod(folder.path, 0o700)
        for mode in [0o666, 0o620, 0o602] as [mode_t] {
            chmod(folder.file(.blocks), mode)
            #expect(run(folder).cacheHits == 0)
        }
        chmod(folder.file(.blocks), 0o600)
        #expect(run(folder).cacheHits > 0)
        #expect(CacheDirectory(path: folder.path).objection == nil)
    }

    @Test func filesOfOthersAreNotUsed() {
        // Only root can give a file away.
        guard geteuid() == 0 else { return }
        let folder = CacheFolder()
        run(folder, saving: true)
        chown(folder.file(.blocks), 4321, 4321)
        #expect(run(folder).cacheHits == 0)
        chown(folder.file(.blocks), 0, 0)
        #expect(run(folder).cacheHits > 0)
        chown(folder.path, 4321, 4321)
        #expect(run(folder, saving: true).cacheHits == 0)
        chown(folder.path, 0, 0)
    }

    @Test func linksAreNotFollowed() {
        let folder = CacheFolder(), other = CacheFolder()
        run(folder, saving: true)
        let name = folder.name(.blocks)
        rename(folder.file(.blocks), other.path + "/" + name)
        symlink(other.path + "/" + name, folder.path + "/" + name)
        #expect(run(folder).cacheHits == 0)
        #expect(run(other).cacheHits > 0)
        // Something else of that name.
        unlink(folder.path + "/" + name)
        mkfifo(folder.path + "/" + name, 0o600)
        #expect(run(folder).cacheHits == 0)
    }

    @Test func withoutAPlaceItGoesOn() {
        let arena = GuestArena(), reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        arena.inode = 1
        let expected = reference.run(sample(), arena)
        for path in ["/proc/nowhere/cache", "/dev/null", "relative", "", "/dev/null/x"] {
            let engine = EngineExecutor("no place", arena) { $0.translationCache = TranslationCacheOptions(directory: path) }
            #expect(engine.run(sample(), arena) == expected)
            engine.engine.saveTranslations()
            #expect(engine.engine.statistics.cacheSaved == 0)
        }
    }

    @Test func theOldestGoFirst() {
        let folder = CacheFolder(), directory = CacheDirectory(path: folder.path)
        let content = [UInt8](repeating: 7, count: 1000)
        for number in 0 ..< 10 {
            let name = "\(number)\(CacheContent.blocks.suffix)"
            #expect(content.withUnsafeBytes { directory.write($0, named: name) })
            var times = [timespec(tv_sec: 1000 + number, tv_nsec: 0), timespec(tv_sec: 1000 + number, tv_nsec: 0)]
            utimensat(AT_FDCWD, folder.path + "/" + name, &times, 0)
        }
        #expect(directory.prune(to: 10_000) == (0, 0))
        #expect(directory.prune(to: 8_000) == (3, 3000))
        #expect(folder.names == (3 ..< 10).map { "\($0)\(CacheContent.blocks.suffix)" })
        #expect(directory.clear() == (7, 7000))
        #expect(folder.names.isEmpty)
    }

    @Test func manyMayWriteAtOnce() async {
        let folder = CacheFolder()
        await withTaskGroup(of: Void.self) { group in
            for seed in 0 ..< 8 as Range<UInt64> {
                group.addTask {
                    let arena = GuestArena()
                    for round in 0 ..< 6 as Range<UInt64> {
                        arena.inode = 1 + round & 1
                        let code = ProgramKind.loops.program(seed: (seed + round) % 4)
                        let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
                        let engine = folder.engine(arena)
                        let expected = reference.run(code, arena), actual = engine.run(code, arena)
                        #expect(actual == expected, "\(actual.differences(from: expected))")
                        engine.engine.saveTranslations()
                    }
                }
            }
        }
        let suffix = CacheContent.blocks.suffix
        #expect(!folder.names.isEmpty && folder.names.allSatisfy { $0.hasSuffix(suffix) && !$0.hasPrefix(".") })
        for name in folder.names { #expect(CacheDirectory(path: folder.path).verify(name) != nil) }
    }

    // MARK: Parts

    @Test func positionsAreDecodedAsTheyWere() {
        var random = FuzzRandom(seed: 9)
        for _ in 0 ..< 200 {
            let start = 0x40_0000_0000 &+ random.integer() & 0xffff_fffe
            var address = start, code: UInt32 = 0
            let positions = (0 ..< 40).map { _ -> GuestPosition in
                code += random.chance(oneIn: 8) ? UInt32(random.integer() & 0x3ff) : UInt32(random.integer() & 15)
                let step = random.chance(oneIn: 6) ? random.integer() & ~1 : random.chance(oneIn: 2) ? 2 : 4
                address &+= step
                let isPending = random.chance(oneIn: 5)
                let pending = PendingFloats(
                    canonicalNaNs: isPending ? UInt16(truncatingIfNeeded: random.integer()) : 0,
                    boxes: isPending ? UInt16(truncatingIfNeeded: random.integer()) : 0)
                return GuestPosition(codeOffset: code, address: address, pending: pending)
            }
            var bytes: [UInt8] = []
            EncodedPositions.append(positions, of: start, to: &bytes)
            let decoded = EncodedPositions.all(in: bytes[...], of: start)
            #expect(decoded.map(\.address) == positions.map(\.address))
            #expect(decoded.map(\.codeOffset) == positions.map(\.codeOffset))
            for offset in 0 ... code + 1 where offset < 600 {
                let expected = positions.last { $0.codeOffset <= offset } ?? GuestPosition(codeOffset: 0, address: start)
                let actual = EncodedPositions.last(in: bytes[...], of: start, upTo: offset)
                #expect(actual.address == expected.address && actual.pending == expected.pending)
            }
        }
    }

    @Test func tablesFindWhatWasPutIn() {
        let table = BlockTable(capacity: 16)
        var expected: [BlockKey: Int] = [:], random = FuzzRandom(seed: 4)
        for step in 0 ..< 20_000 {
            let mode = TranslationMode(rawValue: UInt32(random.integer() & 1))
            // Keys of machine mode come later, and differ in their pages only.
            let page = step < 5000 || random.chance(oneIn: 2) ? 0 : UInt32(random.integer() % 3)
            let secondPage = page == 0 || random.chance(oneIn: 2) ? 0 : page + 1
            let key = BlockKey(address: (random.integer() % 700) * 2, mode: mode, page: page, secondPage: secondPage)
            let value = random.chance(oneIn: 3) ? nil : step
            table[key] = value
            expected[key] = value
            #expect(table.count == expected.count)
        }
        for (key, value) in expected { #expect(table[key] == value) }
        table.removeAll()
        for key in expected.keys { #expect(table[key] == nil) }
    }
}

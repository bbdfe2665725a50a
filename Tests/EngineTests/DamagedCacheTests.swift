// Files of the cache that are damaged on purpose, of blocks and of regions: what they hold is refused, and the program does the same.

import GuestRISCV
import Testing

@testable import Engine

@Suite struct DamagedCacheTests {
    /// Runs the sample from the folder; expects that it does what the interpreter does.
    /// - Returns: how many translations were taken from the file with that content, and from the other one.
    @discardableResult
    private func run(_ folder: CacheFolder, _ content: CacheContent, saving: Bool = false, _ comment: String = "") -> (own: Int, others: Int) {
        let arena = GuestArena(), reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        arena.inode = 1
        let engine = folder.engine(arena) {
            $0.policy = .region
            $0.samplePeriod = 1
            $0.regionSamples = 1
        }
        let expected = reference.run(threeLoops(), arena), actual = engine.run(threeLoops(), arena)
        #expect(actual == expected, "\(comment): \(actual.differences(from: expected))")
        if saving { engine.engine.saveTranslations() }
        let taken = (engine.engine.statistics.cacheHits, engine.engine.statistics.cacheRegions)
        return content == .blocks ? taken : (taken.1, taken.0)
    }

    @Test(arguments: CacheContent.allCases) func damageIsNoticed(content: CacheContent) {
        let folder = CacheFolder()
        run(folder, content, saving: true)
        let whole = folder.bytes(content), other = folder.bytes(content == .blocks ? .regions : .blocks)
        #expect(run(folder, content).own > 0)
        let head = CacheFileHeader.byteCount, few = [1, 8, head - 1, head, head + 1, whole.count - 1]
        for count in Array(stride(from: 0, to: whole.count, by: max(1, whole.count / 50))) + few {
            folder.replace(content, Array(whole.prefix(count)))
            let taken = run(folder, content, "\(count) bytes")
            #expect(taken.own == 0 && (content == .blocks || taken.others > 0), "\(count) bytes")
        }
        for (bytes, what) in [(whole + [0], "a byte more"), (other, "a file with the other content")] {
            folder.replace(content, bytes)
            #expect(run(folder, content, what).own == 0, "\(what)")
        }
        for place in stride(from: 0, to: whole.count, by: max(1, whole.count / 250)) {
            var bytes = whole
            bytes[place] ^= 1 << UInt8(place % 8)
            folder.replace(content, bytes)
            run(folder, content, "byte \(place)")
        }
        // The next run puts a right one there.
        folder.replace(content, Array(whole.prefix(200)))
        run(folder, content, saving: true)
        #expect(run(folder, content).own > 0)
    }

    /// Numbers in a unit that name nothing, with a digest that is right.
    @Test(arguments: CacheContent.allCases) func nonsenseWithARightDigestIsNoticed(content: CacheContent) throws {
        let folder = CacheFolder()
        run(folder, content, saving: true)
        #expect(try folder.refusedNonsense(content) > 20)
    }
}

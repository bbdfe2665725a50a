// What the engine did for a program, as rows that text and JSON derive from.

import Engine
import Glibc

public struct ProgramStatistics: Sendable {
    public struct Row: Sendable {
        public enum Unit: Sendable {
            case count, bytes, nanoseconds
        }
        /// The key in JSON.
        public var key: String
        public var label: String
        public var value: UInt64
        public var unit: Unit
    }

    /// What translating at one tier took.
    public struct Tier: Sendable {
        public var name: String
        public var translations: UInt64
        /// Guest instructions, those of each iteration of an unrolled loop.
        public var instructions: UInt64
        /// Nanoseconds by stage, in their order. Lifting a region includes finding its superblocks.
        public var stages: [(name: String, nanoseconds: UInt64)]
        public var nanoseconds: UInt64 { stages.reduce(0) { $0 + $1.nanoseconds } }
    }

    public var rows: [Row] = []
    public var tiers: [Tier] = []
    /// Where processor time went, as far as the engine knows; the rest is translated code and system calls.
    public var processorNanoseconds: UInt64 = 0
    public var interpreterNanoseconds: UInt64 = 0
    public var translationNanoseconds: UInt64 = 0
    /// Of the time for translating, that of a thread of its own.
    public var backgroundNanoseconds: UInt64 = 0

    init(_ engine: EngineStatistics, countsEverything: Bool) {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        processorNanoseconds = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        interpreterNanoseconds = engine.interpreterNanoseconds
        translationNanoseconds = engine.translationNanoseconds
        backgroundNanoseconds = engine.backgroundStages.total
        let (blocks, regions) = (engine.blockStages, engine.regionStages + engine.backgroundStages)
        tiers = [
            Tier(
                name: "block", translations: UInt64(engine.translations - engine.regions),
                instructions: UInt64(engine.blockInstructions),
                stages: Self.stages(blocks)),
            Tier(
                name: "region", translations: UInt64(engine.regions), instructions: UInt64(engine.regionInstructions),
                stages: Self.stages(regions)),
        ]
        if countsEverything { add("instructions", "guest instructions", engine.interpretedInstructions) }
        add("interpretedInstructions", "guest instructions interpreted", engine.interpretedInstructions)
        add("translations", "translations", engine.translations)
        add("instructionsTranslated", "guest instructions translated", engine.guestInstructionsTranslated)
        add("hostBytes", "host code", engine.hostBytes, .bytes)
        add("links", "links patched", engine.links)
        add("linkExits", "exits to link", engine.linkExits)
        add("cachesFilled", "inline caches filled", engine.cachesFilled)
        add("indirectMisses", "indirect targets not in the table", engine.indirectMisses)
        add("interpreterCalls", "instructions without a translation executed", engine.interpreterCalls)
        add("traps", "traps", engine.traps)
        add("faults", "memory faults in translated code", engine.faults)
        add("invalidations", "invalidations of changed code", engine.invalidations)
        add("flushes", "flushes of the code cache", engine.flushes)
        add("liftNanoseconds", "time lifting", blocks.lift + regions.lift, .nanoseconds)
        add("optimizeNanoseconds", "time optimising", blocks.optimize + regions.optimize, .nanoseconds)
        add("emitNanoseconds", "time emitting", blocks.emit + regions.emit, .nanoseconds)
        add("regions", "regions", UInt64(engine.regions))
        add("regionsRenewed", "of these in place of others, as jumps went elsewhere, too", engine.regionsRenewed)
        add("vectorLoops", "loops as vectors", UInt64(engine.vectorLoops))
        add("probes", "translations that counted their entries", engine.probes)
        add("regionInstructions", "guest instructions in regions", UInt64(engine.regionInstructions))
        add("regionNanoseconds", "time for regions", engine.regionNanoseconds, .nanoseconds)
        add("backgroundNanoseconds", "of it on a thread of its own", engine.backgroundStages.total, .nanoseconds)
        add("longestRegionQueue", "loops waiting to become regions, at most", engine.longestRegionQueue)
        add("regionsThrownAway", "regions outdated before they were made", engine.regionsThrownAway)
        add("cacheHits", "translations from the cache on disk", engine.cacheHits)
        add("cacheMisses", "translations that the cache on disk lacked", engine.cacheMisses)
        add("cacheRegions", "regions from the cache on disk", engine.cacheRegions)
        add("cacheRegionsRenewed", "of these made anew, as they lacked ways taken", engine.cacheRegionsRenewed)
        add("cacheRegionsSaved", "regions written to the cache", engine.cacheRegionsSaved)
        add("cacheBytes", "loaded from the cache on disk", engine.cacheBytes, .bytes)
        add("cacheRefusals", "parts of the cache that did not fit the guest's code", engine.cacheRefusals)
        add("cacheSaved", "translations written to the cache", engine.cacheSaved)
        add("cacheNanoseconds", "time loading from the cache", engine.cacheNanoseconds, .nanoseconds)
        add("installNanoseconds", "time installing", blocks.install + regions.install, .nanoseconds)
        add("translationNanoseconds", "time translating, in all", engine.translationNanoseconds, .nanoseconds)
        add("interpreterNanoseconds", "time interpreting", engine.interpreterNanoseconds, .nanoseconds)
        add("processorNanoseconds", "processor time", processorNanoseconds, .nanoseconds)
    }

    private static func stages(_ times: StageTimes) -> [(name: String, nanoseconds: UInt64)] {
        [("lift", times.lift), ("optimize", times.optimize), ("emit", times.emit), ("install", times.install)]
    }

    private mutating func add<Count: BinaryInteger>(_ key: String, _ label: String, _ value: Count, _ unit: Row.Unit = .count) {
        rows.append(Row(key: key, label: label, value: UInt64(clamping: value), unit: unit))
    }
}

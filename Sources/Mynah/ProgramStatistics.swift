// What the engine did for a program, as rows that text and JSON derive from.

import Engine

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

    public var rows: [Row] = []

    init(_ engine: EngineStatistics, countsEverything: Bool) {
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
        add("liftNanoseconds", "time lifting", engine.liftNanoseconds, .nanoseconds)
        add("optimizeNanoseconds", "time optimising", engine.optimizeNanoseconds, .nanoseconds)
        add("emitNanoseconds", "time emitting", engine.emitNanoseconds, .nanoseconds)
        add("regions", "regions", UInt64(engine.regions))
        add("regionInstructions", "guest instructions in regions", UInt64(engine.regionInstructions))
        add("regionNanoseconds", "time for regions", engine.regionNanoseconds, .nanoseconds)
        add("cacheHits", "translations from the cache on disk", engine.cacheHits)
        add("cacheMisses", "translations that the cache on disk lacked", engine.cacheMisses)
        add("cacheBytes", "loaded from the cache on disk", engine.cacheBytes, .bytes)
        add("cacheRefusals", "parts of the cache that did not fit the guest's code", engine.cacheRefusals)
        add("cacheSaved", "translations written to the cache", engine.cacheSaved)
        add("cacheNanoseconds", "time loading from the cache", engine.cacheNanoseconds, .nanoseconds)
        add("installNanoseconds", "time installing", engine.installNanoseconds, .nanoseconds)
        add("translationNanoseconds", "time translating, in all", engine.translationNanoseconds, .nanoseconds)
    }

    private mutating func add<Count: BinaryInteger>(_ key: String, _ label: String, _ value: Count, _ unit: Row.Unit = .count) {
        rows.append(Row(key: key, label: label, value: UInt64(clamping: value), unit: unit))
    }
}

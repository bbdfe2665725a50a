// Counters of an engine.

import CHost

package struct EngineStatistics: Sendable {
    package var translations = 0
    package var guestInstructionsTranslated = 0
    package var hostBytes = 0
    /// Of the translations, regions; and the guest instructions in them.
    package var regions = 0
    package var regionInstructions = 0
    /// Regions that took the place of others, as indirect jumps went elsewhere, too.
    package var regionsRenewed = 0
    /// Translations of which only how often they are entered is wanted, before a region takes their place.
    package var probes = 0
    /// Loops in regions that are executed as vectors.
    package var vectorLoops = 0
    package var links = 0
    package var linkExits = 0
    package var indirectMisses = 0
    package var cachesFilled = 0
    package var traps = 0
    package var faults = 0
    package var invalidations = 0
    package var flushes = 0
    package var interpretedInstructions: UInt64 = 0
    package var interpreterCalls = 0
    /// Translations taken from the cache on disk, and those that it could have had but lacked.
    package var cacheHits = 0
    package var cacheMisses = 0
    /// Regions taken from the cache on disk, and written to it.
    package var cacheRegions = 0
    package var cacheRegionsSaved = 0
    /// Regions of earlier runs that were made anew.
    package var cacheRegionsRenewed = 0
    /// Pages' worth of translations that were loaded, and their bytes; those that were not what the guest has, or damaged.
    package var cacheUnits = 0
    package var cacheBytes = 0
    package var cacheRefusals = 0
    package var cacheNanoseconds: UInt64 = 0
    /// Translations written to the cache.
    package var cacheSaved = 0
    /// Time in the interpreter on the way to code that is translated; measured where `EngineConfiguration.takesTimes`.
    package var interpreterNanoseconds: UInt64 = 0
    /// The same.
    package var blockStages = StageTimes()
    package var regionStages = StageTimes()
    /// Of regions that a thread of their own makes: nobody waits for that.
    package var backgroundStages = StageTimes()
    /// Regions that were asked for and not made yet, at most; and those that were outdated before they were made.
    package var longestRegionQueue = 0
    package var regionsThrownAway = 0
    package init() {}

    package var blockInstructions: Int { guestInstructionsTranslated - regionInstructions }
    package var regionNanoseconds: UInt64 { regionStages.total + backgroundStages.total }
    package var translationNanoseconds: UInt64 { blockStages.total + regionNanoseconds }

    /// What a CPU counts by itself.
    mutating func add(_ cpu: VirtualCPU) {
        interpretedInstructions += cpu.interpreter.instructionsExecuted
        interpreterCalls += cpu.interpreterCalls
        interpreterNanoseconds += cpu.interpreterNanoseconds
        traps += cpu.traps
    }
}

/// Nanoseconds that translating took, by stage.
package struct StageTimes: Equatable, Sendable {
    /// Of regions, this includes finding their superblocks.
    package var lift: UInt64 = 0
    package var optimize: UInt64 = 0
    package var emit: UInt64 = 0
    package var install: UInt64 = 0
    package init() {}

    package var total: UInt64 { lift + optimize + emit + install }

    package static func + (left: StageTimes, right: StageTimes) -> StageTimes {
        var sum = left
        sum.lift += right.lift
        sum.optimize += right.optimize
        sum.emit += right.emit
        sum.install += right.install
        return sum
    }

    package static func += (left: inout StageTimes, right: StageTimes) { left = left + right }
}

// What translations did while a program ran: the words that `Translator+Counting` counts in, and what they mean.

import Guest
import X86Backend

/// How a superblock of a translation was lifted.
package struct SuperblockPlan: Equatable, Sendable {
    package var address: UInt64
    package var iterations = 1
    package var weight = 1
    /// See `LiftLimits.loopEnds`.
    package var loopEnds: [UInt64] = []
    /// The calls that it is in, which the region follows, by the addresses they return to; outermost first.
    package var calls: [UInt64] = []
    /// Where its indirect jump goes in the region, the likeliest first.
    package var cases: [UInt64] = []
}

/// The engine's record of what is counted; there is none unless that was asked for.
struct ExecutionCounts {
    struct Translation {
        var key: BlockKey
        var isRegion = false
        var plan: [SuperblockPlan]
        var sites: Range<Int>
        var homes: [Home]
        /// Guest instructions in each superblock.
        var instructionCounts: [Int]
        /// The engine's generation, within which the numbers of links mean something.
        var generation: Int
        var block: Int
    }
    var translations: [Translation] = []
    var sites: [CounterSite] = []
    /// Of CPUs that are gone, by word.
    var retired: [UInt64]

    static let wordCount = 1 << 17

    init() { retired = Array(repeating: 0, count: ExecutionCounts.wordCount) }
}

extension VirtualCPU {
    /// Bytes from the state pointer to the words that count.
    static func countingRange(_ isa: GuestISA) -> Range<Int> {
        let start = executionsOffset(isa) + executionsPlaces * 4
        return start ..< start + ExecutionCounts.wordCount * 8
    }

    /// Adds what this CPU counted.
    func addCounts(to sums: inout [UInt64]) {
        // SAFETY: the words are behind the state of a CPU whose engine counts; see `init`.
        let words = (state + VirtualCPU.countingRange(engine.isa).lowerBound).assumingMemoryBound(to: UInt64.self)
        for index in sums.indices { sums[index] &+= words[index] }
    }
}

extension Engine {
    /// Records what the translation that the translator emitted last counts. Holds the lock.
    func noteCounted(_ index: Int, _ translation: Translation, plan: [SuperblockPlan], by translator: Translator) {
        guard counts != nil else { return }
        let first = counts!.sites.count, starts = translator.firstPositions + [translation.positions.count]
        counts!.sites += translator.counterSites
        counts!.translations.append(
            ExecutionCounts.Translation(
                key: blocks[index].key, isRegion: blocks[index].isRegion, plan: plan, sites: first ..< counts!.sites.count,
                homes: translation.homes,
                instructionCounts: plan.indices.map { starts[$0 + 1] - starts[$0] - (translator.startsWithVectors[$0] ? 1 : 0) },
                generation: counters.flushes, block: index))
    }

    func retireCounts(of cpu: VirtualCPU) {
        if counts != nil { cpu.addCounts(to: &counts!.retired) }
    }

    /// What was counted so far; nil unless `EngineConfiguration.countsExecutions`. CPUs may go on running.
    package var executionProfile: ExecutionProfile? {
        locked {
            guard let counts else { return nil }
            var words = counts.retired
            for cpu in cpus { cpu.addCounts(to: &words) }
            let start = VirtualCPU.countingRange(isa).lowerBound
            var profile = ExecutionProfile()
            for translation in counts.translations {
                var blocks = translation.plan.indices.map { index in
                    SuperblockProfile(
                        address: translation.plan[index].address, calls: translation.plan[index].calls,
                        instructionCount: translation.instructionCounts[index])
                }
                for site in counts.sites[translation.sites] {
                    let count = words[(Int(site.offset) - start) / 8]
                    let place = site.block
                    if site.kind == .superblock {
                        blocks[place].executions &+= count
                        continue
                    }
                    if site.kind.leaves || site.kind == .vectors {
                        // What traps is not executed yet. Where vectors leave in front of a jump back, it is taken off again.
                        let instructions = site.kind == .trap ? max(0, site.instructions - 1) : site.instructions
                        blocks[place].instructionsExecuted &+= count &* UInt64(bitPattern: Int64(instructions))
                        if site.kind == .vectors { blocks[place].instructionsInVectors &+= count &* UInt64(bitPattern: Int64(instructions)) }
                    }
                    let isLinked = translation.generation == counters.flushes && site.link >= 0 && linkedTo[site.link] >= 0
                    blocks[place].add(
                        SuperblockProfile.Event(
                            kind: site.kind, address: site.address, target: site.target, count: count, polls: site.polls,
                            isInside: site.targetBlock >= 0,
                            targetCalls: site.targetBlock >= 0 ? translation.plan[site.targetBlock].calls : [],
                            unlinked: site.link >= 0 && !isLinked ? count : 0))
                }
                profile.add(
                    TranslationProfile(
                        address: translation.key.address, mode: translation.key.mode, page: translation.key.page,
                        secondPage: translation.key.secondPage, isRegion: translation.isRegion,
                        isCurrent: translation.generation == counters.flushes && self.blocks[translation.block].isValid
                            && blockOfKey[translation.key] == translation.block,
                        plan: translation.plan, superblocks: blocks,
                        displacedHomes: translation.homes.filter { home in
                            !translator.homesBetweenTranslations.contains { $0.offset == home.offset && $0.register == home.register }
                        }.count))
            }
            profile.interpretedInstructions = counters.interpretedInstructions
            for cpu in cpus { profile.interpretedInstructions += cpu.interpreter.instructionsExecuted }
            profile.isComplete = translator.counting.map { $0.next < $0.end } ?? true
            return profile
        }
    }
}

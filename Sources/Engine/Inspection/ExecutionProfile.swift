// Counts of executions by translation, superblock and way out, as plain data.

import Guest
import X86Backend

/// A superblock of a translation, and what happened in it.
package struct SuperblockProfile: Sendable {
    package struct Event: Sendable {
        package var kind: CounterSite.Kind
        /// The guest instruction, and where it leads; 0 for indirect transfers.
        package var address: UInt64
        package var target: UInt64
        package var count: UInt64
        package var polls: Bool
        /// A transfer to another superblock of the same translation.
        package var isInside: Bool
        /// The calls that the other superblock is in.
        package var targetCalls: [UInt64] = []
        /// Of the count, what came to the dispatcher, as the target has no translation to jump to.
        package var unlinked: UInt64
    }
    package var address: UInt64
    /// See `SuperblockPlan.calls`.
    package var calls: [UInt64] = []
    package var instructionCount: Int
    package var executions: UInt64 = 0
    package var instructionsExecuted: UInt64 = 0
    /// Of these, those of iterations that a loop of vectors executed.
    package var instructionsInVectors: UInt64 = 0
    package var events: [Event] = []

    /// Adds to the event of the same kind and way, of which an unrolled loop has several.
    mutating func add(_ event: Event) {
        let known = events.firstIndex {
            $0.kind == event.kind && $0.address == event.address && $0.target == event.target && $0.isInside == event.isInside
                && $0.targetCalls == event.targetCalls
        }
        guard let known else { return events.append(event) }
        events[known].count &+= event.count
        events[known].unlinked &+= event.unlinked
    }
}

package struct TranslationProfile: Sendable {
    package var address: UInt64
    package var mode: TranslationMode
    /// Machine mode: the numbers of the pages of code, as in `BlockKey`.
    package var page: UInt32 = 0
    package var secondPage: UInt32 = 0
    package var isRegion: Bool
    /// It is what runs at its address now.
    package var isCurrent: Bool
    package var plan: [SuperblockPlan]
    package var superblocks: [SuperblockProfile]
    /// Guest registers that have other homes inside than between translations.
    package var displacedHomes: Int

    package var instructionsExecuted: UInt64 { superblocks.reduce(0) { $0 &+ $1.instructionsExecuted } }
    package var instructionCount: Int { superblocks.reduce(0) { $0 + $1.instructionCount } }
    /// How often it was entered from outside.
    package var entries: UInt64 {
        let inside = superblocks.flatMap(\.events).filter { $0.isInside && $0.target == address && $0.targetCalls.isEmpty }
            .reduce(0 as UInt64) { $0 &+ $1.count }
        return (superblocks.first?.executions ?? 0) &- min(inside, superblocks.first?.executions ?? 0)
    }
}

package struct ExecutionProfile: Sendable {
    /// One for each address and tier; translations that took each other's place are added up.
    package private(set) var translations: [TranslationProfile] = []
    package var interpretedInstructions: UInt64 = 0
    /// Nothing was left uncounted for lack of words.
    package var isComplete = true

    package var translatedInstructions: UInt64 { translations.reduce(0) { $0 &+ $1.instructionsExecuted } }

    private struct Place: Hashable {
        var address: UInt64
        var mode: TranslationMode
        var page: UInt32
        var secondPage: UInt32
        var isRegion: Bool
    }
    private var places: [Place: Int] = [:]

    mutating func add(_ translation: TranslationProfile) {
        let place = Place(
            address: translation.address, mode: translation.mode, page: translation.page, secondPage: translation.secondPage,
            isRegion: translation.isRegion)
        guard let index = places[place] else {
            places[place] = translations.count
            translations.append(translation)
            return
        }
        var sum = translation
        for old in translations[index].superblocks {
            guard let same = sum.superblocks.firstIndex(where: { $0.address == old.address && $0.calls == old.calls }) else {
                sum.superblocks.append(old)
                sum.plan.append(
                    translations[index].plan.first { $0.address == old.address && $0.calls == old.calls }
                        ?? SuperblockPlan(address: old.address, calls: old.calls))
                continue
            }
            sum.superblocks[same].executions &+= old.executions
            sum.superblocks[same].instructionsExecuted &+= old.instructionsExecuted
            sum.superblocks[same].instructionsInVectors &+= old.instructionsInVectors
            for event in old.events { sum.superblocks[same].add(event) }
        }
        sum.isCurrent = sum.isCurrent || translations[index].isCurrent
        translations[index] = sum
    }
}

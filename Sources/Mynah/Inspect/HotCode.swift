// What a program's translations did while it ran, as plain data for reports: hot translations, their superblocks, the ways out.

/// A way out of a superblock, or something else that was counted in it.
package struct HotEvent: Equatable {
    package enum Kind: String {
        case transfer, call, jump, indirectCall, `return`, cacheFill, cacheMiss, returnMiss, interpreter, trap, vectors
    }
    package var kind: Kind
    /// The guest instruction, and where it leads; 0 for indirect transfers.
    package var address: UInt64
    package var target: UInt64
    package var count: UInt64
    package var polls = false
    /// To a superblock of the same translation.
    package var isInside = false
    /// The calls that the other superblock is in, as in `HotBlock`.
    package var targetCalls: [UInt64] = []
    /// Of the count, what came out to the dispatcher.
    package var unlinked: UInt64 = 0
}

package struct HotBlock {
    package var address: UInt64
    /// The calls that it is in, of those that the region follows, by the addresses that they return to; outermost first.
    package var calls: [UInt64] = []
    /// Guest instructions, those of all iterations that it holds.
    package var instructionCount: Int
    /// Iterations that are laid out one behind the other.
    package var iterations = 1
    package var executions: UInt64
    package var instructionsExecuted: UInt64
    /// Of these, those of iterations that a loop of vectors executed, in so many groups.
    package var instructionsInVectors: UInt64 = 0
    package var events: [HotEvent]

    package var vectorGroups: UInt64 { events.filter { $0.kind == .vectors }.reduce(0) { $0 &+ $1.count } }

    /// Executions of a row of the scalar code that has no count of its own, of so many.
    func executionsOfEach(ofRows count: Int) -> UInt64 {
        let scalar = instructionsExecuted > instructionsInVectors ? instructionsExecuted - instructionsInVectors : 0
        return scalar / UInt64(max(1, count))
    }
}

package struct HotTranslation {
    package var address: UInt64
    package var isRegion: Bool
    /// It is what runs at its address now; others were replaced or dropped.
    package var isCurrent: Bool
    /// Entries from outside.
    package var entries: UInt64
    package var blocks: [HotBlock]
    /// Guest registers that have another home inside than between translations.
    package var displacedHomes: Int
    /// The translator's own number of it.
    package var number: Int

    package var instructionsExecuted: UInt64 { blocks.reduce(0) { $0 &+ $1.instructionsExecuted } }
    package var instructionCount: Int { blocks.reduce(0) { $0 + $1.instructionCount } }
}

/// One guest instruction of a superblock, and what became of it.
package struct HotRow {
    package var address: UInt64
    package var encoding: UInt32
    package var byteCount: Int
    package var guest: String
    package var ir: [String]
    package var optimized: [String]
    package var host: [HotLine]
    /// nil where the superblock holds the instruction several times.
    package var executions: UInt64?
    /// It is the loop of vectors, of which an execution is a group of iterations.
    package var isVectors = false
}

package struct HotLine: Equatable {
    package var text: String
    package var isLabel = false
}

/// A translation with every stage.
package struct HotDetail {
    package var translation: HotTranslation
    /// In the order of the translation's blocks.
    package var rows: [[HotRow]]
    /// Registers that take other homes, before the first superblock; exits and slow paths behind the last.
    package var prologue: [HotLine]
    package var cold: [HotLine]
    package var hostByteCount: Int
    /// "s5 in r13".
    package var displaced: [String]
    package var findings: [CostFinding]

    /// Host instructions for each guest instruction that was executed, without exits and slow paths.
    package var hostPerGuest: Double {
        var host = 0.0, guest = 0.0
        for (block, rows) in zip(translation.blocks, rows) {
            guard !rows.isEmpty else { continue }
            let each = Double(block.executionsOfEach(ofRows: rows.filter { !$0.isVectors }.count))
            for row in rows {
                // What is done once, in front of the loop of vectors and behind it, counts as if it were done each time.
                host += Double(row.host.filter { !$0.isLabel }.count) * (row.isVectors ? Double(block.vectorGroups) : each)
            }
            guest += Double(block.instructionsExecuted)
        }
        return guest > 0 ? host / guest : 0
    }
}

/// Something that costs time in a translation.
package struct CostFinding: Equatable {
    package enum Kind: String {
        case dispatcher = "exits to the dispatcher"
        case traps = "system calls and traps"
        case interpreter = "calls of the interpreter"
        case helper = "calls of helpers"
        case cacheMisses = "inline cache misses"
        case returnMisses = "mispredicted returns"
        case spills = "spills"
        case memoryRegisters = "registers without a home"
        case displacedHomes = "homes moved"
        case polls = "polls"
        case fewIterations = "few iterations"
    }
    package var kind: Kind
    /// How often it happened.
    package var count: UInt64
    /// The instruction that it happens at most; nil for the whole translation.
    package var address: UInt64?
    package var text: String
}

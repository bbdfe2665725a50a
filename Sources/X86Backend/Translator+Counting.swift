// Counting what translated code does, for whoever inspects it: a word behind the guest's state for each superblock and each way
// out of it. Without `Translator.counting` not a byte of code is different.

import IR
import X86

/// What one word counts.
package struct CounterSite: Sendable {
    package enum Kind: UInt8, Sendable {
        /// The superblock is entered, from outside or from inside of the translation.
        case superblock
        /// A direct transfer to `target` is taken.
        case transfer
        /// A direct call, predicted to return.
        case call
        /// An indirect jump, call or return.
        case jump, indirectCall, `return`
        /// The inline cache of an indirect jump or call had no target yet, or another one than it came with.
        case cacheFill, cacheMiss
        /// A return did not go where it was predicted to.
        case returnMiss
        /// One guest instruction by the interpreter, called from the code.
        case interpreter
        /// To the dispatcher, for a system call or the like.
        case trap
        /// Several iterations at once were executed by the loop of vectors in front of the superblock's scalar code.
        case vectors

        /// Each execution of a superblock's scalar code ends with one of these.
        package var leaves: Bool {
            switch self {
            case .transfer, .call, .jump, .indirectCall, .return, .trap: return true
            case .superblock, .cacheFill, .cacheMiss, .returnMiss, .interpreter, .vectors: return false
            }
        }
    }
    package var kind: Kind
    /// Where the superblock starts, and the guest instruction in it.
    package var superblock: UInt64
    package var address: UInt64
    package var target: UInt64
    /// The superblocks' positions in the translation; of what leads out of it, `targetBlock` is negative.
    package var block: Int
    package var targetBlock: Int
    /// Guest instructions executed by then since the start of the superblock; of `vectors`, in each group of iterations.
    package var instructions: Int
    /// The link in the engine's table that the way out goes through; negative for none.
    package var link: Int
    /// It polls for interrupts.
    package var polls: Bool
    /// Bytes from the state pointer to the word of 64 bits.
    package var offset: Int32
}

/// The words that may be used for counting.
package struct CountingWords: Sendable {
    package var next: Int32
    package var end: Int32
    package init(_ range: Range<Int>) {
        next = Int32(range.lowerBound)
        end = Int32(range.upperBound)
    }
}

extension Translator {
    /// What the homes hold where translations meet.
    package var homesBetweenTranslations: [Home] { map.homes }

    /// Reserves a word; nil when nothing is counted, or there are no words left.
    /// - Parameters:
    ///   - address: the guest instruction, when it is not the one being emitted.
    ///   - instructions: guest instructions executed by then, when they are not those emitted.
    ///   - block: position of the superblock that a transfer inside of the translation leads to, when that is in other calls.
    func makeCounter(
        _ kind: CounterSite.Kind, _ target: UInt64 = 0, link: Int = -1, polls: Bool = false, address: UInt64? = nil,
        instructions: Int? = nil, into block: Int? = nil
    ) -> Int32? {
        guard var words = counting, words.next < words.end else { return nil }
        counterSites.append(
            CounterSite(
                kind: kind, superblock: entries[currentBlock], address: address ?? positions.last?.address ?? entries[currentBlock], target: target,
                block: currentBlock, targetBlock: kind == .transfer && link < 0 ? block ?? superblock(target, frame) ?? -1 : -1,
                instructions: instructions ?? positions.count - blockPosition, link: link < 0 ? -1 : firstLink + link, polls: polls, offset: words.next))
        words.next += 8
        counting = words
        return counterSites[counterSites.count - 1].offset
    }

    /// Counts here. The flags are lost.
    func emitCount(_ offset: Int32?) {
        if let offset { asm.add(.quad, RegisterMap.state(offset), imm: 1) }
    }
}

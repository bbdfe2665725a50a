// Calls that a region follows: their callees' superblocks are part of it, once for each way to be called.
//
// Such a call pushes no predicted return, and its return compares where it goes with the one place where it should. Whoever
// leaves the region from within callees makes the calls up: pushes the returns that are to come, so that the host predicts them.
//
// Neither calls nor returns poll: a loop through them goes back to a lower address in the outermost function that it is in, as a
// return goes on behind its call, and that jump polls.

import IR
import X86

extension Translator {
    /// The calls that the superblock being emitted is in.
    var frame: Int { entryFrames[currentBlock] }

    /// Position in `entries` of the superblock at an address, in calls.
    func superblock(_ target: UInt64, _ frame: Int) -> Int? {
        entries.indices.first { entries[$0] == target && entryFrames[$0] == frame }
    }

    private func superblock(_ target: UInt64, _ calls: [UInt64]) -> Int? {
        frames.firstIndex(of: calls).flatMap { superblock(target, $0) }
    }

    /// Jumps to the callee, when it is in the region.
    func follow(callOf target: UInt64, _ back: Int64) -> Bool {
        guard isRegion, let callee = superblock(target, frames[frame] + [UInt64(bitPattern: back)]) else { return false }
        emitCount(makeCounter(.transfer, target, polls: followedBackwards, into: callee))
        jump(to: target, at: entryLabels[callee], polls: followedBackwards, follows: callee == currentBlock + 1)
        return true
    }

    // MARK: Calls that leave and come back

    /// Position in `entries` of the superblock behind a call of the one being emitted.
    func behindCall(_ back: Int64) -> Int? { isRegion ? superblock(UInt64(bitPattern: back), frame) : nil }

    /// The superblock ends with a call that leaves the region and comes back to it.
    func callsOut(_ function: Function, _ block: Int) -> Bool {
        let last = function.instructions[function.count - 1]
        guard last.opcode == .exit || last.opcode == .exitIndirect, last.hint == .call, !last.b.isNone else { return false }
        let back = UInt64(bitPattern: function.instructions[Int(last.b.index)].immediate), frame = entryFrames[block]
        guard superblock(back, frame) != nil else { return false }
        return last.opcode == .exitIndirect || superblock(UInt64(bitPattern: last.immediate), frames[frame] + [back]) == nil
    }

    /// Goes on at a superblock behind a call that left the region. The code there may have changed meanwhile: then `link` leads
    /// out.
    func reenter(_ superblock: Int, _ link: Int) {
        let here = asm.makeLabel()
        links[link].isReentry = true
        links[link].field = asm.executableAddress(atOffset: asm.patchableJump(here))
        asm.bind(here)
        // It may be another page's.
        if let softBuffer, codePage != 0 { emitPageCheck(codePage, at: entries[superblock], softBuffer) }
        emitDisplacement()
        if superblock != currentBlock + 1 { asm.jmp(entryLabels[superblock]) }
    }

    // MARK: Returns

    /// Goes on behind the call that the superblock is in, when that is in the region.
    func follow(returnOf i: Instruction) -> Bool {
        guard let back = frames[frame].last, let behind = superblock(back, Array(frames[frame].dropLast())) else { return false }
        emitCount(makeCounter(.transfer, back, polls: followedBackwards, into: behind))
        // Where it is equal there is no bit 0 to clear.
        let value = targetMask(i).map { function.instructions[$0].a } ?? i.a
        if guestAddress(value) == Int64(bitPattern: back) {
            jump(to: back, at: entryLabels[behind], polls: followedBackwards, follows: behind == currentBlock + 1)
            return true
        }
        let target = use(value)
        if let short = Int32(exactly: Int64(bitPattern: back)), !function.isMovable {
            asm.cmp(.quad, target, imm: short)
        } else {
            let expected = allocate()
            loadGuestAddress(expected, back)
            asm.cmp(.quad, target, expected)
        }
        asm.jcc(.ne, cold(.returnElsewhere, target.rawValue, counter: makeCounter(.returnMiss)))
        jump(to: back, at: entryLabels[behind], polls: followedBackwards, follows: behind == currentBlock + 1)
        return true
    }

    /// Makes the calls that the superblock is in, on the way out to `target`. Homes are where they are between translations.
    /// Changes rax and the flags.
    func emitFrames(to target: UInt64) {
        guard frame != 0 else { return }
        // For `CodeStubs.callInterrupted`.
        loadGuestAddress(.rax, target)
        emitFrames()
    }

    /// The same on the way to the address in rax.
    func emitFrames() {
        for back in frames[frame] {
            let made = asm.makeLabel()
            asm.call(made)
            landReturn(Int64(bitPattern: back), isCounted: false)
            asm.bind(made)
        }
    }
}

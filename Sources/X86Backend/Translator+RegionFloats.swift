// What stays pending from superblock to superblock while a region is emitted; `RegionFloats` decides it.

import IR
import X86

extension Translator {
    /// Decides what is pending where the superblocks of the region start.
    func chooseRegionFloats(_ functions: [Function], _ weights: [Int]) {
        regionFloats.removeAll(keepingCapacity: true)
        self.weights = weights
        // A superblock that is not begun, as more of its instructions are counted than may be executed, is left where it starts.
        guard isRegion, carriesFloats, !countsInstructions else { return }
        let vectors = functions.indices.map { $0 < vectorLoops.count && vectorLoops[$0] != nil }
        let vectorHomes = homes.indices.map { map.slots[$0].type.isFloat ? homes[$0] : RegisterMap.none }
        let floats = RegionFloats(functions, homes: vectorHomes, vectors: vectors) { self.superblock($1, self.entryFrames[$0]) }
        regionFloats = floats.atEntry
    }

    /// What the superblock finds pending, whichever way it is entered.
    func pendingAtEntry(_ block: Int) -> PendingFloats { block < regionFloats.count ? regionFloats[block] : PendingFloats() }

    /// What may be pending at a transfer to the address: nothing on the way out.
    func accepted(at target: UInt64) -> PendingFloats { superblock(target, frame).map(pendingAtEntry) ?? PendingFloats() }

    // MARK: Choosing

    /// Before going backwards over the superblock: what its last transfer accepts, counts as written behind it.
    func expectPending() {
        expectedPending = 0
        let last = function.instructions[function.count - 1]
        guard !regionFloats.isEmpty, last.opcode == .exit, last.hint == .none else { return }
        expectedPending = accepted(at: UInt64(bitPattern: last.immediate)).canonicalNaNs
        guard expectedPending != 0 else { return }
        for slot in homes.indices where isExpected(slot) {
            overwrittenAt[slot] = observation
            overwrittenBy[slot] = Int32(function.count - 1)
        }
    }

    /// A transfer in the middle that does not accept it, and may be as likely as the last one, has it settled in front of both.
    func expectPending(at exit: Instruction) {
        let target = UInt64(bitPattern: exit.immediate)
        guard expectedPending != 0, let next = superblock(target, frame), weights[next] >= weights[currentBlock] else { return }
        let refused = expectedPending & ~accepted(at: target).canonicalNaNs
        guard refused != 0 else { return }
        for slot in homes.indices where isExpected(slot) && refused & (1 << UInt16(homes[slot])) != 0
            && overwrittenBy[slot] == Int32(function.count - 1)
        {
            overwrittenAt[slot] = 0
        }
        expectedPending &= ~refused
    }

    private func isExpected(_ slot: Int) -> Bool {
        homes[slot] != RegisterMap.none && map.slots[slot].type.isFloat && expectedPending & (1 << UInt16(homes[slot])) != 0
    }

    // MARK: Transfers

    /// Nothing has to be done before going to a superblock of this region.
    func isSettled(for target: UInt64) -> Bool { deferredSlots | storedSlots == 0 && pending.except(accepted(at: target)).isEmpty }

    /// Settles what is not accepted by who comes next.
    func settleHere(but accepted: PendingFloats = PendingFloats()) {
        let rest = pending.except(accepted)
        guard !rest.isEmpty else { return }
        settle(rest)
        pending = pending.except(rest)
    }
}

extension PendingFloats {
    /// Without the homes of which `other` has all that this has.
    func except(_ other: PendingFloats) -> PendingFloats {
        let kept = canonicalNaNs & ~other.canonicalNaNs | boxes & ~other.boxes
        return PendingFloats(canonicalNaNs: canonicalNaNs & kept, boxes: boxes & kept)
    }
}

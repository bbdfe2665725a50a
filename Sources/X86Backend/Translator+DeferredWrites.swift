// Writes of integer registers that are left to those who look; see `DeferredWrite`.
//
// Backwards over the superblock, `mayDefer` finds the writes for which it can be done. Where a value is computed, all its
// users have been seen: when they are such writes, and computations that are left out themselves, it is left out as well
// (sunk), if what it is made from is to be had as long as somebody may look. Going forwards, a deferred write keeps its origins
// alive for those who look, and the slot or home goes on holding what it did.

import IR
import X86

/// What to make a deferred value from: the values, and the steps without the places that they have.
struct DeferredRecipe {
    var value: Int32 = -1
    /// -1 for none.
    var first: Int32 = -1
    var second: Int32 = -1
    /// It is among what was noted last.
    var isNoted = false
    var write = DeferredWrite(slot: 0, offset: 0)
}

extension Translator {
    /// In `detail2` of a `write`: it may be deferred.
    static let isDeferredWrite: UInt8 = 4

    /// Values for which keeping the origin alive costs less than the store; how far apart, in instructions.
    private static let shortRange: Int32 = 8

    // MARK: Choosing

    /// Whether a side exit may be as likely as not: writes are not deferred across it, as catching up would cost more than it
    /// saves. Those that leave a region, or an inner loop of it, are unlikely.
    func isLikelyTaken(_ exit: Instruction) -> Bool {
        guard isRegion else { return true }
        let target = UInt64(bitPattern: exit.immediate)
        guard inside(target) != nil else { return false }
        return superblock(target, frame).map { weights[$0] >= weights[currentBlock] } ?? true
    }

    /// The write at `index` may be deferred: the one at `next` follows without anybody else who needs the state.
    func mayDefer(_ index: Int, until next: Int32) {
        let write = function.instructions[index], source = Int(write.a.index)
        guard write.slot < 64, function.instructions[source].type == .i64 else { return }
        function.instructions[index].detail2 = Translator.isDeferredWrite
        let last = lastLook(before: next)
        values[index].deferredUntil = last
        values[source].deferredUntil = max(values[source].deferredUntil, last)
        values[source].hiddenUses += 1
        if homes[write.slot] != RegisterMap.none { values[source].homeWrite = Int32(index) }
    }

    /// How long the origins of a write are needed. A load, unless it has to be looked up, takes effect after everybody has
    /// looked.
    private func lastLook(before next: Int32) -> Int32 {
        let observer = values[Int(next)].observer
        guard observer >= 0 else { return observer }
        switch function.instructions[Int(observer)].opcode {
        case .exitIf, .store: return observer
        case .load where softBuffer == nil: return observer
        default: return next
        }
    }

    /// Backwards, where a value is computed that deferred writes or sunk values use: whether it is sunk.
    func settleDeferral(_ index: Int) {
        let state = values[index], until = max(state.deferredUntil, state.sunkUntil)
        let isTested = state.useCount == state.hiddenUses + 1 && state.tester >= 0
        if state.useCount == state.hiddenUses || isTested, isWorthSinking(index, until, isTested) {
            values[index].isTested = isTested
            return sink(index, until)
        }
        values[index].lastUse = max(state.lastUse, state.sunkUntil)
        guard state.homeWrite >= 0, !isImmediate(index) else { return }
        if state.targetWrite < 0 { values[index].targetWrite = state.homeWrite }
        let slot = function.instructions[Int(state.homeWrite)].slot
        eagerlyWritten[slot] = min(eagerlyWritten[slot], state.homeWrite)
    }

    /// It can be computed later.
    private func isStep(_ i: Instruction) -> Bool {
        if DeferredWrite.Step.isUnary(i.opcode) { return true }
        guard DeferredWrite.Step.isBinary(i.opcode) else { return false }
        return immediate(i.b) != nil || !i.opcode.isShift
    }

    private func isUnary(_ i: Instruction) -> Bool { DeferredWrite.Step.isUnary(i.opcode) || immediate(i.b) != nil }

    /// Whether leaving out the computation is cheaper than keeping what it is made from: not when more values have to be kept
    /// then, nor the same number in scratch registers instead of a home.
    private func isWorthSinking(_ index: Int, _ until: Int32, _ isTested: Bool) -> Bool {
        let i = function.instructions[index], state = values[index]
        guard Int(state.stepsBehind) < DeferredWrite.longest, isStep(i) else { return false }
        if isUnary(i) {
            let a = Int(i.a.index)
            if values[a].isDeferred { return false }
            return isKept(a, until) || isTested || state.homeWrite < 0 || isSinkable(a)
        }
        let a = Int(i.a.index), b = Int(i.b.index)
        if state.hasPartner || values[a].isDeferred || values[b].isDeferred { return false }
        switch (isKept(a, until), isKept(b, until)) {
        case (true, true): return true
        case (false, false): return false
        case (let isKeptA, _): return isTested || state.homeWrite < 0 || isSinkable(isKeptA ? b : a)
        }
    }

    /// The operand of one that is sunk would be so itself.
    private func isSinkable(_ index: Int) -> Bool {
        values[index].useCount == values[index].hiddenUses + 1 && isStep(function.instructions[index])
    }

    /// The value is to be had until then anyway.
    private func isKept(_ index: Int, _ until: Int32) -> Bool {
        let state = values[index]
        if state.lastUse >= until || state.sunkUntil >= until || isImmediate(index) { return true }
        let slot = function.instructions[index].opcode == .read ? function.instructions[index].slot : Int(state.writtenSlot)
        guard slot >= 0 else { return false }
        let write = eagerlyWritten[slot]
        return write >= until || Int(function.instructions[Int(write)].a.index) == index
    }

    private func sink(_ index: Int, _ until: Int32) {
        let i = function.instructions[index], state = values[index]
        let steps = state.stepsBehind + 1, tester = state.isTested ? state.tester : -1
        values[index].isSunk = true
        if isUnary(i) { return leaveOrigin(Int(i.a.index), until, steps, tester, hasPartner: state.hasPartner) }
        // Only one of them may have further steps.
        let isFirst = isStep(function.instructions[Int(i.a.index)]), all = UInt8(DeferredWrite.longest)
        leaveOrigin(Int(i.a.index), until, isFirst ? steps : all, tester, hasPartner: true)
        leaveOrigin(Int(i.b.index), until, isFirst ? all : steps, tester, hasPartner: true)
    }

    private func leaveOrigin(_ index: Int, _ until: Int32, _ steps: UInt8, _ tester: Int32, hasPartner: Bool) {
        if tester < 0 {
            values[index].hiddenUses += 1
        } else {
            // A test needs it.
            values[index].lastUse = max(values[index].lastUse, tester, until)
        }
        values[index].sunkUntil = max(values[index].sunkUntil, until)
        values[index].stepsBehind = max(values[index].stepsBehind, steps)
        if hasPartner { values[index].hasPartner = true }
    }

    // MARK: Following

    /// Whether the write of a value, which may be deferred, is, now that it is known where the value is.
    func isWorthSuspending(_ slot: Int, _ value: Int, until: Int32) -> Bool {
        let state = values[value]
        if state.isSunk || isImmediate(value) { return true }
        if homes[slot] == RegisterMap.none {
            return homeRegister(value) != nil || state.lastUse >= until || until - state.lastUse <= Translator.shortRange
        }
        return homeRegister(value) != nil || isNeeded(holderOf: slot, besides: value)
    }

    /// Something that is needed later is nowhere but in the slot.
    func isNeeded(holderOf slot: Int, besides value: Int) -> Bool {
        let holder = Int(slotHolder[slot])
        guard holder >= 0, holder != value, values[holder].slot == Int16(slot) else { return false }
        let isElsewhere = values[holder].register != ValueState.nowhere || values[holder].spill >= 0 || isImmediate(holder)
        return values[holder].lastUse > Int32(current) && !isElsewhere
    }

    /// The write takes effect as a deferred one. What the slot holds stays there.
    func suspend(_ slot: Int, _ value: Int, until: Int32) {
        if !values[value].isSunk { values[value].lastUse = max(values[value].lastUse, until) }
        storedSlots &= ~(1 << UInt64(slot))
        deferredSlots |= 1 << UInt64(slot)
        var recipe = DeferredRecipe(value: Int32(value), write: DeferredWrite(slot: Int16(slot), offset: map.slots[slot].offset))
        collect(value, into: &recipe, isSecond: false)
        recipes[slot] = recipe
        record(.suspend(slot: slot, value: value))
    }

    private func collect(_ value: Int, into recipe: inout DeferredRecipe, isSecond: Bool) {
        guard values[value].isSunk else {
            if isSecond { recipe.second = Int32(value) } else { recipe.first = Int32(value) }
            return
        }
        let i = function.instructions[value], isUnary = isUnary(i)
        collect(Int(i.a.index), into: &recipe, isSecond: isSecond)
        if !isUnary { collect(Int(i.b.index), into: &recipe, isSecond: true) }
        recipe.write.append(
            DeferredWrite.Step(
                opcode: i.opcode, type: i.type, detail: i.detail, operands: !isUnary ? .both : isSecond ? .second : .first,
                constant: isUnary && DeferredWrite.Step.isBinary(i.opcode) ? immediate(i.b)! : 0))
    }

    /// The slot is about to be written with `value`: nobody can see what was deferred any more.
    @inline(__always)
    func resume(_ slot: Int, keeping value: Int) {
        guard slot < 64, deferredSlots & (1 << UInt64(slot)) != 0 else { return }
        deferredSlots &= ~(1 << UInt64(slot))
        release(origin: Int(recipes[slot].first), keeping: value)
        let second = Int(recipes[slot].second)
        if second >= 0 { release(origin: second, keeping: value) }
    }

    private func release(origin: Int, keeping value: Int) {
        if values[origin].lastUse <= Int32(current), origin != value { free(origin) }
    }

    // MARK: Those who look

    /// What is deferred now: indices into `deferredWrites`.
    func noteDeferred() -> Range<Int> {
        guard deferredSlots | storedSlots != 0 else { return 0 ..< 0 }
        var isSame = deferredSlots == lastDeferredSlots && storedSlots == lastStoredSlots, rest = deferredSlots
        while rest != 0 {
            let slot = rest.trailingZeroBitCount
            rest &= rest &- 1
            let first = place(Int(recipes[slot].first))
            let second = recipes[slot].second < 0 ? DeferredWrite.Place.none : place(Int(recipes[slot].second))
            if !recipes[slot].isNoted || recipes[slot].write.first != first || recipes[slot].write.second != second {
                isSame = false
                recipes[slot].write.first = first
                recipes[slot].write.second = second
            }
            record(promise(recipes[slot]))
        }
        rest = storedSlots
        while rest != 0 {
            record(.recall(slot: rest.trailingZeroBitCount))
            rest &= rest &- 1
        }
        // Mostly the same as at the last place.
        if isSame { return lastDeferred }
        let start = deferredWrites.count
        rest = deferredSlots
        while rest != 0 {
            let slot = rest.trailingZeroBitCount
            rest &= rest &- 1
            recipes[slot].isNoted = true
            deferredWrites.append(recipes[slot].write)
        }
        rest = storedSlots
        while rest != 0 {
            let slot = rest.trailingZeroBitCount, offset = map.slots[slot].offset
            rest &= rest &- 1
            deferredWrites.append(DeferredWrite(slot: Int16(slot), offset: offset, first: .memory(offset)))
        }
        lastDeferredSlots = deferredSlots
        lastStoredSlots = storedSlots
        lastDeferred = start ..< deferredWrites.count
        return lastDeferred
    }

    /// Where the origin is now.
    private func place(_ origin: Int) -> DeferredWrite.Place {
        if let number = constant(Value(origin)) { return .constant(number) }
        if let address = guestAddress(Value(origin)) { return .guestAddress(address) }
        let state = values[origin]
        if state.register != ValueState.nowhere { return .register(state.register) }
        if let home = homeRegister(origin) { return .register(home) }
        if state.slot >= 0 { return .memory(map.slots[Int(state.slot)].offset) }
        if state.spill >= 0 { return .memory(RegisterMap.spillOffset + Int32(state.spill) * 8) }
        preconditionFailure("the origin %\(origin) of a deferred write is nowhere")
    }

    private func promise(_ recipe: DeferredRecipe) -> AllocationEvent {
        var origins = [promised(Int(recipe.first))]
        if recipe.second >= 0 { origins.append(promised(Int(recipe.second))) }
        return .promise(slot: Int(recipe.write.slot), value: Int(recipe.value), origins)
    }

    private func promised(_ origin: Int) -> AllocationEvent.Origin {
        let state = values[origin]
        if isImmediate(origin) { return AllocationEvent.Origin(value: origin, place: nil) }
        if state.register != ValueState.nowhere { return AllocationEvent.Origin(value: origin, place: .register(state.register)) }
        return AllocationEvent.Origin(value: origin, place: state.slot >= 0 ? .slot(Int(state.slot)) : .spill(Int(state.spill)))
    }

    /// A load is about to take the place of what is seen while it may fault.
    func noteBeforeResult() {
        guard looksDuringCurrent, seenDuringCurrent == nil, softBuffer == nil else { return }
        seenDuringCurrent = noteDeferred()
    }

    /// Notes what is deferred for faults in the code from `start` on.
    func noteDeferringCode(from start: Int) {
        let writes = seenDuringCurrent ?? noteDeferred()
        if let last = deferringCode.last, last.writes == writes, Int(last.code.upperBound) == start {
            deferringCode[deferringCode.count - 1].code = last.code.lowerBound ..< UInt32(truncatingIfNeeded: asm.offset)
        } else {
            deferringCode.append(
                DeferringCode(code: UInt32(truncatingIfNeeded: start) ..< UInt32(truncatingIfNeeded: asm.offset), writes: writes))
        }
    }
}

extension Opcode {
    /// Shifts a first operand by a second.
    var isShift: Bool { self == .shiftLeft || self == .shiftRightLogical || self == .shiftRightArithmetic }
}

// Moves additions and small shifts into the addresses of loads and stores, which the host computes for nothing.
//
// Only where it does not keep more values alive: the sum then disappears, or its operand is needed later anyway. It disappears
// as well when only guest registers get it that are written again soon: the back end defers such writes.

import IR

package let addressFolding = Pass(name: "address", option: .addressFolding) { function, context in
    context.countUses(function)
    var folding = AddressFolding(function, context)
    context.time = folding.countUses(function.leavesSeldom, context.slots, since: context.time)
    for index in 0 ..< function.count { folding.visit(index) }
}

private struct AddressFolding {
    let instructions: UnsafeMutablePointer<Instruction>
    let count: Int
    /// Uses of each value behind the current instruction.
    let remaining: UnsafeMutablePointer<UInt32>
    /// All uses of each value but deferrable writes.
    let total: UnsafeMutablePointer<UInt32>
    /// The same without those as the base of a load or store.
    let otherUses: UnsafeMutablePointer<UInt32>
    private let hasOneBlock: Bool

    init(_ function: Function, _ context: PassContext) {
        instructions = function.instructions
        count = function.count
        hasOneBlock = function.blocks.count == 1
        remaining = context.uses
        total = context.table
        otherUses = context.list
    }

    /// Writes are deferrable whose register is written again before somebody is likely to look.
    /// - Parameter start: older knowledge of slots is void.
    /// - Returns: when what is known of them now is void.
    func countUses(_ leavesSeldom: Bool, _ slots: UnsafeMutablePointer<PassContext.SlotKnowledge>, since start: Int64) -> Int64 {
        total.update(from: remaining, count: count)
        otherUses.update(from: remaining, count: count)
        var since = start
        for index in 0 ..< count {
            switch instructions[index].opcode {
            case .load, .store: otherUses[Int(instructions[index].a.index)] &-= 1
            case .write:
                let slot = instructions[index].slot
                guard slot < PassContext.slotCapacity else { continue }
                if slots[slot].writeTime > since { discount(instructions[Int(slots[slot].write)].a) }
                slots[slot].write = UInt32(truncatingIfNeeded: index)
                slots[slot].writeTime = start &+ Int64(index) &+ 1
            case .read:
                let slot = instructions[index].slot
                if slot < PassContext.slotCapacity { slots[slot].writeTime = 0 }
            case .interpretOne: since = start &+ Int64(index) &+ 1
            case .exitIf: if !leavesSeldom { since = start &+ Int64(index) &+ 1 }
            default: break
            }
        }
        return start &+ Int64(count) &+ 1
    }

    private func discount(_ value: Value) {
        total[Int(value.index)] &-= 1
        otherUses[Int(value.index)] &-= 1
    }

    private func isAccess(_ opcode: Opcode) -> Bool { opcode == .load || opcode == .store }

    func visit(_ index: Int) {
        let operandCount = hasOneBlock ? 3 : instructions[index].opcode.operandCount
        if operandCount > 0 { release(instructions[index].a) }
        if operandCount > 1 { release(instructions[index].b) }
        if operandCount > 2, !instructions[index].c.isNone { release(instructions[index].c) }
        guard isAccess(instructions[index].opcode) else { return }
        // A sum of sums is rare; the bound keeps the work small.
        var rounds = 0
        while rounds < 3 && foldBase(index) { rounds += 1 }
        if instructions[index].b.isNone { return }
        // What is left of a sum in the base may be shifted.
        if instructions[index].access.scale == 1, scale(of: instructions[index].a) > 1, scale(of: instructions[index].b) == 1 {
            swap(&instructions[index].a, &instructions[index].b)
        }
        foldIndex(index)
    }

    @inline(__always) private func release(_ value: Value) {
        remaining[value.place] &-= 1
    }

    private func constant(_ value: Value) -> Int64? {
        let definition = instructions[Int(value.index)]
        return definition.opcode == .constant ? definition.immediate : nil
    }

    /// Adds a constant to the displacement when the sum fits.
    private func displace(_ index: Int, by amount: Int64) -> Bool {
        let sum = instructions[index].immediate &+ amount
        guard Int64(Int32(truncatingIfNeeded: sum)) == sum else { return false }
        instructions[index].immediate = sum
        return true
    }

    private func foldBase(_ index: Int) -> Bool {
        let base = instructions[index].a
        let sum = instructions[Int(base.index)]
        guard sum.opcode == .add else { return false }
        let disappears = otherUses[Int(base.index)] == 0
        if let amount = constant(sum.b) {
            guard disappears || remaining[Int(sum.a.index)] > 0, displace(index, by: amount) else { return false }
            instructions[index].a = sum.a
            // The sum dies: its operand is an address now instead.
            if total[Int(base.index)] == 1 { otherUses[Int(sum.a.index)] &-= 1 }
            return true
        }
        guard disappears, instructions[index].b.isNone else { return false }
        // With several users both operands would have to live as long as the last of them.
        let operandsLive = remaining[Int(sum.a.index)] > 0 && remaining[Int(sum.b.index)] > 0
        guard total[Int(base.index)] == 1 || operandsLive else { return false }
        let isShiftedA = scale(of: sum.a) > 1 && scale(of: sum.b) == 1
        instructions[index].a = isShiftedA ? sum.b : sum.a
        instructions[index].b = isShiftedA ? sum.a : sum.b
        if total[Int(base.index)] == 1 { otherUses[Int(instructions[index].a.index)] &-= 1 }
        return true
    }

    /// 2, 4 or 8 for a value shifted left by a constant, otherwise 1.
    private func scale(of value: Value) -> Int {
        let shift = instructions[Int(value.index)]
        guard shift.opcode == .shiftLeft, shift.type == .i64, let amount = constant(shift.b), 1 ... 3 ~= amount else { return 1 }
        return 1 << Int(truncatingIfNeeded: amount)
    }

    private func foldIndex(_ index: Int) {
        foldShift(index)
        let sum = instructions[Int(instructions[index].b.index)]
        let factor = Int64(instructions[index].access.scale)
        if sum.opcode == .add, remaining[Int(sum.a.index)] > 0 || otherUses[Int(instructions[index].b.index)] <= 1,
            let amount = constant(sum.b), amount.magnitude < 1 << 31, displace(index, by: amount &* factor)
        {
            instructions[index].b = sum.a
            foldShift(index)
        }
    }

    private func foldShift(_ index: Int) {
        let i = instructions[index], scale = scale(of: i.b)
        guard scale > 1, i.access.scale == 1 else { return }
        instructions[index].b = instructions[Int(i.b.index)].a
        instructions[index].detail = i.access.scaled(by: scale).rawValue
    }
}

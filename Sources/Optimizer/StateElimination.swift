// Removes reads of guest registers whose content is known, and writes that nobody can see.
//
// A write may go only when another write of the slot follows before anything that observes the state: a fault or an exit
// must find every register in its place. Knowledge ends with the block, and at an instruction left to the interpreter.

import IR

package let stateElimination = Pass(name: "state", option: .state) { function, context in
    context.resetForward(function.count)
    var elimination = StateElimination(function.instructions, context)
    for block in function.blocks { elimination.run(Int(block.start), Int(block.end)) }
    context.time = elimination.time
    if elimination.replacedReads { context.forwardAll(function) }
}

private struct StateElimination {
    let instructions: UnsafeMutablePointer<Instruction>
    let forward: UnsafeMutablePointer<UInt32>
    let slots: UnsafeMutablePointer<PassContext.SlotKnowledge>
    var time: Int64
    var replacedReads = false
    private let columns: OpcodeColumns
    /// Older knowledge of contents, and of removable writes, is void.
    private var contentsSince: Int64 = 0
    private var writesSince: Int64 = 0

    init(_ instructions: UnsafeMutablePointer<Instruction>, _ context: PassContext) {
        self.instructions = instructions
        forward = context.forward
        slots = context.slots
        columns = context.columns
        time = context.time
    }

    mutating func run(_ start: Int, _ end: Int) {
        contentsSince = time
        writesSince = time
        for index in start ..< end {
            time += 1
            switch instructions[index].opcode {
            case .read: read(index)
            case .write: write(index)
            case .interpretOne:
                contentsSince = time
                writesSince = time
            default:
                if !columns.effects(of: instructions[index].opcode).isDisjoint(with: .observesState) { writesSince = time }
            }
        }
    }

    private mutating func read(_ index: Int) {
        let slot = instructions[index].slot
        guard slot < PassContext.slotCapacity else { return }
        if slots[slot].valueTime > contentsSince, instructions[Int(slots[slot].value)].type == instructions[index].type {
            forward[index] = slots[slot].value
            instructions[index] = Instruction(.nop)
            replacedReads = true
        } else {
            // An unforwarded read sees the last write.
            slots[slot].writeTime = 0
            slots[slot].value = UInt32(truncatingIfNeeded: index)
            slots[slot].valueTime = time
        }
    }

    private mutating func write(_ index: Int) {
        let slot = instructions[index].slot
        guard slot < PassContext.slotCapacity else { return }
        var value = instructions[index].a.index
        // The value may be a read that was replaced in this pass.
        while forward[Int(value)] != value { value = forward[Int(value)] }
        if slots[slot].valueTime > contentsSince && slots[slot].value == value {
            instructions[index] = Instruction(.nop)
            return
        }
        if slots[slot].writeTime > writesSince { instructions[Int(slots[slot].write)] = Instruction(.nop) }
        slots[slot].write = UInt32(truncatingIfNeeded: index)
        slots[slot].writeTime = time
        slots[slot].value = value
        slots[slot].valueTime = time
    }
}

// Removes computations whose results nobody uses; the effects column says what must stay.

import IR

package let deadCode = Pass(name: "dead-code", option: .deadCode) { function, context in
    let instructions = function.instructions, uses = context.uses, columns = context.columns
    if function.blocks.count > 1 { return removeUnreachedValues(function, context) }
    // In a single block every use lies behind the definition: one walk back sees all users first.
    uses.update(repeating: 0, count: function.count)
    var index = function.count
    while index > 0 {
        index -= 1
        let instruction = instructions[index]
        if uses[index] == 0 && columns.effects(of: instruction.opcode).isDisjoint(with: .keeps) {
            if instruction.opcode != .nop { instructions[index] = Instruction(.nop) }
            continue
        }
        uses[instruction.a.place] = 1
        uses[instruction.b.place] = 1
        uses[instruction.c.place] = 1
    }
}

/// Marks from the effects, through operands, in any order of blocks. Block parameters and their arguments stay.
private func removeUnreachedValues(_ function: Function, _ context: PassContext) {
    let instructions = function.instructions, marked = context.uses, pending = context.list
    var pendingCount = 0
    marked.update(repeating: 0, count: function.count)
    func mark(_ value: Value) {
        guard !value.isNone, marked[Int(value.index)] == 0 else { return }
        marked[Int(value.index)] = 1
        pending[pendingCount] = value.index
        pendingCount += 1
    }
    for index in 0 ..< function.count
    where instructions[index].opcode == .parameter || !instructions[index].opcode.effects.isDisjoint(with: .keeps) {
        mark(Value(index))
    }
    for argument in function.arguments { mark(argument) }
    while pendingCount > 0 {
        pendingCount -= 1
        let instruction = instructions[Int(pending[pendingCount])]
        let count = instruction.opcode.operandCount
        if count > 0 { mark(instruction.a) }
        if count > 1 { mark(instruction.b) }
        if count > 2 { mark(instruction.c) }
    }
    for index in 0 ..< function.count where marked[index] == 0 { instructions[index] = Instruction(.nop) }
}

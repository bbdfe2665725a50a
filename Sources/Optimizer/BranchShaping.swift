// Brings conditions into the form that back ends fuse with the jump or selection, and settles those that are known.

import IR

package let branchShaping = Pass(name: "branch", option: .branchShaping) { function, context in
    let instructions = function.instructions
    var index = 0
    // `count` shrinks to the end of the code when an exit is always taken.
    while index < function.count {
        switch instructions[index].opcode {
        case .select: shapeSelect(instructions + index, instructions)
        case .branch: shapeBranch(instructions + index, instructions)
        case .exitIf: settleExit(function, index)
        default: break
        }
        index += 1
    }
}

/// The float comparison whose failing `condition` asks for, or none. Integer comparisons were inverted by folding; those of
/// floats have no inverse, because of NaNs.
private func negatedComparison(_ condition: Value, _ instructions: UnsafeMutablePointer<Instruction>) -> Value {
    let compare = instructions[Int(condition.index)]
    guard compare.opcode == .compare, compare.condition == .equal, instructions[Int(compare.a.index)].opcode == .floatCompare else { return .none }
    let zero = instructions[Int(compare.b.index)]
    return zero.opcode == .constant && zero.immediate == 0 ? compare.a : .none
}

private func shapeSelect(_ select: UnsafeMutablePointer<Instruction>, _ instructions: UnsafeMutablePointer<Instruction>) {
    let comparison = negatedComparison(select.pointee.a, instructions)
    if comparison.isNone { return }
    select.pointee.a = comparison
    let then = select.pointee.b
    select.pointee.b = select.pointee.c
    select.pointee.c = then
}

private func shapeBranch(_ branch: UnsafeMutablePointer<Instruction>, _ instructions: UnsafeMutablePointer<Instruction>) {
    // The arguments of the two targets would have to change places.
    guard branch.pointee.immediate >> 32 == 0 else { return }
    let comparison = negatedComparison(branch.pointee.a, instructions)
    if comparison.isNone { return }
    branch.pointee.a = comparison
    let then = branch.pointee.b
    branch.pointee.b = branch.pointee.c
    branch.pointee.c = then
}

private func settleExit(_ function: Function, _ index: Int) {
    let exit = function.instructions[index]
    let condition = function.instructions[Int(exit.a.index)]
    guard condition.opcode == .constant else { return }
    if condition.immediate == 0 {
        function.instructions[index] = Instruction(.nop)
    } else if function.blocks.count == 1 {
        function.instructions[index] = Instruction(.exit, immediate: exit.immediate)
        for rest in index + 1 ..< function.count { function.instructions[rest] = Instruction(.nop) }
        function.blocks[0].end = Int32(truncatingIfNeeded: index + 1)
    }
}

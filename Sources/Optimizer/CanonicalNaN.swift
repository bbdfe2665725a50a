// Lets float arithmetic read results of float arithmetic before they are made canonical, where that makes the
// canonicalisation superfluous.
//
// Arithmetic, comparisons and conversions treat all quiet NaNs alike, and the result of arithmetic is never a signalling
// one. Operations on bits, stores and registers need the canonical NaN.

import IR

package let canonicalNaN = Pass(name: "canonical-nan", option: .canonicalNaN) { function, context in
    let instructions = function.instructions, needed = context.uses
    var found = false
    for index in 0 ..< function.count where instructions[index].opcode == .canonicalNaN {
        needed[index] = 0
        found = true
    }
    guard found else { return }
    markNeeded(function, needed)
    context.resetForward(function.count)
    for index in 0 ..< function.count {
        let i = instructions[index]
        guard i.opcode == .canonicalNaN, needed[index] == 0, instructions[Int(i.a.index)].opcode.makesQuietNaNs else { continue }
        context.forward[index] = i.a.index
        instructions[index] = Instruction(.nop)
    }
    context.forwardAll(function)
}

/// Marks the canonicalisations that have a user which tells NaNs apart.
private func markNeeded(_ function: Function, _ needed: UnsafeMutablePointer<UInt32>) {
    let instructions = function.instructions
    func mark(_ value: Value) {
        if !value.isNone && instructions[Int(value.index)].opcode == .canonicalNaN { needed[Int(value.index)] = 1 }
    }
    for index in 0 ..< function.count {
        let i = instructions[index]
        if i.opcode.treatsQuietNaNsAlike { continue }
        let count = i.opcode.operandCount
        if count > 0 { mark(i.a) }
        if count > 1 { mark(i.b) }
        if count > 2 { mark(i.c) }
    }
    for argument in function.arguments { mark(argument) }
}

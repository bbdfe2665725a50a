// Comparisons into flags, and what consumes flags: set, select.

import IR
import X86

extension IR.Condition {
    var x86: X86.Condition {
        switch self {
        case .equal: .e
        case .notEqual: .ne
        case .lessSigned: .l
        case .greaterOrEqualSigned: .ge
        case .lessOrEqualSigned: .le
        case .greaterSigned: .g
        case .lessUnsigned: .b
        case .greaterOrEqualUnsigned: .ae
        case .lessOrEqualUnsigned: .be
        case .greaterUnsigned: .a
        }
    }
}

extension Translator {
    /// Sets the flags for a comparison; returns the condition under which it holds.
    func emitComparison(_ i: Instruction) -> X86.Condition {
        let width = comparedWidth(i)
        if let inner = fusableAnd(i), values[inner].isDeferred || values[inner].isTested {
            emitTest(function.instructions[inner], width)
            return i.condition.x86
        }
        if constant(i.a) != nil, constant(i.b) == nil {
            let b = use(i.b)
            compare(width, b, operand(i.a))
            return i.condition.swapped.x86
        }
        let a = use(i.a)
        if isConstant(i.b, 0), i.condition == .equal || i.condition == .notEqual || i.condition == .lessSigned
            || i.condition == .greaterOrEqualSigned || i.condition == .lessOrEqualSigned || i.condition == .greaterSigned
        {
            asm.test(width, a, a)
        } else {
            compare(width, a, operand(i.b))
        }
        return i.condition.x86
    }

    private func compare(_ width: Width, _ a: Register, _ b: Operand) {
        switch b {
        case .register(let register): asm.cmp(width, a, register)
        case .memory(let memory): asm.cmp(width, a, memory)
        case .immediate(let number): asm.cmp(width, a, imm: number)
        }
    }

    private func emitTest(_ i: Instruction, _ width: Width) {
        let a = use(i.a)
        switch operand(i.b) {
        case .register(let register): asm.test(width, a, register)
        case .memory(let memory): asm.test(width, memory, a)
        case .immediate(let number): asm.test(width, a, imm: number)
        }
    }

    /// Flags for the value `condition` being nonzero.
    func emitCondition(_ condition: Value) -> X86.Condition {
        let index = Int(condition.index)
        if values[index].isDeferred || values[index].isTested {
            let comparison = function.instructions[index]
            if comparison.opcode == .and {
                emitTest(comparison, comparison.type.width)
                return .ne
            }
            return comparison.opcode == .compare ? emitComparison(comparison) : emitFloatComparison(comparison)
        }
        let register = use(condition)
        let width = function.instructions[index].type.width
        asm.test(width, register, register)
        return .ne
    }

    /// The flag as 0 or 1.
    func materialise(_ condition: X86.Condition, _ index: Int) {
        let destination = define(index)
        asm.setcc(condition, destination)
        asm.movzx(.long, destination, from: .byte, destination)
    }

    func lowerSelect(_ i: Instruction, _ index: Int) {
        let condition = emitCondition(i.a)
        // The comparison is done: its registers need not be kept. Everything below leaves the flags alone.
        locked = 0
        if i.type.isFloat { return selectVector(condition, i, index) }
        let whenTrue = use(i.b), whenFalse = use(i.c)
        let destination = define(index, reusing: i.c, i.b)
        let width = i.type.width
        if destination == whenFalse {
            asm.cmovcc(condition, width, destination, whenTrue)
        } else if destination == whenTrue {
            asm.cmovcc(condition.inverted, width, destination, whenFalse)
        } else {
            asm.mov(width, destination, whenFalse)
            asm.cmovcc(condition, width, destination, whenTrue)
        }
    }

    private func selectVector(_ condition: X86.Condition, _ i: Instruction, _ index: Int) {
        let whenTrue = useVector(i.b), whenFalse = useVector(i.c)
        let result = allocateVector(), skip = asm.makeLabel()
        asm.movaps(result, whenTrue)
        asm.jcc(condition, skip)
        asm.movaps(result, whenFalse)
        asm.bind(skip)
        finish(index, in: result)
    }
}

// Rules for operations on the representation of floats. Arithmetic is never folded: it raises flags.

import IR

extension Folder {
    func floatBits(_ i: Instruction, _ index: Int) -> Outcome {
        let inner = definition(i.a)
        switch (i.opcode, inner.opcode) {
        case (.canonicalNaN, .canonicalNaN), (.canonicalNaN, .floatMinimum), (.canonicalNaN, .floatMaximum),
            (.canonicalNaN, .integerToFloat):
            // A minimum is one of its operands, or canonical, unless the operand was a NaN: then it is the other one.
            return .replaced(i.a)
        case (.floatNegate, .floatNegate): return .replaced(inner.a)
        case (.floatAbsolute, .floatAbsolute): return .replaced(i.a)
        case (.floatAbsolute, .floatNegate): return become(index, Instruction(.floatAbsolute, i.type, a: inner.a))
        case (.copySign, _) where i.a == i.b: return .replaced(i.a)
        case (.copySignNegated, _) where i.a == i.b: return become(index, Instruction(.floatNegate, i.type, a: i.a))
        case (.copySignXor, _) where i.a == i.b: return become(index, Instruction(.floatAbsolute, i.type, a: i.a))
        case (.unbox, .box): return .replaced(inner.a)
        case (.bitcast, .bitcast): return .replaced(inner.a)
        case (.bitcast, .load) where isUsedOnce(i.a) && inner.access.bytes == i.type.byteCount:
            instructions[Int(i.a.index)].type = i.type
            return .replaced(i.a)
        case (_, .constant): return ofConstant(i, index, inner)
        default: return .nothing
        }
    }

    private func ofConstant(_ i: Instruction, _ index: Int, _ inner: Instruction) -> Outcome {
        let bits = pattern(inner.immediate, inner.type)
        switch i.opcode {
        case .bitcast: return become(index, constant: bits)
        case .box: return become(index, constant: bits | 0xffff_ffff_0000_0000)
        case .unbox: return become(index, constant: bits >> 32 == 0xffff_ffff ? bits : 0x7fc0_0000)
        default: return .nothing
        }
    }
}

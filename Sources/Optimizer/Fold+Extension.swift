// Rules for sign extension, zero extension and truncation.

import IR

extension Folder {
    mutating func signExtend(_ i: Instruction, _ index: Int) -> Outcome {
        if constant(i.a) != nil { return foldedUnary(i, index) }
        let inner = definition(i.a), known = significantBits(i.a)
        if inner.type == i.type && known.signed <= i.detail { return .replaced(i.a) }
        switch inner.opcode {
        case .signExtend where inner.detail <= i.detail:
            return become(index, Instruction(.signExtend, i.type, a: inner.a, detail: inner.detail))
        case .zeroExtend where inner.detail < i.detail:
            return become(index, Instruction(.zeroExtend, i.type, a: inner.a, detail: inner.detail))
        case .signExtend, .zeroExtend, .truncate:
            guard inner.opcode == .truncate || inner.detail >= i.detail else { return .nothing }
            return become(index, Instruction(.signExtend, i.type, a: inner.a, detail: i.detail))
        case .load where isUsedOnce(i.a):
            let isExtended = inner.access.isSigned || inner.access.bytes < 4
            return widenLoad(i, index, inner, mayWiden: known.signed <= i.detail && isExtended)
        default:
            // Which costs nothing behind what is computed in 32 bits.
            guard inner.type == .i32, i.type == .i64, known.unsigned < i.detail else { return .nothing }
            return become(index, Instruction(.zeroExtend, .i64, a: i.a, detail: 32))
        }
    }

    mutating func zeroExtend(_ i: Instruction, _ index: Int) -> Outcome {
        if constant(i.a) != nil { return foldedUnary(i, index) }
        let inner = definition(i.a)
        let known = significantBits(i.a)
        if inner.type == i.type && known.unsigned <= i.detail { return .replaced(i.a) }
        switch inner.opcode {
        case .zeroExtend where inner.detail <= i.detail:
            return become(index, Instruction(.zeroExtend, i.type, a: inner.a, detail: inner.detail))
        case .signExtend, .zeroExtend, .truncate:
            guard inner.opcode == .truncate || inner.detail >= i.detail else { return .nothing }
            return become(index, Instruction(.zeroExtend, i.type, a: inner.a, detail: i.detail))
        case .load: return widenLoad(i, index, inner, mayWiden: !inner.access.isSigned && known.unsigned <= i.detail)
        default: return .nothing
        }
    }

    /// An i32 load that only this extension uses becomes an i64 load, which extends as it did.
    private func widenLoad(_ i: Instruction, _ index: Int, _ load: Instruction, mayWiden: Bool) -> Outcome {
        guard mayWiden, i.type == .i64, load.type == .i32, isUsedOnce(i.a) else { return .nothing }
        instructions[Int(i.a.index)].type = .i64
        return .replaced(i.a)
    }

    mutating func truncate(_ i: Instruction, _ index: Int) -> Outcome {
        if constant(i.a) != nil { return foldedUnary(i, index) }
        let inner = definition(i.a)
        switch inner.opcode {
        case .signExtend where inner.detail == 32, .zeroExtend where inner.detail == 32:
            if type(inner.a) == .i32 { return .replaced(inner.a) }
            return become(index, Instruction(.truncate, .i32, a: inner.a))
        case .signExtend, .zeroExtend: return become(index, Instruction(inner.opcode, .i32, a: inner.a, detail: inner.detail))
        case .load where inner.access.bytes <= 4 && isUsedOnce(i.a):
            instructions[Int(i.a.index)].type = .i32
            return .replaced(i.a)
        default: return .nothing
        }
    }
}

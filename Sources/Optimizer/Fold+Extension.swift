// Rules for sign extension, zero extension and truncation.

import IR

extension Folder {
    /// Upper bound of the low bits of a value that may be nonzero.
    func unsignedBits(_ value: Value) -> UInt8 {
        let definition = definition(value)
        let width = UInt8(truncatingIfNeeded: definition.type.byteCount * 8)
        switch definition.opcode {
        case .compare, .floatCompare: return 1
        case .zeroExtend: return min(definition.detail, width)
        case .load where !definition.access.isSigned: return UInt8(truncatingIfNeeded: definition.access.bytes * 8)
        case .constant: return width &- UInt8(truncatingIfNeeded: pattern(definition.immediate, definition.type).leadingZeroBitCount &- (64 &- Int(width)))
        case .countLeadingZeros, .countTrailingZeros, .populationCount: return 7
        case .and:
            guard let mask = constant(definition.b), mask >= 0 else { return width }
            return UInt8(truncatingIfNeeded: 64 &- mask.leadingZeroBitCount)
        case .shiftRightLogical:
            guard let amount = constant(definition.b) else { return width }
            return width &- UInt8(truncatingIfNeeded: amount & Int64(width &- 1))
        default: return width
        }
    }

    /// Upper bound of the low bits from which, sign-extended, the value can be had.
    func signedBits(_ value: Value) -> UInt8 {
        let definition = definition(value)
        let width = UInt8(truncatingIfNeeded: definition.type.byteCount * 8)
        switch definition.opcode {
        case .signExtend: return min(definition.detail, width)
        case .load where definition.access.isSigned: return UInt8(truncatingIfNeeded: definition.access.bytes * 8)
        case .shiftRightArithmetic:
            guard let amount = constant(definition.b) else { return width }
            return width &- UInt8(truncatingIfNeeded: amount & Int64(width &- 1))
        default: return min(unsignedBits(value) &+ 1, width)
        }
    }

    mutating func signExtend(_ i: Instruction, _ index: Int) -> Outcome {
        if constant(i.a) != nil { return foldedUnary(i, index) }
        let inner = definition(i.a)
        if inner.type == i.type && (i.detail >= i.type.byteCount * 8 || signedBits(i.a) <= i.detail) { return .replaced(i.a) }
        switch inner.opcode {
        case .signExtend where inner.detail <= i.detail:
            return become(index, Instruction(.signExtend, i.type, a: inner.a, detail: inner.detail))
        case .zeroExtend where inner.detail < i.detail:
            return become(index, Instruction(.zeroExtend, i.type, a: inner.a, detail: inner.detail))
        case .signExtend, .zeroExtend, .truncate:
            guard inner.opcode == .truncate || inner.detail >= i.detail else { return .nothing }
            return become(index, Instruction(.signExtend, i.type, a: inner.a, detail: i.detail))
        case .load: return widenLoad(i, index, inner, mayWiden: signedBits(i.a) <= i.detail && (inner.access.isSigned || inner.access.bytes < 4))
        default: return .nothing
        }
    }

    mutating func zeroExtend(_ i: Instruction, _ index: Int) -> Outcome {
        if constant(i.a) != nil { return foldedUnary(i, index) }
        let inner = definition(i.a)
        if inner.type == i.type && unsignedBits(i.a) <= i.detail { return .replaced(i.a) }
        switch inner.opcode {
        case .zeroExtend where inner.detail <= i.detail:
            return become(index, Instruction(.zeroExtend, i.type, a: inner.a, detail: inner.detail))
        case .signExtend, .zeroExtend, .truncate:
            guard inner.opcode == .truncate || inner.detail >= i.detail else { return .nothing }
            return become(index, Instruction(.zeroExtend, i.type, a: inner.a, detail: i.detail))
        case .load: return widenLoad(i, index, inner, mayWiden: !inner.access.isSigned && unsignedBits(i.a) <= i.detail)
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

// Rules for integer arithmetic, logic and shifts.

import IR

extension Folder {
    mutating func arithmetic(_ i: Instruction, _ index: Int) -> Outcome {
        let left = constant(i.a)
        guard let right = constant(i.b) else {
            if left != nil && i.opcode != .subtract { return exchange(index) }
            return i.a == i.b ? ofEqualOperands(i, index) : .nothing
        }
        if let left {
            let bits = IntegerEvaluation.result(of: i.opcode, i.type, detail: 0, pattern(left, i.type), pattern(right, i.type))
            return become(index, constant: bits)
        }
        if right == 0 {
            let annihilates = i.opcode == .multiply || i.opcode == .and
            return annihilates ? become(index, constant: 0) : .replaced(i.a)
        }
        switch i.opcode {
        case .subtract:
            let negated = makeConstant(i.type, wrapped(0 &- right, i.type), insteadOf: i.b)
            return negated.isNone ? .nothing : become(index, Instruction(.add, i.type, a: i.a, b: negated))
        case .multiply: return multiply(i, index, by: right)
        case .and where right == -1: return .replaced(i.a)
        case .and where right == 0xffff_ffff:
            return become(index, Instruction(.zeroExtend, .i64, a: i.a, detail: 32))
        case .and where right > 0 && right & (right &+ 1) == 0 && significantBits(i.a).unsigned <= 64 - right.leadingZeroBitCount:
            return .replaced(i.a)
        case .or where right == -1: return become(index, constant: ~0)
        default: return reassociate(i, index, right)
        }
    }

    private func exchange(_ index: Int) -> Outcome {
        swap(&instructions[index].a, &instructions[index].b)
        return .rewritten
    }

    private func ofEqualOperands(_ i: Instruction, _ index: Int) -> Outcome {
        switch i.opcode {
        case .subtract, .xor: become(index, constant: 0)
        case .and, .or: .replaced(i.a)
        default: .nothing
        }
    }

    private func wrapped(_ value: Int64, _ type: Type) -> Int64 { type == .i32 ? Int64(Int32(truncatingIfNeeded: value)) : value }

    private mutating func multiply(_ i: Instruction, _ index: Int, by factor: Int64) -> Outcome {
        if factor == 1 { return .replaced(i.a) }
        let bits = pattern(factor, i.type)
        guard bits & (bits &- 1) == 0 else { return .nothing }
        let amount = makeConstant(i.type, Int64(bits.trailingZeroBitCount), insteadOf: i.b)
        return amount.isNone ? .nothing : become(index, Instruction(.shiftLeft, i.type, a: i.a, b: amount))
    }

    /// (x op c1) op c2 with one constant. Only where the inner operation then disappears: otherwise x would live longer.
    private mutating func reassociate(_ i: Instruction, _ index: Int, _ right: Int64) -> Outcome {
        let inner = definition(i.a)
        guard inner.opcode == i.opcode, isUsedOnce(i.a), let first = constant(inner.b) else { return .nothing }
        let combined: Int64 = switch i.opcode {
        case .add: first &+ right
        case .and: first & right
        case .or: first | right
        default: first ^ right
        }
        let merged = makeConstant(i.type, wrapped(combined, i.type), insteadOf: i.b)
        return merged.isNone ? .nothing : become(index, Instruction(i.opcode, i.type, a: inner.a, b: merged))
    }

    func foldedUnary(_ i: Instruction, _ index: Int) -> Outcome {
        guard let a = constant(i.a) else { return .nothing }
        return become(index, constant: IntegerEvaluation.result(of: i.opcode, i.type, detail: i.detail, pattern(a, type(i.a)), 0))
    }

    /// Of constants only.
    func cipher(_ i: Instruction, _ index: Int) -> Outcome {
        guard let a = constant(i.a) else { return .nothing }
        var second: Int64 = 0
        if i.opcode.operandCount > 1 {
            guard let b = constant(i.b) else { return .nothing }
            second = b
        }
        let bits = IntegerEvaluation.result(of: i.opcode, i.type, detail: i.detail, UInt64(bitPattern: a), UInt64(bitPattern: second))
        return become(index, constant: bits)
    }

    mutating func division(_ i: Instruction, _ index: Int) -> Outcome {
        guard let right = constant(i.b) else { return .nothing }
        if let left = constant(i.a) {
            let bits = IntegerEvaluation.result(of: i.opcode, i.type, detail: 0, pattern(left, i.type), pattern(right, i.type))
            return become(index, constant: bits)
        }
        let divisor = pattern(right, i.type)
        switch i.opcode {
        case .divideSigned where right == 1, .divideUnsigned where right == 1: return .replaced(i.a)
        case .remainderSigned where right == 1, .remainderUnsigned where right == 1: return become(index, constant: 0)
        case .divideUnsigned where divisor != 0 && divisor & (divisor &- 1) == 0:
            let amount = makeConstant(i.type, Int64(divisor.trailingZeroBitCount), insteadOf: i.b)
            return amount.isNone ? .nothing : become(index, Instruction(.shiftRightLogical, i.type, a: i.a, b: amount))
        case .remainderUnsigned where divisor != 0 && divisor & (divisor &- 1) == 0:
            let mask = makeConstant(i.type, wrapped(Int64(bitPattern: divisor &- 1), i.type), insteadOf: i.b)
            return mask.isNone ? .nothing : become(index, Instruction(.and, i.type, a: i.a, b: mask))
        default: return .nothing
        }
    }

    // MARK: Shifts

    mutating func shift(_ i: Instruction, _ index: Int) -> Outcome {
        let width = Int64(i.type.byteCount * 8)
        guard let raw = constant(i.b) else {
            // The operation itself takes its amount modulo the width.
            let amount = definition(i.b)
            if amount.opcode == .and, let mask = constant(amount.b), mask & (width - 1) == width - 1 {
                return become(index, Instruction(i.opcode, i.type, a: i.a, b: amount.a))
            }
            return .nothing
        }
        let amount = raw & (width - 1)
        if let value = constant(i.a) {
            let bits = IntegerEvaluation.result(of: i.opcode, i.type, detail: 0, pattern(value, i.type), UInt64(amount))
            return become(index, constant: bits)
        }
        if amount == 0 { return .replaced(i.a) }
        let inner = definition(i.a)
        guard let innerRaw = constantAmount(of: inner) else { return .nothing }
        let innerAmount = innerRaw & (width - 1)
        if inner.opcode == i.opcode && i.opcode != .rotateRight { return sameShifts(i, index, inner, innerAmount + amount, width) }
        guard inner.opcode == .shiftLeft, innerAmount > 0 else { return .nothing }
        return extensionByShifts(i, index, inner, left: innerAmount, right: amount, width)
    }

    private func constantAmount(of inner: Instruction) -> Int64? {
        switch inner.opcode {
        case .shiftLeft, .shiftRightLogical, .shiftRightArithmetic: constant(inner.b)
        default: nil
        }
    }

    private mutating func sameShifts(_ i: Instruction, _ index: Int, _ inner: Instruction, _ total: Int64, _ width: Int64) -> Outcome {
        guard isUsedOnce(i.a) else { return .nothing }
        if total >= width && i.opcode != .shiftRightArithmetic { return become(index, constant: 0) }
        let amount = makeConstant(i.type, min(total, width - 1), insteadOf: i.b)
        return amount.isNone ? .nothing : become(index, Instruction(i.opcode, i.type, a: inner.a, b: amount))
    }

    /// (x << left) >> right: an extension of the low bits, shifted left again when `right` is smaller.
    private mutating func extensionByShifts(
        _ i: Instruction, _ index: Int, _ inner: Instruction, left: Int64, right: Int64, _ width: Int64
    ) -> Outcome {
        let kept = width - left
        guard i.opcode != .rotateRight, kept == 8 || kept == 16 || kept == 32, right <= left else { return .nothing }
        let opcode: Opcode = i.opcode == .shiftRightLogical ? .zeroExtend : .signExtend
        let extended = Instruction(opcode, i.type, a: inner.a, detail: UInt8(truncatingIfNeeded: kept))
        if left == right { return become(index, extended) }
        // Array indices: slli 32, srli 29. The inner shift becomes the extension.
        guard isUsedOnce(i.a) else { return .nothing }
        let amount = makeConstant(i.type, left - right, insteadOf: i.b)
        guard !amount.isNone else { return .nothing }
        instructions[Int(i.a.index)] = extended
        return become(index, Instruction(.shiftLeft, i.type, a: i.a, b: amount))
    }
}

// Rules for comparisons and selections.

import IR

extension Folder {
    mutating func compare(_ i: Instruction, _ index: Int) -> Outcome {
        let condition = i.condition
        if i.a == i.b { return become(index, constant: IntegerEvaluation.compare(condition, .i64, 0, 0) ? 1 : 0) }
        guard let right = constant(i.b) else {
            guard constant(i.a) != nil else { return compareExtended(i, index) }
            return become(index, Instruction(.compare, .i64, a: i.b, b: i.a, detail: condition.swapped.rawValue))
        }
        let operandType = type(i.a)
        if let left = constant(i.a) {
            let holds = IntegerEvaluation.compare(condition, operandType, pattern(left, operandType), pattern(right, operandType))
            return become(index, constant: holds ? 1 : 0)
        }
        let known = significantBits(i.a)
        if let holds = SignificantBits.compare(condition, known, known, right: right, operandType) {
            return become(index, constant: holds ? 1 : 0)
        }
        if right == 0 { return compareWithZero(i, index) }
        if right == 1 {
            if let zero = conditionAgainstZero(condition) {
                let operand = makeConstant(operandType, 0, insteadOf: i.b)
                if !operand.isNone { return become(index, Instruction(.compare, .i64, a: i.a, b: operand, detail: zero.rawValue)) }
            }
            if isTruth(i.a) && (condition == .equal || condition == .notEqual) { return truth(i, index, holdsWhenTrue: condition == .equal) }
        }
        if condition == .equal || condition == .notEqual { return compareSum(i, index, right) }
        return compareWithNarrowConstant(i, index, right)
    }

    /// The condition against 0 that says the same as `condition` against 1.
    private func conditionAgainstZero(_ condition: Condition) -> Condition? {
        switch condition {
        case .lessUnsigned: .equal
        case .greaterOrEqualUnsigned: .notEqual
        case .lessSigned: .lessOrEqualSigned
        case .greaterOrEqualSigned: .greaterSigned
        default: nil
        }
    }

    private func isTruth(_ value: Value) -> Bool { opcode(value) == .compare || opcode(value) == .floatCompare }

    /// A comparison that asks whether another comparison holds, or does not.
    private func truth(_ i: Instruction, _ index: Int, holdsWhenTrue: Bool) -> Outcome {
        if holdsWhenTrue { return .replaced(i.a) }
        let inner = definition(i.a)
        guard inner.opcode == .compare else { return .nothing }
        return become(index, Instruction(.compare, .i64, a: inner.a, b: inner.b, detail: inner.condition.inverted.rawValue))
    }

    private mutating func compareWithZero(_ i: Instruction, _ index: Int) -> Outcome {
        switch i.condition {
        case .lessUnsigned: return become(index, constant: 0)
        case .greaterOrEqualUnsigned: return become(index, constant: 1)
        case .greaterUnsigned: return become(index, Instruction(.compare, .i64, a: i.a, b: i.b, detail: Condition.notEqual.rawValue))
        case .lessOrEqualUnsigned: return become(index, Instruction(.compare, .i64, a: i.a, b: i.b, detail: Condition.equal.rawValue))
        case .equal, .notEqual: break
        default: return compareWithNarrowConstant(i, index, 0)
        }
        if isTruth(i.a) {
            let outcome = truth(i, index, holdsWhenTrue: i.condition == .notEqual)
            if case .nothing = outcome { return .nothing }
            return outcome
        }
        let inner = definition(i.a)
        if inner.opcode == .subtract || inner.opcode == .xor {
            return become(index, Instruction(.compare, .i64, a: inner.a, b: inner.b, detail: i.detail))
        }
        return compareSum(i, index, 0)
    }

    /// x + c1 == c2 is x == c2 - c1, where the sum has no other user.
    private mutating func compareSum(_ i: Instruction, _ index: Int, _ right: Int64) -> Outcome {
        let inner = definition(i.a)
        guard inner.opcode == .add, isUsedOnce(i.a), let addend = constant(inner.b) else {
            return compareWithNarrowConstant(i, index, right)
        }
        let difference = right &- addend
        let moved = makeConstant(inner.type, inner.type == .i32 ? Int64(Int32(truncatingIfNeeded: difference)) : difference, insteadOf: i.b)
        return moved.isNone ? .nothing : become(index, Instruction(.compare, .i64, a: inner.a, b: moved, detail: i.detail))
    }

    // Sign extension from 32 bits keeps both the signed and the unsigned order. Comparing what was extended leaves the extension to
    // a write that may be deferred. It must not live longer for that where registers may be short: hence the distance.

    private static let nearby = 8

    /// The i32 behind a sign extension of which this comparison is the only user, or that is not far.
    private func narrow(_ value: Value, _ index: Int) -> Value {
        let definition = definition(value)
        guard definition.opcode == .signExtend || definition.opcode == .zeroExtend, definition.detail == 32,
            type(definition.a) == .i32, isUsedOnce(value) || index - Int(value.index) <= Folder.nearby
        else { return .none }
        return definition.opcode == .signExtend || significantBits(definition.a).unsigned < 32 ? definition.a : .none
    }

    private mutating func compareExtended(_ i: Instruction, _ index: Int) -> Outcome {
        guard type(i.a) == .i64 else { return .nothing }
        var a = narrow(i.a, index), b = narrow(i.b, index)
        if a.isNone, !b.isNone { a = truncated(i.a) } else if b.isNone, !a.isNone { b = truncated(i.b) }
        guard !a.isNone, !b.isNone else { return .nothing }
        return become(index, Instruction(.compare, .i64, a: a, b: b, detail: i.detail))
    }

    /// The i32 of which a value is the sign extension, when there is a place for it behind that.
    private mutating func truncated(_ value: Value) -> Value {
        guard freeCount > 0, freeSlots[freeCount - 1] > value.index, significantBits(value).signed <= 32 else { return .none }
        freeCount -= 1
        let slot = Int(freeSlots[freeCount])
        instructions[slot] = Instruction(.truncate, .i32, a: value)
        uses[Int(value.index)] &+= 1
        uses[slot] = 0
        return Value(slot)
    }

    private mutating func compareWithNarrowConstant(_ i: Instruction, _ index: Int, _ right: Int64) -> Outcome {
        guard type(i.a) == .i64, Int64(Int32(truncatingIfNeeded: right)) == right else { return .nothing }
        let a = narrow(i.a, index)
        guard !a.isNone else { return .nothing }
        let b = makeConstant(.i32, right, insteadOf: i.b)
        return b.isNone ? .nothing : become(index, Instruction(.compare, .i64, a: a, b: b, detail: i.detail))
    }

    mutating func select(_ i: Instruction, _ index: Int) -> Outcome {
        if let condition = constant(i.a) { return .replaced(condition != 0 ? i.b : i.c) }
        if i.b == i.c { return .replaced(i.b) }
        if case .rewritten = condition(i, index) { return .rewritten }
        guard i.type == .i64, isTruth(i.a), let then = constant(i.b), let otherwise = constant(i.c) else { return .nothing }
        if then == 1 && otherwise == 0 { return .replaced(i.a) }
        return then == 0 && otherwise == 1 ? truth(i, index, holdsWhenTrue: false) : .nothing
    }

    /// A condition is only asked whether it is zero, which extending 32 bits does not change.
    func condition(_ i: Instruction, _ index: Int) -> Outcome {
        let inner = definition(i.a)
        guard inner.opcode == .signExtend || inner.opcode == .zeroExtend, inner.detail == 32, type(inner.a) == .i32,
            isUsedOnce(i.a) || index - Int(i.a.index) <= Folder.nearby
        else { return .nothing }
        uses[Int(inner.a.index)] &+= 1
        uses[Int(i.a.index)] &-= 1
        instructions[index].a = inner.a
        return .rewritten
    }
}

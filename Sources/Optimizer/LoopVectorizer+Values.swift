// What each value of a loop is from iteration to iteration.

import IR

extension LoopVectorizer {
    /// Sorts the values; false when one that matters is not understood.
    mutating func classify() -> Bool {
        for index in 0 ..< loop.count {
            let i = loop.instructions[index]
            switch i.opcode {
            case .nop, .boundary, .read, .write, .store, .exitIf, .exit: continue
            case .constant: kinds[index] = .invariant
            case .load: kinds[index] = loadKind(i)
            default: kinds[index] = i.type.isFloat || i.opcode == .bitcast ? floatKind(i) : integerKind(i)
            }
            let mustHappen = !i.opcode.effects.isDisjoint(with: [.readsMemory, .raisesFlags])
            if mustHappen && kinds[index] == .unknown { return false }
        }
        return writes.allSatisfy { isKnown(asRegister: loop.instructions[$0.value].a, slot: $0.key) }
    }

    /// What a sum is after the loop; registers may have nothing in between.
    private var totals: Set<UInt32> {
        var result: Set<UInt32> = []
        for (slot, write) in writes {
            guard let read = reads[slot], kinds[read] == .accumulator else { continue }
            let value = loop.instructions[write].a
            if root(ofSum: value) == read { result.insert(value.index) }
        }
        return result
    }

    /// The accumulator that lanes are added to.
    private func root(ofSum value: Value) -> Int? {
        let i = self[value]
        switch kind(value) {
        case .accumulator: return i.opcode == .truncate ? root(ofSum: i.a) : Int(value.index)
        case .sum:
            if i.opcode != .add { return root(ofSum: i.a) }
            return root(ofSum: kind(i.a) == .accumulator || kind(i.a) == .sum ? i.a : i.b)
        default: return nil
        }
    }

    /// Whether the value at the end of a group can be put into the register.
    private func isKnown(asRegister value: Value, slot: Int) -> Bool {
        switch kind(value) {
        case .invariant, .affine, .word: kinds[reads[slot] ?? Int(value.index)] != .accumulator
        case .sum: totals.contains(value.index)
        case .vector(let upper): self[value].type.isFloat || integerBytes == 8 || !upper.isEmpty || isComputedFromLane(value)
        case .unknown, .accumulator: false
        }
    }

    /// Whether a register can be computed from the last lane of something, where its own lane does not hold all of it.
    func isComputedFromLane(_ value: Value) -> Bool {
        guard case .vector(let upper) = kind(value), self[value].type.isInteger else { return false }
        if !upper.isEmpty { return true }
        let i = self[value]
        switch i.opcode {
        case .truncate, .signExtend, .zeroExtend: return isComputedFromLane(i.a)
        case .add, .and, .or, .xor: return constant(i.b).flatMap { Int32(exactly: $0) } != nil && isComputedFromLane(i.a)
        default: return false
        }
    }

    // MARK: Memory

    /// How far apart the addresses of one iteration and the next are.
    func stride(_ i: Instruction) -> Int64? {
        guard let base = growth(i.a) else { return nil }
        if i.b.isNone { return base }
        guard let index = growth(i.b) else { return nil }
        return base &+ index &* Int64(i.access.scale)
    }

    private func growth(_ value: Value) -> Int64? {
        switch kind(value) {
        case .invariant: 0
        case .affine(let step): step
        default: nil
        }
    }

    private func loadKind(_ i: Instruction) -> Kind {
        guard stride(i) == Int64(i.access.bytes * unrolled) else { return .unknown }
        if i.type.isFloat { return floatType(i.type) == nil ? .unknown : .vector([]) }
        if i.access.bytes == integerBytes { return .vector(i.access.isSigned ? .sign : .zero) }
        return .vector(i.access.isSigned ? .sign : [.sign, .zero])
    }

    // MARK: Floats

    private func floatKind(_ i: Instruction) -> Kind {
        let operands = [i.a, i.b, i.c].prefix(i.opcode.operandCount)
        let allInvariant = operands.allSatisfy { kind($0) == .invariant }
        switch i.opcode {
        case .unbox, .bitcast: return allInvariant ? .invariant : i.opcode == .unbox && isBoxed(i.a) ? .vector([]) : .unknown
        case .box: return allInvariant ? .invariant : kind(i.a) == .vector([]) ? .vector([]) : .unknown
        case .multiplyAdd, .multiplySubtract, .negatedMultiplyAdd, .negatedMultiplySubtract:
            guard target.fuses else { return .unknown }
        case .floatAdd, .floatSubtract, .floatMultiply, .floatDivide, .floatSquareRoot, .canonicalNaN, .floatNegate, .floatAbsolute,
            .copySign, .copySignNegated, .copySignXor:
            break
        default: return .unknown
        }
        let isVector = operands.allSatisfy { kind($0) == .invariant || kind($0) == .vector([]) }
        return isVector && floatType(i.type) != nil ? .vector([]) : .unknown
    }

    private func isBoxed(_ value: Value) -> Bool { self[value].opcode == .box && kind(value) == .vector([]) }

    // MARK: Integers

    private func integerKind(_ i: Instruction) -> Kind {
        let operands = [i.a, i.b, i.c].prefix(i.opcode.operandCount).map { kind($0) }
        if operands.allSatisfy({ $0 == .invariant }) { return .invariant }
        if operands.contains(.accumulator) || operands.contains(.sum) { return sumKind(i, operands) }
        if operands.contains(where: { if case .vector = $0 { true } else { false } }) { return laneKind(i, operands) }
        return countingKind(i, operands)
    }

    private func countingKind(_ i: Instruction, _ operands: [Kind]) -> Kind {
        func growth(_ kind: Kind) -> Int64? {
            if case .affine(let step) = kind { step } else { kind == .invariant ? 0 : nil }
        }
        switch (i.opcode, i.type) {
        case (.add, .i64):
            if let a = growth(operands[0]), let b = growth(operands[1]) { return .affine(a &+ b) }
        case (.subtract, .i64):
            if let a = growth(operands[0]), let b = growth(operands[1]) { return .affine(a &- b) }
        case (.shiftLeft, .i64):
            if let a = growth(operands[0]), let amount = constant(i.b), 0 ..< 16 ~= amount { return .affine(a << amount) }
        case (.add, .i32):
            if case .word = operands[0], constant(i.b) != nil { return operands[0] }
        case (.truncate, _), (.signExtend, .i64):
            if case .word = operands[0], i.opcode == .truncate || i.detail == 32 { return operands[0] }
        default: break
        }
        return .unknown
    }

    private func sumKind(_ i: Instruction, _ operands: [Kind]) -> Kind {
        switch i.opcode {
        case .truncate: return operands[0]
        case .signExtend: return operands[0] == .sum && i.detail == 32 ? .sum : .unknown
        case .add:
            guard operands[0] != operands[1] else { return .unknown }
            for other in operands where other != .accumulator && other != .sum {
                // Lanes are summed in the width of the sum: what is above them must not matter.
                if case .vector = other, integerBytes == i.type.byteCount || (integerBytes == 8 && i.type == .i32) { return .sum }
            }
            return .unknown
        default: return .unknown
        }
    }

    /// What is known above the lane of a value that has one in a group, or is the same throughout.
    func upper(_ value: Value) -> Upper? {
        if case .vector(let upper) = kind(value) { return upper }
        guard kind(value) == .invariant else { return nil }
        guard let number = constant(value) else { return [] }
        let bits = Int64(integerBytes * 8)
        if bits == 64 { return [.sign, .zero] }
        let isSigned = number >= -(1 << (bits - 1)) && number < 1 << (bits - 1)
        let isUnsigned = number >= 0 && number < 1 << bits
        return (isSigned ? Upper.sign : []).union(isUnsigned ? .zero : [])
    }

    /// Of all that the value's lane may hold, by the operation that makes it: then it is extended alike with its sign and without.
    private func isNotNegative(_ value: Value) -> Bool {
        let i = self[value]
        guard SignificantBits.dependsOnOperands(i.opcode) else { return false }
        let amount = i.opcode.operandCount > 1 ? constant(i.b) : nil
        let right = amount.map { SignificantBits(constant: $0, self[i.b].type) } ?? SignificantBits(.i64)
        let known = SignificantBits(of: i, SignificantBits(self[i.a].type), right, SignificantBits(.i64), amount: amount)
        return known.unsigned < integerBytes * 8
    }

    private func laneKind(_ i: Instruction, _ operands: [Kind]) -> Kind {
        let bits = Int64(integerBytes * 8)
        func upper(_ position: Int) -> Upper? { self.upper(position == 0 ? i.a : i.b) }
        /// Every bit of the operation's type is in the lane.
        let isWhole = i.type.byteCount == integerBytes
        switch i.opcode {
        case .truncate: return operands[0]
        case .signExtend, .zeroExtend:
            guard let known = upper(0) else { return .unknown }
            let kept = Int64(i.detail), wanted: Upper = i.opcode == .signExtend ? .sign : .zero
            if kept == bits { return .vector(isNotNegative(i.a) ? [.sign, .zero] : wanted) }
            // Wider than the lane: right where what is above the lane already is as it says; otherwise only the low bits are.
            return kept > bits ? .vector(known.intersection(i.opcode == .signExtend ? [.sign, .zero] : .zero)) : .unknown
        case .add, .subtract:
            return upper(0) != nil && upper(1) != nil ? .vector([]) : .unknown
        case .multiply:
            return integerBytes == 4 && upper(0) != nil && upper(1) != nil ? .vector([]) : .unknown
        case .and, .or, .xor:
            guard let a = upper(0), let b = upper(1) else { return .unknown }
            let common = a.intersection(b)
            return .vector(i.opcode == .and && (a.contains(.zero) || b.contains(.zero)) ? common.union(.zero) : common)
        case .shiftLeft, .shiftRightLogical, .shiftRightArithmetic:
            guard case .vector(let known) = operands[0], let amount = constant(i.b), 0 ..< min(bits, Int64(i.type.byteCount * 8)) ~= amount, bits >= 32,
                i.opcode == .shiftLeft || i.type.byteCount >= integerBytes
            else { return .unknown }
            if i.opcode == .shiftLeft { return .vector([]) }
            if i.opcode == .shiftRightLogical { return isWhole ? .vector([]) : known.contains(.zero) ? .vector(.zero) : .unknown }
            guard bits == 32 else { return .unknown }
            return isWhole ? .vector([]) : known.contains(.sign) ? .vector(.sign) : .unknown
        default: return .unknown
        }
    }
}

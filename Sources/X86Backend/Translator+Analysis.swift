// What is known of a superblock before the first byte of it is emitted: forwards, uses and what they look through; backwards, what
// is computed where it is used, or in the home that it is written to, and what may be left to those who look.

import IR
import X86

extension Translator {
    /// Last uses, use counts, deferred comparisons and target writes.
    func analyse() {
        let instructions = function.instructions
        var observer: Int32 = -1, hasBoxes = false
        for index in 0 ..< function.count {
            noteSource(instructions + index)
            if hasBoxes { lookThroughBoxes(instructions + index) }
            lookThroughTruncations(instructions + index)
            let instruction = instructions[index]
            values[index].lastUse = Int32(index)
            values[index].observer = observer
            if !columns.effects(of: instruction.opcode).isDisjoint(with: .observesState) { observer = Int32(index) }
            // Users of a box name its operand.
            if instruction.opcode == .box {
                hasBoxes = true
                continue
            }
            if instruction.opcode == .write {
                values[Int(instruction.a.index)].writtenSlot = Int16(truncatingIfNeeded: instruction.slot)
            }
            if instruction.opcode.treatsQuietNaNsAlike { noteLenient(instruction) }
            note(instruction.a, index)
            note(instruction.b, index)
            if !instruction.c.isNone { note(instruction.c, index) }
        }
        observation &+= 1
        takenBehind = .max
        eagerlyWritten.withUnsafeMutableBufferPointer { $0.update(repeating: .max) }
        expectPending()
        for index in stride(from: function.count - 1, through: 0, by: -1) {
            let instruction = instructions[index]
            if values[index].needsUpperHalf { spreadUpperHalf(index) }
            if values[index].hiddenUses != 0 { settleDeferral(index) }
            if values[index].targetWrite >= 0 { passTarget(of: index) }
            switch instruction.opcode {
            case .write: analyseWrite(index)
            case .read: overwrittenAt[instruction.slot] = 0
            case .interpretOne: observation &+= 1
            case .exitIf:
                deferComparison(instruction.a, user: index)
                expectPending(at: instruction)
                if isLikelyTaken(instruction) { takenBehind = Int32(index) }
            case .select: deferComparison(instruction.a, user: index)
            case .exitIndirect:
                if let mask = targetMask(instruction) {
                    values[mask].isDeferred = true
                    extend(function.instructions[mask].a, index)
                }
            case .zeroExtend where isZeroExtended(instruction):
                // No code, when its operand is computed in the home already.
                let source = Int(instruction.a.index)
                if values[source].useCount == 1 { values[source].targetWrite = values[index].targetWrite }
            case .canonicalNaN:
                // Made canonical in place: what it is made from may be computed in the home already.
                let source = Int(instruction.a.index)
                if values[source].useCount == 1 { values[source].targetWrite = values[index].targetWrite }
                relaxCanonicalNaN(index)
            default: break
            }
        }
    }

    /// In `detail2` of comparisons and conversions to integer: the operands are f64.
    private static let doubleSource: UInt8 = 1

    /// Width of the operands of a `floatCompare` or `floatToInteger`.
    func sourceWidth(_ i: Instruction) -> FloatWidth { i.detail2 == Translator.doubleSource ? .double : .single }

    /// In `detail2` of comparisons of integers: the operands are i32.
    private static let longSource: UInt8 = 1

    /// Width of the operands of a `compare`.
    func comparedWidth(_ i: Instruction) -> Width { i.detail2 == Translator.longSource ? .long : .quad }

    /// An i32's register may hold anything in its upper half: users of a truncation take its operand, as wide as it is.
    @inline(__always)
    private func lookThroughTruncations(_ instruction: UnsafeMutablePointer<Instruction>) {
        let opcode = instruction.pointee.opcode
        if opcode == .compare {
            let isLong = function.instructions[Int(instruction.pointee.a.index)].type == .i32
            instruction.pointee.detail2 = isLong ? Translator.longSource : 0
        } else if !opcode.takesWidthFromType || (instruction.pointee.type != .i32 && opcode.operandCount > 1) {
            return
        }
        instruction.pointee.a = whole(instruction.pointee.a)
        if opcode.operandCount > 1 { instruction.pointee.b = whole(instruction.pointee.b) }
    }

    @inline(__always)
    private func whole(_ value: Value) -> Value {
        let definition = function.instructions[Int(value.index)]
        return definition.opcode == .truncate ? definition.a : value
    }

    /// The width of floats that do not become floats, which a look through a box would change.
    @inline(__always)
    private func noteSource(_ instruction: UnsafeMutablePointer<Instruction>) {
        let opcode = instruction.pointee.opcode
        guard opcode == .floatCompare || opcode == .floatToInteger else { return }
        let isDouble = function.instructions[Int(instruction.pointee.a.index)].type == .f64
        instruction.pointee.detail2 = isDouble ? Translator.doubleSource : 0
    }

    /// A boxed f32 has the bits of the f32's register: users take the f32 itself.
    @inline(__always)
    private func lookThroughBoxes(_ instruction: UnsafeMutablePointer<Instruction>) {
        let opcode = instruction.pointee.opcode, count = opcode.operandCount
        // A write may leave the box to be made later.
        let isWhole = opcode != .write && opcode != .box
        if count > 0 { instruction.pointee.a = unboxed(instruction.pointee.a, isWhole) }
        if count > 1 { instruction.pointee.b = unboxed(instruction.pointee.b, isWhole) }
        if count > 2 { instruction.pointee.c = unboxed(instruction.pointee.c, isWhole) }
    }

    @inline(__always)
    private func unboxed(_ value: Value, _ isWhole: Bool) -> Value {
        if value.isNone { return value }
        let definition = function.instructions[Int(value.index)]
        guard definition.opcode == .box else { return value }
        if isWhole { values[Int(definition.a.index)].needsUpperHalf = true }
        return definition.a
    }

    @inline(__always)
    private func note(_ value: Value, _ index: Int) {
        values[value.place].lastUse = Int32(truncatingIfNeeded: index)
        values[value.place].useCount &+= 1
    }

    private func deferComparison(_ condition: Value, user: Int) {
        let index = Int(condition.index), comparison = function.instructions[index]
        if comparison.opcode == .and { values[index].tester = Int32(user) }
        guard values[index].useCount == 1 else { return }
        let isFused = comparison.opcode == .compare || (comparison.opcode == .floatCompare && comparison.detail != 0)
        guard isFused || comparison.opcode == .and else { return }
        if comparison.opcode == .compare, let inner = fusableAnd(comparison) {
            values[inner].isDeferred = true
            extend(function.instructions[inner].a, user)
            extend(function.instructions[inner].b, user)
        } else if comparison.opcode == .compare, let inner = testedAnd(comparison) {
            values[inner].tester = Int32(user)
        }
        values[index].isDeferred = true
        extend(comparison.a, user)
        extend(comparison.b, user)
    }

    /// What is written to a home is computed there from its first step on, when each step is only for the next.
    private func passTarget(of index: Int) {
        let i = function.instructions[index]
        guard i.opcode.isChained, !passesTarget(index, to: i.a), i.opcode.effects.contains(.commutative) else { return }
        _ = passesTarget(index, to: i.b)
    }

    private func passesTarget(_ index: Int, to operand: Value) -> Bool {
        let step = Int(operand.index)
        guard values[step].useCount == 1, function.instructions[step].opcode.isChained else { return false }
        values[step].targetWrite = values[index].targetWrite
        return true
    }

    /// The `and` that clears bit 0 of an indirect target, when nothing else uses it.
    func targetMask(_ exit: Instruction) -> Int? {
        let index = Int(exit.a.index), mask = function.instructions[index]
        return mask.opcode == .and && values[index].useCount == 1 && isConstant(mask.b, ~1) ? index : nil
    }

    /// The `and` that a comparison with zero tests, when nothing else needs it.
    func fusableAnd(_ comparison: Instruction) -> Int? {
        guard let inner = testedAnd(comparison), values[inner].useCount == 1 || values[inner].isTested else { return nil }
        return inner
    }

    private func testedAnd(_ comparison: Instruction) -> Int? {
        guard comparison.condition == .equal || comparison.condition == .notEqual, isConstant(comparison.b, 0) else { return nil }
        let inner = Int(comparison.a.index)
        return function.instructions[inner].opcode == .and ? inner : nil
    }

    private func extend(_ value: Value, _ user: Int) {
        let index = Int(value.index)
        values[index].lastUse = max(values[index].lastUse, Int32(user))
    }

    /// Whether a zero extension has been done by the 32-bit operation that computes its operand.
    func isZeroExtended(_ i: Instruction) -> Bool {
        let operand = function.instructions[Int(i.a.index)]
        return i.opcode == .zeroExtend && i.detail == 32 && operand.type == .i32 && operand.opcode.takesWidthFromType
            && operand.opcode != .signExtend
    }
}

extension Opcode {
    /// Integer operations on one place, with another operand.
    fileprivate var isChained: Bool {
        switch self {
        case .add, .subtract, .multiply, .and, .or, .xor, .shiftLeft, .shiftRightLogical, .shiftRightArithmetic, .rotateRight:
            true
        default: false
        }
    }

    /// Integer operations whose operands are as wide as their result (an extension's as its detail says).
    @inline(__always) var takesWidthFromType: Bool {
        switch self {
        case .add, .subtract, .multiply, .and, .or, .xor, .divideSigned, .divideUnsigned, .remainderSigned, .remainderUnsigned,
            .shiftLeft, .shiftRightLogical, .shiftRightArithmetic, .rotateRight, .signExtend, .zeroExtend:
            true
        default: false
        }
    }
}

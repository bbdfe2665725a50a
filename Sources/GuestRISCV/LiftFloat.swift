// Lifts of F, D and the parts of Zfa that the IR can say.
//
// A 32-bit value lives NaN-boxed in its register: operands are unboxed, results boxed. Every arithmetic result passes
// through `canonicalNaN`. An operation whose static rounding mode is not the current one is the interpreter's.

import IR

extension SuperblockLifter {
    // MARK: Registers

    mutating func double(_ register: UInt8) -> Value { builder.read(Int(register)) }

    mutating func setDouble(_ register: UInt8, _ value: Value) { builder.write(Int(register), value) }

    mutating func single(_ register: UInt8) -> Value {
        let value = builder.read(Int(register))
        let definition = builder.function[value]
        return definition.opcode == .box ? definition.a : unary(.unbox, .f32, value)
    }

    mutating func setSingle(_ register: UInt8, _ value: Value) {
        builder.write(Int(register), unary(.box, .f64, value))
    }

    mutating func float(_ type: Type, _ register: UInt8) -> Value { type == .f32 ? single(register) : double(register) }

    mutating func setFloat(_ type: Type, _ register: UInt8, _ value: Value) {
        if type == .f32 { setSingle(register, value) } else { setDouble(register, value) }
    }

    /// Whether the instruction rounds as this translation's mode says.
    func roundsAsCurrent(_ i: DecodedInstruction) -> Bool { i.roundingMode == 7 || i.roundingMode == currentRounding }

    /// The rounding of a conversion to an integer; nil for ties to the larger magnitude, which the host lacks.
    private func rounding(_ i: DecodedInstruction) -> Rounding? {
        switch i.roundingMode {
        case 1: .towardZero
        case 7, currentRounding: .current
        case 0: .nearestEven
        case 2: .down
        case 3: .up
        default: nil
        }
    }

    // MARK: Arithmetic

    mutating func floatBinary(_ opcode: Opcode, _ type: Type, _ i: DecodedInstruction) -> Successor {
        guard roundsAsCurrent(i) else { return interpret() }
        let result = binary(opcode, type, float(type, i.rs1), float(type, i.rs2))
        setFloat(type, i.rd, unary(.canonicalNaN, type, result))
        return .next
    }

    mutating func floatSquareRoot(_ type: Type, _ i: DecodedInstruction) -> Successor {
        guard roundsAsCurrent(i) else { return interpret() }
        let result = unary(.floatSquareRoot, type, float(type, i.rs1))
        setFloat(type, i.rd, unary(.canonicalNaN, type, result))
        return .next
    }

    /// `fnmsub` is -(a*b)+c and `fnmadd` -(a*b)-c: the IR's negated forms. Infinity times zero plus a quiet NaN should raise the
    /// invalid flag; whether it does is the host's matter.
    mutating func floatFused(_ opcode: Opcode, _ type: Type, _ i: DecodedInstruction) -> Successor {
        guard roundsAsCurrent(i) else { return interpret() }
        let a = float(type, i.rs1)
        let b = float(type, i.rs2)
        let result = fused(opcode, type, a, b, float(type, i.rs3))
        setFloat(type, i.rd, unary(.canonicalNaN, type, result))
        return .next
    }

    mutating func floatExtremum(_ opcode: Opcode, _ type: Type, _ i: DecodedInstruction) -> Successor {
        let result = binary(opcode, type, float(type, i.rs1), float(type, i.rs2))
        setFloat(type, i.rd, result)
        return .next
    }

    /// `fli`
    mutating func floatConstant(_ type: Type, _ i: DecodedInstruction) -> Successor {
        let bits = type == .f32 ? UInt64(FloatConstants.single(i.rs1)) : FloatConstants.double(i.rs1)
        setFloat(type, i.rd, builder.constant(type, Int64(bitPattern: bits)))
        return .next
    }

    // MARK: Signs, comparisons

    /// `fsgnj` and its kin; of equal operands they are the move, negation and absolute value.
    mutating func copySign(_ opcode: Opcode, _ type: Type, _ i: DecodedInstruction) -> Successor {
        let value = float(type, i.rs1)
        let result: Value
        switch opcode {
        case .copySign where i.rs1 == i.rs2: result = value
        case .copySignNegated where i.rs1 == i.rs2: result = unary(.floatNegate, type, value)
        case .copySignXor where i.rs1 == i.rs2: result = unary(.floatAbsolute, type, value)
        default: result = binary(opcode, type, value, float(type, i.rs2))
        }
        setFloat(type, i.rd, result)
        return .next
    }

    mutating func floatCompare(_ comparison: FloatComparison, _ type: Type, _ i: DecodedInstruction) -> Successor {
        let result = floatComparison(comparison.rawValue, float(type, i.rs1), float(type, i.rs2))
        set(i.rd, result)
        return .next
    }

    /// The details of `Opcode.floatCompare`.
    enum FloatComparison: UInt8 {
        case equal, less, lessOrEqual, lessQuiet, lessOrEqualQuiet
    }

    // MARK: Conversions

    /// 32-bit results are sign-extended, those of the unsigned conversions too.
    mutating func floatToInteger(_ type: Type, from source: Type, signed: Bool, _ i: DecodedInstruction) -> Successor {
        guard let rounding = rounding(i) else { return interpret() }
        let result = convertToInteger(type, float(source, i.rs1), signed: signed, rounding)
        if type == .i32 { setWord(i.rd, result) } else { set(i.rd, result) }
        return .next
    }

    /// - Parameter exact: every result is representable, so that the rounding mode does not matter.
    mutating func integerToFloat(
        _ type: Type, from source: Type, signed: Bool, exact: Bool = false, _ i: DecodedInstruction
    ) -> Successor {
        guard exact || roundsAsCurrent(i) else { return interpret() }
        let value = source == .i32 ? word(i.rs1) : x(i.rs1)
        setFloat(type, i.rd, convertToFloat(type, value, signed: signed))
        return .next
    }

    mutating func narrowFloat(_ i: DecodedInstruction) -> Successor {
        guard roundsAsCurrent(i) else { return interpret() }
        let result = unary(.floatToFloat, .f32, double(i.rs1))
        setSingle(i.rd, unary(.canonicalNaN, .f32, result))
        return .next
    }

    mutating func widenFloat(_ i: DecodedInstruction) -> Successor {
        let result = unary(.floatToFloat, .f64, single(i.rs1))
        setDouble(i.rd, unary(.canonicalNaN, .f64, result))
        return .next
    }

    /// `fround`, `froundnx`.
    mutating func roundToIntegral(_ type: Type, raisingInexact: Bool, _ i: DecodedInstruction) -> Successor {
        guard let rounding = rounding(i) else { return interpret() }
        let result = roundedToIntegral(type, float(type, i.rs1), raisingInexact: raisingInexact, rounding)
        setFloat(type, i.rd, unary(.canonicalNaN, type, result))
        return .next
    }

    // MARK: Moves between the register files

    /// `fmv.x.w`: the low half of the register, whether it is a boxed value or not.
    mutating func moveSingleToInteger(_ i: DecodedInstruction) -> Successor {
        let register = double(i.rs1)
        let definition = builder.function[register]
        if definition.opcode == .box {
            setWord(i.rd, unary(.bitcast, .i32, definition.a))
        } else {
            setWord(i.rd, unary(.bitcast, .i64, register))
        }
        return .next
    }

    mutating func moveIntegerToSingle(_ i: DecodedInstruction) -> Successor {
        setSingle(i.rd, unary(.bitcast, .f32, word(i.rs1)))
        return .next
    }

    mutating func moveDoubleToInteger(_ i: DecodedInstruction) -> Successor {
        set(i.rd, unary(.bitcast, .i64, double(i.rs1)))
        return .next
    }

    mutating func moveIntegerToDouble(_ i: DecodedInstruction) -> Successor {
        setDouble(i.rd, unary(.bitcast, .f64, x(i.rs1)))
        return .next
    }
}

// Integer operations on 64-bit patterns: the evaluator's arithmetic, and what constant folding computes with.

package enum IntegerEvaluation {
    /// The result of a pure integer operation. Operands and result are zero-extended when they are i32; the result of an i32
    /// operation may have garbage above its 32 bits.
    /// - Parameter detail: as the operation has it, such as the bits kept by an extension.
    package static func result(of opcode: Opcode, _ type: Type, detail: UInt8, _ a: UInt64, _ b: UInt64) -> UInt64 {
        switch opcode {
        case .add: a &+ b
        case .subtract: a &- b
        case .multiply: a &* b
        case .and: a & b
        case .or: a | b
        case .xor: a ^ b
        case .multiplyHighSigned: UInt64(bitPattern: signed(a, .i64).multipliedFullWidth(by: signed(b, .i64)).high)
        case .multiplyHighUnsigned: a.multipliedFullWidth(by: b).high
        // The unsigned product, less b * 2^64 when a is negative.
        case .multiplyHighSignedUnsigned: a.multipliedFullWidth(by: b).high &- (signed(a, .i64) < 0 ? b : 0)
        case .divideSigned, .remainderSigned: signedDivision(opcode, signed(a, type), signed(b, type))
        case .divideUnsigned: b == 0 ? ~0 : a / b
        case .remainderUnsigned: b == 0 ? a : a % b
        case .signExtend: UInt64(bitPattern: signExtended(a, bits: detail))
        case .zeroExtend: a & (UInt64(1) << UInt64(detail & 63) &- 1)
        case .truncate: a
        case .carrylessMultiply, .carrylessMultiplyHigh, .permuteBytes, .permuteNibbles, .aesRound, .aesInverseMixColumns,
            .aesKeyRound,
            .sm4Substitute:
            CipherEvaluation.result(of: opcode, detail: detail, a, b)
        default: shiftOrCount(opcode, type, a, b)
        }
    }

    private static func shiftOrCount(_ opcode: Opcode, _ type: Type, _ a: UInt64, _ b: UInt64) -> UInt64 {
        let width = UInt64(type.byteCount * 8), amount = b & (width &- 1)
        return switch opcode {
        case .shiftLeft: a &<< amount
        case .shiftRightLogical: a &>> amount
        case .shiftRightArithmetic: UInt64(bitPattern: signed(a, type) &>> Int64(bitPattern: amount))
        case .rotateRight: a &>> amount | a &<< ((width &- amount) & (width &- 1))
        case .countLeadingZeros: UInt64(a.leadingZeroBitCount) &- (64 &- width)
        case .countTrailingZeros: a == 0 ? width : UInt64(a.trailingZeroBitCount)
        case .populationCount: UInt64(a.nonzeroBitCount)
        case .byteSwap: a.byteSwapped >> (64 &- width)
        default: preconditionFailure("\(opcode) is not an integer operation")
        }
    }

    private static func signedDivision(_ opcode: Opcode, _ a: Int64, _ b: Int64) -> UInt64 {
        let isQuotient = opcode == .divideSigned
        if b == 0 { return isQuotient ? ~0 : UInt64(bitPattern: a) }
        // The one overflow, MIN / -1, is the negation, which wraps.
        if b == -1 { return isQuotient ? UInt64(bitPattern: 0 &- a) : 0 }
        return UInt64(bitPattern: isQuotient ? a / b : a % b)
    }

    /// A pattern of `type` as a signed number.
    @inlinable package static func signed(_ a: UInt64, _ type: Type) -> Int64 {
        type == .i32 ? Int64(Int32(truncatingIfNeeded: a)) : Int64(bitPattern: a)
    }

    /// The low 8, 16 or 32 bits of a, sign-extended.
    @inlinable package static func signExtended(_ a: UInt64, bits: UInt8) -> Int64 {
        let shift = Int64(64 &- Int64(bits))
        return (Int64(bitPattern: a) &<< shift) &>> shift
    }

    package static func compare(_ condition: Condition, _ type: Type, _ a: UInt64, _ b: UInt64) -> Bool {
        let (x, y) = (signed(a, type), signed(b, type))
        return switch condition {
        case .equal: a == b
        case .notEqual: a != b
        case .lessSigned: x < y
        case .greaterOrEqualSigned: x >= y
        case .lessOrEqualSigned: x <= y
        case .greaterSigned: x > y
        case .lessUnsigned: a < b
        case .greaterOrEqualUnsigned: a >= b
        case .lessOrEqualUnsigned: a <= b
        case .greaterUnsigned: a > b
        }
    }
}

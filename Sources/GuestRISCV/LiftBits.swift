// Lifts of the bit manipulation extensions Zba, Zbb and Zbs, of Zicond and of Zimop.

import IR

extension SuperblockLifter {
    // MARK: Zba

    /// `sh1add`… and `add.uw`: rd = (rs1, perhaps its low word, << amount) + rs2.
    mutating func shiftAdd(_ i: DecodedInstruction, by amount: Int64, unsignedWord: Bool) -> Successor {
        let source = unsignedWord ? zeroExtend32(x(i.rs1)) : x(i.rs1)
        let shifted = shiftLeft(source, by: amount)
        set(i.rd, add(shifted, x(i.rs2)))
        return .next
    }

    mutating func shiftUnsignedWord(_ i: DecodedInstruction) -> Successor {
        let word = zeroExtend32(x(i.rs1))
        set(i.rd, shiftLeft(word, by: Int64(i.immediate)))
        return .next
    }

    // MARK: Zbb

    /// `andn`, `orn`: the complement of rs2; `xnor`: complementing either operand complements the result.
    mutating func logicComplement(_ opcode: Opcode, _ i: DecodedInstruction) -> Successor {
        let complement = not(x(i.rs2))
        set(i.rd, binary(opcode, .i64, x(i.rs1), complement))
        return .next
    }

    mutating func count(_ opcode: Opcode, _ i: DecodedInstruction) -> Successor {
        set(i.rd, unary(opcode, .i64, x(i.rs1)))
        return .next
    }

    mutating func countWord(_ opcode: Opcode, _ i: DecodedInstruction) -> Successor {
        let count = unary(opcode, .i32, word(i.rs1))
        set(i.rd, zeroExtend(count, bits: 32))
        return .next
    }

    /// rd = rs1 when the comparison of rs1 with rs2 holds, otherwise rs2.
    mutating func choose(_ condition: Condition, _ i: DecodedInstruction) -> Successor {
        let left = x(i.rs1)
        let right = x(i.rs2)
        let holds = comparison(condition, left, right)
        set(i.rd, select(.i64, holds, left, right))
        return .next
    }

    mutating func extend(_ i: DecodedInstruction, bits: UInt8, signed: Bool) -> Successor {
        let value = x(i.rs1)
        set(i.rd, signed ? signExtend(value, bits: bits) : zeroExtend(value, bits: bits))
        return .next
    }

    mutating func rotateLeft(_ i: DecodedInstruction) -> Successor {
        let amount = binary(.subtract, .i64, builder.i64(0), x(i.rs2))
        set(i.rd, binary(.rotateRight, .i64, x(i.rs1), amount))
        return .next
    }

    mutating func rotateLeftWord(_ i: DecodedInstruction) -> Successor {
        let amount = binary(.subtract, .i32, builder.i32(0), word(i.rs2))
        setWord(i.rd, binary(.rotateRight, .i32, word(i.rs1), amount))
        return .next
    }

    /// `orc.b`: every byte that is not zero becomes all ones. Adding 127 to a byte's low seven bits carries into its top bit
    /// exactly when one of them is set, and never into the next byte.
    mutating func orCombineBytes(_ i: DecodedInstruction) -> Successor {
        let value = x(i.rs1)
        let lowBits = builder.i64(0x7f7f_7f7f_7f7f_7f7f)
        let carries = binary(.add, .i64, binary(.and, .i64, value, lowBits), lowBits)
        let tops = binary(.or, .i64, carries, value)
        let shifted = binary(.shiftRightLogical, .i64, tops, builder.i64(7))
        let ones = binary(.and, .i64, shifted, builder.i64(0x0101_0101_0101_0101))
        let spread = binary(.shiftLeft, .i64, ones, builder.i64(8))
        set(i.rd, binary(.subtract, .i64, spread, ones))
        return .next
    }

    mutating func reverseBytes(_ i: DecodedInstruction) -> Successor {
        set(i.rd, unary(.byteSwap, .i64, x(i.rs1)))
        return .next
    }

    // MARK: Zbs

    /// 1 << (index modulo 64).
    mutating func bitMask(_ i: DecodedInstruction, isImmediate: Bool) -> Value {
        if isImmediate { return builder.i64(1 &<< Int64(i.immediate)) }
        return binary(.shiftLeft, .i64, builder.i64(1), x(i.rs2))
    }

    mutating func changeBit(_ opcode: Opcode, _ i: DecodedInstruction, isImmediate: Bool) -> Successor {
        let mask = bitMask(i, isImmediate: isImmediate)
        set(i.rd, binary(opcode, .i64, x(i.rs1), mask))
        return .next
    }

    mutating func clearBit(_ i: DecodedInstruction, isImmediate: Bool) -> Successor {
        let mask = bitMask(i, isImmediate: isImmediate)
        let kept = constantValue(of: mask).map { builder.i64(~$0) } ?? not(mask)
        set(i.rd, binary(.and, .i64, x(i.rs1), kept))
        return .next
    }

    mutating func extractBit(_ i: DecodedInstruction, isImmediate: Bool) -> Successor {
        let amount = isImmediate ? immediate(i) : x(i.rs2)
        let shifted = binary(.shiftRightLogical, .i64, x(i.rs1), amount)
        set(i.rd, binary(.and, .i64, shifted, builder.i64(1)))
        return .next
    }

    // MARK: Zimop

    /// An operation that may be defined some day, and gives 0 until then.
    mutating func clear(_ i: DecodedInstruction) -> Successor {
        set(i.rd, builder.i64(0))
        return .next
    }

    // MARK: Zicond

    /// rd = 0 when rs2's being zero is `zeroWhenZero`, otherwise rs1.
    mutating func conditionalZero(_ i: DecodedInstruction, zeroWhenZero: Bool) -> Successor {
        let condition = x(i.rs2)
        let value = x(i.rs1)
        let zero = builder.i64(0)
        set(i.rd, select(.i64, condition, zeroWhenZero ? value : zero, zeroWhenZero ? zero : value))
        return .next
    }
}

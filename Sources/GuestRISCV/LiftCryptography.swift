// Lifts of the scalar cryptography extensions.

import IR

extension SuperblockLifter {
    // MARK: Zbkb

    /// The low `bits` of rs1 with those of rs2 above them; of `packw` the word is sign-extended.
    mutating func pack(_ i: DecodedInstruction, bits: UInt8) -> Successor {
        let low = zeroExtend(x(i.rs1), bits: bits)
        let source = bits == 8 ? zeroExtend(x(i.rs2), bits: bits) : x(i.rs2)
        set(i.rd, binary(.or, .i64, low, shiftLeft(source, by: Int64(bits))))
        return .next
    }

    mutating func packWord(_ i: DecodedInstruction) -> Successor {
        let low = builder.zeroExtend(word(i.rs1), bits: 16, to: .i32)
        let high = binary(.shiftLeft, .i32, word(i.rs2), builder.i32(16))
        setWord(i.rd, binary(.or, .i32, low, high))
        return .next
    }

    /// `brev8`: neighbouring bits, pairs and nibbles of each byte change places.
    mutating func reverseBitsOfBytes(_ i: DecodedInstruction) -> Successor {
        var value = x(i.rs1)
        for (amount, bits) in [(4, 0x0f0f_0f0f_0f0f_0f0f), (2, 0x3333_3333_3333_3333), (1, 0x5555_5555_5555_5555)]
            as [(Int64, Int64)]
        {
            let mask = builder.i64(bits)
            let down = binary(.and, .i64, binary(.shiftRightLogical, .i64, value, builder.i64(amount)), mask)
            let up = binary(.shiftLeft, .i64, binary(.and, .i64, value, mask), builder.i64(amount))
            value = binary(.or, .i64, down, up)
        }
        set(i.rd, value)
        return .next
    }

    // MARK: Zbc, Zbkx

    /// Bits 63 to 126 of the product.
    mutating func carrylessMultiplyReversed(_ i: DecodedInstruction) -> Successor {
        let a = x(i.rs1), b = x(i.rs2)
        let low = binary(.carrylessMultiply, .i64, a, b), high = binary(.carrylessMultiplyHigh, .i64, a, b)
        let top = binary(.shiftRightLogical, .i64, low, builder.i64(63))
        set(i.rd, binary(.or, .i64, shiftLeft(high, by: 1), top))
        return .next
    }

    // MARK: Zknd, Zkne

    mutating func aesRound(_ round: AESRound, _ i: DecodedInstruction) -> Successor {
        set(i.rd, builder.aesRound(round, x(i.rs1), x(i.rs2)))
        return .next
    }

    mutating func aesInverseMixColumns(_ i: DecodedInstruction) -> Successor {
        set(i.rd, unary(.aesInverseMixColumns, .i64, x(i.rs1)))
        return .next
    }

    mutating func aesKeyRound(_ i: DecodedInstruction) -> Successor {
        set(i.rd, builder.aesKeyRound(x(i.rs1), Int(i.immediate)))
        return .next
    }

    /// The low word is the high one of rs1 and the low one of rs2 together, the high word that and the high one of rs2.
    mutating func aesKeyWords(_ i: DecodedInstruction) -> Successor {
        let high = binary(.shiftRightLogical, .i64, x(i.rs1), builder.i64(32))
        let words = binary(.xor, .i64, high, x(i.rs2))
        set(i.rd, binary(.xor, .i64, words, shiftLeft(words, by: 32)))
        return .next
    }

    // MARK: Zknh, Zksh

    /// rs1, rotated right by the three amounts, a negative one shifted instead and 0 left as it is, together; of words
    /// sign-extended.
    mutating func hash(_ type: Type, _ amounts: (Int64, Int64, Int64), _ i: DecodedInstruction) -> Successor {
        let value = type == .i32 ? word(i.rs1) : x(i.rs1)
        let first = hashTerm(type, value, amounts.0)
        let both = binary(.xor, type, first, hashTerm(type, value, amounts.1))
        let sum = binary(.xor, type, both, hashTerm(type, value, amounts.2))
        if type == .i32 { setWord(i.rd, sum) } else { set(i.rd, sum) }
        return .next
    }

    private mutating func hashTerm(_ type: Type, _ value: Value, _ amount: Int64) -> Value {
        if amount == 0 { return value }
        let distance = type == .i32 ? builder.i32(Int32(amount.magnitude)) : builder.i64(Int64(amount.magnitude))
        return binary(amount < 0 ? .shiftRightLogical : .rotateRight, type, value, distance)
    }

    // MARK: Zksed

    /// A byte of rs2 goes through `step`, back to its place, and into rs1.
    mutating func sm4(_ step: SM4Step, _ i: DecodedInstruction) -> Successor {
        let shift = i.immediate * 8
        var byte = word(i.rs2)
        if shift > 0 { byte = binary(.shiftRightLogical, .i32, byte, builder.i32(shift)) }
        var spread = builder.sm4Substitute(step, byte)
        if shift > 0 { spread = binary(.rotateRight, .i32, spread, builder.i32(32 - shift)) }
        setWord(i.rd, binary(.xor, .i32, word(i.rs1), spread))
        return .next
    }
}

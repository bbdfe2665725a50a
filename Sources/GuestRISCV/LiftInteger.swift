// Lifts of RV64I's computations and of M.

import IR

extension SuperblockLifter {
    // MARK: Shapes

    /// rd = rs1 op rs2.
    mutating func registerRegister(_ opcode: Opcode, _ i: DecodedInstruction) -> Successor {
        let result = binary(opcode, .i64, x(i.rs1), x(i.rs2))
        set(i.rd, result)
        return .next
    }

    /// rd = rs1 op immediate.
    mutating func registerImmediate(_ opcode: Opcode, _ i: DecodedInstruction) -> Successor {
        let result = binary(opcode, .i64, x(i.rs1), immediate(i))
        set(i.rd, result)
        return .next
    }

    /// rd = the sign-extended 32-bit rs1 op rs2.
    mutating func wordRegister(_ opcode: Opcode, _ i: DecodedInstruction) -> Successor {
        let result = binary(opcode, .i32, word(i.rs1), word(i.rs2))
        setWord(i.rd, result)
        return .next
    }

    /// rd = the sign-extended 32-bit rs1 op immediate.
    mutating func wordImmediate(_ opcode: Opcode, _ i: DecodedInstruction) -> Successor {
        let result = binary(opcode, .i32, word(i.rs1), builder.i32(i.immediate))
        setWord(i.rd, result)
        return .next
    }

    mutating func setCompare(_ condition: Condition, _ i: DecodedInstruction, _ right: Value) -> Successor {
        let result = comparison(condition, x(i.rs1), right)
        set(i.rd, result)
        return .next
    }

    /// `sltiu`: with 1 (`seqz`) a test for zero.
    mutating func setLessUnsignedImmediate(_ i: DecodedInstruction) -> Successor {
        i.immediate == 1 ? setCompare(.equal, i, builder.i64(0)) : setCompare(.lessUnsigned, i, immediate(i))
    }

    /// `sltu`: with x0 on the left (`snez`) a test for not zero.
    mutating func setLessUnsigned(_ i: DecodedInstruction) -> Successor {
        if i.rs1 != 0 { return setCompare(.lessUnsigned, i, x(i.rs2)) }
        let result = comparison(.notEqual, x(i.rs2), x(0))
        set(i.rd, result)
        return .next
    }

    mutating func setConstant(_ i: DecodedInstruction, _ value: Int64) -> Successor {
        set(i.rd, builder.i64(value))
        return .next
    }

    // MARK: Instructions whose folding matters

    mutating func addImmediate(_ i: DecodedInstruction) -> Successor {
        let result = add(x(i.rs1), Int64(i.immediate))
        set(i.rd, result)
        return .next
    }

    mutating func addRegister(_ i: DecodedInstruction) -> Successor {
        let result = add(x(i.rs1), x(i.rs2))
        set(i.rd, result)
        return .next
    }

    mutating func shiftLeftImmediate(_ i: DecodedInstruction) -> Successor {
        let result = shiftLeft(x(i.rs1), by: Int64(i.immediate))
        set(i.rd, result)
        return .next
    }

    /// `addiw`: with immediate 0 (`sext.w`) only the extension; of a constant, a constant.
    mutating func addWordImmediate(_ i: DecodedInstruction) -> Successor {
        if let constant = constantValue(of: x(i.rs1)) {
            return setConstant(i, Int64(Int32(truncatingIfNeeded: constant) &+ i.immediate))
        }
        if i.immediate != 0 { return wordImmediate(.add, i) }
        let value = x(i.rs1)
        let definition = builder.function[value]
        let isExtended = definition.opcode == .signExtend && definition.detail <= 32
        set(i.rd, isExtended ? value : signExtend(value, bits: 32))
        return .next
    }

    /// `and`, `or`, `xor` with an immediate.
    mutating func logicImmediate(_ opcode: Opcode, _ i: DecodedInstruction) -> Successor {
        if i.immediate == 0 && opcode != .and {
            set(i.rd, x(i.rs1))
            return .next
        }
        let result = logic(opcode, x(i.rs1), immediate(i))
        set(i.rd, result)
        return .next
    }

    /// `and`, `or` and `xor` of registers, one of which may be x0.
    mutating func logicRegister(_ opcode: Opcode, _ i: DecodedInstruction) -> Successor {
        if i.rs2 == 0 || i.rs1 == 0 {
            set(i.rd, opcode == .and ? builder.i64(0) : x(i.rs1 | i.rs2))
            return .next
        }
        let result = logic(opcode, x(i.rs1), x(i.rs2))
        set(i.rd, result)
        return .next
    }
}

// Which types and details each operation takes: the verifier's table.

enum TypeRules {
    /// What is wrong with the types, operands (`types`: those of a, b, c; `none` where absent) or details; nil when nothing is.
    static func violation(of instruction: Instruction, _ types: [Type]) -> String? {
        let (a, b, c) = (types[0], types[1], types[2]), type = instruction.type
        if type.isVector || types.contains(where: \.isVector) { return vectorViolation(of: instruction, a, b, c) }
        switch instruction.opcode {
        case .nop, .boundary, .fence, .interpretOne, .exitTrap, .jump:
            return require(type == .none, "has no result")
                ?? (instruction.opcode == .exitTrap
                    ? require(TrapReason(rawValue: instruction.detail) != nil, "unknown reason") : nil)
        case .parameter: return require(type != .none, "needs a type")
        case .constant:
            return require(type != .none, "needs a type")
                ?? require(
                    type != .i32 || instruction.immediate == Int64(Int32(truncatingIfNeeded: instruction.immediate)),
                    "an i32 is kept sign-extended")
                ?? require(type != .f32 || instruction.immediate >> 32 == 0, "an f32 is a pattern of 32 bits")
        case .guestAddress: return require(type == .i64, "is an i64")
        case .read: return require(type != .none, "needs a type") ?? slot(instruction)
        case .write: return require(type != .none && a == type, "the value is \(a), the register \(type)") ?? slot(instruction)
        case .add, .subtract, .multiply, .divideSigned, .divideUnsigned, .remainderSigned, .remainderUnsigned, .and, .or, .xor,
            .shiftLeft, .shiftRightLogical, .shiftRightArithmetic, .rotateRight:
            return require(type.isInteger && a == type && b == type, "operands and result must be of one integer type")
        case .multiplyHighSigned, .multiplyHighUnsigned, .multiplyHighSignedUnsigned:
            return require(type == .i64 && a == .i64 && b == .i64, "operands and result must be i64")
        case .countLeadingZeros, .countTrailingZeros, .populationCount, .byteSwap:
            return require(type.isInteger && a == type, "operand and result must be of one integer type")
        case .carrylessMultiply, .carrylessMultiplyHigh, .permuteBytes, .permuteNibbles, .aesRound:
            return require(type == .i64 && a == .i64 && b == .i64, "operands and result must be i64")
                ?? require(instruction.opcode != .aesRound || AESRound(rawValue: instruction.detail) != nil, "unknown round")
        case .aesInverseMixColumns: return require(type == .i64 && a == .i64, "operand and result must be i64")
        case .aesKeyRound:
            return require(type == .i64 && a == .i64, "operand and result must be i64")
                ?? require(instruction.detail <= 10, "rounds are 0 to 10")
        case .sm4Substitute:
            return require(type == .i32 && a == .i32, "operand and result must be i32")
                ?? require(SM4Step(rawValue: instruction.detail) != nil, "unknown step")
        case .signExtend, .zeroExtend:
            return require(type.isInteger && a.isInteger, "operand and result must be integers")
                ?? require([8, 16, 32].contains(instruction.detail), "extends from 8, 16 or 32 bits")
        case .truncate: return require(type == .i32 && a == .i64, "makes an i32 of an i64")
        case .compare:
            return require(type == .i64 && a.isInteger && a == b, "compares two integers of one type to an i64")
                ?? require(Condition(rawValue: instruction.detail) != nil, "unknown condition")
        case .select:
            return require(a.isInteger && b == type && c == type && type != .none, "chooses between two values of its type")
        default: return memoryViolation(of: instruction, a, b, c)
        }
    }

    private static func memoryViolation(of instruction: Instruction, _ a: Type, _ b: Type, _ c: Type) -> String? {
        let type = instruction.type, access = instruction.access
        switch instruction.opcode {
        case .load, .store:
            return require(a == .i64, "the base must be an i64")
                ?? require(
                    instruction.b.isNone ? access.scale == 1 : b == .i64, "the index must be an i64; without one the scale is 1")
                ?? require(instruction.opcode == .load || c == type, "the stored value is \(c), not \(type)")
                ?? width(type, access)
        case .hostAddress:
            return require(type == .i64 && a == .i64, "makes an address of an address")
                ?? require(
                    instruction.b.isNone ? access.scale == 1 : b == .i64, "the index must be an i64; without one the scale is 1")
                ?? require(instruction.detail2 > 0, "proves nothing")
        case .atomic:
            return require(
                a == .i64 && c == type && instruction.b.isNone && type.isInteger, "needs an address and an operand of its type")
                ?? require(access.bytes >= 1 && access.scale == 1 && instruction.immediate == 0, "the address is plain")
                ?? width(type, access)
        case .compareExchange:
            return require(a == .i64 && b == type && c == type && type.isInteger, "needs an address and two operands of its type")
                ?? require(access.scale == 1 && instruction.immediate == 0, "the address is plain") ?? width(type, access)
        default: return floatViolation(of: instruction, a, b, c)
        }
    }

    private static func floatViolation(of instruction: Instruction, _ a: Type, _ b: Type, _ c: Type) -> String? {
        let type = instruction.type
        switch instruction.opcode {
        case .floatAdd, .floatSubtract, .floatMultiply, .floatDivide, .copySign, .copySignNegated, .copySignXor, .floatMinimum,
            .floatMaximum:
            return require(type.isFloat && a == type && b == type, "operands and result must be of one float type")
        case .floatSquareRoot, .canonicalNaN, .floatNegate, .floatAbsolute:
            return require(type.isFloat && a == type, "operand and result must be of one float type")
        case .multiplyAdd, .multiplySubtract, .negatedMultiplyAdd, .negatedMultiplySubtract:
            return require(type.isFloat && a == type && b == type && c == type, "operands and result must be of one float type")
        case .floatCompare:
            return require(type == .i64 && a.isFloat && a == b, "compares two floats of one type to an i64")
                ?? require(Int(instruction.detail) < floatComparisonNames.count, "unknown comparison")
        case .integerToFloat: return require(type.isFloat && a.isInteger, "makes a float of an integer")
        case .floatToInteger: return require(type.isInteger && a.isFloat, "makes an integer of a float") ?? rounding(instruction)
        case .roundToIntegral:
            return require(type.isFloat && a == type, "operand and result must be of one float type") ?? rounding(instruction)
        case .floatToFloat: return require(type.isFloat && a.isFloat && a != type, "converts between the two float types")
        case .bitcast:
            return require(type != .none && a != .none && a.byteCount == type.byteCount && a.isFloat != type.isFloat,
                           "pairs an integer and a float of one size")
        case .broadcast, .lane, .sumLanes, .anyNaN, .anyBit: return "there is no vector"
        case .box: return require(type == .f64 && a == .f32, "makes an f64 of an f32")
        case .unbox: return require(type == .f32 && a == .f64, "makes an f32 of an f64")
        default: return controlViolation(of: instruction, a, b)
        }
    }

    private static func controlViolation(of instruction: Instruction, _ a: Type, _ b: Type) -> String? {
        if instruction.type != .none { return "has no result" }
        switch instruction.opcode {
        case .exitIf, .branch: return require(a.isInteger, "the condition must be an integer")
        case .exit:
            return require(instruction.a.isNone, "has no operand a") ?? link(instruction, b)
        case .exitIndirect: return require(a == .i64, "the target must be an i64") ?? link(instruction, b)
        default: return nil
        }
    }

    static func require(_ holds: Bool, _ reason: String) -> String? { holds ? nil : reason }

    private static func slot(_ instruction: Instruction) -> String? {
        require((0 ..< 65_536).contains(instruction.immediate), "unlikely register number")
    }

    private static func width(_ type: Type, _ access: Access) -> String? {
        require(type != .none && access.bytes <= type.byteCount, "accesses more bytes than its type has")
            ?? require(type.isInteger || access.bytes == type.byteCount, "a float is accessed whole")
    }

    private static func rounding(_ instruction: Instruction) -> String? {
        require(Rounding(rawValue: instruction.detail & 7) != nil, "unknown rounding")
    }

    private static func link(_ instruction: Instruction, _ b: Type) -> String? {
        require(TransferHint(rawValue: instruction.detail) != nil, "unknown hint")
            ?? require(instruction.b.isNone || b == .i64, "the return address must be an i64")
    }
}

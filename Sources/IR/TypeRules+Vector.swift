// Which operations work on vectors, and on which.

extension TypeRules {
    static func vectorViolation(of instruction: Instruction, _ a: Type, _ b: Type, _ c: Type) -> String? {
        let type = instruction.type, lanes = type.laneByteCount
        switch instruction.opcode {
        case .add, .subtract, .and, .or, .xor:
            return require(
                type.isIntegerVector && a == type && b == type, "operands and result must be of one type of integer lanes")
        case .compare:
            let condition = Condition(rawValue: instruction.detail)
            return require(
                type.isIntegerVector && a == type && b == type, "operands and result must be of one type of integer lanes")
                ?? require(condition == .equal || condition == .greaterSigned, "lanes are equal or greater")
        case .multiply:
            return require(type.isIntegerVector && lanes == 4 && a == type && b == type, "multiplies lanes of i32")
        case .shiftLeft, .shiftRightLogical, .shiftRightArithmetic:
            return require(type.isIntegerVector && lanes >= 4 && a == type && b == type, "shifts lanes of i32 or i64")
        case .floatAdd, .floatSubtract, .floatMultiply, .floatDivide, .copySign, .copySignNegated, .copySignXor:
            return require(type.isFloatVector && a == type && b == type, "operands and result must be of one type of float lanes")
        case .floatSquareRoot, .canonicalNaN, .floatNegate, .floatAbsolute:
            return require(type.isFloatVector && a == type, "operand and result must be of one type of float lanes")
        case .multiplyAdd, .multiplySubtract, .negatedMultiplyAdd, .negatedMultiplySubtract:
            return require(
                type.isFloatVector && a == type && b == type && c == type,
                "operands and result must be of one type of float lanes")
        case .load, .store:
            let access = instruction.access
            return require(a == .i64, "the base must be an i64")
                ?? require(
                    instruction.b.isNone ? access.scale == 1 : b == .i64, "the index must be an i64; without one the scale is 1")
                ?? require(instruction.opcode == .load || c == type, "the stored value is \(c), not \(type)")
                ?? require(
                    access.bytes <= lanes && (type.isIntegerVector || access.bytes == lanes),
                    "accesses more bytes than a lane has")
                ?? require(!access.isOrdered, "is not ordered")
        case .broadcast:
            let fits = type.isFloatVector ? a == type.element : a.isInteger && a.byteCount >= lanes
            return require(type.isVector && fits, "the operand must be as wide as a lane")
        case .lane:
            return require(a.isVector && type == a.element, "the result must be of the element type")
                ?? require(Int(instruction.detail) < a.laneCount, "there is no such lane")
        case .sumLanes: return require(a.isIntegerVector && a.laneByteCount >= 4 && type == a.element, "sums lanes of i32 or i64")
        case .anyBit: return require(a.isIntegerVector && type == .i64, "tests integer lanes")
        case .anyNaN: return require(a.isFloatVector && type == .i64, "tests float lanes")
        default: return "does not work on vectors"
        }
    }
}

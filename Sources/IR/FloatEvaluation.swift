// Floating-point operations of the evaluator, on bit patterns, by the host's own instructions: rounding and sticky flags
// are those of MXCSR.

import CHost

enum FloatEvaluation {
    static let canonicalF32: UInt64 = 0x7fc0_0000
    static let canonicalF64: UInt64 = 0x7ff8_0000_0000_0000

    /// - Parameter source: type of a.
    static func result(of instruction: Instruction, source: Type, _ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
        switch instruction.opcode {
        case .bitcast: return a
        case .box: return a | 0xffff_ffff_0000_0000
        case .unbox: return a >> 32 == 0xffff_ffff ? a & 0xffff_ffff : canonicalF32
        case .integerToFloat: return fromInteger(instruction.type, source, isSigned: instruction.detail & 1 != 0, a)
        case .floatToInteger: return FloatRounding.toInteger(instruction, source, a)
        case .roundToIntegral: return FloatRounding.toIntegral(instruction, a)
        case .floatToFloat:
            return instruction.type == .f64
                ? mynah_f32_to_f64(float(a)).bitPattern : UInt64(mynah_f64_to_f32(double(a)).bitPattern)
        case .floatCompare: return compare(instruction.detail, source, a, b)
        case .floatMinimum, .floatMaximum: return extremum(instruction.opcode, instruction.type, a, b)
        case .canonicalNaN, .floatNegate, .floatAbsolute, .copySign, .copySignNegated, .copySignXor:
            return signOperation(instruction.opcode, instruction.type, a, b)
        default:
            return instruction.type == .f64
                ? arithmetic64(instruction.opcode, a, b, c) : arithmetic32(instruction.opcode, a, b, c)
        }
    }

    static func double(_ bits: UInt64) -> Double { Double(bitPattern: bits) }
    static func float(_ bits: UInt64) -> Float { Float(bitPattern: UInt32(truncatingIfNeeded: bits)) }

    static func isNaN(_ type: Type, _ bits: UInt64) -> Bool {
        type == .f64 ? bits & ~(1 << 63) > 0x7ff0_0000_0000_0000 : bits & 0x7fff_ffff > 0x7f80_0000
    }

    private static func arithmetic64(_ opcode: Opcode, _ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
        let sign: UInt64 = 1 << 63
        let (x, y) = (double(a), double(b))
        return switch opcode {
        case .floatAdd: mynah_add_f64(x, y).bitPattern
        case .floatSubtract: mynah_sub_f64(x, y).bitPattern
        case .floatMultiply: mynah_mul_f64(x, y).bitPattern
        case .floatDivide: mynah_div_f64(x, y).bitPattern
        case .floatSquareRoot: mynah_sqrt_f64(x).bitPattern
        case .multiplyAdd: mynah_fma_f64(x, y, double(c)).bitPattern
        case .multiplySubtract: mynah_fma_f64(x, y, double(c ^ sign)).bitPattern
        case .negatedMultiplyAdd: mynah_fma_f64(double(a ^ sign), y, double(c)).bitPattern
        case .negatedMultiplySubtract: mynah_fma_f64(double(a ^ sign), y, double(c ^ sign)).bitPattern
        default: preconditionFailure("\(opcode) is not a float operation")
        }
    }

    private static func arithmetic32(_ opcode: Opcode, _ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
        let sign: UInt64 = 1 << 31
        let (x, y) = (float(a), float(b))
        let result: Float = switch opcode {
        case .floatAdd: mynah_add_f32(x, y)
        case .floatSubtract: mynah_sub_f32(x, y)
        case .floatMultiply: mynah_mul_f32(x, y)
        case .floatDivide: mynah_div_f32(x, y)
        case .floatSquareRoot: mynah_sqrt_f32(x)
        case .multiplyAdd: mynah_fma_f32(x, y, float(c))
        case .multiplySubtract: mynah_fma_f32(x, y, float(c ^ sign))
        case .negatedMultiplyAdd: mynah_fma_f32(float(a ^ sign), y, float(c))
        case .negatedMultiplySubtract: mynah_fma_f32(float(a ^ sign), y, float(c ^ sign))
        default: preconditionFailure("\(opcode) is not a float operation")
        }
        return UInt64(result.bitPattern)
    }

    private static func signOperation(_ opcode: Opcode, _ type: Type, _ a: UInt64, _ b: UInt64) -> UInt64 {
        let sign: UInt64 = type == .f64 ? 1 << 63 : 1 << 31
        return switch opcode {
        case .canonicalNaN: isNaN(type, a) ? (type == .f64 ? canonicalF64 : canonicalF32) : a
        case .floatNegate: a ^ sign
        case .floatAbsolute: a & ~sign
        case .copySign: a & ~sign | b & sign
        case .copySignNegated: a & ~sign | ~b & sign
        default: a ^ b & sign
        }
    }

    /// Bit 0 unordered, bit 1 less, bit 2 equal.
    private static func relation(_ type: Type, signalling: Bool, _ a: UInt64, _ b: UInt64) -> UInt32 {
        switch (type, signalling) {
        case (.f64, false): mynah_compare_quiet_f64(double(a), double(b))
        case (.f64, true): mynah_compare_signalling_f64(double(a), double(b))
        case (_, false): mynah_compare_quiet_f32(float(a), float(b))
        case (_, true): mynah_compare_signalling_f32(float(a), float(b))
        }
    }

    private static func compare(_ detail: UInt8, _ type: Type, _ a: UInt64, _ b: UInt64) -> UInt64 {
        let holding: [UInt32] = [4, 2, 6, 2, 6]
        let isSignalling = detail == 1 || detail == 2
        return relation(type, signalling: isSignalling, a, b) & holding[Int(detail)] != 0 ? 1 : 0
    }

    private static func extremum(_ opcode: Opcode, _ type: Type, _ a: UInt64, _ b: UInt64) -> UInt64 {
        // The quiet comparison also raises invalid for signalling NaNs, as the operation must.
        let order = relation(type, signalling: false, a, b)
        let isMinimum = opcode == .floatMinimum
        if order & 1 != 0 {
            if isNaN(type, a) && isNaN(type, b) { return type == .f64 ? canonicalF64 : canonicalF32 }
            return isNaN(type, a) ? b : a
        }
        // Equal numbers differ at most in the sign of zero.
        if order & 4 != 0 { return isMinimum ? a | b : a & b }
        return (order & 2 != 0) == isMinimum ? a : b
    }

    private static func fromInteger(_ type: Type, _ source: Type, isSigned: Bool, _ a: UInt64) -> UInt64 {
        let value = isSigned ? IntegerEvaluation.signed(a, source) : Int64(bitPattern: a)
        if isSigned || value >= 0 { return convert(type, value) }
        // Half of it, the lost bit kept sticky, then doubled: exact but for the one rounding.
        let half = convert(type, Int64(bitPattern: a >> 1 | a & 1))
        return type == .f64
            ? mynah_add_f64(double(half), double(half)).bitPattern : UInt64(mynah_add_f32(float(half), float(half)).bitPattern)
    }

    private static func convert(_ type: Type, _ value: Int64) -> UInt64 {
        type == .f64 ? mynah_i64_to_f64(value).bitPattern : UInt64(mynah_i64_to_f32(value).bitPattern)
    }
}

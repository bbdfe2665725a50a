// The rounding instructions in the mode RMM. What involves NaNs, infinities or a division by zero does not round: the host does
// it.

import CHost

extension RISCVInterpreter {
    static func computeTiesAway(_ i: InterpreterRecord, _ x: UnsafeMutablePointer<UInt64>) {
        let a = x[Int(i.rs1)]
        let tiesAway: UInt32 = 4
        switch i.opcode {
        case .froundD: x[Int(i.rd)] = FloatRounding.rounded(a, tiesAway, raisesInexact: false)
        case .froundnxD: x[Int(i.rd)] = FloatRounding.rounded(a, tiesAway, raisesInexact: true)
        case .froundS:
            x[Int(i.rd)] = FloatBits.boxed(FloatRounding.rounded(FloatBits.unboxed(a), tiesAway, raisesInexact: false))
        case .froundnxS:
            x[Int(i.rd)] = FloatBits.boxed(FloatRounding.rounded(FloatBits.unboxed(a), tiesAway, raisesInexact: true))
        case .fcvtSW: x[Int(i.rd)] = converted(signed(extended(word(a))), .single)
        case .fcvtSWu: x[Int(i.rd)] = converted(Int64(low(a)), .single)
        case .fcvtSL: x[Int(i.rd)] = converted(signed(a), .single)
        case .fcvtSLu: x[Int(i.rd)] = converted(magnitude: a, isNegative: false, .single)
        case .fcvtDW: x[Int(i.rd)] = converted(signed(extended(word(a))), .double)
        case .fcvtDWu: x[Int(i.rd)] = converted(Int64(low(a)), .double)
        case .fcvtDL: x[Int(i.rd)] = converted(signed(a), .double)
        case .fcvtDLu: x[Int(i.rd)] = converted(magnitude: a, isNegative: false, .double)
        case .fcvtWS, .fcvtWuS, .fcvtLS, .fcvtLuS, .fcvtWD, .fcvtWuD, .fcvtLD, .fcvtLuD: convertToInteger(i, x)
        default:
            if let exact = exactResult(i, x) {
                let isSingle = exact.format.bias == FloatFormat.single.bias
                let bits = exact.number.rounded(to: exact.format)
                x[Int(i.rd)] = isSingle ? FloatBits.boxed(low(bits)) : bits
            } else {
                // No rounding takes place: any mode of the host gives the result and the flags.
                computeNearest(i, x)
            }
        }
    }

    private static func converted(_ value: Int64, _ format: FloatFormat) -> UInt64 {
        converted(magnitude: value.magnitude, isNegative: value < 0, format)
    }

    private static func converted(magnitude: UInt64, isNegative: Bool, _ format: FloatFormat) -> UInt64 {
        let number = ExactNumber(isNegative: isNegative, exponent: 0, significand: UInt128(magnitude))
        let bits = number.rounded(to: format)
        return format.bias == FloatFormat.single.bias ? FloatBits.boxed(low(bits)) : bits
    }

    /// Rounds to an integral value first, whose conversion is exact or invalid.
    private static func convertToInteger(_ i: InterpreterRecord, _ x: UnsafeMutablePointer<UInt64>) {
        let isDouble = i.opcode.rawValue >= RISCVOpcode.fcvtWD.rawValue
        let a = x[Int(i.rs1)]
        let value = isDouble ? a : mynah_f32_to_f64(single(a)).bitPattern
        let integral = FloatBits.isNaN(value) ? value : FloatRounding.rounded(value, 4, raisesInexact: false)
        let before = mynah_get_mxcsr()
        mynah_set_mxcsr(before & ~FloatControl.invalid)
        let number = double(integral)
        let result: UInt64
        switch i.opcode {
        case .fcvtWS, .fcvtWD: result = extended(FloatConversion.int32(number))
        case .fcvtWuS, .fcvtWuD: result = extended(FloatConversion.uint32(number))
        case .fcvtLS, .fcvtLD: result = unsigned(FloatConversion.int64(number))
        default: result = FloatConversion.uint64(number)
        }
        let isInvalid = mynah_get_mxcsr() & FloatControl.invalid != 0
        let raised = isInvalid ? FloatControl.invalid : (integral != value ? FloatControl.inexact : 0)
        mynah_set_mxcsr(before | raised)
        x[Int(i.rd)] = result
    }

    /// The result before rounding, or nil when an operand is special or the result is.
    private static func exactResult(
        _ i: InterpreterRecord, _ x: UnsafeMutablePointer<UInt64>
    ) -> (number: ExactNumber, format: FloatFormat)? {
        let isSingleSource = i.opcode.rawValue < RISCVOpcode.fld.rawValue || i.opcode == .fcvtDS
        let source = isSingleSource ? FloatFormat.single : FloatFormat.double
        func operand(_ register: UInt8) -> ExactNumber? {
            let bits = isSingleSource ? UInt64(FloatBits.unboxed(x[Int(register)])) : x[Int(register)]
            return bits & source.infinity == source.infinity ? nil : ExactNumber(bits, source)
        }
        guard let a = operand(i.rs1) else { return nil }
        switch i.opcode {
        case .fcvtSD: return (a, .single)
        case .fcvtDS: return nil
        case .fsqrtS, .fsqrtD: return a.isNegative || a.significand == 0 ? nil : (a.squareRoot, source)
        default: break
        }
        guard let b = operand(i.rs2) else { return nil }
        switch i.opcode {
        case .faddS, .faddD: return (a + b, source)
        case .fsubS, .fsubD: return (a + negated(b), source)
        case .fmulS, .fmulD: return (a * b, source)
        case .fdivS, .fdivD: return a.significand == 0 || b.significand == 0 ? nil : (a / b, source)
        default: break
        }
        guard let c = operand(i.rs3) else { return nil }
        switch i.opcode {
        case .fmaddS, .fmaddD: return (a * b + c, source)
        case .fmsubS, .fmsubD: return (a * b + negated(c), source)
        case .fnmsubS, .fnmsubD: return (negated(a) * b + c, source)
        default: return (negated(a) * b + negated(c), source)
        }
    }

    private static func negated(_ number: ExactNumber) -> ExactNumber {
        ExactNumber(isNegative: !number.isNegative, exponent: number.exponent, significand: number.significand)
    }
}

// Conversions from float to integer and to integral floats, with exact flags, for the evaluator.

import CHost

enum FloatRounding {
    private static let invalidFlag: UInt32 = 1
    private static let flags: UInt32 = 0x3f
    private static let roundingField: UInt32 = 3 << 13

    /// Runs `body` under a rounding mode; sticky flags that it raises stay.
    private static func with<Result>(_ rounding: Rounding, _ body: () -> Result) -> Result {
        let before = mynah_get_mxcsr()
        let mode: UInt32
        switch rounding {
        case .current: return body()
        case .nearestEven: mode = 0
        case .down: mode = 1 << 13
        case .up: mode = 2 << 13
        case .towardZero: mode = 3 << 13
        }
        mynah_set_mxcsr(before & ~roundingField | mode)
        let result = body()
        mynah_set_mxcsr(before | mynah_get_mxcsr() & flags)
        return result
    }

    /// Out-of-range sources raise invalid only and give the nearest bound; NaN gives the largest value.
    static func toInteger(_ instruction: Instruction, _ source: Type, _ a: UInt64) -> UInt64 {
        // Widening a float changes neither its value nor, for numbers, the flags.
        let isNaN = FloatEvaluation.isNaN(source, a)
        let isSigned = instruction.detail & 8 != 0, bits = instruction.type.byteCount * 8
        let smallest: Int64 = isSigned ? Int64.min >> (64 - bits) : 0
        let largest: UInt64 = isSigned ? UInt64(Int64.max >> (64 - bits)) : UInt64.max >> (64 - bits)
        let before = mynah_get_mxcsr()
        func invalid(_ bound: UInt64) -> UInt64 {
            mynah_set_mxcsr(before | invalidFlag)
            return bound
        }
        if isNaN { return invalid(largest) }
        let value = source == .f64 ? FloatEvaluation.double(a) : Double(FloatEvaluation.float(a))
        if value >= 0x1p63 {
            guard !isSigned, bits == 64, value < 0x1p64 else { return invalid(largest) }
            // Such large values are integers; Swift's own conversion goes through one that overflows, and raises "invalid".
            let before = mynah_get_mxcsr(), result = UInt64(value)
            mynah_set_mxcsr(before)
            return result
        }
        if value < -0x1p63 { return invalid(UInt64(bitPattern: smallest)) }
        let rounded = with(instruction.rounding) { mynah_f64_to_i64(value) }
        if rounded < smallest { return invalid(UInt64(bitPattern: smallest)) }
        if rounded > 0 && UInt64(rounded) > largest { return invalid(largest) }
        return UInt64(bitPattern: rounded)
    }

    static func toIntegral(_ instruction: Instruction, _ a: UInt64) -> UInt64 {
        let type = instruction.type
        let isDouble = type == .f64, sign: UInt64 = isDouble ? 1 << 63 : 1 << 31
        // Adding a NaN to itself quiets it and raises invalid when it signals.
        if FloatEvaluation.isNaN(type, a) {
            return isDouble ? mynah_add_f64(FloatEvaluation.double(a), FloatEvaluation.double(a)).bitPattern
                : UInt64(mynah_add_f32(FloatEvaluation.float(a), FloatEvaluation.float(a)).bitPattern)
        }
        let value = isDouble ? FloatEvaluation.double(a) : Double(FloatEvaluation.float(a))
        if value.magnitude >= 0x1p52 { return a }
        let before = mynah_get_mxcsr()
        let rounded = with(instruction.rounding) { mynah_f64_to_i64(value) }
        let magnitude = isDouble ? mynah_i64_to_f64(rounded).bitPattern : UInt64(mynah_i64_to_f32(rounded).bitPattern)
        if instruction.detail & 8 == 0 { mynah_set_mxcsr(before) }
        return magnitude & ~sign | a & sign
    }
}

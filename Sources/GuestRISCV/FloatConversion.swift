// Conversions between integers and floating point with RISC-V's saturation and exact flags; selection of the lesser and greater;
// rounding to an integral value.

import CHost

enum FloatConversion {
    // MARK: To integer, in MXCSR's rounding mode

    /// The host's "indefinite" result is the most negative number: right unless the value is positive or a NaN.
    static func int32(_ value: Double) -> Int32 {
        let result = mynah_f64_to_i32(value)
        return result == .min && isPositiveOrNaN(value) ? .max : result
    }

    static func int64(_ value: Double) -> Int64 {
        let result = mynah_f64_to_i64(value)
        return result == .min && isPositiveOrNaN(value) ? .max : result
    }

    static func uint32(_ value: Double) -> UInt32 {
        let before = mynah_get_mxcsr()
        let result = mynah_f64_to_i64(value)
        if let result = UInt32(exactly: result) { return result }
        // An out-of-range value is invalid only, never inexact as well.
        mynah_set_mxcsr(before | FloatControl.invalid)
        return isPositiveOrNaN(value) ? .max : 0
    }

    static func uint64(_ value: Double) -> UInt64 {
        let bits = value.bitPattern
        let two63: UInt64 = 0x43e0_0000_0000_0000
        let two64: UInt64 = 0x43f0_0000_0000_0000
        if bits >= two63 && bits < two64 {
            // Integral, with the leading one at bit 63.
            return (bits << 11) | 1 << 63
        }
        let before = mynah_get_mxcsr()
        let result = mynah_f64_to_i64(value)
        if result >= 0 { return UInt64(result) }
        mynah_set_mxcsr(before | FloatControl.invalid)
        return isPositiveOrNaN(value) ? .max : 0
    }

    /// `fcvtmod.w.d`: towards zero, modulo 2^32; flags as those of `fcvt.w.d`.
    static func modularInt32(_ bits: UInt64) -> Int32 {
        let value = Double(bitPattern: bits)
        _ = mynah_f64_to_i32_truncating(value)
        let exponent = Int(bits >> 52 & 0x7ff) - 1075
        if exponent == 0x7ff - 1075 || exponent <= -53 { return 0 }
        let significand = bits & 0xf_ffff_ffff_ffff | 1 << 52
        let magnitude = exponent >= 0 ? (exponent < 32 ? significand << UInt64(exponent) : 0) : significand >> UInt64(-exponent)
        let low = Int32(truncatingIfNeeded: magnitude)
        return bits & FloatBits.signDouble == 0 ? low : 0 &- low
    }

    private static func isPositiveOrNaN(_ value: Double) -> Bool {
        value.bitPattern & FloatBits.signDouble == 0 || FloatBits.isNaN(value.bitPattern)
    }

    // MARK: From unsigned

    /// A value with the top bit set is halved, the lost bit kept for rounding, and doubled again exactly.
    static func double(unsigned value: UInt64) -> Double {
        if value >> 63 == 0 { return mynah_i64_to_f64(Int64(value)) }
        let half = mynah_i64_to_f64(Int64(bitPattern: value >> 1 | value & 1))
        return mynah_add_f64(half, half)
    }

    static func single(unsigned value: UInt64) -> Float {
        if value >> 63 == 0 { return mynah_i64_to_f32(Int64(value)) }
        let half = mynah_i64_to_f32(Int64(bitPattern: value >> 1 | value & 1))
        return mynah_add_f32(half, half)
    }
}

/// `fmin`, `fmax` and their relatives of Zfa.
enum FloatSelection {
    /// The lesser; the other one when one is a NaN; -0 is less than +0. Invalid for signalling NaNs.
    static func minimum(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let comparison = mynah_compare_quiet_f64(Double(bitPattern: a), Double(bitPattern: b))
        if comparison & 1 != 0 { return number(a, b) }
        if comparison & 4 != 0 { return a | b }
        return comparison & 2 != 0 ? a : b
    }

    static func maximum(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let comparison = mynah_compare_quiet_f64(Double(bitPattern: a), Double(bitPattern: b))
        if comparison & 1 != 0 { return number(a, b) }
        if comparison & 4 != 0 { return a & b }
        return comparison & 2 != 0 ? b : a
    }

    static func minimum(_ a: UInt32, _ b: UInt32) -> UInt32 {
        let comparison = mynah_compare_quiet_f32(Float(bitPattern: a), Float(bitPattern: b))
        if comparison & 1 != 0 { return number(a, b) }
        if comparison & 4 != 0 { return a | b }
        return comparison & 2 != 0 ? a : b
    }

    static func maximum(_ a: UInt32, _ b: UInt32) -> UInt32 {
        let comparison = mynah_compare_quiet_f32(Float(bitPattern: a), Float(bitPattern: b))
        if comparison & 1 != 0 { return number(a, b) }
        if comparison & 4 != 0 { return a & b }
        return comparison & 2 != 0 ? b : a
    }

    /// `fminm`, `fmaxm`: a NaN operand makes the result a NaN.
    static func propagating(_ a: UInt64, _ b: UInt64, _ selected: UInt64) -> UInt64 {
        FloatBits.isNaN(a) || FloatBits.isNaN(b) ? FloatBits.canonicalDouble : selected
    }

    static func propagating(_ a: UInt32, _ b: UInt32, _ selected: UInt32) -> UInt32 {
        FloatBits.isNaN(a) || FloatBits.isNaN(b) ? FloatBits.canonicalSingle : selected
    }

    private static func number(_ a: UInt64, _ b: UInt64) -> UInt64 {
        FloatBits.isNaN(a) ? FloatBits.canonical(b) : a
    }

    private static func number(_ a: UInt32, _ b: UInt32) -> UInt32 {
        FloatBits.isNaN(a) ? FloatBits.canonical(b) : a
    }
}

/// `fround` and `froundnx`, in every mode and without the host's help.
enum FloatRounding {
    /// - Parameter mode: RNE, RTZ, RDN, RUP, RMM: 0...4.
    static func rounded(_ bits: UInt64, _ mode: UInt32, raisesInexact: Bool) -> UInt64 {
        if FloatBits.isNaN(bits) {
            if FloatBits.isSignalling(bits) { FloatControl.raise(FloatControl.invalid) }
            return FloatBits.canonicalDouble
        }
        let result = magnitude(bits, fractionBits: 52, bias: 1023, mode)
        if raisesInexact && result != bits { FloatControl.raise(FloatControl.inexact) }
        return result
    }

    static func rounded(_ bits: UInt32, _ mode: UInt32, raisesInexact: Bool) -> UInt32 {
        if FloatBits.isNaN(bits) {
            if FloatBits.isSignalling(bits) { FloatControl.raise(FloatControl.invalid) }
            return FloatBits.canonicalSingle
        }
        let sign = UInt64(bits & FloatBits.signSingle) << 32
        let widened = sign | UInt64(bits & ~FloatBits.signSingle)
        let rounded = magnitude(widened, fractionBits: 23, bias: 127, mode)
        let result = UInt32(truncatingIfNeeded: rounded) | UInt32(truncatingIfNeeded: rounded >> 32)
        if raisesInexact && result != bits { FloatControl.raise(FloatControl.inexact) }
        return result
    }

    /// Rounds a number whose sign is in bit 63 and whose other fields are right-aligned. A carry out of the fraction
    /// increments the exponent, as it should.
    private static func magnitude(_ bits: UInt64, fractionBits: Int, bias: Int, _ mode: UInt32) -> UInt64 {
        let sign = bits & FloatBits.signDouble
        let value = bits ^ sign
        let exponent = Int(value >> UInt64(fractionBits)) - bias
        if exponent >= fractionBits { return bits }
        let one = UInt64(bias) << UInt64(fractionBits)
        if exponent < 0 {
            let half = one - 1 << UInt64(fractionBits)
            return sign | (roundsUp(mode, sign, isOdd: false, value == half ? 1 : (value > half ? 2 : 0), value == 0) ? one : 0)
        }
        let unit = UInt64(1) << UInt64(fractionBits - exponent)
        let rest = value & (unit - 1)
        let floor = value - rest
        let position = rest * 2 == unit ? 1 : (rest * 2 > unit ? 2 : 0)
        // With exponent 0 the odd bit is the hidden one.
        let isOdd = exponent == 0 || floor & unit != 0
        return sign | (roundsUp(mode, sign, isOdd: isOdd, position, rest == 0) ? floor + unit : floor)
    }

    /// - Parameter position: 0 below half, 1 half, 2 above.
    private static func roundsUp(_ mode: UInt32, _ sign: UInt64, isOdd: Bool, _ position: Int, _ isExact: Bool) -> Bool {
        if isExact { return false }
        switch mode {
        case 0: return position == 2 || position == 1 && isOdd
        case 1: return false
        case 2: return sign != 0
        case 3: return sign == 0
        default: return position >= 1
        }
    }
}

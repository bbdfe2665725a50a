// Rounding to nearest with ties away from zero (RMM), which the host cannot do: exact arithmetic on integers of 128 bits, of
// which bits that do not fit are kept as one sticky bit, and one rounding at the end.

import CHost

/// A binary floating-point format.
struct FloatFormat {
    let fractionBits: Int
    let bias: Int
    static let single = FloatFormat(fractionBits: 23, bias: 127)
    static let double = FloatFormat(fractionBits: 52, bias: 1023)
    var infinity: UInt64 { UInt64(2 * bias + 1) << UInt64(fractionBits) }
    var canonicalNaN: UInt64 { infinity | 1 << UInt64(fractionBits - 1) }
    var sign: UInt64 { 1 << UInt64(fractionBits + (self.bias == 127 ? 8 : 11)) }
}

/// A finite number: significand times two to the exponent. The lowest bit of the significand is sticky after a lossy step.
struct ExactNumber {
    var isNegative: Bool
    var exponent: Int
    var significand: UInt128

    /// Of a finite value's bits.
    init(_ bits: UInt64, _ format: FloatFormat) {
        let field = Int(truncatingIfNeeded: (bits & (format.sign - 1)) >> UInt64(format.fractionBits))
        let fraction = bits & (1 << UInt64(format.fractionBits) - 1)
        isNegative = bits & format.sign != 0
        exponent = max(field, 1) - format.bias - format.fractionBits
        significand = UInt128(field == 0 ? fraction : fraction | 1 << UInt64(format.fractionBits))
    }

    init(isNegative: Bool, exponent: Int, significand: UInt128) {
        self.isNegative = isNegative
        self.exponent = exponent
        self.significand = significand
    }

    /// Index of the highest set bit; the significand is not zero.
    var top: Int { 127 - significand.leadingZeroBitCount }

    /// The same value with its highest bit at `position`, sticky when bits are lost.
    func normalized(to position: Int) -> ExactNumber {
        let shift = position - top
        if shift >= 0 {
            return ExactNumber(isNegative: isNegative, exponent: exponent - shift, significand: significand << UInt128(shift))
        }
        return shiftedRight(by: -shift)
    }

    func shiftedRight(by count: Int) -> ExactNumber {
        if count == 0 { return self }
        if count > 127 {
            return ExactNumber(isNegative: isNegative, exponent: exponent + count, significand: significand == 0 ? 0 : 1)
        }
        let lost = significand & (1 << UInt128(count) - 1)
        let kept = significand >> UInt128(count)
        return ExactNumber(isNegative: isNegative, exponent: exponent + count, significand: lost == 0 ? kept : kept | 1)
    }

    static func * (a: ExactNumber, b: ExactNumber) -> ExactNumber {
        ExactNumber(
            isNegative: a.isNegative != b.isNegative, exponent: a.exponent + b.exponent,
            significand: a.significand * b.significand)
    }

    /// Two spare bits at the top; 126 bits of significand are more than a product needs, so that nothing is lost when much
    /// cancels.
    static func + (a: ExactNumber, b: ExactNumber) -> ExactNumber {
        if a.significand == 0 && b.significand == 0 {
            return ExactNumber(isNegative: a.isNegative && b.isNegative, exponent: 0, significand: 0)
        }
        if a.significand == 0 { return b }
        if b.significand == 0 { return a }
        var left = a.normalized(to: 125)
        var right = b.normalized(to: 125)
        if left.exponent < right.exponent { swap(&left, &right) }
        right = right.shiftedRight(by: left.exponent - right.exponent)
        if left.isNegative == right.isNegative {
            left.significand += right.significand
            return left
        }
        if left.significand == right.significand { return ExactNumber(isNegative: false, exponent: 0, significand: 0) }
        if left.significand < right.significand { swap(&left, &right) }
        return ExactNumber(
            isNegative: left.isNegative, exponent: left.exponent, significand: left.significand - right.significand)
    }

    /// A quotient of more than 60 bits and a sticky one; neither operand is zero.
    static func / (a: ExactNumber, b: ExactNumber) -> ExactNumber {
        let dividend = a.normalized(to: 127)
        let divisor = b.normalized(to: 62)
        let (quotient, remainder) = dividend.significand.quotientAndRemainder(dividingBy: divisor.significand)
        return ExactNumber(
            isNegative: a.isNegative != b.isNegative, exponent: dividend.exponent - divisor.exponent,
            significand: remainder == 0 ? quotient : quotient | 1)
    }

    /// A root of 63 bits and a sticky one; the number is positive.
    var squareRoot: ExactNumber {
        var radicand = normalized(to: 125)
        if radicand.exponent & 1 != 0 { radicand = normalized(to: 126) }
        var root: UInt128 = 0
        for bit in stride(from: 63, through: 0, by: -1) {
            let candidate = root | 1 << UInt128(bit)
            if candidate.multipliedFullWidth(by: candidate).high == 0 && candidate * candidate <= radicand.significand {
                root = candidate
            }
        }
        let isExact = root * root == radicand.significand
        return ExactNumber(isNegative: false, exponent: radicand.exponent / 2, significand: isExact ? root : root | 1)
    }

    /// The nearest number of the format, ties away from zero; raises overflow, underflow and inexact.
    func rounded(to format: FloatFormat) -> UInt64 {
        let sign = isNegative ? format.sign : 0
        if significand == 0 { return sign }
        let smallestExponent = 1 - format.bias - format.fractionBits
        let unit = exponent + top - format.fractionBits
        let (wide, isInexact) = integer(inUnitsOf: max(unit, smallestExponent))
        // A carry beyond the significand's bits moves into the exponent field; subnormals have field 0 without the hidden bit.
        let field = max(unit, smallestExponent) - smallestExponent
        if field > 2 * format.bias { return overflowed(sign, format) }
        let bits = UInt64(field) << UInt64(format.fractionBits) + wide
        if bits >= format.infinity { return overflowed(sign, format) }
        if isInexact {
            FloatControl.raise(
                isTiny(unit, smallestExponent, format) ? FloatControl.inexact | FloatControl.underflow : FloatControl.inexact)
        }
        return sign | bits
    }

    private func overflowed(_ sign: UInt64, _ format: FloatFormat) -> UInt64 {
        FloatControl.raise(FloatControl.overflow | FloatControl.inexact)
        return sign | format.infinity
    }

    /// Tininess after rounding: rounded with an unbounded exponent, the value would still be below the least normal number.
    private func isTiny(_ unit: Int, _ smallestExponent: Int, _ format: FloatFormat) -> Bool {
        if unit >= smallestExponent { return false }
        let leastNormal = UInt64(1) << UInt64(format.fractionBits)
        return !(unit == smallestExponent - 1 && integer(inUnitsOf: unit).value == leastNormal << 1)
    }

    /// The magnitude divided by two to the `unit`, rounded to nearest, ties away.
    func integer(inUnitsOf unit: Int) -> (value: UInt64, isInexact: Bool) {
        let shift = unit - exponent
        if shift <= 0 { return (UInt64(truncatingIfNeeded: significand << UInt128(-shift)), false) }
        if shift > 127 { return (0, significand != 0) }
        let lost = significand & (1 << UInt128(shift) - 1)
        let half = UInt128(1) << UInt128(shift - 1)
        let kept = UInt64(truncatingIfNeeded: significand >> UInt128(shift))
        return (lost >= half ? kept + 1 : kept, lost != 0)
    }
}

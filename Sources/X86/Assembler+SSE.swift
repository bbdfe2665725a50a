// SSE: scalar arithmetic, comparisons and conversions. The names end before the `s` or `d` of the width, which is an
// argument: `adds(.double, …)` is `addsd`.

/// Scalar and packed floating-point arithmetic. The raw value is the opcode.
@usableFromInline
package enum FloatOperation: UInt8, CaseIterable, Sendable {
    case sqrt = 0x51
    case add = 0x58, mul
    case sub = 0x5C, min, div, max
}

/// Bitwise logic on vectors in the floating-point domain. The raw value is the opcode.
@usableFromInline
package enum FloatLogic: UInt8, CaseIterable, Sendable {
    case and = 0x54, andn, or, xor
}

/// The predicate of `cmps`: the first eight. `ordered` and the `not…` forms treat NaN as the names say.
@usableFromInline
package enum FloatPredicate: UInt8, CaseIterable, Sendable {
    case equal = 0, less, lessOrEqual, unordered, notEqual, notLess, notLessOrEqual, ordered
}

/// The rounding control of `rounds`. The inexact exception is suppressed by adding 8.
@usableFromInline
package enum RoundingControl: UInt8, CaseIterable, Sendable {
    case nearest = 0, down, up, towardZero, current
}

extension Encoding {
    /// `F3 0F opcode` or `F2 0F opcode`
    @inline(__always)
    static func scalar(_ width: FloatWidth, _ opcode: UInt8) -> Encoding {
        Encoding.two(opcode).prefixed(width == .single ? 0xF3 : 0xF2)
    }

    /// `0F opcode` or `66 0F opcode`
    @inline(__always)
    static func packed(_ width: FloatWidth, _ opcode: UInt8) -> Encoding {
        width == .single ? .two(opcode) : Encoding.two(opcode).prefixed(0x66)
    }
}

extension Assembler {
    // MARK: Arithmetic

    /// `operation destination, source` on the lowest element; the others stay.
    @usableFromInline
    package mutating func scalar(
        _ operation: FloatOperation, _ width: FloatWidth, _ destination: XMM, _ source: XMM
    ) {
        emit(.scalar(width, operation.rawValue), destination.rawValue, source.rawValue)
    }

    @usableFromInline
    package mutating func scalar(
        _ operation: FloatOperation, _ width: FloatWidth, _ destination: XMM, _ source: Memory
    ) {
        emit(.scalar(width, operation.rawValue), destination.rawValue, source)
    }

    /// `operation destination, source` on all elements. A memory source must be aligned to 16 bytes.
    @usableFromInline
    package mutating func packed(
        _ operation: FloatOperation, _ width: FloatWidth, _ destination: XMM, _ source: XMM
    ) {
        emit(.packed(width, operation.rawValue), destination.rawValue, source.rawValue)
    }

    @usableFromInline
    package mutating func packed(
        _ operation: FloatOperation, _ width: FloatWidth, _ destination: XMM, _ source: Memory
    ) {
        emit(.packed(width, operation.rawValue), destination.rawValue, source)
    }

    /// `andp…`, `andnp…`, `orp…`, `xorp…`. A memory source must be aligned to 16 bytes.
    @usableFromInline
    package mutating func logic(
        _ operation: FloatLogic, _ width: FloatWidth, _ destination: XMM, _ source: XMM
    ) {
        emit(.packed(width, operation.rawValue), destination.rawValue, source.rawValue)
    }

    @usableFromInline
    package mutating func logic(
        _ operation: FloatLogic, _ width: FloatWidth, _ destination: XMM, _ source: Memory
    ) {
        emit(.packed(width, operation.rawValue), destination.rawValue, source)
    }

    // MARK: Comparison

    /// Compares; quiet NaNs raise no exception. Unordered sets zero, parity and carry.
    package mutating func ucomis(_ width: FloatWidth, _ first: XMM, _ second: XMM) {
        emit(.packed(width, 0x2E), first.rawValue, second.rawValue)
    }

    package mutating func ucomis(_ width: FloatWidth, _ first: XMM, _ second: Memory) {
        emit(.packed(width, 0x2E), first.rawValue, second)
    }

    /// Compares; every NaN raises the invalid exception. Unordered sets zero, parity and carry.
    package mutating func comis(_ width: FloatWidth, _ first: XMM, _ second: XMM) {
        emit(.packed(width, 0x2F), first.rawValue, second.rawValue)
    }

    package mutating func comis(_ width: FloatWidth, _ first: XMM, _ second: Memory) {
        emit(.packed(width, 0x2F), first.rawValue, second)
    }

    /// All ones in the lowest element where the predicate holds, else zeros.
    package mutating func cmps(
        _ predicate: FloatPredicate, _ width: FloatWidth, _ destination: XMM, _ source: XMM
    ) {
        emit(.scalar(width, 0xC2), destination.rawValue, source.rawValue)
        store(predicate.rawValue)
    }

    package mutating func cmps(
        _ predicate: FloatPredicate, _ width: FloatWidth, _ destination: XMM, _ source: Memory
    ) {
        emit(.scalar(width, 0xC2).immediate(1), destination.rawValue, source)
        store(predicate.rawValue)
    }

    // MARK: Conversion

    /// `cvtss2sd` or `cvtsd2ss`: from `source` width to the other one.
    @inline(__always)
    private mutating func convert(from width: FloatWidth, _ destination: XMM, _ source: XMM) {
        emit(.scalar(width, 0x5A), destination.rawValue, source.rawValue)
    }

    package mutating func cvtss2sd(_ destination: XMM, _ source: XMM) {
        convert(from: .single, destination, source)
    }
    package mutating func cvtsd2ss(_ destination: XMM, _ source: XMM) {
        convert(from: .double, destination, source)
    }
    package mutating func cvtss2sd(_ destination: XMM, _ source: Memory) {
        emit(.scalar(.single, 0x5A), destination.rawValue, source)
    }
    package mutating func cvtsd2ss(_ destination: XMM, _ source: Memory) {
        emit(.scalar(.double, 0x5A), destination.rawValue, source)
    }

    /// `cvtsi2ss` or `cvtsi2sd`: a signed `integer` (`long` or `quad`) to a float. The other elements stay.
    package mutating func cvtsi2s(
        _ width: FloatWidth, _ destination: XMM, from integer: Width, _ source: Register
    ) {
        emit(.scalar(width, 0x2A).wide(integer == .quad), destination.rawValue, source.rawValue)
    }

    package mutating func cvtsi2s(_ width: FloatWidth, _ destination: XMM, from integer: Width, _ source: Memory) {
        emit(.scalar(width, 0x2A).wide(integer == .quad), destination.rawValue, source)
    }

    /// `cvtss2si` or `cvtsd2si`: rounds as MXCSR says. Out of range gives the lowest integer and invalid.
    package mutating func cvts2si(
        _ integer: Width, _ destination: Register, from width: FloatWidth, _ source: XMM
    ) {
        emit(.scalar(width, 0x2D).wide(integer == .quad), destination.rawValue, source.rawValue)
    }

    package mutating func cvts2si(
        _ integer: Width, _ destination: Register, from width: FloatWidth, _ source: Memory
    ) {
        emit(.scalar(width, 0x2D).wide(integer == .quad), destination.rawValue, source)
    }

    /// `cvttss2si` or `cvttsd2si`: truncates. Out of range gives the lowest integer and invalid.
    package mutating func cvtts2si(
        _ integer: Width, _ destination: Register, from width: FloatWidth, _ source: XMM
    ) {
        emit(.scalar(width, 0x2C).wide(integer == .quad), destination.rawValue, source.rawValue)
    }

    package mutating func cvtts2si(
        _ integer: Width, _ destination: Register, from width: FloatWidth, _ source: Memory
    ) {
        emit(.scalar(width, 0x2C).wide(integer == .quad), destination.rawValue, source)
    }

    /// `roundss` or `roundsd` (SSE4.1): to an integral value.
    package mutating func rounds(
        _ width: FloatWidth, _ destination: XMM, _ source: XMM, _ control: RoundingControl,
        suppressingInexact isSuppressed: Bool = false
    ) {
        emit(.rounding(width), destination.rawValue, source.rawValue)
        store(control.rawValue | (isSuppressed ? 8 : 0))
    }

    package mutating func rounds(
        _ width: FloatWidth, _ destination: XMM, _ source: Memory, _ control: RoundingControl,
        suppressingInexact isSuppressed: Bool = false
    ) {
        emit(.rounding(width).immediate(1), destination.rawValue, source)
        store(control.rawValue | (isSuppressed ? 8 : 0))
    }
}

extension Encoding {
    @inline(__always)
    fileprivate static func rounding(_ width: FloatWidth) -> Encoding {
        Encoding.map3A(0x0A | width.rawValue).prefixed(0x66)
    }
}

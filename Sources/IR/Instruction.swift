// One IR instruction: a plain 32-byte record. A value is the index of the instruction that defines it.
//
// `package` declarations are invisible to the optimiser of other modules unless their types and stored properties are
// `@usableFromInline`: without it even `a == b` is a call through a witness table there.

/// Names the result of an instruction by its index in the function.
@usableFromInline package struct Value: Hashable, Sendable {
    @usableFromInline package var index: UInt32
    @inlinable package init(_ index: UInt32) { self.index = index }
    @inlinable package init(_ index: Int) { self.index = UInt32(truncatingIfNeeded: index) }
    /// An absent operand.
    @inlinable package static var none: Value { Value(UInt32.max) }
    @inlinable package var isNone: Bool { index == UInt32.max }
    /// Its position in a table by values; -1 for an absent operand. Tables with an element there, which nobody looks at, need no
    /// branch for each operand: those cannot be predicted, but for the third, which is mostly absent.
    @inlinable package var place: Int { Int(Int32(bitPattern: index)) }
}

@usableFromInline package struct Instruction: Equatable, Sendable {
    @usableFromInline package var opcode: Opcode
    /// Type of the result; of a `store`, the type of the stored value.
    @usableFromInline package var type: Type
    /// Meaning by opcode (see `Opcode`).
    @usableFromInline package var detail: UInt8
    @usableFromInline package var detail2: UInt8
    @usableFromInline package var a: Value
    @usableFromInline package var b: Value
    @usableFromInline package var c: Value
    @usableFromInline package var immediate: Int64

    @inlinable package init(
        _ opcode: Opcode, _ type: Type = .none, a: Value = .none, b: Value = .none, c: Value = .none,
        detail: UInt8 = 0, detail2: UInt8 = 0, immediate: Int64 = 0
    ) {
        self.opcode = opcode
        self.type = type
        self.detail = detail
        self.detail2 = detail2
        self.a = a
        self.b = b
        self.c = c
        self.immediate = immediate
    }

    @inlinable package var access: Access { Access(rawValue: detail) }
    @inlinable package var condition: Condition { Condition(rawValue: detail).unsafelyUnwrapped }
    @inlinable package var hint: TransferHint { TransferHint(rawValue: detail).unsafelyUnwrapped }
    @inlinable package var trapReason: TrapReason { TrapReason(rawValue: detail).unsafelyUnwrapped }
    @inlinable package var atomicKind: AtomicKind { AtomicKind(rawValue: detail2).unsafelyUnwrapped }
    @inlinable package var rounding: Rounding { Rounding(rawValue: detail & 7).unsafelyUnwrapped }
    @inlinable package var slot: Int { Int(truncatingIfNeeded: immediate) }
}

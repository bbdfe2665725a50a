// Types of IR values. Integers narrower than 32 bits exist only in memory, where loads extend and stores truncate, and as lanes.

/// The type of an IR value.
@usableFromInline package enum Type: UInt8, CaseIterable, Sendable {
    /// No value: stores, exits, markers.
    case none
    case i32
    case i64
    /// IEEE 754 binary32, held in the low lane of a host vector register.
    case f32
    /// IEEE 754 binary64, held in the low lane of a host vector register.
    case f64
    // Vectors, by lanes: only loops that stand for several iterations have them; see Type+Vector.swift.
    case v16i8, v8i16, v4i32, v2i64, v4f32, v2f64
    case v32i8, v16i16, v8i32, v4i64, v8f32, v4f64

    /// Size in bytes; 0 for `none`.
    @inlinable package var byteCount: Int {
        switch self {
        case .none: 0
        case .i32, .f32: 4
        case .i64, .f64: 8
        case .v16i8, .v8i16, .v4i32, .v2i64, .v4f32, .v2f64: 16
        case .v32i8, .v16i16, .v8i32, .v4i64, .v8f32, .v4f64: 32
        }
    }

    @inlinable package var isInteger: Bool { self == .i32 || self == .i64 }
    @inlinable package var isFloat: Bool { self == .f32 || self == .f64 }
    /// All bits of the type set, as the mask of a 64-bit constant.
    @inlinable package var mask: UInt64 { byteCount == 4 ? 0xffff_ffff : ~0 }
}

/// A comparison of two operands. The integer cases have a signed and an unsigned form.
@usableFromInline package enum Condition: UInt8, CaseIterable, Sendable {
    case equal, notEqual
    case lessSigned, greaterOrEqualSigned, lessOrEqualSigned, greaterSigned
    case lessUnsigned, greaterOrEqualUnsigned, lessOrEqualUnsigned, greaterUnsigned

    /// The condition that holds exactly when this one does not.
    @inlinable package var inverted: Condition {
        switch self {
        case .equal: .notEqual
        case .notEqual: .equal
        case .lessSigned: .greaterOrEqualSigned
        case .greaterOrEqualSigned: .lessSigned
        case .lessOrEqualSigned: .greaterSigned
        case .greaterSigned: .lessOrEqualSigned
        case .lessUnsigned: .greaterOrEqualUnsigned
        case .greaterOrEqualUnsigned: .lessUnsigned
        case .lessOrEqualUnsigned: .greaterUnsigned
        case .greaterUnsigned: .lessOrEqualUnsigned
        }
    }

    /// The condition with the two operands exchanged.
    @inlinable package var swapped: Condition {
        switch self {
        case .equal, .notEqual: self
        case .lessSigned: .greaterSigned
        case .greaterSigned: .lessSigned
        case .lessOrEqualSigned: .greaterOrEqualSigned
        case .greaterOrEqualSigned: .lessOrEqualSigned
        case .lessUnsigned: .greaterUnsigned
        case .greaterUnsigned: .lessUnsigned
        case .lessOrEqualUnsigned: .greaterOrEqualUnsigned
        case .greaterOrEqualUnsigned: .lessOrEqualUnsigned
        }
    }
}

/// How a floating-point value is rounded when the mode is part of the operation.
@usableFromInline package enum Rounding: UInt8, CaseIterable, Sendable {
    /// The guest's dynamic mode, which is live in the host's control register.
    case current
    case nearestEven, towardZero, down, up
}

/// Width, extension, scale and ordering of a memory access, packed into one byte.
@usableFromInline package struct Access: Equatable, Sendable {
    @usableFromInline package var rawValue: UInt8
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// - Parameter bytes: 1, 2, 4 or 8.
    /// - Parameter signed: integer loads narrower than their type are sign-extended.
    /// - Parameter ordered: the access is a synchronising one (acquire or release): never removed or moved.
    @inlinable package init(bytes: Int, signed: Bool = false, scale: Int = 1, ordered: Bool = false) {
        let width = UInt8(truncatingIfNeeded: bytes.trailingZeroBitCount)
        let scaling = UInt8(truncatingIfNeeded: scale.trailingZeroBitCount)
        rawValue = width | (signed ? 4 : 0) | (scaling << 3) | (ordered ? 32 : 0)
    }

    @inlinable package var bytes: Int { 1 << Int(rawValue & 3) }
    @inlinable package var isSigned: Bool { rawValue & 4 != 0 }
    /// Factor of the index operand: 1, 2, 4 or 8.
    @inlinable package var scale: Int { 1 << Int((rawValue >> 3) & 3) }
    @inlinable package var isOrdered: Bool { rawValue & 32 != 0 }
    @inlinable package func scaled(by scale: Int) -> Access {
        Access(bytes: bytes, signed: isSigned, scale: scale, ordered: isOrdered)
    }
}

/// The operation of an atomic read-modify-write.
@usableFromInline package enum AtomicKind: UInt8, CaseIterable, Sendable {
    case exchange, add, and, or, xor, minimumSigned, maximumSigned, minimumUnsigned, maximumUnsigned
}

/// What kind of control transfer an exit is, so that returns can be predicted.
@usableFromInline package enum TransferHint: UInt8, CaseIterable, Sendable {
    case none, call, `return`
}

/// Why translated code gives control back for good; the guest names the meaning of a trap.
@usableFromInline package enum TrapReason: UInt8, CaseIterable, Sendable {
    /// The guest asks its operating system (RISC-V `ecall`). The program counter is that of the instruction.
    case systemCall
    case breakpoint
    case illegalInstruction
    /// The guest says that code may have changed (RISC-V `fence.i`). The program counter is that of the next instruction.
    case codeChanged
    /// The block cannot go on here: the next instruction must be fetched anew, because fetching it while lifting failed.
    case instructionFetch
    /// The translation mode may have changed (e.g. rounding mode): look up the next block anew.
    case modeChanged
}

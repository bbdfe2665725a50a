// The IR operations. One row an operation: its effects, in one place; every pass and the verifier consult only these columns.

/// What an operation does beyond computing its result.
@usableFromInline package struct Effects: OptionSet, Sendable {
    @usableFromInline package let rawValue: UInt16
    @inlinable package init(rawValue: UInt16) { self.rawValue = rawValue }
    @inlinable package static var readsState: Effects { Effects(rawValue: 1) }
    @inlinable package static var writesState: Effects { Effects(rawValue: 2) }
    @inlinable package static var readsMemory: Effects { Effects(rawValue: 4) }
    @inlinable package static var writesMemory: Effects { Effects(rawValue: 8) }
    /// May fault: the guest state must be precise here.
    @inlinable package static var faults: Effects { Effects(rawValue: 16) }
    /// May leave the translation: the guest state must be precise here.
    @inlinable package static var exits: Effects { Effects(rawValue: 32) }
    /// Ends a block.
    @inlinable package static var terminal: Effects { Effects(rawValue: 64) }
    /// Result depends on the dynamic rounding mode.
    @inlinable package static var readsRounding: Effects { Effects(rawValue: 128) }
    /// Sets sticky floating-point exception flags: a second, equal evaluation is redundant, a dead one is not.
    @inlinable package static var raisesFlags: Effects { Effects(rawValue: 256) }
    /// Neither moved nor removed.
    @inlinable package static var pinned: Effects { Effects(rawValue: 512) }
    @inlinable package static var commutative: Effects { Effects(rawValue: 1024) }

    /// Everything that forbids removing an unused operation.
    @inlinable package static var keeps: Effects {
        [.writesState, .writesMemory, .faults, .exits, .terminal, .raisesFlags, .pinned]
    }
    /// The guest state in its places is observable at this operation.
    @inlinable package static var observesState: Effects { [.faults, .exits] }
}

/// The operations of the IR. Operands are named a, b, c; `detail` and `immediate` are described per operation.
@usableFromInline package enum Opcode: UInt8, CaseIterable, Sendable {
    // Structure
    /// A removed instruction.
    case nop
    /// Start of a guest instruction; immediate = its address.
    case boundary
    /// A block parameter.
    case parameter
    /// immediate = value (of f32/f64: the bit pattern).
    case constant
    /// The guest address immediate, i64, which follows from where the code is: code that was moved has another one. Nothing but
    /// adding to it may be folded.
    case guestAddress
    // State
    /// Value of the guest register slot `immediate`. Of an integer, where detail2 is not 0: `detail` low bits say all of it
    /// without a sign, `detail2` with one.
    case read
    /// Sets the slot `immediate` to a.
    case write
    // Integer arithmetic on i32 or i64; wraps.
    case add, subtract, multiply
    /// Upper 64 bits of the 128-bit product (i64 only).
    case multiplyHighSigned, multiplyHighUnsigned, multiplyHighSignedUnsigned
    /// Total: x / 0 = all ones; MIN / -1 = MIN.
    case divideSigned, divideUnsigned
    /// Total: x % 0 = x; MIN % -1 = 0.
    case remainderSigned, remainderUnsigned
    case and, or, xor
    /// Shift and rotate amounts (b, same type as a) are taken modulo the width.
    case shiftLeft, shiftRightLogical, shiftRightArithmetic, rotateRight
    /// Zero input gives the width.
    case countLeadingZeros, countTrailingZeros
    case populationCount, byteSwap
    // Cryptography (i64, but for sm4Substitute)
    /// Halves of the 128-bit product of polynomials over GF(2).
    case carrylessMultiply, carrylessMultiplyHigh
    /// Each byte (four bits) of b is an index: the byte (four bits) of a with that number in its place, 0 where there is none.
    case permuteBytes, permuteNibbles
    /// detail = AESRound; a = low, b = high half of the state; the low half of what the round makes of it, without its key. With
    /// a and b exchanged it is the high half.
    case aesRound
    /// FIPS 197's InvMixColumns of two columns.
    case aesInverseMixColumns
    /// detail = number of the round, up to 9, or 10 for the step without rotation and constant: what the key schedule makes of
    /// the high word of a, in both words.
    case aesKeyRound
    /// detail = SM4Step; of the lowest byte of a (i32).
    case sm4Substitute
    /// detail = number of low bits of a that are kept (8, 16, 32); a is i32 or i64; result of `type`.
    case signExtend, zeroExtend
    /// i64 to i32.
    case truncate
    /// detail = Condition; operands a, b of equal integer type; result i64, 0 or 1.
    case compare
    /// a (integer) nonzero ? b : c. b, c of `type`.
    case select
    // Memory; address = a + b * scale + immediate (b optional); detail = Access; c = stored value.
    case load, store
    /// Machine mode: proves that the `detail2` bytes from a + b * scale + immediate on lie in one page and may be read (written
    /// where Access says signed); what is loaded from and stored to the result needs no other proof. Leaves for a translation
    /// without it where that does not hold.
    case hostAddress
    /// detail2 = AtomicKind; a = address, c = operand; result = old value, extended by Access into `type`. Sequentially
    /// consistent.
    case atomic
    /// a = address, b = expected, c = replacement; result = old value, sign-extended as Access says.
    case compareExchange
    /// Full memory barrier.
    case fence
    // Floating point (type f32 or f64): result NaNs are any quiet NaN until `canonicalNaN` makes them the canonical one.
    case floatAdd, floatSubtract, floatMultiply, floatDivide, floatSquareRoot
    /// a*b+c, a*b-c, -(a*b)+c, -(a*b)-c with one rounding.
    case multiplyAdd, multiplySubtract, negatedMultiplyAdd, negatedMultiplySubtract
    /// a if it is not a NaN, otherwise the canonical quiet NaN of the type.
    case canonicalNaN
    /// Bit operations on the sign of a; b gives the sign for the copying ones.
    case floatNegate, floatAbsolute, copySign, copySignNegated, copySignXor
    /// IEEE 754-2019 minimumNumber/maximumNumber; -0 < +0; result canonical when both are NaN.
    case floatMinimum, floatMaximum
    /// detail = 0 equal (quiet), 1 less (signalling), 2 lessOrEqual (signalling), 3 less (quiet), 4 lessOrEqual (quiet); result
    /// i64, 0 or 1.
    case floatCompare
    /// Integer a (i32 or i64) to float `type`; detail bit 0 = source is signed.
    case integerToFloat
    /// Float a to integer `type`, saturating, NaN to the largest; detail = Rounding | (signed ? 8 : 0).
    case floatToInteger
    /// f32 to f64 or f64 to f32 (`type` = result). NaNs are not canonical yet.
    case floatToFloat
    /// Same bits: i32 <-> f32, i64 <-> f64.
    case bitcast
    /// f32 as a 64-bit register value with all upper bits set (NaN boxing); result f64.
    case box
    /// f64-typed register value as f32: its low half, or the canonical NaN when the upper half is not all ones.
    case unbox
    /// Round to an integral value in float format; detail = Rounding | (inexact raised ? 8 : 0).
    case roundToIntegral
    // Vectors. The other operations work lane by lane where `type` is a vector: `add` to `xor`, shifts by equal amounts in all
    // lanes (i32 and i64 lanes), `compare` (equal and greaterSigned: all bits of a lane are set where it holds), float
    // arithmetic, signs and `canonicalNaN`. A load or store accesses as many consecutive places as there are lanes, from the
    // lowest on, each as Access says: narrower ones are extended, or cut off.
    /// a in every lane, of which lanes narrower than it keep the low bits.
    case broadcast
    /// Lane `detail` of a, as the element type; zero-extended where it is narrower.
    case lane
    /// The sum of the lanes of a (i32 or i64 lanes); wraps.
    case sumLanes
    /// 1 when a lane of a (float) is a NaN, otherwise 0 (i64).
    case anyNaN
    /// 1 when a bit of a (integer lanes) is set, otherwise 0 (i64).
    case anyBit
    // Control
    /// Has the interpreter execute the guest instruction at address `immediate`; all state is in its places before and is read
    /// anew after.
    case interpretOne
    /// Leaves for guest address `immediate` when a is nonzero. detail = 1: in a loop, what does not leave at first never does.
    case exitIf
    // Terminals
    /// Leaves for guest address `immediate`; detail = TransferHint; for calls b = constant return address.
    case exit
    /// Leaves for the guest address a; detail = TransferHint; for calls b = constant return address.
    case exitIndirect
    /// Gives control back: detail = TrapReason; immediate = the guest program counter.
    case exitTrap
    /// To block a (a raw index), arguments in the argument list: immediate = start | count << 32.
    case jump
    /// a != 0: to block b, otherwise to block c; the arguments of both follow each other: immediate = start | countThen << 32 |
    /// countElse << 48.
    case branch

    /// The effects column.
    @inlinable package var effects: Effects {
        switch self {
        case .nop, .constant, .guestAddress, .parameter: []
        case .boundary: .pinned
        case .read: .readsState
        case .write: .writesState
        case .add, .multiply, .and, .or, .xor, .multiplyHighSigned, .multiplyHighUnsigned, .carrylessMultiply,
            .carrylessMultiplyHigh:
            .commutative
        case .subtract, .multiplyHighSignedUnsigned, .divideSigned, .divideUnsigned, .remainderSigned, .remainderUnsigned,
            .shiftLeft, .shiftRightLogical, .shiftRightArithmetic, .rotateRight, .countLeadingZeros, .countTrailingZeros,
            .populationCount, .byteSwap, .signExtend, .zeroExtend, .truncate, .compare, .select, .permuteBytes, .permuteNibbles,
            .aesRound, .aesInverseMixColumns, .aesKeyRound, .sm4Substitute:
            []
        case .load: [.readsMemory, .faults]
        case .store: [.writesMemory, .faults]
        case .hostAddress: [.faults, .pinned]
        case .atomic, .compareExchange: [.readsMemory, .writesMemory, .faults, .pinned]
        case .fence: [.readsMemory, .writesMemory, .pinned]
        case .floatAdd, .floatMultiply: [.readsRounding, .raisesFlags, .commutative]
        case .floatSubtract, .floatDivide, .floatSquareRoot, .multiplyAdd, .multiplySubtract, .negatedMultiplyAdd,
            .negatedMultiplySubtract, .integerToFloat, .floatToInteger, .floatToFloat, .roundToIntegral:
            [.readsRounding, .raisesFlags]
        case .floatMinimum, .floatMaximum, .floatCompare: .raisesFlags
        case .broadcast, .lane, .sumLanes, .anyNaN, .anyBit: []
        case .canonicalNaN, .floatNegate, .floatAbsolute, .copySign, .copySignNegated, .copySignXor, .bitcast, .box, .unbox: []
        case .interpretOne: [.readsState, .writesState, .readsMemory, .writesMemory, .faults, .exits, .pinned]
        case .exitIf: [.exits, .readsState]
        case .exit, .exitIndirect, .exitTrap: [.exits, .terminal, .readsState]
        case .jump, .branch: .terminal
        }
    }

    /// Number of value operands used, from a on (b of a memory access and of an exit may be absent).
    @inlinable package var operandCount: Int {
        switch self {
        case .nop, .boundary, .parameter, .constant, .guestAddress, .read, .fence, .interpretOne, .exitTrap, .jump: 0
        case .write, .countLeadingZeros, .countTrailingZeros, .populationCount, .byteSwap, .signExtend, .zeroExtend, .truncate,
            .floatSquareRoot, .canonicalNaN, .floatNegate, .floatAbsolute, .integerToFloat, .floatToInteger, .floatToFloat,
            .bitcast, .box, .unbox, .roundToIntegral, .exitIf, .branch, .broadcast, .lane, .sumLanes, .anyNaN, .anyBit,
            .aesInverseMixColumns, .aesKeyRound, .sm4Substitute:
            1
        case .add, .subtract, .multiply, .multiplyHighSigned, .multiplyHighUnsigned, .multiplyHighSignedUnsigned, .divideSigned,
            .divideUnsigned, .remainderSigned, .remainderUnsigned, .and, .or, .xor, .shiftLeft, .shiftRightLogical,
            .shiftRightArithmetic, .rotateRight, .compare, .load, .hostAddress, .floatAdd, .floatSubtract, .floatMultiply,
            .floatDivide,
            .copySign, .copySignNegated, .copySignXor, .floatMinimum, .floatMaximum, .floatCompare, .exit, .exitIndirect,
            .carrylessMultiply, .carrylessMultiplyHigh, .permuteBytes, .permuteNibbles, .aesRound:
            2
        case .select, .store, .atomic, .compareExchange, .multiplyAdd, .multiplySubtract, .negatedMultiplyAdd,
            .negatedMultiplySubtract:
            3
        }
    }

    /// Takes quiet NaNs without looking at which they are.
    @inlinable package var treatsQuietNaNsAlike: Bool {
        switch self {
        case .floatMinimum, .floatMaximum, .floatCompare, .floatToInteger: true
        default: makesQuietNaNs
        }
    }

    /// Arithmetic whose result is any quiet NaN when it is a NaN.
    @inlinable package var makesQuietNaNs: Bool {
        switch self {
        case .floatAdd, .floatSubtract, .floatMultiply, .floatDivide, .floatSquareRoot, .multiplyAdd, .multiplySubtract,
            .negatedMultiplyAdd, .negatedMultiplySubtract, .floatToFloat, .roundToIntegral:
            true
        default: false
        }
    }
}

// A memory operand: base + index * scale + displacement, or a place relative to the instruction pointer.
// It is kept as the bytes that an instruction will hold, so that the work is done where the operand is made (mostly
// by the compiler, since base and scale tend to be constants) and not each time it is used.
// Intel 64 manual, volume 2, section 2.1.5.

/// The factor of an index register.
@usableFromInline
package enum Scale: UInt8, CaseIterable, Sendable, ExpressibleByIntegerLiteral {
    case one = 0, two, four, eight

    /// 1, 2, 4 or 8, so that call sites read `scale: 8`.
    @inlinable package init(integerLiteral factor: Int) {
        switch factor {
        case 1: self = .one
        case 2: self = .two
        case 4: self = .four
        case 8: self = .eight
        default: preconditionFailure("scale \(factor) is not 1, 2, 4 or 8")
        }
    }
}

/// A memory operand.
@usableFromInline
package struct Memory: Equatable, Sendable {
    /// ModRM without the register field.
    @usableFromInline let modRM: UInt8
    /// SIB, meaningless when there is none; for the forms relative to the instruction pointer, which one it is.
    @usableFromInline let sib: UInt8
    /// Bits 0…1 REX.B and REX.X · bit 2 there is a SIB byte · bits 4…6 bytes of displacement: 0, 1 or 4.
    @usableFromInline let flags: UInt8
    @usableFromInline package let displacement: Int32

    /// The ModRM byte of the operands relative to the instruction pointer, of which there are two.
    @usableFromInline static let relativeModRM: UInt8 = 5
    /// The displacement is a label's index.
    @usableFromInline static let labelForm: UInt8 = 0
    /// The displacement counts from the first byte of the executable region.
    @usableFromInline static let regionForm: UInt8 = 1

    @inlinable
    init(modRM: UInt8, sib: UInt8, flags: UInt8, displacement: Int32) {
        self.modRM = modRM
        self.sib = sib
        self.flags = flags
        self.displacement = displacement
    }

    /// An operand with a base register. An `index` of 4 is none: that is how the processor says it, rsp being no
    /// index. Of the bases, rsp and r12 need a SIB byte (their number means "SIB follows"), rbp and r13 a displacement
    /// (theirs means "no base").
    @inlinable @inline(__always)
    init(base: UInt8, index: UInt8, scale: UInt8, displacement: Int32) {
        let low = base & 7
        let hasSIB = index != 4 || low == 4
        let length = Memory.displacementLength(base: low, displacement)
        modRM = Memory.mode(length) | (hasSIB ? 4 : low)
        sib = scale &<< 6 | (index & 7) &<< 3 | low
        flags = base &>> 3 | (index & 8) &>> 2 | (hasSIB ? 4 : 0) | length &<< 4
        self.displacement = displacement
    }

    @inlinable @inline(__always)
    static func displacementLength(base low: UInt8, _ displacement: Int32) -> UInt8 {
        if displacement == 0 && low != 5 { return 0 }
        return displacement == Int32(Int8(truncatingIfNeeded: displacement)) ? 1 : 4
    }

    /// The mode bits of ModRM for 0, 1 or 4 bytes of displacement.
    @inlinable @inline(__always)
    static func mode(_ length: UInt8) -> UInt8 { (length & 1) &<< 6 | (length & 4) &<< 5 }

    /// `[rip + …]` of either form.
    @inlinable
    static func relative(_ form: UInt8, _ displacement: Int32) -> Memory {
        Memory(modRM: relativeModRM, sib: form, flags: 0, displacement: displacement)
    }

    /// `[base + index * scale + displacement]`; any part may be missing. `index` must not be `rsp`.
    @inlinable
    package init(base: Register? = nil, index: Register? = nil, scale: Scale = .one, displacement: Int32 = 0) {
        precondition(index != .rsp, "rsp cannot be an index register")
        let index = index?.rawValue ?? 4
        if let base {
            self.init(base: base.rawValue, index: index, scale: scale.rawValue, displacement: displacement)
        } else {
            let sib = scale.rawValue &<< 6 | (index & 7) &<< 3 | 5
            self.init(modRM: 4, sib: sib, flags: (index & 8) &>> 2 | 0x44, displacement: displacement)
        }
    }

    /// `[base + displacement]`
    @inlinable @inline(__always)
    package static func base(_ base: Register, _ displacement: Int32 = 0) -> Memory {
        Memory(base: base.rawValue, index: 4, scale: 0, displacement: displacement)
    }

    /// `[base + index * scale + displacement]`
    @inlinable @inline(__always)
    package static func base(
        _ base: Register, index: Register, scale: Scale = .one, _ displacement: Int32 = 0
    ) -> Memory {
        precondition(index != .rsp, "rsp cannot be an index register")
        return Memory(
            base: base.rawValue, index: index.rawValue, scale: scale.rawValue, displacement: displacement)
    }

    /// `[index * scale + displacement]`
    @inlinable
    package static func index(_ index: Register, scale: Scale, _ displacement: Int32 = 0) -> Memory {
        Memory(index: index, scale: scale, displacement: displacement)
    }

    /// `[address]`: the lowest or highest 2 GiB of the address space, sign-extended.
    @inlinable
    package static func absolute(_ address: Int32) -> Memory { Memory(displacement: address) }

    /// `[rip + …]`: the place where `label` is, or will be, bound. See also `Assembler.memory(at:)`.
    @inlinable
    package static func label(_ label: Label) -> Memory {
        relative(labelForm, Int32(bitPattern: label.index))
    }

    /// The same operand, `bytes` further on. Not for a label.
    package func advanced(by bytes: Int32) -> Memory {
        let sum = displacement &+ bytes
        if modRM == Memory.relativeModRM {
            precondition(sib != Memory.labelForm, "a label cannot be offset")
            return .relative(sib, sum)
        }
        let hasBase = modRM & 0xC0 != 0 || flags &>> 4 == 0
        if !hasBase { return Memory(modRM: modRM, sib: sib, flags: flags, displacement: sum) }
        let length = Memory.displacementLength(base: sib & 7, sum)
        return Memory(
            modRM: modRM & 7 | Memory.mode(length), sib: sib, flags: flags & 7 | length &<< 4, displacement: sum)
    }
}

// Shifts, rotations and single bits.

/// The operations of the shift group. The raw value is the digit in ModRM.
@usableFromInline
package enum ShiftOperation: UInt8, CaseIterable, Sendable {
    case rol = 0, ror, rcl, rcr, shl, shr
    case sar = 7
}

/// The operations on one bit. The raw value is the digit in ModRM.
@usableFromInline
package enum BitOperation: UInt8, CaseIterable, Sendable {
    case bt = 4, bts, btr, btc
}

extension Assembler {
    // MARK: The group

    /// `operation destination, imm`. The processor masks the count to five bits (six for a quad).
    @usableFromInline
    package mutating func shift(_ operation: ShiftOperation, _ width: Width, _ destination: Register, imm: UInt8) {
        let isOne = imm == 1
        let encoding = Encoding.one(isOne ? 0xD0 : 0xC0).sizedOrByte(width).byteRegister(width, destination)
        emit(encoding, operation.rawValue, destination.rawValue)
        store(imm, length: isOne ? 0 : 1)
    }

    @usableFromInline
    package mutating func shift(_ operation: ShiftOperation, _ width: Width, _ destination: Memory, imm: UInt8) {
        let isOne = imm == 1
        let encoding = Encoding.one(isOne ? 0xD0 : 0xC0).sizedOrByte(width).immediate(isOne ? 0 : 1)
        emit(encoding, operation.rawValue, destination)
        store(imm, length: isOne ? 0 : 1)
    }

    /// `operation destination, cl`. A count of zero leaves the flags as they were.
    @usableFromInline
    package mutating func shiftByCL(_ operation: ShiftOperation, _ width: Width, _ destination: Register) {
        let encoding = Encoding.one(0xD2).sizedOrByte(width).byteRegister(width, destination)
        emit(encoding, operation.rawValue, destination.rawValue)
    }

    @usableFromInline
    package mutating func shiftByCL(_ operation: ShiftOperation, _ width: Width, _ destination: Memory) {
        emit(Encoding.one(0xD2).sizedOrByte(width), operation.rawValue, destination)
    }

    @inlinable
    package mutating func shl(_ width: Width, _ destination: Register, imm: UInt8) {
        shift(.shl, width, destination, imm: imm)
    }
    @inlinable
    package mutating func shlByCL(_ width: Width, _ destination: Register) {
        shiftByCL(.shl, width, destination)
    }
    @inlinable
    package mutating func shl(_ width: Width, _ destination: Memory, imm: UInt8) {
        shift(.shl, width, destination, imm: imm)
    }
    @inlinable
    package mutating func shlByCL(_ width: Width, _ destination: Memory) {
        shiftByCL(.shl, width, destination)
    }

    @inlinable
    package mutating func shr(_ width: Width, _ destination: Register, imm: UInt8) {
        shift(.shr, width, destination, imm: imm)
    }
    @inlinable
    package mutating func shrByCL(_ width: Width, _ destination: Register) {
        shiftByCL(.shr, width, destination)
    }
    @inlinable
    package mutating func shr(_ width: Width, _ destination: Memory, imm: UInt8) {
        shift(.shr, width, destination, imm: imm)
    }
    @inlinable
    package mutating func shrByCL(_ width: Width, _ destination: Memory) {
        shiftByCL(.shr, width, destination)
    }

    @inlinable
    package mutating func sar(_ width: Width, _ destination: Register, imm: UInt8) {
        shift(.sar, width, destination, imm: imm)
    }
    @inlinable
    package mutating func sarByCL(_ width: Width, _ destination: Register) {
        shiftByCL(.sar, width, destination)
    }
    @inlinable
    package mutating func sar(_ width: Width, _ destination: Memory, imm: UInt8) {
        shift(.sar, width, destination, imm: imm)
    }
    @inlinable
    package mutating func sarByCL(_ width: Width, _ destination: Memory) {
        shiftByCL(.sar, width, destination)
    }

    @inlinable
    package mutating func rol(_ width: Width, _ destination: Register, imm: UInt8) {
        shift(.rol, width, destination, imm: imm)
    }
    @inlinable
    package mutating func rolByCL(_ width: Width, _ destination: Register) {
        shiftByCL(.rol, width, destination)
    }
    @inlinable
    package mutating func rol(_ width: Width, _ destination: Memory, imm: UInt8) {
        shift(.rol, width, destination, imm: imm)
    }
    @inlinable
    package mutating func rolByCL(_ width: Width, _ destination: Memory) {
        shiftByCL(.rol, width, destination)
    }

    @inlinable
    package mutating func ror(_ width: Width, _ destination: Register, imm: UInt8) {
        shift(.ror, width, destination, imm: imm)
    }
    @inlinable
    package mutating func rorByCL(_ width: Width, _ destination: Register) {
        shiftByCL(.ror, width, destination)
    }
    @inlinable
    package mutating func ror(_ width: Width, _ destination: Memory, imm: UInt8) {
        shift(.ror, width, destination, imm: imm)
    }
    @inlinable
    package mutating func rorByCL(_ width: Width, _ destination: Memory) {
        shiftByCL(.ror, width, destination)
    }

    // MARK: Double

    /// `shld destination, source, imm`: shifts left, filling with the source's highest bits. Not for bytes.
    package mutating func shld(_ width: Width, _ destination: Register, _ source: Register, imm: UInt8) {
        emit(.two(0xA4).sized(width), source.rawValue, destination.rawValue)
        store(imm)
    }

    package mutating func shldByCL(_ width: Width, _ destination: Register, _ source: Register) {
        emit(.two(0xA5).sized(width), source.rawValue, destination.rawValue)
    }

    /// `shrd destination, source, imm`: shifts right, filling with the source's lowest bits. Not for bytes.
    package mutating func shrd(_ width: Width, _ destination: Register, _ source: Register, imm: UInt8) {
        emit(.two(0xAC).sized(width), source.rawValue, destination.rawValue)
        store(imm)
    }

    package mutating func shrdByCL(_ width: Width, _ destination: Register, _ source: Register) {
        emit(.two(0xAD).sized(width), source.rawValue, destination.rawValue)
    }

    // MARK: Single bits

    /// `operation destination, imm`: carry = the bit; then it is kept, set, reset or complemented. Not for bytes.
    @usableFromInline
    package mutating func bit(_ operation: BitOperation, _ width: Width, _ destination: Register, imm: UInt8) {
        emit(.two(0xBA).sized(width), operation.rawValue, destination.rawValue)
        store(imm)
    }

    @usableFromInline
    package mutating func bit(_ operation: BitOperation, _ width: Width, _ destination: Memory, imm: UInt8) {
        emit(.two(0xBA).sized(width).immediate(1), operation.rawValue, destination)
        store(imm)
    }

    /// `operation destination, index`, the index taken modulo the width.
    @usableFromInline
    package mutating func bit(_ operation: BitOperation, _ width: Width, _ destination: Register, _ index: Register) {
        emit(.two(0x83 | operation.rawValue &<< 3).sized(width), index.rawValue, destination.rawValue)
    }

    @inlinable
    package mutating func bt(_ width: Width, _ destination: Register, imm: UInt8) {
        bit(.bt, width, destination, imm: imm)
    }
    @inlinable
    package mutating func bt(_ width: Width, _ destination: Register, _ index: Register) {
        bit(.bt, width, destination, index)
    }
    @inlinable
    package mutating func bts(_ width: Width, _ destination: Register, imm: UInt8) {
        bit(.bts, width, destination, imm: imm)
    }
    @inlinable
    package mutating func bts(_ width: Width, _ destination: Register, _ index: Register) {
        bit(.bts, width, destination, index)
    }
    @inlinable
    package mutating func btr(_ width: Width, _ destination: Register, imm: UInt8) {
        bit(.btr, width, destination, imm: imm)
    }
    @inlinable
    package mutating func btr(_ width: Width, _ destination: Register, _ index: Register) {
        bit(.btr, width, destination, index)
    }
    @inlinable
    package mutating func btc(_ width: Width, _ destination: Register, imm: UInt8) {
        bit(.btc, width, destination, imm: imm)
    }
    @inlinable
    package mutating func btc(_ width: Width, _ destination: Register, _ index: Register) {
        bit(.btc, width, destination, index)
    }
}

// AES, carry-less multiplication, and halves of vector registers moved from and to general ones, 128 bits. All but the halves
// need a check of the processor's features; the halves are of SSE4.1. Intel 64 manual, volume 2. A memory source must be aligned
// to 16 bytes. The rounds of AES are among `VectorOperation`.

extension Assembler {
    /// InvMixColumns.
    package mutating func aesimc(_ destination: XMM, _ source: XMM) {
        emit(Encoding.map38(0xDB).prefixed(0x66), destination.rawValue, source.rawValue)
    }

    /// What the key schedule makes of words 1 and 3, with the round's constant.
    package mutating func aeskeygenassist(_ destination: XMM, _ source: XMM, imm constant: UInt8) {
        emit(Encoding.map3A(0xDF).prefixed(0x66), destination.rawValue, source.rawValue)
        store(constant)
    }

    /// The product of two halves; bit 0 of `halves` chooses the destination's, bit 4 the source's.
    package mutating func pclmulqdq(_ destination: XMM, _ source: XMM, imm halves: UInt8) {
        emit(Encoding.map3A(0x44).prefixed(0x66), destination.rawValue, source.rawValue)
        store(halves)
    }

    /// The same as above, the product in a register of its own.
    package mutating func vpclmulqdq(_ destination: XMM, _ first: XMM, _ second: XMM, imm halves: UInt8) {
        emitVEX(.x66, .x0F3A, 0x44, destination.rawValue, first.rawValue, second.rawValue)
        store(halves)
    }

    package mutating func pinsrq(_ destination: XMM, _ source: Register, imm half: UInt8) {
        emit(Encoding.map3A(0x22).prefixed(0x66).wide(true), destination.rawValue, source.rawValue)
        store(half)
    }
    /// Memory need not be aligned.
    package mutating func pinsrq(_ destination: XMM, _ source: Memory, imm half: UInt8) {
        emit(Encoding.map3A(0x22).prefixed(0x66).wide(true).immediate(1), destination.rawValue, source)
        store(half)
    }
    package mutating func pextrq(_ destination: Register, _ source: XMM, imm half: UInt8) {
        emit(Encoding.map3A(0x16).prefixed(0x66).wide(true), source.rawValue, destination.rawValue)
        store(half)
    }

    @inlinable package mutating func aesenc(_ destination: XMM, _ key: XMM) { vector(.aesenc, destination, key) }
    @inlinable package mutating func aesenclast(_ destination: XMM, _ key: XMM) { vector(.aesenclast, destination, key) }
    @inlinable package mutating func aesdec(_ destination: XMM, _ key: XMM) { vector(.aesdec, destination, key) }
    @inlinable package mutating func aesdeclast(_ destination: XMM, _ key: XMM) { vector(.aesdeclast, destination, key) }
    @inlinable package mutating func paddusb(_ destination: XMM, _ source: XMM) { vector(.paddusb, destination, source) }
}

// Packed integers, 128 bits. A memory source must be aligned to 16 bytes.

/// The operations `66 0F …` of two vector operands. The raw value is the opcode, with `38` before it for that map.
@usableFromInline
package enum VectorOperation: UInt16, CaseIterable, Sendable {
    // Logic
    case pand = 0xDB, pandn = 0xDF, por = 0xEB, pxor = 0xEF
    // Addition and subtraction
    case paddb = 0xFC, paddw = 0xFD, paddd = 0xFE, paddq = 0xD4, paddusb = 0xDC
    case psubb = 0xF8, psubw = 0xF9, psubd = 0xFA, psubq = 0xFB
    // Multiplication
    case pmullw = 0xD5, pmulhw = 0xE5, pmulhuw = 0xE4, pmuludq = 0xF4
    case pmaddwd = 0xF5, pmulld = 0x3840
    // Comparison, minimum, maximum
    case pcmpeqb = 0x74, pcmpeqw = 0x75, pcmpeqd = 0x76, pcmpeqq = 0x3829
    case pcmpgtb = 0x64, pcmpgtw = 0x65, pcmpgtd = 0x66, pcmpgtq = 0x3837
    case pminub = 0xDA, pmaxub = 0xDE, pminsw = 0xEA, pmaxsw = 0xEE
    // Arrangement
    case punpcklbw = 0x60, punpcklwd = 0x61, punpckldq = 0x62, punpcklqdq = 0x6C
    case punpckhbw = 0x68, punpckhwd = 0x69, punpckhdq = 0x6A, punpckhqdq = 0x6D
    case packuswb = 0x67, packusdw = 0x382B, pshufb = 0x3800
    // Shifts by a register
    case psllw = 0xF1, pslld = 0xF2, psllq = 0xF3, psrlw = 0xD1
    case psrld = 0xD2, psrlq = 0xD3, psraw = 0xE1, psrad = 0xE2
    // Rounds of AES, the key in the source
    case aesenc = 0x38DC, aesenclast = 0x38DD, aesdec = 0x38DE, aesdeclast = 0x38DF
}

extension Assembler {
    /// `operation destination, source`
    @usableFromInline
    package mutating func vector(_ operation: VectorOperation, _ destination: XMM, _ source: XMM) {
        emit(.vector(operation), destination.rawValue, source.rawValue)
    }

    @usableFromInline
    package mutating func vector(_ operation: VectorOperation, _ destination: XMM, _ source: Memory) {
        emit(.vector(operation), destination.rawValue, source)
    }

    // MARK: With an immediate

    @inline(__always)
    private mutating func shiftElements(_ opcode: UInt8, _ digit: UInt8, _ destination: XMM, _ count: UInt8) {
        emit(Encoding.two(opcode).prefixed(0x66), digit, destination.rawValue)
        store(count)
    }

    package mutating func psrlw(_ destination: XMM, imm: UInt8) { shiftElements(0x71, 2, destination, imm) }
    package mutating func psraw(_ destination: XMM, imm: UInt8) { shiftElements(0x71, 4, destination, imm) }
    package mutating func psllw(_ destination: XMM, imm: UInt8) { shiftElements(0x71, 6, destination, imm) }
    package mutating func psrld(_ destination: XMM, imm: UInt8) { shiftElements(0x72, 2, destination, imm) }
    package mutating func psrad(_ destination: XMM, imm: UInt8) { shiftElements(0x72, 4, destination, imm) }
    package mutating func pslld(_ destination: XMM, imm: UInt8) { shiftElements(0x72, 6, destination, imm) }
    package mutating func psrlq(_ destination: XMM, imm: UInt8) { shiftElements(0x73, 2, destination, imm) }
    /// The count is in bytes.
    package mutating func psrldq(_ destination: XMM, imm: UInt8) { shiftElements(0x73, 3, destination, imm) }
    package mutating func psllq(_ destination: XMM, imm: UInt8) { shiftElements(0x73, 6, destination, imm) }
    /// The count is in bytes.
    package mutating func pslldq(_ destination: XMM, imm: UInt8) { shiftElements(0x73, 7, destination, imm) }

    /// Four elements of 32 bits; two bits of `order` choose each.
    package mutating func pshufd(_ destination: XMM, _ source: XMM, imm order: UInt8) {
        emit(Encoding.two(0x70).prefixed(0x66), destination.rawValue, source.rawValue)
        store(order)
    }
    package mutating func pshufd(_ destination: XMM, _ source: Memory, imm order: UInt8) {
        emit(Encoding.two(0x70).prefixed(0x66).immediate(1), destination.rawValue, source)
        store(order)
    }

    /// Two elements of the destination, then two of the source; two bits of `order` choose each.
    package mutating func shufps(_ destination: XMM, _ source: XMM, imm order: UInt8) {
        emit(Encoding.two(0xC6), destination.rawValue, source.rawValue)
        store(order)
    }
    package mutating func shufps(_ destination: XMM, _ source: Memory, imm order: UInt8) {
        emit(Encoding.two(0xC6).immediate(1), destination.rawValue, source)
        store(order)
    }

    /// One element of the destination, then one of the source; one bit of `order` chooses each.
    package mutating func shufpd(_ destination: XMM, _ source: XMM, imm order: UInt8) {
        emit(Encoding.two(0xC6).prefixed(0x66), destination.rawValue, source.rawValue)
        store(order)
    }
    package mutating func shufpd(_ destination: XMM, _ source: Memory, imm order: UInt8) {
        emit(Encoding.two(0xC6).prefixed(0x66).immediate(1), destination.rawValue, source)
        store(order)
    }

    // MARK: Others

    /// The sign bits of the sixteen bytes.
    package mutating func pmovmskb(_ destination: Register, _ source: XMM) {
        emit(Encoding.two(0xD7).prefixed(0x66), destination.rawValue, source.rawValue)
    }

    /// `movmskps` or `movmskpd`: the sign bits of the elements.
    package mutating func movmskp(_ width: FloatWidth, _ destination: Register, _ source: XMM) {
        emit(.packed(width, 0x50), destination.rawValue, source.rawValue)
    }

    /// `unpcklps` or `unpcklpd`: interleaves the lower halves.
    package mutating func unpcklp(_ width: FloatWidth, _ destination: XMM, _ source: XMM) {
        emit(.packed(width, 0x14), destination.rawValue, source.rawValue)
    }

    package mutating func unpcklp(_ width: FloatWidth, _ destination: XMM, _ source: Memory) {
        emit(.packed(width, 0x14), destination.rawValue, source)
    }
}

extension Encoding {
    @inline(__always)
    fileprivate static func vector(_ operation: VectorOperation) -> Encoding {
        let opcode = UInt8(truncatingIfNeeded: operation.rawValue)
        let encoding = operation.rawValue > 0xFF ? Encoding.map38(opcode) : Encoding.two(opcode)
        return encoding.prefixed(0x66)
    }
}

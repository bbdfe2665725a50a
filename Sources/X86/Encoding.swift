// What an instruction form is made of, apart from its operands: prefixes, opcode bytes, REX.W. The rows in
// Assembler+*.swift build these; everything is inlined, so that what a row says becomes constants in its function.
// Intel 64 manual, volume 2, section 2.1 (prefixes, REX) and 2.3 (VEX).

/// Legacy prefixes, opcode and flags of one instruction form.
struct Encoding {
    /// Opcode bytes in memory order.
    var opcode: UInt32
    var opcodeLength: Int
    /// Prefixes in memory order.
    var prefixes: UInt16 = 0
    var prefixCount = 0
    /// REX.W in its place, 8 or 0.
    var wide: UInt8 = 0
    /// A REX prefix is needed whatever the registers.
    var needsREX = false
    /// Bytes of immediate after the operands.
    var immediateLength: UInt8 = 0

    @inline(__always) init(_ opcode: UInt32, length: Int) {
        self.opcode = opcode
        opcodeLength = length
    }

    /// An opcode of the one-byte map.
    @inline(__always) static func one(_ opcode: UInt8) -> Encoding { Encoding(UInt32(opcode), length: 1) }
    /// `0F opcode`
    @inline(__always) static func two(_ opcode: UInt8) -> Encoding {
        Encoding(0x0F | UInt32(opcode) &<< 8, length: 2)
    }
    /// `0F 38 opcode`
    @inline(__always) static func map38(_ opcode: UInt8) -> Encoding {
        Encoding(0x380F | UInt32(opcode) &<< 16, length: 3)
    }
    /// `0F 3A opcode`
    @inline(__always) static func map3A(_ opcode: UInt8) -> Encoding {
        Encoding(0x3A0F | UInt32(opcode) &<< 16, length: 3)
    }

    /// Adds to the last byte of the opcode.
    @inline(__always) func adding(_ value: UInt8) -> Encoding {
        var result = self
        result.opcode |= UInt32(value) &<< UInt32(truncatingIfNeeded: opcodeLength &* 8 &- 8)
        return result
    }
    /// Adds a prefix after the ones that are there.
    @inline(__always) func prefixed(_ prefix: UInt8) -> Encoding {
        var result = self
        result.prefixes = prefixCount == 0 ? UInt16(prefix) : prefixes & 0xFF | UInt16(prefix) &<< 8
        result.prefixCount &+= 1
        return result
    }
    /// Sets REX.W.
    @inline(__always) func wide(_ isWide: Bool = true) -> Encoding {
        var result = self
        result.wide = isWide ? 8 : 0
        return result
    }
    /// Announces `length` bytes of immediate, which an operand relative to the instruction pointer has to know.
    @inline(__always) func immediate(_ length: UInt8) -> Encoding {
        var result = self
        result.immediateLength = length
        return result
    }
    /// Selects 16, 32 or 64-bit operands.
    @inline(__always) func sized(_ width: Width) -> Encoding {
        var result = wide(width == .quad)
        result.prefixes = 0x66
        result.prefixCount = width == .word ? 1 : 0
        return result
    }
    /// Selects 8 to 64-bit operands, for opcodes whose lowest bit says "not a byte".
    @inline(__always) func sizedOrByte(_ width: Width) -> Encoding {
        sized(width).adding(width == .byte ? 0 : 1)
    }
    /// `spl`, `bpl`, `sil` and `dil` exist only with a REX prefix; without one their numbers mean `ah` to `bh`.
    @inline(__always) func byteRegister(_ width: Width, _ register: Register) -> Encoding {
        var result = self
        result.needsREX = width == .byte && register.rawValue >= 4
        return result
    }
    @inline(__always) func byteRegister(_ width: Width, _ first: Register, _ second: Register) -> Encoding {
        var result = self
        result.needsREX = width == .byte && first.rawValue | second.rawValue >= 4
        return result
    }
}

/// The mandatory prefix of an SSE or VEX opcode, numbered as the VEX `pp` field has it.
enum OpcodePrefix: UInt8 {
    case none = 0, x66, xF3, xF2
}

/// The opcode map of a VEX opcode, numbered as the VEX `mmmmm` field has it.
enum OpcodeMap: UInt8 {
    case x0F = 1, x0F38, x0F3A
}

// Moves between general registers, memory and constants, and the stack. None of them changes the flags.

extension Assembler {
    // MARK: mov

    /// `mov destination, source`
    package mutating func mov(_ width: Width, _ destination: Register, _ source: Register) {
        let encoding = Encoding.one(0x88).sizedOrByte(width).byteRegister(width, destination, source)
        emit(encoding, source.rawValue, destination.rawValue)
    }

    /// `mov destination, [source]`. A byte or word leaves the rest of the register as it was: see `movzx`, `movsx`.
    package mutating func mov(_ width: Width, _ destination: Register, _ source: Memory) {
        emit(Encoding.one(0x8A).sizedOrByte(width).byteRegister(width, destination), destination.rawValue, source)
    }

    /// `mov [destination], source`
    package mutating func mov(_ width: Width, _ destination: Memory, _ source: Register) {
        emit(Encoding.one(0x88).sizedOrByte(width).byteRegister(width, source), source.rawValue, destination)
    }

    /// `mov [destination], imm`, sign-extended to a quad, truncated to a word or byte.
    package mutating func mov(_ width: Width, _ destination: Memory, imm: Int32) {
        let length = UInt8(Assembler.immediateLength(width))
        emit(Encoding.one(0xC6).sizedOrByte(width).immediate(length), 0, destination)
        storeImmediate(width, imm)
    }

    /// `mov destination, imm`, sign-extended to a quad, truncated to a word or byte.
    package mutating func mov(_ width: Width, _ destination: Register, imm: Int32) {
        switch width {
        case .byte: emit(Encoding.one(0xB0).byteRegister(.byte, destination), inOpcode: destination.rawValue)
        case .word, .long: emit(.one(0xB8).sized(width), inOpcode: destination.rawValue)
        case .quad: return movImmediate(destination, UInt64(bitPattern: Int64(imm)))
        }
        storeImmediate(width, imm)
    }

    /// Puts a 64-bit constant in a register, in the shortest form that keeps the flags (so never `xor`).
    package mutating func movImmediate(_ destination: Register, _ value: UInt64) {
        if value <= UInt64(UInt32.max) {
            emit(.one(0xB8), inOpcode: destination.rawValue)
            store(UInt32(truncatingIfNeeded: value))
        } else if Int64(bitPattern: value) == Int64(Int32(truncatingIfNeeded: value)) {
            emit(.one(0xC7).wide(), 0, destination.rawValue)
            store(UInt32(truncatingIfNeeded: value))
        } else {
            emit(.one(0xB8).wide(), inOpcode: destination.rawValue)
            store(value)
        }
    }

    /// `mov destination, imm64`, always ten bytes: for constants that are patched later.
    package mutating func movabs(_ destination: Register, _ value: UInt64) {
        emit(.one(0xB8).wide(), inOpcode: destination.rawValue)
        store(value)
    }

    // MARK: Extension

    @inline(__always)
    private static func extending(_ opcode: UInt8, _ width: Width, from source: Width) -> Encoding {
        assert(source.rawValue < width.rawValue && source.rawValue <= Width.word.rawValue)
        return Encoding.two(opcode | source.rawValue).sized(width)
    }

    /// `movzx destination, source`: `source` bits of the source (byte or word), zero-extended to `width`.
    package mutating func movzx(_ width: Width, _ destination: Register, from narrow: Width, _ source: Register) {
        let encoding = Assembler.extending(0xB6, width, from: narrow).byteRegister(narrow, source)
        emit(encoding, destination.rawValue, source.rawValue)
    }

    package mutating func movzx(_ width: Width, _ destination: Register, from narrow: Width, _ source: Memory) {
        emit(Assembler.extending(0xB6, width, from: narrow), destination.rawValue, source)
    }

    /// `movsx destination, source`: `source` bits of the source (byte or word), sign-extended to `width`.
    package mutating func movsx(_ width: Width, _ destination: Register, from narrow: Width, _ source: Register) {
        let encoding = Assembler.extending(0xBE, width, from: narrow).byteRegister(narrow, source)
        emit(encoding, destination.rawValue, source.rawValue)
    }

    package mutating func movsx(_ width: Width, _ destination: Register, from narrow: Width, _ source: Memory) {
        emit(Assembler.extending(0xBE, width, from: narrow), destination.rawValue, source)
    }

    /// `movsxd destination, source`: 32 bits sign-extended to 64.
    package mutating func movsxd(_ destination: Register, _ source: Register) {
        emit(.one(0x63).wide(), destination.rawValue, source.rawValue)
    }

    package mutating func movsxd(_ destination: Register, _ source: Memory) {
        emit(.one(0x63).wide(), destination.rawValue, source)
    }

    // MARK: Others

    /// `lea destination, [address]`, not for bytes.
    package mutating func lea(_ width: Width, _ destination: Register, _ address: Memory) {
        emit(.one(0x8D).sized(width), destination.rawValue, address)
    }

    /// `xchg first, second`
    package mutating func xchg(_ width: Width, _ first: Register, _ second: Register) {
        let encoding = Encoding.one(0x86).sizedOrByte(width).byteRegister(width, first, second)
        emit(encoding, second.rawValue, first.rawValue)
    }

    /// `bswap register`, `long` or `quad`.
    package mutating func bswap(_ width: Width, _ register: Register) {
        emit(.two(0xC8).sized(width), inOpcode: register.rawValue)
    }

    /// `setcc destination`: one byte, 0 or 1; the rest of the register stays.
    package mutating func setcc(_ condition: Condition, _ destination: Register) {
        emit(.two(0x90 | condition.rawValue).byteRegister(.byte, destination), 0, destination.rawValue)
    }

    package mutating func setcc(_ condition: Condition, _ destination: Memory) {
        emit(.two(0x90 | condition.rawValue), 0, destination)
    }

    /// `cmovcc destination, source`, not for bytes. A `long` clears the upper half even when it does not move; a
    /// memory source is read even when it does not move.
    package mutating func cmovcc(
        _ condition: Condition, _ width: Width, _ destination: Register, _ source: Register
    ) {
        emit(.two(0x40 | condition.rawValue).sized(width), destination.rawValue, source.rawValue)
    }

    package mutating func cmovcc(
        _ condition: Condition, _ width: Width, _ destination: Register, _ source: Memory
    ) {
        emit(.two(0x40 | condition.rawValue).sized(width), destination.rawValue, source)
    }

    // MARK: Stack

    package mutating func push(_ source: Register) { emit(.one(0x50), inOpcode: source.rawValue) }
    package mutating func push(_ source: Memory) { emit(.one(0xFF), 6, source) }

    /// `push imm`, sign-extended to 64 bits.
    package mutating func push(imm: Int32) {
        if Assembler.fitsByte(imm) {
            emit(.one(0x6A))
            store(UInt8(truncatingIfNeeded: imm))
        } else {
            emit(.one(0x68))
            store(imm)
        }
    }

    package mutating func pop(_ destination: Register) { emit(.one(0x58), inOpcode: destination.rawValue) }
    package mutating func pop(_ destination: Memory) { emit(.one(0x8F), 0, destination) }
    package mutating func pushfq() { emit(.one(0x9C)) }
    package mutating func popfq() { emit(.one(0x9D)) }
    /// `ah = sign, zero, auxiliary, parity and carry flags`
    package mutating func lahf() { emit(.one(0x9F)) }
    package mutating func sahf() { emit(.one(0x9E)) }
    /// Inverts, clears or sets the carry flag.
    package mutating func cmc() { emit(.one(0xF5)) }
    package mutating func clc() { emit(.one(0xF8)) }
    package mutating func stc() { emit(.one(0xF9)) }
}

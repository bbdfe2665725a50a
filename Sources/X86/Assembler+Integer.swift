// Integer arithmetic and logic.

/// The eight operations that share an encoding. The raw value is the opcode's middle digit.
@usableFromInline
package enum ALUOperation: UInt8, CaseIterable, Sendable {
    case add = 0, or, adc, sbb, and, sub, xor, cmp
}

extension Assembler {
    // MARK: The eight

    /// `operation destination, source`
    @usableFromInline
    package mutating func alu(_ operation: ALUOperation, _ width: Width, _ destination: Register, _ source: Register) {
        let encoding = Encoding.one(operation.rawValue &<< 3).sizedOrByte(width)
        emit(encoding.byteRegister(width, destination, source), source.rawValue, destination.rawValue)
    }

    /// `operation destination, [source]`
    @usableFromInline
    package mutating func alu(_ operation: ALUOperation, _ width: Width, _ destination: Register, _ source: Memory) {
        let encoding = Encoding.one(operation.rawValue &<< 3 | 2).sizedOrByte(width)
        emit(encoding.byteRegister(width, destination), destination.rawValue, source)
    }

    /// `operation [destination], source`
    @usableFromInline
    package mutating func alu(_ operation: ALUOperation, _ width: Width, _ destination: Memory, _ source: Register) {
        let encoding = Encoding.one(operation.rawValue &<< 3).sizedOrByte(width)
        emit(encoding.byteRegister(width, source), source.rawValue, destination)
    }

    /// `operation destination, imm`, sign-extended to a quad, truncated to a word or byte.
    @usableFromInline
    package mutating func alu(_ operation: ALUOperation, _ width: Width, _ destination: Register, imm: Int32) {
        if width != .byte && Assembler.fitsByte(imm) {
            emit(Encoding.one(0x83).sized(width), operation.rawValue, destination.rawValue)
            return store(UInt8(truncatingIfNeeded: imm))
        }
        if destination == .rax {
            emit(Encoding.one(operation.rawValue &<< 3 | 4).sizedOrByte(width))
        } else {
            let encoding = Encoding.one(0x80).sizedOrByte(width).byteRegister(width, destination)
            emit(encoding, operation.rawValue, destination.rawValue)
        }
        storeImmediate(width, imm)
    }

    /// `operation [destination], imm`
    @usableFromInline
    package mutating func alu(_ operation: ALUOperation, _ width: Width, _ destination: Memory, imm: Int32) {
        if width != .byte && Assembler.fitsByte(imm) {
            emit(Encoding.one(0x83).sized(width).immediate(1), operation.rawValue, destination)
            return store(UInt8(truncatingIfNeeded: imm))
        }
        let length = UInt8(Assembler.immediateLength(width))
        emit(Encoding.one(0x80).sizedOrByte(width).immediate(length), operation.rawValue, destination)
        storeImmediate(width, imm)
    }

    @inline(__always)
    static func fitsByte(_ value: Int32) -> Bool { value == Int32(Int8(truncatingIfNeeded: value)) }

    // MARK: Test

    /// `test first, second`
    package mutating func test(_ width: Width, _ first: Register, _ second: Register) {
        let encoding = Encoding.one(0x84).sizedOrByte(width).byteRegister(width, first, second)
        emit(encoding, second.rawValue, first.rawValue)
    }

    /// `test [first], second`
    package mutating func test(_ width: Width, _ first: Memory, _ second: Register) {
        emit(Encoding.one(0x84).sizedOrByte(width).byteRegister(width, second), second.rawValue, first)
    }

    /// `test first, imm`
    package mutating func test(_ width: Width, _ first: Register, imm: Int32) {
        if first == .rax {
            emit(Encoding.one(0xA8).sizedOrByte(width))
        } else {
            emit(Encoding.one(0xF6).sizedOrByte(width).byteRegister(width, first), 0, first.rawValue)
        }
        storeImmediate(width, imm)
    }

    /// `test [first], imm`
    package mutating func test(_ width: Width, _ first: Memory, imm: Int32) {
        let length = UInt8(Assembler.immediateLength(width))
        emit(Encoding.one(0xF6).sizedOrByte(width).immediate(length), 0, first)
        storeImmediate(width, imm)
    }

    // MARK: One operand

    @inline(__always)
    private mutating func unary(_ digit: UInt8, _ width: Width, _ operand: Register) {
        emit(Encoding.one(0xF6).sizedOrByte(width).byteRegister(width, operand), digit, operand.rawValue)
    }

    @inline(__always)
    private mutating func unary(_ digit: UInt8, _ width: Width, _ operand: Memory) {
        emit(Encoding.one(0xF6).sizedOrByte(width), digit, operand)
    }

    package mutating func not(_ width: Width, _ operand: Register) { unary(2, width, operand) }
    package mutating func not(_ width: Width, _ operand: Memory) { unary(2, width, operand) }
    package mutating func neg(_ width: Width, _ operand: Register) { unary(3, width, operand) }
    package mutating func neg(_ width: Width, _ operand: Memory) { unary(3, width, operand) }
    /// `rdx:rax = rax * source`, unsigned.
    package mutating func mul(_ width: Width, _ source: Register) { unary(4, width, source) }
    package mutating func mul(_ width: Width, _ source: Memory) { unary(4, width, source) }
    /// `rdx:rax = rax * source`, signed.
    package mutating func imul(_ width: Width, _ source: Register) { unary(5, width, source) }
    package mutating func imul(_ width: Width, _ source: Memory) { unary(5, width, source) }
    /// `rax, rdx = rdx:rax / source`, unsigned. Faults on division by zero and on overflow.
    package mutating func div(_ width: Width, _ source: Register) { unary(6, width, source) }
    package mutating func div(_ width: Width, _ source: Memory) { unary(6, width, source) }
    /// `rax, rdx = rdx:rax / source`, signed. Faults on division by zero and on overflow.
    package mutating func idiv(_ width: Width, _ source: Register) { unary(7, width, source) }
    package mutating func idiv(_ width: Width, _ source: Memory) { unary(7, width, source) }

    /// `edx = sign of eax`
    package mutating func cdq() { emit(.one(0x99)) }
    /// `rdx = sign of rax`
    package mutating func cqo() { emit(.one(0x99).wide()) }

    // MARK: Multiplication

    /// `destination *= source`, not for bytes.
    package mutating func imul(_ width: Width, _ destination: Register, _ source: Register) {
        emit(.two(0xAF).sized(width), destination.rawValue, source.rawValue)
    }

    package mutating func imul(_ width: Width, _ destination: Register, _ source: Memory) {
        emit(.two(0xAF).sized(width), destination.rawValue, source)
    }

    /// `destination = source * imm`, not for bytes.
    package mutating func imul(_ width: Width, _ destination: Register, _ source: Register, imm: Int32) {
        if Assembler.fitsByte(imm) {
            emit(.one(0x6B).sized(width), destination.rawValue, source.rawValue)
            return store(UInt8(truncatingIfNeeded: imm))
        }
        emit(.one(0x69).sized(width), destination.rawValue, source.rawValue)
        storeImmediate(width, imm)
    }

    package mutating func imul(_ width: Width, _ destination: Register, _ source: Memory, imm: Int32) {
        if Assembler.fitsByte(imm) {
            emit(.one(0x6B).sized(width).immediate(1), destination.rawValue, source)
            return store(UInt8(truncatingIfNeeded: imm))
        }
        let length = UInt8(Assembler.immediateLength(width))
        emit(.one(0x69).sized(width).immediate(length), destination.rawValue, source)
        storeImmediate(width, imm)
    }
}

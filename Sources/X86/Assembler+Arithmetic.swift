// The eight arithmetic and logic operations under their own names, in the five operand forms.

extension Assembler {
    // MARK: add

    @inlinable
    package mutating func add(_ width: Width, _ destination: Register, _ source: Register) {
        alu(.add, width, destination, source)
    }
    @inlinable
    package mutating func add(_ width: Width, _ destination: Register, _ source: Memory) {
        alu(.add, width, destination, source)
    }
    @inlinable
    package mutating func add(_ width: Width, _ destination: Memory, _ source: Register) {
        alu(.add, width, destination, source)
    }
    @inlinable
    package mutating func add(_ width: Width, _ destination: Register, imm: Int32) {
        alu(.add, width, destination, imm: imm)
    }
    @inlinable
    package mutating func add(_ width: Width, _ destination: Memory, imm: Int32) {
        alu(.add, width, destination, imm: imm)
    }

    // MARK: or

    @inlinable
    package mutating func or(_ width: Width, _ destination: Register, _ source: Register) {
        alu(.or, width, destination, source)
    }
    @inlinable
    package mutating func or(_ width: Width, _ destination: Register, _ source: Memory) {
        alu(.or, width, destination, source)
    }
    @inlinable
    package mutating func or(_ width: Width, _ destination: Memory, _ source: Register) {
        alu(.or, width, destination, source)
    }
    @inlinable
    package mutating func or(_ width: Width, _ destination: Register, imm: Int32) {
        alu(.or, width, destination, imm: imm)
    }
    @inlinable
    package mutating func or(_ width: Width, _ destination: Memory, imm: Int32) {
        alu(.or, width, destination, imm: imm)
    }

    // MARK: adc

    @inlinable
    package mutating func adc(_ width: Width, _ destination: Register, _ source: Register) {
        alu(.adc, width, destination, source)
    }
    @inlinable
    package mutating func adc(_ width: Width, _ destination: Register, _ source: Memory) {
        alu(.adc, width, destination, source)
    }
    @inlinable
    package mutating func adc(_ width: Width, _ destination: Memory, _ source: Register) {
        alu(.adc, width, destination, source)
    }
    @inlinable
    package mutating func adc(_ width: Width, _ destination: Register, imm: Int32) {
        alu(.adc, width, destination, imm: imm)
    }
    @inlinable
    package mutating func adc(_ width: Width, _ destination: Memory, imm: Int32) {
        alu(.adc, width, destination, imm: imm)
    }

    // MARK: sbb

    @inlinable
    package mutating func sbb(_ width: Width, _ destination: Register, _ source: Register) {
        alu(.sbb, width, destination, source)
    }
    @inlinable
    package mutating func sbb(_ width: Width, _ destination: Register, _ source: Memory) {
        alu(.sbb, width, destination, source)
    }
    @inlinable
    package mutating func sbb(_ width: Width, _ destination: Memory, _ source: Register) {
        alu(.sbb, width, destination, source)
    }
    @inlinable
    package mutating func sbb(_ width: Width, _ destination: Register, imm: Int32) {
        alu(.sbb, width, destination, imm: imm)
    }
    @inlinable
    package mutating func sbb(_ width: Width, _ destination: Memory, imm: Int32) {
        alu(.sbb, width, destination, imm: imm)
    }

    // MARK: and

    @inlinable
    package mutating func and(_ width: Width, _ destination: Register, _ source: Register) {
        alu(.and, width, destination, source)
    }
    @inlinable
    package mutating func and(_ width: Width, _ destination: Register, _ source: Memory) {
        alu(.and, width, destination, source)
    }
    @inlinable
    package mutating func and(_ width: Width, _ destination: Memory, _ source: Register) {
        alu(.and, width, destination, source)
    }
    @inlinable
    package mutating func and(_ width: Width, _ destination: Register, imm: Int32) {
        alu(.and, width, destination, imm: imm)
    }
    @inlinable
    package mutating func and(_ width: Width, _ destination: Memory, imm: Int32) {
        alu(.and, width, destination, imm: imm)
    }

    // MARK: sub

    @inlinable
    package mutating func sub(_ width: Width, _ destination: Register, _ source: Register) {
        alu(.sub, width, destination, source)
    }
    @inlinable
    package mutating func sub(_ width: Width, _ destination: Register, _ source: Memory) {
        alu(.sub, width, destination, source)
    }
    @inlinable
    package mutating func sub(_ width: Width, _ destination: Memory, _ source: Register) {
        alu(.sub, width, destination, source)
    }
    @inlinable
    package mutating func sub(_ width: Width, _ destination: Register, imm: Int32) {
        alu(.sub, width, destination, imm: imm)
    }
    @inlinable
    package mutating func sub(_ width: Width, _ destination: Memory, imm: Int32) {
        alu(.sub, width, destination, imm: imm)
    }

    // MARK: xor

    @inlinable
    package mutating func xor(_ width: Width, _ destination: Register, _ source: Register) {
        alu(.xor, width, destination, source)
    }
    @inlinable
    package mutating func xor(_ width: Width, _ destination: Register, _ source: Memory) {
        alu(.xor, width, destination, source)
    }
    @inlinable
    package mutating func xor(_ width: Width, _ destination: Memory, _ source: Register) {
        alu(.xor, width, destination, source)
    }
    @inlinable
    package mutating func xor(_ width: Width, _ destination: Register, imm: Int32) {
        alu(.xor, width, destination, imm: imm)
    }
    @inlinable
    package mutating func xor(_ width: Width, _ destination: Memory, imm: Int32) {
        alu(.xor, width, destination, imm: imm)
    }

    // MARK: cmp

    @inlinable
    package mutating func cmp(_ width: Width, _ destination: Register, _ source: Register) {
        alu(.cmp, width, destination, source)
    }
    @inlinable
    package mutating func cmp(_ width: Width, _ destination: Register, _ source: Memory) {
        alu(.cmp, width, destination, source)
    }
    @inlinable
    package mutating func cmp(_ width: Width, _ destination: Memory, _ source: Register) {
        alu(.cmp, width, destination, source)
    }
    @inlinable
    package mutating func cmp(_ width: Width, _ destination: Register, imm: Int32) {
        alu(.cmp, width, destination, imm: imm)
    }
    @inlinable
    package mutating func cmp(_ width: Width, _ destination: Memory, imm: Int32) {
        alu(.cmp, width, destination, imm: imm)
    }
}

// Bit scans and counts, and BMI1/BMI2. Everything here except `bsf` and `bsr` needs a check of the processor's features.

extension Assembler {
    // MARK: Scans and counts, not for bytes

    @inline(__always)
    private mutating func scan(
        _ opcode: UInt8, prefixed: Bool, _ width: Width, _ destination: Register, _ source: Register
    ) {
        let encoding = Encoding.two(opcode).sized(width)
        emit(prefixed ? encoding.prefixed(0xF3) : encoding, destination.rawValue, source.rawValue)
    }

    @inline(__always)
    private mutating func scan(
        _ opcode: UInt8, prefixed: Bool, _ width: Width, _ destination: Register, _ source: Memory
    ) {
        let encoding = Encoding.two(opcode).sized(width)
        emit(prefixed ? encoding.prefixed(0xF3) : encoding, destination.rawValue, source)
    }

    /// Index of the lowest set bit; the destination is undefined when there is none.
    package mutating func bsf(_ width: Width, _ destination: Register, _ source: Register) {
        scan(0xBC, prefixed: false, width, destination, source)
    }
    package mutating func bsf(_ width: Width, _ destination: Register, _ source: Memory) {
        scan(0xBC, prefixed: false, width, destination, source)
    }

    /// Index of the highest set bit; the destination is undefined when there is none.
    package mutating func bsr(_ width: Width, _ destination: Register, _ source: Register) {
        scan(0xBD, prefixed: false, width, destination, source)
    }
    package mutating func bsr(_ width: Width, _ destination: Register, _ source: Memory) {
        scan(0xBD, prefixed: false, width, destination, source)
    }

    /// Number of set bits.
    package mutating func popcnt(_ width: Width, _ destination: Register, _ source: Register) {
        scan(0xB8, prefixed: true, width, destination, source)
    }
    package mutating func popcnt(_ width: Width, _ destination: Register, _ source: Memory) {
        scan(0xB8, prefixed: true, width, destination, source)
    }

    /// Number of zero bits below the lowest set one; the width when there is none.
    package mutating func tzcnt(_ width: Width, _ destination: Register, _ source: Register) {
        scan(0xBC, prefixed: true, width, destination, source)
    }
    package mutating func tzcnt(_ width: Width, _ destination: Register, _ source: Memory) {
        scan(0xBC, prefixed: true, width, destination, source)
    }

    /// Number of zero bits above the highest set one; the width when there is none.
    package mutating func lzcnt(_ width: Width, _ destination: Register, _ source: Register) {
        scan(0xBD, prefixed: true, width, destination, source)
    }
    package mutating func lzcnt(_ width: Width, _ destination: Register, _ source: Memory) {
        scan(0xBD, prefixed: true, width, destination, source)
    }

    // MARK: VEX, `long` or `quad`

    /// `second` is the operand in VEX.vvvv.
    @inline(__always)
    private mutating func vex(
        _ prefix: OpcodePrefix, _ map: OpcodeMap, _ opcode: UInt8, _ width: Width, _ register: UInt8,
        _ second: Register, _ operand: Register
    ) {
        emitVEX(prefix, map, wide: width == .quad, opcode, register, second.rawValue, operand.rawValue)
    }

    @inline(__always)
    private mutating func vex(
        _ prefix: OpcodePrefix, _ map: OpcodeMap, _ opcode: UInt8, _ width: Width, _ register: UInt8,
        _ second: Register, _ operand: Memory
    ) {
        emitVEX(prefix, map, wide: width == .quad, opcode, register, second.rawValue, operand)
    }

    /// `destination = ~first & second`
    package mutating func andn(_ width: Width, _ destination: Register, _ first: Register, _ second: Register) {
        vex(.none, .x0F38, 0xF2, width, destination.rawValue, first, second)
    }
    package mutating func andn(_ width: Width, _ destination: Register, _ first: Register, _ second: Memory) {
        vex(.none, .x0F38, 0xF2, width, destination.rawValue, first, second)
    }

    /// `high:low = rdx * source`, unsigned, flags unchanged.
    package mutating func mulx(_ width: Width, _ high: Register, _ low: Register, _ source: Register) {
        vex(.xF2, .x0F38, 0xF6, width, high.rawValue, low, source)
    }
    package mutating func mulx(_ width: Width, _ high: Register, _ low: Register, _ source: Memory) {
        vex(.xF2, .x0F38, 0xF6, width, high.rawValue, low, source)
    }

    /// Spreads the low bits of `first` to the set bits of the mask `second`.
    package mutating func pdep(_ width: Width, _ destination: Register, _ first: Register, _ second: Register) {
        vex(.xF2, .x0F38, 0xF5, width, destination.rawValue, first, second)
    }
    package mutating func pdep(_ width: Width, _ destination: Register, _ first: Register, _ second: Memory) {
        vex(.xF2, .x0F38, 0xF5, width, destination.rawValue, first, second)
    }

    /// Gathers the bits of `first` that the mask `second` selects.
    package mutating func pext(_ width: Width, _ destination: Register, _ first: Register, _ second: Register) {
        vex(.xF3, .x0F38, 0xF5, width, destination.rawValue, first, second)
    }
    package mutating func pext(_ width: Width, _ destination: Register, _ first: Register, _ second: Memory) {
        vex(.xF3, .x0F38, 0xF5, width, destination.rawValue, first, second)
    }

    /// `destination = source` with its lowest set bit cleared.
    package mutating func blsr(_ width: Width, _ destination: Register, _ source: Register) {
        vex(.none, .x0F38, 0xF3, width, 1, destination, source)
    }
    package mutating func blsr(_ width: Width, _ destination: Register, _ source: Memory) {
        vex(.none, .x0F38, 0xF3, width, 1, destination, source)
    }

    /// `destination =` ones up to and including the lowest set bit of `source`.
    package mutating func blsmsk(_ width: Width, _ destination: Register, _ source: Register) {
        vex(.none, .x0F38, 0xF3, width, 2, destination, source)
    }
    package mutating func blsmsk(_ width: Width, _ destination: Register, _ source: Memory) {
        vex(.none, .x0F38, 0xF3, width, 2, destination, source)
    }

    /// `destination =` the lowest set bit of `source` alone.
    package mutating func blsi(_ width: Width, _ destination: Register, _ source: Register) {
        vex(.none, .x0F38, 0xF3, width, 3, destination, source)
    }
    package mutating func blsi(_ width: Width, _ destination: Register, _ source: Memory) {
        vex(.none, .x0F38, 0xF3, width, 3, destination, source)
    }

    /// `destination = source << count`, flags unchanged.
    package mutating func shlx(_ width: Width, _ destination: Register, _ source: Register, _ count: Register) {
        vex(.x66, .x0F38, 0xF7, width, destination.rawValue, count, source)
    }
    package mutating func shlx(_ width: Width, _ destination: Register, _ source: Memory, _ count: Register) {
        vex(.x66, .x0F38, 0xF7, width, destination.rawValue, count, source)
    }

    /// `destination = source >> count`, zeros shifted in, flags unchanged.
    package mutating func shrx(_ width: Width, _ destination: Register, _ source: Register, _ count: Register) {
        vex(.xF2, .x0F38, 0xF7, width, destination.rawValue, count, source)
    }
    package mutating func shrx(_ width: Width, _ destination: Register, _ source: Memory, _ count: Register) {
        vex(.xF2, .x0F38, 0xF7, width, destination.rawValue, count, source)
    }

    /// `destination = source >> count`, signs shifted in, flags unchanged.
    package mutating func sarx(_ width: Width, _ destination: Register, _ source: Register, _ count: Register) {
        vex(.xF3, .x0F38, 0xF7, width, destination.rawValue, count, source)
    }
    package mutating func sarx(_ width: Width, _ destination: Register, _ source: Memory, _ count: Register) {
        vex(.xF3, .x0F38, 0xF7, width, destination.rawValue, count, source)
    }

    /// `source`, from the bit in the low byte of `count`, as many bits as its second byte says.
    package mutating func bextr(_ width: Width, _ destination: Register, _ source: Register, _ count: Register) {
        vex(.none, .x0F38, 0xF7, width, destination.rawValue, count, source)
    }
    package mutating func bextr(_ width: Width, _ destination: Register, _ source: Memory, _ count: Register) {
        vex(.none, .x0F38, 0xF7, width, destination.rawValue, count, source)
    }

    /// `source` with the bits from `count` up cleared.
    package mutating func bzhi(_ width: Width, _ destination: Register, _ source: Register, _ count: Register) {
        vex(.none, .x0F38, 0xF5, width, destination.rawValue, count, source)
    }
    package mutating func bzhi(_ width: Width, _ destination: Register, _ source: Memory, _ count: Register) {
        vex(.none, .x0F38, 0xF5, width, destination.rawValue, count, source)
    }

    /// `destination = source rotated right by imm`, flags unchanged.
    package mutating func rorx(_ width: Width, _ destination: Register, _ source: Register, imm: UInt8) {
        vex(.xF2, .x0F3A, 0xF0, width, destination.rawValue, .rax, source)
        store(imm)
    }

    package mutating func rorx(_ width: Width, _ destination: Register, _ source: Memory, imm: UInt8) {
        emitVEX(
            .xF2, .x0F3A, wide: width == .quad, 0xF0, destination.rawValue, 0, source, immediateLength: 1)
        store(imm)
    }
}

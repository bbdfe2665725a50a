// The encoder core: from an `Encoding` and operands to bytes. Every instruction form ends in one of these functions.
// Optional bytes are stored always and skipped over when absent, which costs less than a branch.

extension Assembler {
    // MARK: Legacy and REX

    /// `opcode /r` with a register as the r/m operand.
    @inline(__always)
    mutating func emit(_ encoding: Encoding, _ register: UInt8, _ operand: UInt8) {
        var place = Place(start: cursor)
        place.store(encoding, extensionBits: (register & 8) &>> 1 | operand &>> 3)
        place.store(0xC0 | (register & 7) &<< 3 | operand & 7)
        advance(to: place.end)
    }

    /// `opcode /r` with a memory operand.
    @inline(__always)
    mutating func emit(_ encoding: Encoding, _ register: UInt8, _ memory: Memory) {
        var place = Place(start: cursor)
        place.store(encoding, extensionBits: (register & 8) &>> 1 | memory.extensionBits)
        storeOperand(place, register, memory, immediateLength: encoding.immediateLength)
    }

    /// `opcode + r`: the register in the opcode's last bits.
    @inline(__always)
    mutating func emit(_ encoding: Encoding, inOpcode register: UInt8) {
        var place = Place(start: cursor)
        place.store(encoding.adding(register & 7), extensionBits: register &>> 3)
        advance(to: place.end)
    }

    /// An instruction without operands.
    @inline(__always)
    mutating func emit(_ encoding: Encoding) {
        var place = Place(start: cursor)
        place.store(encoding, extensionBits: 0)
        advance(to: place.end)
    }

    // MARK: VEX

    /// `VEX.L.pp.map.W opcode /r`, of 256 bits where `long`, with a register as the last operand.
    @inline(__always)
    mutating func emitVEX(
        _ prefix: OpcodePrefix, _ map: OpcodeMap, wide: Bool = false, long: Bool = false, _ opcode: UInt8, _ register: UInt8,
        _ second: UInt8, _ operand: UInt8
    ) {
        var place = Place(start: cursor)
        place.storeVEX(prefix, map, wide, long, opcode, (register & 8) &>> 1 | operand &>> 3, second)
        place.store(0xC0 | (register & 7) &<< 3 | operand & 7)
        advance(to: place.end)
    }

    /// `VEX.L.pp.map.W opcode /r`, of 256 bits where `long`, with a memory operand.
    @inline(__always)
    mutating func emitVEX(
        _ prefix: OpcodePrefix, _ map: OpcodeMap, wide: Bool = false, long: Bool = false, _ opcode: UInt8, _ register: UInt8,
        _ second: UInt8, _ memory: Memory, immediateLength: UInt8 = 0
    ) {
        var place = Place(start: cursor)
        place.storeVEX(prefix, map, wide, long, opcode, (register & 8) &>> 1 | memory.extensionBits, second)
        storeOperand(place, register, memory, immediateLength: immediateLength)
    }

    // MARK: Operands

    /// ModRM, SIB and displacement of a memory operand; ends the instruction up to its immediate.
    @inline(__always)
    private mutating func storeOperand(
        _ start: Place, _ register: UInt8, _ memory: Memory, immediateLength: UInt8
    ) {
        var place = start
        let field = (register & 7) &<< 3
        guard memory.modRM != Memory.relativeModRM else {
            place.store(field | Memory.relativeModRM)
            cursor = place.end
            return storeRelativeOperand(memory, immediateLength: immediateLength)
        }
        let bytes = UInt16(memory.modRM | field) | UInt16(memory.sib) &<< 8
        place.store(bytes, length: 1 &+ Int(memory.flags &>> 2 & 1))
        place.store(memory.displacement, length: Int(memory.flags &>> 4))
        advance(to: place.end)
    }

    @inline(never)
    private mutating func storeRelativeOperand(_ memory: Memory, immediateLength: UInt8) {
        if memory.sib == Memory.labelForm {
            let label = Label(index: UInt32(bitPattern: memory.displacement))
            storeDisplacement(to: label, immediateLength: immediateLength)
        } else {
            let target = executableAddress(atOffset: Int(memory.displacement))
            storeDisplacement(to: target, immediateLength: immediateLength)
        }
    }

    /// Stores a 32-bit displacement to an executable address that `immediateLength` bytes of the instruction follow.
    @inline(__always)
    mutating func storeDisplacement(to target: UInt64, immediateLength: UInt8 = 0) {
        let next = executableOffset &+ UInt64(UInt(bitPattern: cursor)) &+ 4 &+ UInt64(immediateLength)
        let distance = Int64(bitPattern: target &- next)
        let displacement = Int32(truncatingIfNeeded: distance)
        precondition(Int64(displacement) == distance || overflowed, "target is out of reach of a 32-bit displacement")
        let isInside = target &- executableAddress(atOffset: 0) < UInt64(capacity)
        if !overflowed && !isInside { noteExternal() }
        store(displacement)
    }

    /// Stores an immediate of `width`: one, two or four bytes; a quad takes four, which the processor sign-extends.
    @inline(__always)
    mutating func storeImmediate(_ width: Width, _ value: Int32) {
        store(value, length: Assembler.immediateLength(width))
    }

    @inline(__always)
    static func immediateLength(_ width: Width) -> Int { min(width.byteCount, 4) }
}

extension Place {
    /// Prefixes, REX where needed, opcode.
    @inline(__always)
    fileprivate mutating func store(_ encoding: Encoding, extensionBits: UInt8) {
        store(encoding.prefixes, length: encoding.prefixCount)
        let rex = 0x40 | encoding.wide | extensionBits
        let hasREX = rex != 0x40 || encoding.needsREX
        store(rex, length: hasREX ? 1 : 0)
        store(encoding.opcode, length: encoding.opcodeLength)
    }

    /// The two-byte VEX prefix where it can say it, else the three-byte one; then the opcode. The prefix holds the
    /// extension bits and the second operand inverted.
    @inline(__always)
    fileprivate mutating func storeVEX(
        _ prefix: OpcodePrefix, _ map: OpcodeMap, _ wide: Bool, _ long: Bool, _ opcode: UInt8, _ extensionBits: UInt8,
        _ second: UInt8
    ) {
        let inverted = ~extensionBits & 7
        let tail = (~second & 15) &<< 3 | (long ? 4 : 0) | prefix.rawValue
        if map == .x0F && !wide && inverted & 3 == 3 {
            let register = (inverted & 4) &<< 5
            store(0xC5 | UInt32(register | tail) &<< 8 | UInt32(opcode) &<< 16, length: 3)
        } else {
            let first = UInt32(inverted &<< 5 | map.rawValue)
            let last = UInt32(tail | (wide ? 0x80 : 0))
            store(0xC4 | first &<< 8 | last &<< 16 | UInt32(opcode) &<< 24)
        }
    }
}

extension Memory {
    /// REX.X and REX.B, in their places.
    @inline(__always) var extensionBits: UInt8 { flags & 3 }
}

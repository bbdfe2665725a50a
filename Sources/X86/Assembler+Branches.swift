// Jumps, calls and returns, and the padding around them.
// A jump that is patched while other threads run through it must have its displacement in one aligned word: the
// `aligned…` forms place it so, always in the 32-bit form.

extension Assembler {
    // MARK: To labels

    /// `jmp label`: the short form to a near label behind, else the 32-bit form.
    package mutating func jmp(_ label: Label) {
        if let distance = shortDistance(to: label, instructionLength: 2) {
            return store(0xEB | UInt16(UInt8(bitPattern: distance)) &<< 8)
        }
        store(0xE9 as UInt8)
        storeDisplacement(to: label)
    }

    /// `jcc label`: the short form to a near label behind, else the 32-bit form.
    package mutating func jcc(_ condition: Condition, _ label: Label) {
        if let distance = shortDistance(to: label, instructionLength: 2) {
            return store(0x70 | UInt16(condition.rawValue) | UInt16(UInt8(bitPattern: distance)) &<< 8)
        }
        store(0x800F | UInt16(condition.rawValue) &<< 8)
        storeDisplacement(to: label)
    }

    /// `jmp short label`. The label must turn out to be within a signed byte: for code of a known, small size only.
    package mutating func jmpShort(_ label: Label) {
        store(0xEB as UInt8)
        storeShortDisplacement(to: label)
    }

    /// `jcc short label`. The label must turn out to be within a signed byte: for code of a known, small size only.
    package mutating func jccShort(_ condition: Condition, _ label: Label) {
        store(0x70 | condition.rawValue)
        storeShortDisplacement(to: label)
    }

    package mutating func call(_ label: Label) {
        store(0xE8 as UInt8)
        storeDisplacement(to: label)
    }

    // MARK: To executable addresses

    /// Whether a jump from anywhere in this region reaches `target`.
    package func reaches(_ target: UInt64) -> Bool {
        let first = Int64(bitPattern: target &- executableAddress(atOffset: 0))
        let last = Int64(bitPattern: target &- executableAddress(atOffset: capacity))
        return Int32(exactly: first) != nil && Int32(exactly: last) != nil
    }

    /// `jmp target`, which must be within 2 GiB.
    package mutating func jmp(to target: UInt64) {
        store(0xE9 as UInt8)
        storeDisplacement(to: target)
    }

    /// `jcc target`, which must be within 2 GiB.
    package mutating func jcc(_ condition: Condition, to target: UInt64) {
        store(0x800F | UInt16(condition.rawValue) &<< 8)
        storeDisplacement(to: target)
    }

    /// `call target`, which must be within 2 GiB.
    package mutating func call(to target: UInt64) {
        store(0xE8 as UInt8)
        storeDisplacement(to: target)
    }

    // MARK: To registers and memory

    package mutating func jmp(_ target: Register) { emit(.one(0xFF), 4, target.rawValue) }
    package mutating func jmp(_ target: Memory) { emit(.one(0xFF), 4, target) }
    package mutating func call(_ target: Register) { emit(.one(0xFF), 2, target.rawValue) }
    package mutating func call(_ target: Memory) { emit(.one(0xFF), 2, target) }

    // MARK: Patchable

    /// `jmp target` with its displacement in an aligned word. Returns the offset of that word.
    package mutating func alignedJump(to target: UInt64) -> Int {
        alignField(after: 1)
        jmp(to: target)
        return offset &- 4
    }

    /// `jcc target` with its displacement in an aligned word. Returns the offset of that word.
    package mutating func alignedConditionalJump(_ condition: Condition, to target: UInt64) -> Int {
        alignField(after: 2)
        jcc(condition, to: target)
        return offset &- 4
    }

    /// `call target` with its displacement in an aligned word. Returns the offset of that word.
    package mutating func alignedCall(to target: UInt64) -> Int {
        alignField(after: 1)
        call(to: target)
        return offset &- 4
    }

    /// `jmp label` with its displacement in an aligned word. The label must not be bound yet. Returns the offset of that word.
    package mutating func alignedJump(_ label: Label) -> Int {
        precondition(!isBound(label))
        alignField(after: 1)
        jmp(label)
        return offset &- 4
    }

    /// `jcc label` with its displacement in an aligned word. The label must not be bound yet. Returns the offset of that word.
    package mutating func alignedConditionalJump(_ condition: Condition, _ label: Label) -> Int {
        precondition(!isBound(label))
        alignField(after: 2)
        jcc(condition, label)
        return offset &- 4
    }

    /// The same behind the code from offset `start` on, which sets the flags and may be moved: it is position-independent and
    /// no label is bound in it. What fills comes before it, so that it and the jump stay neighbours, which the processor fuses.
    package mutating func alignedConditionalJump(_ condition: Condition, _ label: Label, behind start: Int) -> Int {
        precondition(!isBound(label))
        let fill = Int(truncatingIfNeeded: (0 &- (executableAddress &+ 2)) & 3)
        if fill > 0, !overflowed {
            let code = base + start, byteCount = offset - start
            nop(bytes: fill)
            if !overflowed {
                // SAFETY: `nop` has made room for the fill behind the code, inside of the region.
                (code + fill).copyMemory(from: code, byteCount: byteCount)
                // Byte by byte: `nop` stores eight at once.
                let filling: UInt32 = fill == 1 ? 0x90 : fill == 2 ? 0x9066 : 0x001f_0f
                for byte in 0 ..< fill { code.storeBytes(of: UInt8(truncatingIfNeeded: filling >> UInt32(byte * 8)), toByteOffset: byte, as: UInt8.self) }
            }
        }
        jcc(condition, label)
        return offset &- 4
    }

    /// `call label` with its displacement in an aligned word. The label must not be bound yet. Returns the offset of that word.
    package mutating func alignedCall(_ label: Label) -> Int {
        precondition(!isBound(label))
        alignField(after: 1)
        call(label)
        return offset &- 4
    }

    /// `mov destination, imm64` with its immediate in an aligned quadword. Returns the offset of that word.
    package mutating func alignedMovabs(_ destination: Register, _ value: UInt64) -> Int {
        alignField(after: 2, to: 8)
        movabs(destination, value)
        return offset &- 8
    }

    /// Fills so that the byte after the next `opcodeLength` ones is at a multiple of `alignment`, a power of two.
    private mutating func alignField(after opcodeLength: UInt64, to alignment: UInt64 = 4) {
        nop(bytes: Int(truncatingIfNeeded: (0 &- (executableAddress &+ opcodeLength)) & (alignment &- 1)))
    }

    // MARK: Returns, traps, padding

    package mutating func ret() { emit(.one(0xC3)) }

    /// `ret imm16`: returns and drops `bytes` of arguments.
    package mutating func ret(dropping bytes: UInt16) {
        emit(.one(0xC2))
        store(bytes)
    }

    package mutating func int3() { emit(.one(0xCC)) }
    package mutating func ud2() { emit(.two(0x0B)) }
    package mutating func nop() { emit(.one(0x90)) }
    /// Marks a place that an indirect branch may reach.
    package mutating func endbr64() {
        store(0xFA1E_0FF3 as UInt32)
    }

    /// `bytes` bytes that do nothing, in the manual's recommended forms of up to nine bytes each.
    package mutating func nop(bytes: Int) {
        var rest = bytes
        while rest > 0 {
            let length = min(rest, 9)
            emitNop(length: length)
            rest -= length
        }
    }

    private mutating func emitNop(length: Int) {
        switch length {
        case 1: store(0x90 as UInt64, length: 1)
        case 2: store(0x9066 as UInt64, length: 2)
        case 3: store(0x001F_0F as UInt64, length: 3)
        case 4: store(0x0040_1F0F as UInt64, length: 4)
        case 5: store(0x0000_441F_0F as UInt64, length: 5)
        case 6: store(0x0000_441F_0F66 as UInt64, length: 6)
        case 7: store(0x0000_0000_801F_0F as UInt64, length: 7)
        case 8: store(0x0000_0000_0084_1F0F as UInt64)
        default:
            store(0x66 as UInt8)
            store(0x0000_0000_0084_1F0F as UInt64)
        }
    }
}

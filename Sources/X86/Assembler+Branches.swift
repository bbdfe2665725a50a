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

    /// The label is behind, and the short form of a jump reaches it.
    package func isNear(_ label: Label) -> Bool { shortDistance(to: label, instructionLength: 2) != nil }

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
    //
    // A displacement that is patched while others execute it lies within an aligned quadword: a store there is seen whole. What
    // fills costs no instruction: segment prefixes, which have no effect in 64-bit mode.
    // Intel 64 manual, volume 3, section 9.1.1; AMD64 manual, volume 2, section 7.3.2.

    /// `jmp target` with a displacement that can be patched. Returns its offset.
    package mutating func patchableJump(to target: UInt64) -> Int {
        placeDisplacement(after: 1)
        jmp(to: target)
        return offset &- 4
    }

    /// `jcc target` with a displacement that can be patched. Returns its offset.
    package mutating func patchableConditionalJump(_ condition: Condition, to target: UInt64) -> Int {
        placeDisplacement(after: 2)
        jcc(condition, to: target)
        return offset &- 4
    }

    /// `call target` with a displacement that can be patched. Returns its offset.
    package mutating func patchableCall(to target: UInt64) -> Int {
        placeDisplacement(after: 1)
        call(to: target)
        return offset &- 4
    }

    /// `jmp label` with a displacement that can be patched. The label must not be bound yet. Returns its offset.
    package mutating func patchableJump(_ label: Label) -> Int {
        precondition(!isBound(label))
        placeDisplacement(after: 1)
        jmp(label)
        return offset &- 4
    }

    /// `jcc label` with a displacement that can be patched. The label must not be bound yet. Returns its offset.
    package mutating func patchableConditionalJump(_ condition: Condition, _ label: Label) -> Int {
        precondition(!isBound(label))
        placeDisplacement(after: 2)
        jcc(condition, label)
        return offset &- 4
    }

    /// The same behind the instruction at offset `start`, which sets the flags: it gets the prefixes, so that it and the jump
    /// stay as the processor fuses them. It may be moved: it, and whatever follows it, is position-independent, and no label is
    /// bound behind `start`.
    package mutating func patchableConditionalJump(_ condition: Condition, _ label: Label, behind start: Int) -> Int {
        precondition(!isBound(label))
        let count = missingBytes(after: 2), byteCount = offset - start
        if count > 0, byteCount > 0, !overflowed {
            let code = base + start
            emitPrefixes(count)
            if !overflowed {
                // SAFETY: the prefixes have made room behind the code, inside of the region.
                (code + count).copyMemory(from: code, byteCount: byteCount)
                for byte in 0 ..< count { code.storeBytes(of: Assembler.idlePrefix, toByteOffset: byte, as: UInt8.self) }
            }
        } else {
            emitPrefixes(count)
        }
        jcc(condition, label)
        return offset &- 4
    }

    /// `call label` with a displacement that can be patched. The label must not be bound yet. Returns its offset.
    package mutating func patchableCall(_ label: Label) -> Int {
        precondition(!isBound(label))
        placeDisplacement(after: 1)
        call(label)
        return offset &- 4
    }

    /// `mov destination, imm64` with its immediate in an aligned quadword. Returns the offset of that word.
    package mutating func alignedMovabs(_ destination: Register, _ value: UInt64) -> Int {
        nop(bytes: Int(truncatingIfNeeded: 0 &- (executableAddress &+ 2)) & 7)
        movabs(destination, value)
        return offset &- 8
    }

    /// The ES segment override. That of CS, or DS, in front of a conditional jump would be a hint for some processors.
    private static let idlePrefix: UInt8 = 0x26

    /// What is missing before an opcode of so many bytes for four bytes behind it to be in one aligned quadword: 0 to 3.
    private func missingBytes(after opcodeLength: UInt64) -> Int {
        let place = Int(truncatingIfNeeded: executableAddress &+ opcodeLength) & 7
        return place > 4 ? 8 - place : 0
    }

    private mutating func placeDisplacement(after opcodeLength: UInt64) { emitPrefixes(missingBytes(after: opcodeLength)) }

    private mutating func emitPrefixes(_ count: Int) {
        for _ in 0 ..< count { store(Assembler.idlePrefix) }
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

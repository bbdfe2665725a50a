// Floats in homes that need not be exact yet.
//
// A guest register that is written again before the superblock ends may hold an uncanonical NaN, or an f32 without its box,
// meanwhile: most such values are never seen. An exit in between settles them in its cold code; for a fault, the position of the
// guest instruction says what is pending.

import IR
import X86

extension Translator {
    /// In `detail2` of a `write`: what stays pending.
    private static let leavesNaN: UInt8 = 1
    private static let leavesBox: UInt8 = 2
    /// In `detail2` of a `canonicalNaN`: nobody can tell it from another.
    private static let anyNaN: UInt8 = 1

    /// Backwards over the superblock: decides what the write at `index` leaves pending.
    func analyseWrite(_ index: Int) {
        let write = function.instructions + index, slot = write.pointee.slot
        let hasHome = homes[slot] != RegisterMap.none
        let isOverwritten = overwrittenAt[slot] == observation
        overwrittenAt[slot] = observation
        write.pointee.detail2 = 0
        if map.slots[slot].type.isFloat {
            if hasHome && isOverwritten {
                leavePending(write, index)
            } else if function.instructions[Int(write.pointee.a.index)].type == .f32 {
                values[Int(write.pointee.a.index)].needsUpperHalf = true
            }
        } else if isOverwritten, defersWrites, takenBehind > overwrittenBy[slot] {
            mayDefer(index, until: overwrittenBy[slot])
        }
        overwrittenBy[slot] = Int32(index)
        guard write.pointee.detail2 & Translator.isDeferredWrite == 0 else { return }
        eagerlyWritten[slot] = Int32(index)
        if hasHome { values[Int(write.pointee.a.index)].targetWrite = Int32(index) }
    }

    private func leavePending(_ write: UnsafeMutablePointer<Instruction>, _ index: Int) {
        let source = Int(write.pointee.a.index), definition = function.instructions[source]
        if definition.opcode == .canonicalNaN, values[source].useCount == 1 {
            write.pointee.a = definition.a
            write.pointee.detail2 |= Translator.leavesNaN
            let uncanonical = Int(definition.a.index)
            values[uncanonical].lastUse = max(values[uncanonical].lastUse, Int32(index))
            function.instructions[source] = Instruction(.nop)
        } else if definition.opcode == .canonicalNaN {
            write.pointee.detail2 |= Translator.leavesNaN
            values[source].lenientUses += 1
        }
        if function.instructions[Int(write.pointee.a.index)].type == .f32 { write.pointee.detail2 |= Translator.leavesBox }
    }

    /// Notes users that take any quiet NaN.
    func noteLenient(_ instruction: Instruction) {
        let count = instruction.opcode.operandCount
        if count > 0 { values[Int(instruction.a.index)].lenientUses += 1 }
        if count > 1 { values[Int(instruction.b.index)].lenientUses += 1 }
        if count > 2 { values[Int(instruction.c.index)].lenientUses += 1 }
    }

    /// Backwards over the superblock, behind all users: whether the NaN need not be made canonical.
    func relaxCanonicalNaN(_ index: Int) {
        let source = function.instructions[Int(function.instructions[index].a.index)].opcode
        let isRelaxed = values[index].lenientUses == values[index].useCount && source.makesQuietNaNs
        function.instructions[index].detail2 = isRelaxed ? Translator.anyNaN : 0
    }

    func isRelaxed(_ i: Instruction) -> Bool { i.detail2 == Translator.anyNaN }

    /// The upper half of a result is that of an operand.
    func spreadUpperHalf(_ index: Int) {
        var instruction = function.instructions[index]
        switch instruction.opcode {
        case .floatAdd, .floatMultiply:
            // The first source gives it: best one that has it anyhow.
            let a = function.instructions[Int(instruction.a.index)].opcode, b = function.instructions[Int(instruction.b.index)].opcode
            if b == .unbox && a != .unbox {
                swap(&instruction.a, &instruction.b)
                function.instructions[index] = instruction
            }
            values[Int(instruction.a.index)].needsUpperHalf = true
            return
        case .floatSubtract, .floatDivide, .floatSquareRoot, .canonicalNaN:
            values[Int(instruction.a.index)].needsUpperHalf = true
            return
        case .multiplyAdd, .multiplySubtract, .negatedMultiplyAdd, .negatedMultiplySubtract:
            // The addend's register becomes the result's; a helper sets it.
            values[Int(instruction.c.index)].needsUpperHalf = true
            return
        default: break
        }
        for value in [instruction.a, instruction.b, instruction.c] where !value.isNone && instruction.opcode.operandCount > 0 {
            if function.instructions[Int(value.index)].type == .f32 { values[Int(value.index)].needsUpperHalf = true }
        }
    }

    /// The write took effect.
    func notePending(_ write: Instruction, home: UInt8) {
        let bit: UInt16 = 1 << UInt16(home)
        if write.detail2 & Translator.leavesNaN != 0 { pending.canonicalNaNs |= bit } else { pending.canonicalNaNs &= ~bit }
        if write.detail2 & Translator.leavesBox != 0 { pending.boxes |= bit } else { pending.boxes &= ~bit }
    }

    /// Makes homes what the guest sees. Changes the flags.
    func settle(_ pending: PendingFloats) {
        for number in 0 ..< 16 as Range<UInt8> {
            let bit: UInt16 = 1 << UInt16(number), vector = XMM(rawValue: number).unsafelyUnwrapped
            let isSingle = pending.boxes & bit != 0
            if isSingle { setUpperHalf(vector) }
            guard pending.canonicalNaNs & bit != 0 else { continue }
            let done = asm.makeLabel()
            asm.ucomis(isSingle ? .single : .double, vector, vector)
            asm.jcc(.np, done)
            asm.movaps(vector, asm.memory(at: stubs.address(isSingle ? .canonicalSingle : .canonicalDouble)))
            asm.bind(done)
        }
    }
}

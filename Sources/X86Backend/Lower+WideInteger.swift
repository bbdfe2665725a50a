// Products and quotients: what x86 computes in rax and rdx.

import IR
import X86

extension Translator {
    /// Brings b somewhere outside rax and rdx and a into rax, and empties both of values that live on.
    func setUpWideOperation(_ a: Value, _ b: Value) -> Register {
        var second = use(b)
        if second == .rax || second == .rdx {
            let other: Register = isLocked(.rcx) ? .rdi : .rcx
            claim(other)
            record(.move(from: .register(second.rawValue), to: .register(other.rawValue)))
            asm.mov(.quad, other, second)
            second = other
        }
        let first = use(a)
        for register in [Register.rax, .rdx] where registerOwner[Int(register.rawValue)] >= 0 {
            locked |= 1 << UInt32(Register.rax.rawValue) | 1 << UInt32(Register.rdx.rawValue)
            evict(register)
        }
        if first != .rax { asm.mov(.quad, .rax, first) }
        // a is in rax now: its own register is free for a temporary, unless b is there too.
        if first != second { locked &= ~(1 << UInt32(first.rawValue)) }
        lock(.rax)
        lock(.rdx)
        record(.clobber(.register(Register.rax.rawValue)))
        record(.clobber(.register(Register.rdx.rawValue)))
        return second
    }

    /// A result that is in a scratch register: becomes the value's place, or moves to the home it is meant for.
    func finish(_ index: Int, in register: Register) {
        if let slot = directTarget(index) {
            takeOver(slot, index)
            asm.mov(.quad, Register(rawValue: homes[slot]).unsafelyUnwrapped, register)
            record(.define(value: index, .slot(slot)))
        } else {
            define(index, in: register)
        }
    }

    // MARK: Products

    /// How far apart the halves of a product may be computed, in instructions.
    private static let productDistance = 16

    /// The instruction that computes the other half of the 128-bit product of which the one at `index` is a half, soon behind it.
    func otherHalf(of index: Int) -> Int? {
        let instructions = function.instructions, half = instructions[index]
        guard constant(half.b) == nil, constant(half.a) == nil else { return nil }
        for other in index + 1 ..< min(function.count, index + Translator.productDistance) {
            let i = instructions[other]
            let isOther = half.opcode == .multiply
                ? i.opcode == .multiplyHighSigned || i.opcode == .multiplyHighUnsigned : i.opcode == .multiply && i.type == .i64
            guard isOther, !values[other].isSunk, !values[other].isComputed else { continue }
            if (i.a == half.a && i.b == half.b) || (i.a == half.b && i.b == half.a) { return other }
        }
        return nil
    }

    /// Both halves with one multiplication; one of them is not due yet.
    func lowerWholeProduct(low: Int, high: Int) {
        let i = function.instructions[high], b = setUpWideOperation(i.a, i.b)
        if i.opcode == .multiplyHighSigned { asm.imul(.quad, b) } else { asm.mul(.quad, b) }
        let later = max(low, high)
        define(later, in: later == low ? .rax : .rdx)
        values[later].isComputed = true
        finish(min(low, high), in: later == low ? .rdx : .rax)
    }

    func lowerMultiplyHigh(_ i: Instruction, _ index: Int) {
        if i.opcode != .multiplyHighSignedUnsigned, let low = otherHalf(of: index) {
            return lowerWholeProduct(low: low, high: index)
        }
        let b = setUpWideOperation(i.a, i.b)
        switch i.opcode {
        case .multiplyHighSigned: asm.imul(.quad, b)
        case .multiplyHighUnsigned: asm.mul(.quad, b)
        default:
            // High part with a signed: the unsigned product counts 2^64 * b too much when a is negative.
            let sign: Register = isLocked(.rcx) ? .rdi : .rcx
            claim(sign)
            asm.mov(.quad, sign, .rax)
            asm.sar(.quad, sign, imm: 63)
            asm.and(.quad, sign, b)
            asm.mul(.quad, b)
            asm.sub(.quad, .rdx, sign)
        }
        finish(index, in: .rdx)
    }

    // MARK: Quotients

    func lowerDivision(_ i: Instruction, _ index: Int) {
        if let divisor = constant(i.b), lowerDivision(i, index, by: divisor) { return }
        let width = i.type.width
        let signed = i.opcode == .divideSigned || i.opcode == .remainderSigned
        let quotient = i.opcode == .divideSigned || i.opcode == .divideUnsigned
        let b = setUpWideOperation(i.a, i.b)
        let byZero = asm.makeLabel(), byMinusOne = asm.makeLabel(), done = asm.makeLabel()
        asm.test(width, b, b)
        asm.jcc(.e, byZero)
        if signed {
            asm.cmp(width, b, imm: -1)
            asm.jcc(.e, byMinusOne)
            if width == .quad { asm.cqo() } else { asm.cdq() }
            asm.idiv(width, b)
        } else {
            asm.xor(.long, .rdx, .rdx)
            asm.div(width, b)
        }
        asm.jmp(done)
        if signed {
            asm.bind(byMinusOne)
            asm.xor(.long, .rdx, .rdx)
            asm.neg(width, .rax)
            asm.jmp(done)
        }
        asm.bind(byZero)
        asm.mov(width, .rdx, .rax)
        // A word's upper half is clear, as behind every other operation on words.
        asm.movImmediate(.rax, i.type.mask)
        asm.bind(done)
        finish(index, in: quotient ? .rax : .rdx)
    }
}

// Division by a constant as a multiplication by its reciprocal.
//
// T. Granlund and P. L. Montgomery, "Division by Invariant Integers using Multiplication", 1994: figures 4.1 and 5.2. Signed
// quotients are rounded down first; adding one to negative ones then rounds them to zero.

import IR
import X86

extension Translator {
    /// - Returns: false for the divisors 0 and -1, which are as quick by the rules for all.
    func lowerDivision(_ i: Instruction, _ index: Int, by divisor: Int64) -> Bool {
        let isSigned = i.opcode == .divideSigned || i.opcode == .remainderSigned
        let isQuotient = i.opcode == .divideSigned || i.opcode == .divideUnsigned
        let bits = UInt64(bitPattern: divisor) & i.type.mask
        guard bits > 1, bits != i.type.mask else { return false }
        if i.type == .i32, isSigned {
            divideSignedLong(i, index, by: Int32(truncatingIfNeeded: divisor), isQuotient)
            return true
        }
        guard !(isSigned ? divisor.magnitude : bits).isPowerOfTwo || isSigned else { return false }
        let dividend = useOutsideWideRegisters(i.a)
        if isSigned {
            divideSignedQuad(dividend, by: divisor.magnitude)
        } else if i.type == .i32 {
            divideUnsignedLong(dividend, by: bits)
        } else {
            divideUnsignedQuad(dividend, by: bits)
        }
        // The quotient by the magnitude is in rdx.
        if isQuotient {
            if isSigned, divisor < 0 { asm.neg(.quad, .rdx) }
            finish(index, in: .rdx)
        } else {
            remainder(dividend, of: isSigned ? divisor.magnitude : bits, i.type.width, index)
        }
        return true
    }

    /// Leaves the remainder for the quotient in rdx.
    private func remainder(_ dividend: Register, of divisor: UInt64, _ width: Width, _ index: Int) {
        if let short = Int32(exactly: divisor) {
            asm.imul(width, .rdx, .rdx, imm: short)
        } else {
            asm.movImmediate(.rax, divisor)
            asm.imul(width, .rdx, .rax)
        }
        asm.mov(width, .rax, dividend)
        asm.sub(width, .rax, .rdx)
        finish(index, in: .rax)
    }

    /// A value in a register that may stay there while rax and rdx are used, which are emptied.
    private func useOutsideWideRegisters(_ value: Value) -> Register {
        var register = use(value)
        if register == .rax || register == .rdx {
            let other = allocateOutsideWideRegisters()
            record(.move(from: .register(register.rawValue), to: .register(other.rawValue)))
            asm.mov(.quad, other, register)
            register = other
        }
        for wide in [Register.rax, .rdx] {
            if registerOwner[Int(wide.rawValue)] >= 0 {
                locked |= 1 << UInt32(Register.rax.rawValue) | 1 << UInt32(Register.rdx.rawValue)
                evict(wide)
            }
            lock(wide)
            record(.clobber(.register(wide.rawValue)))
        }
        return register
    }

    private func allocateOutsideWideRegisters() -> Register {
        let register: Register = isLocked(.rcx) ? .rdi : .rcx
        claim(register)
        return register
    }

    // MARK: Quotients, into rdx; rax is free

    private func divideSignedQuad(_ dividend: Register, by divisor: UInt64) {
        let log = max(1, divisor.ceilingLog2)
        let reciprocal = divisor.dividingFullWidth((1 << UInt64(log - 1), 0)).quotient &+ 1
        asm.movImmediate(.rax, reciprocal)
        asm.imul(.quad, dividend)
        // The reciprocal has a 65th bit above.
        asm.add(.quad, .rdx, dividend)
        asm.mov(.quad, .rax, dividend)
        asm.sar(.quad, .rax, imm: 63)
        if log > 1 { asm.sar(.quad, .rdx, imm: UInt8(log - 1)) }
        asm.sub(.quad, .rdx, .rax)
    }

    private func divideUnsignedQuad(_ dividend: Register, by divisor: UInt64) {
        let log = divisor.ceilingLog2
        let power: UInt64 = log == 64 ? 0 : 1 << UInt64(log)
        asm.movImmediate(.rax, divisor.dividingFullWidth((power &- divisor, 0)).quotient &+ 1)
        asm.mul(.quad, dividend)
        asm.mov(.quad, .rax, dividend)
        asm.sub(.quad, .rax, .rdx)
        asm.shr(.quad, .rax, imm: 1)
        asm.add(.quad, .rdx, .rax)
        if log > 1 { asm.shr(.quad, .rdx, imm: UInt8(log - 1)) }
    }

    /// 64 bits of reciprocal are exact for 32 bits of dividend and divisor.
    private func divideUnsignedLong(_ dividend: Register, by divisor: UInt64) {
        asm.mov(.long, .rax, dividend)
        asm.movImmediate(.rdx, UInt64.max / divisor + 1)
        asm.mul(.quad, .rdx)
    }

    /// The product with a reciprocal of 32 bits fits into 64.
    private func divideSignedLong(_ i: Instruction, _ index: Int, by divisor: Int32, _ isQuotient: Bool) {
        let magnitude = UInt64(divisor.magnitude), log = max(1, magnitude.ceilingLog2)
        let reciprocal = (1 << UInt64(31 + log)) / magnitude + 1
        let a = use(i.a), dividend = allocate(), quotient = allocate()
        asm.movsxd(dividend, a)
        asm.movImmediate(quotient, reciprocal)
        asm.imul(.quad, quotient, dividend)
        asm.sar(.quad, dividend, imm: 63)
        asm.sar(.quad, quotient, imm: UInt8(31 + log))
        asm.sub(.long, quotient, dividend)
        if isQuotient {
            if divisor < 0 { asm.neg(.long, quotient) }
            return finish(index, in: quotient)
        }
        asm.imul(.long, quotient, quotient, imm: Int32(truncatingIfNeeded: magnitude))
        asm.mov(.long, dividend, a)
        asm.sub(.long, dividend, quotient)
        finish(index, in: dividend)
    }
}

extension UInt64 {
    fileprivate var isPowerOfTwo: Bool { self & (self &- 1) == 0 }
    /// The least power of two not below the number, as an exponent.
    fileprivate var ceilingLog2: Int { 64 - (self &- 1).leadingZeroBitCount }
}

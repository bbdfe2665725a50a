// Integer arithmetic, logic, shifts, counts, extensions.

import IR
import X86

extension Translator {
    /// `destination = a operation b`, destination possibly the same register as either.
    private func emitALU(_ operation: ALUOperation, _ width: Width, _ destination: Register, _ a: Register, _ b: Operand) {
        if case .register(let register) = b, register == destination, destination != a {
            if operation == .sub {
                asm.neg(width, destination)
                asm.alu(.add, width, destination, a)
            } else {
                asm.alu(operation, width, destination, a)
            }
            return
        }
        if destination != a { asm.mov(width, destination, a) }
        switch b {
        case .register(let register): asm.alu(operation, width, destination, register)
        case .memory(let memory): asm.alu(operation, width, destination, memory)
        case .immediate(let number): asm.alu(operation, width, destination, imm: number)
        }
    }

    func lowerALU(_ operation: ALUOperation, _ i: Instruction, _ index: Int) {
        // The result may take the register of either operand then.
        let swaps = operation != .sub && !endsInScratch(i.a) && endsInScratch(i.b)
        let first = swaps ? i.b : i.a, a = use(first), b = operand(swaps ? i.a : i.b)
        emitALU(operation, i.type.width, define(index, reusing: first), a, b)
    }

    /// The value is in a scratch register, and used here for the last time.
    private func endsInScratch(_ value: Value) -> Bool {
        let state = values[Int(value.index)]
        return state.register != ValueState.nowhere && state.lastUse <= Int32(current)
    }

    func lowerAdd(_ i: Instruction, _ index: Int) {
        let a = use(i.a), b = operand(i.b)
        let destination = define(index, reusing: i.a)
        switch b {
        case .immediate(let number) where destination != a:
            asm.lea(i.type.width, destination, .base(a, number))
        case .register(let register) where destination != a && destination != register:
            asm.lea(i.type.width, destination, .base(a, index: register))
        default: emitALU(.add, i.type.width, destination, a, b)
        }
    }

    /// `and`, also with a complemented operand (`andn`).
    func lowerAnd(_ i: Instruction, _ index: Int) {
        if constant(i.b) == 0xffff_ffff, i.type == .i64 {
            let a = use(i.a)
            asm.mov(.long, define(index, reusing: i.a), a)
            return
        }
        lowerALU(.and, i, index)
    }

    func lowerMultiply(_ i: Instruction, _ index: Int) {
        if i.type == .i64, let high = otherHalf(of: index) { return lowerWholeProduct(low: index, high: high) }
        let a = use(i.a), b = operand(i.b), width = i.type.width
        let destination = define(index, reusing: i.a)
        switch b {
        case .immediate(let number): asm.imul(width, destination, a, imm: number)
        case .register(let register) where register == destination: asm.imul(width, destination, a)
        case .register(let register):
            if destination != a { asm.mov(width, destination, a) }
            asm.imul(width, destination, register)
        case .memory(let memory):
            if destination != a { asm.mov(width, destination, a) }
            asm.imul(width, destination, memory)
        }
    }

    // MARK: Shifts

    func lowerShift(_ i: Instruction, _ index: Int) {
        let width = i.type.width
        if let count = constant(i.b) {
            let amount = UInt8(truncatingIfNeeded: count) & UInt8(width.bitCount - 1)
            let a = use(i.a), destination = define(index, reusing: i.a)
            if i.opcode == .rotateRight, features.contains(.bmi2) {
                asm.rorx(width, destination, a, imm: amount)
                return
            }
            if i.opcode == .shiftLeft, destination != a, amount >= 1, amount <= 3 {
                asm.lea(width, destination, .index(a, scale: amount == 1 ? .two : amount == 2 ? .four : .eight))
                return
            }
            if destination != a { asm.mov(width, destination, a) }
            switch i.opcode {
            case .shiftLeft: asm.shl(width, destination, imm: amount)
            case .shiftRightLogical: asm.shr(width, destination, imm: amount)
            case .shiftRightArithmetic: asm.sar(width, destination, imm: amount)
            default: asm.ror(width, destination, imm: amount)
            }
            return
        }
        if features.contains(.bmi2), i.opcode != .rotateRight {
            let a = use(i.a), count = use(i.b), destination = define(index, reusing: i.a)
            switch i.opcode {
            case .shiftLeft: asm.shlx(width, destination, a, count)
            case .shiftRightLogical: asm.shrx(width, destination, a, count)
            default: asm.sarx(width, destination, a, count)
            }
            return
        }
        shiftByCL(i, index, width)
    }

    private func shiftByCL(_ i: Instruction, _ index: Int, _ width: Width) {
        let count = use(i.b)
        if count != .rcx {
            if registerOwner[Int(Register.rcx.rawValue)] >= 0 { evict(.rcx) }
            lock(.rcx)
            record(.clobber(.register(Register.rcx.rawValue)))
            asm.mov(.long, .rcx, count)
        } else if values[Int(i.b.index)].lastUse > Int32(current) {
            evict(.rcx)
        }
        let a = use(i.a), result = allocate()
        asm.mov(width, result, a)
        switch i.opcode {
        case .shiftLeft: asm.shlByCL(width, result)
        case .shiftRightLogical: asm.shrByCL(width, result)
        case .shiftRightArithmetic: asm.sarByCL(width, result)
        default: asm.rorByCL(width, result)
        }
        finish(index, in: result)
    }

    // MARK: Counts and bytes

    func lowerCount(_ i: Instruction, _ index: Int) {
        let width = i.type.width, a = use(i.a)
        switch i.opcode {
        case .populationCount where features.contains(.popcnt): asm.popcnt(width, define(index, reusing: i.a), a)
        case .countLeadingZeros where features.contains(.lzcnt): asm.lzcnt(width, define(index, reusing: i.a), a)
        case .countTrailingZeros where features.contains(.bmi1): asm.tzcnt(width, define(index, reusing: i.a), a)
        case .countLeadingZeros:
            let result = allocate(), zero = asm.makeLabel()
            asm.movImmediate(result, UInt64(width.bitCount * 2 - 1))
            asm.test(width, a, a)
            asm.jcc(.e, zero)
            asm.bsr(width, result, a)
            asm.bind(zero)
            asm.xor(.long, result, imm: Int32(width.bitCount - 1))
            finish(index, in: result)
        case .countTrailingZeros:
            let result = allocate(), zero = asm.makeLabel()
            asm.movImmediate(result, UInt64(width.bitCount))
            asm.test(width, a, a)
            asm.jcc(.e, zero)
            asm.bsf(width, result, a)
            asm.bind(zero)
            finish(index, in: result)
        default: countBits(a, width, index)
        }
    }

    /// Population count without `popcnt`: clears the lowest set bit until nothing is left.
    private func countBits(_ a: Register, _ width: Width, _ index: Int) {
        let rest = allocate(), less = allocate(), result = allocate()
        let again = asm.makeLabel(), done = asm.makeLabel()
        asm.mov(width, rest, a)
        asm.movImmediate(result, 0)
        asm.bind(again)
        asm.test(width, rest, rest)
        asm.jcc(.e, done)
        asm.lea(width, less, .base(rest, -1))
        asm.and(width, rest, less)
        asm.add(.long, result, imm: 1)
        asm.jmp(again)
        asm.bind(done)
        finish(index, in: result)
    }

    func lowerByteSwap(_ i: Instruction, _ index: Int) {
        let a = use(i.a), destination = define(index, reusing: i.a)
        if destination != a { asm.mov(i.type.width, destination, a) }
        asm.bswap(i.type.width, destination)
    }

    // MARK: Extensions

    func lowerExtend(_ i: Instruction, _ index: Int) {
        let a = use(i.a), destination = define(index, reusing: i.a)
        if destination == a, isZeroExtended(i) { return }
        emitExtension(signed: i.opcode == .signExtend, from: i.detail, i.type, destination, a)
    }

    /// `destination` = the low `bits` (8, 16, 32) of a, extended to `type`.
    func emitExtension(signed: Bool, from bits: UInt8, _ type: Type, _ destination: Register, _ a: Register) {
        let from: Width = bits == 8 ? .byte : bits == 16 ? .word : .long
        switch (signed, from) {
        case (true, .long) where type == .i64: asm.movsxd(destination, a)
        case (_, .long): asm.mov(.long, destination, a)
        case (true, _): asm.movsx(type.width, destination, from: from, a)
        case (false, _): asm.movzx(.long, destination, from: from, a)
        }
    }

    /// The upper half of an i32's register is undefined, so a truncation needs no code beyond a copy, for users that do not look
    /// through it.
    func lowerTruncate(_ i: Instruction, _ index: Int) {
        if values[index].useCount == 0 { return }
        let a = use(i.a), destination = define(index, reusing: i.a)
        if destination != a { asm.mov(.long, destination, a) }
    }
}

// Loads, stores, atomics.

import IR
import X86

extension Translator {
    /// The memory operand of a load, store or atomic.
    func address(_ i: Instruction, hasIndex: Bool = true) -> Memory {
        let displacement = Int32(truncatingIfNeeded: i.immediate)
        let scale: Scale = i.access.scale == 1 ? .one : i.access.scale == 2 ? .two : i.access.scale == 4 ? .four : .eight
        if let base = constant(i.a), let place = Int32(exactly: base &+ i.immediate) {
            if hasIndex, !i.b.isNone { return .index(use(i.b), scale: scale, place) }
            return .absolute(place)
        }
        let base = use(i.a)
        if hasIndex, !i.b.isNone { return .base(base, index: use(i.b), scale: scale, displacement) }
        return .base(base, displacement)
    }

    func lowerLoad(_ i: Instruction, _ index: Int) {
        let memory = address(i)
        if i.type.isFloat {
            let destination = defineVector(index)
            asm.movs(i.type.floatWidth, destination, memory)
            if i.type == .f32, values[index].needsUpperHalf { setUpperHalf(destination) }
            return
        }
        loadInteger(define(index, reusing: i.a), memory, i.access, i.type)
    }

    private func loadInteger(_ destination: Register, _ memory: Memory, _ access: Access, _ type: Type) {
        switch (access.bytes, access.isSigned) {
        case (1, true): asm.movsx(type.width, destination, from: .byte, memory)
        case (1, false): asm.movzx(.long, destination, from: .byte, memory)
        case (2, true): asm.movsx(type.width, destination, from: .word, memory)
        case (2, false): asm.movzx(.long, destination, from: .word, memory)
        case (4, true) where type == .i64: asm.movsxd(destination, memory)
        case (4, _): asm.mov(.long, destination, memory)
        default: asm.mov(.quad, destination, memory)
        }
    }

    func lowerStore(_ i: Instruction) {
        let memory = address(i)
        let width: Width = i.access.bytes == 1 ? .byte : i.access.bytes == 2 ? .word : i.access.bytes == 4 ? .long : .quad
        if i.type.isFloat {
            asm.movs(i.access.bytes == 4 ? .single : .double, memory, useVector(i.c))
        } else if let number = immediate(i.c) {
            asm.mov(width, memory, imm: number)
        } else if let number = constant(i.c), width != .quad {
            asm.mov(width, memory, imm: Int32(truncatingIfNeeded: number))
        } else {
            asm.mov(width, memory, use(i.c))
        }
    }

    // MARK: Atomics

    private func width(_ access: Access) -> Width {
        access.bytes == 1 ? .byte : access.bytes == 2 ? .word : access.bytes == 4 ? .long : .quad
    }

    /// The old value in `register`, extended as the access says.
    private func extend(_ register: Register, _ i: Instruction) {
        switch (i.access.bytes, i.access.isSigned) {
        case (1, let signed):
            if signed { asm.movsx(.quad, register, from: .byte, register) } else { asm.movzx(.long, register, from: .byte, register) }
        case (2, let signed):
            if signed { asm.movsx(.quad, register, from: .word, register) } else { asm.movzx(.long, register, from: .word, register) }
        case (4, true): asm.movsxd(register, register)
        case (4, false): asm.mov(.long, register, register)
        default: break
        }
    }

    func lowerAtomic(_ i: Instruction, _ index: Int) {
        switch i.atomicKind {
        case .exchange, .add:
            let memory = address(i, hasIndex: false), operand = use(i.c), result = allocate()
            asm.mov(.quad, result, operand)
            if i.atomicKind == .add { asm.lockXadd(width(i.access), memory, result) } else { asm.xchg(width(i.access), memory, result) }
            extend(result, i)
            finish(index, in: result)
        default: lowerAtomicLoop(i, index)
        }
    }

    /// Operations that x86 lacks with a result: compare-and-exchange until nobody came between.
    private func lowerAtomicLoop(_ i: Instruction, _ index: Int) {
        if registerOwner[Int(Register.rax.rawValue)] >= 0 {
            lock(.rax)
            evict(.rax)
        }
        lock(.rax)
        record(.clobber(.register(Register.rax.rawValue)))
        let memory = address(i, hasIndex: false), operand = use(i.c), new = allocate()
        let size = width(i.access), wide: Width = size == .quad ? .quad : .long
        let again = asm.makeLabel()
        asm.mov(size, .rax, memory)
        asm.bind(again)
        switch i.atomicKind {
        case .and, .or, .xor:
            asm.mov(wide, new, .rax)
            asm.alu(i.atomicKind == .and ? .and : i.atomicKind == .or ? .or : .xor, wide, new, operand)
        default:
            asm.mov(wide, new, operand)
            asm.cmp(size, .rax, operand)
            let keepsOld: X86.Condition =
                switch i.atomicKind {
                case .minimumSigned: .l
                case .maximumSigned: .g
                case .minimumUnsigned: .b
                default: .a
                }
            asm.cmovcc(keepsOld, wide, new, .rax)
        }
        asm.lockCmpxchg(size, memory, new)
        asm.jcc(.ne, again)
        extend(.rax, i)
        finish(index, in: .rax)
    }

    func lowerCompareExchange(_ i: Instruction, _ index: Int) {
        if registerOwner[Int(Register.rax.rawValue)] >= 0 {
            lock(.rax)
            evict(.rax)
        }
        lock(.rax)
        record(.clobber(.register(Register.rax.rawValue)))
        let memory = address(i, hasIndex: false), new = use(i.c), expected = use(i.b)
        asm.mov(.quad, .rax, expected)
        asm.lockCmpxchg(width(i.access), memory, new)
        extend(.rax, i)
        finish(index, in: .rax)
    }
}

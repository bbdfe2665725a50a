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
        if let softBuffer, !isProven(i) { return lowerSoftLoad(i, index, softBuffer) }
        let memory = address(i)
        if i.type.isFloat {
            let destination = defineVector(index)
            asm.movs(i.type.floatWidth, destination, memory)
            if i.type == .f32, values[index].needsUpperHalf { setUpperHalf(destination) }
            return
        }
        loadInteger(define(index, reusing: i.a), memory, i.access, i.type)
    }

    /// Without a home to go to, the result takes the register of the address.
    private func lowerSoftLoad(_ i: Instruction, _ index: Int, _ buffer: SoftBuffer) {
        if looksAtRanges { return lowerRangeLoad(i, index, buffer) }
        let access = SoftAccess(address: softAddress(i), temporary: allocate(), byteCount: Int32(i.access.bytes), isWrite: false)
        if i.type.isFloat {
            let destination = defineVector(index)
            asm.movs(i.type.floatWidth, destination, lookUp(access, buffer))
            if i.type == .f32, values[index].needsUpperHalf { setUpperHalf(destination) }
        } else if directTarget(index) != nil {
            let destination = define(index)
            loadInteger(destination, lookUp(access, buffer), i.access, i.type)
        } else {
            loadInteger(access.address, lookUp(access, buffer), i.access, i.type)
            define(index, in: access.address)
        }
    }

    func loadInteger(_ destination: Register, _ memory: Memory, _ access: Access, _ type: Type) {
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
        let width: Width = i.access.bytes == 1 ? .byte : i.access.bytes == 2 ? .word : i.access.bytes == 4 ? .long : .quad
        if let softBuffer, !isProven(i) { return lowerSoftStore(i, width, softBuffer) }
        let memory = address(i)
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

    private func lowerSoftStore(_ i: Instruction, _ width: Width, _ buffer: SoftBuffer) {
        if looksAtRanges { return lowerRangeStore(i, width, buffer) }
        let address = softAddress(i)
        store(i, width) {
            lookUp(SoftAccess(address: address, temporary: allocate(), byteCount: Int32(i.access.bytes), isWrite: true), buffer)
        }
    }

    /// Stores the value of a store where `look` finds the place, after everything that the value needs.
    func store(_ i: Instruction, _ width: Width, at look: () -> Memory) {
        if i.type.isFloat {
            let value = useVector(i.c)
            asm.movs(i.access.bytes == 4 ? .single : .double, look(), value)
        } else if let number = immediate(i.c) {
            asm.mov(width, look(), imm: number)
        } else if let number = constant(i.c), width != .quad {
            asm.mov(width, look(), imm: Int32(truncatingIfNeeded: number))
        } else {
            let value = use(i.c)
            asm.mov(width, look(), value)
        }
    }

    // MARK: Atomics

    /// The place of an atomic access. Operands are in registers already; `temporary` is free until then.
    private func atomicMemory(_ i: Instruction, _ address: Register?, _ temporary: Register) -> Memory {
        guard let softBuffer, let address else { return self.address(i, hasIndex: false) }
        let access = SoftAccess(address: address, temporary: temporary, byteCount: Int32(i.access.bytes), isWrite: true)
        return lookUp(access, softBuffer, isAtomic: true)
    }

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
            let soft = softBuffer == nil ? nil : softAddress(i, hasIndex: false)
            let memory = soft == nil ? address(i, hasIndex: false) : nil, operand = use(i.c), result = allocate()
            let place = memory ?? atomicMemory(i, soft, result)
            asm.mov(.quad, result, operand)
            if i.atomicKind == .add { asm.lockXadd(width(i.access), place, result) } else { asm.xchg(width(i.access), place, result) }
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
        let soft = softBuffer == nil ? nil : softAddress(i, hasIndex: false)
        let direct = soft == nil ? address(i, hasIndex: false) : nil, operand = use(i.c), new = allocate()
        let memory = direct ?? atomicMemory(i, soft, .rax)
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
        let soft = softBuffer == nil ? nil : softAddress(i, hasIndex: false)
        let direct = soft == nil ? address(i, hasIndex: false) : nil, new = use(i.c), expected = use(i.b)
        let memory = direct ?? atomicMemory(i, soft, .rax)
        asm.mov(.quad, .rax, expected)
        asm.lockCmpxchg(width(i.access), memory, new)
        extend(.rax, i)
        finish(index, in: .rax)
    }
}

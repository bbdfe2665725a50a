// Registers around the vectors of a loop: addresses and counters, sums of lanes, and lanes that registers get in the end.

import IR
import X86

extension VectorEmitter {
    /// Nothing else uses them in such a loop.
    static let scratch: [Register] = [.rax, .rdx, .rcx, .rdi]

    /// The value in a register: the home that it is in, not to be changed, or one from the pool.
    func scalar(_ value: Value, _ pool: inout [Register]) -> Register {
        if let slot = settled[value.index] { return register(ofSlot: slot, &pool) }
        let i = self[value]
        switch i.opcode {
        case .read: return register(ofSlot: i.slot, &pool)
        case .constant:
            let result = pool.removeLast()
            translator.asm.movImmediate(result, UInt64(bitPattern: i.immediate))
            return result
        case .truncate: return scalar(i.a, &pool)
        case .signExtend, .zeroExtend: return extended(i, &pool)
        case .add: return sum(i, &pool)
        case .subtract: return combined(.sub, i, &pool)
        case .and: return combined(.and, i, &pool)
        case .or: return combined(.or, i, &pool)
        case .xor: return combined(.xor, i, &pool)
        case .shiftLeft, .shiftRightLogical, .shiftRightArithmetic: return shifted(i, &pool)
        case .sumLanes: return sumOfLanes(Int(value.index), i, &pool)
        default: preconditionFailure("\(i.opcode) is not computed beside vectors")
        }
    }

    private func width(_ i: Instruction) -> Width { i.type == .i32 ? .long : .quad }

    private func register(ofSlot slot: Int, _ pool: inout [Register]) -> Register {
        let home = translator.homes[slot]
        if home != RegisterMap.none { return Register(rawValue: home).unsafelyUnwrapped }
        let result = pool.removeLast()
        translator.asm.mov(.quad, result, translator.map.memory(ofSlot: slot))
        return result
    }

    private func isScratch(_ register: Register) -> Bool { VectorEmitter.scratch.contains(register) }

    /// A register that may be changed, from one that perhaps may not.
    private func own(_ register: Register, _ pool: inout [Register]) -> Register {
        if isScratch(register) { return register }
        let result = pool.removeLast()
        translator.asm.mov(.quad, result, register)
        return result
    }

    private func target(_ register: Register, _ pool: inout [Register]) -> Register { isScratch(register) ? register : pool.removeLast() }

    private func extended(_ i: Instruction, _ pool: inout [Register]) -> Register {
        let source = scalar(i.a, &pool), result = target(source, &pool)
        switch (i.opcode, i.detail) {
        case (.signExtend, 32): translator.asm.movsxd(result, source)
        case (.signExtend, let bits): translator.asm.movsx(width(i), result, from: bits == 8 ? .byte : .word, source)
        case (_, 32): translator.asm.mov(.long, result, source)
        case (_, let bits): translator.asm.movzx(.long, result, from: bits == 8 ? .byte : .word, source)
        }
        return result
    }

    private func sum(_ i: Instruction, _ pool: inout [Register]) -> Register {
        let a = scalar(i.a, &pool)
        if let number = constant(i.b), let short = Int32(exactly: number) {
            let result = target(a, &pool)
            translator.asm.lea(width(i), result, .base(a, short))
            return result
        }
        let b = scalar(i.b, &pool)
        let result = isScratch(a) ? a : target(b, &pool)
        translator.asm.lea(width(i), result, .base(a, index: b))
        if isScratch(a), isScratch(b), result != b { pool.append(b) }
        return result
    }

    private func combined(_ operation: ALUOperation, _ i: Instruction, _ pool: inout [Register]) -> Register {
        let result = own(scalar(i.a, &pool), &pool)
        if let number = constant(i.b), let short = Int32(exactly: number) {
            translator.asm.alu(operation, width(i), result, imm: short)
            return result
        }
        let b = scalar(i.b, &pool)
        translator.asm.alu(operation, width(i), result, b)
        if isScratch(b) { pool.append(b) }
        return result
    }

    private func shifted(_ i: Instruction, _ pool: inout [Register]) -> Register {
        let result = own(scalar(i.a, &pool), &pool)
        let amount = UInt8(truncatingIfNeeded: constant(i.b).unsafelyUnwrapped & (i.type == .i32 ? 31 : 63))
        switch i.opcode {
        case .shiftLeft: translator.asm.shl(width(i), result, imm: amount)
        case .shiftRightLogical: translator.asm.shr(width(i), result, imm: amount)
        default: translator.asm.sar(width(i), result, imm: amount)
        }
        return result
    }

    private func sumOfLanes(_ index: Int, _ i: Instruction, _ pool: inout [Register]) -> Register {
        let type = self[i.a].type, source = vector(i.a), isQuad = type.laneByteCount == 8
        let sum = plan.temporaries[index].unsafelyUnwrapped[0], other = plan.temporaries[index].unsafelyUnwrapped[1]
        let add: VectorOperation = isQuad ? .paddq : .paddd
        var from = source
        if type.byteCount == 32 {
            translator.asm.vextractf128(sum, source, 1)
            translator.asm.vector(add, .x128, sum, sum, source)
            from = sum
        }
        translator.asm.vpshufd(.x128, other, from, imm: 0b11_10_11_10)
        translator.asm.vector(add, .x128, sum, from, other)
        if !isQuad {
            translator.asm.vpshufd(.x128, other, sum, imm: 0b01_01_01_01)
            translator.asm.vector(add, .x128, sum, sum, other)
        }
        let result = pool.removeLast()
        translator.asm.vmovd(isQuad ? .quad : .long, result, sum)
        return result
    }

    // MARK: Writes

    /// The registers that are computed each time.
    mutating func emitWrites() {
        settled = [:]
        for index in plan.writes {
            let i = instruction(index), home = translator.homes[i.slot]
            emitWrite(i, home)
            // What is in memory would have to be loaded again.
            if home != RegisterMap.none { settled[i.a.index] = i.slot }
        }
    }

    private func emitWrite(_ i: Instruction, _ home: UInt8) {
        let value = self[i.a]
        var pool = VectorEmitter.scratch
        if settled[i.a.index] == nil, value.opcode == .add, value.type == .i64, self[value.a].opcode == .read, self[value.a].slot == i.slot,
            let number = constant(value.b), let short = Int32(exactly: number)
        {
            if home != RegisterMap.none {
                translator.asm.add(.quad, Register(rawValue: home).unsafelyUnwrapped, imm: short)
            } else {
                translator.asm.add(.quad, translator.map.memory(ofSlot: i.slot), imm: short)
            }
            return
        }
        if settled[i.a.index] == nil, home != RegisterMap.none, value.opcode == .add, value.type == .i64, self[value.a].opcode == .read,
            let number = constant(value.b), let short = Int32(exactly: number)
        {
            let source = scalar(value.a, &pool)
            return translator.asm.lea(.quad, Register(rawValue: home).unsafelyUnwrapped, .base(source, short))
        }
        let register = scalar(i.a, &pool)
        if home != RegisterMap.none {
            translator.asm.mov(.quad, Register(rawValue: home).unsafelyUnwrapped, register)
        } else {
            translator.asm.mov(.quad, translator.map.memory(ofSlot: i.slot), register)
        }
    }

    /// Keeps the vector of which a register gets a lane.
    func carry(_ write: VectorLoopPlan.LaneWrite) {
        translator.asm.vmovups(width(instruction(write.vector).type), write.carry, plan.register[write.vector].unsafelyUnwrapped)
    }

    /// Extracts what registers get from the vectors that are kept.
    func emitLanes() {
        var upper: [LaneWrite] = [], raised: Set<UInt8> = []
        for write in plan.laneWrites {
            if isInUpperHalf(write) { upper.append(write) } else { extract(write) }
        }
        for write in upper {
            if raised.insert(write.carry.rawValue).inserted { translator.asm.vextractf128(write.carry, write.carry, 1) }
            extract(write)
        }
        translator.asm.vzeroupper()
        for write in plan.laneWrites { finish(write) }
    }

    private typealias LaneWrite = VectorLoopPlan.LaneWrite

    private func isInUpperHalf(_ write: LaneWrite) -> Bool { write.lane * instruction(write.vector).type.laneByteCount >= 16 }

    /// From the half that the lane is in.
    private func extract(_ write: LaneWrite) {
        let type = instruction(write.vector).type, i = instruction(write.index), carry = write.carry
        let bytes = type.laneByteCount
        if type.isFloatVector {
            // The loop leaves the last lane of floats.
            translator.asm.vpshufd(.x128, carry, carry, imm: bytes == 8 ? 0b11_10_11_10 : 0b11_11_11_11)
            return
        }
        translator.asm.vpextr(elementBytes: bytes, .rdi, carry, UInt8(write.lane % (16 / bytes)))
        compute(i.a, laneBytes: bytes)
        let home = translator.homes[i.slot]
        if home != RegisterMap.none {
            translator.asm.mov(.quad, Register(rawValue: home).unsafelyUnwrapped, .rdi)
        } else {
            translator.asm.mov(.quad, translator.map.memory(ofSlot: i.slot), .rdi)
        }
    }

    /// What a register gets, in rdi, from the lane in rdi.
    private func compute(_ value: Value, laneBytes: Int) {
        let i = self[value]
        if i.opcode == .lane { return }
        compute(i.a, laneBytes: laneBytes)
        switch (i.opcode, i.detail) {
        case (.signExtend, 32): translator.asm.movsxd(.rdi, .rdi)
        case (.signExtend, let bits): translator.asm.movsx(.quad, .rdi, from: bits == 8 ? .byte : .word, .rdi)
        case (.zeroExtend, let bits) where Int(bits) == laneBytes * 8 && self[i.a].opcode == .lane: break
        case (.zeroExtend, 32): translator.asm.mov(.long, .rdi, .rdi)
        case (.zeroExtend, let bits): translator.asm.movzx(.long, .rdi, from: bits == 8 ? .byte : .word, .rdi)
        case (.add, _): translator.asm.add(width(i), .rdi, imm: number(i.b))
        case (.and, _): translator.asm.alu(.and, width(i), .rdi, imm: number(i.b))
        case (.or, _): translator.asm.alu(.or, width(i), .rdi, imm: number(i.b))
        case (.xor, _): translator.asm.alu(.xor, width(i), .rdi, imm: number(i.b))
        default: break
        }
    }

    private func number(_ value: Value) -> Int32 { Int32(truncatingIfNeeded: self[value].immediate) }

    /// Makes floats what the guest sees.
    private func finish(_ write: VectorLoopPlan.LaneWrite) {
        let i = instruction(write.index)
        guard i.type.isFloat else { return }
        var value = self[i.a]
        let isBoxed = value.opcode == .box
        if isBoxed { value = self[value.a] }
        var pending = PendingFloats()
        let bit: UInt16 = 1 << UInt16(write.carry.rawValue)
        if isBoxed { pending.boxes = bit }
        if value.opcode == .canonicalNaN { pending.canonicalNaNs = bit }
        translator.settle(pending)
        if translator.homes[i.slot] == RegisterMap.none { translator.asm.movs(.double, translator.map.memory(ofSlot: i.slot), write.carry) }
    }
}

// What side exits do in their cold code: deferred writes, all at once. A home or slot that one of them takes may be an origin of
// another, or of itself.

import IR
import X86

extension Translator {
    /// Does deferred writes on the way out of the superblock. Changes homes, the flags and scratch registers.
    func emitDeferredWrites(_ range: Range<Int>) {
        var waiting = Array(deferredWrites[range])
        while !waiting.isEmpty {
            let ready = waiting.indices.first { index in
                let place = destination(waiting[index])
                return !waiting.indices.contains { $0 != index && waiting[$0].reads(place) }
            }
            if let ready {
                emit(waiting[ready], waiting)
                waiting.remove(at: ready)
            } else {
                moveAway(destination(waiting[0]), &waiting)
            }
        }
    }

    private func destination(_ write: DeferredWrite) -> DeferredWrite.Place {
        let home = homes[Int(write.slot)]
        return home == RegisterMap.none ? .memory(write.offset) : .register(home)
    }

    /// Several writes are made from what another one of them overwrites: the content of `place` goes to a spill slot.
    private func moveAway(_ place: DeferredWrite.Place, _ waiting: inout [DeferredWrite]) {
        let words = (0 ..< Int32(64)).map { DeferredWrite.Place.memory(RegisterMap.spillOffset + $0 * 8) }
        guard let word = words.first(where: { word in !waiting.contains { $0.reads(word) } }) else {
            preconditionFailure("there are more origins than spill slots")
        }
        withScratch(besides: waiting, waiting[0]) { scratch in
            let register = load(place, scratch)
            asm.mov(.quad, memory(word), register)
        }
        for index in waiting.indices {
            if waiting[index].first == place { waiting[index].first = word }
            if waiting[index].second == place { waiting[index].second = word }
        }
    }

    private func memory(_ place: DeferredWrite.Place) -> Memory {
        guard case .memory(let offset) = place else { preconditionFailure("\(place) is not in memory") }
        return RegisterMap.state(offset)
    }

    /// The content of a place in a register: its own, or this one.
    private func load(_ place: DeferredWrite.Place, _ register: Register) -> Register {
        switch place {
        case .none: preconditionFailure("there is no such origin")
        case .constant(let number): asm.movImmediate(register, UInt64(bitPattern: number))
        case .guestAddress(let address): loadGuestAddress(register, UInt64(bitPattern: address))
        case .register(let number): return Register(rawValue: number).unsafelyUnwrapped
        case .memory(let offset): asm.mov(.quad, register, RegisterMap.state(offset))
        }
        return register
    }

    /// A scratch register that `write` is not made from, with its content put back if another one is.
    private func withScratch(
        besides waiting: [DeferredWrite], _ write: DeferredWrite, not other: Register? = nil, _ body: (Register) -> Void
    ) {
        func reads(_ write: DeferredWrite, _ register: Register) -> Bool { write.reads(.register(register.rawValue)) }
        let candidates = RegisterMap.scratchRegisters.filter { $0 != other && !reads(write, $0) }
        if let free = candidates.first(where: { register in !waiting.contains { reads($0, register) } }) { return body(free) }
        let register = candidates[0]
        asm.mov(.quad, RegisterMap.saved(register), register)
        body(register)
        asm.mov(.quad, register, RegisterMap.saved(register))
    }

    private func emit(_ write: DeferredWrite, _ waiting: [DeferredWrite]) {
        switch destination(write) {
        case .register(let home) where write.second != .register(home):
            compute(write, in: Register(rawValue: home).unsafelyUnwrapped, waiting)
        case let place:
            if write.stepCount == 0, case .memory(let offset) = place {
                if case .constant(let number) = write.first, let short = Int32(exactly: number) {
                    return asm.mov(.quad, RegisterMap.state(offset), imm: short)
                }
                if case .register(let number) = write.first {
                    return asm.mov(.quad, RegisterMap.state(offset), Register(rawValue: number).unsafelyUnwrapped)
                }
            }
            withScratch(besides: waiting, write) { result in
                compute(write, in: result, waiting)
                if case .register(let home) = place {
                    asm.mov(.quad, Register(rawValue: home).unsafelyUnwrapped, result)
                } else {
                    asm.mov(.quad, memory(place), result)
                }
            }
        }
    }

    /// The value in `result`, which is not the second origin.
    private func compute(_ write: DeferredWrite, in result: Register, _ waiting: [DeferredWrite]) {
        let first = load(write.first, result)
        if first != result { asm.mov(.quad, result, first) }
        if write.second == .none { return compute(write, result, result) }
        if case .register(let number) = write.second, !write.changesSecond {
            return compute(write, result, Register(rawValue: number).unsafelyUnwrapped)
        }
        withScratch(besides: waiting, write, not: result) { scratch in
            let second = load(write.second, scratch)
            if second != scratch { asm.mov(.quad, scratch, second) }
            compute(write, result, scratch)
        }
    }

    private func compute(_ write: DeferredWrite, _ first: Register, _ second: Register) {
        for index in 0 ..< write.stepCount {
            let step = write.step(index)
            switch step.operands {
            case .first: compute(step, first)
            case .second: compute(step, second)
            case .both: asm.alu(operation(step.opcode), step.type.width, first, second)
            }
        }
    }

    private func compute(_ step: DeferredWrite.Step, _ register: Register) {
        let width = step.type.width, amount = UInt8(truncatingIfNeeded: step.constant) & UInt8(width.bitCount - 1)
        switch step.opcode {
        case .truncate: break
        case .zeroExtend, .signExtend:
            emitExtension(signed: step.opcode == .signExtend, from: step.detail, step.type, register, register)
        case .shiftLeft: asm.shl(width, register, imm: amount)
        case .shiftRightLogical: asm.shr(width, register, imm: amount)
        case .shiftRightArithmetic: asm.sar(width, register, imm: amount)
        default: asm.alu(operation(step.opcode), width, register, imm: step.constant)
        }
    }

    private func operation(_ opcode: Opcode) -> ALUOperation {
        switch opcode {
        case .add: .add
        case .subtract: .sub
        case .and: .and
        case .or: .or
        case .xor: .xor
        default: preconditionFailure("\(opcode) is not done later")
        }
    }
}

extension DeferredWrite {
    fileprivate func reads(_ place: Place) -> Bool { first == place || second == place }

    fileprivate var changesSecond: Bool { (0 ..< stepCount).contains { step($0).operands == .second } }
}

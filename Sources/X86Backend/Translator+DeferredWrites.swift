// Writes of integer registers that are left to those who look; see `DeferredWrite`.
//
// Backwards over the superblock, `deferWrite` chooses the writes, and the computations that only they need: those are left out
// as well (sunk). Going forwards, a deferred write keeps what it is made from alive until the register is written again, and
// its slot or home then holds nothing that anybody needs.

import IR
import X86

extension Translator {
    /// In `detail2` of a `write`: it is deferred.
    static let isDeferredWrite: UInt8 = 4

    /// Values for which keeping the origin alive costs less than the store; how far apart, in instructions.
    private static let shortRange: Int32 = 8

    // MARK: Choosing

    /// Whether a side exit may be as likely as not: writes are not deferred across it, as catching up would cost more than it saves.
    /// Those of a region are unlikely, or inside of it.
    func isLikelyTaken(_ exit: Instruction) -> Bool { !isRegion || inside(UInt64(bitPattern: exit.immediate)) != nil }

    /// Decides whether the write at `index` is deferred, which the write at `next` follows without anybody else who needs the state.
    func deferWrite(_ index: Int, until next: Int32) {
        let write = function.instructions[index], source = Int(write.a.index)
        guard write.slot < 64, function.instructions[source].type == .i64 else { return }
        if isImmediate(source) {
            function.instructions[index].detail2 = Translator.isDeferredWrite
            return
        }
        let hasHome = homes[write.slot] != RegisterMap.none
        let observer = values[Int(next)].observer
        if values[source].useCount == 1, sink(source, hasHome, observer, next) {
            function.instructions[index].detail2 = Translator.isDeferredWrite
            return
        }
        // Computed anyway: a home takes the result for nothing.
        guard !hasHome, values[source].useCount > 1 else { return }
        let lastUse = max(values[source].lastUse, Int32(index))
        guard lastUse >= observer || observer - lastUse <= Translator.shortRange else { return }
        values[source].lastUse = max(lastUse, next)
        function.instructions[index].detail2 = Translator.isDeferredWrite
    }

    /// Leaves out the computation of a value that only a deferred write needs, when its origin is to be had cheaply.
    private func sink(_ value: Int, _ hasHome: Bool, _ observer: Int32, _ next: Int32) -> Bool {
        var origin = value, count = 0
        while count < DeferredWrite.longest, values[origin].useCount == 1, step(origin) != nil {
            origin = Int(function.instructions[origin].a.index)
            count += 1
        }
        guard count > 0, !function.instructions[origin].type.isFloat, !values[origin].isDeferred else { return false }
        guard values[origin].lastUse >= observer || count > 1 || !hasHome else { return false }
        var node = value
        for _ in 0 ..< count {
            values[node].isSunk = true
            node = Int(function.instructions[node].a.index)
        }
        values[origin].lastUse = max(values[origin].lastUse, next)
        return true
    }

    /// The operation of a value on its first operand; nil when it cannot be done later.
    private func step(_ index: Int) -> DeferredWrite.Step? {
        let i = function.instructions[index]
        switch i.opcode {
        case .truncate, .zeroExtend, .signExtend: return DeferredWrite.Step(opcode: i.opcode, type: i.type, detail: i.detail)
        case .add, .subtract, .and, .or, .xor, .shiftLeft, .shiftRightLogical, .shiftRightArithmetic:
            guard let operand = immediate(i.b) else { return nil }
            return DeferredWrite.Step(opcode: i.opcode, type: i.type, operand: operand)
        default: return nil
        }
    }

    // MARK: Following

    /// The write takes effect as a deferred one.
    /// - Returns: false when its slot holds something that is needed: then it has to be written at once.
    func suspend(_ slot: Int, _ value: Int) -> Bool {
        let holder = Int(slotHolder[slot])
        if holder >= 0, values[holder].slot == Int16(slot) {
            let isElsewhere = values[holder].register != ValueState.nowhere || values[holder].spill >= 0
            guard isElsewhere || values[holder].lastUse <= Int32(current) || isImmediate(holder) else { return false }
            values[holder].slot = -1
        }
        slotHolder[slot] = -1
        storedSlots &= ~(1 << UInt64(slot))
        deferredSlots |= 1 << UInt64(slot)
        deferredValue[slot] = Int32(value)
        record(.suspend(slot: slot, value: value))
        return true
    }

    /// The slot is about to be written with `value`: nobody can see what was deferred any more.
    @inline(__always)
    func resume(_ slot: Int, keeping value: Int) {
        guard slot < 64, deferredSlots & (1 << UInt64(slot)) != 0 else { return }
        deferredSlots &= ~(1 << UInt64(slot))
        let origin = origin(of: Int(deferredValue[slot]))
        if values[origin].lastUse <= Int32(current), origin != value { free(origin) }
    }

    /// What a deferred value is made from: itself, when it was computed.
    private func origin(of value: Int) -> Int {
        var node = value
        while values[node].isSunk { node = Int(function.instructions[node].a.index) }
        return node
    }

    /// Computes a sunk value after all.
    func materialise(_ value: Int) {
        guard values[value].isSunk else { return }
        let source = Int(function.instructions[value].a.index), wasSunk = values[source].isSunk
        materialise(source)
        values[value].isSunk = false
        values[value].lastUse = Int32(current)
        lower(function.instructions[value], value)
        locked = 0
        if wasSunk { free(source) }
    }

    // MARK: Those who look

    /// What is deferred now: indices into `deferredWrites`.
    func noteDeferred() -> Range<Int> {
        guard deferredSlots | storedSlots != 0 else { return 0 ..< 0 }
        let first = deferredWrites.count
        var rest = deferredSlots
        while rest != 0 {
            let slot = rest.trailingZeroBitCount
            rest &= rest &- 1
            deferredWrites.append(deferredWrite(slot, Int(deferredValue[slot])))
        }
        rest = storedSlots
        while rest != 0 {
            let slot = rest.trailingZeroBitCount
            rest &= rest &- 1
            record(.recall(slot: slot))
            let offset = map.slots[slot].offset
            deferredWrites.append(DeferredWrite(slot: Int16(slot), offset: offset, origin: .memory(offset)))
        }
        let count = deferredWrites.count - first
        // Mostly the same as at the last place.
        if lastDeferred.count == count, zip(deferredWrites[lastDeferred], deferredWrites[first...]).allSatisfy(==) {
            deferredWrites.removeLast(count)
        } else {
            lastDeferred = first ..< first + count
        }
        return lastDeferred
    }

    private func deferredWrite(_ slot: Int, _ value: Int) -> DeferredWrite {
        let origin = origin(of: value), state = values[origin]
        let place: DeferredWrite.Place
        if let number = constant(Value(origin)) {
            place = .constant(number)
        } else if let address = guestAddress(Value(origin)) {
            place = .guestAddress(address)
        } else if state.register != ValueState.nowhere {
            place = .register(state.register)
            record(.promise(slot: slot, value: value, origin: origin, .register(state.register)))
        } else if let home = homeRegister(origin) {
            place = .register(home)
            record(.promise(slot: slot, value: value, origin: origin, .slot(Int(state.slot))))
        } else if let (_, checked) = memoryPlace(origin) {
            place = .memory(state.slot >= 0 ? map.slots[Int(state.slot)].offset : RegisterMap.spillOffset + Int32(state.spill) * 8)
            record(.promise(slot: slot, value: value, origin: origin, checked))
        } else {
            preconditionFailure("the origin %\(origin) of a deferred write is nowhere")
        }
        if isImmediate(origin) { record(.promise(slot: slot, value: value, origin: origin, nil)) }
        var result = DeferredWrite(slot: Int16(slot), offset: map.slots[slot].offset, origin: place)
        appendSteps(to: &result, value)
        return result
    }

    private func appendSteps(to write: inout DeferredWrite, _ value: Int) {
        guard values[value].isSunk, let step = step(value) else { return }
        appendSteps(to: &write, Int(function.instructions[value].a.index))
        write.append(step)
    }

    /// Notes what is deferred for faults in the code from `start` on.
    func noteDeferringCode(from start: Int) {
        let writes = noteDeferred()
        if let last = deferringCode.last, last.writes == writes, Int(last.code.upperBound) == start {
            deferringCode[deferringCode.count - 1].code = last.code.lowerBound ..< UInt32(truncatingIfNeeded: asm.offset)
        } else {
            deferringCode.append(
                DeferringCode(code: UInt32(truncatingIfNeeded: start) ..< UInt32(truncatingIfNeeded: asm.offset), writes: writes))
        }
    }

    // MARK: Catching up

    /// Does deferred writes. Changes the flags and no register but homes.
    func emitDeferredWrites(_ range: Range<Int>) {
        let moved = moveOrigins(range)
        for index in range {
            var write = deferredWrites[index]
            let home = homes[Int(write.slot)]
            if case .register(let number) = write.origin, moved & (1 << UInt32(number)) != 0 {
                write.origin = .memory(RegisterMap.savedOffset(Register(rawValue: number).unsafelyUnwrapped))
            }
            if home != RegisterMap.none {
                compute(write, in: Register(rawValue: home).unsafelyUnwrapped)
            } else {
                store(write, map.memory(ofSlot: Int(write.slot)))
            }
        }
    }

    /// Homes that were lent may hold what others are made from: copies it into memory.
    /// - Returns: these registers, a bit each.
    private func moveOrigins(_ range: Range<Int>) -> UInt32 {
        var written: UInt32 = 0, origins: UInt32 = 0
        for write in deferredWrites[range] {
            let home = homes[Int(write.slot)]
            if home != RegisterMap.none { written |= 1 << UInt32(home) }
            if case .register(let number) = write.origin { origins |= 1 << UInt32(number) }
        }
        let moved = written & origins
        var rest = moved
        while rest != 0 {
            let register = Register(rawValue: UInt8(rest.trailingZeroBitCount)).unsafelyUnwrapped
            rest &= rest &- 1
            asm.mov(.quad, RegisterMap.saved(register), register)
        }
        return moved
    }

    private func store(_ write: DeferredWrite, _ memory: Memory) {
        if write.stepCount == 0 {
            if case .constant(let number) = write.origin, let short = Int32(exactly: number) {
                return asm.mov(.quad, memory, imm: short)
            }
            if case .register(let number) = write.origin {
                return asm.mov(.quad, memory, Register(rawValue: number).unsafelyUnwrapped)
            }
        }
        // Every scratch register may be the origin of another one.
        let register: Register = write.origin == .register(Register.rdi.rawValue) ? .rcx : .rdi
        asm.mov(.quad, RegisterMap.saved(register), register)
        compute(write, in: register)
        asm.mov(.quad, memory, register)
        asm.mov(.quad, register, RegisterMap.saved(register))
    }

    private func compute(_ write: DeferredWrite, in register: Register) {
        switch write.origin {
        case .constant(let number): asm.movImmediate(register, UInt64(bitPattern: number))
        case .guestAddress(let address): loadGuestAddress(register, UInt64(bitPattern: address))
        case .register(let number):
            if number != register.rawValue { asm.mov(.quad, register, Register(rawValue: number).unsafelyUnwrapped) }
        case .memory(let offset): asm.mov(.quad, register, RegisterMap.state(offset))
        }
        for index in 0 ..< write.stepCount { compute(write.step(index), register) }
    }

    private func compute(_ step: DeferredWrite.Step, _ register: Register) {
        let width = step.type.width, amount = UInt8(truncatingIfNeeded: step.operand) & UInt8(width.bitCount - 1)
        switch step.opcode {
        case .truncate: break
        case .zeroExtend, .signExtend: extend(register, step)
        case .add: asm.alu(.add, width, register, imm: step.operand)
        case .subtract: asm.alu(.sub, width, register, imm: step.operand)
        case .and: asm.alu(.and, width, register, imm: step.operand)
        case .or: asm.alu(.or, width, register, imm: step.operand)
        case .xor: asm.alu(.xor, width, register, imm: step.operand)
        case .shiftLeft: asm.shl(width, register, imm: amount)
        case .shiftRightLogical: asm.shr(width, register, imm: amount)
        default: asm.sar(width, register, imm: amount)
        }
    }

    private func extend(_ register: Register, _ step: DeferredWrite.Step) {
        emitExtension(signed: step.opcode == .signExtend, from: step.detail, step.type, register, register)
    }
}

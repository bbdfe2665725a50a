// Getting values into registers, and registers for values.

import IR
import X86

extension Translator {
    @inline(__always) func lock(_ register: Register) { locked |= 1 << UInt32(register.rawValue) }
    @inline(__always) func lock(_ vector: XMM) { lockedVectors |= 1 << UInt32(vector.rawValue) }
    @inline(__always) func isLocked(_ register: Register) -> Bool { locked & (1 << UInt32(register.rawValue)) != 0 }

    // MARK: Homes

    /// The home register that holds the value now.
    @inline(__always)
    func homeRegister(_ index: Int) -> UInt8? {
        let slot = values[index].slot
        if slot < 0 { return nil }
        let home = homes[Int(slot)]
        return home == RegisterMap.none ? nil : home
    }

    // MARK: General registers

    /// The value in a register; loads it when it is in memory. The register stays locked for this instruction and is read-only.
    func use(_ value: Value) -> Register {
        let index = Int(value.index)
        if values[index].register != ValueState.nowhere {
            let register = Register(rawValue: values[index].register).unsafelyUnwrapped
            lock(register)
            record(.use(value: index, .register(register.rawValue), user: current))
            return register
        }
        if let home = homeRegister(index) {
            record(.use(value: index, .slot(Int(values[index].slot)), user: current))
            let register = Register(rawValue: home).unsafelyUnwrapped
            lock(register)
            return register
        }
        let register = allocate()
        load(index, into: register)
        own(index, register)
        record(.use(value: index, .register(register.rawValue), user: current))
        return register
    }

    /// Loads a value that is in no register (memory or constant).
    private func load(_ index: Int, into register: Register) {
        let instruction = function.instructions[index]
        if instruction.opcode == .constant {
            asm.movImmediate(register, UInt64(bitPattern: instruction.immediate) & instruction.type.mask)
            record(.define(value: index, .register(register.rawValue)))
            return
        }
        if instruction.opcode == .guestAddress {
            loadGuestAddress(register, UInt64(bitPattern: instruction.immediate))
            record(.define(value: index, .register(register.rawValue)))
            return
        }
        guard let (memory, place) = memoryPlace(index) else { preconditionFailure("value %\(index) is nowhere") }
        asm.mov(instruction.type == .i32 ? .long : .quad, register, memory)
        record(.move(from: place, to: .register(register.rawValue)))
    }

    /// Where in memory a value is.
    func memoryPlace(_ index: Int) -> (Memory, AllocationEvent.Place)? {
        let state = values[index]
        if state.slot >= 0, homes[Int(state.slot)] == RegisterMap.none {
            return (map.memory(ofSlot: Int(state.slot)), .slot(Int(state.slot)))
        }
        if state.spill >= 0 { return (RegisterMap.spill(Int(state.spill)), .spill(Int(state.spill))) }
        return nil
    }

    func own(_ index: Int, _ register: Register) {
        values[index].register = register.rawValue
        registerOwner[Int(register.rawValue)] = Int32(index)
        lock(register)
    }

    /// An operand as the right-hand side of an instruction.
    enum Operand {
        case register(Register)
        case memory(Memory)
        case immediate(Int32)
    }

    /// The cheapest form of an operand: immediate, register, or memory when this is its last use there.
    func operand(_ value: Value) -> Operand {
        if let number = immediate(value) { return .immediate(number) }
        let index = Int(value.index)
        if values[index].register == ValueState.nowhere, homeRegister(index) == nil, values[index].lastUse <= Int32(current),
            let (memory, place) = memoryPlace(index)
        {
            record(.use(value: index, place, user: current))
            return .memory(memory)
        }
        return .register(use(value))
    }

    /// A free scratch register; spills the value that is used latest when there is none. Locked.
    func allocate() -> Register {
        guard let register = freeRegister() ?? takeRegister() else {
            preconditionFailure("an instruction needs more registers than there are")
        }
        lock(register)
        record(.clobber(.register(register.rawValue)))
        return register
    }

    private func freeRegister(except taken: Register? = nil) -> Register? {
        for register in RegisterMap.scratchRegisters where register != taken && !isLocked(register) {
            let owner = Int(registerOwner[Int(register.rawValue)])
            if owner >= 0 {
                // What was kept for those who look, who have.
                guard values[owner].lastUse < Int32(current) else { continue }
                free(owner)
            }
            return register
        }
        var lent = lentRegisters & ~locked
        while lent != 0 {
            let register = Register(rawValue: UInt8(lent.trailingZeroBitCount)).unsafelyUnwrapped
            if registerOwner[Int(register.rawValue)] < 0, register != taken { return register }
            lent &= lent &- 1
        }
        return nil
    }

    /// A particular scratch register, emptied. Locked.
    func claim(_ register: Register) {
        precondition(!isLocked(register), "\(register) is in use")
        if registerOwner[Int(register.rawValue)] >= 0 { evict(register) }
        lock(register)
        record(.clobber(.register(register.rawValue)))
    }

    /// Empties a register: into another free one, or into memory.
    func evict(_ register: Register) {
        let index = Int(registerOwner[Int(register.rawValue)])
        registerOwner[Int(register.rawValue)] = -1
        values[index].register = ValueState.nowhere
        if values[index].lastUse < Int32(current) || isRecoverable(index) { return }
        if let other = freeRegister(except: register) {
            asm.mov(.quad, other, register)
            record(.move(from: .register(register.rawValue), to: .register(other.rawValue)))
            values[index].register = other.rawValue
            registerOwner[Int(other.rawValue)] = Int32(index)
            return
        }
        let spill = allocateSpill(index)
        asm.mov(.quad, RegisterMap.spill(spill), register)
        record(.move(from: .register(register.rawValue), to: .spill(spill)))
    }

    /// The value can be had again without its scratch register.
    func isRecoverable(_ index: Int) -> Bool {
        values[index].slot >= 0 || values[index].spill >= 0 || isImmediate(index)
    }

    func allocateSpill(_ index: Int) -> Int {
        let spill = freeSpills.trailingZeroBitCount
        if spill >= 64 {
            outOfSpills = true
            values[index].spill = 0
            return 0
        }
        freeSpills &= ~(1 << UInt64(spill))
        values[index].spill = Int16(spill)
        return spill
    }

    // MARK: Results

    /// The register for the result of instruction `index`: the home it is about to be written to, when that is safe, or scratch.
    /// Operands have been fetched before; the result may share the register of an operand that ends here.
    func define(_ index: Int, reusing operands: Value...) -> Register {
        if let slot = directTarget(index) {
            if somethingEnds(inHomeOf: slot) { noteBeforeResult() }
            takeOver(slot, index)
            let home = Register(rawValue: homes[slot]).unsafelyUnwrapped
            record(.define(value: index, .slot(slot)))
            return home
        }
        for operand in operands where !operand.isNone {
            let source = Int(operand.index)
            if values[source].register != ValueState.nowhere, values[source].lastUse <= Int32(current),
                !function.instructions[source].type.isFloat
            {
                noteBeforeResult()
                let register = Register(rawValue: values[source].register).unsafelyUnwrapped
                values[source].register = ValueState.nowhere
                own(index, register)
                record(.define(value: index, .register(register.rawValue)))
                return register
            }
        }
        let register = allocate()
        own(index, register)
        record(.define(value: index, .register(register.rawValue)))
        return register
    }

    /// The result takes the place of a value that is used, or looked at, for the last time now.
    private func somethingEnds(inHomeOf slot: Int) -> Bool {
        let holder = Int(slotHolder[slot])
        if holder >= 0, values[holder].lastUse <= Int32(current) { return true }
        guard lentRegisters & (1 << UInt32(homes[slot])) != 0 else { return false }
        let borrower = Int(registerOwner[Int(homes[slot])])
        return borrower >= 0 && values[borrower].lastUse <= Int32(current)
    }

    /// Makes a register that already holds the result the value's place.
    func define(_ index: Int, in register: Register) {
        let owner = registerOwner[Int(register.rawValue)]
        if owner >= 0 { values[Int(owner)].register = ValueState.nowhere }
        own(index, register)
        record(.define(value: index, .register(register.rawValue)))
    }

    /// The slot whose home the result may be computed into before its `write`: nothing between here and there observes the state
    /// or reads the slot's old value.
    func directTarget(_ index: Int) -> Int? {
        let write = Int(values[index].targetWrite)
        guard write > index, write - index <= 12 else { return nil }
        let instructions = function.instructions
        let slot = instructions[write].slot
        let holder = slotHolder[slot]
        if holder >= 0, Int(holder) != index, values[Int(holder)].slot == Int16(slot), values[Int(holder)].lastUse > Int32(index),
            values[Int(holder)].lastUse <= Int32(write), values[Int(holder)].register == ValueState.nowhere
        {
            return nil
        }
        // The write had better be deferred then.
        if instructions[write].detail2 & Translator.isDeferredWrite != 0, !map.slots[slot].type.isFloat,
            isNeeded(holderOf: slot, besides: index)
        {
            return nil
        }
        for between in index + 1 ..< write {
            let instruction = instructions[between]
            if instruction.opcode == .read || instruction.opcode == .write { if instruction.slot == slot { return nil } }
            if !instruction.opcode.effects.isDisjoint(with: [.faults, .exits]) { return nil }
        }
        return slot
    }

    /// The slot is about to get the content of value `index`: saves the value it had, if that is still needed.
    func takeOver(_ slot: Int, _ index: Int) {
        if lentRegisters != 0 { reclaim(slot, for: index) }
        keepHome(of: slot)
        let old = Int(slotHolder[slot])
        if old >= 0, old != index, values[old].slot == Int16(slot) {
            if values[old].lastUse > Int32(current), values[old].register == ValueState.nowhere, values[old].spill < 0,
                !isImmediate(old)
            {
                save(old, from: slot)
            }
            values[old].slot = -1
        }
        slotHolder[slot] = Int32(index)
        values[index].slot = Int16(slot)
    }

    /// Nobody borrows it for what is left of the instruction.
    func keepHome(of slot: Int) {
        if homes[slot] != RegisterMap.none, !map.slots[slot].type.isFloat { locked |= 1 << UInt32(homes[slot]) }
    }

    private var areRegistersLocked: Bool { RegisterMap.scratchRegisters.allSatisfy(isLocked) }
    private var areVectorsLocked: Bool { RegisterMap.scratchVectors.allSatisfy { lockedVectors & (1 << UInt32($0.rawValue)) != 0 } }

    /// Copies a value out of its slot into a scratch register, or a spill slot when none is to be had.
    private func save(_ index: Int, from slot: Int) {
        let home = homes[slot]
        let isFloat = function.instructions[index].type.isFloat
        if home != RegisterMap.none, isFloat ? areVectorsLocked : areRegistersLocked {
            // The instruction needs every scratch register itself.
            let spill = allocateSpill(index)
            copySlot(slot, toSpill: spill, isFloat: isFloat)
            record(.move(from: .slot(slot), to: .spill(spill)))
            return
        }
        copyOut(slot, index)
    }

    // MARK: Vector registers

    func useVector(_ value: Value) -> XMM {
        let index = Int(value.index)
        if values[index].register != ValueState.nowhere {
            let vector = XMM(rawValue: values[index].register).unsafelyUnwrapped
            lock(vector)
            record(.use(value: index, .vector(vector.rawValue), user: current))
            return vector
        }
        if let home = homeRegister(index) {
            record(.use(value: index, .slot(Int(values[index].slot)), user: current))
            let vector = XMM(rawValue: home).unsafelyUnwrapped
            lock(vector)
            return vector
        }
        let vector = allocateVector()
        loadVector(index, into: vector)
        own(index, vector)
        record(.use(value: index, .vector(vector.rawValue), user: current))
        return vector
    }

    private func loadVector(_ index: Int, into vector: XMM) {
        let instruction = function.instructions[index]
        if instruction.opcode == .constant {
            if instruction.immediate == 0, instruction.type == .f64 {
                asm.xorp(.single, vector, vector)
            } else {
                let register = allocate()
                let upper: UInt64 = instruction.type == .f32 ? 0xffff_ffff_0000_0000 : 0
                asm.movImmediate(register, UInt64(bitPattern: instruction.immediate) & instruction.type.mask | upper)
                asm.movd(.quad, vector, register)
                locked &= ~(1 << UInt32(register.rawValue))
            }
            record(.define(value: index, .vector(vector.rawValue)))
            return
        }
        guard let (memory, place) = memoryPlace(index) else { preconditionFailure("value %\(index) is nowhere") }
        asm.movs(.double, vector, memory)
        record(.move(from: place, to: .vector(vector.rawValue)))
    }

    enum VectorOperand {
        case register(XMM)
        case memory(Memory)
    }

    func vectorOperand(_ value: Value) -> VectorOperand {
        let index = Int(value.index)
        if values[index].register == ValueState.nowhere, homeRegister(index) == nil, values[index].lastUse <= Int32(current),
            let (memory, place) = memoryPlace(index)
        {
            record(.use(value: index, place, user: current))
            return .memory(memory)
        }
        return .register(useVector(value))
    }

    func own(_ index: Int, _ vector: XMM) {
        values[index].register = vector.rawValue
        vectorOwner[Int(vector.rawValue)] = Int32(index)
        lock(vector)
    }

    func allocateVector() -> XMM {
        var victim: XMM?
        var latest = Int32(-1)
        for vector in RegisterMap.scratchVectors where lockedVectors & (1 << UInt32(vector.rawValue)) == 0 {
            let owner = vectorOwner[Int(vector.rawValue)]
            if owner < 0 {
                lock(vector)
                forgetCipherState(in: vector)
                record(.clobber(.vector(vector.rawValue)))
                return vector
            }
            if values[Int(owner)].lastUse > latest {
                latest = values[Int(owner)].lastUse
                victim = vector
            }
        }
        guard let vector = victim else { preconditionFailure("an instruction needs more vector registers than there are") }
        evict(vector)
        lock(vector)
        forgetCipherState(in: vector)
        record(.clobber(.vector(vector.rawValue)))
        return vector
    }

    func evict(_ vector: XMM) {
        let index = Int(vectorOwner[Int(vector.rawValue)])
        vectorOwner[Int(vector.rawValue)] = -1
        values[index].register = ValueState.nowhere
        if values[index].lastUse < Int32(current) || isRecoverable(index) { return }
        let spill = allocateSpill(index)
        asm.movs(.double, RegisterMap.spill(spill), vector)
        record(.move(from: .vector(vector.rawValue), to: .spill(spill)))
    }

    func defineVector(_ index: Int, reusing operands: Value...) -> XMM {
        if let slot = directTarget(index) {
            takeOver(slot, index)
            record(.define(value: index, .slot(slot)))
            return XMM(rawValue: homes[slot]).unsafelyUnwrapped
        }
        for operand in operands where !operand.isNone {
            let source = Int(operand.index)
            if values[source].register != ValueState.nowhere, values[source].lastUse <= Int32(current),
                function.instructions[source].type.isFloat
            {
                let vector = XMM(rawValue: values[source].register).unsafelyUnwrapped
                values[source].register = ValueState.nowhere
                own(index, vector)
                record(.define(value: index, .vector(vector.rawValue)))
                return vector
            }
        }
        let vector = allocateVector()
        own(index, vector)
        record(.define(value: index, .vector(vector.rawValue)))
        return vector
    }

    // MARK: Calls out

    /// Before code that changes all scratch registers, and guest slots too when `slotsChange`: values that live on go to memory.
    func spillAll(slotsChange: Bool) {
        cipherState = nil
        for number in 0 ..< 16 {
            if registerOwner[number] >= 0 { park(Int(registerOwner[number]), slotsChange, Register(rawValue: UInt8(number))!) }
            if vectorOwner[number] >= 0 { park(Int(vectorOwner[number]), slotsChange, XMM(rawValue: UInt8(number))!) }
        }
        for register in RegisterMap.scratchRegisters { record(.clobber(.register(register.rawValue))) }
        for vector in RegisterMap.scratchVectors { record(.clobber(.vector(vector.rawValue))) }
        guard slotsChange else { return }
        for slot in slotHolder.indices {
            let holder = Int(slotHolder[slot])
            slotHolder[slot] = -1
            guard holder >= 0, values[holder].slot == Int16(slot) else { continue }
            let instruction = function.instructions[holder]
            if values[holder].lastUse > Int32(current), values[holder].spill < 0, !isImmediate(holder) {
                let spill = allocateSpill(holder)
                copySlot(slot, toSpill: spill, isFloat: instruction.type.isFloat)
                record(.move(from: .slot(slot), to: .spill(spill)))
            }
            values[holder].slot = -1
        }
        for slot in slotHolder.indices { record(.clobber(.slot(slot))) }
    }

    private func copySlot(_ slot: Int, toSpill spill: Int, isFloat: Bool) {
        let home = homes[slot]
        if home == RegisterMap.none {
            asm.mov(.quad, .rax, map.memory(ofSlot: slot))
            asm.mov(.quad, RegisterMap.spill(spill), .rax)
        } else if isFloat {
            asm.movs(.double, RegisterMap.spill(spill), XMM(rawValue: home).unsafelyUnwrapped)
        } else {
            asm.mov(.quad, RegisterMap.spill(spill), Register(rawValue: home).unsafelyUnwrapped)
        }
    }

    private func park(_ index: Int, _ slotsChange: Bool, _ register: Register) {
        registerOwner[Int(register.rawValue)] = -1
        values[index].register = ValueState.nowhere
        if values[index].lastUse <= Int32(current) && !isOperandOfCurrent(index) { return }
        if values[index].spill >= 0 || isImmediate(index) { return }
        if values[index].slot >= 0 && !slotsChange { return }
        let spill = allocateSpill(index)
        asm.mov(.quad, RegisterMap.spill(spill), register)
        record(.move(from: .register(register.rawValue), to: .spill(spill)))
    }

    private func park(_ index: Int, _ slotsChange: Bool, _ vector: XMM) {
        vectorOwner[Int(vector.rawValue)] = -1
        values[index].register = ValueState.nowhere
        if values[index].lastUse <= Int32(current) && !isOperandOfCurrent(index) { return }
        if values[index].spill >= 0 || isImmediate(index) { return }
        if values[index].slot >= 0 && !slotsChange { return }
        let spill = allocateSpill(index)
        asm.movs(.double, RegisterMap.spill(spill), vector)
        record(.move(from: .vector(vector.rawValue), to: .spill(spill)))
    }

    private func isOperandOfCurrent(_ index: Int) -> Bool {
        let instruction = function.instructions[current]
        let value = Value(index)
        return instruction.a == value || instruction.b == value || instruction.c == value
    }
}

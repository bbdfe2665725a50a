// The dispatch of lowering: one line an operation.

import IR
import X86

extension Type {
    /// Width of the general register operations on the type.
    @inline(__always) var width: Width { self == .i32 ? .long : .quad }
    @inline(__always) var floatWidth: FloatWidth { self == .f32 ? .single : .double }
}

extension Translator {
    func lower(_ i: Instruction, _ index: Int) {
        switch i.opcode {
        case .nop, .constant, .guestAddress: break
        case .parameter, .jump, .branch: preconditionFailure("the block translator takes one block")
        case .boundary: startGuestInstruction(UInt64(bitPattern: i.immediate))
        case .read: lowerRead(i, index)
        case .write: lowerWrite(i, index)
        case .add: lowerAdd(i, index)
        case .subtract: lowerALU(.sub, i, index)
        case .and: lowerAnd(i, index)
        case .or: lowerALU(.or, i, index)
        case .xor: lowerALU(.xor, i, index)
        case .multiply: lowerMultiply(i, index)
        case .multiplyHighSigned, .multiplyHighUnsigned, .multiplyHighSignedUnsigned: lowerMultiplyHigh(i, index)
        case .divideSigned, .divideUnsigned, .remainderSigned, .remainderUnsigned: lowerDivision(i, index)
        case .shiftLeft, .shiftRightLogical, .shiftRightArithmetic, .rotateRight: lowerShift(i, index)
        case .countLeadingZeros, .countTrailingZeros, .populationCount: lowerCount(i, index)
        case .byteSwap: lowerByteSwap(i, index)
        case .carrylessMultiply, .carrylessMultiplyHigh: lowerCarrylessMultiply(i, index)
        case .permuteBytes: lowerPermuteBytes(i, index)
        case .permuteNibbles: lowerPermuteNibbles(i, index)
        case .aesRound: lowerAESRound(i, index)
        case .aesInverseMixColumns: lowerInverseMixColumns(i, index)
        case .aesKeyRound: lowerAESKeyRound(i, index)
        case .sm4Substitute: lowerSM4Substitute(i, index)
        case .signExtend, .zeroExtend: lowerExtend(i, index)
        case .truncate: lowerTruncate(i, index)
        case .compare: materialise(emitComparison(i), index)
        case .select: lowerSelect(i, index)
        case .load: lowerLoad(i, index)
        case .store: lowerStore(i)
        case .hostAddress: lowerHostAddress(i, index)
        case .atomic: lowerAtomic(i, index)
        case .compareExchange: lowerCompareExchange(i, index)
        case .fence: asm.mfence()
        case .floatAdd: lowerFloat(.add, i, index)
        case .floatSubtract: lowerFloat(.sub, i, index)
        case .floatMultiply: lowerFloat(.mul, i, index)
        case .floatDivide: lowerFloat(.div, i, index)
        case .floatSquareRoot: lowerSquareRoot(i, index)
        case .multiplyAdd: lowerFused(.multiplyAdd, i, index)
        case .multiplySubtract: lowerFused(.multiplySubtract, i, index)
        // IR negates the product and the addend; x86's "negated multiply-subtract" is -(a*b)-c, IR's -(a*b)-c likewise.
        case .negatedMultiplyAdd: lowerFused(.negatedMultiplyAdd, i, index)
        case .negatedMultiplySubtract: lowerFused(.negatedMultiplySubtract, i, index)
        case .canonicalNaN: lowerCanonicalNaN(i, index)
        case .floatNegate: lowerFloatLogic(.xor, i, index, i.type == .f32 ? .signSingle : .signDouble)
        case .floatAbsolute: lowerFloatLogic(.and, i, index, i.type == .f32 ? .absoluteSingle : .absoluteDouble)
        case .copySign, .copySignNegated, .copySignXor: lowerCopySign(i, index)
        case .floatMinimum, .floatMaximum: lowerMinimumMaximum(i, index)
        case .floatCompare: lowerFloatCompare(i, index)
        case .integerToFloat: lowerIntegerToFloat(i, index)
        case .floatToInteger: lowerFloatToInteger(i, index)
        case .floatToFloat: lowerFloatToFloat(i, index)
        case .bitcast: lowerBitcast(i, index)
        case .box: break  // the same bits: its users name the operand, see `lookThroughBoxes`
        case .unbox: lowerUnbox(i, index)
        case .roundToIntegral: lowerRound(i, index)
        case .broadcast, .lane, .sumLanes, .anyNaN, .anyBit: preconditionFailure("vectors are in loops of their own, see VectorLoop")
        case .interpretOne: lowerInterpretOne(i)
        case .exitIf: lowerExitIf(i)
        case .exit: lowerExit(i)
        case .exitIndirect: lowerExitIndirect(i)
        case .exitTrap: lowerTrap(i)
        }
    }

    private func startGuestInstruction(_ address: UInt64) {
        if positions.count > blockPosition, positions[positions.count - 1].address > address { followedBackwards = true }
        positions.append(GuestPosition(codeOffset: UInt32(truncatingIfNeeded: asm.offset), address: address, pending: pending))
    }

    // MARK: State

    func lowerRead(_ i: Instruction, _ index: Int) {
        let slot = i.slot
        if values[index].lastUse == Int32(index) { return }
        if storedSlots != 0, slot < 64 { returnHome(of: slot) }
        let holder = Int(slotHolder[slot])
        if holder >= 0, values[holder].slot == Int16(slot), values[holder].lastUse > Int32(current) {
            // Another value is already known to be the slot's content: this one takes a copy of its own.
            record(.define(value: index, .slot(slot)))
            copyOut(slot, index)
            return
        }
        slotHolder[slot] = Int32(index)
        values[index].slot = Int16(slot)
        record(.define(value: index, .slot(slot)))
    }

    /// The slot's content in a scratch register, as the value's own place.
    func copyOut(_ slot: Int, _ index: Int) {
        let home = homes[slot]
        keepHome(of: slot)
        if function.instructions[index].type.isFloat {
            let vector = allocateVector()
            if home != RegisterMap.none {
                asm.movaps(vector, XMM(rawValue: home).unsafelyUnwrapped)
            } else {
                asm.movs(.double, vector, map.memory(ofSlot: slot))
            }
            record(.move(from: .slot(slot), to: .vector(vector.rawValue)))
            own(index, vector)
        } else {
            let register = allocate()
            if home != RegisterMap.none {
                asm.mov(.quad, register, Register(rawValue: home).unsafelyUnwrapped)
            } else {
                asm.mov(.quad, register, map.memory(ofSlot: slot))
            }
            record(.move(from: .slot(slot), to: .register(register.rawValue)))
            own(index, register)
        }
    }

    func lowerWrite(_ i: Instruction, _ index: Int) {
        let slot = i.slot, value = Int(i.a.index)
        resume(slot, keeping: value)
        if i.detail2 & Translator.isDeferredWrite != 0, slotHolder[slot] != Int32(value) || values[value].slot != Int16(slot),
            isWorthSuspending(slot, value, until: values[index].deferredUntil)
        {
            return suspend(slot, value, until: values[index].deferredUntil)
        }
        defer {
            if slot < 64 { storedSlots &= ~(1 << UInt64(slot)) }
            record(.commit(slot: slot, value: value))
            if map.slots[slot].type.isFloat, homes[slot] != RegisterMap.none { notePending(i, home: homes[slot]) }
        }
        if slotHolder[slot] == Int32(value), values[value].slot == Int16(slot) { return }
        let home = homes[slot]
        if map.slots[slot].type.isFloat {
            writeVector(slot, i.a, home)
        } else if home != RegisterMap.none {
            writeHome(slot, i.a, Register(rawValue: home).unsafelyUnwrapped)
        } else {
            if let number = immediate(i.a) {
                saveHolder(slot, value)
                asm.mov(.quad, map.memory(ofSlot: slot), imm: number)
                record(.define(value: value, .slot(slot)))
            } else {
                let register = use(i.a)
                saveHolder(slot, value)
                asm.mov(.quad, map.memory(ofSlot: slot), register)
                record(.move(from: place(of: register), to: .slot(slot)))
            }
        }
        settle(slot, value)
    }

    private func writeHome(_ slot: Int, _ value: Value, _ home: Register) {
        let index = Int(value.index)
        if let number = constant(value), values[index].register == ValueState.nowhere, homeRegister(index) == nil {
            saveHolder(slot, index)
            asm.movImmediate(home, UInt64(bitPattern: number))
            record(.define(value: index, .slot(slot)))
        } else if let address = guestAddress(value), values[index].register == ValueState.nowhere, homeRegister(index) == nil {
            saveHolder(slot, index)
            loadGuestAddress(home, UInt64(bitPattern: address))
            record(.define(value: index, .slot(slot)))
        } else if values[index].register == ValueState.nowhere, homeRegister(index) == nil, let (memory, place) = memoryPlace(index) {
            saveHolder(slot, index)
            asm.mov(.quad, home, memory)
            record(.move(from: place, to: .slot(slot)))
        } else {
            let register = use(value)
            saveHolder(slot, index)
            if register != home { asm.mov(.quad, home, register) }
            record(.move(from: place(of: register), to: .slot(slot)))
        }
    }

    private func writeVector(_ slot: Int, _ value: Value, _ home: UInt8) {
        let vector = useVector(value)
        saveHolder(slot, Int(value.index))
        if home != RegisterMap.none {
            asm.movaps(XMM(rawValue: home).unsafelyUnwrapped, vector)
        } else {
            asm.movs(.double, map.memory(ofSlot: slot), vector)
        }
        record(.move(from: place(of: vector), to: .slot(slot)))
    }

    /// The checker's name of a register: the home of a slot is the slot's place.
    func place(of register: Register) -> AllocationEvent.Place {
        if isLent(register) { return .register(register.rawValue) }
        let slot = homes.indices.first { homes[$0] == register.rawValue && !map.slots[$0].type.isFloat }
        return slot.map { .slot($0) } ?? .register(register.rawValue)
    }

    func place(of vector: XMM) -> AllocationEvent.Place {
        let slot = homes.indices.first { homes[$0] == vector.rawValue && map.slots[$0].type.isFloat }
        return slot.map { .slot($0) } ?? .vector(vector.rawValue)
    }

    /// Saves the value that the slot held before, if it is still needed, and forgets it there.
    private func saveHolder(_ slot: Int, _ value: Int) {
        let before = values[value].slot
        takeOver(slot, value)
        values[value].slot = before
        slotHolder[slot] = -1
    }

    /// The slot has the value now; prefers to remember a place in a register.
    private func settle(_ slot: Int, _ value: Int) {
        let old = values[value].slot
        let oldIsHome = old >= 0 && homes[Int(old)] != RegisterMap.none
        let newIsHome = homes[slot] != RegisterMap.none
        if oldIsHome && !newIsHome { return }
        values[value].slot = Int16(slot)
        slotHolder[slot] = Int32(value)
        if newIsHome, values[value].register != ValueState.nowhere {
            let number = Int(values[value].register)
            if function.instructions[value].type.isFloat { vectorOwner[number] = -1 } else { registerOwner[number] = -1 }
            values[value].register = ValueState.nowhere
        }
    }
}

// Homes that are lent inside of a superblock: the live range of a guest register is split where it is not needed for a while.
//
// When scratch registers run out, the home of a guest register that is written again, or not used any more, before the superblock
// ends becomes one more of them. What the register holds for those who look is deferred anyway, or goes to its slot: a deferred
// write from there. The register's next write, or the end of the superblock, takes the home back.

import IR
import X86

extension Translator {
    /// Instructions that are looked at for what comes next.
    private static let horizon = 64
    /// For how many instructions a home has to be lent that is stored first, and one that is loaded again as well.
    private static let shortLoan: Int32 = 8, shortLoanWithReturn: Int32 = 24
    /// Instructions that a value stays longer which has to be stored when its register is taken.
    private static let patienceWithUnsaved: Int32 = 16

    @inline(__always) func isLent(_ register: Register) -> Bool { lentRegisters & (1 << UInt32(register.rawValue)) != 0 }

    // MARK: What comes next

    /// What is known of the instructions to come, as far as they are looked at.
    private struct Outlook {
        /// The next use of what each general register holds, and the next read or write of each home's slot, by register.
        var use = RegisterTable(repeating: .max)
        var access = RegisterTable(repeating: .max)
        /// Where homes are to be back.
        var end = Int32.max
    }

    private func lookAhead() -> Outlook {
        var outlook = Outlook()
        let instructions = function.instructions
        let last = min(function.count, current + Translator.horizon)
        for index in current ..< last {
            let instruction = instructions[index], count = instruction.opcode.operandCount
            if count > 0 { note(instruction.a, index, &outlook) }
            if count > 1 { note(instruction.b, index, &outlook) }
            if count > 2 { note(instruction.c, index, &outlook) }
            switch instruction.opcode {
            case .read, .write:
                let slot = instruction.slot, home = homes[slot]
                if home != RegisterMap.none, !map.slots[slot].type.isFloat { outlook.access.lower(home, to: Int32(index)) }
            default: if outlook.end == .max, needsHomes(instruction) { outlook.end = Int32(index) }
            }
        }
        return outlook
    }

    @inline(__always)
    private func note(_ value: Value, _ index: Int, _ outlook: inout Outlook) {
        if value.isNone { return }
        let number = Int(value.index), register = values[number].register
        if register != ValueState.nowhere, !function.instructions[number].type.isFloat { outlook.use.lower(register, to: Int32(index)) }
    }

    // MARK: Taking

    /// An unlocked scratch register when none is free: a home, or that of the value that is used latest. Emptied.
    func takeRegister() -> Register? {
        // Once it has been noted where those find everything who look, nothing moves.
        guard isRegion || lendsHomesOfBlocks, seenDuringCurrent == nil else { return takeLatest() }
        let outlook = lookAhead()
        var victim: Register?, latest = Int64.min
        for number in 0 ..< 16 as Range<UInt8> where registerOwner[Int(number)] >= 0 && locked & (1 << UInt32(number)) == 0 {
            let isKept = isRecoverable(Int(registerOwner[Int(number)]))
            let next = Int64(outlook.use[number]) + Int64(isKept ? Translator.patienceWithUnsaved : 0)
            if next > latest {
                latest = next
                victim = Register(rawValue: number)
            }
        }
        let isKept = victim.map { isRecoverable(Int(registerOwner[Int($0.rawValue)])) } ?? false
        if let home = borrow(outlook, storing: !isKept) { return home }
        if let victim { evict(victim) }
        return victim
    }

    /// The scratch register whose value has the latest last use, without looking ahead. Emptied.
    private func takeLatest() -> Register? {
        var victim: Register?, latest = Int32(-1)
        for register in RegisterMap.scratchRegisters where !isLocked(register) {
            let owner = registerOwner[Int(register.rawValue)]
            if owner >= 0, values[Int(owner)].lastUse > latest {
                latest = values[Int(owner)].lastUse
                victim = register
            }
        }
        if let victim { evict(victim) }
        return victim
    }

    /// - Parameter storing: a store is no more than what it takes otherwise.
    private func borrow(_ outlook: Outlook, storing: Bool) -> Register? {
        var best: (slot: Int, isFree: Bool, until: Int32)?
        for slot in 0 ..< min(64, homes.count) where homes[slot] != RegisterMap.none && !map.slots[slot].type.isFloat {
            let register = Register(rawValue: homes[slot]).unsafelyUnwrapped
            guard !isLent(register), !isLocked(register), isUnused(slot) else { continue }
            let next = outlook.access[register.rawValue], until = min(next, outlook.end)
            let isFree = deferredSlots & (1 << UInt64(slot)) != 0
            if isFree {
                if let best, best.isFree, best.until >= until { continue }
            } else {
                guard storing, best?.isFree != true, best == nil || best!.until < until else { continue }
                let isWritten = next < outlook.end && next != .max && function.instructions[Int(next)].opcode == .write
                let shortest = isWritten ? Translator.shortLoan : Translator.shortLoanWithReturn
                guard until - Int32(current) >= shortest else { continue }
            }
            best = (slot, isFree, until)
        }
        guard let best else { return nil }
        return lend(best.slot, storing: !best.isFree)
    }

    /// No value has its only place there.
    private func isUnused(_ slot: Int) -> Bool {
        let holder = Int(slotHolder[slot])
        guard holder >= 0, values[holder].slot == Int16(slot) else { return true }
        return values[holder].lastUse < Int32(current) || values[holder].register != ValueState.nowhere || values[holder].spill >= 0
            || isImmediate(holder)
    }

    private func lend(_ slot: Int, storing: Bool) -> Register {
        let register = Register(rawValue: homes[slot]).unsafelyUnwrapped
        if storing {
            asm.mov(.quad, map.memory(ofSlot: slot), register)
            record(.move(from: .slot(slot), to: .memory(slot)))
            storedSlots |= 1 << UInt64(slot)
            record(.lend(slot: slot))
        }
        let holder = Int(slotHolder[slot])
        if holder >= 0, values[holder].slot == Int16(slot) { values[holder].slot = -1 }
        slotHolder[slot] = -1
        lentRegisters |= 1 << UInt32(register.rawValue)
        return register
    }

    /// Where the slots live, for the checker.
    package var homePlaces: [AllocationEvent.Place?] {
        homes.indices.map { slot in
            if homes[slot] == RegisterMap.none { return nil }
            return map.slots[slot].type.isFloat ? .vector(homes[slot]) : .register(homes[slot])
        }
    }

    // MARK: Giving back

    /// The home is the slot's again.
    /// - Parameter value: what is about to be written, maybe what borrowed it; -1 when the instruction may fetch operands still.
    func reclaim(_ slot: Int, for value: Int) {
        guard homes[slot] != RegisterMap.none, !map.slots[slot].type.isFloat else { return }
        let register = Register(rawValue: homes[slot]).unsafelyUnwrapped
        guard isLent(register) else { return }
        lentRegisters &= ~(1 << UInt32(register.rawValue))
        let owner = Int(registerOwner[Int(register.rawValue)])
        guard owner >= 0 else { return }
        if owner == value || (value >= 0 && values[owner].lastUse <= Int32(current)) {
            // It is there still, for the instruction that fetched it.
            registerOwner[Int(register.rawValue)] = -1
            values[owner].register = ValueState.nowhere
        } else {
            evict(register)
        }
    }

    /// What was stored is in the home again. Changes no flags.
    func returnHome(of slot: Int) {
        guard storedSlots & (1 << UInt64(slot)) != 0 else { return }
        reclaim(slot, for: -1)
        asm.mov(.quad, Register(rawValue: homes[slot]).unsafelyUnwrapped, map.memory(ofSlot: slot))
        storedSlots &= ~(1 << UInt64(slot))
        record(.move(from: .memory(slot), to: .slot(slot)))
        record(.giveBack(slot: slot))
    }

    /// The instruction leaves the superblock, or is as likely to as not.
    @inline(__always)
    func needsHomes(_ instruction: Instruction) -> Bool {
        switch instruction.opcode {
        case .interpretOne, .exit, .exitIndirect, .exitTrap: true
        case .exitIf: constant(instruction.a) != nil || isLikelyTaken(instruction)
        default: false
        }
    }

    /// Every home has what its slot should, but for deferred writes.
    func returnHomes() {
        guard lentRegisters != 0 else { return }
        for slot in 0 ..< min(64, homes.count) {
            if storedSlots & (1 << UInt64(slot)) != 0 { returnHome(of: slot) } else { reclaim(slot, for: -1) }
        }
    }
}

/// A number for each general register.
private struct RegisterTable {
    private var numbers: SIMD16<Int32>
    init(repeating number: Int32) { numbers = SIMD16(repeating: number) }
    subscript(register: UInt8) -> Int32 { numbers[Int(register)] }
    mutating func lower(_ register: UInt8, to number: Int32) {
        if number < numbers[Int(register)] { numbers[Int(register)] = number }
    }
}

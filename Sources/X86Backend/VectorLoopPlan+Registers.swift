// Vector registers of a loop of vectors: scratch ones, the homes of registers that the loop leaves as lanes, and homes that it has
// no use for, which are put aside meanwhile.

import IR
import X86

extension VectorLoopPlan {
    private struct Pool {
        var free: [XMM]
        mutating func take() -> XMM? { free.isEmpty ? nil : free.removeLast() }
        mutating func give(_ register: XMM) { free.append(register) }
    }

    mutating func allocate(_ translator: Translator) -> Bool {
        let used = usedSlots
        var owners: [UInt8: Int] = [:]
        for slot in translator.homes.indices where translator.homes[slot] != RegisterMap.none && translator.map.slots[slot].type.isFloat {
            owners[translator.homes[slot]] = slot
        }
        let borrowable = RegisterMap.homeVectors.filter { vector in owners[vector.rawValue].map { !used.contains($0) } ?? true }
        // Scratch registers are taken first.
        var pool = Pool(free: borrowable + RegisterMap.scratchVectors.reversed())
        guard placeCarries(translator, &pool), placeConstants(&pool), placeValues(&pool) else { return false }
        let taken = Set(register.values).union(temporaries.values.flatMap { $0 }).union(constants.values).union(laneWrites.map(\.carry))
        borrowed = borrowable.filter { taken.contains($0) }
        return true
    }

    private var usedSlots: Set<Int> {
        var result: Set<Int> = []
        for index in 0 ..< function.count {
            let i = function.instructions[index]
            if i.opcode == .read || i.opcode == .write { result.insert(i.slot) }
        }
        return result
    }

    private mutating func placeCarries(_ translator: Translator, _ pool: inout Pool) -> Bool {
        for position in laneWrites.indices {
            let slot = function.instructions[laneWrites[position].index].slot, home = translator.homes[slot]
            let vector = laneWrites[position].vector
            if let same = laneWrites[..<position].first(where: { $0.vector == vector }), function.instructions[vector].type.isIntegerVector {
                laneWrites[position].carry = same.carry
            } else if translator.map.slots[slot].type.isFloat, home != RegisterMap.none {
                laneWrites[position].carry = XMM(rawValue: home).unsafelyUnwrapped
            } else {
                guard let register = pool.take() else { return false }
                laneWrites[position].carry = register
            }
        }
        return true
    }

    /// The constant that an operation on vectors needs.
    static func constant(of i: Instruction) -> CodeStubs.Constant? {
        let isSingle = i.type.element == .f32
        switch i.opcode {
        case .canonicalNaN: return isSingle ? .canonicalSingle : .canonicalDouble
        case .floatNegate, .copySign, .copySignNegated, .copySignXor: return isSingle ? .signSingle : .signDouble
        case .floatAbsolute: return isSingle ? .absoluteSingle : .absoluteDouble
        default: return nil
        }
    }

    private mutating func placeConstants(_ pool: inout Pool) -> Bool {
        for index in body {
            let i = function.instructions[index]
            guard i.type.isVector, let constant = VectorLoopPlan.constant(of: i), constants[constant] == nil else { continue }
            guard let register = pool.take() else { return false }
            constants[constant] = register
        }
        return true
    }

    private mutating func placeValues(_ pool: inout Pool) -> Bool {
        for index in hoisted where !isShiftAmount(index) {
            guard let vector = pool.take() else { return false }
            register[index] = vector
        }
        let lastUses = self.lastUses
        for index in body {
            let i = function.instructions[index]
            // A fused operation starts from a copy of the addend, before it reads the factors.
            let mayShare = i.opcode.operandCount < 3
            if mayShare { release(i, index, lastUses, &pool) }
            let needed = temporaryCount(i)
            if i.type.isVector && i.opcode != .store {
                // A temporary is written while operands are still needed, and so is what shares no register with it.
                guard let vector = pool.take() else { return false }
                register[index] = vector
            }
            for _ in 0 ..< needed {
                guard let vector = takeUnused(by: i, &pool) else { return false }
                temporaries[index, default: []].append(vector)
            }
            for vector in temporaries[index] ?? [] { pool.give(vector) }
            if !mayShare { release(i, index, lastUses, &pool) }
            if lastUses[index] == nil, let vector = register[index] { pool.give(vector) }
        }
        for index in 0 ..< function.count where function.instructions[index].opcode == .sumLanes {
            // They are used behind the body, where the registers are computed.
            guard let first = pool.take(), let second = pool.take() else { return false }
            temporaries[index] = [first, second]
        }
        return true
    }

    /// A register other than those of the operands.
    private func takeUnused(by i: Instruction, _ pool: inout Pool) -> XMM? {
        let operands = vectorOperands(i).compactMap { register[Int($0.index)] }
        guard let place = pool.free.lastIndex(where: { !operands.contains($0) }) else { return nil }
        return pool.free.remove(at: place)
    }

    private func temporaryCount(_ i: Instruction) -> Int {
        switch i.opcode {
        case .canonicalNaN, .copySign, .copySignNegated, .copySignXor: 1
        case .exitIf: self[i.a].opcode == .anyNaN ? 1 : 0
        case .store: i.access.bytes < i.type.laneByteCount ? 2 : 0
        default: 0
        }
    }

    /// An exit in the body tests a vector for NaNs itself.
    private func vectorOperands(_ i: Instruction) -> [Value] {
        let operands = i.opcode == .exitIf ? [self[i.a].a] : Array([i.a, i.b, i.c].prefix(i.opcode.operandCount))
        return operands.filter { !$0.isNone && self[$0].type.isVector }
    }

    private func release(_ i: Instruction, _ index: Int, _ lastUses: [Int: Int], _ pool: inout Pool) {
        var seen: Set<Int> = []
        for value in vectorOperands(i) {
            let operand = Int(value.index)
            guard lastUses[operand] == index, let vector = register[operand], function.instructions[operand].opcode != .broadcast,
                seen.insert(operand).inserted
            else { continue }
            pool.give(vector)
        }
    }

    /// Shifts have their amount in the instruction.
    func isShiftAmount(_ index: Int) -> Bool {
        body.allSatisfy { position in
            let i = function.instructions[position]
            let isShift = [.shiftLeft, .shiftRightLogical, .shiftRightArithmetic].contains(i.opcode)
            return i.a != Value(index) && i.c != Value(index) && (isShift || i.b != Value(index))
        }
    }

    /// Where each vector is used last; those that registers are taken from live to the end of the group.
    private var lastUses: [Int: Int] {
        var result: [Int: Int] = [:]
        for index in body {
            let i = function.instructions[index]
            for value in vectorOperands(i) { result[Int(value.index)] = index }
        }
        for write in laneWrites { result[write.vector] = .max }
        for index in 0 ..< function.count where function.instructions[index].opcode == .sumLanes {
            result[Int(function.instructions[index].a.index)] = .max
        }
        return result
    }
}

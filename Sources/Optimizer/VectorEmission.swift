// Writing the vector form of a loop, in the order: is there a group of iterations, may its accesses be reordered; loads,
// arithmetic, stores; registers; does the loop go on.

import IR

struct VectorEmission {
    let plan: LoopVectorizer
    var builder: Builder
    let loop: Function
    let entry: UInt64
    /// Scalar values of the group's first iteration, and of the first one behind the group.
    var firsts: [UInt32: Value] = [:]
    var nexts: [UInt32: Value] = [:]
    /// Vectors, by the value of the loop that they are.
    var vectors: [UInt32: Value] = [:]
    var written: [Int: Value] = [:]
    /// Words of a pack: the vector and the lane.
    var packLanes: [UInt32: (words: Value, lane: Int)] = [:]

    init(_ plan: LoopVectorizer, _ builder: Builder) {
        self.plan = plan
        self.builder = builder
        loop = plan.loop
        entry = plan.loop.entry
    }

    var lastLane: Int { plan.lanes - 1 }

    mutating func run() -> Bool {
        builder.startBlock()
        builder.boundary(entry)
        for exit in plan.countedExits {
            guard emitTripGuard(exit, behind: plan.isSearch ? plan.lanes : lastLane) else { return false }
        }
        guard let hazards = plan.hazards else { return false }
        emitUpperChecks()
        for hazard in hazards { emit(hazard) }
        for access in plan.accesses where !access.isStore { emitLoad(access.index) }
        var fused: [Value] = []
        for index in 0 ..< loop.count {
            let i = loop.instructions[index]
            guard !i.opcode.effects.isDisjoint(with: .raisesFlags) else { continue }
            let value = vector(Value(index))
            if i.opcode.operandCount == 3 { fused.append(value) }
        }
        // Infinity times zero is invalid for the guest even beside a quiet NaN: that is left to the loop.
        for value in fused { builder.exitIf(builder.anyNaN(value), to: entry) }
        emitLaneTests()
        emitStores()
        emitWrites()
        if !plan.isSearch { return emitExit() }
        builder.exit(to: entry)
        return true
    }

    // MARK: Scalars

    /// The value in the first iteration of the group.
    mutating func first(_ value: Value) -> Value {
        if let known = firsts[value.index] { return known }
        let result = copy(value) { emission, operand in emission.first(operand) }
        firsts[value.index] = result
        return result
    }

    /// The value in the first iteration behind the group, by what the registers then hold.
    mutating func next(_ value: Value) -> Value {
        if let known = nexts[value.index] { return known }
        let i = plan[value]
        if i.opcode == .read, let register = written[i.slot] { return register }
        let result = plan.kind(value) == .invariant ? first(value) : copy(value) { emission, operand in emission.next(operand) }
        nexts[value.index] = result
        return result
    }

    private mutating func copy(_ value: Value, _ operand: (inout VectorEmission, Value) -> Value) -> Value {
        var i = plan[value]
        switch i.opcode {
        case .constant: return builder.constant(i.type, i.immediate)
        case .read: return builder.read(i.slot)
        default:
            let count = i.opcode.operandCount
            if count > 0 { i.a = operand(&self, i.a) }
            if count > 1 { i.b = operand(&self, i.b) }
            if count > 2 { i.c = operand(&self, i.c) }
            return add(i)
        }
    }

    /// An addition to a sum with a constant becomes one addition.
    private mutating func add(_ i: Instruction) -> Value {
        if i.opcode == .add, i.type == .i64, builder.function[i.b].opcode == .constant { return sum(i.a, builder.function[i.b].immediate) }
        return builder.emit(i)
    }

    mutating func sum(_ value: Value, _ amount: Int64) -> Value {
        let i = builder.function[value]
        if i.opcode == .constant { return builder.i64(i.immediate &+ amount) }
        if i.opcode == .add, i.type == .i64, builder.function[i.b].opcode == .constant {
            return sum(i.a, builder.function[i.b].immediate &+ amount)
        }
        return amount == 0 ? value : builder.add(value, builder.i64(amount))
    }

    /// A counter of 32 bits and more, sign-extended.
    mutating func wordSum(_ value: Value, _ amount: Int64) -> Value {
        let i = builder.function[value]
        if i.opcode == .signExtend {
            let sum = builder.function[i.a]
            if sum.opcode == .add, builder.function[sum.b].opcode == .constant, builder.function[sum.a].opcode == .truncate {
                return wordSum(builder.function[sum.a].a, amount &+ builder.function[sum.b].immediate)
            }
            if amount == 0 { return value }
        }
        let word = builder.truncate(value)
        return builder.signExtend(builder.binary(.add, .i32, word, builder.i32(Int32(truncatingIfNeeded: amount))), bits: 32)
    }

    // MARK: Memory

    mutating func memory(_ i: Instruction) -> Instruction {
        var result = i
        result.a = first(i.a)
        if !i.b.isNone { result.b = first(i.b) }
        let sum = builder.function[result.a]
        if sum.opcode == .add, builder.function[sum.b].opcode == .constant,
            let displacement = Int32(exactly: result.immediate &+ builder.function[sum.b].immediate)
        {
            result.a = sum.a
            result.immediate = Int64(displacement)
        }
        return result
    }

    private mutating func emitLoad(_ index: Int) {
        var i = memory(loop.instructions[index])
        i.type = type(of: i.type)
        vectors[UInt32(index)] = builder.emit(i)
    }

    private func type(of scalar: Type) -> Type {
        (scalar.isFloat ? plan.floatType(scalar) : plan.integerType).unsafelyUnwrapped
    }

    private mutating func emitStores() {
        var stores: [Instruction] = []
        for access in plan.accesses where access.isStore {
            let value = loop.instructions[access.index].c
            var i = memory(loop.instructions[access.index])
            i.type = type(of: plan[value].type)
            i.c = operand(value, as: i.type, canonical: true)
            stores.append(i)
        }
        for store in stores { builder.emit(store) }
    }

    /// The address of an access in the group's first iteration.
    private mutating func address(_ index: Int) -> Value {
        let i = memory(loop.instructions[index])
        var result = i.a
        if !i.b.isNone {
            let shift = Int64(i.access.scale.trailingZeroBitCount)
            result = builder.add(result, shift == 0 ? i.b : builder.binary(.shiftLeft, .i64, i.b, builder.i64(shift)))
        }
        return sum(result, i.immediate)
    }

    mutating func emit(_ hazard: Hazard) {
        let store = address(hazard.store), other = address(hazard.other)
        let distance = sum(builder.binary(.subtract, .i64, store, other), 0 &- hazard.low)
        let holds = builder.compare(.lessOrEqualUnsigned, distance, builder.i64(hazard.high &- hazard.low))
        builder.exitIf(holds, to: entry, once: hazard.isSteady)
    }

    // MARK: Vectors

    /// The vector of a value that is computed in lanes.
    mutating func vector(_ value: Value) -> Value {
        if let known = vectors[value.index] { return known }
        var i = plan[value]
        let result: Value
        switch i.opcode {
        // The lanes are the same.
        case .truncate, .box, .unbox: result = vector(i.a)
        case .signExtend: result = vector(i.a)
        case .zeroExtend: result = vector(i.a)
        default:
            let type = type(of: i.type), count = i.opcode.operandCount
            let canonical = ![.floatAdd, .floatSubtract, .floatMultiply, .floatDivide, .floatSquareRoot, .canonicalNaN].contains(i.opcode) && count < 3
            i.type = type
            i.a = operand(i.a, as: type, canonical: canonical)
            if count > 1 { i.b = operand(i.b, as: type, canonical: canonical) }
            if count > 2 { i.c = operand(i.c, as: type, canonical: canonical) }
            result = builder.emit(i)
        }
        vectors[value.index] = result
        return result
    }

    /// A value in lanes of `type`; arithmetic may take NaNs that are not canonical yet.
    mutating func operand(_ value: Value, as type: Type, canonical: Bool) -> Value {
        if plan.kind(value) == .invariant {
            let scalar = first(value), key = value.index | 1 << 31
            if let known = vectors[key], builder.function[known].type == type { return known }
            let isNarrow = !type.isFloatVector && builder.function[scalar].type.byteCount < type.laneByteCount
            let result = builder.broadcast(type, isNarrow ? builder.signExtend(scalar, bits: 32) : scalar)
            vectors[key] = result
            return result
        }
        if !canonical, let raw = uncanonical(value) { return vector(raw) }
        return vector(value)
    }

    /// What a canonical NaN is made from.
    private func uncanonical(_ value: Value) -> Value? {
        let i = plan[value]
        switch i.opcode {
        case .canonicalNaN: return i.a
        case .box, .unbox: return uncanonical(i.a)
        default: return nil
        }
    }

    // MARK: Registers

    mutating func emitWrites() {
        let slots = plan.writes.sorted { $0.value < $1.value }
        // All values are those of before any is written.
        var values: [(slot: Int, value: Value)] = []
        for (slot, index) in slots {
            let value = loop.instructions[index].a
            if plan.reads[slot] == Int(value.index) { continue }
            values.append((slot, last(value, slot)))
        }
        for (slot, value) in values {
            builder.write(slot, value)
            written[slot] = value
        }
    }

    /// The value in the last iteration of the group.
    private mutating func last(_ value: Value, _ slot: Int) -> Value {
        let behind = Int64(lastLane)
        switch plan.kind(value) {
        case .invariant: return first(value)
        case .affine(let step):
            // A register that counts has the sum of all steps on top of what it held.
            return sum(first(value), step &* behind)
        case .word(let step): return wordSum(first(value), step &* behind)
        case .sum: return total(value)
        default: return lastLaneValue(value)
        }
    }

    private mutating func total(_ value: Value) -> Value {
        if let known = firsts[value.index] { return known }
        var i = plan[value]
        switch plan.kind(value) {
        case .vector:
            let sum = builder.sumLanes(vector(value))
            // Lanes of i64 may be summed as i32.
            return i.type == .i32 && builder.function[sum].type == .i64 ? builder.truncate(sum) : sum
        case .accumulator: return first(value)
        default:
            i.a = total(i.a)
            if i.opcode.operandCount > 1 { i.b = total(i.b) }
            let result = builder.emit(i)
            firsts[value.index] = result
            return result
        }
    }

    private mutating func lastLaneValue(_ value: Value) -> Value {
        if let (words, lane) = packLanes[value.index] { return builder.lane(lane, of: words) }
        let i = plan[value]
        if i.opcode == .box { return builder.unary(.box, .f64, lastLaneValue(i.a)) }
        if i.opcode == .canonicalNaN { return builder.unary(.canonicalNaN, i.type, lastLaneValue(i.a)) }
        if case .vector(let upper) = plan.kind(value), i.type.isInteger, upper.isEmpty, plan.integerBytes < 8 {
            var scalar = i
            scalar.a = lastLaneValue(i.a)
            if i.opcode.operandCount > 1 { scalar.b = builder.constant(builder.function[scalar.a].type, plan.constant(i.b).unsafelyUnwrapped) }
            return builder.emit(scalar)
        }
        let lane = builder.lane(lastLane, of: vector(value)), isNarrow = i.type == .i32 && plan.integerBytes < 4
        guard i.type == .i64 || isNarrow, builder.function[lane].type == .i32, case .vector(let upper) = plan.kind(value) else { return lane }
        let bits = UInt8(plan.integerBytes * 8)
        return upper.contains(.sign) ? builder.signExtend(lane, bits: bits, to: i.type) : builder.zeroExtend(lane, bits: bits, to: i.type)
    }
}

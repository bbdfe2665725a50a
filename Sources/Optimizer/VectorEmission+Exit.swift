// Whether a whole group of iterations is left before the loop ends, and whether the loop ends with the group or in it.

import IR

extension VectorEmission {
    /// Leaves unless the loop goes on behind so many iterations of the group, by what it counts.
    mutating func emitTripGuard(_ exit: Int, behind: Int, once: Bool = false) -> Bool {
        guard let test = plan.countTest(exit) else { return false }
        let isRising = test.step > 0, step = Int64(test.step.magnitude), behind = Int64(behind)
        let variable = first(test.variable), limit = first(test.limit)
        // How far it is to go, at least; as a signed number, which is negative behind the limit.
        var least = (behind - 1) * step
        switch (test.condition, isRising) {
        case (.notEqual, _): least += step
        case (.lessUnsigned, true), (.lessSigned, true), (.greaterUnsigned, false), (.greaterSigned, false): least += 1
        case (.lessOrEqualUnsigned, true), (.lessOrEqualSigned, true), (.greaterOrEqualUnsigned, false), (.greaterOrEqualSigned, false): break
        default: return false
        }
        if test.condition != .notEqual { builder.exitIf(builder.compare(test.condition.inverted, variable, limit), to: entry, once: true) }
        let (base, offset) = parts(variable)
        let distance = isRising ? builder.binary(.subtract, .i64, limit, base) : builder.binary(.subtract, .i64, base, limit)
        builder.exitIf(builder.compare(.lessSigned, distance, builder.i64(isRising ? least + offset : least - offset)), to: entry, once: once)
        if test.isWord {
            // A counter of 32 bits that wraps around inside of the group is no longer what it counts.
            let room = Int64(Int32.max) - step * (behind + 1)
            let wraps = isRising ? builder.compare(.greaterSigned, variable, builder.i64(room)) : builder.compare(.lessSigned, variable, builder.i64(-room))
            builder.exitIf(wraps, to: entry)
        }
        return true
    }

    /// A sum with a constant, taken apart.
    private func parts(_ value: Value) -> (base: Value, offset: Int64) {
        let i = builder.function[value]
        guard i.opcode == .add, i.type == .i64, builder.function[i.b].opcode == .constant,
            let offset = Int32(exactly: builder.function[i.b].immediate)
        else { return (value, 0) }
        return (i.a, Int64(offset))
    }

    /// Leaves where the loop does behind the group.
    mutating func emitExit() -> Bool {
        guard let test = plan.countTest(plan.exits[0]) else { return false }
        // One step before where the registers are now.
        let last = test.isWord ? wordSum(next(test.variable), 0 &- test.step) : sum(next(test.variable), 0 &- test.step)
        builder.exitIf(builder.compare(test.condition.inverted, last, first(test.limit)), to: UInt64(bitPattern: loop.instructions[plan.exits[0]].immediate))
        builder.exit(to: entry)
        return true
    }

    // MARK: Searches

    /// Leaves unless the loop goes on through the whole group, by what is in lanes.
    mutating func emitLaneTests() {
        var leaving: Value?
        for test in plan.laneTests {
            let lanes = lanes(test)
            leaving = leaving.map { builder.binary(.or, builder.function[lanes].type, $0, lanes) } ?? lanes
        }
        if let leaving { builder.exitIf(builder.anyBit(leaving), to: entry) }
    }

    /// Leaves when a value that lanes are compared with is not like them above the lane.
    mutating func emitUpperChecks() {
        let bits = UInt8(plan.integerBytes * 8)
        for test in plan.laneTests {
            if let range = test.range, plan.constant(range.limit) == nil {
                let limit = first(range.limit), bound = builder.constant(builder.function[limit].type, range.bound)
                builder.exitIf(builder.compare(.greaterOrEqualUnsigned, limit, bound), to: entry, once: true)
            }
            guard let upper = test.upper else { continue }
            for value in [test.a, test.b].compactMap({ $0 }) where plan.kind(value) == .invariant && plan.constant(value) == nil {
                let scalar = first(value), type = builder.function[scalar].type
                let extended = builder.emit(Instruction(upper == .zero ? .zeroExtend : .signExtend, type, a: scalar, detail: bits))
                builder.exitIf(builder.compare(.notEqual, extended, scalar), to: entry, once: true)
            }
        }
    }

    /// A bit is set in each lane whose iteration leaves, and none in the others.
    private mutating func lanes(_ test: LoopVectorizer.LaneTest) -> Value {
        let isUnsigned = test.range != nil || test.upper == .zero || [.lessUnsigned, .greaterOrEqualUnsigned, .lessOrEqualUnsigned, .greaterUnsigned].contains(test.condition)
        guard let b = test.b else {
            let lanes = lanes(of: test.a)
            return test.condition == .notEqual ? lanes : builder.compareLanes(.equal, lanes, spread(0))
        }
        switch test.condition {
        case .equal: return builder.compareLanes(.equal, lanes(of: test.a), lanes(of: b))
        case .notEqual:
            let a = lanes(of: test.a)
            return builder.binary(.xor, builder.function[a].type, a, lanes(of: b))
        case .greaterSigned, .greaterUnsigned: return builder.compareLanes(.greaterSigned, ordered(test.a, isUnsigned), ordered(b, isUnsigned))
        case .lessSigned, .lessUnsigned: return builder.compareLanes(.greaterSigned, ordered(b, isUnsigned), ordered(test.a, isUnsigned))
        case .lessOrEqualSigned, .lessOrEqualUnsigned: return inverted(builder.compareLanes(.greaterSigned, ordered(test.a, isUnsigned), ordered(b, isUnsigned)))
        case .greaterOrEqualSigned, .greaterOrEqualUnsigned: return inverted(builder.compareLanes(.greaterSigned, ordered(b, isUnsigned), ordered(test.a, isUnsigned)))
        }
    }

    private mutating func inverted(_ lanes: Value) -> Value { builder.binary(.xor, builder.function[lanes].type, lanes, spread(-1)) }

    private mutating func spread(_ number: Int64) -> Value { builder.broadcast(plan.integerType.unsafelyUnwrapped, builder.i64(number)) }

    private mutating func lanes(of value: Value) -> Value { operand(value, as: plan.integerType.unsafelyUnwrapped, canonical: true) }

    private mutating func ordered(_ value: Value, _ isUnsigned: Bool) -> Value { isUnsigned ? flipped(value) : lanes(of: value) }

    /// With the highest bit of each lane changed: compared as signed, they are in the order of unsigned numbers.
    private mutating func flipped(_ value: Value) -> Value {
        let highest = Int64(-1) << Int64(plan.integerBytes * 8 - 1), type = plan.integerType.unsafelyUnwrapped
        if plan.kind(value) != .invariant { return builder.binary(.xor, type, lanes(of: value), spread(highest)) }
        if let number = plan.constant(value) { return spread(number ^ highest) }
        let scalar = first(value), width = builder.function[scalar].type
        let isNarrow = width.byteCount < plan.integerBytes
        let wide = isNarrow ? builder.signExtend(scalar, bits: 32) : scalar, wideType = builder.function[wide].type
        return builder.broadcast(type, builder.binary(.xor, wideType, wide, builder.constant(wideType, highest)))
    }
}

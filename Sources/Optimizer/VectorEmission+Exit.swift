// Whether a whole group of iterations is left before the loop ends, and whether the loop ends with the group.

import IR

extension VectorEmission {
    private struct Test {
        /// Holds while the loop goes on.
        var condition: Condition
        var variable: Value
        var limit: Value
        var step: Int64
        var isWord: Bool
    }

    /// The comparison at the end of the loop, as one of a value that counts with one that stays.
    private var test: Test? {
        let exit = loop.instructions[plan.exit], comparison = plan[exit.a]
        guard comparison.opcode == .compare, plan[comparison.a].type == .i64 else { return nil }
        var test = Test(condition: comparison.condition.inverted, variable: comparison.a, limit: comparison.b, step: 0, isWord: false)
        if plan.kind(test.variable) == .invariant {
            swap(&test.variable, &test.limit)
            test.condition = test.condition.swapped
        }
        guard plan.kind(test.limit) == .invariant else { return nil }
        switch plan.kind(test.variable) {
        case .affine(let step): test.step = step
        case .word(let step): (test.step, test.isWord) = (step, true)
        default: return nil
        }
        return test.step == 0 ? nil : test
    }

    /// Leaves unless the loop goes on behind all iterations of the group but the last.
    mutating func emitTripGuard() -> Bool {
        guard let test else { return false }
        let isRising = test.step > 0, step = Int64(test.step.magnitude)
        let variable = first(test.variable), limit = first(test.limit)
        let distance = isRising ? builder.binary(.subtract, .i64, limit, variable) : builder.binary(.subtract, .i64, variable, limit)
        let behind = Int64(lastLane)
        switch (test.condition, isRising) {
        case (.notEqual, _):
            builder.exitIf(builder.compare(.lessUnsigned, distance, builder.i64(behind * step)), to: entry)
        case (.lessUnsigned, true), (.lessSigned, true), (.greaterUnsigned, false), (.greaterSigned, false):
            builder.exitIf(builder.compare(test.condition.inverted, variable, limit), to: entry)
            builder.exitIf(builder.compare(.lessOrEqualUnsigned, distance, builder.i64((behind - 1) * step)), to: entry)
        case (.lessOrEqualUnsigned, true), (.lessOrEqualSigned, true), (.greaterOrEqualUnsigned, false), (.greaterOrEqualSigned, false):
            builder.exitIf(builder.compare(test.condition.inverted, variable, limit), to: entry)
            builder.exitIf(builder.compare(.lessUnsigned, distance, builder.i64((behind - 1) * step)), to: entry)
        default: return false
        }
        if test.isWord {
            // A counter of 32 bits that wraps around inside of the group is no longer what it counts.
            let room = Int64(Int32.max) - step * (behind + 1)
            let wraps = isRising ? builder.compare(.greaterSigned, variable, builder.i64(room)) : builder.compare(.lessSigned, variable, builder.i64(-room))
            builder.exitIf(wraps, to: entry)
        }
        return true
    }

    /// Leaves where the loop does behind the group.
    mutating func emitExit() -> Bool {
        guard let test else { return false }
        // One step before where the registers are now.
        let last = test.isWord ? wordSum(next(test.variable), 0 &- test.step) : sum(next(test.variable), 0 &- test.step)
        builder.exitIf(builder.compare(test.condition.inverted, last, first(test.limit)), to: UInt64(bitPattern: loop.instructions[plan.exit].immediate))
        builder.exit(to: entry)
        return true
    }
}

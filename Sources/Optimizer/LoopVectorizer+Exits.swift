// The exits of a loop: those that count, which are known for a whole group beforehand, and those that look at what is computed in
// lanes, which tell in each lane whether that iteration leaves.

import IR

extension LoopVectorizer {
    /// The comparison of an exit, as one of a value that counts with one that stays.
    struct CountTest {
        /// Holds while the loop goes on.
        var condition: Condition
        var variable: Value
        var limit: Value
        var step: Int64
        var isWord: Bool
    }

    /// A comparison that makes the loop leave where it holds.
    struct LaneTest {
        var condition: Condition
        var a: Value
        /// Nil for zero.
        var b: Value?
        /// What has to be above the lanes of both; nil when a lane is all of the value, or tells all about it.
        var upper: Upper?
        var range: Range?

        /// A number from which a constant was subtracted is compared with a limit, as an unsigned number.
        struct Range {
            var limit: Value
            /// The limit has to be below it.
            var bound: Int64
        }
    }

    /// False when an exit is neither.
    mutating func sortExits() -> Bool {
        for exit in exits {
            if countTest(exit) != nil {
                countedExits.append(exit)
            } else if let test = laneTest(exit) {
                laneTests.append(test)
            } else {
                return false
            }
        }
        return true
    }

    func countTest(_ exit: Int) -> CountTest? {
        let comparison = self[loop.instructions[exit].a]
        guard comparison.opcode == .compare, self[comparison.a].type == .i64 else { return nil }
        var test = CountTest(condition: comparison.condition.inverted, variable: comparison.a, limit: comparison.b, step: 0, isWord: false)
        if kind(test.variable) == .invariant {
            swap(&test.variable, &test.limit)
            test.condition = test.condition.swapped
        }
        guard kind(test.limit) == .invariant else { return nil }
        switch kind(test.variable) {
        case .affine(let step): test.step = step
        case .word(let step): (test.step, test.isWord) = (step, true)
        default: return nil
        }
        return test.step == 0 ? nil : test
    }

    private func laneTest(_ exit: Int) -> LaneTest? {
        let value = loop.instructions[exit].a, i = self[value]
        guard integerBytes > 0 else { return nil }
        if i.opcode != .compare { return lanes(.notEqual, value, nil) }
        if constant(i.b) == 0, i.condition == .equal || i.condition == .notEqual { return lanes(i.condition, i.a, nil) }
        return lanes(i.condition, i.a, i.b)
    }

    private func lanes(_ condition: Condition, _ a: Value, _ b: Value?) -> LaneTest? {
        func isLanes(_ value: Value) -> Bool { if case .vector = kind(value) { self[value].type.isInteger } else { false } }
        guard let left = upper(a), let right = b.map({ upper($0) }) ?? [.sign, .zero], isLanes(a) || b.map(isLanes) == true else { return nil }
        var test = LaneTest(condition: condition, a: a, b: b, upper: nil)
        if self[a].type.byteCount == integerBytes { return test }
        test.range = rangeTest(condition, a, b)
        if test.range != nil { return test }
        // A value that stays the same can be looked at before the loop.
        func known(_ value: Value?, _ upper: Upper) -> Upper { value.map { kind($0) == .invariant && constant($0) == nil } == true ? [.sign, .zero] : upper }
        let common = known(a, left).intersection(known(b, right))
        guard !common.isEmpty else { return nil }
        test.upper = common.contains(.zero) ? .zero : .sign
        return test
    }

    /// A number less a constant, tested for a range as an unsigned number: what is below zero is out of the range whether it is
    /// taken as very large, or as the lane has it.
    private func rangeTest(_ condition: Condition, _ a: Value, _ b: Value?) -> LaneTest.Range? {
        guard [.greaterUnsigned, .lessOrEqualUnsigned, .lessUnsigned, .greaterOrEqualUnsigned].contains(condition), integerBytes < 4, let b
        else { return nil }
        let subtracted: Int64, limit: Value
        if let difference = self.subtracted(from: a), kind(b) == .invariant {
            (subtracted, limit) = (difference, b)
        } else if let difference = self.subtracted(from: b), kind(a) == .invariant {
            (subtracted, limit) = (difference, a)
        } else {
            return nil
        }
        let bound = Int64(1) << Int64(integerBytes * 8) - subtracted
        guard subtracted >= 0, bound > 0 else { return nil }
        if let number = constant(limit), number < 0 || number >= bound { return nil }
        return LaneTest.Range(limit: limit, bound: bound)
    }

    /// The constant that is subtracted from zero-extended lanes.
    private func subtracted(from value: Value) -> Int64? {
        var value = value
        while self[value].opcode == .truncate || (self[value].opcode == .signExtend && self[value].detail == 32) { value = self[value].a }
        guard self[value].opcode == .add, let added = constant(self[value].b), added > -(1 << 20), added < 1 << 20 else { return nil }
        var source = self[value].a
        while self[source].opcode == .truncate { source = self[source].a }
        guard case .vector(let upper) = kind(source), upper.contains(.zero) else { return nil }
        return -added
    }

    /// Iterations of the loop itself, one behind the other, that pay before its vectors are tried; nil where they go first. What
    /// is searched for is near, mostly.
    package static func iterations(before vectors: Function) -> Int? {
        var isSearch = false, lanes = 0
        for index in 0 ..< vectors.count {
            let i = vectors.instructions[index]
            isSearch = isSearch || i.opcode == .anyBit
            if i.opcode == .load { lanes = max(lanes, i.type.laneCount) }
        }
        return isSearch ? max(8, min(24, lanes)) : nil
    }
}

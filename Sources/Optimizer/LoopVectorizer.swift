// Loops as vectors: from one iteration of a loop, a function that executes several of them at once.
//
// The result is an ordinary superblock at the same guest address. Either it leaves for that address having done nothing (too few
// iterations are left, or a store would be seen by a later load), and the loop itself goes on; or it executes a group of
// iterations and leaves where the loop does then. In between nothing is observable but faults: loads come before stores, and
// registers are written behind both, so that what faults may be executed again from the start of the group.
//
// Taken are loops whose registers are invariant, count in equal steps, sum up integers or are computed anew each time, and whose
// accesses are adjacent from iteration to iteration. Floats are computed exactly as one by one: sums of them are left alone.
//
// A loop that counts and has its only exit at the end leaves with a group. Others, among them those that search or compare and
// leave by what they load, are *searches*: a group is executed only when the loop goes on through all of it, and the iteration
// that leaves is left to the loop itself (see LoopVectorizer+Exits). A loop that copies or fills several words in each iteration
// becomes vectors within the iteration (see LoopVectorizer+Packs).

import IR

package struct LoopVectorizer {
    /// What the host offers.
    package struct Target: Sendable {
        /// 16 or 32.
        package var vectorBytes: Int
        /// There are fused multiply-add instructions.
        package var fuses: Bool
        /// Guest addresses are host addresses: searches, which read ahead, and copies of several words, whose accesses come at
        /// once, can tell where their pages end.
        package var hasPlainMemory: Bool
        package init(vectorBytes: Int, fuses: Bool, hasPlainMemory: Bool = true) {
            self.vectorBytes = vectorBytes
            self.fuses = fuses
            self.hasPlainMemory = hasPlainMemory
        }
    }

    let loop: Function
    let target: Target
    /// Positions of the exits; of those that count, and what the others look at.
    let exits: [Int]
    var countedExits: [Int] = []
    var laneTests: [LaneTest] = []
    /// Something happens behind the first exit.
    private let goesOnBehindExit: Bool
    /// Only the loop itself leaves.
    var isSearch: Bool { exits.count > 1 || goesOnBehindExit || countedExits.isEmpty }
    /// What became of each value of the loop.
    var kinds: [Kind]
    /// For each guest register slot its read, and its last write.
    var reads: [Int: Int] = [:]
    var writes: [Int: Int] = [:]
    /// Iterations at once, and the bytes of integer lanes.
    var lanes = 0
    var integerBytes = 0
    var accesses: [Memory] = []
    /// Adjacent accesses of each kind in one iteration.
    var unrolled = 1
    var pack = Pack()

    /// How a value of one iteration relates to that of the next.
    enum Kind: Equatable {
        /// Not understood: nothing that matters may use it.
        case unknown
        case invariant
        /// An i64 that grows by so much.
        case affine(Int64)
        /// An i32, or its sign extension, that grows by so much.
        case word(Int64)
        /// What a sum was before the loop; and with lanes added.
        case accumulator, sum
        /// Computed in lanes, of which the high bits of the value are known to be as said.
        case vector(Upper)
    }

    /// The bits of an integer above its lane.
    struct Upper: OptionSet {
        let rawValue: UInt8
        /// Copies of the lane's sign.
        static let sign = Upper(rawValue: 1)
        static let zero = Upper(rawValue: 2)
    }

    /// A load or store.
    struct Memory {
        var index: Int
        var isStore: Bool
        var bytes: Int
        /// The address less a constant: equal for two accesses whose distance is known.
        var base: Instruction
        var offset: Int64
    }

    /// Replaces the contents of `result` by the vector form of `loop`, which must be optimised but not yet have folded addresses.
    /// - Returns: false when there is none.
    package static func vectorize(_ loop: Function, for target: Target, into result: Function, slotTypes: [Type]) -> Bool {
        guard var vectorizer = LoopVectorizer(loop, target), vectorizer.findSlots() else { return false }
        var packed = vectorizer
        if vectorizer.chooseLanes(), vectorizer.classify(), vectorizer.sortExits(),
            target.hasPlainMemory || !vectorizer.isSearch, vectorizer.findAccesses()
        {
            result.reset(entry: loop.entry)
            var emission = VectorEmission(vectorizer, Builder(function: result, slotTypes: slotTypes))
            if emission.run() { return true }
        }
        guard target.hasPlainMemory, packed.findPack() else { return false }
        result.reset(entry: loop.entry)
        var emission = VectorEmission(packed, Builder(function: result, slotTypes: slotTypes))
        return emission.runPack()
    }

    private init?(_ loop: Function, _ target: Target) {
        guard loop.blocks.count == 1, loop.blocks[0].parameterCount == 0 else { return nil }
        var exits: [Int] = [], last = -1, goesOn = false
        for index in 0 ..< loop.count {
            let i = loop.instructions[index]
            switch i.opcode {
            case .exitIf:
                if UInt64(bitPattern: i.immediate) == loop.entry { return nil }
                exits.append(index)
            case .exit where i.hint == .none && UInt64(bitPattern: i.immediate) == loop.entry: last = index
            case .nop, .boundary, .constant, .read: break
            case .load, .store: if i.access.isOrdered { return nil }
            default: if !i.opcode.effects.isDisjoint(with: [.readsMemory, .writesMemory, .exits, .terminal, .pinned]) { return nil }
            }
            let happens = !i.opcode.effects.isDisjoint(with: .keeps.subtracting(.terminal).subtracting(.exits))
            if !exits.isEmpty && i.opcode != .exitIf && i.opcode != .boundary && happens { goesOn = true }
        }
        guard 1 ... LoopVectorizer.mostExits ~= exits.count, last > exits[exits.count - 1] else { return nil }
        self.loop = loop
        self.target = target
        self.exits = exits
        goesOnBehindExit = goesOn
        kinds = Array(repeating: .unknown, count: loop.count)
    }

    private static let mostExits = 8

    subscript(_ value: Value) -> Instruction { loop.instructions[Int(value.index)] }
    func kind(_ value: Value) -> Kind { kinds[Int(value.index)] }
    func constant(_ value: Value) -> Int64? { self[value].opcode == .constant ? self[value].immediate : nil }

    // MARK: Registers

    private mutating func findSlots() -> Bool {
        for index in 0 ..< loop.count {
            let i = loop.instructions[index]
            if i.opcode == .read {
                guard reads[i.slot] == nil, writes[i.slot] == nil else { return false }
                reads[i.slot] = index
            } else if i.opcode == .write {
                writes[i.slot] = index
            }
        }
        for (slot, read) in reads {
            guard let write = writes[slot] else {
                kinds[read] = .invariant
                continue
            }
            let value = loop.instructions[write].a
            if value.index == read {
                kinds[read] = .invariant
            } else if let step = step(value, from: read) {
                kinds[read] = .affine(step)
            } else if let step = wordStep(value, from: read) {
                kinds[read] = .word(step)
            } else {
                kinds[read] = .accumulator
            }
        }
        return true
    }

    /// The constant that additions put on top of the value `read`.
    private func step(_ value: Value, from read: Int) -> Int64? {
        var value = value, sum: Int64 = 0
        while value.index != read {
            let i = self[value]
            guard i.opcode == .add, i.type == .i64, let amount = constant(i.b) else { return nil }
            sum &+= amount
            value = i.a
        }
        return sum.magnitude < 1 << 20 ? sum : nil
    }

    /// The same for a register that is counted in 32 bits.
    private func wordStep(_ value: Value, from read: Int) -> Int64? {
        guard self[value].opcode == .signExtend, self[value].detail == 32 else { return nil }
        var value = self[value].a, sum: Int64 = 0
        while self[value].opcode == .add, let amount = constant(self[value].b) {
            sum &+= amount
            value = self[value].a
        }
        guard self[value].opcode == .truncate, self[value].a.index == read else { return nil }
        return sum.magnitude < 1 << 20 ? sum : nil
    }

    // MARK: Lanes

    private mutating func chooseLanes() -> Bool {
        var widest = 0
        for index in 0 ..< loop.count {
            let i = loop.instructions[index]
            if i.opcode == .load || i.opcode == .store {
                widest = max(widest, i.access.bytes)
                if i.type.isInteger { integerBytes = max(integerBytes, i.access.bytes) }
            } else if i.opcode == .add, isAccumulation(i) {
                integerBytes = max(integerBytes, i.type.byteCount)
                widest = max(widest, integerBytes)
            }
        }
        guard widest > 0 else { return false }
        lanes = target.vectorBytes / widest
        return integerBytes == 0 || integerType != nil
    }

    private func isAccumulation(_ i: Instruction) -> Bool {
        func isOld(_ value: Value) -> Bool {
            let source = self[value].opcode == .truncate ? self[value].a : value
            return kind(source) == .accumulator
        }
        return isOld(i.a) || isOld(i.b)
    }

    var integerType: Type? { .vector(lanes: lanes, bytes: integerBytes, isFloat: false) }
    func floatType(_ type: Type) -> Type? { .vector(lanes: lanes, bytes: type.byteCount, isFloat: true) }
}

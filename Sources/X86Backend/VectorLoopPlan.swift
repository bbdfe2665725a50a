// How a loop of vectors is emitted: what is done once, what each time round, and in which registers.
//
// The function is one superblock that stands for a group of iterations and leaves for its own address when there may be another
// (see Optimizer/LoopVectorizer); a search leaves for nowhere else. As a loop, broadcasts and the checks that hold for good come first; registers that the loop
// leaves as lanes of vectors are extracted on the way out only. Everything is decided before anything is emitted.

import IR
import X86

struct VectorLoopPlan {
    let function: Function
    /// The vector register of each value that has one.
    var register: [Int: XMM] = [:]
    /// Registers that operations need beside those of their results, at most two.
    var temporaries: [Int: [XMM]] = [:]
    /// Constants of the stubs that are held in all lanes.
    var constants: [CodeStubs.Constant: XMM] = [:]
    /// Broadcasts, in their order, and floats of 32 bits that must be boxed as they come.
    var hoisted: [Int] = []
    var unboxed: [Int] = []
    /// Checks before the loop, and again before each further group.
    var once: [Int] = []
    var again: [Int] = []
    /// Loads, arithmetic, stores, and exits between them.
    var body: [Int] = []
    /// Writes in an order in which none changes what a later one needs; those of lanes.
    var writes: [Int] = []
    var laneWrites: [LaneWrite] = []
    /// The exit that the loop has, in front of the writes or behind them; negative for a search.
    var exit = -1
    /// Loads may reach behind where the guest stops.
    var readsAhead = false
    var exitsBehindWrites = false
    var leaves: Bool { exit >= 0 }
    /// Homes that hold vectors meanwhile.
    var borrowed: [XMM] = []
    /// A register that changes with every group, and has a home.
    var counter = -1
    /// Stores may come behind arithmetic that raises flags.
    var raisesFlags = false
    var storeIndices: [Int] = []

    struct LaneWrite {
        var index: Int
        /// Where the vector is kept from group to group.
        var carry: XMM
        var vector: Int
        var lane: Int
    }

    init?(_ function: Function, _ translator: Translator) {
        self.function = function
        guard sort(translator), orderWrites(), placeExit(), allocate(translator) else { return nil }
    }

    subscript(_ value: Value) -> Instruction { function.instructions[Int(value.index)] }

    // MARK: Sorting

    private mutating func sort(_ translator: Translator) -> Bool {
        var exits: [Int] = []
        for index in 0 ..< function.count {
            let i = function.instructions[index]
            switch i.opcode {
            case .exitIf: exits.append(index)
            case .write: writes.append(index)
            case .broadcast: hoisted.append(index)
            case .unbox: unboxed.append(index)
            case .store:
                // Less than a word is not stored at once.
                if i.access.bytes * i.type.laneCount < 4 { return false }
                body.append(index)
                storeIndices.append(index)
            case .nop, .boundary, .exit, .read, .constant, .lane: break
            default: if i.type.isVector { body.append(index) }
            }
            if i.opcode == .load || i.opcode == .store, need(i.a) + (i.b.isNone ? 0 : need(i.b)) > 4 { return false }
            if i.type.isVector && !i.opcode.effects.isDisjoint(with: .raisesFlags) { raisesFlags = true }
        }
        let leaves = exits.last.map { UInt64(bitPattern: function.instructions[$0].immediate) != function.entry } == true
        if leaves, let last = exits.popLast() {
            guard UInt64(bitPattern: function.instructions[last].immediate) > function.entry, isComparison(function.instructions[last].a)
            else { return false }
            exit = last
        }
        for index in exits {
            let i = function.instructions[index]
            guard UInt64(bitPattern: i.immediate) == function.entry else { return false }
            if self[i.a].opcode == .anyNaN || self[i.a].opcode == .anyBit {
                body.append(index)
                readsAhead = readsAhead || self[i.a].opcode == .anyBit
            } else if isComparison(i.a) {
                if i.detail == 1 { once.append(index) } else { again.append(index) }
            } else {
                return false
            }
        }
        body.sort()
        guard !again.isEmpty || readsAhead || leaves, unboxed.allSatisfy({ self[function.instructions[$0].a].opcode == .read })
        else { return false }
        return splitWrites(translator) && hoisted.allSatisfy { isSource(function.instructions[$0].a) }
    }

    private func isComparison(_ value: Value) -> Bool {
        self[value].opcode == .compare && need(self[value].a) + need(self[value].b) <= 4
    }

    /// Whether a broadcast can start from the value.
    private func isSource(_ value: Value) -> Bool {
        let i = self[value]
        switch i.opcode {
        case .constant, .unbox: return true
        case .read: return true
        case .bitcast: return i.type.isFloat && need(i.a) <= 3
        default: return i.type.isInteger && need(value) <= 3
        }
    }

    private mutating func splitWrites(_ translator: Translator) -> Bool {
        var scalars: [Int] = []
        for index in writes {
            let i = function.instructions[index]
            if let lane = laneSource(i.a) {
                let source = function.instructions[lane]
                laneWrites.append(LaneWrite(index: index, carry: .xmm0, vector: Int(source.a.index), lane: Int(source.detail)))
            } else {
                guard i.type == .i64, need(i.a) <= 3 else { return false }
                scalars.append(index)
                if let step = self.step(i), step != 0, translator.homes[i.slot] != RegisterMap.none { counter = i.slot }
            }
        }
        writes = scalars
        return counter >= 0
    }

    /// The constant that a register is counted up by.
    private func step(_ write: Instruction) -> Int64? {
        let sum = self[write.a]
        guard sum.opcode == .add, self[sum.a].opcode == .read, self[sum.a].slot == write.slot, self[sum.b].opcode == .constant else { return nil }
        return self[sum.b].immediate
    }

    /// The `lane` that the value is nothing but, extended or boxed, or that it is computed from.
    func laneSource(_ value: Value) -> Int? {
        let i = self[value]
        switch i.opcode {
        case .lane: return Int(value.index)
        case .box, .canonicalNaN, .signExtend, .zeroExtend, .truncate: return laneSource(i.a)
        case .add, .and, .or, .xor:
            guard self[i.b].opcode == .constant, Int32(exactly: self[i.b].immediate) != nil else { return nil }
            return laneSource(i.a)
        default: return nil
        }
    }

    /// Scratch registers that computing the value takes, at most; many for what is not computed here.
    func need(_ value: Value) -> Int {
        let i = self[value]
        switch i.opcode {
        case .constant: return Int32(exactly: i.immediate) == nil ? 1 : 0
        case .read, .sumLanes: return 1
        case .truncate, .signExtend, .zeroExtend: return need(i.a)
        case .add, .subtract, .and, .or, .xor: return self[i.b].opcode == .constant ? need(i.a) : max(need(i.a), need(i.b) + 1)
        case .shiftLeft, .shiftRightLogical, .shiftRightArithmetic: return self[i.b].opcode == .constant ? need(i.a) : 9
        default: return 9
        }
    }

    // MARK: Order

    /// Whether computing `value` reads the register of `slot`.
    private func reads(_ value: Value, _ slot: Int) -> Bool {
        let i = self[value]
        if i.opcode == .read { return i.slot == slot }
        switch i.opcode.operandCount {
        case 1: return reads(i.a, slot)
        case 2: return reads(i.a, slot) || (!i.b.isNone && reads(i.b, slot))
        default: return false
        }
    }

    private mutating func orderWrites() -> Bool {
        var ordered: [Int] = [], rest = writes
        while !rest.isEmpty {
            // One whose register none of the others reads, or which has the value of one that comes before it.
            guard let next = rest.indices.first(where: { candidate in
                let slot = function.instructions[rest[candidate]].slot
                return !rest.indices.contains { $0 != candidate && reads(function.instructions[rest[$0]].a, slot) }
            }) else { return false }
            ordered.append(rest.remove(at: next))
        }
        writes = ordered
        return true
    }

    private mutating func placeExit() -> Bool {
        if exit < 0 { return true }
        let comparison = self[function.instructions[exit].a]
        let values = Set(writes.map { function.instructions[$0].a })
        let slots = Set(writes.map { function.instructions[$0].slot })
        func isFree(_ value: Value) -> Bool { values.contains(value) || !slots.contains { reads(value, $0) } }
        exitsBehindWrites = isFree(comparison.a) && isFree(comparison.b)
        return true
    }
}

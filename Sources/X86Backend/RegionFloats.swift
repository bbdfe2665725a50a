// Floats that stay pending from superblock to superblock of a region (see `Translator+PendingFloats`).
//
// Two facts are needed for it. Forwards: whichever way a superblock is entered, the register holds a result of arithmetic, which
// making canonical (and boxing) makes what the guest sees; any other content would be changed by that. Backwards: the superblock,
// and whatever it goes on to, writes the register again or takes any quiet NaN before somebody looks at its bits.
//
// Known are superblocks that only direct transfers lead to. The entry of the region is not, nor are callees and what returns come
// to, nor is anything where jumps through registers may go on in the region.

import IR

struct RegionFloats {
    /// What is known of vector homes, a bit each by register number.
    private struct Facts: Equatable {
        /// The content is a result of f64 arithmetic: no NaN but the canonical one, for the guest.
        var doubles: UInt16 = 0
        /// The same of f32 arithmetic, boxed.
        var singles: UInt16 = 0

        static let everything = Facts(doubles: .max, singles: .max)

        mutating func meet(_ other: Facts) {
            doubles &= other.doubles
            singles &= other.singles
        }
    }

    /// How a superblock uses the homes it is entered with, a bit each.
    private struct Uses {
        /// Not read before it is written.
        var isWritten: UInt16 = 0
        /// Somebody looks at all bits.
        var isExact: UInt16 = 0
        /// Read before a write by those who take any quiet NaN of 64 bits.
        var isDouble: UInt16 = 0
    }

    /// What is pending at the entry of each superblock.
    private(set) var atEntry: [PendingFloats]

    private let functions: [Function]
    private let slotHome: [UInt8]
    private let resolve: (Int, UInt64) -> Int?
    private var facts: [Facts]
    private var known: [Bool]

    /// - Parameters:
    ///   - homes: the home register of each slot of float type, `RegisterMap.none` for others.
    ///   - vectors: whether a loop of vectors may stand in front of the superblock: nothing is pending there.
    ///   - resolve: the superblock that one leads to with a transfer to an address; nil for what is outside.
    init(_ functions: [Function], homes: [UInt8], vectors: [Bool], resolve: @escaping (Int, UInt64) -> Int?) {
        self.functions = functions
        self.resolve = resolve
        slotHome = homes
        atEntry = Array(repeating: PendingFloats(), count: functions.count)
        facts = []
        known = []
        guard functions.count > 1, functions.contains(where: writesFloats) else { return }
        findKnown()
        guard known.contains(true) else { return }
        flowForwards()
        chooseBackwards(vectors)
    }

    private func home(_ slot: Int) -> UInt16 { slotHome[slot] == RegisterMap.none ? 0 : 1 << UInt16(slotHome[slot]) }

    private func writesFloats(_ function: Function) -> Bool {
        (0 ..< function.count).contains { function.instructions[$0].opcode == .write && home(function.instructions[$0].slot) != 0 }
    }

    // MARK: Ways in

    private mutating func findKnown() {
        var others: Set<UInt64> = [functions[0].entry], targets: Set<Int> = [], isIndirect = false
        for (block, function) in functions.enumerated() {
            for index in 0 ..< function.count {
                let i = function.instructions[index]
                if let target = superblock(i, of: block) { targets.insert(target) }
                guard i.opcode == .exit || i.opcode == .exitIndirect else { continue }
                if i.hint == .call {
                    if i.opcode == .exit { others.insert(UInt64(bitPattern: i.immediate)) }
                    if !i.b.isNone { others.insert(UInt64(bitPattern: function.instructions[Int(i.b.index)].immediate)) }
                } else if i.opcode == .exitIndirect, i.hint == .none {
                    isIndirect = true
                }
            }
        }
        known = functions.indices.map { !isIndirect && targets.contains($0) && !others.contains(functions[$0].entry) }
    }

    private func superblock(_ i: Instruction, of block: Int) -> Int? {
        guard i.opcode == .exitIf || (i.opcode == .exit && i.hint == .none) else { return nil }
        return resolve(block, UInt64(bitPattern: i.immediate))
    }

    // MARK: Forwards

    private mutating func flowForwards() {
        facts = known.map { $0 ? .everything : Facts() }
        var changed = true
        while changed {
            changed = false
            for block in functions.indices {
                walk(block, facts[block]) { target, out in
                    var met = facts[target]
                    met.meet(out)
                    if known[target], met != facts[target] {
                        facts[target] = met
                        changed = true
                    }
                }
            }
        }
    }

    /// What holds at each transfer to a superblock when `entry` does at the start.
    private func walk(_ block: Int, _ entry: Facts, _ transfer: (Int, Facts) -> Void) {
        let function = functions[block]
        var now = entry
        // What reads found, by instruction.
        var reads: [Int: (isDouble: Bool, isSingle: Bool)] = [:]
        for index in 0 ..< function.count {
            let i = function.instructions[index]
            switch i.opcode {
            case .read:
                let bit = home(i.slot)
                if bit != 0 { reads[index] = (now.doubles & bit != 0, now.singles & bit != 0) }
            case .write:
                let bit = home(i.slot)
                guard bit != 0 else { continue }
                let kind = reads[Int(i.a.index)] ?? kind(of: i.a, in: function)
                now.doubles = kind.isDouble ? now.doubles | bit : now.doubles & ~bit
                now.singles = kind.isSingle ? now.singles | bit : now.singles & ~bit
            case .interpretOne: now = Facts()
            default: if let target = superblock(i, of: block) { transfer(target, now) }
            }
        }
    }

    private func kind(of value: Value, in function: Function) -> (isDouble: Bool, isSingle: Bool) {
        let definition = function.instructions[Int(value.index)]
        switch definition.opcode {
        case .canonicalNaN where definition.type == .f64: return (true, false)
        case .box where function.instructions[Int(definition.a.index)].opcode == .canonicalNaN: return (false, true)
        default: return (false, false)
        }
    }

    // MARK: Backwards

    private mutating func chooseBackwards(_ vectors: [Bool]) {
        let uses = functions.map(uses)
        for block in functions.indices where known[block] && !vectors[block] {
            // Of an f32 that is read, the box is looked at.
            let doubles = facts[block].doubles & ~uses[block].isExact
            let singles = facts[block].singles & ~uses[block].isExact & ~uses[block].isDouble
            atEntry[block] = PendingFloats(canonicalNaNs: doubles | singles, boxes: singles)
        }
        // What a superblock does not write is pending where it goes on to, or has to be settled there: rather before.
        var changed = true
        while changed {
            changed = false
            for block in functions.indices where !atEntry[block].isEmpty {
                let function = functions[block], next = superblock(function.instructions[function.count - 1], of: block)
                let behind = next.map { atEntry[$0].canonicalNaNs } ?? 0
                let kept = uses[block].isWritten | behind
                if atEntry[block].canonicalNaNs & ~kept != 0 {
                    atEntry[block].canonicalNaNs &= kept
                    atEntry[block].boxes &= kept
                    changed = true
                }
            }
        }
    }

    private func uses(_ function: Function) -> Uses {
        var uses = Uses(), seen: UInt16 = 0
        // The home that each read took its value from.
        var reads: [Int: UInt16] = [:]
        for index in 0 ..< function.count {
            let i = function.instructions[index], count = i.opcode.operandCount
            if !i.opcode.treatsQuietNaNsAlike, i.opcode != .canonicalNaN, count > 0, !reads.isEmpty {
                for value in [i.a, i.b, i.c].prefix(count) where !value.isNone { uses.isExact |= reads[Int(value.index)] ?? 0 }
            }
            switch i.opcode {
            case .interpretOne:
                uses.isExact = .max
                return uses
            case .read:
                let bit = home(i.slot)
                if bit != 0, seen & bit == 0 {
                    reads[index] = bit
                    uses.isDouble |= bit
                }
            case .write:
                let bit = home(i.slot)
                uses.isWritten |= bit
                seen |= bit
            default: break
            }
        }
        return uses
    }
}

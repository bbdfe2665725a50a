// What is known of integers where the superblocks of a region start, and optimising them again with it: numbers, bounds,
// registers that are as far apart as they were, and memory that a register or number is the content of.
//
// Facts flow forwards along the transfers of the region until nothing changes. Where a superblock is entered from elsewhere,
// nothing is known. What memory holds does not flow along transfers back, so that a loop that waits for another hart loads anew
// each time; within one round a load may take the value of an earlier access, as within a superblock (see `ValueNumbering`). Only
// what is read changes, so that the state stays precise.

import IR

/// Not to be shared between threads.
package final class RegionValues {
    private let slotTypes: [Type]
    private let nothing: RegionFacts
    private var members: [RegionMember] = []
    private var graph = RegionGraph([])
    private var facts: [RegionFacts?] = []
    private var visits: [Int] = []
    private var isPending: [Bool] = []

    /// After so many visits of a superblock, bounds that still grow are given up.
    private static let patience = 3

    /// Passes that find hardly more than the first time.
    private static let doneBefore: OptimizerOptions = [.byteCombining, .valueNumbering, .canonicalNaN]

    /// - Parameter slotTypes: the type of each guest register slot.
    package init(slotTypes: [Type]) {
        self.slotTypes = slotTypes
        nothing = RegionFacts(slotCount: slotTypes.count)
    }

    /// Optimises the superblocks of a region, of which the first is where it is entered, with what is known of all of them.
    /// - Returns: how many of them changed.
    package func improve(_ members: [RegionMember], with optimizer: Pipeline) -> Int {
        guard members.count > 1 else { return 0 }
        self.members = members
        graph = RegionGraph(members)
        guard graph.order.contains(where: { !graph.isOpen[$0] }) else { return 0 }
        var walk = RegionWalk(slotTypes: slotTypes, capacity: members.reduce(0) { max($0, $1.function.count) })
        flow(&walk)
        var count = 0
        for block in graph.order where !members[block].isFixed && !graph.isOpen[block] {
            guard let facts = facts[block], facts != nothing, rewrite(members[block], facts, &walk) else { continue }
            optimizer.optimize(members[block].function, options: optimizer.options.subtracting(RegionValues.doneBefore))
            count += 1
        }
        return count
    }

    // MARK: Flow

    private func flow(_ walk: inout RegionWalk) {
        facts = graph.isOpen.map { $0 ? nothing : nil }
        visits = members.map { _ in 0 }
        isPending = graph.isOpen
        while isPending.contains(true) {
            for block in graph.order where isPending[block] {
                isPending[block] = false
                visits[block] += 1
                flow(through: block, &walk)
            }
        }
    }

    private func flow(through block: Int, _ walk: inout RegionWalk) {
        let function = members[block].function, transfers = graph.transfers[block]
        guard let start = facts[block], !transfers.isEmpty else { return }
        walk.start(function, start)
        var next = 0
        for index in 0 ..< function.count {
            walk.step(index)
            let isExit = function.instructions[index].opcode == .exitIf, condition = function.instructions[index].a
            while next < transfers.count, transfers[next].instruction == index {
                let transfer = transfers[next]
                next += 1
                if graph.isOpen[transfer.target] { continue }
                let keeps = !transfer.goesBack
                meet(isExit ? walk.facts(when: condition, withPlaces: keeps) : walk.facts(withPlaces: keeps), through: transfer)
            }
            if next == transfers.count { return }
            if isExit { walk.assume(condition, isZero: true) }
        }
    }

    private func meet(_ out: RegionFacts, through transfer: RegionGraph.Transfer) {
        let target = transfer.target
        if facts[target] == nil {
            facts[target] = out
            isPending[target] = true
        } else if facts[target]!.meet(out, keepsPlaces: !transfer.goesBack, isOften: visits[target] > RegionValues.patience) {
            isPending[target] = true
        }
    }

    // MARK: Rewriting

    /// Puts what is known into the superblock's instructions.
    /// - Returns: whether optimising it again pays.
    private func rewrite(_ member: RegionMember, _ facts: RegionFacts, _ walk: inout RegionWalk) -> Bool {
        let function = member.function, instructions = function.instructions
        var pays = false
        walk.start(function, facts)
        for index in 0 ..< function.count {
            walk.step(index)
            let i = instructions[index]
            switch i.opcode {
            case .read: if i.type == .i64 { pays = rewriteRead(i, index, function, walk) || pays }
            case .load: pays = rewriteLoad(i, index, function, walk) || pays
            case .signExtend, .zeroExtend, .truncate, .compare, .and, .or, .xor, .add, .subtract, .multiply, .shiftLeft,
                .shiftRightLogical, .shiftRightArithmetic:
                if let number = walk.symbol(Value(index)).constant, isShort(number) {
                    instructions[index] = Instruction(.constant, i.type, immediate: number)
                    pays = true
                } else if isNeedless(i, instructions, walk) {
                    pays = true
                }
            case .exitIf: walk.assume(i.a, isZero: true)
            case .exitIndirect: if i.hint == .return { pays = rewriteReturn(i, function, member.calls.last, walk) || pays }
            default: break
            }
        }
        return pays
    }

    /// An operand that costs nothing.
    private func isShort(_ number: Int64) -> Bool { Int64(Int32(truncatingIfNeeded: number)) == number }

    private func rewriteRead(_ i: Instruction, _ index: Int, _ function: Function, _ walk: borrowing RegionWalk) -> Bool {
        let symbol = walk.symbol(Value(index)), known = walk.significantBits(Value(index))
        if let number = symbol.constant, isShort(number) {
            function.instructions[index] = Instruction(.constant, .i64, immediate: number)
            return true
        }
        if known.unsigned < 64 || known.signed < 64 {
            function.instructions[index].detail = known.unsigned
            function.instructions[index].detail2 = known.signed
        }
        return false
    }

    private func rewriteLoad(_ i: Instruction, _ index: Int, _ function: Function, _ walk: borrowing RegionWalk) -> Bool {
        guard walk.isKnownLoad, i.type == .i64 else { return false }
        let symbol = walk.symbol(Value(index))
        if let number = symbol.constant, isShort(number) {
            function.instructions[index] = Instruction(.constant, .i64, immediate: number)
        } else if let slot = walk.slot(holding: symbol) {
            function.instructions[index] = Instruction(.read, .i64, immediate: Int64(slot))
        } else {
            return false
        }
        return true
    }

    /// A return behind the call that it is in, whatever the register was meanwhile.
    private func rewriteReturn(_ i: Instruction, _ function: Function, _ back: UInt64?, _ walk: borrowing RegionWalk) -> Bool {
        let target = walk.symbol(i.a)
        guard let back, target.root == Symbol.number || target.root == Symbol.address, UInt64(bitPattern: target.offset) == back
        else { return false }
        let definition = function.instructions[Int(i.a.index)]
        // What clears bit 0 has no other user.
        guard definition.opcode == .and else { return false }
        function.instructions[Int(i.a.index)] = Instruction(
            target.root == Symbol.number ? .constant : .guestAddress, .i64, immediate: target.offset)
        return true
    }

    /// An extension, or a mask, that changes nothing by what is known.
    private func isNeedless(
        _ i: Instruction, _ instructions: UnsafeMutablePointer<Instruction>, _ walk: borrowing RegionWalk
    ) -> Bool {
        guard i.type.isInteger, !i.a.isNone else { return false }
        let known = walk.significantBits(i.a)
        switch i.opcode {
        case .signExtend:
            return instructions[Int(i.a.index)].type == i.type ? known.signed <= i.detail : known.unsigned < i.detail
        case .zeroExtend: return instructions[Int(i.a.index)].type == i.type && known.unsigned <= i.detail
        case .and:
            guard let mask = walk.symbol(i.b).constant, mask > 0, mask & (mask &+ 1) == 0 else { return false }
            return known.unsigned <= 64 - mask.leadingZeroBitCount
        default: return false
        }
    }
}

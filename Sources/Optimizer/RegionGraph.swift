// The ways between the superblocks of a region, as the back end goes them: see `X86Backend/Translator+Calls` and `+Cases`.

import IR

/// A superblock of a region, for what is found out about all of it.
package struct RegionMember {
    package var function: Function
    /// Calls that it is in, by the addresses they return to, outermost first.
    package var calls: [UInt64]
    /// Where its indirect jump goes on in the region.
    package var cases: [UInt64]
    /// Something else stands for some of its iterations: it is left as it is.
    package var isFixed: Bool

    package init(_ function: Function, calls: [UInt64] = [], cases: [UInt64] = [], isFixed: Bool = false) {
        self.function = function
        self.calls = calls
        self.cases = cases
        self.isFixed = isFixed
    }
}

struct RegionGraph {
    struct Transfer {
        var instruction: Int
        var target: Int
        /// Leads to a superblock that comes no later in `order`: every cycle has such a transfer.
        var goesBack = false
    }

    /// By superblock, in the order of the instructions.
    private(set) var transfers: [[Transfer]] = []
    /// Entered from elsewhere: the start of the region, and what a call that leaves it comes back to.
    private(set) var isOpen: [Bool]
    /// The superblocks that are reached, predecessors first but for cycles.
    private(set) var order: [Int] = []

    init(_ members: [RegionMember]) {
        isOpen = Array(repeating: false, count: members.count)
        if !members.isEmpty { isOpen[0] = true }
        let entries = members.map(\.function.entry)
        func superblock(_ address: UInt64, _ calls: [UInt64]) -> Int? {
            entries.indices.first { entries[$0] == address && members[$0].calls == calls }
        }
        transfers.reserveCapacity(members.count)
        for member in members { addTransfers(of: member, superblock) }
        sort()
    }

    private mutating func addTransfers(of member: RegionMember, _ superblock: (UInt64, [UInt64]) -> Int?) {
        let function = member.function, calls = member.calls
        var found: [Transfer] = []
        for index in 0 ..< function.count {
            let i = function.instructions[index]
            func go(to target: Int?) {
                if let target { found.append(Transfer(instruction: index, target: target)) }
            }
            switch i.opcode {
            case .exitIf: go(to: superblock(UInt64(bitPattern: i.immediate), calls))
            case .exit where i.hint != .call || i.b.isNone: go(to: superblock(UInt64(bitPattern: i.immediate), calls))
            case .exit, .exitIndirect:
                if i.hint == .call, let back = function.address(i.b) {
                    if i.opcode == .exit, let callee = superblock(UInt64(bitPattern: i.immediate), calls + [back]) {
                        go(to: callee)
                    } else if let behind = superblock(back, calls) {
                        isOpen[behind] = true
                    }
                }
                guard i.opcode == .exitIndirect else { continue }
                if i.hint == .return, let back = calls.last { go(to: superblock(back, Array(calls.dropLast()))) }
                if let target = function.constant(i.a) { go(to: superblock(UInt64(bitPattern: target), calls)) }
                if i.hint == .none { for target in member.cases { go(to: superblock(target, calls)) } }
            default: break
            }
        }
        transfers.append(found)
    }

    /// Depth first; what is entered from elsewhere is reached anyway.
    private mutating func sort() {
        var isSeen = isOpen.map { _ in false }, stack: [(block: Int, next: Int)] = [], finished: [Int] = []
        for root in isOpen.indices where isOpen[root] && !isSeen[root] {
            isSeen[root] = true
            stack.append((root, 0))
            while let (block, next) = stack.last {
                if next == transfers[block].count {
                    finished.append(block)
                    stack.removeLast()
                    continue
                }
                stack[stack.count - 1].next += 1
                let target = transfers[block][next].target
                if !isSeen[target] {
                    isSeen[target] = true
                    stack.append((target, 0))
                }
            }
        }
        order = finished.reversed()
        var position = isOpen.map { _ in 0 }
        for (place, block) in order.enumerated() { position[block] = place }
        for block in order {
            for index in transfers[block].indices {
                transfers[block][index].goesBack = position[transfers[block][index].target] <= position[block]
            }
        }
    }
}

extension Function {
    fileprivate func constant(_ value: Value) -> Int64? {
        instructions[Int(value.index)].opcode == .constant ? instructions[Int(value.index)].immediate : nil
    }

    /// A known guest address, whether the code may be moved or not.
    fileprivate func address(_ value: Value) -> UInt64? {
        guard !value.isNone else { return nil }
        let definition = instructions[Int(value.index)]
        guard definition.opcode == .constant || definition.opcode == .guestAddress else { return nil }
        return UInt64(bitPattern: definition.immediate)
    }
}

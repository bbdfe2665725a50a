// Machine mode: accesses of a superblock to bytes near each other ask the look-aside buffer once, all together.
//
// The first of a group gets a `hostAddress` in front that proves all of its bytes, and the others, too, go from there. Where an
// exit is between them the later ones may never come: the proof then asks for more than is needed, which only costs time when it
// fails.

import IR

package let hostAddresses = Pass(name: "host-addresses", option: .hostAddresses) { function, _ in
    guard function.blocks.count == 1 else { return }
    var grouping = AccessGrouping(function)
    grouping.collect()
    grouping.rewrite()
}

private struct AccessGrouping {
    private struct Group {
        /// What the addresses have in common.
        var base: Value
        var index: Value
        var scale: Int
        /// Displacements from there of the bytes accessed.
        var low: Int64
        var high: Int64
        var isWrite: Bool
        /// Number of the first access, and exits in front of it.
        var leader: Int
        var exits: Int
        var count = 1
    }

    private let function: Function
    private let instructions: UnsafeMutablePointer<Instruction>
    private var groups: [Group] = []
    /// The group of each instruction, and its displacement from what the group has in common.
    private var memberships: [(instruction: Int, group: Int, displacement: Int64)] = []
    /// Groups that accesses may still join.
    private var open: [Int] = []
    /// Bytes of a group at most: the more, the more often they lie in two pages.
    private static let longest: Int64 = 248

    init(_ function: Function) {
        self.function = function
        instructions = function.instructions
    }

    // MARK: Finding

    mutating func collect() {
        var exits = 0
        for index in 0 ..< function.count {
            switch instructions[index].opcode {
            case .load, .store: if !instructions[index].access.isOrdered, !instructions[index].type.isVector { add(index, exits) }
            case .exitIf: exits += 1
            // What is executed there may change what is accessible.
            case .interpretOne: open.removeAll(keepingCapacity: true)
            default: break
            }
        }
    }

    private mutating func add(_ position: Int, _ exits: Int) {
        let i = instructions[position]
        var displacement = i.immediate
        let base = root(i.a, 1, &displacement), index = i.b.isNone ? i.b : root(i.b, Int64(i.access.scale), &displacement)
        guard Int64(Int32(truncatingIfNeeded: displacement)) == displacement else { return }
        let isWrite = i.opcode == .store, end = displacement + Int64(i.access.bytes)
        for number in open.reversed() {
            var group = groups[number]
            guard group.base == base, group.index == index, group.scale == i.access.scale else { continue }
            // Only what is written anyway may be asked for writing.
            if isWrite && !group.isWrite && group.exits != exits { continue }
            group.low = min(group.low, displacement)
            group.high = max(group.high, end)
            guard group.high - group.low <= AccessGrouping.longest else { continue }
            group.isWrite = group.isWrite || isWrite
            group.count += 1
            groups[number] = group
            return memberships.append((position, number, displacement))
        }
        open.append(groups.count)
        memberships.append((position, groups.count, displacement))
        groups.append(
            Group(base: base, index: index, scale: i.access.scale, low: displacement, high: end, isWrite: isWrite, leader: position, exits: exits))
    }

    /// What is left of a value when constants that are added to it are left out.
    private func root(_ value: Value, _ factor: Int64, _ displacement: inout Int64) -> Value {
        var result = value
        while true {
            let sum = instructions[Int(result.index)]
            guard sum.opcode == .add, sum.type == .i64 else { return result }
            let addend = instructions[Int(sum.b.index)]
            guard addend.opcode == .constant, addend.immediate.magnitude < 1 << 31 else { return result }
            displacement &+= addend.immediate &* factor
            result = sum.a
        }
    }

    // MARK: Rewriting

    func rewrite() {
        guard groups.contains(where: { $0.count > 1 }) else { return }
        var result: [Instruction] = [], place = [UInt32](repeating: 0, count: function.count), next = 0
        var proofs = [Value](repeating: .none, count: groups.count)
        result.reserveCapacity(function.count + groups.count)
        func moved(_ value: Value) -> Value { value.isNone ? value : Value(place[Int(value.index)]) }
        for index in 0 ..< function.count {
            var i = instructions[index]
            if i.opcode == .nop { continue }
            let operandCount = i.opcode.operandCount
            if operandCount > 0 { i.a = moved(i.a) }
            if operandCount > 1 { i.b = moved(i.b) }
            if operandCount > 2 { i.c = moved(i.c) }
            if next < memberships.count, memberships[next].instruction == index {
                let (_, number, displacement) = memberships[next], group = groups[number]
                next += 1
                if group.count > 1 {
                    if group.leader == index {
                        proofs[number] = Value(result.count)
                        result.append(
                            Instruction(
                                .hostAddress, .i64, a: i.a, b: i.b, detail: Access(bytes: 1, signed: group.isWrite, scale: group.scale).rawValue,
                                detail2: UInt8(truncatingIfNeeded: group.high - group.low), immediate: i.immediate + group.low - displacement))
                    }
                    i.a = proofs[number]
                    i.b = .none
                    i.immediate = displacement - group.low
                    i.detail = i.access.scaled(by: 1).rawValue
                }
            }
            place[index] = UInt32(truncatingIfNeeded: result.count)
            result.append(i)
        }
        function.replaceBlock(with: result)
    }
}

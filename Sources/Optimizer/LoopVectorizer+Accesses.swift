// Which accesses of a loop may touch the same memory, and how that is found out.
//
// A group does all its loads, then its stores. That is as good as one iteration after the other unless a load comes to see, or
// misses, what another iteration of the group stores, or two stores change places. With As and Ax the addresses of a store and of
// another access at the start of a group, what must not be is a range of the distance As - Ax, which one comparison tests.

import IR

/// Distances from another access to a store, in bytes, that do not work.
struct Hazard {
    var store: Int
    var other: Int
    var low: Int64
    var high: Int64
    /// The distance stays the same throughout the loop.
    var isSteady: Bool
}

extension LoopVectorizer {
    /// Collects the loads and stores; false when there is one that does not fit, or that is known to collide.
    mutating func findAccesses() -> Bool {
        for index in 0 ..< loop.count {
            let i = loop.instructions[index]
            guard i.opcode == .load || i.opcode == .store else { continue }
            guard stride(i) == Int64(i.access.bytes) else { return false }
            if i.opcode == .store {
                switch kind(i.c) {
                case .vector, .invariant: break
                default: return false
                }
                if i.type.isFloat && floatType(i.type) == nil { return false }
            }
            accesses.append(access(index, i))
        }
        let isWorthIt = accesses.contains(where: \.isStore) || kinds.contains(.sum) || !laneTests.isEmpty
        return isWorthIt && accesses.count <= 12 && hazards != nil
    }

    func access(_ index: Int, _ i: Instruction) -> Memory {
        var base = Instruction(.load, a: i.a, b: i.b, immediate: 0), offset = i.immediate
        base.detail = i.access.scaled(by: i.access.scale).rawValue & 0b11000
        while self[base.a].opcode == .add, let amount = constant(self[base.a].b) {
            base.a = self[base.a].a
            offset &+= amount
        }
        return Memory(index: index, isStore: i.opcode == .store, bytes: i.access.bytes, base: base, offset: offset)
    }

    /// What is to be tested while the guest runs; nil when the answer is known and bad.
    var hazards: [Hazard]? {
        var result: [Hazard] = []
        let lastStore = accesses.last { $0.isStore }?.index
        for store in accesses where store.isStore {
            for other in accesses where other.index != store.index && !(other.isStore && other.index < store.index) {
                var hazard = hazard(store, other)
                if !other.isStore, store.index != lastStore || store.bytes != other.bytes {
                    // A later store may fault: the loads are then repeated.
                    hazard = apart(store, other)
                }
                if store.base == other.base {
                    let distance = store.offset &- other.offset
                    let isSafe = distance < hazard.low || distance > hazard.high
                    if store.bytes == other.bytes {
                        if !isSafe { return nil }
                        continue
                    }
                }
                result.append(hazard)
            }
        }
        return result
    }

    private func hazard(_ store: Memory, _ other: Memory) -> Hazard {
        if other.isStore || store.bytes != other.bytes { return apart(store, other) }
        let bytes = Int64(store.bytes), group = bytes * Int64(lanes)
        // A load that comes behind the store in the iteration must not overlap it there either.
        return Hazard(store: store.index, other: other.index, low: other.index < store.index ? 1 : 1 - bytes, high: group - 1, isSteady: true)
    }

    /// Groups that do not overlap at all.
    private func apart(_ store: Memory, _ other: Memory) -> Hazard {
        let low = 1 - Int64(store.bytes * lanes), high = Int64(other.bytes * lanes) - 1
        return Hazard(store: store.index, other: other.index, low: low, high: high, isSteady: store.bytes == other.bytes)
    }
}

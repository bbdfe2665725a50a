// Loops that copy or fill several words in each iteration, as memory functions do: the words of one iteration are the lanes.
//
// All loads of the iteration are done before all stores: what is read and what is written must not overlap, which is tested once,
// as is that there is enough to do.

import IR

extension LoopVectorizer {
    /// The accesses of an iteration, by rising address.
    struct Pack {
        var stores: [Int] = []
        /// Of a copy, as many; a fill has none.
        var loads: [Int] = []
        var type = Type.none
        var byteCount: Int64 { Int64(stores.count * LoopVectorizer.wordBytes) }
    }

    private static let wordBytes = 8, mostWords = 32

    /// What has to be left for vectors to pay: entering costs, and registers get their words in the end.
    fileprivate static let leastBytes = 1024

    /// Whether the loop is one of these.
    mutating func findPack() -> Bool {
        var stores: [Memory] = [], loads: [Memory] = []
        for index in 0 ..< loop.count {
            let i = loop.instructions[index]
            guard i.opcode == .load || i.opcode == .store else { continue }
            guard i.access.bytes == LoopVectorizer.wordBytes, (i.opcode == .load ? i : self[i.c]).type == .i64 else { return false }
            if i.opcode == .store { stores.append(access(index, i)) } else { loads.append(access(index, i)) }
        }
        guard 2 ... LoopVectorizer.mostWords ~= stores.count else { return false }
        unrolled = stores.count
        lanes = 1
        integerBytes = LoopVectorizer.wordBytes
        guard classify(), sortExits(), !isSearch, countedExits.count == 1, areAdjacent(&stores), loads.isEmpty || areAdjacent(&loads) else { return false }
        pack.stores = stores.map(\.index)
        pack.loads = loads.map(\.index)
        guard !kinds.contains(.sum), isCopy || isFill, writes.values.allSatisfy({ isWhole(loop.instructions[$0].a) }) else { return false }
        if let store = stores.first, let load = loads.first, store.base == load.base {
            guard (store.offset &- load.offset).magnitude >= UInt64(pack.byteCount) else { return false }
        }
        guard let bytes = [target.vectorBytes, 16].first(where: { Int(pack.byteCount) % $0 == 0 }),
            let type = Type.vector(lanes: bytes / LoopVectorizer.wordBytes, bytes: LoopVectorizer.wordBytes, isFloat: false)
        else { return false }
        pack.type = type
        return true
    }

    /// Sorts accesses by address; false when they do not lie side by side, or do not go on where they end.
    private func areAdjacent(_ accesses: inout [Memory]) -> Bool {
        accesses.sort { $0.offset < $1.offset }
        let first = accesses[0]
        return accesses.count == unrolled && accesses.enumerated().allSatisfy { number, access in
            access.base == first.base && access.offset == first.offset &+ Int64(number * LoopVectorizer.wordBytes)
                && stride(loop.instructions[access.index]) == Int64(unrolled * LoopVectorizer.wordBytes)
        }
    }

    private var isCopy: Bool {
        !pack.loads.isEmpty && zip(pack.stores, pack.loads).allSatisfy { store, load in Int(loop.instructions[store].c.index) == load }
    }

    private var isFill: Bool {
        let values = Set(pack.stores.map { loop.instructions[$0].c.index })
        return pack.loads.isEmpty && values.count == 1 && values.allSatisfy { kinds[Int($0)] == .invariant }
    }

    /// Registers hold words as they were loaded, or count.
    private func isWhole(_ value: Value) -> Bool { if case .vector = kind(value) { self[value].opcode == .load } else { true } }
}

extension VectorEmission {
    /// The iteration as vectors.
    mutating func runPack() -> Bool {
        let pack = plan.pack
        builder.startBlock()
        builder.boundary(entry)
        let trips = LoopVectorizer.leastBytes / Int(pack.byteCount)
        guard emitTripGuard(plan.countedExits[0], behind: trips, once: true) else { return false }
        if let store = pack.stores.first, let load = pack.loads.first {
            emit(Hazard(store: store, other: load, low: 1 - pack.byteCount, high: pack.byteCount - 1, isSteady: true))
        }
        for position in stride(from: 0, to: pack.loads.count, by: pack.type.laneCount) {
            var i = memory(loop.instructions[pack.loads[position]])
            i.type = pack.type
            let words = builder.emit(i)
            for lane in 0 ..< pack.type.laneCount { packLanes[UInt32(pack.loads[position + lane])] = (words, lane) }
        }
        for position in stride(from: 0, to: pack.stores.count, by: pack.type.laneCount) {
            let value = loop.instructions[pack.stores[position]].c
            var i = memory(loop.instructions[pack.stores[position]])
            i.type = pack.type
            i.c = packLanes[value.index]?.words ?? operand(value, as: pack.type, canonical: true)
            builder.emit(i)
        }
        emitWrites()
        builder.function.groupIterations = 1
        return emitExit()
    }
}

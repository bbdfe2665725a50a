// Copies byte by byte, as compilers make them for targets without misaligned accesses, as copies of words.
//
// Bytes that are loaded from one base and stored in the same order to another become one load in the place of the first and one
// store in the place of the first; the single bytes are taken from the word. Reading the word back then costs no wait for eight
// stores to retire. An access that faults is the first byte's as far as the state goes; the interpreter finds out whether that byte
// faults, or a later one. Nothing between the loads writes memory, nothing between the stores observes it.

import IR

package let byteCombining = Pass(name: "byte-combining", option: .byteCombining) { function, _ in
    guard function.blocks.count == 1, ByteCopies.mayOccur(function) else { return }
    var copies = ByteCopies(function)
    copies.find()
    copies.rewrite()
}

private struct ByteCopies {
    /// Bytes that are copied together.
    struct Chunk {
        /// Instruction indices by rising offset.
        var loads: [Int]
        var stores: [Int]
        var wide = Value.none
    }
    private let function: Function
    private var chunks: [Chunk] = []
    /// The chunk, and the byte in it, of a load or store.
    private var chunkOf: [Int: (chunk: Int, byte: Int)] = [:]

    init(_ function: Function) { self.function = function }

    private static func isByteStore(_ i: Instruction) -> Bool { i.opcode == .store && i.access.bytes == 1 && i.b.isNone }

    static func mayOccur(_ function: Function) -> Bool {
        var count = 0
        for index in 0 ..< function.count where isByteStore(function.instructions[index]) { count += 1 }
        return count > 1
    }

    // MARK: Finding

    mutating func find() {
        var run: [Int] = []
        for index in 0 ..< function.count {
            let instruction = function.instructions[index]
            if ByteCopies.isByteStore(instruction) {
                if let first = run.first, function.instructions[first].a != instruction.a { split(&run) }
                run.append(index)
            } else if !instruction.opcode.effects.isDisjoint(with: [.readsMemory, .writesMemory, .faults, .exits]) {
                split(&run)
            }
        }
        split(&run)
    }

    /// Takes stores to one base, which nothing observes singly, apart into chunks.
    private mutating func split(_ run: inout [Int]) {
        defer { run.removeAll(keepingCapacity: true) }
        guard run.count > 1 else { return }
        var start = 0
        while start < run.count {
            let length = [8, 4, 2].first { start + $0 <= run.count && add(Array(run[start ..< start + $0])) }
            start += length ?? 1
        }
    }

    /// Makes a chunk of the stores if they are the copy of a word.
    private mutating func add(_ stores: [Int]) -> Bool {
        let sorted = stores.sorted { function.instructions[$0].immediate < function.instructions[$1].immediate }
        let loads = sorted.map { Int(function.instructions[$0].c.index) }
        let first = function.instructions[loads[0]], lowest = function.instructions[sorted[0]].immediate
        for (byte, (load, store)) in zip(loads, sorted).enumerated() {
            let loading = function.instructions[load]
            guard loading.opcode == .load, loading.type == .i64, loading.access.bytes == 1, loading.b.isNone, loading.a == first.a,
                loading.immediate == first.immediate &+ Int64(byte),
                function.instructions[store].immediate == lowest &+ Int64(byte), chunkOf[load] == nil
            else { return false }
        }
        guard Set(loads).count == loads.count, let from = loads.min(), let to = loads.max() else { return false }
        for between in from ... to
        where !function.instructions[between].opcode.effects.isDisjoint(with: [.writesMemory, .exits, .writesState])
            && function.instructions[between].opcode != .write
        {
            return false
        }
        for (byte, (load, store)) in zip(loads, sorted).enumerated() {
            chunkOf[load] = (chunks.count, byte)
            chunkOf[store] = (chunks.count, byte)
        }
        chunks.append(Chunk(loads: loads, stores: sorted))
        return true
    }

    // MARK: Rewriting

    mutating func rewrite() {
        guard !chunks.isEmpty else { return }
        var result: [Instruction] = [], place = [Value](repeating: .none, count: function.count)
        result.reserveCapacity(function.count * 2)
        func emit(_ instruction: Instruction) -> Value {
            result.append(instruction)
            return Value(result.count - 1)
        }
        func moved(_ value: Value) -> Value { value.isNone ? value : place[Int(value.index)] }
        for index in 0 ..< function.count {
            var instruction = function.instructions[index]
            let count = instruction.opcode.operandCount
            if count > 0 { instruction.a = moved(instruction.a) }
            if count > 1 { instruction.b = moved(instruction.b) }
            guard let (chunk, byte) = chunkOf[index] else {
                if count > 2 { instruction.c = moved(instruction.c) }
                place[index] = emit(instruction)
                continue
            }
            let bytes = chunks[chunk].loads.count, access = Access(bytes: bytes, signed: false)
            instruction.immediate &-= Int64(byte)
            if instruction.opcode == .store {
                guard index == chunks[chunk].stores.min() else { continue }
                instruction.detail = access.rawValue
                instruction.c = chunks[chunk].wide
                _ = emit(instruction)
            } else {
                if chunks[chunk].wide.isNone {
                    var wide = instruction
                    wide.detail = access.rawValue
                    chunks[chunk].wide = emit(wide)
                }
                var value = chunks[chunk].wide
                if byte > 0 {
                    let amount = emit(Instruction(.constant, .i64, immediate: Int64(byte * 8)))
                    value = emit(Instruction(.shiftRightLogical, .i64, a: value, b: amount))
                }
                if instruction.access.isSigned {
                    value = emit(Instruction(.signExtend, .i64, a: value, detail: 8))
                } else if byte < bytes - 1 {
                    value = emit(Instruction(.zeroExtend, .i64, a: value, detail: 8))
                }
                place[index] = value
            }
        }
        function.replaceBlock(with: result)
    }
}

// What compilers do byte by byte for targets without misaligned accesses, done by words: copies, and numbers that are put
// together from their bytes in either order.
//
// Bytes that are loaded from one base and stored in the same order to another become one load in the place of the first and one
// store in the place of the first; the single bytes are taken from the word. Reading the word back then costs no wait for eight
// stores to retire. An access that faults is the first byte's as far as the state goes; the interpreter finds out whether that
// byte faults, or a later one. Nothing between the loads writes memory, nothing between the stores observes it.

import IR

package let byteCombining = Pass(name: "byte-combining", option: .byteCombining) { function, _ in
    guard function.blocks.count == 1, ByteAccesses.mayCombine(function) else { return }
    var accesses = ByteAccesses(function)
    accesses.findCopies()
    accesses.findNumbers()
    accesses.rewrite()
}

private struct ByteAccesses {
    /// Bytes that are loaded together.
    struct Chunk {
        /// Instruction indices by rising offset.
        var loads: [Int]
        /// Of a copy, the same.
        var stores: [Int] = []
        /// Of a number, its last `or`, and whether its most significant byte comes first.
        var number: Int?
        var isReversed = false
        /// The word, and the number that it is.
        var wide = Value.none, whole = Value.none
    }
    /// Some neighbouring bytes of a number on the way to it: bits of the number, and how far up they are in the part.
    struct Part {
        var index: Int
        var shift: Int64
        /// Into the bytes as they were found.
        var bytes: Range<Int>
        var chunk = 0, bits: Range<Int64> = 0 ..< 0
    }
    private let function: Function
    private var chunks: [Chunk] = []
    /// The chunk, and the byte in it, of a load or store.
    private var chunkOf: [Int: (chunk: Int, byte: Int)] = [:]
    /// Each is taken from the number, which is there before the single bytes would be.
    private var partOf: [Int: Part] = [:]

    init(_ function: Function) { self.function = function }

    private static func isByteStore(_ i: Instruction) -> Bool { i.opcode == .store && i.access.bytes == 1 && i.b.isNone }

    private static func isByteLoad(_ i: Instruction) -> Bool {
        i.opcode == .load && i.type == .i64 && i.access.bytes == 1 && i.b.isNone
    }

    static func mayCombine(_ function: Function) -> Bool {
        var loads = 0
        for index in 0 ..< function.count where isByteLoad(function.instructions[index]) { loads += 1 }
        return loads > 1
    }

    // MARK: Copies

    mutating func findCopies() {
        var run: [Int] = []
        for index in 0 ..< function.count {
            let instruction = function.instructions[index]
            if ByteAccesses.isByteStore(instruction) {
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
            guard ByteAccesses.isByteLoad(loading), loading.a == first.a,
                loading.immediate == first.immediate &+ Int64(byte),
                function.instructions[store].immediate == lowest &+ Int64(byte), chunkOf[load] == nil
            else { return false }
        }
        guard mayLoadTogether(loads) else { return false }
        for (byte, (load, store)) in zip(loads, sorted).enumerated() {
            chunkOf[load] = (chunks.count, byte)
            chunkOf[store] = (chunks.count, byte)
        }
        chunks.append(Chunk(loads: loads, stores: sorted))
        return true
    }

    /// Whether the loads, each of another byte, may all be done in the place of the first.
    private func mayLoadTogether(_ loads: [Int]) -> Bool {
        guard Set(loads).count == loads.count, let from = loads.min(), let to = loads.max() else { return false }
        return (from ... to).allSatisfy { between in
            let opcode = function.instructions[between].opcode
            return opcode == .write || opcode.effects.isDisjoint(with: [.writesMemory, .exits, .writesState])
        }
    }

    // MARK: Numbers

    /// Numbers from the last `or` on, as the others lead to it.
    mutating func findNumbers() {
        var inner: Set<Int> = []
        for index in stride(from: function.count - 1, through: 0, by: -1)
        where function.instructions[index].opcode == .or && !inner.contains(index) {
            var bytes: [(load: Int, shift: Int64)] = [], parts: [Part] = []
            guard collect(Value(index), 0, &bytes, &parts), [2, 4, 8].contains(bytes.count) else { continue }
            for place in parts.indices {
                let shifts = bytes[parts[place].bytes].map(\.shift)
                parts[place].chunk = chunks.count
                parts[place].bits = shifts.min().unsafelyUnwrapped ..< shifts.max().unsafelyUnwrapped + 8
            }
            bytes.sort { $0.shift < $1.shift }
            let loads = bytes.map(\.load), first = function.instructions[loads[0]]
            let step = function.instructions[loads[1]].immediate &- first.immediate
            guard step == 1 || step == -1,
                zip(0..., bytes).allSatisfy({ number, byte in
                    let load = function.instructions[byte.load]
                    return byte.shift == Int64(number * 8) && load.a == first.a && load.immediate == first.immediate &+ Int64(number) &* step
                }), loads.allSatisfy({ chunkOf[$0] == nil }), mayLoadTogether(loads)
            else { continue }
            let rising = step == 1 ? loads : loads.reversed()
            for (byte, load) in rising.enumerated() { chunkOf[load] = (chunks.count, byte) }
            chunkOf[index] = (chunks.count, 0)
            chunks.append(Chunk(loads: rising, number: index, isReversed: step == -1))
            for part in parts {
                inner.insert(part.index)
                if part.index != index, part.bits.count == part.bytes.count * 8 { partOf[part.index] = part }
            }
        }
    }

    /// The unsigned bytes that a number is put together from, and how far to the left; false when it is anything else.
    private func collect(_ value: Value, _ shift: Int64, _ bytes: inout [(load: Int, shift: Int64)], _ parts: inout [Part]) -> Bool {
        let index = Int(value.index), i = function.instructions[index]
        switch i.opcode {
        case .or:
            let first = bytes.count
            guard first < 8, collect(i.a, shift, &bytes, &parts), collect(i.b, shift, &bytes, &parts) else { return false }
            parts.append(Part(index: index, shift: shift, bytes: first ..< bytes.count))
            return true
        case .shiftLeft:
            let amount = function.instructions[Int(i.b.index)]
            // What a shift of a word loses would be lost in the number as well.
            guard amount.opcode == .constant, amount.immediate > 0, shift + amount.immediate < Int64(i.type.byteCount * 8) else { return false }
            return collect(i.a, shift + amount.immediate, &bytes, &parts)
        case .truncate: return shift < 32 && collect(i.a, shift, &bytes, &parts)
        case .load where ByteAccesses.isByteLoad(i) && !i.access.isSigned:
            bytes.append((index, shift))
            return bytes.count <= 8
        default: return false
        }
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
        func shift(_ opcode: Opcode, _ value: Value, _ amount: Int64) -> Value {
            if amount == 0 { return value }
            return emit(Instruction(opcode, .i64, a: value, b: emit(Instruction(.constant, .i64, immediate: amount))))
        }
        func whole(_ chunk: Int) -> Value {
            if !chunks[chunk].isReversed { return chunks[chunk].wide }
            if chunks[chunk].whole.isNone {
                let swapped = emit(Instruction(.byteSwap, .i64, a: chunks[chunk].wide))
                chunks[chunk].whole = shift(.shiftRightLogical, swapped, Int64(64 - chunks[chunk].loads.count * 8))
            }
            return chunks[chunk].whole
        }
        func field(_ part: Part) -> Value {
            let number = whole(part.chunk), count = Int64(part.bits.count), up = part.bits.lowerBound - part.shift
            if part.bits.lowerBound == 0, [8, 16, 32].contains(count) {
                return emit(Instruction(.zeroExtend, .i64, a: number, detail: UInt8(count)))
            }
            let top = shift(.shiftLeft, number, 64 - part.bits.upperBound)
            return shift(.shiftLeft, shift(.shiftRightLogical, top, 64 - count), up)
        }
        func moved(_ value: Value) -> Value { value.isNone ? value : place[Int(value.index)] }
        for index in 0 ..< function.count {
            var instruction = function.instructions[index]
            let count = instruction.opcode.operandCount
            if count > 0 { instruction.a = moved(instruction.a) }
            if count > 1 { instruction.b = moved(instruction.b) }
            if let part = partOf[index] {
                let value = field(part)
                place[index] = instruction.type == .i32 ? emit(Instruction(.truncate, .i32, a: value)) : value
                continue
            }
            guard let (chunk, byte) = chunkOf[index] else {
                if count > 2 { instruction.c = moved(instruction.c) }
                place[index] = emit(instruction)
                continue
            }
            let bytes = chunks[chunk].loads.count, access = Access(bytes: bytes, signed: false)
            if index == chunks[chunk].number {
                let number = whole(chunk)
                place[index] = instruction.type == .i32 ? emit(Instruction(.truncate, .i32, a: number)) : number
                continue
            }
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

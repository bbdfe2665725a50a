// Common subexpressions within a block, among them loads of what memory is known to hold.
//
// A second float operation with equal operands raises no new flag, so it may go; one left to the interpreter may clear the
// flags or, by a store, change memory. A load may take the value of an earlier load, or of a store by the same hart, of the
// same place when nothing between them may have written there (RVWMO lets it, as it lets the hart forward its own stores).

import IR

package let valueNumbering = Pass(name: "value-numbering", option: .valueNumbering) { function, context in
    context.resetForward(function.count)
    var numbering = ValueNumbering(function, context)
    for block in function.blocks {
        context.resetTable(Int(block.end - block.start))
        numbering.tableMask = context.tableMask
        numbering.run(Int(block.start), Int(block.end))
    }
    if function.blocks.count > 1 { context.forwardAll(function) }
}

private struct ValueNumbering {
    let instructions: UnsafeMutablePointer<Instruction>
    let forward: UnsafeMutablePointer<UInt32>
    let table: UnsafeMutablePointer<UInt32>
    var tableMask = 0
    /// Indices of the stores since `memoryBarrier`.
    let stores: UnsafeMutablePointer<UInt32>
    private var storeCount = 0
    /// What memory held before this instruction is unknown.
    private var memoryBarrier = 0
    /// Flags raised before this instruction may have been cleared since.
    private var flagBarrier = 0
    private let hasOneBlock: Bool
    private let columns: OpcodeColumns

    init(_ function: Function, _ context: PassContext) {
        instructions = function.instructions
        hasOneBlock = function.blocks.count == 1
        forward = context.forward
        table = context.table
        columns = context.columns
        stores = context.list
    }

    mutating func run(_ start: Int, _ end: Int) {
        memoryBarrier = start
        flagBarrier = start
        storeCount = 0
        for index in start ..< end {
            let opcode = instructions[index].opcode
            // Of transfers between blocks, not all operands are values.
            let count = hasOneBlock ? 3 : opcode.operandCount
            if count > 0 { resolve(&instructions[index].a) }
            if count > 1 { resolve(&instructions[index].b) }
            if count > 2 { resolve(&instructions[index].c) }
            switch opcode {
            case .nop, .boundary, .parameter, .read, .write: break
            case .load: load(index)
            case .store: store(index)
            case .interpretOne:
                flagBarrier = index
                clobberMemory(index)
            default:
                let effects = columns.effects(of: opcode)
                if !effects.isDisjoint(with: .writesMemory) {
                    clobberMemory(index)
                } else if effects.isDisjoint(with: [.terminal, .exits, .pinned]) {
                    number(index, flagsMatter: !effects.isDisjoint(with: .raisesFlags), isCommutative: !effects.isDisjoint(with: .commutative))
                }
            }
        }
    }

    @inline(__always) private func resolve(_ value: inout Value) {
        value.index = forward[value.place]
    }

    private mutating func clobberMemory(_ index: Int) {
        memoryBarrier = index
        storeCount = 0
    }

    // MARK: Pure operations

    private func number(_ index: Int, flagsMatter: Bool, isCommutative: Bool) {
        if isCommutative && instructions[index].a.index > instructions[index].b.index && instructions[Int(instructions[index].b.index)].opcode != .constant {
            swap(&instructions[index].a, &instructions[index].b)
        }
        let i = instructions[index]
        var position = hash(i) & tableMask
        while table[position] != 0 {
            let candidate = Int(table[position]) - 1
            let other = instructions[candidate]
            if isSame(i, other) {
                if flagsMatter && candidate < flagBarrier { break }
                forward[index] = UInt32(truncatingIfNeeded: candidate)
                instructions[index] = Instruction(.nop)
                return
            }
            position = (position &+ 1) & tableMask
        }
        table[position] = UInt32(truncatingIfNeeded: index &+ 1)
    }

    @inline(__always) private func isSame(_ x: Instruction, _ y: Instruction) -> Bool {
        x.opcode == y.opcode && x.type == y.type && x.detail == y.detail && x.a == y.a && x.b == y.b && x.c == y.c
            && x.immediate == y.immediate
    }

    @inline(__always) private func hash(_ i: Instruction) -> Int {
        var bits = UInt64(i.a.index) | UInt64(i.b.index) << 32
        bits ^= UInt64(i.opcode.rawValue) << 24 ^ UInt64(i.detail) << 56 ^ UInt64(i.c.index) << 13
        bits ^= UInt64(bitPattern: i.immediate) &* 0x9e37_79b9_7f4a_7c15
        bits = bits &* 0xff51_afd7_ed55_8ccd
        return Int(truncatingIfNeeded: bits >> 40)
    }

    // MARK: Memory

    private mutating func load(_ index: Int) {
        if instructions[index].access.isOrdered { return clobberMemory(index) }
        guard let position = place(of: index) else { return }
        let known = Int(table[position]) - 1
        if known < 0 || !reuse(index, known) { table[position] = UInt32(truncatingIfNeeded: index &+ 1) }
    }

    private mutating func store(_ index: Int) {
        if instructions[index].access.isOrdered { return clobberMemory(index) }
        if let position = place(of: index) { table[position] = UInt32(truncatingIfNeeded: index &+ 1) }
        stores[storeCount] = UInt32(truncatingIfNeeded: index)
        storeCount += 1
    }

    /// Position in the table of the latest access to the same address and width, or of the place for it.
    private func place(of index: Int) -> Int? {
        let i = instructions[index]
        var key = Instruction(.load, a: i.a, b: i.b, immediate: i.immediate)
        key.detail = i.detail & Self.placeBits
        var position = hash(key) & tableMask
        while table[position] != 0 {
            let other = instructions[Int(table[position]) - 1]
            let isAccess = other.opcode == .load || other.opcode == .store
            if isAccess && other.a == i.a && other.b == i.b && other.immediate == i.immediate
                && other.detail & Self.placeBits == key.detail
            {
                return position
            }
            position = (position &+ 1) & tableMask
        }
        return position
    }

    /// Width and scale, without the sign.
    private static let placeBits: UInt8 = 0b11011

    /// Replaces the load by what the earlier access of the same place says; false when that is out of date.
    private func reuse(_ index: Int, _ known: Int) -> Bool {
        guard known >= memoryBarrier, !mayHaveChanged(index, since: known) else { return false }
        let i = instructions[index], source = instructions[known]
        if source.opcode == .load {
            guard source.type == i.type && source.detail == i.detail else { return false }
            return replace(index, by: known)
        }
        let stored = instructions[Int(source.c.index)]
        if i.access.bytes == 8 || i.type.isFloat {
            return stored.type == i.type ? replace(index, by: Int(source.c.index)) : false
        }
        guard stored.type.isInteger else { return false }
        if i.access.bytes == 4 && i.type == .i32 && stored.type == .i32 { return replace(index, by: Int(source.c.index)) }
        let opcode: Opcode = i.access.isSigned ? .signExtend : .zeroExtend
        instructions[index] = Instruction(opcode, i.type, a: source.c, detail: UInt8(truncatingIfNeeded: i.access.bytes * 8))
        return true
    }

    private func replace(_ index: Int, by value: Int) -> Bool {
        forward[index] = forward[value]
        instructions[index] = Instruction(.nop)
        return true
    }

    /// Whether a store since `known`, other than itself, may overlap the place of the load.
    private func mayHaveChanged(_ index: Int, since known: Int) -> Bool {
        let i = instructions[index]
        var position = storeCount
        // The bound keeps the whole linear in a block full of stores.
        let oldest = max(0, storeCount - 16)
        while position > oldest {
            position -= 1
            let store = Int(stores[position])
            if store <= known { return false }
            let other = instructions[store]
            // Without an index, places at different distances from one base do not overlap.
            guard other.a == i.a, other.b.isNone, i.b.isNone else { return true }
            let distance = other.immediate &- i.immediate
            if distance < Int64(i.access.bytes) && distance > -Int64(other.access.bytes) { return true }
        }
        return oldest > 0
    }
}

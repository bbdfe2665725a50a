// Removes extensions and masks whose effect nobody looks at. One walk backwards: users tell which bits they need.

import IR

package let demandedBits = Pass(name: "demanded-bits", option: .demandedBits) { function, context in
    var analysis = DemandedBits(function.instructions, context)
    context.resetForward(function.count)
    context.demanded.update(repeating: 0, count: function.count)
    context.list.update(repeating: 0, count: function.count)
    if function.blocks.count > 1 { analysis.demandWhatIsUsedBefore(function) }
    for argument in function.arguments { analysis.demand(argument, ~0) }
    var index = function.count
    while index > 0 {
        index -= 1
        analysis.visit(index)
    }
    if analysis.replaced { context.forwardAll(function) }
}

private struct DemandedBits {
    let instructions: UnsafeMutablePointer<Instruction>
    let forward: UnsafeMutablePointer<UInt32>
    let demanded: UnsafeMutablePointer<UInt64>
    /// 1 for a value that is compared with zero: a back end tests such a mask without computing it.
    let tested: UnsafeMutablePointer<UInt32>
    var replaced = false
    private let columns: OpcodeColumns

    init(_ instructions: UnsafeMutablePointer<Instruction>, _ context: PassContext) {
        self.instructions = instructions
        forward = context.forward
        demanded = context.demanded
        tested = context.list
        columns = context.columns
    }

    /// The walk would come too late for a definition that is laid out behind one of its users.
    func demandWhatIsUsedBefore(_ function: Function) {
        for index in 0 ..< function.count {
            let i = instructions[index], count = i.opcode.operandCount
            if count > 0, i.a.index > index { demand(i.a, ~0) }
            if count > 1, i.b.index > index { demand(i.b, ~0) }
            if count > 2, i.c.index > index { demand(i.c, ~0) }
        }
    }

    @inline(__always) func demand(_ value: Value, _ bits: UInt64) {
        demanded[value.place] |= bits
    }

    @inline(__always) private func constant(_ value: Value) -> UInt64? {
        let definition = instructions + Int(value.index)
        return definition.pointee.opcode == .constant ? UInt64(bitPattern: definition.pointee.immediate) : nil
    }

    mutating func visit(_ index: Int) {
        let i = instructions[index]
        let bits = demanded[index]
        switch i.opcode {
        case .nop, .constant, .guestAddress, .parameter, .read, .boundary: return
        case .add, .subtract, .multiply:
            let low = upTo(bits)
            demand(i.a, low)
            demand(i.b, low)
        case .and, .or, .xor: logic(i, index, bits)
        case .shiftLeft, .shiftRightLogical, .shiftRightArithmetic, .rotateRight: shift(i, bits)
        case .signExtend, .zeroExtend: extend(i, index, bits)
        case .truncate: demand(i.a, bits & 0xffff_ffff)
        case .sm4Substitute: demand(i.a, bits == 0 ? 0 : 0xff)
        case .select:
            demand(i.a, bits == 0 ? 0 : ~0)
            demand(i.b, bits)
            demand(i.c, bits)
        case .compare:
            if bits == 0 { return }
            demand(i.a, ~0)
            demand(i.b, ~0)
            if i.condition == .equal || i.condition == .notEqual, constant(i.b) == 0 { tested[Int(i.a.index)] = 1 }
        case .store:
            demand(i.a, ~0)
            demand(i.b, ~0)
            demand(i.c, mask(UInt8(truncatingIfNeeded: i.access.bytes * 8)))
        case .jump: return
        // Its other operands are blocks.
        case .branch: demand(i.a, ~0)
        default:
            if bits == 0 && columns.effects(of: i.opcode).isDisjoint(with: .keeps) { return }
            demand(i.a, ~0)
            demand(i.b, ~0)
            demand(i.c, ~0)
        }
    }

    @inline(__always) private func mask(_ bits: UInt8) -> UInt64 { bits >= 64 ? ~0 : UInt64(1) << UInt64(bits) &- 1 }

    /// All bits from the lowest to the highest of `bits`: what a carry may come from.
    @inline(__always) private func upTo(_ bits: UInt64) -> UInt64 { bits == 0 ? 0 : UInt64.max >> UInt64(bits.leadingZeroBitCount) }

    private mutating func logic(_ i: Instruction, _ index: Int, _ bits: UInt64) {
        guard let constant = constant(i.b) else {
            demand(i.a, bits)
            demand(i.b, bits)
            return
        }
        let relevant = bits & i.type.mask
        if relevant != 0 && (i.opcode == .and ? relevant & ~constant == 0 : relevant & constant == 0) {
            return replace(index, by: i.a, bits)
        }
        demand(i.b, bits)
        demand(i.a, i.opcode == .and ? bits & constant : i.opcode == .or ? bits & ~constant : bits)
        if i.opcode == .and && tested[index] == 0 && (constant == 0xff || constant == 0xffff) {
            let kept: UInt8 = constant == 0xff ? 8 : 16
            instructions[index] = Instruction(.zeroExtend, i.type, a: i.a, detail: kept)
        }
    }

    private func shift(_ i: Instruction, _ bits: UInt64) {
        let width = UInt64(i.type.byteCount * 8)
        guard let raw = constant(i.b), i.opcode != .rotateRight else {
            let low = upTo(bits)
            demand(i.a, i.opcode == .shiftLeft ? low : bits == 0 ? 0 : ~0)
            demand(i.b, bits == 0 ? 0 : width &- 1)
            return
        }
        let amount = raw & (width &- 1), relevant = bits & i.type.mask
        demand(i.b, ~0)
        switch i.opcode {
        case .shiftLeft: demand(i.a, relevant >> amount)
        case .shiftRightLogical: demand(i.a, relevant << amount & i.type.mask)
        default:
            let copies = amount > 0 && relevant >> (width &- amount) != 0
            demand(i.a, relevant << amount & i.type.mask | (copies ? 1 << (width &- 1) : 0))
        }
    }

    private mutating func extend(_ i: Instruction, _ index: Int, _ bits: UInt64) {
        let kept = mask(i.detail), relevant = bits & i.type.mask
        if relevant == 0 { return }
        guard relevant & ~kept == 0 else {
            demand(i.a, bits & kept | (i.opcode == .signExtend ? (kept >> 1) &+ 1 : 0))
            return
        }
        let source = instructions[Int(i.a.index)].type
        if source == i.type { return replace(index, by: i.a, bits) }
        demand(i.a, relevant)
        if source == .i64 {
            instructions[index] = Instruction(.truncate, .i32, a: i.a)
        } else {
            // Zero extension from 32 bits is what a host's 32-bit operations do by themselves.
            instructions[index] = Instruction(.zeroExtend, .i64, a: i.a, detail: 32)
        }
    }

    private mutating func replace(_ index: Int, by value: Value, _ bits: UInt64) {
        demand(value, bits)
        forward[index] = value.index
        instructions[index] = Instruction(.nop)
        replaced = true
    }
}

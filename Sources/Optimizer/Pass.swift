// What a pass is, and the scratch memory that passes share.

import IR

/// An optimisation as a value. It rewrites the function in place; removed instructions become `nop`.
package struct Pass: Sendable {
    package let name: String
    package let option: OptimizerOptions
    package let run: @Sendable (Function, PassContext) -> Void

    package init(name: String, option: OptimizerOptions, run: @escaping @Sendable (Function, PassContext) -> Void) {
        self.name = name
        self.option = option
        self.run = run
    }
}

/// Scratch buffers, reused from function to function.
package final class PassContext {
    // SAFETY: each buffer has `capacity` elements (`slotCapacity`, `tableCapacity` where said), and `prepare` makes `capacity` at
    // least the function's instruction count before each pass runs; a pass that adds instructions uses none of them. `forward`,
    // `uses` and `demanded` have one more, at -1: see `Value.place`.
    private(set) var capacity = 0
    /// For each instruction the value that replaces it: itself unless a pass said otherwise.
    private(set) var forward: UnsafeMutablePointer<UInt32>
    /// Number of uses of each value; passes may let it be too large, never too small.
    private(set) var uses: UnsafeMutablePointer<UInt32>
    /// A list of instruction indices.
    private(set) var list: UnsafeMutablePointer<UInt32>
    /// Bits of each value that somebody looks at.
    private(set) var demanded: UnsafeMutablePointer<UInt64>
    /// Hash table of instruction indices plus one; a power of two at least twice the instruction count.
    private(set) var table: UnsafeMutablePointer<UInt32>
    private(set) var tableMask = 0
    /// What is known of each guest slot.
    let slots: UnsafeMutablePointer<SlotKnowledge>
    static let slotCapacity = 512
    let columns = OpcodeColumns()
    /// Grows with every function, so that what `slots` says of earlier ones is recognised as old.
    var time: Int64 = 1

    struct SlotKnowledge {
        /// The value that the slot holds, valid when `valueTime` is recent.
        var value: UInt32 = 0
        /// The last write, valid when `writeTime` is recent.
        var write: UInt32 = 0
        var valueTime: Int64 = 0
        var writeTime: Int64 = 0
    }

    package init() {
        forward = .allocate(capacity: 1) + 1
        uses = .allocate(capacity: 1) + 1
        list = .allocate(capacity: 1)
        demanded = .allocate(capacity: 1) + 1
        table = .allocate(capacity: 1)
        slots = .allocate(capacity: Self.slotCapacity)
        slots.initialize(repeating: SlotKnowledge(), count: Self.slotCapacity)
        grow(to: 1024)
    }

    deinit {
        release()
        slots.deallocate()
    }

    private func release() {
        (forward - 1).deallocate()
        (uses - 1).deallocate()
        list.deallocate()
        (demanded - 1).deallocate()
        table.deallocate()
    }

    private func grow(to count: Int) {
        release()
        capacity = count
        forward = .allocate(capacity: count + 1) + 1
        uses = .allocate(capacity: count + 1) + 1
        list = .allocate(capacity: count)
        demanded = .allocate(capacity: count + 1) + 1
        forward[-1] = Value.none.index
        uses[-1] = 0
        demanded[-1] = 0
        table = .allocate(capacity: count * 4)
    }

    /// Makes room for a function. Must precede the passes.
    func prepare(for function: Function) {
        if function.count > capacity { grow(to: function.count * 2) }
    }

    // MARK: What several passes need

    /// Lets every value stand for itself.
    func resetForward(_ count: Int) {
        for index in 0 ..< count { forward[index] = UInt32(truncatingIfNeeded: index) }
    }

    /// An empty table of a suitable size for `count` entries.
    func resetTable(_ count: Int) {
        var size = 64
        while size < count * 2 { size *= 2 }
        table.update(repeating: 0, count: size)
        tableMask = size - 1
    }

    func countUses(_ function: Function) {
        let instructions = function.instructions, uses = uses
        uses.update(repeating: 0, count: function.count)
        if function.blocks.count == 1 {
            // Absent operands count, too: see `Value.place`.
            for index in 0 ..< function.count {
                uses[instructions[index].a.place] &+= 1
                uses[instructions[index].b.place] &+= 1
                count(instructions[index].c)
            }
            return
        }
        for index in 0 ..< function.count {
            let instruction = instructions[index]
            switch instruction.opcode.operandCount {
            case 0: break
            case 1: count(instruction.a)
            case 2:
                count(instruction.a)
                count(instruction.b)
            default:
                count(instruction.a)
                count(instruction.b)
                count(instruction.c)
            }
        }
        for argument in function.arguments { count(argument) }
    }

    @inline(__always) private func count(_ value: Value) {
        if !value.isNone { uses[Int(value.index)] &+= 1 }
    }

    /// Replaces the operands of every instruction, and all arguments, by what `forward` says in the end.
    func forwardAll(_ function: Function) {
        let instructions = function.instructions, forward = forward
        if function.blocks.count == 1 {
            for index in 0 ..< function.count {
                instructions[index].a = final(instructions[index].a, forward)
                instructions[index].b = final(instructions[index].b, forward)
                instructions[index].c = final(instructions[index].c, forward)
            }
            return
        }
        for index in 0 ..< function.count {
            let operandCount = instructions[index].opcode.operandCount
            if operandCount > 0 { instructions[index].a = final(instructions[index].a, forward) }
            if operandCount > 1 { instructions[index].b = final(instructions[index].b, forward) }
            if operandCount > 2 { instructions[index].c = final(instructions[index].c, forward) }
        }
        for index in function.arguments.indices { function.arguments[index] = final(function.arguments[index], forward) }
    }

    @inline(__always) private func final(_ value: Value, _ forward: UnsafeMutablePointer<UInt32>) -> Value {
        var value = value
        while forward[value.place] != value.index { value = Value(forward[value.place]) }
        return value
    }
}

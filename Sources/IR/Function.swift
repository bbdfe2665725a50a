// The container of one translation's IR: flat buffers that are reused from translation to translation.
//
// Blocks are contiguous ranges of one instruction array, in layout order; block 0 is the entry. A tier-1 superblock is a
// function of one block. Passes rewrite instructions in place (removed ones become `nop`), so indices stay valid.

/// A block: instructions `start ..< end`, the first `parameterCount` of them its parameters, the last its terminal.
@usableFromInline package struct Block: Equatable, Sendable {
    @usableFromInline package var start: Int32
    @usableFromInline package var end: Int32
    @usableFromInline package var parameterCount: Int32
    @usableFromInline package init(start: Int32, end: Int32, parameterCount: Int32) {
        self.start = start
        self.end = end
        self.parameterCount = parameterCount
    }
}

/// The IR of one translation. Reference semantics: identity is the reused buffer.
@usableFromInline package final class Function {
    /// The variables that change with every instruction, behind a pointer: those of a class are checked for exclusive
    /// access each time, which was two thirds of the cost of building IR.
    @usableFromInline struct Storage {
        @usableFromInline var instructions: UnsafeMutablePointer<Instruction>
        @usableFromInline var count: Int
        @usableFromInline var capacity: Int
    }

    // SAFETY: `storage` is initialised from `init` to `deinit`; its `instructions` always has `capacity` initialised elements of
    // a trivial type; all access goes through the bounds of `count`.
    @usableFromInline let storage: UnsafeMutablePointer<Storage>
    @inlinable package var instructions: UnsafeMutablePointer<Instruction> { storage.pointee.instructions }
    @inlinable package var count: Int { storage.pointee.count }
    @usableFromInline package var blocks: [Block] = []
    /// Arguments of block transfers; see `Opcode.jump` and `Opcode.branch`.
    @usableFromInline package var arguments: [Value] = []
    /// Guest address at which execution enters.
    @usableFromInline package var entry: UInt64 = 0
    /// Of a loop of vectors, iterations that it stands for; 0 for as many as its vectors have lanes.
    package var groupIterations = 0
    /// Side exits are unlikely: it is part of a region.
    package var leavesSeldom = false
    /// The code may be elsewhere in another run: what follows from its address is a `guestAddress`. What lies in the lowest 4 GiB
    /// was linked to run there, and what lies in the upper half, a kernel.
    @inlinable package var isMovable: Bool { entry >> 32 != 0 && entry >> 63 == 0 }

    @usableFromInline package init(capacity: Int = 4096) {
        let instructions = UnsafeMutablePointer<Instruction>.allocate(capacity: max(capacity, 1))
        instructions.initialize(repeating: Instruction(.nop), count: max(capacity, 1))
        storage = .allocate(capacity: 1)
        storage.initialize(to: Storage(instructions: instructions, count: 0, capacity: max(capacity, 1)))
    }

    deinit {
        instructions.deallocate()
        storage.deallocate()
        slotValueBuffer.deallocate()
    }

    // SAFETY: `slotValueBuffer` has `slotValueCapacity` elements of a trivial type; only the builder uses it.
    private var slotValueBuffer = UnsafeMutablePointer<Value>.allocate(capacity: 128)
    private var slotValueCapacity = 128

    /// Room for what a builder knows of the guest slots, kept from translation to translation.
    func slotValues(count: Int) -> UnsafeMutablePointer<Value> {
        if count > slotValueCapacity {
            slotValueBuffer.deallocate()
            slotValueBuffer = .allocate(capacity: count)
            slotValueCapacity = count
        }
        return slotValueBuffer
    }

    /// Empties the function for the next translation; keeps the buffers.
    @usableFromInline package func reset(entry: UInt64) {
        storage.pointee.count = 0
        blocks.removeAll(keepingCapacity: true)
        arguments.removeAll(keepingCapacity: true)
        self.entry = entry
        groupIterations = 0
        leavesSeldom = false
    }

    /// Appends an instruction and returns its value.
    @discardableResult
    @inlinable package func append(_ instruction: Instruction) -> Value {
        let index = storage.pointee.count
        if index == storage.pointee.capacity { grow() }
        storage.pointee.instructions[index] = instruction
        storage.pointee.count = index &+ 1
        return Value(index)
    }

    /// Makes it the same as another function, with buffers of its own.
    package func becomeCopy(of other: Function) {
        reset(entry: other.entry)
        while storage.pointee.capacity < other.count { grow() }
        instructions.update(from: other.instructions, count: other.count)
        storage.pointee.count = other.count
        blocks = other.blocks
        arguments = other.arguments
        groupIterations = other.groupIterations
    }

    /// Replaces the instructions of a function of one block.
    package func replaceBlock(with instructions: [Instruction]) {
        precondition(blocks.count == 1, "a function of one block")
        storage.pointee.count = 0
        for instruction in instructions { append(instruction) }
        blocks[0].end = Int32(instructions.count)
    }

    @usableFromInline func grow() {
        let capacity = storage.pointee.capacity * 2
        let larger = UnsafeMutablePointer<Instruction>.allocate(capacity: capacity)
        larger.initialize(repeating: Instruction(.nop), count: capacity)
        larger.update(from: instructions, count: count)
        instructions.deallocate()
        storage.pointee.instructions = larger
        storage.pointee.capacity = capacity
    }

    @inlinable package subscript(_ value: Value) -> Instruction {
        get {
            precondition(value.index < count)
            return instructions[Int(value.index)]
        }
        set {
            precondition(value.index < count)
            instructions[Int(value.index)] = newValue
        }
    }
}

// Constant folding and algebraic simplification, one walk forwards: operands are already in their simplest form.
//
// A rewrite that needs a new constant takes the place of a removed instruction before its user, or changes a constant
// that has no other user; when there is neither, the rewrite is not done.

import IR

package let fold = Pass(name: "fold", option: .fold) { function, context in
    context.resetForward(function.count)
    context.countUses(function)
    var folder = Folder(function, context)
    for block in function.blocks { folder.run(Int(block.start), Int(block.end)) }
    // Blocks need not be laid out in the order of dominance.
    if function.blocks.count > 1 { context.forwardAll(function) }
}

struct Folder {
    let instructions: UnsafeMutablePointer<Instruction>
    let forward: UnsafeMutablePointer<UInt32>
    let uses: UnsafeMutablePointer<UInt32>
    /// Removed instructions before the current one, in its block.
    let freeSlots: UnsafeMutablePointer<UInt32>
    var freeCount = 0
    let hasOneBlock: Bool

    init(_ function: Function, _ context: PassContext) {
        instructions = function.instructions
        forward = context.forward
        uses = context.uses
        freeSlots = context.list
        hasOneBlock = function.blocks.count == 1
    }

    /// What a simplification did.
    enum Outcome {
        case nothing
        /// The instruction was rewritten in place: look at it again.
        case rewritten
        case replaced(Value)
    }

    mutating func run(_ start: Int, _ end: Int) {
        freeCount = 0
        for index in start ..< end {
            let opcode = instructions[index].opcode
            if opcode == .nop {
                free(index)
                continue
            }
            let count = hasOneBlock ? 3 : opcode.operandCount
            if count > 0 { resolve(&instructions[index].a) }
            if count > 1 { resolve(&instructions[index].b) }
            if count > 2 { resolve(&instructions[index].c) }
            if !instructions[index].a.isNone { simplify(index) }
        }
    }

    @inline(__always) private func resolve(_ value: inout Value) {
        value.index = forward[value.place]
    }

    private mutating func simplify(_ index: Int) {
        // Each rewrite makes the instruction simpler; the bound only guards against two rules undoing each other.
        for _ in 0 ..< 8 {
            switch simplified(index) {
            case .nothing: return
            case .rewritten: continue
            case .replaced(let value):
                releaseOperands(index)
                forward[index] = value.index
                uses[Int(value.index)] &+= uses[index]
                instructions[index] = Instruction(.nop)
                // With several blocks a later walk resolves operands again, which must not meet a new constant here.
                if hasOneBlock { free(index) }
                return
            }
        }
    }

    private mutating func free(_ index: Int) {
        freeSlots[freeCount] = UInt32(truncatingIfNeeded: index)
        freeCount += 1
    }

    private mutating func simplified(_ index: Int) -> Outcome {
        let i = instructions[index]
        switch i.opcode {
        case .add, .subtract, .multiply, .and, .or, .xor: return arithmetic(i, index)
        case .shiftLeft, .shiftRightLogical, .shiftRightArithmetic, .rotateRight: return shift(i, index)
        case .multiplyHighSigned, .multiplyHighUnsigned, .multiplyHighSignedUnsigned, .divideSigned, .divideUnsigned,
            .remainderSigned, .remainderUnsigned:
            return division(i, index)
        case .countLeadingZeros, .countTrailingZeros, .populationCount, .byteSwap: return foldedUnary(i, index)
        case .carrylessMultiply, .carrylessMultiplyHigh, .permuteBytes, .permuteNibbles, .aesRound, .aesInverseMixColumns, .aesKeyRound,
            .sm4Substitute:
            return cipher(i, index)
        case .signExtend: return signExtend(i, index)
        case .zeroExtend: return zeroExtend(i, index)
        case .truncate: return truncate(i, index)
        case .compare: return compare(i, index)
        case .select: return select(i, index)
        case .exitIf, .branch: return condition(i, index)
        case .canonicalNaN, .floatNegate, .floatAbsolute, .bitcast, .box, .unbox, .copySign, .copySignNegated, .copySignXor:
            return floatBits(i, index)
        default: return .nothing
        }
    }

    // MARK: Help for the rules

    @inline(__always) func definition(_ value: Value) -> Instruction { instructions[Int(value.index)] }
    @inline(__always) func opcode(_ value: Value) -> Opcode { instructions[Int(value.index)].opcode }
    @inline(__always) func type(_ value: Value) -> Type { instructions[Int(value.index)].type }

    @inline(__always) func constant(_ value: Value) -> Int64? {
        let definition = instructions + Int(value.index)
        return definition.pointee.opcode == .constant ? definition.pointee.immediate : nil
    }

    /// The value has a single user, so that its definition may be changed for it.
    @inline(__always) func isUsedOnce(_ value: Value) -> Bool { uses[Int(value.index)] == 1 }

    /// The instruction at `index` no longer uses its operands.
    private func releaseOperands(_ index: Int) {
        let count = instructions[index].opcode.operandCount
        if count > 0 { uses[Int(instructions[index].a.index)] &-= 1 }
        if count > 1 { uses[Int(instructions[index].b.index)] &-= 1 }
        if count > 2 { uses[Int(instructions[index].c.index)] &-= 1 }
    }

    /// Turns the instruction into a constant.
    func become(_ index: Int, constant bits: UInt64) -> Outcome {
        releaseOperands(index)
        let type = instructions[index].type
        let value = type == .i32 ? Int64(Int32(truncatingIfNeeded: bits)) : Int64(bitPattern: bits & type.mask)
        instructions[index] = Instruction(.constant, type, immediate: value)
        return .rewritten
    }

    /// Puts `instruction` in the place of the current one; its operands gain a user.
    func become(_ index: Int, _ instruction: Instruction) -> Outcome {
        let count = instruction.opcode.operandCount
        if count > 0 { uses[Int(instruction.a.index)] &+= 1 }
        if count > 1 { uses[Int(instruction.b.index)] &+= 1 }
        if count > 2 { uses[Int(instruction.c.index)] &+= 1 }
        releaseOperands(index)
        instructions[index] = instruction
        return .rewritten
    }

    /// A constant for the current instruction, or none when there is no place for it.
    /// - Parameter old: a constant operand that the instruction gives up.
    mutating func makeConstant(_ type: Type, _ value: Int64, insteadOf old: Value) -> Value {
        if !old.isNone, opcode(old) == .constant, isUsedOnce(old) {
            instructions[Int(old.index)] = Instruction(.constant, type, immediate: value)
            return old
        }
        guard freeCount > 0 else { return .none }
        freeCount -= 1
        let slot = Int(freeSlots[freeCount])
        instructions[slot] = Instruction(.constant, type, immediate: value)
        uses[slot] = 0
        return Value(slot)
    }

    /// A pattern of `type`, without what a sign-extended i32 has above it.
    @inline(__always) func pattern(_ constant: Int64, _ type: Type) -> UInt64 { UInt64(bitPattern: constant) & type.mask }
}

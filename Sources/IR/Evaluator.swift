// The reference executor of IR: slow, plain, and independent of passes and back ends. Tests compare the others with it.
//
// Memory is host memory at the guest's addresses; faults are the host's. MXCSR is as the caller set it.

/// How a function was left.
package enum EvaluatorExit: Equatable, Sendable {
    case exit(target: UInt64, hint: TransferHint = .none, returnAddress: UInt64? = nil)
    case indirect(target: UInt64, hint: TransferHint = .none, returnAddress: UInt64? = nil)
    case trap(TrapReason, programCounter: UInt64)
    /// A memory access was refused; see `Evaluator.isAccessible`.
    case fault(address: UInt64, programCounter: UInt64)
    /// The limit on executed instructions was reached.
    case outOfFuel
}

package struct Evaluator {
    // SAFETY: the caller guarantees that every slot offset lies within the state block.
    let state: UnsafeMutableRawPointer
    let slotOffsets: [Int]
    /// Executes the guest instruction at an address; nil means that evaluation goes on behind it.
    let interpretOne: (UInt64) -> EvaluatorExit?
    /// Whether an access of that many bytes at an address succeeds; where it does not, evaluation ends with a `fault`.
    package var isAccessible: ((_ address: UInt64, _ bytes: Int) -> Bool)?

    /// - Parameter slotOffsets: bytes from `state` of each guest register slot.
    package init(
        state: UnsafeMutableRawPointer, slotOffsets: [Int],
        interpretOne: @escaping (UInt64) -> EvaluatorExit? = { .trap(.illegalInstruction, programCounter: $0) }
    ) {
        self.state = state
        self.slotOffsets = slotOffsets
        self.interpretOne = interpretOne
    }

    /// Runs a valid function from its entry until it is left.
    /// - Parameter fuel: instructions executed at most.
    package func run(_ function: Function, fuel: Int = 1_000_000) -> EvaluatorExit {
        var frame = Frame(function: function)
        var position = Int(function.blocks[0].start)
        for _ in 0 ..< fuel {
            let instruction = function[Value(position)]
            if let exit = refusedAccess(instruction, &frame) { return exit }
            switch step(instruction, &frame) {
            case .next: position += 1
            case .lanes(let lanes):
                frame.lanes[position] = lanes
                position += 1
            case .result(let bits):
                frame.values[position] = bits & instruction.type.mask
                position += 1
            case .block(let start): position = start
            case .leave(let exit): return exit
            }
        }
        return .outOfFuel
    }

    /// Values during one run. An i32 and an f32 are kept zero-extended.
    struct Frame {
        let function: Function
        var values: [UInt64]
        /// Vectors; each lane as the element type. No dictionary: growing one raises floating-point flags.
        var lanes: [[UInt64]]
        /// Guest address of the latest boundary.
        var programCounter: UInt64 = 0

        init(function: Function) {
            self.function = function
            values = Array(repeating: 0, count: function.count)
            lanes = Array(repeating: [], count: function.count)
        }

        subscript(_ value: Value) -> UInt64 { value.isNone ? 0 : values[Int(value.index)] }
        func type(of value: Value) -> Type { function[value].type }
    }

    enum Step {
        case next
        case result(UInt64)
        case lanes([UInt64])
        /// Index of the instruction to go on with.
        case block(Int)
        case leave(EvaluatorExit)
    }

    private func refusedAccess(_ instruction: Instruction, _ frame: inout Frame) -> EvaluatorExit? {
        if instruction.opcode == .boundary { frame.programCounter = UInt64(bitPattern: instruction.immediate) }
        guard let isAccessible, [.load, .store, .atomic, .compareExchange].contains(instruction.opcode) else { return nil }
        let address = address(of: instruction, frame[instruction.a], frame[instruction.b])
        if isAccessible(address, instruction.access.bytes * instruction.type.laneCount) { return nil }
        return .fault(address: address, programCounter: frame.programCounter)
    }

    private func step(_ instruction: Instruction, _ frame: inout Frame) -> Step {
        if isOfVectors(instruction, frame) { return vectorStep(instruction, &frame) }
        let a = frame[instruction.a]
        let target = UInt64(bitPattern: instruction.immediate)
        switch instruction.opcode {
        case .jump: return transfer(frame.function.transfers(of: instruction)[0], &frame)
        case .branch: return transfer(frame.function.transfers(of: instruction)[a != 0 ? 0 : 1], &frame)
        case .exit:
            return .leave(.exit(target: target, hint: instruction.hint, returnAddress: link(instruction, frame)))
        case .exitIndirect:
            return .leave(.indirect(target: a, hint: instruction.hint, returnAddress: link(instruction, frame)))
        case .exitTrap: return .leave(.trap(instruction.trapReason, programCounter: target))
        case .exitIf where a != 0: return .leave(.exit(target: target))
        case .interpretOne:
            if let exit = interpretOne(target) { return .leave(exit) }
            return .next
        case .nop, .boundary, .parameter, .fence, .exitIf: return .next
        default:
            return .result(result(of: instruction, frame))
        }
    }

    private func link(_ instruction: Instruction, _ frame: Frame) -> UInt64? {
        instruction.b.isNone ? nil : frame[instruction.b]
    }

    private func transfer(_ target: (block: Int, arguments: ArraySlice<Value>), _ frame: inout Frame) -> Step {
        let start = Int(frame.function.blocks[target.block].start)
        // All arguments are read before any parameter changes: a loop may exchange two values.
        let values = target.arguments.map { frame[$0] }
        for (offset, value) in values.enumerated() { frame.values[start + offset] = value }
        return .block(start)
    }

    func result(of instruction: Instruction, _ frame: Frame) -> UInt64 {
        let a = frame[instruction.a], b = frame[instruction.b], c = frame[instruction.c]
        switch instruction.opcode {
        case .constant, .guestAddress: return UInt64(bitPattern: instruction.immediate)
        case .read: return load(state + slotOffsets[instruction.slot], bytes: instruction.type.byteCount)
        case .write:
            store(state + slotOffsets[instruction.slot], bytes: instruction.type.byteCount, a)
            return 0
        case .select: return a != 0 ? b : c
        case .compare: return IntegerEvaluation.compare(instruction.condition, frame.type(of: instruction.a), a, b) ? 1 : 0
        case .load, .store, .atomic, .compareExchange: return memoryResult(of: instruction, a, b, c)
        case .hostAddress: return address(of: instruction, a, b)
        default: return arithmetic(instruction, frame.type(of: instruction.a), a, b, c)
        }
    }

    /// - Parameter source: type of a.
    func arithmetic(_ instruction: Instruction, _ source: Type, _ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
        switch instruction.opcode {
        case .floatAdd, .floatSubtract, .floatMultiply, .floatDivide, .floatSquareRoot, .multiplyAdd, .multiplySubtract,
            .negatedMultiplyAdd, .negatedMultiplySubtract, .canonicalNaN, .floatNegate, .floatAbsolute, .copySign,
            .copySignNegated, .copySignXor, .floatMinimum, .floatMaximum, .floatCompare, .integerToFloat, .floatToInteger,
            .floatToFloat, .bitcast, .box, .unbox, .roundToIntegral:
            return FloatEvaluation.result(of: instruction, source: source, a, b, c)
        default:
            return IntegerEvaluation.result(of: instruction.opcode, instruction.type, detail: instruction.detail, a, b)
        }
    }
}

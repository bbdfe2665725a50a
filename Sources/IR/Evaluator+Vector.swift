// Vector operations of the evaluator: lane by lane, as the scalar operations do it.

extension Evaluator {
    func isOfVectors(_ instruction: Instruction, _ frame: Frame) -> Bool {
        if instruction.type.isVector { return true }
        switch instruction.opcode {
        case .lane, .sumLanes, .anyNaN, .anyBit: return true
        default: return false
        }
    }

    func vectorStep(_ instruction: Instruction, _ frame: inout Frame) -> Step {
        let a = instruction.a.isNone ? [] : frame.lanes[Int(instruction.a.index)]
        switch instruction.opcode {
        case .lane: return .result(a[Int(instruction.detail)])
        case .sumLanes: return .result(a.reduce(0, &+))
        case .anyBit: return .result(a.contains { $0 != 0 } ? 1 : 0)
        case .compare: return .lanes(compared(instruction, a, frame.lanes[Int(instruction.b.index)]))
        case .anyNaN:
            let element = frame.type(of: instruction.a).element
            return .result(a.contains { FloatEvaluation.isNaN(element, $0) } ? 1 : 0)
        case .broadcast:
            let bits = frame[instruction.a] & laneMask(instruction.type)
            return .lanes(Array(repeating: bits, count: instruction.type.laneCount))
        case .load, .store: return access(instruction, &frame)
        default: return .lanes(combined(instruction, frame))
        }
    }

    private func laneMask(_ type: Type) -> UInt64 { type.laneByteCount == 8 ? ~0 : 1 << UInt64(type.laneByteCount * 8) - 1 }

    private func access(_ instruction: Instruction, _ frame: inout Frame) -> Step {
        var one = instruction, lanes: [UInt64] = []
        one.type = instruction.type.element
        for lane in 0 ..< instruction.type.laneCount {
            let stored = instruction.opcode == .store ? frame.lanes[Int(instruction.c.index)][lane] : 0
            let loaded = memoryResult(of: one, frame[instruction.a], frame[instruction.b], stored)
            lanes.append(loaded & laneMask(instruction.type))
            one.immediate &+= Int64(instruction.access.bytes)
        }
        return instruction.opcode == .store ? .next : .lanes(lanes)
    }

    private func compared(_ instruction: Instruction, _ a: [UInt64], _ b: [UInt64]) -> [UInt64] {
        let unused = UInt64(64 - instruction.type.laneByteCount * 8)
        return zip(a, b).map { a, b in
            IntegerEvaluation.compare(instruction.condition, .i64, a << unused, b << unused) ? laneMask(instruction.type) : 0
        }
    }

    private func combined(_ instruction: Instruction, _ frame: Frame) -> [UInt64] {
        var one = instruction
        one.type = instruction.type.element
        let operands = [instruction.a, instruction.b, instruction.c].prefix(instruction.opcode.operandCount).map {
            frame.lanes[Int($0.index)]
        }
        return (0 ..< instruction.type.laneCount).map { lane in
            let values = operands.map { $0[lane] } + [0, 0]
            return arithmetic(one, one.type, values[0], values[1], operands.count > 2 ? values[2] : 0)
                & laneMask(instruction.type)
        }
    }
}

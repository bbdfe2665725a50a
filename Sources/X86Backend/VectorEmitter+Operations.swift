// Operations on vectors, lane by lane.

import IR
import X86

extension VectorEmitter {
    func emit(_ index: Int) {
        let i = instruction(index), width = width(i.type), float = float(i.type)
        switch i.opcode {
        case .load: emitLoad(i, plan.register[index].unsafelyUnwrapped)
        case .store: emitStore(i, index)
        case .floatAdd: emitFloat(.add, i, index)
        case .floatSubtract: emitFloat(.sub, i, index)
        case .floatMultiply: emitFloat(.mul, i, index)
        case .floatDivide: emitFloat(.div, i, index)
        case .floatSquareRoot: translator.asm.vsqrtp(float, width, result(index), vector(i.a))
        case .multiplyAdd: emitFused(.multiplyAdd, i, index)
        case .multiplySubtract: emitFused(.multiplySubtract, i, index)
        case .negatedMultiplyAdd: emitFused(.negatedMultiplyAdd, i, index)
        case .negatedMultiplySubtract: emitFused(.negatedMultiplySubtract, i, index)
        case .canonicalNaN:
            let mask = plan.temporaries[index].unsafelyUnwrapped[0]
            translator.asm.vcmpunordp(float, width, mask, vector(i.a), vector(i.a))
            translator.asm.vblendvp(float, width, result(index), vector(i.a), literal(i), mask)
        case .floatNegate: translator.asm.vlogic(.xor, width, result(index), vector(i.a), literal(i))
        case .floatAbsolute: translator.asm.vlogic(.and, width, result(index), vector(i.a), literal(i))
        case .copySign, .copySignNegated, .copySignXor: emitCopySign(i, index)
        case .add: emitInteger([1: .paddb, 2: .paddw, 4: .paddd, 8: .paddq], i, index)
        case .subtract: emitInteger([1: .psubb, 2: .psubw, 4: .psubd, 8: .psubq], i, index)
        case .compare where i.condition == .equal: emitInteger([1: .pcmpeqb, 2: .pcmpeqw, 4: .pcmpeqd, 8: .pcmpeqq], i, index)
        case .compare: emitInteger([1: .pcmpgtb, 2: .pcmpgtw, 4: .pcmpgtd, 8: .pcmpgtq], i, index)
        case .multiply: translator.asm.vector(.pmulld, width, result(index), vector(i.a), vector(i.b))
        case .and: translator.asm.vlogic(.and, width, result(index), vector(i.a), vector(i.b))
        case .or: translator.asm.vlogic(.or, width, result(index), vector(i.a), vector(i.b))
        case .xor: translator.asm.vlogic(.xor, width, result(index), vector(i.a), vector(i.b))
        case .shiftLeft: emitShift(.left, i, index)
        case .shiftRightLogical: emitShift(.right, i, index)
        case .shiftRightArithmetic: emitShift(.rightArithmetic, i, index)
        default: preconditionFailure("\(i.opcode) does not work on vectors")
        }
    }

    private func result(_ index: Int) -> XMM { plan.register[index].unsafelyUnwrapped }
    private func literal(_ i: Instruction) -> XMM { VectorLoopPlan.constant(of: i).flatMap { plan.constants[$0] }.unsafelyUnwrapped }

    private func emitFloat(_ operation: FloatOperation, _ i: Instruction, _ index: Int) {
        translator.asm.vpacked(operation, float(i.type), width(i.type), result(index), vector(i.a), vector(i.b))
    }

    private func emitFused(_ operation: FusedOperation, _ i: Instruction, _ index: Int) {
        translator.asm.vmovups(width(i.type), result(index), vector(i.c))
        translator.asm.vfused(operation, .f231, float(i.type), width(i.type), result(index), vector(i.a), vector(i.b))
    }

    private func emitInteger(_ operations: [Int: VectorOperation], _ i: Instruction, _ index: Int) {
        translator.asm.vector(operations[i.type.laneByteCount].unsafelyUnwrapped, width(i.type), result(index), vector(i.a), vector(i.b))
    }

    private func emitShift(_ shift: Assembler.ElementShift, _ i: Instruction, _ index: Int) {
        let amount = constant(self[i.b].a).unsafelyUnwrapped
        translator.asm.vshift(
            shift, elementBytes: i.type.laneByteCount, width(i.type), result(index), vector(i.a), imm: UInt8(truncatingIfNeeded: amount))
    }

    private func emitCopySign(_ i: Instruction, _ index: Int) {
        let width = width(i.type), sign = literal(i), bits = plan.temporaries[index].unsafelyUnwrapped[0]
        if i.opcode == .copySignNegated {
            translator.asm.vlogic(.andn, width, bits, vector(i.b), sign)
        } else {
            translator.asm.vlogic(.and, width, bits, vector(i.b), sign)
        }
        if i.opcode == .copySignXor {
            translator.asm.vlogic(.xor, width, result(index), vector(i.a), bits)
        } else {
            translator.asm.vlogic(.andn, width, result(index), sign, vector(i.a))
            translator.asm.vlogic(.or, width, result(index), result(index), bits)
        }
    }

    // MARK: Memory

    private func emitLoad(_ i: Instruction, _ register: XMM) {
        let memory = memory(i), bytes = i.access.bytes
        if bytes == i.type.laneByteCount {
            translator.asm.vmovups(width(i.type), register, memory)
        } else {
            translator.asm.vpmovx(signed: i.access.isSigned, from: bytes, to: i.type.laneByteCount, width(i.type), register, memory)
        }
    }

    private func emitStore(_ i: Instruction, _ index: Int) {
        let memory = memory(i), bytes = i.access.bytes, lanes = i.type.laneCount
        if bytes == i.type.laneByteCount { return translator.asm.vmovups(width(i.type), memory, vector(i.c)) }
        let packed = emitNarrow(vector(i.c), lanes: lanes, from: i.type.laneByteCount, to: bytes, plan.temporaries[index].unsafelyUnwrapped)
        switch bytes * lanes {
        case 16: translator.asm.vmovups(.x128, memory, packed)
        case 8: translator.asm.vmovd(.quad, memory, packed)
        default: translator.asm.vmovd(.long, memory, packed)
        }
    }

    /// The low parts of lanes, side by side.
    private func emitNarrow(_ source: XMM, lanes: Int, from: Int, to: Int, _ temporaries: [XMM]) -> XMM {
        let (low, high) = (temporaries[0], temporaries[1]), isLong = lanes * from == 32
        if from == 8 {
            if isLong {
                translator.asm.vextractf128(high, source, 1)
                translator.asm.vshufps(.x128, low, source, high, imm: 0b10_00_10_00)
            } else {
                translator.asm.vpshufd(.x128, low, source, imm: 0b10_00_10_00)
            }
            return to == 4 ? low : emitNarrow(low, lanes: lanes, from: 4, to: to, [low, high])
        }
        // Without their high bits, lanes are what saturation leaves as they are.
        let bits = UInt8(8 * (from - to)), width: VectorWidth = isLong ? .x256 : .x128
        translator.asm.vshift(.left, elementBytes: from, width, low, source, imm: bits)
        translator.asm.vshift(.right, elementBytes: from, width, low, low, imm: bits)
        if isLong { translator.asm.vextractf128(high, low, 1) }
        let upper = isLong ? high : low
        if from == 4 { translator.asm.vector(.packusdw, .x128, low, low, upper) }
        if from == 2 { translator.asm.vector(.packuswb, .x128, low, low, upper) }
        if from == 4 && to == 1 { translator.asm.vector(.packuswb, .x128, low, low, low) }
        return low
    }
}

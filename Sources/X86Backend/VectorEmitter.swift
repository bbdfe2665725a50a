// The instructions of a loop of vectors, one operation at a time; scalars are computed where they are used.

import IR
import X86

struct VectorEmitter {
    let plan: VectorLoopPlan
    unowned let translator: Translator
    /// Values that have been written in this group, and where to.
    var settled: [UInt32: Int] = [:]
    /// Machine mode: the accesses of a group.
    var accesses: [Int] = []

    subscript(_ value: Value) -> Instruction { plan.function.instructions[Int(value.index)] }
    func instruction(_ index: Int) -> Instruction { plan.function.instructions[index] }
    func vector(_ value: Value) -> XMM { plan.register[Int(value.index)].unsafelyUnwrapped }
    func width(_ type: Type) -> VectorWidth { type.byteCount == 32 ? .x256 : .x128 }
    func float(_ type: Type) -> FloatWidth { type.element == .f32 ? .single : .double }

    // MARK: Once

    func emitConstants() {
        let single: [CodeStubs.Constant] = [.canonicalSingle, .signSingle, .absoluteSingle]
        for (constant, register) in plan.constants {
            translator.asm.vmovups(.x128, register, translator.asm.memory(at: translator.stubs.address(constant)))
            spread(elementBytes: single.contains(constant) ? 4 : 8, vectorWidth, register)
        }
        for index in plan.hoisted {
            guard let register = plan.register[index] else { continue }
            let i = instruction(index)
            load(i.a, into: register)
            spread(elementBytes: i.type.laneByteCount, width(i.type), register)
        }
    }

    /// The widest that is used: what is in the rest of a constant's register does not matter.
    private var vectorWidth: VectorWidth { plan.body.contains { instruction($0).type.byteCount == 32 } ? .x256 : .x128 }

    /// A scalar in the lowest element.
    private func load(_ value: Value, into register: XMM) {
        let i = self[value]
        switch i.opcode {
        case .unbox: load(i.a, into: register)
        case .bitcast: load(i.a, into: register)
        case .read where i.type.isFloat:
            let home = translator.homes[i.slot]
            if home != RegisterMap.none {
                translator.asm.vmovups(.x128, register, XMM(rawValue: home).unsafelyUnwrapped)
            } else {
                translator.asm.mov(.quad, .rdi, translator.map.memory(ofSlot: i.slot))
                translator.asm.vmovd(.quad, register, .rdi)
            }
        case .constant:
            translator.asm.movImmediate(.rdi, UInt64(bitPattern: i.immediate))
            translator.asm.vmovd(.quad, register, .rdi)
        default:
            var pool = VectorEmitter.scratch
            translator.asm.vmovd(.quad, register, scalar(value, &pool))
        }
    }

    /// The lowest element in all.
    private func spread(elementBytes: Int, _ width: VectorWidth, _ register: XMM) {
        if translator.features.contains(.avx2) {
            return translator.asm.vpbroadcast(elementBytes: elementBytes, width, register, register)
        }
        switch elementBytes {
        case 8: translator.asm.vmovddup(register, register)
        case 4: translator.asm.vpshufd(.x128, register, register, imm: 0)
        default:
            if elementBytes == 1 { translator.asm.vector(.punpcklbw, .x128, register, register, register) }
            translator.asm.vpshuflw(register, register, imm: 0)
            translator.asm.vpshufd(.x128, register, register, imm: 0)
        }
    }

    /// An f32 that is not boxed is a NaN: left to the scalar code.
    func emitBoxCheck(_ index: Int, to label: Label) {
        let slot = self[instruction(index).a].slot, home = translator.homes[slot]
        if home != RegisterMap.none {
            translator.asm.vpextr(elementBytes: 4, .rdi, XMM(rawValue: home).unsafelyUnwrapped, 1)
            translator.asm.cmp(.long, .rdi, imm: -1)
        } else {
            translator.asm.cmp(.long, translator.map.memory(ofSlot: slot).advanced(by: 4), imm: -1)
        }
        translator.asm.jcc(.ne, label)
    }

    // MARK: Checks

    func emitCheck(_ index: Int, to label: Label, unless: Bool = false) {
        let comparison = self[instruction(index).a], isWord = self[comparison.a].type == .i32, width: Width = isWord ? .long : .quad
        var pool = VectorEmitter.scratch
        let a = scalar(comparison.a, &pool)
        if let number = constant(comparison.b), let short = Int32(exactly: number) {
            translator.asm.cmp(width, a, imm: short)
        } else {
            translator.asm.cmp(width, a, scalar(comparison.b, &pool))
        }
        let condition = comparison.condition.x86
        translator.asm.jcc(unless ? condition.inverted : condition, label)
    }

    func emitNaNCheck(_ index: Int, to label: Label) {
        let test = self[instruction(index).a], type = self[test.a].type, temporary = plan.temporaries[index].unsafelyUnwrapped[0]
        translator.asm.vcmpunordp(float(type), width(type), temporary, vector(test.a), vector(test.a))
        translator.asm.vmovmskp(float(type), width(type), .rdi, temporary)
        translator.asm.test(.long, .rdi, .rdi)
        translator.asm.jcc(.ne, label)
    }

    func emitBitCheck(_ index: Int, to label: Label) {
        let test = self[instruction(index).a], lanes = vector(test.a)
        translator.asm.vptest(width(self[test.a].type), lanes, lanes)
        translator.asm.jcc(.ne, label)
    }

    // MARK: Memory

    /// A load that may reach behind where the guest stops must not touch a page that the guest does not: to `label` when it ends in the
    /// first bytes of a page.
    func emitPageCheck(_ index: Int, to label: Label) {
        let i = instruction(index), bytes = Int32(i.access.bytes * i.type.laneCount)
        translator.asm.lea(.quad, .rdi, memory(i).advanced(by: bytes - 1))
        translator.asm.test(.long, .rdi, imm: 4095 & ~(bytes - 1))
        translator.asm.jcc(.e, label)
    }

    func memory(_ i: Instruction) -> Memory {
        translator.softBuffer == nil ? directMemory(i) : hostMemory(i)
    }

    /// At the guest's address.
    func directMemory(_ i: Instruction) -> Memory {
        var pool = VectorEmitter.scratch
        let base = scalar(i.a, &pool), displacement = Int32(truncatingIfNeeded: i.immediate)
        if i.b.isNone { return .base(base, displacement) }
        let scale: Scale = i.access.scale == 1 ? .one : i.access.scale == 2 ? .two : i.access.scale == 4 ? .four : .eight
        return .base(base, index: scalar(i.b, &pool), scale: scale, displacement)
    }

    func constant(_ value: Value) -> Int64? { self[value].opcode == .constant ? self[value].immediate : nil }
}

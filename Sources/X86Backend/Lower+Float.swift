// Floating point: host instructions, with code only where the guest's semantics differ.
//
// An f32 in a vector register always has all ones in the upper half of its 64-bit word: it is NaN-boxed as it stands, so `box`
// costs nothing. Scalar instructions copy the upper bits of their first source; loads and conversions set them.

import CHost
import IR
import X86

extension Translator {
    func finish(_ index: Int, in vector: XMM) {
        if let slot = directTarget(index) {
            takeOver(slot, index)
            asm.movaps(XMM(rawValue: homes[slot]).unsafelyUnwrapped, vector)
            record(.define(value: index, .slot(slot)))
        } else {
            let owner = vectorOwner[Int(vector.rawValue)]
            if owner >= 0 { values[Int(owner)].register = ValueState.nowhere }
            own(index, vector)
            record(.define(value: index, .vector(vector.rawValue)))
        }
    }

    /// Makes an f32 whose upper half is unknown or zero a boxed one.
    func setUpperHalf(_ vector: XMM) { asm.logic(.or, .single, vector, asm.memory(at: stubs.address(.boxMask))) }

    // MARK: Arithmetic

    func lowerFloat(_ operation: FloatOperation, _ i: Instruction, _ index: Int) {
        let width = i.type.floatWidth
        let a = useVector(i.a), b = vectorOperand(i.b)
        if features.contains(.avx) {
            let destination = defineVector(index, reusing: i.a, i.b)
            switch b {
            case .register(let vector): asm.vscalar(operation, width, destination, a, vector)
            case .memory(let memory): asm.vscalar(operation, width, destination, a, memory)
            }
            return
        }
        let result = allocateVector()
        asm.movaps(result, a)
        switch b {
        case .register(let vector): asm.scalar(operation, width, result, vector)
        case .memory(let memory): asm.scalar(operation, width, result, memory)
        }
        finish(index, in: result)
    }

    func lowerSquareRoot(_ i: Instruction, _ index: Int) {
        let a = useVector(i.a), destination = defineVector(index, reusing: i.a)
        if destination != a { asm.movaps(destination, a) }
        asm.sqrts(i.type.floatWidth, destination, destination)
    }

    func lowerFused(_ operation: FusedOperation, _ i: Instruction, _ index: Int) {
        guard features.contains(.fma) else { return callFusedHelper(operation, i, index) }
        let a = useVector(i.a), b = useVector(i.b), c = useVector(i.c), width = i.type.floatWidth
        // Infinity times zero is invalid for the guest even beside a quiet NaN, for x86 it is not: the cold path looks at the
        // factors again, so the result may not take their registers.
        let temporary = allocate(), result = allocateVector()
        asm.movaps(result, c)
        asm.fused(operation, .f231, width, result, a, b)
        asm.ucomis(width, result, result)
        let back = asm.makeLabel()
        var stub = ColdStub(kind: .fusedNaN(width), label: asm.makeLabel(), back: back)
        (stub.register, stub.register2, stub.register3, stub.temporary) = (result.rawValue, a.rawValue, b.rawValue, temporary.rawValue)
        coldStubs.append(stub)
        asm.jcc(.p, stub.label)
        asm.bind(back)
        finish(index, in: result)
    }

    /// The product alone decides whether "invalid" is raised; its other flags must not stay.
    func emitFusedNaN(_ stub: ColdStub, _ width: FloatWidth) {
        let result = XMM(rawValue: stub.register).unsafelyUnwrapped
        let temporary = Register(rawValue: stub.temporary).unsafelyUnwrapped
        let before = RegisterMap.header(\.helper_scratch), after = before.advanced(by: 4)
        asm.stmxcsr(before)
        asm.movaps(result, XMM(rawValue: stub.register2).unsafelyUnwrapped)
        asm.scalar(.mul, width, result, XMM(rawValue: stub.register3).unsafelyUnwrapped)
        asm.stmxcsr(after)
        asm.mov(.long, temporary, after)
        asm.and(.long, temporary, imm: 1)
        asm.or(.long, before, temporary)
        asm.ldmxcsr(before)
        asm.movaps(result, asm.memory(at: stubs.address(width == .single ? .canonicalSingle : .canonicalDouble)))
        asm.jmp(stub.back.unsafelyUnwrapped)
    }

    private func callFusedHelper(_ operation: FusedOperation, _ i: Instruction, _ index: Int) {
        let kind: UInt64 =
            switch operation {
            case .multiplyAdd: 0
            case .multiplySubtract: 1
            case .negatedMultiplyAdd: 2
            default: 3
            }
        callHelper(mynah_helper_fused(Int32(kind), i.type == .f32 ? 1 : 0), [i.a, i.b, i.c], index)
    }

    func lowerCanonicalNaN(_ i: Instruction, _ index: Int) {
        let a = useVector(i.a)
        let destination = defineVector(index, reusing: i.a)
        let width = i.type.floatWidth
        if destination != a { asm.movaps(destination, a) }
        if isRelaxed(i) { return }
        asm.ucomis(width, destination, destination)
        let back = asm.makeLabel()
        asm.jcc(.p, makeCold(.canonicalNaN(width), back: back, destination.rawValue))
        asm.bind(back)
    }

    // MARK: Bits

    /// `a operation constant`: sign changes and NaN boxing.
    func lowerFloatLogic(_ operation: FloatLogic, _ i: Instruction, _ index: Int, _ constant: CodeStubs.Constant) {
        let a = useVector(i.a), destination = defineVector(index, reusing: i.a)
        let mask = asm.memory(at: stubs.address(constant))
        if destination == a {
            asm.logic(operation, .single, destination, mask)
        } else if features.contains(.avx) {
            asm.vlogic(operation, .single, destination, a, mask)
        } else {
            asm.movaps(destination, a)
            asm.logic(operation, .single, destination, mask)
        }
    }

    func lowerCopySign(_ i: Instruction, _ index: Int) {
        let single = i.type == .f32
        let sign = asm.memory(at: stubs.address(single ? .signSingle : .signDouble))
        let magnitude = asm.memory(at: stubs.address(single ? .absoluteSingle : .absoluteDouble))
        let a = useVector(i.a), b = useVector(i.b)
        let signBits = allocateVector(), result = allocateVector()
        asm.movaps(signBits, b)
        if i.opcode == .copySignNegated { asm.logic(.xor, .single, signBits, sign) }
        asm.logic(.and, .single, signBits, sign)
        asm.movaps(result, a)
        if i.opcode == .copySignXor {
            asm.logic(.xor, .single, result, signBits)
        } else {
            asm.logic(.and, .single, result, magnitude)
            asm.logic(.or, .single, result, signBits)
        }
        finish(index, in: result)
    }

    func lowerBitcast(_ i: Instruction, _ index: Int) {
        if i.type.isFloat {
            let a = use(i.a), destination = defineVector(index)
            asm.movd(i.type == .f32 ? .long : .quad, destination, a)
            if i.type == .f32 { setUpperHalf(destination) }
        } else {
            let a = useVector(i.a)
            asm.movd(i.type.width, define(index), a)
        }
    }

    func lowerUnbox(_ i: Instruction, _ index: Int) {
        let a = useVector(i.a), upper = allocate()
        asm.pextrd(upper, a, 1)
        let result = defineVector(index, reusing: i.a)
        if result != a { asm.movaps(result, a) }
        asm.cmp(.long, upper, imm: -1)
        let back = asm.makeLabel()
        asm.jcc(.ne, makeCold(.canonicalNaN(.single), back: back, result.rawValue))
        asm.bind(back)
        locked &= ~(1 << UInt32(upper.rawValue))
    }

    // MARK: Comparison

    /// Flags of an ordered comparison (less, less or equal): unordered makes it false.
    func emitFloatComparison(_ i: Instruction) -> X86.Condition {
        let width = sourceWidth(i)
        let a = useVector(i.a), b = useVector(i.b)
        if i.detail >= 3 { asm.ucomis(width, b, a) } else { asm.comis(width, b, a) }
        return i.detail == 1 || i.detail == 3 ? .a : .ae
    }

    func lowerFloatCompare(_ i: Instruction, _ index: Int) {
        if i.detail != 0 { return materialise(emitFloatComparison(i), index) }
        let width = sourceWidth(i)
        asm.ucomis(width, useVector(i.a), useVector(i.b))
        let ordered = allocate()
        asm.setcc(.np, ordered)
        let destination = define(index)
        asm.setcc(.e, destination)
        asm.and(.byte, destination, ordered)
        asm.movzx(.long, destination, from: .byte, destination)
    }

    // MARK: Conversion

    func lowerFloatToFloat(_ i: Instruction, _ index: Int) {
        let a = useVector(i.a)
        if i.type == .f64 {
            asm.cvtss2sd(defineVector(index, reusing: i.a), a)
        } else {
            let result = allocateVector()
            asm.movaps(result, asm.memory(at: stubs.address(.boxMask)))
            asm.cvtsd2ss(result, a)
            finish(index, in: result)
        }
    }

    func lowerIntegerToFloat(_ i: Instruction, _ index: Int) {
        let source = function.instructions[Int(i.a.index)].type
        let signed = i.detail & 1 != 0
        if !signed && source == .i64 {
            return callHelper(mynah_helper_from_u64(i.type == .f32 ? 1 : 0), [i.a], index)
        }
        let a = use(i.a)
        var from = a
        if !signed {
            from = allocate()
            asm.mov(.long, from, a)
        }
        let destination = defineVector(index)
        // The conversion merges: do not wait for the old content.
        if i.type == .f32 {
            asm.movaps(destination, asm.memory(at: stubs.address(.boxMask)))
        } else {
            asm.xorp(.single, destination, destination)
        }
        asm.cvtsi2s(i.type.floatWidth, destination, from: signed ? source.width : .quad, from)
    }

    func lowerFloatToInteger(_ i: Instruction, _ index: Int) {
        let width = sourceWidth(i)
        let signed = i.detail & 8 != 0
        guard signed, i.rounding == .towardZero || i.rounding == .current else {
            let kind = Int32(i.detail) | (width == .single ? 16 : 0) | (i.type == .i32 ? 32 : 0)
            return callHelper(mynah_helper_to_integer(kind), [i.a], index)
        }
        let a = useVector(i.a), result = allocate(), integer = i.type.width
        if i.rounding == .towardZero { asm.cvtts2si(integer, result, from: width, a) } else { asm.cvts2si(integer, result, from: width, a) }
        // Only the "indefinite" value overflows when one is subtracted.
        asm.cmp(integer, result, imm: 1)
        let back = asm.makeLabel()
        asm.jcc(.o, makeCold(.saturate(width, integer), back: back, a.rawValue, result.rawValue))
        asm.bind(back)
        finish(index, in: result)
    }

    func emitSaturation(_ stub: ColdStub, _ width: FloatWidth, _ integer: Width) {
        let source = XMM(rawValue: stub.register).unsafelyUnwrapped
        let result = Register(rawValue: stub.register2).unsafelyUnwrapped
        let back = stub.back.unsafelyUnwrapped, largest = asm.makeLabel()
        asm.ucomis(width, source, asm.memory(at: stubs.address(.zero)))
        asm.jcc(.p, largest)
        asm.jcc(.b, back)
        asm.bind(largest)
        asm.movImmediate(result, integer == .quad ? UInt64(Int64.max) : UInt64(Int32.max))
        asm.jmp(back)
    }

    func lowerRound(_ i: Instruction, _ index: Int) {
        let control: RoundingControl =
            switch i.rounding {
            case .current: .current
            case .nearestEven: .nearest
            case .towardZero: .towardZero
            case .down: .down
            case .up: .up
            }
        let a = useVector(i.a), destination = defineVector(index, reusing: i.a)
        if destination != a { asm.movaps(destination, a) }
        asm.rounds(i.type.floatWidth, destination, destination, control, suppressingInexact: i.detail & 8 == 0)
    }

    func lowerMinimumMaximum(_ i: Instruction, _ index: Int) {
        let kind: Int32 = (i.opcode == .floatMaximum ? 1 : 0) | (i.type == .f32 ? 2 : 0)
        callHelper(mynah_helper_minimum_maximum(kind), [i.a, i.b], index)
    }

    // MARK: Helpers in C

    /// Calls a function of up to three words; a float travels as its bits. The result is of the instruction's type.
    /// - Parameter third: the third word, for one or two operands.
    func callHelper(_ helper: UInt64, _ operands: [Value], third: UInt64? = nil, _ index: Int) {
        spillAll(slotsChange: false)
        locked = 0
        lockedVectors = 0
        for (value, register) in zip(operands, [Register.rdi, .rcx, .rdx]) { bring(value, to: register) }
        if let third { asm.movImmediate(.rdx, third) }
        loadHelper(.rax, helper)
        asm.call(to: stubs.callHelper)
        let type = function.instructions[index].type
        if type.isFloat {
            let destination = defineVector(index)
            asm.movq(destination, .rax)
            if type == .f32 { setUpperHalf(destination) }
        } else {
            finish(index, in: .rax)
        }
    }

    /// Loads an argument whose value is in memory, a home or a constant.
    private func bring(_ value: Value, to register: Register) {
        let index = Int(value.index)
        let isFloat = function.instructions[index].type.isFloat
        if let number = constant(value) {
            // As in a vector register, an f32 is a boxed one.
            let upper: UInt64 = function.instructions[index].type == .f32 ? 0xffff_ffff_0000_0000 : 0
            asm.movImmediate(register, UInt64(bitPattern: number) | upper)
        } else if let address = guestAddress(value), homeRegister(index) == nil {
            loadGuestAddress(register, UInt64(bitPattern: address))
        } else if let home = homeRegister(index) {
            record(.use(value: index, .slot(Int(values[index].slot)), user: current))
            if isFloat { asm.movq(register, XMM(rawValue: home).unsafelyUnwrapped) } else { asm.mov(.quad, register, Register(rawValue: home).unsafelyUnwrapped) }
        } else if let (memory, place) = memoryPlace(index) {
            record(.use(value: index, place, user: current))
            asm.mov(.quad, register, memory)
        } else {
            preconditionFailure("value %\(index) is nowhere")
        }
    }
}

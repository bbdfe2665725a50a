// Rounds of ciphers, carry-less products and table permutations: with the host's instructions where it has them, otherwise by calls.

import CHost
import IR
import X86

/// What hosts without the instructions call: operation and detail are one word.
private enum CipherHelper {
    private static let function: @convention(c) (UInt64, UInt64, UInt64) -> UInt64 = { a, b, operation in
        let opcode = Opcode(rawValue: UInt8(truncatingIfNeeded: operation)).unsafelyUnwrapped
        return CipherEvaluation.result(of: opcode, detail: UInt8(truncatingIfNeeded: operation >> 8), a, b)
    }

    // SAFETY: a C function's value is its address; it is called with three words, see `callHelper`.
    static let address = UInt64(UInt(bitPattern: unsafeBitCast(function, to: UnsafeRawPointer.self)))

    static func word(_ i: Instruction) -> UInt64 { UInt64(i.opcode.rawValue) | UInt64(i.detail) << 8 }
}

extension Translator {
    private func callCipherHelper(_ i: Instruction, _ index: Int) {
        let operands = i.opcode.operandCount > 1 ? [i.a, i.b] : [i.a]
        callHelper(CipherHelper.address, operands, third: CipherHelper.word(i), index)
    }

    /// How far apart two results of one vector instruction may be computed, in IR instructions.
    private static let pairDistance = 16

    /// The instruction soon behind `index` that computes the other half of the same 128 bits.
    private func otherHalf(of index: Int, _ isOther: (Instruction) -> Bool) -> Int? {
        for other in index + 1 ..< min(function.count, index + Translator.pairDistance) {
            if isOther(function.instructions[other]), !values[other].isSunk, !values[other].isComputed { return other }
        }
        return nil
    }

    /// A value in the low half of a new vector register, whose high half is 0.
    private func lowHalf(_ value: Value) -> XMM {
        let operand = cipherOperand(value), vector = allocateVector()
        switch operand {
        case .memory(let memory): asm.movq(vector, memory)
        case .register(let register): asm.movq(vector, register)
        case .immediate(let number): preconditionFailure("\(number) is in a register")
        }
        return vector
    }

    /// As `operand`, but not an immediate.
    private func cipherOperand(_ value: Value) -> Operand { immediate(value) == nil ? operand(value) : .register(use(value)) }

    /// Both in one vector register.
    private func joined(_ low: Value, _ high: Value) -> XMM {
        let vector = lowHalf(low)
        switch cipherOperand(high) {
        case .memory(let memory): asm.pinsrq(vector, memory, imm: 1)
        case .register(let register): asm.pinsrq(vector, register, imm: 1)
        case .immediate(let number): preconditionFailure("\(number) is in a register")
        }
        return vector
    }

    /// The halves of a vector as results, of which one may not be due yet.
    private func defineHalves(of vector: XMM, low: Int?, high: Int?) {
        let due = min(low ?? .max, high ?? .max), later = low == nil || high == nil ? nil : max(low!, high!)
        if let later {
            let register = allocate()
            extract(half: later == high ? 1 : 0, of: vector, into: register)
            define(later, in: register)
            values[later].isComputed = true
        }
        let isHigh = due == high
        extract(half: isHigh ? 1 : 0, of: vector, into: define(due))
    }

    private func extract(half: UInt8, of vector: XMM, into register: Register) {
        if half == 0 { asm.movq(register, vector) } else { asm.pextrq(register, vector, imm: 1) }
    }

    // MARK: Products and permutations

    func lowerCarrylessMultiply(_ i: Instruction, _ index: Int) {
        guard features.contains([.pclmul, .sse41]) else { return callCipherHelper(i, index) }
        let isHigh = i.opcode == .carrylessMultiplyHigh, otherOpcode: Opcode = isHigh ? .carrylessMultiply : .carrylessMultiplyHigh
        let other = otherHalf(of: index) {
            $0.opcode == otherOpcode && (($0.a == i.a && $0.b == i.b) || ($0.a == i.b && $0.b == i.a))
        }
        let product = lowHalf(i.a)
        asm.pclmulqdq(product, i.a == i.b ? product : lowHalf(i.b), imm: 0)
        defineHalves(of: product, low: isHigh ? other : index, high: isHigh ? index : other)
    }

    /// Indices are made such that `pshufb` gives 0 for those that are too large: 8 to 15 choose from the upper half, which is 0, and 16 to
    /// 255 have their highest bit set.
    func lowerPermuteBytes(_ i: Instruction, _ index: Int) {
        guard features.contains(.ssse3) else { return callCipherHelper(i, index) }
        let table = lowHalf(i.a), indices = lowHalf(i.b)
        asm.paddusb(indices, vectorConstant(0x7070_7070_7070_7070))
        asm.pshufb(table, indices)
        asm.movq(define(index), table)
    }

    /// Sixteen nibbles make a table of bytes, which the low and the high nibbles of b choose from.
    func lowerPermuteNibbles(_ i: Instruction, _ index: Int) {
        guard features.contains(.ssse3) else { return callCipherHelper(i, index) }
        let mask = vectorConstant(0x0f0f_0f0f_0f0f_0f0f)
        let table = lowHalf(i.a), indices = lowHalf(i.b), high = allocateVector()
        asm.movdqa(high, table)
        asm.psrlq(high, imm: 4)
        asm.pand(table, mask)
        asm.pand(high, mask)
        asm.punpcklbw(table, high)
        asm.movdqa(high, indices)
        asm.psrlq(high, imm: 4)
        asm.pand(high, mask)
        asm.pand(indices, mask)
        let results = allocateVector()
        asm.movdqa(results, table)
        asm.pshufb(results, high)
        asm.psllq(results, imm: 4)
        asm.pshufb(table, indices)
        asm.por(table, results)
        asm.movq(define(index), table)
    }

    private func vectorConstant(_ bits: UInt64) -> XMM {
        let register = allocate(), vector = allocateVector()
        asm.movImmediate(register, bits)
        asm.movq(vector, register)
        locked &= ~(1 << UInt32(register.rawValue))
        return vector
    }

    // MARK: AES

    /// One instruction of the host makes both halves of a state. The round behind it starts from the vector that it leaves, with the key
    /// added there: the way through general registers, which the guest takes, would be three times as long.
    func lowerAESRound(_ i: Instruction, _ index: Int) {
        guard features.contains([.aes, .sse41]) else { return callCipherHelper(i, index) }
        let other = otherHalf(of: index) { $0.opcode == .aesRound && $0.detail == i.detail && $0.a == i.b && $0.b == i.a }
        let state = stateWithKey(i.a, i.b) ?? joined(i.a, i.b), zero = allocateVector()
        asm.pxor(zero, zero)
        asm.vector(AESRound(rawValue: i.detail).unsafelyUnwrapped.operation, state, zero)
        defineHalves(of: state, low: index, high: other)
        if let other { cipherState = CipherState(low: index, high: other, vector: state) }
    }

    /// When both values are halves of the last state with something added that can still be had: the sum, in the last state's register.
    private func stateWithKey(_ low: Value, _ high: Value) -> XMM? {
        guard let last = cipherState, let lowKey = addend(low, to: last.low), let highKey = addend(high, to: last.high) else { return nil }
        lock(last.vector)
        let key = joined(lowKey, highKey)
        asm.pxor(last.vector, key)
        cipherState = nil
        return last.vector
    }

    /// What has to be added to the result of `index` for the value.
    private func addend(_ value: Value, to index: Int) -> Value? {
        let sum = function.instructions[Int(value.index)]
        guard sum.opcode == .xor, sum.type == .i64 else { return nil }
        let addend = sum.a == Value(index) ? sum.b : sum.b == Value(index) ? sum.a : Value.none
        return addend.isNone || !isAtHand(addend) ? nil : addend
    }

    /// A value that may have had its last use, but is still where it was.
    private func isAtHand(_ value: Value) -> Bool {
        let index = Int(value.index)
        return values[index].register != ValueState.nowhere || homeRegister(index) != nil || memoryPlace(index) != nil
    }

    func forgetCipherState(in vector: XMM) {
        if let last = cipherState, last.vector == vector { cipherState = nil }
    }

    func lowerInverseMixColumns(_ i: Instruction, _ index: Int) {
        guard features.contains(.aes) else { return callCipherHelper(i, index) }
        let vector = lowHalf(i.a)
        asm.aesimc(vector, vector)
        asm.movq(define(index), vector)
    }

    /// The host's instruction has the substituted word in word 0, and that rotated and changed by the constant in word 1.
    func lowerAESKeyRound(_ i: Instruction, _ index: Int) {
        guard features.contains(.aes) else { return callCipherHelper(i, index) }
        let vector = lowHalf(i.a), constants: [UInt8] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36, 0]
        asm.aeskeygenassist(vector, vector, imm: constants[Int(i.detail)])
        asm.pshufd(vector, vector, imm: i.detail < 10 ? 0x55 : 0)
        asm.movq(define(index), vector)
    }

    // MARK: SM4

    func lowerSM4Substitute(_ i: Instruction, _ index: Int) {
        let a = use(i.a), table = allocate(), place = allocate()
        asm.movzx(.long, place, from: .byte, a)
        loadHelper(table, mynah_sm4_words(i.detail == SM4Step.keySchedule.rawValue ? 1 : 0))
        asm.mov(.long, define(index, reusing: i.a), .base(table, index: place, scale: .four))
    }
}

/// Two results of an AES round that are in one vector register.
struct CipherState {
    let low: Int, high: Int
    let vector: XMM
}

extension AESRound {
    /// The host's instruction, which adds a key.
    fileprivate var operation: VectorOperation {
        switch self {
        case .encryptLast: .aesenclast
        case .encrypt: .aesenc
        case .decryptLast: .aesdeclast
        case .decrypt: .aesdec
        }
    }
}

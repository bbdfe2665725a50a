// Random single-block functions: many values alive at once, fixed registers, pinned and unpinned slots, memory, floats, exits.

import IR
import TestSupport

struct BlockRandom: RandomNumberGenerator {
    private var numbers: SplitMix
    init(seed: UInt64) { numbers = SplitMix(seed: seed) }
    mutating func next() -> UInt64 { numbers.next() }

    private static let integers: [UInt64] = [
        0, 1, 2, ~0, 7, 8, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_ffff_8000_0000,
        1 << 63, ~0 >> 1,
    ]
    mutating func integer() -> UInt64 {
        let bits = next()
        return chance(oneIn: 2) ? pick(BlockRandom.integers) : bits >> (bits & 63)
    }

    private static let doubles: [UInt64] = [
        0, 1 << 63, 1, 0x7ff0 << 48, 0xfff0 << 48, 0x7ff8 << 48, 0x7ff0 << 48 | 1, 0x3ff0 << 48, 0xbff0 << 48, 0x43e0 << 48,
        0xc3e0 << 48,
        0x41df_ffff_ffc0_0000, 0x3fe0 << 48, 0x7fef_ffff_ffff_ffff, 0x0010 << 48, 0x36a0 << 48,
    ]
    private static let singles: [UInt64] = [
        0, 0x8000_0000, 1, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f80_0001, 0x3f80_0000, 0xbf80_0000, 0x5f00_0000, 0x4f00_0000,
        0xcf00_0000, 0x3f00_0000, 0x7f7f_ffff,
    ]
    mutating func float(_ type: Type) -> UInt64 {
        let bits = next()
        switch below(3) {
        case 0: return type == .f64 ? pick(BlockRandom.doubles) : pick(BlockRandom.singles)
        case 1:
            return type == .f64
                ? (Double(Int32(truncatingIfNeeded: bits)) / 8).bitPattern
                : UInt64((Float(Int16(truncatingIfNeeded: bits)) / 8).bitPattern)
        default: return type == .f64 ? bits : bits & 0xffff_ffff
        }
    }
}

struct RandomBlock {
    static let integerSlots = 16
    static let floatSlots = 16
    static let slotTypes = Array(repeating: Type.i64, count: integerSlots) + Array(repeating: Type.f64, count: floatSlots)
    /// Slot 0 holds the address of the memory that blocks access.
    static let pointerSlot = 0
    static let memoryBytes = 4096

    let function = Function()
    private var builder: Builder
    private var random: BlockRandom
    private var values: [Type: [Value]] = [:]
    private let memory: UInt64
    /// Side exits, and chains of writes that only they and faults see.
    private let leavesOften: Bool
    private var address: UInt64 = 0x1000

    /// - Parameter memory: address of the middle of `memoryBytes` bytes.
    static func make(seed: UInt64, memory: UInt64, count: Int, leavesOften: Bool = false) -> Function {
        var block = RandomBlock(seed: seed, memory: memory, leavesOften: leavesOften)
        block.fill(count)
        return block.function
    }

    private init(seed: UInt64, memory: UInt64, leavesOften: Bool) {
        self.leavesOften = leavesOften
        random = BlockRandom(seed: seed)
        builder = Builder(function: function, slotTypes: RandomBlock.slotTypes)
        self.memory = memory
    }

    private mutating func fill(_ count: Int) {
        function.reset(entry: address)
        builder.startBlock()
        for type in [Type.i32, .i64, .f32, .f64] {
            values[type] = []
            keep(constant(type), type)
        }
        while function.count < count {
            if random.chance(oneIn: 3) {
                builder.boundary(address)
                address += 4
            }
            step()
        }
        end()
    }

    private mutating func keep(_ value: Value, _ type: Type) { values[type]!.append(value) }

    /// A value of the type: a recent one mostly, an old one to keep it alive, or a constant.
    private mutating func value(_ type: Type) -> Value {
        let known = values[type]!
        switch random.below(8) {
        case 0: return constant(type)
        case 1, 2: return random.pick(known)
        default: return known[known.count - 1 - random.below(min(known.count, 10))]
        }
    }

    private mutating func constant(_ type: Type) -> Value {
        let bits = type.isFloat ? random.float(type) : random.integer()
        return builder.constant(type, Int64(bitPattern: bits))
    }

    private mutating func integerType() -> Type { random.chance(oneIn: 3) ? .i32 : .i64 }
    private mutating func floatType() -> Type { random.chance(oneIn: 2) ? .f32 : .f64 }

    private mutating func step() {
        if leavesOften, random.chance(oneIn: 2) { return random.chance(oneIn: 4) ? leave() : chain() }
        switch random.below(27) {
        case 0, 1: keep(builder.read(1 + random.below(RandomBlock.integerSlots - 1)), .i64)
        case 2: keep(builder.read(RandomBlock.integerSlots + random.below(RandomBlock.floatSlots)), .f64)
        case 3, 4, 5: builder.write(1 + random.below(RandomBlock.integerSlots - 1), value(.i64))
        case 6, 7: builder.write(RandomBlock.integerSlots + random.below(RandomBlock.floatSlots), value(.f64))
        case 8, 9, 10, 11: arithmetic()
        case 12: unaryInteger()
        case 13: compareOrSelect()
        case 14, 15: access()
        case 16: atomicAccess()
        case 17, 18, 19: floatArithmetic()
        case 20: floatUnary()
        case 21: conversion()
        case 22: if random.chance(oneIn: 3) { builder.interpretOne(address) }
        case 23: if random.chance(oneIn: 3) { builder.exitIf(condition(), to: 0x10_0000 + random.next() % 64 * 4) }
        case 24: extensions()
        case 25: cipher()
        default: if random.chance(oneIn: 8) { builder.fence() }
        }
    }

    /// Leaves seldom enough for what comes behind.
    private mutating func leave() {
        let seldom = builder.compare(.equal, value(.i64), builder.i64(Int64(random.below(100))))
        builder.exitIf(random.chance(oneIn: 6) ? condition() : seldom, to: 0x10_0000 + random.next() % 64 * 4)
    }

    /// A value of few steps from others, for one of few registers, now and then for a condition or an address as well.
    private mutating func chain() {
        var result = value(.i64)
        for _ in 0 ..< 1 + random.below(5) { result = chained(result) }
        builder.write([1, 2, 3, 11, 12][random.below(5)], result)
        switch random.below(8) {
        case 0: keep(result, .i64)
        case 1:
            let mask = builder.binary(.and, .i64, result, builder.i64(Int64(random.below(16))))
            builder.write(1 + random.below(3), mask)
            let condition = random.chance(oneIn: 2) ? mask : builder.compare(.equal, mask, builder.i64(0))
            builder.exitIf(condition, to: 0x10_0000 + random.next() % 64 * 4)
        case 2:
            let place = builder.add(builder.read(RandomBlock.pointerSlot), builder.binary(.and, .i64, result, builder.i64(127)))
            builder.write(1 + random.below(3), place)
            keep(builder.emit(Instruction(.load, .i64, a: place, detail: Access(bytes: 8, signed: false).rawValue)), .i64)
        default: break
        }
    }

    private mutating func chained(_ value: Value) -> Value {
        let number = random.chance(oneIn: 8) ? random.integer() : UInt64(random.below(4096))
        let constant = builder.i64(Int64(bitPattern: number)), other = self.value(.i64)
        let opcode = random.pick([Opcode.add, .subtract, .and, .or, .xor])
        switch random.below(8) {
        case 0, 1, 2: return builder.binary(opcode, .i64, value, constant)
        case 3:
            let shift = random.pick([Opcode.shiftLeft, .shiftRightLogical, .shiftRightArithmetic])
            return builder.binary(shift, .i64, value, builder.i64(Int64(random.below(64))))
        case 4: return builder.binary(opcode, .i64, value, other)
        case 5: return builder.binary(opcode, .i64, other, value)
        case 6:
            let word = builder.binary(opcode, .i32, builder.truncate(value), self.value(.i32))
            return builder.signExtend(word, bits: 32, to: .i64)
        default:
            let bits = UInt8(random.pick([8, 16, 32]))
            if random.chance(oneIn: 2) { return builder.zeroExtend(value, bits: bits, to: .i64) }
            return builder.signExtend(value, bits: bits, to: .i64)
        }
    }

    private mutating func arithmetic() {
        let type = integerType()
        var opcodes: [Opcode] = [
            .add, .subtract, .multiply, .and, .or, .xor, .divideSigned, .divideUnsigned, .remainderSigned, .remainderUnsigned,
            .shiftLeft,
            .shiftRightLogical, .shiftRightArithmetic, .rotateRight,
        ]
        if type == .i64 { opcodes += [.multiplyHighSigned, .multiplyHighUnsigned, .multiplyHighSignedUnsigned] }
        keep(builder.binary(random.pick(opcodes), type, value(type), value(type)), type)
    }

    private mutating func unaryInteger() {
        let type = integerType()
        keep(
            builder.unary(
                random.pick([.countLeadingZeros, .countTrailingZeros, .populationCount, .byteSwap]), type, value(type)), type)
    }

    private mutating func cipher() {
        switch random.below(6) {
        case 0:
            let opcode = random.pick([Opcode.carrylessMultiply, .carrylessMultiplyHigh, .permuteBytes, .permuteNibbles])
            keep(builder.binary(opcode, .i64, value(.i64), value(.i64)), .i64)
        case 1: keep(builder.unary(.aesInverseMixColumns, .i64, value(.i64)), .i64)
        case 2: keep(builder.aesKeyRound(value(.i64), random.below(11)), .i64)
        case 3: keep(builder.sm4Substitute(random.pick(SM4Step.allCases), value(.i32)), .i32)
        default: aesRounds()
        }
    }

    /// Both halves of a state go through rounds and get keys, or a value in place of one; registers are written as programs do.
    private mutating func aesRounds() {
        var low = value(.i64), high = value(.i64)
        for _ in 0 ..< 1 + random.below(4) {
            let round = random.pick(AESRound.allCases)
            let newLow = builder.aesRound(round, low, high)
            if random.chance(oneIn: 6) { step() }
            let newHigh = builder.aesRound(random.chance(oneIn: 8) ? .encrypt : round, high, low)
            keep(newLow, .i64)
            keep(newHigh, .i64)
            low = random.chance(oneIn: 8) ? newLow : builder.binary(.xor, .i64, newLow, value(.i64))
            high = random.chance(oneIn: 8) ? value(.i64) : builder.binary(.xor, .i64, value(.i64), newHigh)
        }
        keep(low, .i64)
        keep(high, .i64)
    }

    private mutating func extensions() {
        let bits = UInt8(random.pick([8, 16, 32])), to = integerType(), source = value(integerType())
        switch random.below(3) {
        case 0: keep(builder.truncate(value(.i64)), .i32)
        case 1: keep(builder.signExtend(source, bits: bits, to: to), to)
        default: keep(builder.zeroExtend(source, bits: bits, to: to), to)
        }
    }

    private mutating func condition() -> Value {
        if random.chance(oneIn: 4) { return value(integerType()) }
        if random.chance(oneIn: 4) {
            let type = floatType()
            return builder.floatCompare(UInt8(random.below(5)), value(type), value(type))
        }
        let type = integerType()
        var left = value(type)
        if random.chance(oneIn: 4) { left = builder.binary(.and, type, left, value(type)) }
        let right = random.chance(oneIn: 2) ? builder.constant(type, 0) : value(type)
        return builder.compare(random.pick(IR.Condition.allCases), left, right)
    }

    private mutating func compareOrSelect() {
        if random.chance(oneIn: 3) {
            let result = condition()
            return keep(result, function[result].type)
        }
        let type = random.chance(oneIn: 2) ? integerType() : floatType()
        keep(builder.select(type, condition(), value(type), value(type)), type)
    }

    /// Base, perhaps an index, and a displacement that stay inside the memory.
    private mutating func access() {
        let type = random.pick([Type.i32, .i64, .f32, .f64])
        let bytes = type.isFloat ? type.byteCount : random.pick(type == .i32 ? [1, 2, 4] : [1, 2, 4, 8])
        let base = random.chance(oneIn: 4) ? builder.i64(Int64(bitPattern: memory)) : builder.read(RandomBlock.pointerSlot)
        let hasIndex = random.chance(oneIn: 3), scale = hasIndex ? random.pick([1, 2, 4, 8]) : 1
        let index = hasIndex ? builder.binary(.and, .i64, value(.i64), builder.i64(127)) : Value.none
        let offset = Int64(random.below(1024)) - 512
        let detail = Access(bytes: bytes, signed: random.chance(oneIn: 2) && !type.isFloat, scale: scale).rawValue
        if random.chance(oneIn: 2) {
            keep(builder.emit(Instruction(.load, type, a: base, b: index, detail: detail, immediate: offset)), type)
        } else {
            builder.emit(Instruction(.store, type, a: base, b: index, c: value(type), detail: detail, immediate: offset))
        }
    }

    private mutating func atomicAccess() {
        let type = integerType(), bytes = random.pick(type == .i32 ? [4] : [4, 8])
        let access = Access(bytes: bytes, signed: true)
        let place = builder.add(builder.read(RandomBlock.pointerSlot), builder.i64(Int64(random.below(16)) * 8))
        if random.chance(oneIn: 3) {
            keep(builder.compareExchange(type, access, place, value(type), value(type)), type)
        } else {
            keep(builder.atomic(random.pick(AtomicKind.allCases), type, access, place, value(type)), type)
        }
    }

    /// Which NaN an operation gives is the host's choice until it is made canonical. Only results of arithmetic are: of a
    /// signalling NaN, which they never are, the host's way of looking at it would raise a flag.
    private mutating func keepCanonical(_ value: Value, _ type: Type) { keep(builder.unary(.canonicalNaN, type, value), type) }

    private mutating func floatArithmetic() {
        let type = floatType()
        switch random.below(4) {
        case 0, 1:
            let opcode = random.pick([Opcode.floatAdd, .floatSubtract, .floatMultiply, .floatDivide])
            keepCanonical(builder.binary(opcode, type, value(type), value(type)), type)
        case 2:
            let opcode = random.pick([Opcode.multiplyAdd, .multiplySubtract, .negatedMultiplyAdd, .negatedMultiplySubtract])
            keepCanonical(builder.fused(opcode, type, value(type), value(type), value(type)), type)
        default:
            keepCanonical(builder.binary(random.pick([.floatMinimum, .floatMaximum]), type, value(type), value(type)), type)
        }
    }

    private mutating func floatUnary() {
        let type = floatType()
        switch random.below(4) {
        case 0: keepCanonical(builder.unary(.floatSquareRoot, type, value(type)), type)
        case 1: keep(builder.unary(random.pick([.floatNegate, .floatAbsolute]), type, value(type)), type)
        case 2:
            keep(builder.binary(random.pick([.copySign, .copySignNegated, .copySignXor]), type, value(type), value(type)), type)
        default:
            let rounding = random.pick(Rounding.allCases)
            keepCanonical(builder.roundToIntegral(type, value(type), raisingInexact: random.chance(oneIn: 2), rounding), type)
        }
    }

    private mutating func conversion() {
        let integer = integerType(), float = floatType()
        switch random.below(7) {
        case 0: keep(builder.integerToFloat(float, value(integer), signed: random.chance(oneIn: 2)), float)
        case 1:
            keep(
                builder.floatToInteger(integer, value(float), signed: random.chance(oneIn: 2), random.pick(Rounding.allCases)),
                integer)
        case 2:
            keepCanonical(builder.unary(.floatToFloat, float == .f32 ? .f64 : .f32, value(float)), float == .f32 ? .f64 : .f32)
        case 3: keep(builder.unary(.bitcast, integer, value(integer == .i32 ? .f32 : .f64)), integer)
        case 4: keep(builder.unary(.bitcast, float, value(float == .f32 ? .i32 : .i64)), float)
        case 5: keep(builder.unary(.box, .f64, value(.f32)), .f64)
        default: keep(builder.unary(.unbox, .f32, value(.f64)), .f32)
        }
    }

    private mutating func end() {
        switch random.below(4) {
        case 0: builder.exitTrap(random.pick(TrapReason.allCases), at: address)
        case 1: builder.exitIndirect(builder.binary(.and, .i64, value(.i64), builder.i64(-2)))
        default: builder.exit(to: 0x20_0000 + random.next() % 64 * 4)
        }
    }
}

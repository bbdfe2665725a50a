import IR

/// A small deterministic generator (xorshift64*).
struct Random: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return state &* 0x2545_f491_4f6c_dd1d
    }
    mutating func below(_ bound: Int) -> Int { Int(next() >> 33) % bound }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
    mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }
}

/// Random functions in the manner of a lifter: reads, computations, writes, memory accesses near slot 0, side exits.
struct RandomFunction {
    /// Slot 0 holds an address and is never written; then integers, then floats.
    static let slotTypes: [Type] = Array(repeating: .i64, count: 8) + Array(repeating: .f64, count: 4)
    /// Accesses stay within this many bytes behind slot 0's address.
    static let memoryBytes = 1024

    var random: Random
    var builder: Builder
    let function = Function(capacity: 512)
    private var pools: [Type: [Value]] = [:]
    private var address: UInt64 = 0x1000

    static func make(seed: UInt64) -> Function {
        var maker = RandomFunction(seed: seed)
        return maker.build()
    }

    private init(seed: UInt64) {
        random = Random(seed: seed)
        builder = Builder(function: function, slotTypes: Self.slotTypes)
    }

    private mutating func build() -> Function {
        function.reset(entry: address)
        if random.chance(70) {
            startBlock()
            fill(10 + random.below(50))
            finish()
        } else {
            buildGraph()
        }
        return function
    }

    /// Entry, a loop of at most a few rounds that carries two values, and what follows it.
    private mutating func buildGraph() {
        startBlock()
        fill(10)
        let rounds = builder.i64(Int64(1 + random.below(4)))
        builder.jump(1, [rounds, integer(), value(.i32)])
        let outer = pools
        let parameters = startBlock([.i64, .i64, .i32])
        pools = outer
        pools[.i64]?.append(parameters[1])
        pools[.i32]?.append(parameters[2])
        fill(15)
        let left = builder.add(parameters[0], builder.i64(-1))
        let again = random.chance(50) ? left : builder.compare(.notEqual, left, builder.i64(0))
        if random.chance(50) {
            builder.branch(again, then: 1, [left, integer(), value(.i32)], else: 2, [integer()])
        } else {
            builder.branch(
                builder.compare(.equal, left, builder.i64(0)), then: 2, [integer()], else: 1, [left, integer(), value(.i32)])
        }
        let inner = pools
        let last = startBlock([.i64])
        pools = inner
        pools[.i64]?.append(last[0])
        fill(10)
        finish()
    }

    @discardableResult
    private mutating func startBlock(_ parameters: [Type] = []) -> [Value] {
        pools = [:]
        return builder.startBlock(parameters: parameters).parameters
    }

    private mutating func finish() {
        // What was computed last must show.
        for slot in 1 ... 7 { builder.write(slot, integer()) }
        for slot in 8 ... 11 { builder.write(slot, value(.f64)) }
        switch random.below(4) {
        case 0: builder.exitIndirect(integer(), hint: .return)
        case 1: builder.exitTrap(.systemCall, at: address)
        case 2: builder.exit(to: address, hint: .call, returnAddress: address + 4)
        default: builder.exit(to: address)
        }
    }

    private mutating func fill(_ count: Int) {
        for _ in 0 ..< count {
            builder.boundary(address)
            address += 4
            for _ in 0 ... random.below(2) { step() }
        }
    }

    private mutating func step() {
        switch random.below(100) {
        case 0 ..< 18: writeBack()
        case 18 ..< 28: remember(memoryLoad())
        case 28 ..< 36: memoryStore()
        case 36 ..< 40: builder.exitIf(condition(), to: address + 0x100)
        case 40: builder.interpretOne(address)
        case 41: random.chance(50) ? builder.interpretOne(address) : builder.fence()
        case 42 ..< 45: remember(random.chance(50) ? atomic() : exchange())
        case 45 ..< 57: remember(floatOperation())
        case 57 ..< 65: idiom()
        default: remember(integerOperation())
        }
    }

    mutating func remember(_ value: Value) { pools[function[value].type, default: []].append(value) }

    // MARK: Operands

    mutating func constant(_ type: Type) -> Value {
        let interesting: [Int64] = [
            0, 1, -1, 2, 3, 4, 8, 16, 31, 32, 33, 48, 56, 63, 64, 0xff, 0xffff, 0xffff_ffff, 0x7fff_ffff, 0x8000_0000, -8, .min,
            .max,
            -0x8000_0000, 0x8000, 0x80,
        ]
        return builder.constant(type, random.chance(90) ? random.pick(interesting) : Int64(bitPattern: random.next()))
    }

    mutating func value(_ type: Type) -> Value {
        if let pool = pools[type], !pool.isEmpty, random.chance(75) {
            return random.chance(60) ? pool[max(0, pool.count - 1 - random.below(4))] : random.pick(pool)
        }
        switch type {
        case .i64: return random.chance(50) ? builder.read(1 + random.below(7)) : constant(.i64)
        case .i32: return random.chance(70) ? builder.truncate(value(.i64)) : constant(.i32)
        case .f64: return builder.read(8 + random.below(4))
        default: return builder.unary(.unbox, .f32, value(.f64))
        }
    }

    mutating func integer() -> Value { value(.i64) }
    mutating func float() -> Type { random.chance(50) ? .f32 : .f64 }

    private mutating func condition() -> Value {
        if random.chance(20) { return random.chance(50) ? value(.i32) : integer() }
        let comparison = compare()
        return random.chance(30)
            ? builder.compare(random.chance(50) ? .equal : .notEqual, comparison, builder.i64(0)) : comparison
    }

    private mutating func compare() -> Value {
        let type: Type = random.chance(30) ? .i32 : .i64
        if random.chance(20) {
            let type = float()
            return builder.floatCompare(UInt8(random.below(5)), value(type), value(type))
        }
        let left = value(type)
        return builder.compare(random.pick(Condition.allCases), left, random.chance(50) ? constant(type) : value(type))
    }

    private mutating func writeBack() {
        if random.chance(75) { return builder.write(1 + random.below(7), integer()) }
        builder.write(8 + random.below(4), random.chance(50) ? value(.f64) : builder.unary(.box, .f64, value(.f32)))
    }

    // MARK: Memory

    /// An address, and a displacement, such that the sum stays within bounds.
    private mutating func place() -> (Value, Int64) {
        var base = builder.read(0)
        if random.chance(50) { base = builder.add(base, builder.i64(Int64(8 * random.below(16)))) }
        if random.chance(40) {
            let masked = builder.binary(.and, .i64, integer(), builder.i64(31))
            let index =
                random.chance(60) ? builder.binary(.shiftLeft, .i64, masked, builder.i64(Int64(1 + random.below(3)))) : masked
            base = random.chance(50) ? builder.add(base, index) : builder.add(index, base)
            remember(base)
        }
        if random.chance(20) { base = builder.add(base, builder.i64(Int64(8 * random.below(4)))) }
        return (base, Int64(8 * random.below(32)))
    }

    mutating func memoryLoad() -> Value {
        let (base, offset) = place()
        if random.chance(20) {
            let type = float()
            return builder.load(type, Access(bytes: type.byteCount), base, offset: offset)
        }
        let type: Type = random.chance(25) ? .i32 : .i64
        let bytes = random.pick(type == .i32 ? [1, 2, 4] : [1, 2, 4, 8])
        return builder.load(
            type, Access(bytes: bytes, signed: random.chance(50), ordered: random.chance(5)), base, offset: offset)
    }

    private mutating func memoryStore() {
        let (base, offset) = place()
        let type = random.pick([Type.i32, .i64, .i64, .i64, .f32, .f64])
        let bytes = type.isFloat ? type.byteCount : random.pick(type == .i32 ? [1, 2, 4] : [1, 2, 4, 8])
        builder.store(type, Access(bytes: bytes, ordered: random.chance(5)), base, offset: offset, value(type))
        if random.chance(40) && type.isInteger {
            remember(builder.load(type, Access(bytes: bytes, signed: random.chance(50)), base, offset: offset))
        }
    }

    private mutating func atomic() -> Value {
        let type: Type = random.chance(50) ? .i32 : .i64
        let access = Access(bytes: type.byteCount, signed: true)
        return builder.atomic(
            random.pick(AtomicKind.allCases), type, access, builder.add(builder.read(0), builder.i64(64)), value(type))
    }

    private mutating func exchange() -> Value {
        builder.compareExchange(.i64, Access(bytes: 4, signed: true), builder.read(0), integer(), integer())
    }

    // MARK: Computation

    private mutating func integerOperation() -> Value {
        let type: Type = random.chance(35) ? .i32 : .i64
        switch random.below(21) {
        case 0 ..< 9:
            let opcode = random.pick([
                Opcode.add, .add, .add, .subtract, .multiply, .and, .and, .or, .xor, .divideSigned, .divideUnsigned,
                .remainderSigned,
                .remainderUnsigned,
            ])
            let left = random.chance(10) ? constant(type) : value(type)
            return builder.binary(opcode, type, left, random.chance(55) ? constant(type) : random.chance(5) ? left : value(type))
        case 9 ..< 13:
            let opcode = random.pick([Opcode.shiftLeft, .shiftLeft, .shiftRightLogical, .shiftRightArithmetic, .rotateRight])
            return builder.binary(opcode, type, value(type), random.chance(80) ? constant(type) : value(type))
        case 13 ..< 16:
            let bits = random.pick([UInt8(8), 16, 32, 32])
            let source = value(random.chance(50) ? .i32 : .i64)
            return random.chance(60)
                ? builder.signExtend(source, bits: bits, to: type) : builder.zeroExtend(source, bits: bits, to: type)
        case 16: return compare()
        case 17:
            let truth = random.chance(30) ? builder.i64(0) : value(type)
            return builder.select(
                type, condition(), random.chance(20) ? constant(type) : value(type),
                random.chance(20) ? constant(type) : truthOf(type, truth))
        case 18:
            return builder.unary(
                random.pick([.countLeadingZeros, .countTrailingZeros, .populationCount, .byteSwap]), type, value(type))
        case 19:
            switch random.below(4) {
            case 0: return builder.aesRound(random.pick(AESRound.allCases), integer(), integer())
            case 1:
                return random.chance(50)
                    ? builder.aesKeyRound(integer(), random.below(11)) : builder.unary(.aesInverseMixColumns, .i64, integer())
            case 2: return builder.sm4Substitute(random.pick(SM4Step.allCases), value(.i32))
            default:
                let opcode = random.pick([Opcode.carrylessMultiply, .carrylessMultiplyHigh, .permuteBytes, .permuteNibbles])
                return builder.binary(opcode, .i64, integer(), integer())
            }
        default:
            return builder.binary(
                random.pick([.multiplyHighSigned, .multiplyHighUnsigned, .multiplyHighSignedUnsigned]), .i64, integer(), integer()
            )
        }
    }

    private mutating func truthOf(_ type: Type, _ truth: Value) -> Value { function[truth].type == type ? truth : value(type) }

    private mutating func floatOperation() -> Value {
        let type = float()
        switch random.below(12) {
        case 0 ..< 4:
            return canonical(
                type,
                builder.binary(
                    random.pick([.floatAdd, .floatSubtract, .floatMultiply, .floatDivide]), type, value(type), value(type)))
        case 4:
            let opcode = random.pick([Opcode.multiplyAdd, .multiplySubtract, .negatedMultiplyAdd, .negatedMultiplySubtract])
            return canonical(type, builder.fused(opcode, type, value(type), value(type), value(type)))
        case 5: return canonical(type, builder.unary(.floatSquareRoot, type, value(type)))
        case 6:
            return builder.binary(
                random.pick([.floatMinimum, .floatMaximum, .copySign, .copySignNegated, .copySignXor]), type, value(type),
                value(type))
        case 7: return builder.unary(random.pick([.floatNegate, .floatAbsolute]), type, value(type))
        case 8: return builder.integerToFloat(type, value(random.chance(50) ? .i32 : .i64), signed: random.chance(50))
        case 9:
            return builder.floatToInteger(
                random.chance(50) ? .i32 : .i64, value(type), signed: random.chance(50), random.pick(Rounding.allCases))
        case 10:
            if random.chance(50) { return builder.unary(.bitcast, type == .f32 ? .i32 : .i64, value(type)) }
            return builder.unary(.bitcast, type, value(type == .f32 ? .i32 : .i64))
        default:
            if random.chance(50) { return canonical(type, builder.unary(.floatToFloat, type, value(type == .f32 ? .f64 : .f32))) }
            return canonical(
                type,
                builder.roundToIntegral(type, value(type), raisingInexact: random.chance(50), random.pick(Rounding.allCases)))
        }
    }

    mutating func canonical(_ type: Type, _ value: Value) -> Value { builder.unary(.canonicalNaN, type, value) }
}

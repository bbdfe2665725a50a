// Divisions by constants, and both halves of a product from one multiplication.

import Host
import IR
import Testing
import X86Backend

@Suite struct ReciprocalTests {
    private static let small: [UInt64] = [
        0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 25, 60, 100, 125, 127, 625, 641, 1000, 10_000, 65_537,
    ]
    private static let large: [UInt64] = [
        86_400, 1_000_000, 6_700_417, 1_000_000_007, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fffe, 0xffff_ffff,
        0x1_0000_0001,
        0x4000_0000_0000_0000, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0x8000_0000_0000_0001,
    ]
    private static var divisors: [UInt64] { small + large + (small + large).map { 0 &- $0 } }

    /// Blocks whose slots 1 to 15 are random numbers, of which slot n becomes its quotient or remainder.
    @Test(arguments: [Opcode.divideSigned, .divideUnsigned, .remainderSigned, .remainderUnsigned], [Type.i32, .i64])
    func constantDivisorsAreExact(_ opcode: Opcode, _ type: Type) throws {
        let machine = try BackendMachine(features: .host)
        for (number, divisor) in ReciprocalTests.divisors.enumerated() {
            let function = Function()
            function.reset(entry: 0x1000)
            var builder = Builder(function: function, slotTypes: RandomBlock.slotTypes)
            builder.startBlock()
            builder.boundary(0x1000)
            let constant = builder.constant(
                type, Int64(bitPattern: type == .i32 ? UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: divisor))) : divisor))
            for slot in 1 ..< RandomBlock.integerSlots {
                let whole = builder.read(slot)
                let dividend = type == .i32 ? builder.unary(.truncate, .i32, whole) : whole
                let result = builder.binary(opcode, type, dividend, constant)
                builder.write(slot, type == .i32 ? builder.signExtend(result, bits: 32) : result)
            }
            builder.exit(to: 0x2000)
            try compare(
                machine, function, seeds: UInt64(number) &* 1000 ..< UInt64(number) &* 1000 &+ 40, "\(opcode) by \(divisor)")
        }
    }

    @Test(arguments: [Opcode.multiplyHighSigned, .multiplyHighUnsigned], [false, true])
    func halvesOfAProductAreThoseOfOne(_ high: Opcode, isHighFirst: Bool) throws {
        let machine = try BackendMachine(features: .host)
        for distance in [1, 3] {
            let function = Function()
            function.reset(entry: 0x1000)
            var builder = Builder(function: function, slotTypes: RandomBlock.slotTypes)
            builder.startBlock()
            builder.boundary(0x1000)
            var pending: [(Int, Value)] = []
            for slot in 1 ..< 12 {
                let a = builder.read(slot), b = builder.read(slot + 3)
                let first = builder.binary(isHighFirst ? high : .multiply, .i64, a, b)
                let between = (0 ..< distance).reduce(first) { value, _ in builder.binary(.add, .i64, value, b) }
                let second = builder.binary(isHighFirst ? .multiply : high, .i64, b, a)
                pending.append((slot, builder.binary(.xor, .i64, between, second)))
                builder.write(slot, first)
            }
            for (slot, value) in pending { builder.write(slot, value) }
            builder.exit(to: 0x2000)
            try compare(machine, function, seeds: 0 ..< 40, "\(high), \(distance) apart")
        }
    }

    /// What is zero-extended already by the operation on words needs no code: by none of its ways.
    @Test(arguments: [Opcode.divideSigned, .divideUnsigned, .remainderSigned, .remainderUnsigned])
    func quotientsOfWordsAreZeroExtended(_ opcode: Opcode) throws {
        let machine = try BackendMachine(features: .host), function = Function()
        function.reset(entry: 0x1000)
        var builder = Builder(function: function, slotTypes: RandomBlock.slotTypes)
        builder.startBlock()
        builder.boundary(0x1000)
        for slot in 1 ..< 15 {
            let a = builder.unary(.truncate, .i32, builder.read(slot)), b = builder.unary(.truncate, .i32, builder.read(slot + 1))
            let divisor = builder.binary(.and, .i32, b, builder.constant(.i32, Int64(slot % 3 - 1)))
            builder.write(slot, builder.zeroExtend(builder.binary(opcode, .i32, a, divisor), bits: 32))
        }
        builder.exit(to: 0x2000)
        try compare(machine, function, seeds: 0 ..< 40, "\(opcode)")
    }

    private func compare(_ machine: BackendMachine, _ function: Function, seeds: Range<UInt64>, _ label: String) throws {
        // Before the translation, which changes the function.
        let expected = seeds.map { machine.evaluate(function, seed: $0, mxcsr: 0x1f80).slots }
        let translation = try #require(machine.translate(function))
        let errors = AllocationChecker.errors(in: machine.translator.events, of: function, homes: machine.translator.homePlaces)
        #expect(errors.isEmpty, "\(label): \(errors.prefix(2))")
        for (seed, slots) in zip(seeds, expected) {
            #expect(machine.execute(translation, seed: seed, mxcsr: 0x1f80).slots == slots, "\(label), seed \(seed)")
        }
    }
}

// Faults inside of regions: whatever is pending, in displaced homes or combined with other accesses, the guest sees the state
// of the instruction that faults.

import Engine
import Glibc
import Guest
import GuestRISCV
import Testing

private let canonicalSingle: UInt64 = 0xffff_ffff_7fc0_0000, canonicalDouble: UInt64 = 0x7ff8_0000_0000_0000
private let box: UInt64 = 0xffff_ffff_0000_0000

private extension Outcome {
    var faults: Bool { if case .memoryFault = exit { true } else { false } }
}

private extension GuestArena {
    var end: UInt64 { codeRange.upperBound + UInt64(GuestArena.dataBytes) }
}

@Suite struct RegionFaultTests {
    /// x5 walks off the data in some iteration of the inner loop; before, behind and in the middle of other work.
    @Test(arguments: [Encode.load(3, 26, 5, 0), Encode.sd(23, 5)]) func nestedLoopsFaultPrecisely(access: UInt32) {
        let executors = RegionExecutors(), end = executors.arena.end
        let list = nestedLoops {
            $0.words(Encode.add(30, 30, 23), access, Encode.add(6, 6, 30), Encode.addi(5, 5, 8), Encode.add(30, 30, 6))
        }
        for distance: UInt64 in [160, 424, 801] {
            let result = executors.agree(list.program([5: end - distance, 19: 7, 25: 3]), "\(distance)")
            #expect(result.faults && result.words[5] > end - 8 && result.words[5] <= end)
        }
    }

    /// The page exists, but cannot be written.
    @Test func protectedPagesFaultPrecisely() {
        let executors = RegionExecutors(), arena = executors.arena
        let list = nestedLoops { $0.words(Encode.sd(23, 5), Encode.addi(5, 5, 16)) }
        let page = arena.host(arena.end - 4096)
        func run(_ executor: EngineExecutor) -> Outcome {
            executor.engine.invalidate(arena.codeRange)
            list.program([5: arena.end - 4096 - 1000]).load(into: arena, RISCVState(executor.cpu.state))
            mprotect(page, 4096, PROT_READ)
            defer { mprotect(page, 4096, PROT_READ | PROT_WRITE) }
            return executor.finish(arena)
        }
        let expected = run(executors.reference)
        #expect(expected.faults && expected.words[23] == 64)
        for executor in executors.all {
            let actual = run(executor)
            #expect(actual == expected, "\(executor.name): \(actual.differences(from: expected))")
            #expect(executor.engine.statistics.regions > 0)
        }
    }

    /// Every iteration of an unrolled loop has its own state.
    @Test(arguments: [false, true]) func unrolledLoopsFaultPrecisely(stores: Bool) {
        let executors = RegionExecutors(), end = executors.arena.end
        let words = [
            Encode.addi(20, 20, 3), Encode.add(21, 21, 20), stores ? Encode.sd(21, 5) : Encode.ld(22, 5, 0), Encode.addi(23, 21, 1),
            Encode.addi(5, 5, 8), Encode.branch(1, 20, 0, -20),
        ]
        for iteration in 16 ..< 34 as Range<UInt64> {
            let result = executors.agree(program(words, [5: end - iteration * 8]), "\(iteration)")
            #expect(result.faults && result.words[20] == (iteration + 1) * 3 && result.words[5] == end)
        }
    }

    /// Registers that are written again soon, made from each other: a fault, or the way out of the loop, sees them all.
    @Test(arguments: [[10, 11, 12, 13, 14], [20, 21, 22, 23, 24]] as [[UInt32]], [0, 1, 2, 3])
    func deferredWritesAreSeenByFaults(_ x: [UInt32], place: Int) {
        let executors = RegionExecutors(), end = executors.arena.end
        func shiftLeft(_ rd: UInt32, _ rs1: UInt32, _ amount: Int32) -> UInt32 { Encode.immediate(0x13, 1, rd, rs1, amount) }
        func addWord(_ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 { Encode.immediate(0x1b, 0, rd, rs1, value) }
        let and = Encode.immediate(0x13, 7, x[0], 6, 3), access = Encode.ld(7, 5, 0)
        let parts: [[UInt32]] = [
            // Addresses, also of what is loaded into their own register.
            [and, shiftLeft(x[0], x[0], 2), Encode.addi(x[0], x[0], 32), Encode.add(x[0], x[0], 2), Encode.lbu(x[1], x[0], -30)],
            [Encode.addi(x[1], x[1], 256), shiftLeft(x[1], x[1], 1), Encode.add(x[2], x[1], 2), Encode.lbu(x[1], 2, 9)],
            // Each is made from the other: x3 = x4 - x2, x4 = x3 + 5.
            [Encode.register(0, 0x20, x[3], x[4], x[2]), addWord(x[4], x[3], 5), Encode.register(4, 0, x[2], x[2], x[4])],
            [Encode.add(x[4], x[3], x[0]), Encode.addi(x[3], x[4], 1), Encode.register(7, 0, x[2], x[3], x[1])],
        ]
        for isInside in [false, true] {
            for iteration in 17 ..< 24 as Range<UInt64> {
                var list = ItemList()
                for (number, part) in parts.enumerated() {
                    let half = isInside ? part.count / 2 : part.count
                    part[..<half].forEach { list.words($0) }
                    if number == place { list.words(access) }
                    part[half...].forEach { list.words($0) }
                }
                list.words(Encode.addi(5, 5, 8), Encode.addi(6, 6, 1))
                list.branch(1, 6, 25, to: 0)
                let comment = "\(iteration), inside of a part: \(isInside)"
                let faulting = executors.agree(list.program([5: end - iteration * 8, 25: 100]), comment)
                #expect(faulting.faults && faulting.words[6] == iteration)
                let leaving = executors.agree(list.program([5: end - 800, 25: iteration]), comment)
                #expect(leaving.exit == .breakpoint && leaving.words[6] == iteration)
            }
        }
    }

    // MARK: Floats

    /// f32 loads and NaNs whose registers are written again behind the access that faults; in homes, and in displaced ones.
    @Test(arguments: [[10, 11, 12, 13], [20, 21, 22, 23]] as [[UInt32]], [false, true])
    func pendingFloatsAreSettledByFaults(_ f: [UInt32], isNested: Bool) {
        let executors = RegionExecutors(), end = executors.arena.end
        // f30 = 0, f31 = infinity, as f32; f28 and f29 as f64.
        let body = [
            Encode.floatLoad(2, f[0], 2, 0), Encode.float(2, 0, f[1], 30, 31), Encode.float(1, 1, f[2], 29, 29),
            Encode.float(0, 0, f[3], f[0], 30),
        ]
        let rest = [
            Encode.float(0, 0, f[0], f[1], 31), Encode.float(0, 0, f[1], 30, 30), Encode.float(2, 1, f[2], 28, 28),
            Encode.float(1, 0, f[3], 31, f[0]), Encode.addi(5, 5, 8), Encode.addi(6, 6, 1),
        ]
        var registers: [Int: UInt64] = [62: box, 63: box | 0x7f80_0000, 60: 0, 61: 0x7ff0_0000_0000_0000]
        for register in f { registers[32 + Int(register)] = (1.5).bitPattern }
        for access in [Encode.ld(7, 5, 0), Encode.sd(6, 5), Encode.floatLoad(2, f[0], 5, 4), Encode.floatLoad(3, f[1], 5, 0)] {
            for iteration in 17 ..< 24 as Range<UInt64> {
                registers[5] = end - iteration * 8
                var list = ItemList()
                if isNested {
                    list = nestedLoops { list in (body + [access] + rest).forEach { list.words($0) } }
                } else {
                    (body + [access] + rest).forEach { list.words($0) }
                    list.branch(1, 6, 0, to: 0)
                }
                let result = executors.agree(list.program(registers), "\(iteration)")
                #expect(result.faults && result.words[6] == iteration)
                #expect(result.words[32 + Int(f[0])] >= box && result.words[32 + Int(f[3])] >= box)
                #expect(result.words[32 + Int(f[1])] == canonicalSingle && result.words[32 + Int(f[2])] == canonicalDouble)
            }
        }
    }

    /// A way out between the write and the next one: out of the region, and to another place in it.
    @Test(arguments: [[10, 11, 12], [20, 21, 22]] as [[UInt32]], [false, true])
    func pendingFloatsAreSettledByExits(_ f: [UInt32], leavesRegion: Bool) {
        let executors = RegionExecutors()
        var list = ItemList()
        let loop = list.here
        list.words(Encode.addi(6, 6, 1), Encode.floatLoad(2, f[0], 2, 0), Encode.float(2, 0, f[1], 30, 31))
        list.words(Encode.float(1, 1, f[2], 29, 29))
        let out = list.branch(leavesRegion ? 5 : 1, 6, leavesRegion ? 7 : 18)
        list.words(Encode.float(0, 0, f[0], 30, 30), Encode.float(0, 0, f[1], 30, 30), Encode.float(2, 1, f[2], 28, 28))
        list.words(Encode.mul(18, 6, 6), Encode.mul(19, 6, 18), Encode.add(16, 16, 19), Encode.add(17, 17, 18))
        if !leavesRegion { list.land(out) }
        // What is in them, while that may be either.
        for (register, accumulator) in zip(f, [21, 22, 23] as [UInt32]) {
            list.words(0xe200_0053 | 24 << 7 | register << 15, Encode.add(accumulator, accumulator, 24))  // fmv.x.d
        }
        list.words(Encode.addi(18, 6, 1))
        let even = list.branch(7, 6, 25)
        list.words(Encode.addi(18, 18, 5))
        list.land(even)
        list.branch(1, 6, 7, to: loop)
        if leavesRegion { list.land(out) }
        let registers: [Int: UInt64] = [
            7: 60, 25: 30, 62: box, 63: box | 0x7f80_0000, 60: 0, 61: 0x7ff0_0000_0000_0000,
        ]
        let result = executors.agree(list.program(registers), "\(f)")
        #expect(result.exit == .breakpoint && result.words[6] == 60)
        if leavesRegion {
            #expect(result.words[32 + Int(f[1])] == canonicalSingle && result.words[32 + Int(f[2])] == canonicalDouble)
        }
    }

    /// A branch whose outcome only the optimiser knows, behind floats that are pending.
    @Test func pendingFloatsAreSettledByBranchesAlwaysTaken() {
        let executors = RegionExecutors()
        var list = ItemList()
        list.words(Encode.addi(6, 6, 1), Encode.float(2, 0, 10, 30, 31), Encode.float(1, 1, 11, 29, 29))
        // sltu x5, x6, x6: always zero.
        list.words(Encode.register(3, 0, 5, 6, 6), Encode.immediate(0x13, 3, 5, 5, 1))
        let out = list.branch(1, 5, 0)
        list.words(Encode.float(0, 0, 10, 30, 30), Encode.float(2, 1, 11, 28, 28), Encode.mul(18, 6, 6), Encode.mul(18, 6, 6))
        list.land(out)
        list.branch(4, 6, 7, to: 0)
        let result = executors.agree(
            list.program([7: 40, 62: box, 63: box | 0x7f80_0000, 61: 0x7ff0_0000_0000_0000]))
        #expect(result.words[42] == canonicalSingle && result.words[43] == canonicalDouble)
    }

    // MARK: Copies of bytes

    /// Copies whose loads, or whose stores, leave memory after some of the bytes: those before are stored, the rest not, and
    /// the fault is the single byte's.
    @Test(arguments: [false, true], [2, 4, 8] as [UInt32]) func combinedBytesFaultSingly(stores: Bool, count: UInt32) {
        let executors = RegionExecutors(), end = executors.arena.end
        let (inside, walker): (UInt32, UInt32) = (2, 5)
        let orders: [(UInt32) -> UInt32] = [{ $0 }, { count - 1 - $0 }, { $0 ^ 1 }]
        for (number, order) in orders.enumerated() {
            var list = ItemList()
            for byte in (0 ..< count).map(order) {
                list.words(Encode.lbu(16 + byte, stores ? inside : walker, Int32(byte)))
            }
            for byte in (0 ..< count).map(orders[(number + 1) % 3]) {
                list.words(Encode.sb(16 + byte, stores ? walker : inside, Int32(byte)))
            }
            list.words(Encode.addi(walker, walker, Int32(count)), Encode.addi(6, 6, 1), Encode.addi(inside, inside, 1))
            list.branch(1, 6, 0, to: 0)
            for rest in 0 ..< UInt64(count) {
                // `rest` bytes of the last copy are in memory.
                let start = end - UInt64(count) * 20 - rest
                let result = executors.agree(list.program([5: start]), "order \(number), \(rest) bytes")
                #expect(result.exit == .memoryFault(address: addressOfFault(result), signal: SIGSEGV, code: 1))
                #expect(result.words[6] == 20 && result.words[5] == end - rest)
                let instruction = Int(result.words[64] - executors.arena.start) / 4
                #expect(stores ? instruction >= Int(count) : instruction < Int(count))
                #expect(addressOfFault(result) >= end && addressOfFault(result) < end - rest + UInt64(count))
            }
        }
    }

    private func addressOfFault(_ outcome: Outcome) -> UInt64 {
        if case .memoryFault(let address, _, _) = outcome.exit { address } else { 0 }
    }
}

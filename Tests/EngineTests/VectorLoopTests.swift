// Loops as vectors: that they become some, and that nobody can tell.

import Engine
import Glibc
import GuestRISCV
import Testing

private let box: UInt64 = 0xffff_ffff_0000_0000

/// x12[i] = x10[i] op f20 op x11[i], `trips` times; x14 is where x10 ends.
private func triad(_ format: UInt32, _ trips: UInt64) -> [UInt32] {
    let step: Int32 = format == 0 ? 4 : 8, width = 2 + format
    return [
        Encode.floatLoad(width, 10, 10, 0), Encode.floatLoad(width, 11, 11, 0), Encode.float(2, format, 12, 10, 20),
        Encode.float(0, format, 13, 12, 11), Encode.store(0x27, width, 13, 12, 0), Encode.addi(10, 10, step),
        Encode.addi(11, 11, step), Encode.addi(12, 12, step), Encode.addi(15, 15, -1), Encode.branch(1, 10, 14, -36),
    ]
}

private extension Outcome {
    var faults: Bool { if case .memoryFault = exit { true } else { false } }
}

@Suite struct VectorLoopTests {
    /// The generator makes what the vectoriser works on.
    @Test func manyRandomLoopsBecomeVectors() {
        let arena = GuestArena()
        let executor = RegionExecutors.make("regions", arena)
        for seed in 1 ... UInt64(120) { _ = executor.run(ProgramKind.vectors.program(seed: seed), arena) }
        #expect(executor.engine.statistics.vectorLoops > 25)
    }

    /// Wherever the stores are among the loads.
    @Test(arguments: [0, 1] as [UInt32]) func overlappingPointersAgree(format: UInt32) {
        let executors = RegionExecutors(), middle = executors.arena.center, step: UInt64 = format == 0 ? 4 : 8
        let before = executors.all[0].engine.statistics.vectorLoops
        for distance in stride(from: -44, through: 44, by: format == 0 ? 2 : 4) {
            let trips: UInt64 = 61, target = middle &+ UInt64(bitPattern: Int64(distance))
            let registers: [Int: UInt64] = [
                10: middle, 11: middle - 2048, 12: target, 14: middle + trips * step, 15: trips, 52: format == 0 ? box | 0x3f40_0000 : (0.75).bitPattern,
            ]
            let result = executors.agree(program(triad(format, trips), registers), "\(distance)")
            #expect(result.exit == .breakpoint && result.words[15] == 0)
        }
        #expect(executors.all[0].engine.statistics.vectorLoops > before)
    }

    /// Stores, or loads, that leave memory in each place of a vector: registers, memory and flags are those of the iteration.
    @Test(arguments: [0, 1] as [UInt32], [10, 11, 12]) func faultsArePrecise(format: UInt32, walker: Int) {
        let executors = RegionExecutors(), arena = executors.arena, step: UInt64 = format == 0 ? 4 : 8
        let end = arena.codeRange.upperBound + UInt64(GuestArena.dataBytes)
        for rest in 20 ..< 37 as Range<UInt64> {
            var registers: [Int: UInt64] = [
                10: arena.center, 11: arena.center - 2048, 12: arena.center + 1024, 15: 100,
                52: format == 0 ? box | 0x3dcc_cccd : (0.1).bitPattern,
            ]
            registers[walker] = end - rest * step
            registers[14] = registers[10]! + 100 * step
            let result = executors.agree(program(triad(format, 100), registers), "\(rest)")
            #expect(result.faults && result.words[15] == 100 - rest)
        }
    }

    /// The second page cannot be written; in place, so that a group that is executed again must not have been stored.
    @Test func protectedPagesFaultPrecisely() {
        let executors = RegionExecutors(), arena = executors.arena
        let edge = arena.codeRange.upperBound + UInt64(GuestArena.dataBytes) - 4096, page = arena.host(edge)
        for offset in 30 ..< 40 as Range<UInt64> {
            func run(_ executor: EngineExecutor) -> Outcome {
                executor.engine.invalidate(arena.codeRange)
                let start = edge - offset * 4
                let registers: [Int: UInt64] = [10: start, 11: arena.center - 2048, 12: start, 14: start + 400, 15: 100, 52: box | 0x3fa0_0000]
                program(triad(0, 100), registers).load(into: arena, RISCVState(executor.cpu.state))
                mprotect(page, 4096, PROT_READ)
                defer { mprotect(page, 4096, PROT_READ | PROT_WRITE) }
                return executor.finish(arena)
            }
            let expected = run(executors.reference)
            #expect(expected.faults && expected.words[15] == 100 - offset)
            for executor in executors.all {
                let actual = run(executor)
                #expect(actual == expected, "\(executor.name) \(offset): \(actual.differences(from: expected))")
            }
        }
    }

    /// Stores that come into the page of the loop's own code, which is watched.
    @Test func storesIntoWatchedCodeAgree() {
        let executors = RegionExecutors(), arena = executors.arena, page = arena.start + 4096
        var list = ItemList()
        list.words(Encode.jal(0, 4096 + 256))
        for _ in 0 ..< (4096 + 252) / 4 { list.words(0x13) }
        list.words(
            Encode.load(2, 20, 10, 0), Encode.store(0x23, 2, 20, 12, 0), Encode.addi(10, 10, 4), Encode.addi(12, 12, 4),
            Encode.branch(1, 10, 14, -16))
        for before in 90 ..< 99 as Range<UInt64> {
            let registers: [Int: UInt64] = [10: arena.center, 12: page - before * 4, 14: arena.center + 130 * 4]
            let result = executors.agree(list.program(registers), "\(before)")
            #expect(result.exit == .breakpoint)
        }
        #expect(executors.all[0].engine.statistics.vectorLoops > 0)
    }

    /// Signalling NaNs, registers that are not boxed, infinities: the flags as well.
    @Test(arguments: [0, 1, 2, 3] as [UInt32]) func unusualFloatsAgree(rounding: UInt32) {
        let executors = RegionExecutors(), middle = executors.arena.center
        let factors: [UInt64] = [box | 0x7fa0_0000, 0x3f80_0000, box | 0x7f80_0000, box | 1, box | 0x0080_0000, (0.3).bitPattern, 0x7ff0_0000_0000_0001]
        for format in [0, 1] as [UInt32] {
            for factor in factors {
                let step: UInt64 = format == 0 ? 4 : 8, trips: UInt64 = 90
                var list = program(triad(format, trips), [10: middle, 11: middle - 2048, 12: middle + 1024, 14: middle + trips * step, 15: trips, 52: factor])
                list.roundingMode = rounding
                executors.agree(list, "\(factor)")
            }
        }
    }
}

/// A loop over bytes or words at x10 (and x11), and how to tell that it is one: which loops that search become vectors.
private struct Search {
    var name: String
    var code: [UInt32]
    var step: UInt64
    /// What memory holds while the loop goes on, and what ends it.
    var filler: UInt64
    var end: UInt64
}

private let zeroByteWord: [UInt32] = [
    Encode.ld(16, 10, 0), Encode.addi(10, 10, 8), Encode.register(0, 0x20, 17, 16, 18), Encode.immediate(0x13, 4, 20, 16, -1),
    Encode.register(7, 0, 17, 17, 20), Encode.register(7, 0, 17, 17, 19),
]

private let searches: [Search] = [
    Search(name: "a zero byte", code: [Encode.lbu(16, 10, 0), Encode.addi(10, 10, 1), Encode.branch(1, 16, 0, -8)], step: 1, filler: 0x61, end: 0),
    Search(
        name: "a certain byte or zero", code: [Encode.lbu(16, 10, 0), Encode.branch(0, 16, 21, 12), Encode.addi(10, 10, 1), Encode.branch(1, 16, 0, -12)],
        step: 1, filler: 0x61, end: 0x7a),
    Search(name: "the end of blanks", code: [Encode.lbu(16, 10, 0), Encode.addi(10, 10, 1), Encode.branch(0, 16, 22, -8)], step: 1, filler: 0x20, end: 0x2e),
    Search(
        name: "no letter", code: [
            Encode.lbu(16, 10, 0), Encode.addi(10, 10, 1), Encode.addi(17, 16, -0x61), Encode.immediate(0x13, 7, 17, 17, 255), Encode.branch(7, 23, 17, -16),
        ], step: 1, filler: 0x6d, end: 0xe1),
    Search(
        name: "no digit", code: [
            Encode.lbu(16, 10, 0), Encode.immediate(0x1b, 0, 17, 16, -0x30), Encode.addi(10, 10, 1), Encode.branch(7, 24, 17, -12),
        ], step: 1, filler: 0x35, end: 0x2f),
    Search(
        name: "a difference", code: [
            Encode.lbu(16, 10, 0), Encode.lbu(17, 11, 0), Encode.addi(10, 10, 1), Encode.addi(11, 11, 1), Encode.branch(1, 16, 17, 8), Encode.branch(1, 16, 0, -20),
        ], step: 1, filler: 0x61, end: 0x62),
    Search(name: "a half word", code: [Encode.load(5, 16, 10, 0), Encode.addi(10, 10, 2), Encode.branch(1, 16, 0, -8)], step: 2, filler: 0x161, end: 0),
    Search(name: "a negative word", code: [Encode.load(2, 16, 10, 0), Encode.addi(10, 10, 4), Encode.branch(5, 16, 0, -8)], step: 4, filler: 9, end: 0x8000_0000),
    Search(name: "a zero byte in a word", code: zeroByteWord + [Encode.branch(0, 17, 0, -24)], step: 8, filler: 0x6161_6161_6161_6161, end: 0x6161_0061_6161_6161),
    Search(
        name: "the same over another way", code: zeroByteWord + [Encode.branch(0, 17, 0, 12), Encode.lbu(16, 10, -8), Encode.branch(0, 16, 0, 8), Encode.jal(0, -36)],
        step: 8, filler: 0x6161_6161_6161_6161, end: 0x6161_6161_6161_0000),
]

@Suite struct SearchLoopTests {
    private static func registers(_ executors: RegionExecutors) -> [Int: UInt64] {
        [10: executors.arena.center, 11: executors.arena.center + 512, 18: 0x0101_0101_0101_0101, 19: 0x8080_8080_8080_8080, 21: 0x7a, 22: 0x20, 23: 25, 24: 9]
    }

    /// Fills memory from `start` on with so many values that go on, and one that ends the search.
    private static func fill(_ search: Search, _ arena: GuestArena, _ start: UInt64, _ count: UInt64, upTo limit: UInt64) {
        func put(_ value: UInt64, at place: UInt64) {
            withUnsafeBytes(of: value) { bytes in
                for byte in 0 ..< search.step where place + byte < limit { arena.host(place + byte).storeBytes(of: bytes[Int(byte)], as: UInt8.self) }
            }
        }
        for index in 0 ..< count { put(search.filler, at: start + index * search.step) }
        put(search.end, at: start + count * search.step)
    }

    /// Searches that end in each iteration, from pointers of all alignments, across the end of a page.
    @Test(arguments: searches.indices) func everyEndIsExact(index: Int) {
        let search = searches[index], executors = RegionExecutors(), arena = executors.arena
        for count in [0, 1, 7, 8, 9, 30] + Array(50 ..< 90) as [UInt64] {
            for shift in [0, 5] as [UInt64] {
                var registers = SearchLoopTests.registers(executors)
                let start = arena.center + 4096 - 300 + shift
                registers[10] = start
                registers[11] = start + 2048
                func run(_ executor: EngineExecutor) -> Outcome {
                    executor.engine.invalidate(arena.codeRange)
                    program(search.code, registers).load(into: arena, RISCVState(executor.cpu.state))
                    SearchLoopTests.fill(search, arena, start, count, upTo: .max)
                    if search.name == "a difference" { SearchLoopTests.fill(Search(name: "", code: [], step: 1, filler: 0x61, end: 0x61), arena, start + 2048, count + 8, upTo: .max) }
                    return executor.finish(arena)
                }
                let expected = run(executors.reference)
                #expect(expected.exit == .breakpoint)
                for executor in executors.all {
                    let actual = run(executor)
                    #expect(actual == expected, "\(search.name), \(executor.name), \(count) + \(shift): \(actual.differences(from: expected))")
                }
            }
        }
        #expect(executors.all[0].engine.statistics.vectorLoops > 0, "\(search.name)")
    }

    /// Nothing ends the search before memory does, or what does is the last that there is.
    @Test(arguments: searches.indices, [false, true]) func theEndOfMemoryIsExact(index: Int, ends: Bool) {
        let search = searches[index], executors = RegionExecutors(), arena = executors.arena
        let limit = arena.codeRange.upperBound + UInt64(GuestArena.dataBytes)
        for count in [3, 40, 64, 65, 77, 96, 103, 130] as [UInt64] {
            var registers = SearchLoopTests.registers(executors)
            let start = limit - (count + (ends ? 1 : 0)) * search.step
            registers[10] = start
            registers[11] = arena.center - 4000
            func run(_ executor: EngineExecutor) -> Outcome {
                executor.engine.invalidate(arena.codeRange)
                program(search.code, registers).load(into: arena, RISCVState(executor.cpu.state))
                SearchLoopTests.fill(search, arena, start, count, upTo: limit)
                if search.name == "a difference" { SearchLoopTests.fill(Search(name: "", code: [], step: 1, filler: 0x61, end: 0x61), arena, arena.center - 4000, count + 8, upTo: .max) }
                return executor.finish(arena)
            }
            let expected = run(executors.reference)
            #expect(expected.faults == !ends, "\(search.name) \(count)")
            for executor in executors.all {
                let actual = run(executor)
                #expect(actual == expected, "\(search.name), \(executor.name), \(count): \(actual.differences(from: expected))")
            }
        }
    }

    /// The generator makes what becomes vectors.
    @Test func manyRandomSearchesBecomeVectors() {
        let arena = GuestArena()
        let executor = RegionExecutors.make("regions", arena)
        for seed in 1 ... UInt64(120) { _ = executor.run(ProgramKind.searches.program(seed: seed), arena) }
        #expect(executor.engine.statistics.vectorLoops > 60)
    }
}

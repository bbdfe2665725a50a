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

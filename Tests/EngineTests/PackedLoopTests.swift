// Loops that copy or fill several words in each iteration, as memory functions do: as vectors they do the same, wherever the buffers
// are, and whichever word cannot be accessed.

import Engine
import Glibc
import GuestRISCV
import Testing

private extension Outcome {
    var faults: Bool { if case .memoryFault = exit { true } else { false } }
}

/// Copies from x10, up to x14, to x12, so many words in each iteration.
private struct Copy {
    var words: Int
    /// Loads come first, in groups of so many; 1 loads and stores in turn.
    var group: Int
    var fills = false
    /// Positions of the words, in the order in which they are accessed.
    var order: [Int]

    /// With each word in a register of its own, as far as there are registers.
    var code: [UInt32] {
        let registers: [UInt32] = [16, 17, 28, 29, 30, 31, 5, 6], bytes = Int32(words * 8)
        var result: [UInt32] = []
        for start in stride(from: 0, to: words, by: group) {
            let positions = order[start ..< min(words, start + group)]
            if !fills {
                for (number, position) in positions.enumerated() { result.append(Encode.ld(registers[number % 8], 10, Int32(position * 8))) }
            }
            for (number, position) in positions.enumerated() {
                result.append(Encode.store(0x23, 3, fills ? 15 : registers[number % 8], 12, Int32(position * 8)))
            }
        }
        result += [Encode.addi(10, 10, bytes), Encode.addi(12, 12, bytes)]
        return result + [Encode.branch(1, 10, 14, -Int32(result.count * 4))]
    }
}

private let copies: [Copy] = [
    Copy(words: 2, group: 2, order: [0, 1]), Copy(words: 4, group: 4, order: [0, 1, 2, 3]), Copy(words: 4, group: 1, order: [0, 1, 2, 3]),
    Copy(words: 8, group: 8, order: [3, 2, 1, 0, 7, 6, 5, 4]), Copy(words: 16, group: 8, order: Array(0 ..< 16)), Copy(words: 6, group: 3, order: Array(0 ..< 6)),
    Copy(words: 8, group: 8, fills: true, order: Array(0 ..< 8)), Copy(words: 4, group: 4, fills: true, order: [2, 0, 3, 1]),
]

@Suite struct PackedLoopTests {
    /// Wherever the target is beside the source: inside of an iteration's words, ahead of them, behind them.
    @Test(arguments: copies.indices) func overlappingCopiesAgree(index: Int) {
        let copy = copies[index], executors = RegionExecutors(), middle = executors.arena.center, bytes = UInt64(copy.words * 8), trips = 1024 / bytes + 14
        for distance in stride(from: -Int64(bytes) - 16, through: Int64(bytes) + 16, by: 4) {
            for shift in [0, 3] as [UInt64] {
                let source = middle + shift
                let registers: [Int: UInt64] = [
                    10: source, 12: source &+ UInt64(bitPattern: distance), 14: source + trips * bytes, 15: 0x0123_4567_89ab_cdef, 16: 7, 17: 8, 28: 9, 31: 10,
                ]
                let result = executors.agree(program(copy.code, registers), "\(distance) \(shift)")
                #expect(result.exit == .breakpoint)
            }
        }
        #expect(executors.all[0].engine.statistics.vectorLoops > 0)
    }

    /// Source or target leave memory in each word of an iteration.
    @Test(arguments: copies.indices, [10, 12]) func faultsArePrecise(index: Int, walker: Int) {
        let copy = copies[index], executors = RegionExecutors(), arena = executors.arena, bytes = UInt64(copy.words * 8), trips = 1024 / bytes + 14
        let end = arena.codeRange.upperBound + UInt64(GuestArena.dataBytes)
        for rest in stride(from: 6 * bytes, to: 8 * bytes, by: 4) {
            var registers: [Int: UInt64] = [10: arena.center - 4096, 12: arena.center, 15: 0x0123_4567_89ab_cdef]
            registers[walker] = end - rest
            registers[14] = registers[10]! + trips * bytes
            let result = executors.agree(program(copy.code, registers), "\(rest)")
            #expect(result.faults == (!copy.fills || walker == 12))
        }
    }

    /// Only to be read from some page on: what is stored twice must not have been read in between.
    @Test(arguments: copies.indices) func protectedPagesFaultPrecisely(index: Int) {
        let copy = copies[index], executors = RegionExecutors(), arena = executors.arena, bytes = UInt64(copy.words * 8)
        let edge = arena.codeRange.upperBound + UInt64(GuestArena.dataBytes) - 4096, page = arena.host(edge)
        for before in stride(from: 6 * bytes, to: 8 * bytes, by: 8) {
            func run(_ executor: EngineExecutor) -> Outcome {
                executor.engine.invalidate(arena.codeRange)
                let start = edge - before
                let registers: [Int: UInt64] = [10: start - bytes * 2, 12: start, 14: start + bytes * 20 + 1024 / bytes * bytes, 15: 5]
                program(copy.code, registers).load(into: arena, RISCVState(executor.cpu.state))
                mprotect(page, 4096, PROT_READ)
                defer { mprotect(page, 4096, PROT_READ | PROT_WRITE) }
                return executor.finish(arena)
            }
            let expected = run(executors.reference)
            #expect(expected.faults)
            for executor in executors.all {
                let actual = run(executor)
                #expect(actual == expected, "\(executor.name) \(before): \(actual.differences(from: expected))")
            }
        }
    }
}

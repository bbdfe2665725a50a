// Regions: hot loops as one translation, with homes of their own. What the guest sees is what the interpreter does.

import CHost
import Engine
import Glibc
import Guest
import GuestRISCV
import Optimizer
import Synchronization
import Testing

/// Executors that make regions at once, and the one that they are compared with; and one that takes them from a cache on disk.
struct RegionExecutors {
    let arena = GuestArena()
    let reference: EngineExecutor
    let all: [EngineExecutor]

    static func make(
        _ name: String, _ arena: GuestArena, _ change: @escaping (inout EngineConfiguration) -> Void = { _ in }
    ) -> EngineExecutor {
        EngineExecutor(name, arena) {
            $0.policy = .region
            $0.samplePeriod = 1
            $0.regionSamples = 1
            change(&$0)
        }
    }

    init() {
        reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        all = [
            RegionExecutors.make("regions", arena), RegionExecutors.make("unoptimised regions", arena) { $0.optimizations = [] },
            RegionExecutors.make("regions of a plain processor", arena) { $0.features = [] },
            RegionExecutors.make("regions without shaped branches", arena) { $0.optimizations.remove(.branchShaping) },
        ]
    }

    /// Runs the program everywhere; returns what the interpreter saw.
    @discardableResult
    func agree(
        _ program: GuestProgram, regions: Int = 1, _ comment: String = "", location: SourceLocation = #_sourceLocation
    ) -> Outcome {
        let expected = reference.run(program, arena)
        for executor in all {
            let before = executor.engine.statistics.regions
            let actual = executor.run(program, arena)
            let difference = actual.differences(from: expected)
            #expect(actual == expected, "\(executor.name) \(comment): \(difference)", sourceLocation: location)
            let made = executor.engine.statistics.regions - before
            #expect(made >= regions, "\(executor.name) \(comment): \(made)", sourceLocation: location)
        }
        compareFromCache(program, expected, comment, location)
        return expected
    }

    /// What one engine wrote, another one runs.
    private func compareFromCache(_ program: GuestProgram, _ expected: Outcome, _ comment: String, _ location: SourceLocation) {
        let folder = CacheFolder()
        arena.inode = 1
        defer { arena.inode = nil }
        func make() -> EngineExecutor {
            RegionExecutors.make("regions of an earlier run", arena) {
                $0.translationCache = TranslationCacheOptions(directory: folder.path)
            }
        }
        let writer = make(), reader = make()
        _ = writer.run(program, arena)
        writer.engine.saveTranslations()
        let actual = reader.run(program, arena), saved = writer.engine.statistics, loaded = reader.engine.statistics.cacheRegions
        let difference = actual.differences(from: expected)
        #expect(actual == expected, "\(reader.name) \(comment): \(difference)", sourceLocation: location)
        // What changed is not kept.
        let current = saved.regions - saved.regionsRenewed
        let isKept = saved.regions == 0 || saved.invalidations > 0 || saved.cacheRegionsSaved == current
        #expect(isKept && (loaded > 0 || saved.cacheRegionsSaved == 0), "\(comment): \(saved)", sourceLocation: location)
    }
}

/// Two loops, one in the other, whose body branches: more registers than homes, counters x20 (inner) and x21 (outer).
func nestedLoops(outer iterations: Int32 = 12, _ body: (inout ItemList) -> Void = { _ in }) -> ItemList {
    var list = ItemList()
    list.words(Encode.addi(21, 0, iterations))
    let outer = list.here
    list.words(Encode.addi(20, 0, 9), Encode.addi(22, 22, 3))
    let inner = list.here
    list.words(Encode.addi(23, 23, 1), Encode.add(24, 24, 23), Encode.add(25, 25, 24))
    let over = list.branch(4, 24, 25)
    list.words(Encode.mul(28, 25, 23), Encode.add(29, 29, 28), Encode.addi(16, 16, 5), Encode.add(17, 17, 29))
    list.land(over)
    let otherwise = list.branch(1, 18, 0)
    list.words(Encode.mul(19, 19, 23), Encode.addi(18, 0, 1), Encode.add(7, 7, 25), Encode.add(3, 3, 7), Encode.addi(10, 10, 1))
    let skip = list.branch(0, 0, 0)
    list.land(otherwise)
    list.words(Encode.mul(4, 23, 24), Encode.addi(18, 0, 0), Encode.add(31, 31, 4), Encode.add(11, 11, 31))
    list.land(skip)
    body(&list)
    list.words(Encode.addi(20, 20, -1))
    list.branch(1, 20, 0, to: inner)
    list.words(Encode.addi(21, 21, -1))
    list.branch(1, 21, 0, to: outer)
    return list
}

/// Two loops, one in the other, and behind them a third.
func threeLoops(outer: Int32 = 12) -> GuestProgram {
    var list = nestedLoops(outer: outer)
    list.words(Encode.addi(20, 0, 40))
    let loop = list.here
    list.words(Encode.add(14, 14, 20), Encode.addi(20, 20, -1))
    list.branch(1, 20, 0, to: loop)
    return list.program()
}

@Suite struct RegionTests {
    @Test func nestedLoopsBecomeRegions() {
        let executors = RegionExecutors()
        let result = executors.agree(nestedLoops().program([19: 7, 25: 3]))
        #expect(result.exit == .breakpoint && result.words[23] == 108 && result.words[22] == 36)
        for executor in executors.all {
            let statistics = executor.engine.statistics
            #expect(statistics.regionInstructions >= 18 && statistics.regionNanoseconds > 0)
        }
    }

    /// Every way into a loop's homes and out of them: an instruction of the interpreter's, a system call in a branch.
    @Test func interpretedInstructionsSeeDisplacedRegisters() {
        let executors = RegionExecutors()
        let list = nestedLoops {
            $0.words(Encode.float(3, 1, 20, 21, 22), Encode.readFlags(5), Encode.add(6, 6, 5), Encode.float(0, 1, 23, 23, 20))
        }
        let result = executors.agree(list.program([32 + 21: (1.0).bitPattern, 32 + 22: (3.0).bitPattern]))
        #expect(result.words[5] == 1 && result.words[6] == 108)
    }

    @Test func systemCallsSeeDisplacedRegisters() {
        let executors = RegionExecutors()
        let list = nestedLoops {
            // andi x5, x20, 3: a superblock that ends with the call, and goes on otherwise.
            $0.words(Encode.immediate(0x13, 7, 5, 20, 3))
            let over = $0.branch(1, 5, 0)
            $0.words(0x73)
            $0.land(over)
        }
        func outcomes(_ executor: EngineExecutor) -> [Outcome] {
            var all = [executor.run(list.program([19: 7, 25: 3]), executors.arena)]
            while all.last?.exit == .systemCall, all.count < 1000 {
                let state = RISCVState(executor.cpu.state)
                state[10] = state[10] &* 5 &+ 1
                state[24] ^= state[10] & 0xff
                state.programCounter += 4
                all.append(executor.finish(executors.arena))
            }
            return all
        }
        let expected = outcomes(executors.reference)
        #expect(expected.count > 20)
        for executor in executors.all {
            let actual = outcomes(executor)
            #expect(executor.engine.statistics.regions > 0)
            #expect(actual.count == expected.count, "\(executor.name)")
            for (number, pair) in zip(actual, expected).enumerated() where pair.0 != pair.1 {
                Issue.record("\(executor.name), call \(number): \(pair.0.differences(from: pair.1))")
                break
            }
        }
    }

    /// Either way of a branch over a few computations, whose operands they may overwrite; once, and in a loop over data.
    @Test func predicatedBranchesSelect() {
        let executors = RegionExecutors()
        let bodies: [[UInt32]] = [
            [Encode.addi(10, 11, 1)], [Encode.addi(11, 10, 0), Encode.addi(10, 12, 0)],
            [Encode.addi(12, 12, 1), Encode.add(12, 12, 10), Encode.addi(12, 12, 7)], [Encode.add(20, 20, 10), Encode.add(10, 20, 11)],
            [Encode.register(0, 32, 10, 0, 10)],  // neg
        ]
        let (less, more) = (UInt64(bitPattern: -5), UInt64(9))
        for function: UInt32 in [0, 1, 4, 5, 6, 7] {
            for body in bodies {
                var once = ItemList(), loop = ItemList()
                let over = once.branch(function, 10, 11)
                body.forEach { once.words($0) }
                once.land(over)
                for (left, right) in [(less, more), (more, less), (more, more)] {
                    let start = once.program([10: left, 11: right, 12: 100, 20: 1000])
                    let result = executors.agree(start, regions: 0, "\(function) \(left) \(right)")
                    let skips = branchIsTaken(function, left, right)
                    #expect((result.words[10 ..< 21] == start.words[10 ..< 21]) == skips)
                }
                loop.words(Encode.ld(10, 2, 0), Encode.ld(11, 2, 8))
                let inner = loop.branch(function, 10, 11)
                body.forEach { loop.words($0) }
                loop.land(inner)
                loop.words(Encode.add(21, 21, 10), Encode.add(22, 22, 11), Encode.addi(2, 2, 8), Encode.addi(6, 6, -1))
                loop.branch(1, 6, 0, to: 0)
                executors.agree(loop.program([6: 500]), "\(function)")
            }
        }
    }

    private func branchIsTaken(_ function: UInt32, _ left: UInt64, _ right: UInt64) -> Bool {
        switch function & 6 {
        case 0: (left == right) == (function == 0)
        case 4: (Int64(bitPattern: left) < Int64(bitPattern: right)) == (function == 4)
        default: (left < right) == (function == 6)
        }
    }

    // MARK: Interrupts

    @Test func interruptsEndRegions() {
        let executors = RegionExecutors()
        var nested = ItemList()
        let outer = nested.here
        nested.words(Encode.addi(20, 20, 1), Encode.addi(21, 0, 3))
        let inner = nested.here
        nested.words(Encode.addi(21, 21, -1), Encode.addi(22, 22, 1))
        nested.branch(1, 21, 0, to: inner)
        nested.words(Encode.addi(23, 23, 1))
        nested.branch(0, 0, 0, to: outer)
        let single = program([Encode.addi(20, 20, 1), Encode.addi(23, 23, 1), Encode.branch(1, 20, 0, -8)])
        for (number, loop) in [nested.program(), single].enumerated() {
            for executor in executors.all {
                let cpu = executor.cpu, state = RISCVState(cpu.state)
                executor.engine.invalidate(executors.arena.codeRange)
                mynah_clear_interrupt(cpu.header)
                loop.load(into: executors.arena, state)
                // The second time, it starts where the first ended.
                for _ in 0 ..< 2 {
                    let before = state[20]
                    // An interrupt may come before anything was executed.
                    for _ in 0 ..< 1000 where state[20] == before || executor.engine.statistics.regions == 0 {
                        #expect(interruptSoon(cpu) == 0)
                        #expect(cpu.run() == .interrupted, "\(executor.name), loop \(number)")
                        mynah_set_current_cpu(nil)
                    }
                    #expect(state[20] > before && state[20] - state[23] <= 1, "\(executor.name), loop \(number)")
                    let place = Int(state.programCounter - executors.arena.start) / 4
                    // The start of a superblock: a loop, or what is behind the inner one.
                    #expect([outer, inner, inner + 3].contains(place), "\(executor.name), loop \(number): item \(place)")
                }
                #expect(executor.engine.statistics.regions > 0)
            }
        }
    }

    private func interruptSoon(_ cpu: VirtualCPU) -> Int32 {
        mynah_start_thread(
            { header in
                usleep(20_000)
                mynah_request_interrupt(header!.assumingMemoryBound(to: mynah_cpu.self))
            }, cpu.header, 64 << 10)
    }

    // MARK: Code that changes

    @Test func aLoopThatChangesItselfIsTranslatedAgain() {
        let executors = RegionExecutors()
        let list = nestedLoops {
            // In the middle of the 60th iteration, and in the 80th.
            for (iteration, bits) in [(Int32(60), Encode.addi(6, 6, 100)), (80, Encode.addi(6, 6, -7))] {
                $0.words(Encode.addi(5, 23, -iteration))
                let over = $0.branch(1, 5, 0)
                $0.patch($0.here + 1, bits)
                $0.land(over)
                $0.words(Encode.addi(6, 6, 1))
            }
        }
        let result = executors.agree(list.program([19: 7, 25: 3]), regions: 2)
        #expect(result.exit == .breakpoint)
        #expect(result.words[6] == 59 + 49 * 100 + 79 - 29 * 7)
        for executor in executors.all { #expect(executor.engine.statistics.invalidations > 0) }
    }

    @Test func aLoopThatOthersChangeIsTranslatedAgain() {
        let executors = RegionExecutors()
        var list = ItemList()
        let again = list.here
        list.words(Encode.addi(20, 0, 50))
        let loop = list.here
        list.words(Encode.addi(21, 21, 1), Encode.addi(22, 22, 1), Encode.addi(20, 20, -1))
        list.branch(1, 20, 0, to: loop)
        list.words(Encode.addi(23, 23, 1), Encode.addi(5, 23, -2))
        let end = list.branch(0, 5, 0)
        list.patch(loop, Encode.addi(21, 21, 16))
        list.branch(0, 0, 0, to: again)
        list.land(end)
        let result = executors.agree(list.program(), regions: 2)
        #expect(result.words[21] == 50 + 50 * 16 && result.words[22] == 100)
    }

    /// A hot address that was no loop may become one.
    @Test func refusalsEndWithTheCode() {
        let arena = GuestArena(), executor = RegionExecutors.make("regions", arena)
        // 0: counts; goes on by the interpreter (csrwi frm, 0). Then the jump back that makes the address hot.
        let straight = program(
            [
                Encode.addi(20, 20, 1), Encode.immediate(0x73, 5, 0, 0, 2), Encode.branch(4, 20, 22, -8),
            ], [22: 40])
        #expect(executor.run(straight, arena).exit == .breakpoint)
        #expect(executor.engine.statistics.regions == 0)
        let loop = program([Encode.addi(20, 20, 1), Encode.branch(4, 20, 22, -4)], [22: 40])
        #expect(executor.run(loop, arena).exit == .breakpoint)
        #expect(executor.engine.statistics.regions == 1)
    }

    /// A CPU that is in a region comes out when another thread changes the code.
    @Test func otherCPUsLeaveDroppedRegions() {
        let executors = RegionExecutors(), arena = executors.arena
        for executor in executors.all {
            let cpu = executor.cpu, state = RISCVState(cpu.state)
            executor.engine.invalidate(arena.codeRange)
            let before = executor.engine.statistics.regions
            program([Encode.addi(20, 20, 1), Encode.addi(23, 23, 1), Encode.branch(0, 0, 0, -8)]).load(into: arena, state)
            let context = RunningCPU(cpu)
            let status = mynah_start_thread(
                { Unmanaged<RunningCPU>.fromOpaque($0!).takeUnretainedValue().run() }, Unmanaged.passUnretained(context).toOpaque(),
                1 << 20)
            #expect(status == 0)
            for _ in 0 ..< 120_000 where executor.engine.statistics.regions == before { usleep(1000) }
            #expect(executor.engine.statistics.regions > before)
            usleep(5000)
            _ = arena.releaseWatch(at: arena.start)
            arena.host(arena.start).storeBytes(of: 0x0010_0073, as: UInt32.self)
            executor.engine.invalidate(arena.start ..< arena.start + 4)
            for _ in 0 ..< 120_000 where !context.isFinished { usleep(1000) }
            precondition(context.isFinished, "\(executor.name): the CPU stays in the loop")
            #expect(context.exit == .breakpoint && state.programCounter == arena.start)
            #expect(state[20] == state[23] && state[20] > 2)
        }
    }
}

/// Runs a CPU on another thread until something else than an interrupt happens.
private final class RunningCPU: @unchecked Sendable {
    private let cpu: VirtualCPU
    private let finished = Atomic(false)
    /// Valid when finished.
    private(set) var exit = CPUExit.interrupted
    var isFinished: Bool { finished.load(ordering: .acquiring) }

    init(_ cpu: VirtualCPU) { self.cpu = cpu }

    func run() {
        while exit == .interrupted { exit = cpu.run() }
        mynah_set_current_cpu(nil)
        finished.store(true, ordering: .releasing)
    }
}

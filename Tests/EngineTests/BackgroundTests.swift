// Regions made on a thread of their own: what the guest sees is the same, whenever they come, and whatever becomes of its code meanwhile.

import CHost
import Foundation
import Guest
import GuestRISCV
import Synchronization
import Testing

@testable import Engine

@Suite(.serialized) struct BackgroundTests {
    private func executor(_ arena: GuestArena, _ change: @escaping (inout EngineConfiguration) -> Void = { _ in }) -> EngineExecutor {
        RegionExecutors.make("in the background", arena) {
            $0.backgroundTranslation = true
            change(&$0)
        }
    }

    private func reference(_ arena: GuestArena) -> EngineExecutor { EngineExecutor("interpreter", arena) { $0.policy = .interpreter } }

    @Test func regionsReplaceBlocks() {
        let arena = GuestArena(), executor = executor(arena), program = nestedLoops().program([19: 7, 25: 3])
        let expected = reference(arena).run(program, arena)
        #expect(executor.run(program, arena) == expected)
        executor.engine.finishRegions()
        // The same code again, by what was made meanwhile.
        let state = RISCVState(executor.cpu.state)
        for pass in 1 ... 20 {
            program.load(into: arena, state)
            let actual = executor.finish(arena)
            #expect(actual == expected, "pass \(pass): \(actual.differences(from: expected))")
            executor.engine.finishRegions()
        }
        let statistics = executor.engine.statistics
        #expect(statistics.regions >= 1 && statistics.longestRegionQueue >= 1 && statistics.regionInstructions >= 18)
        #expect(statistics.backgroundStages.total > 0 && statistics.regionStages.total == 0)
    }

    /// Each program's code takes the place of the one before, while its loops may still be under way.
    @Test func codeIsReplacedUnderTranslation() {
        let arena = GuestArena(), executor = executor(arena), reference = reference(arena)
        for seed in 1 ... UInt64(300) {
            let kind = [ProgramKind.loops, .vectors, .changing][Int(seed % 3)], program = kind.program(seed: seed)
            let expected = reference.run(program, arena), actual = executor.run(program, arena)
            #expect(actual == expected, "seed \(seed): \(actual.differences(from: expected))")
            // Now and then the thread has its time, however busy the host is.
            if seed % 4 == 0 { executor.engine.finishRegions() }
        }
        executor.engine.finishRegions()
        let statistics = executor.engine.statistics
        let requests = statistics.regions + statistics.regionsThrownAway
        #expect(statistics.regions > 10 && requests > 50, "\(statistics.regions) of \(requests)")
    }

    /// The guest rewrites an instruction of its loop again and again, and executes a fence: from then on it is the new one.
    @Test func loopsThatChangeThemselves() {
        let arena = GuestArena(), executor = executor(arena), reference = reference(arena)
        var list = ItemList()
        // x18 = an instruction that adds nothing; x20 and x21 count.
        let outer = list.here
        list.words(Encode.addi(20, 0, 300))
        let inner = list.here
        let patched = list.here
        list.words(Encode.addi(24, 24, 1), Encode.add(25, 25, 24), Encode.addi(20, 20, -1))
        list.branch(1, 20, 0, to: inner)
        list.address(30, of: patched)
        // addi x24, x24, (x21 & 63) + 1
        list.words(
            Encode.immediate(0x13, 7, 31, 21, 63), Encode.addi(31, 31, 1), Encode.immediate(0x13, 1, 31, 31, 20), Encode.add(31, 31, 18),
            0x23 | 2 << 12 | 30 << 15 | 31 << 20, 0x100f, Encode.addi(21, 21, -1))
        list.branch(1, 21, 0, to: outer)
        let program = list.program([18: UInt64(Encode.addi(24, 24, 0)), 21: 400])
        let expected = reference.run(program, arena)
        #expect(expected.exit == .breakpoint && expected.words[21] == 0)
        for pass in 1 ... 5 {
            let actual = executor.run(program, arena)
            #expect(actual == expected, "pass \(pass): \(actual.differences(from: expected))")
        }
        executor.engine.finishRegions()
        #expect(executor.engine.statistics.invalidations > 100)
    }

    /// Several CPUs run loops in one another's translations, in a cache that is full all the time, while others' changes drop code.
    @Test(arguments: [false, true]) func severalProcessors(invalidates: Bool) {
        let arena = GuestArena()
        let executor = executor(arena) { $0.codeCacheBytes = invalidates ? 1 << 20 : 120 << 10 }
        let engine = executor.engine, cpus = [executor.cpu] + (0 ..< 3).map { _ in engine.makeCPU() }
        defer { for cpu in cpus.dropFirst() { cpu.destroy() } }
        var list = ItemList()
        let again = list.here
        for number in 0 ..< 60 as Range<Int32> {
            // Loops of different length, each of several superblocks.
            list.words(Encode.addi(20, 0, 40 + number % 9))
            let top = list.here
            list.words(Encode.addi(23, 23, number + 1), Encode.add(24, 24, 23))
            let over = list.branch(4, 24, 25)
            list.words(Encode.mul(28, 25, 23), Encode.add(29, 29, 28))
            list.land(over)
            for _ in 0 ..< 24 { list.words(Encode.add(25, 25, 23)) }
            list.words(Encode.addi(20, 20, -1))
            list.branch(1, 20, 0, to: top)
        }
        list.words(Encode.addi(21, 21, -1))
        let end = list.branch(0, 21, 0)
        list.jump(to: again)
        list.land(end)
        let program = list.program([21: 6])
        let expected = reference(arena).run(program, arena)
        #expect(expected.exit == .breakpoint)
        engine.invalidate(arena.codeRange)
        for cpu in cpus { program.load(into: arena, RISCVState(cpu.state)) }
        let first = (0 ..< 32).map { RISCVState(executor.cpu.state)[$0] }
        let isOver = Atomic(false)
        let ends = Mutex<[Int: CPUExit]>([:])
        let threads = cpus.indices.map { index in
            TestThread {
                var exit = CPUExit.interrupted, passes = 0
                // Until the storm has met them, whenever it has its time.
                while passes < 5 || invalidates && engine.statistics.invalidations <= 10 {
                    passes += 1
                    Watchdog.shared.run(cpus[index]) {
                        exit = cpus[index].run()
                        return exit != .interrupted
                    }
                    guard exit == .breakpoint else { break }
                    let state = RISCVState(cpus[index].state)
                    for register in 1 ..< 32 where state[register] != expected.words[register] { exit = .illegalInstruction }
                    for register in 1 ..< 32 { state[register] = first[register] }
                    state.programCounter = arena.start
                }
                mynah_set_current_cpu(nil)
                ends.withLock { $0[index] = exit }
            }
        }
        let storm = TestThread {
            var page = arena.start
            while invalidates, !isOver.load(ordering: .relaxed) {
                engine.invalidate(page ..< page + 64)
                page = page + 256 < arena.start + 2048 ? page + 256 : arena.start
                usleep(300)
            }
        }
        for thread in threads { thread.join() }
        isOver.store(true, ordering: .relaxed)
        storm.join()
        for index in cpus.indices { #expect(ends.withLock { $0[index] } == .breakpoint, "CPU \(index)") }
        engine.finishRegions()
        // All may have been outdated before they were done; now nobody disturbs.
        for _ in 0 ..< 20 where engine.statistics.regions == 0 {
            _ = executor.run(program, arena)
            engine.finishRegions()
        }
        let statistics = engine.statistics
        #expect(statistics.regions > 0)
        #expect(invalidates ? statistics.invalidations > 10 : statistics.flushes > 1, "\(statistics.invalidations), \(statistics.flushes)")
    }

    // MARK: The thread

    @Test func theThreadComesAndGoes() {
        let arena = GuestArena()
        var executor: EngineExecutor? = executor(arena)
        let program = nestedLoops().program([19: 7, 25: 3])
        #expect(executor!.engine.ownThreadID == nil)
        let expected = executor!.run(program, arena)
        let first = executor!.engine.ownThreadID
        #expect(first.map(exists) == true)
        executor!.engine.endOwnThread()
        #expect(executor!.engine.ownThreadID == nil && !exists(first!))
        // It is started again when it is needed.
        #expect(executor!.run(program, arena) == expected)
        let second = executor!.engine.ownThreadID
        #expect(second.map(exists) == true)
        executor = nil
        // Perhaps the thread was the last to let go of the engine.
        for _ in 0 ..< 120_000 where exists(second!) { usleep(1000) }
        #expect(!exists(second!))
    }

    private func exists(_ thread: Int32) -> Bool { mynah_syscall(234, Int(getpid()), Int(thread), 0, 0, 0, 0) == 0 }

    /// It is told of no signal.
    @Test func theThreadTakesNoSignals() throws {
        let arena = GuestArena(), executor = executor(arena)
        _ = executor.run(nestedLoops().program([19: 7, 25: 3]), arena)
        let thread = try #require(executor.engine.ownThreadID)
        let status = try String(contentsOfFile: "/proc/self/task/\(thread)/status")
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("SigBlk:") })
        let mask = try #require(UInt64(line.split(separator: "\t").last ?? "", radix: 16))
        // All but SIGKILL and SIGSTOP.
        let kept: UInt64 = 1 << 8 | 1 << 18
        #expect(mask == ~kept)
    }

    // MARK: Reading

    @Test func pagesAreReadWithoutFaults() {
        let pages = mmap(nil, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
        defer { munmap(pages, 8192) }
        let start: UInt64 = 0x4_2000
        pages.storeBytes(of: 0x1234, toByteOffset: 6, as: UInt16.self)
        let window = CodeWindow(start: start, end: start + 8192, host: pages)
        let copy = CodePage(start + 10, in: window)
        pages.storeBytes(of: 0, toByteOffset: 6, as: UInt16.self)
        #expect(copy?.window.start == start && copy?.window.end == start + 4096)
        #expect(copy?.window.host.load(fromByteOffset: 6, as: UInt16.self) == 0x1234)
        mprotect(pages + 4096, 4096, PROT_NONE)
        #expect(CodePage(start + 4096, in: window) == nil && CodePage(start, in: window) != nil)
        #expect(CodePage.canRead)
    }

    @Test func breakpointsAreCopied() {
        let bytes = [UInt8](repeating: 0, count: 4096)
        var stops = [UInt64](repeating: 0, count: 32)
        stops[1] = 2
        bytes.withUnsafeBytes { bytes in
            stops.withUnsafeMutableBufferPointer { stops in
                let copy = CodePage(0x8000, in: CodeWindow(start: 0x8000, end: 0x9000, host: bytes.baseAddress!, stops: stops.baseAddress))
                stops[1] = 0
                #expect(copy?.window.stopsExecution(at: 0x8000 + 130) == true && copy?.window.stopsExecution(at: 0x8000 + 128) == false)
            }
        }
    }
}

// What the engine does around translations: linking, faults, interrupts, a full cache, a full return stack.

import CHost
import Engine
import Glibc
import GuestRISCV
import Testing

@Suite struct EngineBehaviourTests {
    /// Loads and stores that walk off the end of memory, in a loop and in a straight line, with registers of every kind.
    @Test(arguments: [false, true]) func faultsArePrecise(stores: Bool) {
        let arena = GuestArena()
        for walker: UInt32 in [8, 26] {
            let access = stores ? Encode.sd(20, walker) : Encode.ld(20, walker, 0)
            let loop = program([
                Encode.addi(20, 20, 3), Encode.addi(21, 20, 5), access, Encode.addi(22, 21, 1), Encode.addi(10, 10, 1),
                Encode.addi(walker, walker, 16), Encode.jal(0, -24),
            ])
            let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
            let expected = reference.run(loop, arena)
            guard case .memoryFault = expected.exit else {
                Issue.record("the interpreter ended with \(expected.exit)")
                return
            }
            for executor in EngineExecutor.configurations(arena) {
                let actual = executor.run(loop, arena)
                #expect(actual == expected, "\(executor.name), x\(walker): \(actual.differences(from: expected))")
            }
        }
    }

    /// Rounding mode and sticky flags outlive a memory fault, whoever executes the access.
    @Test func faultsKeepFloatControl() {
        let arena = GuestArena()
        // fdiv.d ft1, ft0, ft2 (inexact), then a load from nowhere.
        let faulting = program([0x1a20_70d3, Encode.ld(5, 0, 0)])
        for policy in [ExecutionPolicy.interpreter, .block] {
            let executor = EngineExecutor("\(policy)", arena) { $0.policy = policy }
            faulting.load(into: arena, RISCVState(executor.cpu.state))
            let state = RISCVState(executor.cpu.state)
            state[32] = (1.0).bitPattern
            state[34] = (3.0).bitPattern
            state.fcsr = 3 << 5
            guard case .memoryFault = executor.finish(arena).exit else {
                Issue.record("no fault")
                return
            }
            #expect(state.fcsr == 3 << 5 | 1, "\(policy)")
            #expect(state.header.pointee.guest_mxcsr & 0x6000 == 0x4000, "\(policy)")
        }
    }

    @Test func loopsAreLinked() {
        let arena = GuestArena()
        let executor = EngineExecutor("optimised", arena)
        // Two blocks that go to each other, a thousand times.
        let words = [
            Encode.addi(5, 5, 1), Encode.branch(0, 0, 0, 8), Encode.addi(6, 6, 1), Encode.addi(7, 7, 1), Encode.branch(4, 5, 10, -16),
        ]
        let result = executor.run(program(words, [10: 1000]), arena)
        #expect(result.exit == .breakpoint)
        #expect(result.words[5] == 1000 && result.words[6] == 0 && result.words[7] == 1000)
        #expect(executor.engine.statistics.linkExits < 20)
    }

    @Test func interruptsStopEndlessLoops() {
        let arena = GuestArena()
        let loops: [[UInt32]] = [
            [Encode.jal(0, 0)],
            [Encode.addi(5, 5, 1), Encode.addi(20, 20, 1), Encode.branch(5, 0, 0, -8)],
            // A call and a return, for ever.
            [Encode.jal(1, 8), Encode.jal(0, -4), Encode.addi(5, 5, 1), Encode.jr(1)],
            // auipc t1, 0; addi t1, t1, 8 -> jumps to itself through a register
            [0x17 | 6 << 7, Encode.addi(6, 6, 8), Encode.jr(6)],
            // Calls that never return: directly, and through a register.
            [Encode.addi(5, 5, 1), Encode.jal(1, -4)],
            [0x17 | 6 << 7, Encode.addi(6, 6, 8), Encode.addi(5, 5, 1), Encode.jr(6) | 1 << 7],
        ]
        for policy in [ExecutionPolicy.interpreter, .block] {
            for (number, words) in loops.enumerated() {
                let executor = EngineExecutor("endless", arena) { $0.policy = policy }
                program(words).load(into: arena, RISCVState(executor.cpu.state))
                let cpu = executor.cpu
                let started = mynah_start_thread(
                    { header in
                        usleep(20_000)
                        mynah_request_interrupt(header!.assumingMemoryBound(to: mynah_cpu.self))
                    }, cpu.header, 64 << 10)
                #expect(started == 0)
                #expect(cpu.run() == .interrupted, "\(policy), loop \(number)")
                mynah_set_current_cpu(nil)
                let place = RISCVState(cpu.state).programCounter
                #expect(place >= arena.start && place < arena.start + UInt64(words.count * 4), "\(policy), loop \(number)")
            }
        }
    }

    /// More calls than the return stack has room for, then as many returns.
    @Test func returnStackMayOverflow() {
        let arena = GuestArena()
        let words = [
            Encode.jal(1, 8),  // call f
            Encode.jal(0, 32),  // to the end
            Encode.addi(5, 5, 1),  // f
            Encode.branch(5, 5, 10, 8),  // deep enough: unwind
            Encode.jal(1, -8),  // call f; its return address is the next instruction
            Encode.addi(6, 6, 1),
            Encode.branch(5, 6, 10, 8),
            Encode.jr(1),
            Encode.addi(7, 7, 1),
        ]
        let start = program(words, [10: 200_000])
        let expected = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }.run(start, arena)
        #expect(expected.exit == .breakpoint && expected.words[5] == 200_000)
        for executor in EngineExecutor.configurations(arena) {
            let actual = executor.run(start, arena)
            #expect(actual == expected, "\(executor.name): \(actual.differences(from: expected))")
        }
    }

    @Test func fullCacheIsEmptied() {
        let arena = GuestArena()
        let executor = EngineExecutor("tiny cache", arena) { $0.codeCacheBytes = 96 << 10 }
        let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        for seed in 1 ... UInt64(40) {
            let random = ProgramKind.loops.program(seed: seed)
            let expected = reference.run(random, arena)
            let actual = executor.run(random, arena)
            #expect(actual == expected, "seed \(seed): \(actual.differences(from: expected))")
        }
        #expect(executor.engine.statistics.flushes > 0)
    }

    /// Two CPUs, of which each empties the cache while the other is between finding code and entering it, or looks up where a fault
    /// was that it has come out with.
    @Test func fullCacheIsEmptiedUnderOthers() {
        let arena = GuestArena()
        let executor = EngineExecutor("tiny cache", arena) { $0.codeCacheBytes = 72 << 10 }
        let other = executor.engine.makeCPU()
        defer { other.destroy() }
        var list = ItemList(), sum: UInt64 = 0
        let passes: UInt64 = 6
        list.address(7, of: 1)
        // Blocks that go to each other by way of the dispatcher; some fault before they do.
        for index in 1 ... 600 {
            let faults = index % 4 == 0
            list.words(Encode.addi(5, 5, Int32(index)))
            if faults { list.words(Encode.ld(8, 0, 0)) }
            list.words(Encode.addi(7, 7, faults ? 16 : 12), Encode.jr(7))
            sum += UInt64(index)
        }
        list.words(Encode.addi(10, 10, -1))
        let end = list.branch(0, 10, 0)
        list.jump(to: 0)
        list.land(end)
        let chain = list.program([10: passes])
        /// To the end, behind every instruction that faults.
        func finish(_ cpu: VirtualCPU) -> (exit: CPUExit, faults: UInt64) {
            var exit = CPUExit.interrupted, faults: UInt64 = 0
            Watchdog.shared.run(cpu) {
                exit = cpu.run()
                guard case .memoryFault = exit else { return exit != .interrupted }
                RISCVState(cpu.state)[64] += 4
                faults += 1
                return false
            }
            mynah_set_current_cpu(nil)
            return (exit, faults)
        }
        for cpu in [executor.cpu, other] { chain.load(into: arena, RISCVState(cpu.state)) }
        var otherEnd = (exit: CPUExit.interrupted, faults: UInt64(0))
        let thread = TestThread { otherEnd = finish(other) }
        let ownEnd = finish(executor.cpu)
        thread.join()
        for (cpu, end) in [(executor.cpu, ownEnd), (other, otherEnd)] {
            #expect(end.exit == .breakpoint && end.faults == passes * 150 && RISCVState(cpu.state)[5] == passes * sum)
        }
        #expect(executor.engine.statistics.flushes > 20, "\(executor.engine.statistics.flushes) times")
    }

    @Test func codeEndsWithAFault() {
        let arena = GuestArena()
        for policy in [ExecutionPolicy.interpreter, .block] {
            let executor = EngineExecutor("end", arena) { $0.policy = policy }
            program([Encode.addi(5, 5, 1), Encode.addi(6, 6, 1)]).load(into: arena, RISCVState(executor.cpu.state))
            arena.executable = arena.start ..< arena.start + 8
            let result = executor.finish(arena)
            #expect(result.exit == .instructionFault(address: arena.start + 8))
            #expect(result.words[5] == 1 && result.words[6] == 1 && result.words[64] == arena.start + 8)
        }
    }
}

// Lockstep: wrong translations are found, named and made smaller; right ones are left alone.

import CHost
import Engine
import Glibc
import GuestRISCV
import IR
import Optimizer
import Synchronization
import Testing

/// Everything that a lockstep run reported.
private final class Reports: Sendable {
    private let found = Mutex<[LockstepDifference]>([])
    var all: [LockstepDifference] { found.withLock { $0 } }
    func options(every: Int = 1) -> LockstepOptions {
        LockstepOptions(every: every, onDifference: { difference in self.found.withLock { $0.append(difference) } })
    }
}

/// Wrong passes: each makes one operation another one.
private enum WrongPass {
    private static func pass(_ change: @escaping @Sendable (UnsafeMutablePointer<Instruction>) -> Void) -> Pass {
        Pass(name: "wrong", option: []) { function, _ in
            for index in 0 ..< function.count { change(function.instructions + index) }
        }
    }
    static let subtraction = pass { if $0.pointee.opcode == .subtract { $0.pointee.opcode = .add } }
    static let storedValue = pass { if $0.pointee.opcode == .store, !$0.pointee.c.isNone { $0.pointee.c = $0.pointee.a } }
    static let exits = pass { if $0.pointee.opcode == .exit { $0.pointee.immediate += 4 } }
}

private func addi(_ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 {
    0x13 | rd << 7 | rs1 << 15 | UInt32(bitPattern: value) << 20
}
private func sub(_ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 { 0x4000_0033 | rd << 7 | rs1 << 15 | rs2 << 20 }
private func ld(_ rd: UInt32, _ rs1: UInt32) -> UInt32 { 0x3003 | rd << 7 | rs1 << 15 }
private func sd(_ rs2: UInt32, _ rs1: UInt32) -> UInt32 { 0x3023 | rs1 << 15 | rs2 << 20 }
private func blt(_ rs1: UInt32, _ rs2: UInt32, _ distance: Int32) -> UInt32 {
    0x4063 | rs1 << 15 | rs2 << 20 | GuestAssembler.branchOffset(distance)
}

@Suite struct LockstepTests {
    /// A loop that works on memory; x8 points to data, see `PointerRegister`.
    private let loop = program(
        [addi(6, 6, 7), ld(7, 8), addi(7, 7, 1), sub(28, 7, 6), sd(28, 8), addi(5, 5, 1), blt(5, 10, -24), addi(9, 0, 1)],
        [10: 50, 6: 3])

    @Test func rightTranslationsAgree() {
        let arena = GuestArena(), reports = Reports()
        let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        let executor = EngineExecutor("lockstep", arena) { $0.lockstep = reports.options() }
        let expected = reference.run(loop, arena)
        let actual = executor.run(loop, arena)
        #expect(actual == expected, "\(actual.differences(from: expected))")
        #expect(reports.all.isEmpty)
        let counts = executor.engine.lockstep!.statistics
        #expect(counts.comparedBlocks >= 50 && counts.comparedInstructions >= 350 && counts.unstableBlocks == 0)
    }

    /// Loops, calls, faults, self-modifying code, atomics, floats: what the generators know.
    @Test(arguments: ProgramKind.allCases) func randomProgramsAgree(kind: ProgramKind) {
        let arena = GuestArena(), reports = Reports()
        let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        let executor = EngineExecutor("lockstep", arena) { $0.lockstep = reports.options() }
        for seed in 1 ... UInt64(100) {
            let random = kind.program(seed: seed)
            let expected = reference.run(random, arena)
            let actual = executor.run(random, arena)
            #expect(actual == expected, "\(kind), seed \(seed): \(actual.differences(from: expected))")
            if let difference = reports.all.first {
                Issue.record("\(kind), seed \(seed): \(difference.text(RISCV64()))")
                return
            }
        }
        #expect(executor.engine.lockstep!.statistics.comparedBlocks > 30)
    }

    @Test func aWrongOperationIsFoundAndMinimised() throws {
        let arena = GuestArena(), reports = Reports()
        let executor = EngineExecutor("wrong", arena) {
            $0.lastPass = WrongPass.subtraction
            $0.lockstep = reports.options()
        }
        _ = executor.run(loop, arena)
        let difference = try #require(reports.all.first)
        #expect(reports.all.count == 1)
        #expect(difference.instructions.first?.address == arena.start)
        #expect(difference.values.contains { $0.name == "t3" } && difference.values.contains { $0.name.hasPrefix("memory 0x") })
        let minimised = try #require(difference.minimised)
        #expect(minimised.code.map(\.text) == ["sub\tt3,t2,t1"] || minimised.code.map(\.text) == ["sub t3,t2,t1"])
        #expect(minimised.memory.isEmpty)
        // t2 alone or t1 alone is not needed: x - y differs from x + y by y.
        #expect(!minimised.text(RISCV64()).contains("register t2"))
        #expect(minimised.text(RISCV64()).contains("register t1 0xa"))
    }

    @Test func aReproducerReplays() throws {
        let arena = GuestArena(), reports = Reports()
        let executor = EngineExecutor("wrong", arena) {
            $0.lastPass = WrongPass.storedValue
            $0.lockstep = reports.options()
        }
        _ = executor.run(loop, arena)
        let difference = try #require(reports.all.first)
        let minimised = try #require(difference.minimised)
        #expect(minimised.code.count == 1 && minimised.memory.count == 8)
        let isa = RISCV64()
        let again = try #require(Reproducer(text: minimised.text(isa), isa: isa))
        #expect(again == minimised)
        var wrong = EngineConfiguration()
        wrong.lastPass = WrongPass.storedValue
        let stored = difference.values.map(\.name).filter { $0.hasPrefix("memory") }
        #expect(try Replayer(isa: isa, configuration: wrong).differences(again).map(\.name) == stored)
        #expect(try Replayer(isa: isa, configuration: EngineConfiguration()).differences(again).isEmpty)
    }

    @Test func aWrongExitIsFound() throws {
        let arena = GuestArena(), reports = Reports()
        let executor = EngineExecutor("wrong", arena) {
            $0.lastPass = WrongPass.exits
            $0.lockstep = reports.options()
        }
        _ = executor.run(loop, arena)
        #expect(try #require(reports.all.first).values.contains { $0.name == "pc" })
    }

    /// With `every`, the first execution is compared and then each so manieth.
    @Test func someExecutionsAreEnough() {
        let arena = GuestArena(), reports = Reports()
        let executor = EngineExecutor("lockstep", arena) { $0.lockstep = reports.options(every: 10) }
        #expect(executor.run(loop, arena).exit == .breakpoint)
        let counts = executor.engine.lockstep!.statistics
        #expect(counts.comparedBlocks >= 5 && counts.comparedBlocks <= 8 && reports.all.isEmpty)
    }

    /// Branches over something that the translation executes all the same, and out of it to further on.
    @Test func forwardBranchesAgree() {
        let arena = GuestArena(), reports = Reports()
        let words = [
            blt(6, 7, 8), addi(11, 11, 1), addi(6, 6, 1), blt(6, 7, 28), ld(28, 8), addi(28, 28, 1), sd(28, 8), ld(29, 8), addi(29, 29, 1),
            sd(29, 8), addi(7, 7, 3), addi(5, 5, 1), blt(5, 10, -48),
        ]
        let start = program(words, [10: 40, 6: 0, 7: 9])
        let expected = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }.run(start, arena)
        let executor = EngineExecutor("lockstep", arena) { $0.lockstep = reports.options() }
        #expect(executor.run(start, arena) == expected)
        #expect(reports.all.isEmpty, "\(reports.all.first?.text(RISCV64()) ?? "")")
        #expect(executor.engine.lockstep!.statistics.comparedBlocks >= 40)
    }

    /// Copies byte by byte that walk off the end of memory: the translation may take several at once.
    @Test func faultsAgree() {
        let arena = GuestArena(), reports = Reports()
        let load: UInt32 = 0x4003, store: UInt32 = 0x23
        var words = [addi(5, 5, 1)]
        for byte in 0 ..< UInt32(4) {
            words.append(load | 28 << 7 | 8 << 15 | byte << 20)
            words.append(store | 28 << 20 | 8 << 15 | (byte + 8) << 7)
        }
        words += [addi(8, 8, 4), blt(5, 10, -40)]
        let start = program(words, [10: 1 << 20])
        let expected = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }.run(start, arena)
        let executor = EngineExecutor("lockstep", arena) { $0.lockstep = reports.options() }
        let actual = executor.run(start, arena)
        #expect(actual == expected, "\(actual.differences(from: expected))")
        #expect(reports.all.isEmpty, "\(reports.all.first?.text(RISCV64()) ?? "")")
        guard case .memoryFault = actual.exit else {
            Issue.record("no fault: \(actual.exit)")
            return
        }
    }

    /// An interrupt that comes during a pass is not lost.
    @Test func interruptsAreSeen() {
        let arena = GuestArena(), reports = Reports()
        let executor = EngineExecutor("endless", arena) { $0.lockstep = reports.options() }
        program([addi(5, 5, 1), 0x6f | GuestAssembler.jumpOffset(-4)]).load(into: arena, RISCVState(executor.cpu.state))
        let started = mynah_start_thread(
            { header in
                usleep(20_000)
                mynah_request_interrupt(header!.assumingMemoryBound(to: mynah_cpu.self))
            }, executor.cpu.header, 64 << 10)
        #expect(started == 0 && executor.cpu.run() == .interrupted)
        mynah_set_current_cpu(nil)
    }

    @Test func malformedReproducersAreRefused() {
        for text in ["", "isa mips", "code 0x1000", "register nobody 0x1\ncode 0x1000 00000013", "memory 0x1000 zz\ncode 0x1000 00000013"] {
            #expect(Reproducer(text: text, isa: RISCV64()) == nil, "\(text)")
        }
    }
}

// Programs that change what code and addresses mean while they run, by every engine.

import Engine
import Guest
import GuestRISCV
import Testing

@testable import Machine

@Suite(.serialized) struct MachineProgramTests {
    static let policies = ExecutionPolicy.allCases
    private static let leaf: UInt64 = 0xcf    // V R W X A D

    /// A loop writes over an instruction of its own page and one of another page, each time with `fence.i`.
    @Test(arguments: policies) func codeThatChanges(policy: ExecutionPolicy) throws {
        let machine = try BareMachine(policy)
        let far: UInt64 = 0x8000_3000
        machine.code([Asm.addi(10, 10, 1), Asm.jalr(0, 1)], at: far)
        // x5 far, x6, x7 the two encodings, x8 iterations, x9 the near place.
        let near: UInt64 = 0x8000_0000 + 9 * 4
        machine.words([far, UInt64(Asm.addi(10, 10, 1)), UInt64(Asm.addi(10, 10, 16)), 1000, near], at: BareMachine.constants)
        machine.code([
            Asm.ld(5, 11, 0), Asm.ld(6, 11, 8), Asm.ld(7, 11, 16), Asm.ld(8, 11, 24), Asm.ld(9, 11, 32), Asm.addi(10, 0, 0),
            Asm.sw(6, 9, 0), Asm.sw(7, 5, 0), Asm.fenceI, Asm.addi(10, 10, 1), Asm.jalr(1, 5),
            // Exchange x6 and x7.
            Asm.xor(6, 6, 7), Asm.xor(7, 6, 7), Asm.xor(6, 6, 7),
            Asm.addi(8, 8, -1), Asm.branch(1, 8, 0, -9 * 4), Asm.ecall,
        ], at: 0x8000_0000)
        #expect(try machine.run(at: 0x8000_0000))
        #expect(machine.processor.harts[0][10] == 1000 * 17)
    }

    /// One virtual page, two address spaces with other code there; and a page-table entry that changes under `sfence.vma`.
    @Test(arguments: policies) func addressSpaces(policy: ExecutionPolicy) throws {
        let machine = try BareMachine(policy), page: UInt64 = 0x40_0000
        let first = machine.newTable(), second = machine.newTable()
        for root in [first, second] {
            for offset in stride(from: 0, to: 0x1_0000 as UInt64, by: 4096) {
                machine.map(root: root, 0x8000_0000 + offset, to: 0x8000_0000 + offset, Self.leaf)
            }
        }
        machine.map(root: first, page, to: 0x8000_5000, Self.leaf)
        machine.map(root: second, page, to: 0x8000_6000, Self.leaf)
        machine.code([Asm.addi(10, 10, 1), Asm.jalr(0, 1)], at: 0x8000_5000)
        machine.code([Asm.addi(10, 10, 100), Asm.jalr(0, 1)], at: 0x8000_6000)
        machine.words([page, 8 << 60 | first >> 12, 8 << 60 | second >> 12, 2000], at: BareMachine.constants)
        machine.code([
            Asm.ld(5, 11, 0), Asm.ld(6, 11, 8), Asm.ld(7, 11, 16), Asm.ld(8, 11, 24), Asm.addi(10, 0, 0),
            Asm.csrrw(0, 0x180, 6), Asm.jalr(1, 5), Asm.csrrw(0, 0x180, 7), Asm.jalr(1, 5),
            Asm.addi(8, 8, -1), Asm.branch(1, 8, 0, -5 * 4), Asm.ecall,
        ], at: 0x8000_0000)
        #expect(try machine.run(at: 0x8000_0000))
        #expect(machine.processor.harts[0][10] == 2000 * 101)
    }

    /// A page fault is handled by mapping the page; then the access is repeated.
    @Test(arguments: policies) func pageFaults(policy: ExecutionPolicy) throws {
        let machine = try BareMachine(policy), root = machine.newTable(), page: UInt64 = 0x40_0000
        for offset in stride(from: 0, to: 0x1_0000 as UInt64, by: 4096) {
            machine.map(root: root, 0x8000_0000 + offset, to: 0x8000_0000 + offset, Self.leaf)
        }
        machine.map(root: root, page, to: 0x8000_7000, 0)
        // The table with the entry, seen at an address of its own.
        let middle = (machine.word(root) >> 10) << 12
        let table = (machine.word(middle | (page >> 21 & 511) * 8) >> 10) << 12
        machine.map(root: root, 0x50_0000, to: table, Self.leaf)
        let entry = 0x50_0000 + (page >> 12 & 511) * 8
        machine.words(
            [page, 8 << 60 | root >> 12, entry, 0x8000_7000 >> 2 | Self.leaf, 500, 0x8000_1000], at: BareMachine.constants)
        machine.code(
            [
                Asm.ld(5, 11, 0), Asm.ld(6, 11, 8), Asm.ld(7, 11, 16), Asm.ld(9, 11, 24), Asm.ld(8, 11, 32), Asm.ld(12, 11, 40),
                Asm.csrrw(0, 0x105, 12), Asm.csrrw(0, 0x180, 6), Asm.addi(10, 0, 0), Asm.addi(13, 0, 0),
                // Unmap, then write and read; each iteration faults once.
                Asm.sd(0, 7, 0), Asm.sfence, Asm.sd(8, 5, 8), Asm.ld(14, 5, 8), Asm.add(13, 13, 14),
                Asm.addi(8, 8, -1), Asm.branch(1, 8, 0, -6 * 4), Asm.ecall,
            ], at: 0x8000_0000)
        machine.code([Asm.sd(9, 7, 0), Asm.csrrs(15, 0x143, 0), Asm.addi(10, 10, 1), Asm.sret], at: 0x8000_1000)
        #expect(try machine.run(at: 0x8000_0000))
        let hart = machine.processor.harts[0]
        #expect(hart[10] == 500 && hart[13] == 500 * 501 / 2 && hart[15] == page + 8)
    }

    /// `wfi` until the timer, several times. Interrupts are off meanwhile, as one that came before would leave nothing to wait
    /// for.
    @Test(arguments: policies) func timerInterrupts(policy: ExecutionPolicy) throws {
        let machine = try BareMachine(policy)
        machine.words([0x8000_1000, 1 << 5, 2], at: BareMachine.constants)
        machine.code(
            [
                Asm.ld(5, 11, 0), Asm.ld(6, 11, 8), Asm.ld(7, 11, 16), Asm.csrrw(0, 0x105, 5), Asm.csrrw(0, 0x104, 6),
                Asm.addi(10, 0, 0),
                Asm.addi(9, 0, 5), Asm.csrrs(12, 0xc01, 0), Asm.addi(12, 12, 1000), Asm.csrrw(0, 0x14d, 12), Asm.wfi,
                Asm.csrrs(0, 0x100, 7),
                Asm.csrrc(0, 0x100, 7), Asm.branch(1, 10, 9, -6 * 4), Asm.ecall,
            ], at: 0x8000_0000)
        // Turns the timer off, counts, goes back.
        machine.code(
            [Asm.addi(13, 0, -1), Asm.csrrw(0, 0x14d, 13), Asm.addi(10, 10, 1), Asm.csrrs(14, 0x142, 0), Asm.sret],
            at: 0x8000_1000)
        #expect(try machine.run(at: 0x8000_0000))
        let hart = machine.processor.harts[0]
        #expect(hart[10] == 5 && hart[14] == 1 << 63 | 5)
    }

    /// Two harts add to the same words, by atomic instructions and by reservations.
    @Test(arguments: policies) func harts(policy: ExecutionPolicy) throws {
        let machine = try BareMachine(policy, harts: 2)
        let counters: UInt64 = 0x8000_4000, iterations: UInt64 = 20_000
        machine.words([counters, iterations, 1], at: BareMachine.constants)
        machine.code([
            Asm.ld(5, 11, 0), Asm.ld(8, 11, 8), Asm.ld(7, 11, 16), Asm.addi(9, 5, 64),
            Asm.amoaddD(0, 7, 5), Asm.lrD(12, 9), Asm.addi(12, 12, 1), Asm.scD(13, 12, 9), Asm.branch(1, 13, 0, -3 * 4),
            Asm.addi(8, 8, -1), Asm.branch(1, 8, 0, -6 * 4),
            // The last one to come here ends it.
            Asm.addi(9, 5, 128), Asm.amoaddD(14, 7, 9), Asm.branch(0, 14, 0, 8), Asm.ecall, Asm.branch(0, 0, 0, 0),
        ], at: 0x8000_0000)
        #expect(try machine.run(at: 0x8000_0000, all: true))
        #expect(machine.word(counters) == iterations * 2 && machine.word(counters + 64) == iterations * 2)
    }

    @Test func deterministicRunsRepeat() throws {
        var results: [[UInt64]] = []
        for policy in ExecutionPolicy.allCases + [.interpreter] {
            let machine = try BareMachine(policy, harts: 2, isDeterministic: true)
            machine.words([0x8000_4000, 30_000, 1], at: BareMachine.constants)
            // Each notes the time when it is done: what the other did until then is in it.
            machine.code(
                [
                    Asm.ld(5, 11, 0), Asm.ld(8, 11, 8), Asm.ld(7, 11, 16), Asm.amoaddD(12, 7, 5), Asm.add(13, 13, 12),
                    Asm.addi(8, 8, -1),
                    Asm.branch(1, 8, 0, -3 * 4), Asm.csrrs(15, 0xc01, 0), Asm.addi(9, 5, 64), Asm.amoaddD(14, 7, 9),
                    Asm.branch(0, 14, 0, 8),
                    Asm.ecall, Asm.branch(0, 0, 0, 0),
                ], at: 0x8000_0000)
            #expect(try machine.run(at: 0x8000_0000, all: true))
            results.append(machine.processor.harts.flatMap { [$0[13], $0[15], $0[14]] })
        }
        #expect(results.allSatisfy { $0 == results[0] } && results[0][1] > 1000, "\(results)")
    }

    /// One instruction at a time, with the traps between.
    @Test func steps() throws {
        let machine = try BareMachine(.auto), hart = machine.processor.harts[0]
        machine.words([0x8000_1000], at: BareMachine.constants)
        machine.code([Asm.ld(5, 11, 0), Asm.csrrw(0, 0x105, 5), 0, Asm.addi(10, 0, 7)], at: 0x8000_0000)
        machine.code([Asm.addi(6, 6, 1)], at: 0x8000_1000)
        hart.step()
        #expect(hart.programCounter == 0)
        _ = hart.start(at: 0x8000_0000, opaque: BareMachine.constants, isSupervisor: true)
        for expected in [0x8000_0004, 0x8000_0008, 0x8000_1000, 0x8000_1004] as [UInt64] {
            hart.step()
            #expect(hart.programCounter == expected)
        }
        #expect(hart[6] == 1)
        hart.halt()
        #expect(hart.phase == .stopped)
    }
}

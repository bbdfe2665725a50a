// Random instructions in supervisor mode, with faults of every kind among them, by all engines: what they leave must be the same.

import Engine
import Guest
import GuestRISCV
import Testing

@testable import Machine

@Suite(.serialized) struct MachineDifferentialTests {
    private struct Random: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    private struct Outcome: Equatable {
        var registers: [UInt64]
        var floatControl: UInt32
        var memory: UInt64
        var device: UInt64
        /// Executed, when they are counted.
        var instructions: UInt64
    }

    /// Base registers: pages to read and write, to read only, without a mapping, a device; a place before the end of a page.
    private static let bases: [UInt32] = [8, 9, 18, 19, 20]
    private static let accumulator: UInt32 = 30, temporary: UInt32 = 31, counter: UInt32 = 21
    private static let reserved: Set<UInt32> = Set(bases).union([accumulator, temporary, counter])
    private static let leaf: UInt64 = 0xcf

    /// Rows whose instructions may be drawn: transfers, calls, sleep and clocks are left out.
    private static let rows: [Int] = RISCVInstructionTable.rows.indices.filter { index in
        let row = RISCVInstructionTable.rows[index]
        switch row.opcode {
        case .jal, .jalr, .beq, .bne, .blt, .bge, .bltu, .bgeu, .ecall, .sret, .wfi, .illegal: return false
        default: return row.byteCount == 4
        }
    }
    /// Readable and writable without an end to it: sstatus, sepc, scause, stval, scounteren, senvcfg, fflags, frm, fcsr, absent,
    /// machine's.
    private static let registers: [UInt32] = [
        0x100, 0x141, 0x142, 0x143, 0x106, 0x10a, 0x001, 0x002, 0x003, 0x7c0, 0x300, 0xf14, 0x5a8,
    ]

    private func instruction(_ random: inout Random) -> UInt32 {
        let index = Self.rows[Int(random.next() % UInt64(Self.rows.count))], row = RISCVInstructionTable.rows[index]
        var bits = RISCVInstructionTable.randomEncoding(row: index, using: &random)
        switch row.format {
        case .csr, .csrImmediate:
            bits = bits & 0x000f_ffff | Self.registers[Int(random.next() % UInt64(Self.registers.count))] << 20
        case .load, .store, .floatLoad, .floatStore, .loadReserved, .atomic, .cacheBlock:
            bits = bits & ~(31 << 15) | Self.bases[Int(random.next() % UInt64(Self.bases.count))] << 15
            // Near the base, so that pages are what was meant.
            if row.format == .load || row.format == .floatLoad { bits = bits & 0x00ff_ffff }
            if row.format == .store || row.format == .floatStore { bits = bits & 0x0fff_ffff }
        default: break
        }
        let rd = bits >> 7 & 31
        let isFloat = RISCVDecoder.decode(bits).rd >= 32
        if !isFloat && Self.reserved.contains(rd) && row.format != .store && row.format != .floatStore {
            bits = bits & ~(31 << 7) | 22 << 7
        }
        // The rare row where that made another instruction of it.
        return RISCVDecoder.row(of: bits) == index || row.format == .csr || row.format == .csrImmediate ? bits : Asm.addi(0, 0, 0)
    }

    private func outcome(
        _ seed: UInt64, _ policy: ExecutionPolicy, counts: Bool = false, regions: BareMachine.RegionChoice = .late
    ) throws -> Outcome? {
        var random = Random(state: seed)
        let machine = try BareMachine(policy, isDeterministic: counts, regions: regions), root = machine.newTable()
        for offset in stride(from: 0, to: 0x1_0000 as UInt64, by: 4096) {
            machine.map(root: root, 0x8000_0000 + offset, to: 0x8000_0000 + offset, Self.leaf)
        }
        let data: UInt64 = 0x40_0000
        machine.map(root: root, data, to: 0x8001_0000, Self.leaf)
        machine.map(root: root, data + 0x1000, to: 0x8001_1000, Self.leaf & ~4)
        machine.map(root: root, data + 0x3000, to: 0x1000_0000, Self.leaf)
        machine.map(root: root, data + 0x4000, to: 0x8001_2000, Self.leaf)
        machine.map(root: root, data + 0x5000, to: 0x8001_3000, Self.leaf)
        machine.words((0 ..< 2048).map { _ in random.next() }, at: 0x8001_0000)
        machine.words(
            [
                data + 0x400, data + 0x1400, data + 0x2400, data + 0x3400, data + 0x5000 - 4 - random.next() % 2 * 2, 60,
                8 << 60 | root >> 12,
                0x8000_1000, 3 << 13,
            ], at: BareMachine.constants)
        var program: [UInt32] = zip(Self.bases + [Self.counter], 0 ..< 6).map { Asm.ld($0, 11, Int32($1) * 8) }
        program += [
            Asm.ld(5, 11, 48), Asm.ld(6, 11, 56), Asm.ld(7, 11, 64), Asm.csrrw(0, 0x105, 6), Asm.csrrs(0, 0x100, 7),
            Asm.csrrw(0, 0x180, 5),
        ]
        let body = (0 ..< 100).map { _ in instruction(&random) }
        program += body
        program += [
            Asm.addi(Self.counter, Self.counter, -1), Asm.branch(1, Self.counter, 0, -Int32(body.count + 1) * 4), Asm.ecall,
        ]
        // Across a page, and half of the time with an instruction across it.
        let start = 0x8000_2f00 + random.next() % 2 * 2
        machine.code(program, at: start)
        let a = Self.accumulator, t = Self.temporary
        machine.code(
            [
                Asm.csrrs(t, 0x142, 0), Asm.add(a, a, t), Asm.csrrs(t, 0x143, 0), Asm.xor(a, a, t), Asm.slli(t, a, 3),
                Asm.add(a, a, t),
                Asm.csrrs(t, 0x141, 0), Asm.addi(t, t, 4), Asm.csrrw(0, 0x141, t), Asm.sret,
            ], at: 0x8000_1000)
        guard try machine.run(at: start) else { return nil }
        let hart = machine.processor.harts[0]
        let memory = stride(from: 0x8001_0000, to: 0x8001_4000, by: 8).reduce(0 as UInt64) { $0 &* 31 &+ machine.word($1) }
        return Outcome(
            registers: (0 ..< 64).map { hart[$0] } + [hart.programCounter], floatControl: RISCVState(hart.cpu.state).fcsr,
            memory: memory,
            device: machine.bus.hash, instructions: counts ? hart.cpu.instructionsExecuted : 0)
    }

    // MARK: User mode

    private static let isUser: UInt64 = 16

    /// The same in user mode, where translated code looks at ranges and windows; the page at the last base is made read-only, and
    /// writable again, whenever something traps.
    private func userOutcome(
        _ seed: UInt64, _ policy: ExecutionPolicy, counts: Bool = false
    ) throws -> (Outcome, openings: Int)? {
        var random = Random(state: seed)
        let machine = try BareMachine(policy, isDeterministic: counts, looksAtRangesInBlocks: true), root = machine.newTable()
        let ranges = machine.processor.harts[0].core.ranges
        ranges.fillsToOpen = 0
        for offset in [0, 0x1000, 0x6000] as [UInt64] {
            machine.map(root: root, 0x8000_0000 + offset, to: 0x8000_0000 + offset, Self.leaf)
        }
        for offset in [0x2000, 0x3000] as [UInt64] {
            machine.map(root: root, 0x8000_0000 + offset, to: 0x8000_0000 + offset, Self.leaf | Self.isUser)
        }
        let data: UInt64 = 0x40_0000, user = Self.leaf | Self.isUser
        machine.map(root: root, data, to: 0x8001_0000, user)
        machine.map(root: root, data + 0x1000, to: 0x8001_1000, user & ~4)
        machine.map(root: root, data + 0x3000, to: 0x1000_0000, user)
        machine.map(root: root, data + 0x4000, to: 0x8001_2000, user)
        // Sometimes the next page is the next one of memory, too.
        machine.map(root: root, data + 0x5000, to: seed % 3 == 0 ? 0x8001_3000 : 0x8001_4000, user)
        let tables = data + 0x10_0000
        var table = root
        for level in [2, 1] as [UInt64] { table = (machine.word(table + (data >> (12 + 9 * level) & 511) * 8) >> 10) << 12 }
        machine.map(root: root, tables, to: table, Self.leaf)
        machine.words((0 ..< 2560).map { _ in random.next() }, at: 0x8001_0000)
        let start = 0x8000_2f00 + random.next() % 2 * 2
        machine.words(
            [
                data + 0x400, data + 0x1400, data + 0x2400, data + 0x3400, data + 0x5000 - 4 - random.next() % 2 * 2, 60,
                8 << 60 | root >> 12,
                0x8000_1000, 3 << 13, tables + 4 * 8, start, 0x100,
            ], at: BareMachine.constants)
        var prologue: [UInt32] = zip(Self.bases + [Self.counter], 0 ..< 6).map { Asm.ld($0, 11, Int32($1) * 8) }
        prologue += [
            Asm.ld(5, 11, 48), Asm.ld(6, 11, 56), Asm.ld(7, 11, 64), Asm.csrrw(0, 0x105, 6), Asm.csrrs(0, 0x100, 7),
            Asm.ld(6, 11, 88),
            Asm.csrrc(0, 0x100, 6), Asm.ld(6, 11, 72), Asm.csrrw(0, 0x140, 6), Asm.ld(6, 11, 80), Asm.csrrw(0, 0x141, 6),
            Asm.csrrw(0, 0x180, 5),
            Asm.sret,
        ]
        machine.code(prologue, at: 0x8000_6000)
        let body = (0 ..< 100).map { _ in instruction(&random) }
        let program =
            body + [
                Asm.addi(Self.counter, Self.counter, -1), Asm.branch(1, Self.counter, 0, -Int32(body.count + 1) * 4), Asm.ecall,
            ]
        machine.code(program, at: start)
        let a = Self.accumulator, t = Self.temporary, pointer: UInt32 = 29
        let fence = seed % 4 == 1 ? Asm.sfence : Asm.sfence | Self.bases[4] << 15
        machine.code([
            Asm.csrrs(t, 0x142, 0), Asm.add(a, a, t), Asm.addi(t, t, -8), Asm.branch(1, t, 0, 8), Asm.ecall,
            Asm.csrrs(t, 0x143, 0), Asm.xor(a, a, t), Asm.slli(t, a, 3), Asm.add(a, a, t),
            Asm.csrrw(pointer, 0x140, pointer), Asm.ld(t, pointer, 0), Asm.i(0x13, 4, t, t, 4), Asm.sd(t, pointer, 0), fence,
            Asm.csrrw(pointer, 0x140, pointer),
            Asm.csrrs(t, 0x141, 0), Asm.addi(t, t, 4), Asm.csrrw(0, 0x141, t), Asm.sret,
        ], at: 0x8000_1000)
        guard try machine.run(at: 0x8000_6000) else { return nil }
        let hart = machine.processor.harts[0]
        let memory = stride(from: 0x8001_0000, to: 0x8001_5000, by: 8).reduce(0 as UInt64) { $0 &* 31 &+ machine.word($1) }
        let result = Outcome(
            registers: (0 ..< 64).map { hart[$0] } + [hart.programCounter], floatControl: RISCVState(hart.cpu.state).fcsr,
            memory: memory,
            device: machine.bus.hash, instructions: counts ? hart.cpu.instructionsExecuted : 0)
        return (result, ranges.openings)
    }

    @Test(arguments: 1 ... 32 as ClosedRange<UInt64>) func enginesAgreeInUserMode(seed: UInt64) throws {
        guard let (reference, _) = try userOutcome(seed, .interpreter) else {
            Issue.record("seed \(seed) does not end by the interpreter")
            return
        }
        #expect(
            reference.registers[Int(Self.counter)] == 0 && reference.registers[Int(Self.accumulator)] != 0, "it runs, and faults")
        var openings = 0
        for policy in [ExecutionPolicy.block, .region, .auto] {
            let other = try userOutcome(seed, policy)
            #expect(other?.0 == reference, "seed \(seed), \(policy.rawValue)")
            openings += other?.openings ?? 0
        }
        #expect(openings > 0, "seed \(seed): no windows were opened")
    }

    @Test(arguments: 1 ... 12 as ClosedRange<UInt64>) func enginesCountAlikeInUserMode(seed: UInt64) throws {
        guard let (reference, _) = try userOutcome(seed, .interpreter, counts: true) else {
            Issue.record("seed \(seed) does not end by the interpreter")
            return
        }
        for policy in [ExecutionPolicy.block, .region, .auto] {
            let other = try userOutcome(seed, policy, counts: true)
            #expect(other?.0 == reference, "seed \(seed), \(policy.rawValue)")
        }
    }

    @Test(arguments: 1 ... 24 as ClosedRange<UInt64>) func enginesAgree(seed: UInt64) throws {
        guard let reference = try outcome(seed, .interpreter) else {
            Issue.record("seed \(seed) does not end by the interpreter")
            return
        }
        #expect(
            reference.registers[Int(Self.counter)] == 0 && reference.registers[Int(Self.accumulator)] != 0, "it runs, and faults")
        for policy in [ExecutionPolicy.block, .region, .auto] {
            let other = try outcome(seed, policy)
            #expect(other == reference, "seed \(seed), \(policy.rawValue)")
        }
        for regions in [BareMachine.RegionChoice.atOnce, .inBackground] {
            let other = try outcome(seed, .region, regions: regions)
            #expect(other == reference, "seed \(seed), regions \(regions)")
        }
    }

    @Test(arguments: 1 ... 12 as ClosedRange<UInt64>) func enginesCountAlike(seed: UInt64) throws {
        guard let reference = try outcome(seed, .interpreter, counts: true) else {
            Issue.record("seed \(seed) does not end by the interpreter")
            return
        }
        #expect(reference.instructions > 6000)
        for policy in [ExecutionPolicy.block, .region, .auto] {
            let other = try outcome(seed, policy, counts: true)
            #expect(other == reference, "seed \(seed), \(policy.rawValue)")
        }
    }
}

// Random loops around calls in supervisor and user mode, by all engines. Functions are on several pages; recursion, tail calls,
// the alternate link register, returns to other places; callees that fault, change code, modes, or which memory their callers'
// pages are.

import Engine
import Guest
import GuestRISCV
import TestSupport
import Testing

@testable import Machine

/// Registers with a part in all programs.
private enum Part {
    static let (ra, sp, link, scratch): (UInt32, UInt32, UInt32, UInt32) = (1, 2, 5, 7)
    /// Base registers: two pages to read and write, one to read only, one without a mapping.
    static let bases: [UInt32] = [8, 9, 18, 20]
    /// The program's start; iterations of its loop; a sum of everything; recursive calls that are left.
    static let (code, counter, sum, fuel): (UInt32, UInt32, UInt32, UInt32) = (19, 21, 22, 28)
    /// The trap handler's: its scratch register, what is asked of it, page tables, what it saw.
    static let (handler, request, tables, seen, temporary): (UInt32, UInt32, UInt32, UInt32, UInt32) = (16, 17, 29, 30, 31)
    static let free: [UInt32] = [6, 10, 12, 13, 14, 15]
    /// Of the loop in a function.
    static func counter(of function: Int) -> UInt32 { 23 + UInt32(function) }
}

private struct CallProgram {
    static let pageWords = 1024, pageCount = 3
    /// Bit of a page's address that is changed to have its other memory.
    static let otherMemory: UInt64 = 0x8000

    private(set) var words: [UInt32] = []
    /// Words that add a constant to the sum: another one in the other memory, and what code that changes code overwrites.
    private(set) var additions: [Int] = []
    private var jumps: [(place: Int, function: Int)] = []
    private var changes: [Int] = []
    private var starts: [Int] = []
    private let isUser: Bool
    private let functionCount: Int
    private let lastLink: UInt32

    init(isUser: Bool, _ random: inout SplitMix) {
        self.isUser = isUser
        functionCount = 3 + random.below(3)
        lastLink = random.chance(oneIn: 3) ? Part.link : Part.ra
        add(Asm.addi(Part.fuel, 0, 10))
        for _ in 0 ..< 1 + random.below(3) { piece(of: -1, &random) }
        call(0, &random)
        add(Asm.addi(Part.counter, Part.counter, -1))
        branch(1, Part.counter, 0, to: 0)
        add(Asm.ecall)
        for number in 0 ..< functionCount {
            if random.chance(oneIn: 3), words.count < Self.pageWords * (Self.pageCount - 1) {
                fill(to: (words.count / Self.pageWords + 1) * Self.pageWords)
            }
            function(number, &random)
        }
        for (place, function) in jumps { words[place] |= Asm.jal(0, Int32(starts[function] - place) * 4) }
        for place in changes { change(random.pick(additions), from: place) }
        fill(to: Self.pageWords * Self.pageCount)
    }

    /// The same with other constants.
    var otherWords: [UInt32] {
        var result = words
        for place in additions { result[place] ^= 1 << 20 }
        return result
    }

    // MARK: Words

    private mutating func add(_ more: UInt32...) { words += more }
    private mutating func fill(to count: Int) { while words.count < count { add(Asm.addi(0, 0, 0)) } }
    private mutating func branch(_ function: UInt32, _ left: UInt32, _ right: UInt32, to target: Int) {
        add(Asm.branch(function, left, right, Int32(target - words.count) * 4))
    }

    private mutating func addition(_ random: inout SplitMix) {
        additions.append(words.count)
        add(Asm.addi(Part.sum, Part.sum, Int32(random.below(1000))))
    }

    private mutating func computation(_ random: inout SplitMix) {
        let rd = random.pick(Part.free), left = random.pick(Part.free), right = random.pick(Part.free)
        let base = random.chance(oneIn: 10) ? random.pick(Part.bases) : Part.bases[random.below(2)]
        let offset = Int32(random.below(64) * 8)
        switch random.below(8) {
        case 0: addition(&random)
        case 1: add(Asm.xor(rd, left, right))
        case 2: add(Asm.slli(rd, left, Int32(random.below(64))), Asm.add(rd, rd, right))
        case 3: add(Asm.r(1, 0, rd, left, right))  // mul
        case 4: add(Asm.ld(rd, base, offset))
        case 5: add(Asm.sd(left, base, offset))
        case 6: add(0x0231_70d3, 0xd225_7153, 0xe200_8053 | rd << 7)  // fadd.d f1, f2, f3; fcvt.d.l f2, x10; fmv.x.d rd, f1
        default: add(Asm.add(Part.sum, Part.sum, left))
        }
    }

    // MARK: Calls

    private func link(of function: Int) -> UInt32 { function == functionCount - 1 ? lastLink : Part.ra }

    private mutating func call(_ function: Int, _ random: inout SplitMix) {
        if random.chance(oneIn: 4) {
            // By a register, to a jump that is gone around: auipc; addi; jalr.
            branch(0, 0, 0, to: words.count + 2)
            jumps.append((words.count, function))
            add(0x6f, Part.scratch << 7 | 0x17, Asm.addi(Part.scratch, Part.scratch, -4))
            add(Asm.jalr(link(of: function), Part.scratch))
        } else {
            jumps.append((words.count, function))
            add(0x6f | link(of: function) << 7)
        }
        for _ in 0 ..< 2 { addition(&random) }
    }

    private mutating func function(_ number: Int, _ random: inout SplitMix) {
        starts.append(words.count)
        let link = link(of: number)
        if number == functionCount - 1 {
            for _ in 0 ..< 1 + random.below(4) { computation(&random) }
            if random.chance(oneIn: 3) { special(&random) }
        } else {
            add(Asm.addi(Part.sp, Part.sp, -16), Asm.sd(link, Part.sp, 8))
            for _ in 0 ..< 1 + random.below(2) { piece(of: number, &random) }
            add(Asm.ld(link, Part.sp, 8), Asm.addi(Part.sp, Part.sp, 16))
            let tails = (number + 1 ..< functionCount).filter { self.link(of: $0) == link }
            if random.chance(oneIn: 4), !tails.isEmpty {
                jumps.append((words.count, random.pick(tails)))
                return add(0x6f)
            }
        }
        if random.chance(oneIn: 5) {
            // One instruction further, when the sum is a multiple of eight.
            add(Asm.i(0x13, 7, Part.scratch, Part.sum, 7), Asm.i(0x13, 3, Part.scratch, Part.scratch, 1))
            add(Asm.slli(Part.scratch, Part.scratch, 2), Asm.add(link, link, Part.scratch))
        }
        add(Asm.jalr(0, link))
    }

    private mutating func piece(of number: Int, _ random: inout SplitMix) {
        let loops = number >= 0 && random.chance(oneIn: 4), counter = Part.counter(of: max(0, number))
        if loops { add(Asm.addi(counter, 0, Int32(2 + random.below(3)))) }
        let top = words.count
        for _ in 0 ..< 1 + random.below(3) { computation(&random) }
        if random.chance(oneIn: 6) { special(&random) }
        switch random.below(5) {
        case 0, 1, 2: call(number + 1 + random.below(functionCount - number - 1), &random)
        case 3 where number >= 0:
            add(Asm.addi(Part.fuel, Part.fuel, -1))
            let over = words.count
            add(0)
            call(number, &random)
            words[over] = Asm.branch(5, 0, Part.fuel, Int32(words.count - over) * 4)
        default: break
        }
        if loops {
            add(Asm.addi(counter, counter, -1))
            branch(4, 0, counter, to: top)
        }
    }

    // MARK: What processors have to notice

    private mutating func special(_ random: inout SplitMix) {
        switch random.below(isUser ? 3 : 6) {
        case 0:
            // Another rounding mode.
            add(Asm.i(0x13, 7, Part.scratch, Part.sum, 3), Asm.csrrw(0, 2, Part.scratch))
        case 1:
            // One of the program's pages is other memory from now on.
            add(Asm.addi(Part.request, 0, Int32(2 + random.below(Self.pageCount)) * 8), 0x0010_0073)
        case 2:
            changes.append(words.count)
            additions.append(words.count + 2)
            add(0, 0, Asm.addi(Part.sum, Part.sum, Int32(random.below(1000))), 0, 0, 0, Asm.fenceI)
        case 3: add(Asm.sfence)
        case 4:
            // The same without a trap.
            let entry = Int32(2 + random.below(Self.pageCount)) * 8
            add(Asm.ld(Part.scratch, Part.tables, entry), 2 << 12 | Part.handler << 7 | 0x37)
            add(Asm.xor(Part.scratch, Part.scratch, Part.handler), Asm.sd(Part.scratch, Part.tables, entry), Asm.sfence)
        default:
            // Access to user pages: another translation mode, or none.
            add(0x40 << 12 | Part.scratch << 7 | 0x37, Asm.csrrc(0, 0x100, Part.scratch))
            add(Asm.i(0x13, 7, Part.scratch, Part.sum, 1), Asm.slli(Part.scratch, Part.scratch, 18))
            add(Asm.csrrs(0, 0x100, Part.scratch))
        }
    }

    /// Seven words at `place` overwrite the addition, with one of another constant.
    private mutating func change(_ addition: Int, from place: Int) {
        let value = words[place + 2], offset = UInt32(addition * 4), low = Int32(bitPattern: offset << 20) >> 20
        let upper = offset &- UInt32(bitPattern: low), valueLow = Int32(bitPattern: value << 20) >> 20
        words[place] = value &- UInt32(bitPattern: valueLow) | Part.handler << 7 | 0x37
        words[place + 1] = Asm.i(0x1b, 0, Part.handler, Part.handler, valueLow)
        words[place + 3] = upper | Part.scratch << 7 | 0x37
        words[place + 4] = Asm.add(Part.scratch, Part.scratch, Part.code)
        words[place + 5] = Asm.sw(Part.handler, Part.scratch, low)
    }
}

@Suite(.serialized) struct MachineCallTests {
    private struct Outcome: Equatable {
        var registers: [UInt64]
        var floatControl: UInt32
        var memory: UInt64
        /// Executed, when they are counted.
        var instructions: UInt64

        func differences(from other: Outcome) -> String {
            let names = registers.indices.filter { registers[$0] != other.registers[$0] }.map {
                "\($0): \(String(registers[$0], radix: 16)) instead of \(String(other.registers[$0], radix: 16))"
            }
            let others = [
                ("fcsr", UInt64(floatControl), UInt64(other.floatControl)), ("memory", memory, other.memory),
                ("instructions", instructions, other.instructions),
            ]
            return (names + others.filter { $0.1 != $0.2 }.map { "\($0.0): \($0.1) instead of \($0.2)" }).joined(separator: "\n")
        }
    }

    private static let leaf: UInt64 = 0xcf, isUser: UInt64 = 16, iterations: UInt64 = 30
    private static let (start, handler, prologue): (UInt64, UInt64, UInt64) = (0x8000_2000, 0x8000_1000, 0x8000_6000)
    private static let data: UInt64 = 0x40_0000

    private func outcome(
        _ seed: UInt64, isUser: Bool, _ policy: ExecutionPolicy, counts: Bool = false, regions: BareMachine.RegionChoice = .late
    ) throws -> (Outcome, EngineStatistics)? {
        var random = SplitMix(seed: seed)
        let program = CallProgram(isUser: isUser, &random)
        let machine = try BareMachine(
            policy, isDeterministic: counts, regions: regions, looksAtRangesInBlocks: isUser && seed % 2 == 0)
        let root = machine.newTable(), own = isUser ? Self.leaf | Self.isUser : Self.leaf
        for address in [0x8000_0000, Self.handler, Self.prologue] { machine.map(root: root, address, to: address, Self.leaf) }
        for page in 0 ..< UInt64(CallProgram.pageCount) {
            machine.map(root: root, Self.start + page * 4096, to: Self.start + page * 4096, own)
        }
        machine.map(root: root, Self.data, to: 0x8001_0000, own)
        machine.map(root: root, Self.data + 0x1000, to: 0x8001_1000, own)
        machine.map(root: root, Self.data + 0x2000, to: 0x8001_2000, own & ~4)
        machine.map(root: root, Self.data + 0x4000, to: 0x8001_3000, own)
        // The last level of the tables, for the code's addresses.
        var table = root
        for level in [2, 1] as [UInt64] { table = (machine.word(table + (Self.start >> (12 + 9 * level) & 511) * 8) >> 10) << 12 }
        machine.map(root: root, Self.data + 0x10_0000, to: table, Self.leaf)
        machine.words((0 ..< 2048).map { _ in random.next() }, at: 0x8001_0000)
        machine.code(program.words, at: Self.start)
        machine.code(program.otherWords, at: Self.start ^ CallProgram.otherMemory)
        write(machine, root, isUser, &random)
        guard try machine.run(at: Self.prologue) else { return nil }
        let hart = machine.processor.harts[0]
        let memory = stride(from: 0x8001_0000, to: 0x8001_4000, by: 8).reduce(0 as UInt64) { $0 &* 31 &+ machine.word($1) }
        let result = Outcome(
            registers: (0 ..< 64).map { hart[$0] } + [hart.programCounter], floatControl: RISCVState(hart.cpu.state).fcsr,
            memory: memory, instructions: counts ? hart.cpu.instructionsExecuted : 0)
        return (result, hart.cpu.engine.statistics)
    }

    /// What is in front of the program, and its trap handler.
    private func write(_ machine: BareMachine, _ root: UInt64, _ isUser: Bool, _ random: inout SplitMix) {
        let values: [(UInt32, UInt64)] = [
            (Part.bases[0], Self.data), (Part.bases[1], Self.data + 0x1000), (Part.bases[2], Self.data + 0x2000),
            (Part.bases[3], Self.data + 0x3000), (Part.sp, Self.data + 0x5000), (Part.code, Self.start),
            (Part.counter, Self.iterations), (Part.tables, Self.data + 0x10_0000),
        ]
        // stvec, sepc, sstatus: floats, and the mode to return to; satp at the end.
        let controls: [(UInt32, UInt64)] = [
            (0x105, Self.handler), (0x141, Self.start), (0x100, 3 << 13 | (isUser ? 0 : 0x100)), (0x180, 8 << 60 | root >> 12),
        ]
        machine.words(values.map(\.1) + controls.map(\.1), at: BareMachine.constants)
        var prologue = values.indices.map { Asm.ld(values[$0].0, 11, Int32($0) * 8) }
        for (index, control) in controls.enumerated() {
            prologue += [Asm.ld(6, 11, Int32(values.count + index) * 8), Asm.csrrw(0, control.0, 6)]
        }
        machine.code(prologue + [Asm.sret], at: Self.prologue)
        let t = Part.temporary, a = Part.seen
        machine.code([
            Asm.csrrs(t, 0x142, 0), Asm.add(a, a, t), Asm.addi(t, t, -3), Asm.branch(1, t, 0, 32),
            // A breakpoint.
            Asm.add(Part.request, Part.request, Part.tables), Asm.ld(Part.handler, Part.request, 0), 2 << 12 | t << 7 | 0x37,
            Asm.xor(Part.handler, Part.handler, t), Asm.sd(Part.handler, Part.request, 0), Asm.sfence, Asm.branch(0, 0, 0, 24),
            // The user's end; anything else.
            Asm.addi(t, t, -5), Asm.branch(1, t, 0, 8), Asm.ecall, Asm.csrrs(t, 0x143, 0), Asm.xor(a, a, t),
            Asm.csrrs(t, 0x141, 0), Asm.addi(t, t, 4), Asm.csrrw(0, 0x141, t), Asm.sret,
        ], at: Self.handler)
    }

    @Test(arguments: [false, true]) func enginesAgree(isUser: Bool) throws {
        var regionCount = 0
        for seed in 1 ... 40 as ClosedRange<UInt64> { regionCount += try compare(seed, isUser) }
        #expect(regionCount > 30, "\(regionCount)")
    }

    /// - Returns: how many regions were made at once.
    private func compare(_ seed: UInt64, _ isUser: Bool) throws -> Int {
        var regionCount = 0
        guard let (reference, _) = try outcome(seed, isUser: isUser, .interpreter) else {
            Issue.record("seed \(seed) does not end by the interpreter")
            return 0
        }
        #expect(reference.registers[Int(Part.counter)] == 0, "it runs to its end")
        for policy in [ExecutionPolicy.block, .region, .auto] {
            let other = try outcome(seed, isUser: isUser, policy)
            let difference = other?.0.differences(from: reference) ?? "no end"
            #expect(other?.0 == reference, "seed \(seed), \(policy.rawValue): \(difference)")
        }
        for regions in [BareMachine.RegionChoice.atOnce, .inBackground] {
            let other = try outcome(seed, isUser: isUser, .region, regions: regions)
            #expect(other?.0 == reference, "seed \(seed), regions \(regions)")
            if regions == .atOnce { regionCount += other?.1.regions ?? 0 }
        }
        return regionCount
    }

    @Test(arguments: 1 ... 12 as ClosedRange<UInt64>, [false, true]) func enginesCountAlike(seed: UInt64, isUser: Bool) throws {
        guard let (reference, _) = try outcome(seed, isUser: isUser, .interpreter, counts: true) else {
            Issue.record("seed \(seed) does not end by the interpreter")
            return
        }
        for policy in [ExecutionPolicy.block, .region, .auto] {
            let other = try outcome(seed, isUser: isUser, policy, counts: true)
            let difference = other?.0.differences(from: reference) ?? "no end"
            #expect(other?.0 == reference, "seed \(seed), \(policy.rawValue): \(difference)")
        }
        let other = try outcome(seed, isUser: isUser, .region, counts: true, regions: .atOnce)
        #expect(other?.0 == reference, "seed \(seed), regions at once")
    }
}

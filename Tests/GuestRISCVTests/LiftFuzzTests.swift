// Random instructions, one by one and in sequences: the lifted code must do what the interpreter does.
//
// MYNAH_FUZZ_SEED=S tries others than those of every run.

import Foundation
import Guest
import GuestRISCV
import IR
import TestSupport
import Testing

extension RISCVOpcode {
    /// Loads and stores, whose address is rs1 plus the immediate.
    var accessesWithOffset: Bool {
        switch self {
        case .lb, .lh, .lw, .ld, .lbu, .lhu, .lwu, .sb, .sh, .sw, .sd, .flw, .fld, .fsw, .fsd: true
        default: false
        }
    }

    /// Instructions whose address is rs1.
    var accessesPlainly: Bool {
        switch self {
        case .lrW, .scW, .lrD, .scD, .amoswapW, .amoaddW, .amoxorW, .amoandW, .amoorW, .amominW, .amomaxW, .amominuW, .amomaxuW,
            .amoswapD, .amoaddD, .amoxorD, .amoandD, .amoorD, .amominD, .amomaxD, .amominuD, .amomaxuD,
            .cboZero, .cboInval, .cboClean, .cboFlush:
            true
        default: false
        }
    }

    var transfersControl: Bool {
        switch self {
        case .illegal, .jal, .jalr, .beq, .bne, .blt, .bge, .bltu, .bgeu, .ecall, .ebreak, .fenceI: true
        default: false
        }
    }

    var accessesControlRegister: Bool {
        switch self {
        case .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci: true
        default: false
        }
    }
}

@Suite struct LiftFuzzTests {
    static let start: UInt64 = 0x1000

    private static let seed = ProcessInfo.processInfo.environment["MYNAH_FUZZ_SEED"].flatMap(UInt64.init) ?? 0

    /// The numbers of one test.
    private static func random(_ test: UInt64) -> SplitMix { SplitMix(seed: seed &* 32 &+ test) }

    @Test func singleInstructions() {
        var random = LiftFuzzTests.random(7)
        let machine = LiftMachine()
        for row in RISCVInstructionTable.rows where !row.opcode.accessesControlRegister {
            for _ in 0 ..< 150 {
                guard let bits = row.randomEncoding(&random) else { continue }
                let instruction = RISCVDecoder.decode(bits)
                var situation = LiftMachine.Situation.random(at: LiftFuzzTests.start, &random)
                if instruction.opcode.accessesWithOffset || instruction.opcode.accessesPlainly {
                    if instruction.rs1 == 0 { continue }
                    let offset = instruction.opcode.accessesWithOffset ? Int64(instruction.immediate) : 0
                    situation.words[Int(instruction.rs1)] = machine.center &- UInt64(bitPattern: offset)
                }
                let source = ByteCode(at: LiftFuzzTests.start, [bits], byteCount: Int(row.byteCount))
                let lifted = lift(source, mode: situation.rounding, limits: LiftLimits(singleStep: true))
                var expected = machine.interpret(situation, source, steps: 1, until: 0 ... .max)
                let actual = machine.evaluate(situation, lifted, source)
                if LiftFuzzTests.hidesInvalid(instruction, situation.words) { expected.flags = actual.flags }
                report(row, situation, expected, actual, lifted)
            }
        }
    }

    @Test func straightLines() {
        var random = LiftFuzzTests.random(11)
        let machine = LiftMachine()
        for _ in 0 ..< 1500 {
            let words = (0 ..< 30).map { _ in LiftFuzzTests.computation(&random) } + [Encode.ecall]
            var situation = LiftMachine.Situation.random(at: LiftFuzzTests.start, &random)
            situation.words[8] = machine.center
            compare(words, situation, machine)
        }
    }

    /// Branches over one or two instructions, to either side of the exits that they make.
    @Test func branches() {
        var random = LiftFuzzTests.random(13)
        let machine = LiftMachine()
        for _ in 0 ..< 1000 {
            var words = (0 ..< 12).map { _ in LiftFuzzTests.computation(&random) } + [Encode.ecall]
            for index in [2, 6, 10] {
                let function3 = [0, 1, 4, 5, 6, 7][Int(random.next() % 6)] as UInt32
                let left = UInt32(random.next() % 8), right = UInt32(random.next() % 8)
                words[index] = Encode.branch(function3, left, right, random.next() % 2 == 0 ? 8 : 4)
            }
            var situation = LiftMachine.Situation.random(at: LiftFuzzTests.start, &random)
            situation.words[8] = machine.center
            compare(words, situation, machine)
        }
    }

    /// The compare-and-swap loop, with expected values that are equal, different, and equal in the low word only.
    @Test func compareAndSwap() {
        var random = LiftFuzzTests.random(17)
        let machine = LiftMachine()
        for index in 0 ..< 400 {
            let width: UInt32 = index % 2 == 0 ? 2 : 3
            let words = [
                Encode.register(0x2f, width, 0x08, 1, 8, 0), Encode.branch(1, 1, 2, 12),
                Encode.register(0x2f, width, 0x0c, [4, 1, 2, 3][index / 2 % 4], 8, index % 5 == 0 ? 1 : 3),
                Encode.branch(1, 4, 0, -12),
                Encode.ecall,
            ]
            var situation = LiftMachine.Situation.random(at: LiftFuzzTests.start, &random)
            situation.words[8] = machine.center
            let offset = LiftMachine.scratchBytes / 2
            let stored = situation.memory.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
            let word = UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: stored)))
            situation.words[2] = [stored, word, word ^ 1 << 40, random.next()][Int(random.next() % 4)]
            situation.words[4] = 0
            compare(words, situation, machine)
        }
    }

    /// Executes the lifted block once, and the interpreter until it is where the block was left.
    private func compare(_ words: [UInt32], _ situation: LiftMachine.Situation, _ machine: LiftMachine) {
        let source = ByteCode(at: LiftFuzzTests.start, words)
        let lifted = lift(source, mode: situation.rounding)
        #expect(Verifier.messages(for: lifted.function) == [])
        let actual = machine.evaluate(situation, lifted, source)
        let stop = actual.words[64]
        let limit = actual.trap == nil ? stop - 1 : source.end
        let expected = machine.interpret(situation, source, steps: words.count, until: 0 ... limit)
        report(nil, situation, expected, actual, lifted)
    }

    private func report(
        _ row: InstructionRow?, _ situation: LiftMachine.Situation, _ expected: LiftMachine.Outcome,
        _ actual: LiftMachine.Outcome,
        _ lifted: Lifted
    ) {
        if expected == actual { return }
        var differences: [String] = []
        for (index, pair) in zip(expected.words, actual.words).enumerated() where pair.0 != pair.1 {
            let before = String(situation.words[index], radix: 16)
            differences.append("word \(index): \(String(pair.0, radix: 16)) not \(String(pair.1, radix: 16)), was \(before)")
        }
        if expected.memory != actual.memory { differences.append("memory") }
        if expected.flags != actual.flags { differences.append("flags \(expected.flags) not \(actual.flags)") }
        if expected.trap != actual.trap { differences.append("trap \(expected.trap as Any) not \(actual.trap as Any)") }
        let name = row.map { "\($0.mnemonic)" } ?? "sequence"
        Issue.record("\(name), rounding \(situation.rounding): \(differences)\n\(lifted.lines.joined(separator: "\n"))")
    }

    /// Infinity times zero plus a quiet NaN: the manual wants the invalid flag, the host's fused instructions do not raise it.
    static func hidesInvalid(_ i: DecodedInstruction, _ words: [UInt64]) -> Bool {
        let isSingle: Bool
        switch i.opcode {
        case .fmaddS, .fmsubS, .fnmsubS, .fnmaddS: isSingle = true
        case .fmaddD, .fmsubD, .fnmsubD, .fnmaddD: isSingle = false
        default: return false
        }
        let operands = [i.rs1, i.rs2, i.rs3].map { register -> Double in
            let bits = words[Int(register)]
            if !isSingle { return Double(bitPattern: bits) }
            return bits >> 32 == 0xffff_ffff ? Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))) : .nan
        }
        let (a, b) = (operands[0], operands[1])
        return operands[2].isNaN && (a.isInfinite && b == 0 || a == 0 && b.isInfinite)
    }

    /// A random instruction that neither transfers control nor changes x8, through which memory is accessed.
    static func computation(_ random: inout SplitMix) -> UInt32 {
        while true {
            let row = RISCVInstructionTable.rows[Int(random.next() % UInt64(RISCVInstructionTable.rows.count))]
            guard row.byteCount == 4, !row.opcode.transfersControl, !row.opcode.accessesControlRegister,
                var bits = row.randomEncoding(&random)
            else { continue }
            // Few registers, so that instructions depend on each other.
            bits &= ~(0x0180_0000 | 0x000c_0000 | 0x0000_0c00) | row.fixedMask
            let opcode = row.opcode
            if opcode.accessesWithOffset || opcode.accessesPlainly { bits = bits & ~0x000f_8000 | 8 << 15 }
            let instruction = RISCVDecoder.decode(bits)
            if instruction.opcode == opcode && instruction.rd != 8 { return bits }
        }
    }
}

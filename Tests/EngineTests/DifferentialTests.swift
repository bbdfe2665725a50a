// Random programs through every executor. A failure is shown small; its seed belongs into Tests/fuzz/engine-seeds.txt.
//
// MYNAH_FUZZ_INSTRUCTIONS=N executes about N instructions in the reference, MYNAH_FUZZ_SECONDS=N ends after that time;
// MYNAH_FUZZ_SEED=S starts at another seed. MYNAH_FUZZ_KIND and MYNAH_FUZZ_SEED choose one program for `chosenProgram`.

import Engine
import Glibc
import GuestRISCV
import Optimizer
import Testing

/// Runs programs and keeps the ones that executors disagree on.
final class Differential {
    /// MYNAH_FUZZ_TRACE: say what runs, to find a program that does not end.
    static let isTracing = getenv("MYNAH_FUZZ_TRACE") != nil
    private let arena = GuestArena()
    private let reference: EngineExecutor
    private let others: [Executor]
    private(set) var failures: [String] = []
    private(set) var programCount = 0
    private(set) var exits: [String: Int] = [:]
    /// Instructions that the reference executed.
    var instructionCount: UInt64 { reference.cpu.interpreter.instructionsExecuted }
    var executorCount: Int { others.count + 1 }
    /// Regions that the executors made.
    var regionCount: Int { others.reduce(0) { $0 + (($1 as? EngineExecutor)?.engine.statistics.regions ?? 0) } }

    init() {
        reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        others = EngineExecutor.configurations(arena) as [Executor] + [
            EvaluatorExecutor("evaluator", arena), EvaluatorExecutor("evaluator of optimised code", arena, optimizations: .all),
        ]
    }

    func check(_ kind: ProgramKind, seed: UInt64) {
        let program = kind.program(seed: seed)
        programCount += 1
        if Differential.isTracing { fputs("\(kind.rawValue) \(seed) interpreter\n", stderr) }
        let expected = reference.run(program, arena)
        exits["\(expected.exit)".prefix { $0 != "(" }.description, default: 0] += 1
        for executor in others where mayRun(executor, to: expected.exit) {
            if Differential.isTracing { fputs("\(kind.rawValue) \(seed) \(executor.name)\n", stderr) }
            let actual = executor.run(program, arena)
            if actual != expected { return report(kind, program, executor) }
        }
    }

    /// The evaluator has no handler for faults.
    private func mayRun(_ executor: Executor, to exit: CPUExit) -> Bool {
        if case .memoryFault = exit { executor is EngineExecutor } else { true }
    }

    /// A program that lost its end while it was made smaller shows nothing.
    private func disagree(_ program: GuestProgram, _ executor: Executor) -> Bool {
        let expected = reference.run(program, arena)
        return expected.exit != .interrupted && mayRun(executor, to: expected.exit) && executor.run(program, arena) != expected
    }

    private func report(_ kind: ProgramKind, _ program: GuestProgram, _ executor: Executor) {
        let small = minimised(program, executor)
        let expected = reference.run(small, arena)
        let actual = executor.run(small, arena)
        var values: [String] = []
        for (index, word) in small.words.enumerated() where word != 0 {
            values.append("\(index < 32 ? "x\(index)" : "f\(index - 32)")=\(String(word, radix: 16))")
        }
        failures.append(
            """
            \(kind.rawValue) \(program.seed), \(executor.name), rounding \(small.roundingMode):
            \(actual.differences(from: expected))
            \(small.listing(at: arena.start))
            \(values.joined(separator: " "))
            \((executor as? EngineExecutor)?.translations(of: small, arena) ?? "")
            """)
    }

    /// Takes items and start values away as long as the disagreement stays.
    private func minimised(_ program: GuestProgram, _ executor: Executor) -> GuestProgram {
        var best = program
        var size = max(1, best.items.count / 2)
        while size >= 1 {
            for start in stride(from: 0, to: best.items.count, by: size) {
                var candidate = best
                for index in start ..< min(start + size, best.items.count) where !best.items[index].countsFuel {
                    candidate.items[index].content = .padding(byteCount: candidate.items[index].byteCount)
                }
                if disagree(candidate, executor) { best = candidate }
            }
            size /= 2
        }
        for index in best.words.indices where best.words[index] != 0 && index != Int(PointerRegister.fuel) {
            var candidate = best
            candidate.words[index] = 0
            if disagree(candidate, executor) { best = candidate }
        }
        return best
    }
}

func environmentNumber(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

@Suite struct DifferentialTests {
    @Test(arguments: ProgramKind.allCases) func randomPrograms(kind: ProgramKind) {
        let differential = Differential()
        let budget = environmentNumber("MYNAH_FUZZ_INSTRUCTIONS").map { $0 / UInt64(ProgramKind.allCases.count) } ?? 12_000
        var seed = environmentNumber("MYNAH_FUZZ_SEED") ?? 1
        let end = time(nil) + Int(environmentNumber("MYNAH_FUZZ_SECONDS") ?? 100_000)
        while differential.instructionCount < budget, differential.failures.count < 5, time(nil) < end {
            differential.check(kind, seed: seed)
            seed += 1
        }
        for failure in differential.failures { Issue.record("\(failure)") }
        if environmentNumber("MYNAH_FUZZ_INSTRUCTIONS") != nil {
            print("\(kind.rawValue): \(differential.programCount) programs, \(differential.instructionCount) instructions, "
                + "\(differential.executorCount) executors, \(differential.regionCount) regions, "
                + "\(differential.failures.count) failures, exits \(differential.exits)")
        }
        let faults = differential.exits["memoryFault", default: 0]
        #expect(kind.mayFault || faults == 0)
        // What the generators are for has to happen. A few programs of an arbitrary seed say nothing about shares.
        guard environmentNumber("MYNAH_FUZZ_SEED") == nil || differential.programCount >= 64 else { return }
        #expect(kind == .straight || differential.regionCount > differential.programCount / 4)
        // Most programs must get to their end, or to a fault.
        #expect((faults + differential.exits["breakpoint", default: 0]) * 2 > differential.programCount)
        #expect(!kind.mayFault || faults * 8 > differential.programCount)
    }

    /// MYNAH_FUZZ_KIND and MYNAH_FUZZ_SEED: that one program.
    @Test func chosenProgram() {
        guard let kind = getenv("MYNAH_FUZZ_KIND").flatMap({ ProgramKind(rawValue: String(cString: $0)) }) else { return }
        let differential = Differential()
        differential.check(kind, seed: environmentNumber("MYNAH_FUZZ_SEED") ?? 1)
        for failure in differential.failures { Issue.record("\(failure)") }
    }

    @Test func savedSeeds() throws {
        let differential = Differential()
        for (kind, seed) in try SavedSeeds.read() { differential.check(kind, seed: seed) }
        for failure in differential.failures { Issue.record("\(failure)") }
    }

    /// The generators make what byte combining works on.
    @Test func copiesOfBytesAreCombined() {
        let arena = GuestArena()
        let all = EngineExecutor("optimised", arena)
        let without = EngineExecutor("bytes", arena) { $0.optimizations.remove(.byteCombining) }
        let combined = (1 ... UInt64(40)).filter { seed in
            let program = ProgramKind.straight.program(seed: seed)
            return all.translations(of: program, arena) != without.translations(of: program, arena)
        }
        #expect(combined.count >= 8)
    }

    /// The generators make what is known from superblock to superblock.
    @Test(arguments: [ProgramKind.nests, .calls]) func valuesAreKnownAcrossSuperblocks(kind: ProgramKind) {
        let arena = GuestArena()
        func executor(_ change: @escaping (inout EngineConfiguration) -> Void) -> EngineExecutor {
            EngineExecutor("regions", arena) {
                $0.policy = .region
                $0.samplePeriod = 1
                $0.regionSamples = 1
                change(&$0)
            }
        }
        let all = executor { _ in }, without = executor { $0.optimizations.remove(.regionValues) }
        let changed = (1 ... UInt64(30)).filter { seed in
            let program = kind.program(seed: seed)
            return all.translations(of: program, arena) != without.translations(of: program, arena)
        }
        #expect(changed.count >= 4)
    }

    /// Every row that is no control transfer occurs, also in its compressed forms.
    @Test func allRowsAreReached() {
        var random = FuzzRandom(seed: 1)
        let instructions = RandomInstruction()
        for row in instructions.rows {
            let found = (0 ..< 1000).contains { _ in instructions.encoding(row, &random) != nil }
            #expect(found, "\(row.mnemonic)")
        }
    }
}

enum SavedSeeds {
    /// Lines of a kind and a seed; `#` starts a comment.
    static func read(file: String = #filePath) throws -> [(ProgramKind, UInt64)] {
        let tests = file.split(separator: "/").dropLast(2).joined(separator: "/")
        guard let handle = fopen("/\(tests)/fuzz/engine-seeds.txt", "r") else { throw MissingSeeds() }
        defer { fclose(handle) }
        var seeds: [(ProgramKind, UInt64)] = []
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, 256, handle) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let words = text.prefix { $0 != "#" }.split { $0 == " " || $0 == "\n" }
            guard words.count == 2, let kind = ProgramKind(rawValue: String(words[0])), let seed = UInt64(words[1]) else { continue }
            seeds.append((kind, seed))
        }
        return seeds
    }

    struct MissingSeeds: Error, CustomStringConvertible { let description = "Tests/fuzz/engine-seeds.txt is missing" }
}

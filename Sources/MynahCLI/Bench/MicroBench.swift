// `mynah bench --micro`: what translating costs, in nanoseconds of each stage for a guest instruction, and how large the
// result is. The programs run with a hundredth of their work, so that translation is what is measured. Then the same pass by
// pass, for the code of one program that is not run, and what single steps of the finished machinery cost.

import Glibc
import Mynah

/// One program's counters, of the run that translated fastest.
struct MicroResult {
    var guest: String
    var counters: [String: Double]

    static let stages = ["lift", "optimize", "emit", "install"]

    func nanoseconds(_ stage: String) -> Double { counters["\(stage)Nanoseconds"] ?? 0 }
    var instructions: Double { counters["instructionsTranslated"] ?? 0 }
    var totalNanoseconds: Double { Self.stages.map(nanoseconds).reduce(0, +) }
}

extension BenchCommand {
    func runMicro(_ guests: [BenchGuest], _ line: ProgressLine) throws {
        let runs = self.runs ?? 5
        var results: [MicroResult] = []
        for (index, guest) in guests.enumerated() {
            line.show(index, of: guests.count, guest.name)
            var small = guest
            if programs.isEmpty, !guest.isStartUpProbe, scale == 100 { small.arguments = ["1"] }
            let measured = try (0 ..< runs).map { _ in try microResult(small) }
            if let best = measured.min(by: { $0.totalNanoseconds < $1.totalNanoseconds }), best.instructions > 0 {
                results.append(best)
            }
        }
        line.note("passes and single steps")
        let stages = try guests.first.map { guest in
            try Self.reported { try MicroBenchmarks.stages(of: ELFImage(path: guest.path), runs: runs) }
        } ?? []
        let steps = try Self.reported { try MicroBenchmarks.steps(runs: runs, scale: Double(scale) / 100) }
        line.clear()
        Console.writeOutput(Self.microTable(results))
        if let first = guests.first {
            Console.writeOutput("\n" + Self.stepTable("stage, by the code of \(first.name)", "ns/insn", stages))
        }
        Console.writeOutput("\n" + Self.stepTable("step", "ns", steps))
        if let json { try Files.write(Self.microJSON(results, stages, steps).text() + "\n", to: json) }
    }

    private static func reported<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let error as ProgramError { throw CommandFailure(error) }
    }

    private static func stepTable(_ heading: String, _ unit: String, _ rows: [MicroMeasurement]) -> String {
        TextTable(heading: [heading, unit], rows: rows.map { [$0.label, fixed($0.nanoseconds, 2)] }).text
    }

    private func microResult(_ guest: BenchGuest) throws -> MicroResult {
        let directory = try TemporaryDirectory(), path = directory.file("statistics.json")
        defer { directory.remove() }
        let command = Executor.engine(.block).command(for: guest, statisticsFile: path)!
        let child = try ChildProcess.run(command)
        guard child.status == 0, let text = Files.readText(path) else {
            throw CommandFailure(
                status: ExitStatus.failed,
                "\(guest.name) ended with status \(child.status): \(Verification.ownMessage(child.errorText))")
        }
        let keys =
            MicroResult.stages.map { "\($0)Nanoseconds" } + [
                "translations", "instructionsTranslated", "hostBytes", "linkExits", "indirectMisses",
            ]
        let pairs = keys.compactMap { key in number(key, in: text).map { (key, $0) } }
        return MicroResult(guest: guest.name, counters: Dictionary(pairs, uniquingKeysWith: { first, _ in first }))
    }

    private static func microTable(_ results: [MicroResult]) -> String {
        var table = TextTable(
            heading: ["guest", "blocks", "insns"] + MicroResult.stages.map { "\($0) ns/insn" } + [
                "sum ns/insn", "host B/insn", "in all",
            ])
        var sum = MicroResult(guest: "all", counters: [:])
        for result in results { sum.counters.merge(result.counters, uniquingKeysWith: +) }
        for result in results + (results.count > 1 ? [sum] : []) {
            let perInstruction = { (value: Double) in fixed(value / result.instructions, 1) }
            table.rows.append(
                [result.guest, fixed(result.counters["translations"] ?? 0, 0), fixed(result.instructions, 0)]
                    + MicroResult.stages.map { perInstruction(result.nanoseconds($0)) }
                    + [perInstruction(result.totalNanoseconds), perInstruction(result.counters["hostBytes"] ?? 0),
                       duration(result.totalNanoseconds / 1e9)])
        }
        return table.text
    }

    private static func microJSON(
        _ results: [MicroResult], _ stages: [MicroMeasurement], _ steps: [MicroMeasurement]
    ) -> JSONValue {
        let programs = results.map { result in
            JSONValue.object(
                [("name", .string(result.guest))] + result.counters.sorted { $0.key < $1.key }.map { ($0.key, .number($0.value)) }
            )
        }
        let nanoseconds = { (rows: [MicroMeasurement]) in JSONValue.object(rows.map { ($0.key, .number($0.nanoseconds)) }) }
        return .object([
            ("programs", .array(programs)), ("nanosecondsPerInstructionByStage", nanoseconds(stages)),
            ("nanosecondsPerStep", nanoseconds(steps)),
        ])
    }
}

// `--stats`: what the engine did, for people or as JSON.

import Glibc
import Mynah

extension ProgramStatistics {
    var json: JSONValue {
        .object(
            rows.map { ($0.key, .integer(Int(clamping: $0.value))) } + [
                ("tiers", .object(tiers.map { ($0.name, Self.json($0)) }))
            ])
    }

    private static func json(_ tier: Tier) -> JSONValue {
        let stages = tier.stages.map { stage -> (String, JSONValue) in
            let each: JSONValue = tier.instructions > 0 ? .number(Double(stage.nanoseconds) / Double(tier.instructions)) : .null
            return (
                stage.name,
                .object([("nanoseconds", .integer(Int(clamping: stage.nanoseconds))), ("nanosecondsPerInstruction", each)])
            )
        }
        return .object([
            ("translations", .integer(Int(clamping: tier.translations))),
            ("instructions", .integer(Int(clamping: tier.instructions))),
            ("stages", .object(stages)),
        ])
    }

    /// One line a counter; those that stayed zero are left out. Then the time by tier and stage.
    var text: String {
        let shown = rows.filter { $0.value != 0 }.map { (Self.value($0), $0.label) }
        let width = shown.map(\.0.count).max() ?? 0
        return shown.map { "\($0.paddedLeft(width))  \($1)\n" }.joined() + "\n" + tierTable + "\n" + timeShares
    }

    private var tierTable: String {
        let used = tiers.filter { $0.translations > 0 }
        guard let first = used.first else { return "" }
        var table = TextTable(
            heading: ["ns for a guest instruction"] + first.stages.map(\.name) + [
                "in all", "instructions", "translations", "time",
            ])
        for tier in used {
            let each = { (nanoseconds: UInt64) in fixed(Double(nanoseconds) / Double(max(tier.instructions, 1)), 0) }
            table.rows.append(
                [tier.name] + tier.stages.map { each($0.nanoseconds) }
                    + [
                        each(tier.nanoseconds), Self.grouped(tier.instructions), Self.grouped(tier.translations),
                        duration(Double(tier.nanoseconds) / 1e9),
                    ])
        }
        return table.text
    }

    private var timeShares: String {
        let share = { (part: UInt64) in fixed(Double(part) / Double(max(processorNanoseconds, 1)) * 100, 1) + " %" }
        let known = translationNanoseconds + interpreterNanoseconds,
            rest = processorNanoseconds > known ? processorNanoseconds - known : 0
        return "processor time \(duration(Double(processorNanoseconds) / 1e9)): interpreting \(share(interpreterNanoseconds)), "
            + tiers.map { "translating \($0.name)s \(share($0.nanoseconds))" }.joined(separator: ", ")
            + (backgroundNanoseconds > 0 ? " (on a thread of its own \(share(backgroundNanoseconds)))" : "")
            + ", translated code and all else \(share(rest))\n"
    }

    private static func value(_ row: Row) -> String {
        switch row.unit {
        case .count: return grouped(row.value)
        case .bytes: return withMagnitude(Double(row.value)) + "B"
        case .nanoseconds: return duration(Double(row.value) / 1e9)
        }
    }

    private static func grouped(_ value: UInt64) -> String {
        var digits = String(value), parts: [String] = []
        while digits.count > 3 {
            parts.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return ([digits] + parts).joined(separator: " ")
    }
}

/// Where Mynah's own output goes: the file of `-o`, or standard error.
enum OwnOutput {
    /// Makes sure that the file can be written, and empties it unless it is `kept`; whoever writes to it later appends.
    static func prepare(_ path: String?, kept: Bool) throws {
        guard let path else { return }
        let descriptor = open(path, O_WRONLY | O_CREAT | (kept ? O_APPEND : O_TRUNC) | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw CommandFailure(
                status: ExitStatus.usage,
                "'\(kept ? "--append" : "-o")': cannot write '\(path)': \(String(cString: strerror(errno)))")
        }
        close(descriptor)
    }

    static func append(_ text: String, to path: String?) {
        guard let path else { return Console.writeError(text) }
        guard let file = fopen(path, "a") else { return }
        fputs(text, file)
        fclose(file)
    }
}

// Runs every program under every executor, in turns, so that a slow minute of the machine hits all of them alike.

import Glibc
import Mynah

struct BenchRun {
    var executors: [Executor]
    var guests: [BenchGuest]
    var runs: Int
    /// The interpreter takes ten times as long as the others: one run, unless the user asked for a number of runs.
    var interpreterRuns: Int
    var scalePercent: Int
    var progress: (_ done: Int, _ total: Int, _ what: String) -> Void

    func measure() throws -> BenchResults {
        var results = guests.map { GuestResult(guest: $0) }
        let total = guests.count * executors.map(runCount).reduce(0, +)
        var done = 0
        for round in 0..<runs {
            for index in results.indices {
                for executor in executors where round < runCount(executor) {
                    progress(done, total, "\(guests[index].name) · \(executor.name) · run \(round + 1)")
                    try measure(executor, into: &results[index])
                    done += 1
                }
            }
        }
        progress(total, total, "")
        return BenchResults(executors: executors, guests: results, runs: runs, scalePercent: scalePercent)
    }

    private func runCount(_ executor: Executor) -> Int {
        executor == .engine(.interpreter) ? min(runs, interpreterRuns) : runs
    }

    private func measure(_ executor: Executor, into result: inout GuestResult) throws {
        let directory = executor == .engine(.interpreter) ? try TemporaryDirectory() : nil
        defer { directory?.remove() }
        let statistics = directory?.file("statistics.json")
        guard let command = executor.command(for: result.guest, statisticsFile: statistics) else { return }
        let child = try ChildProcess.run(command)
        if let statistics, let text = Files.readText(statistics) { result.instructions = number("instructions", in: text) }
        guard compare(child, executor, with: &result) else { return }
        result.measurements[executor, default: Measurement()].add(child)
    }

    /// - Returns: whether the run counts as a measurement.
    private func compare(_ child: ChildResult, _ executor: Executor, with result: inout GuestResult) -> Bool {
        let name = result.guest.name
        guard let reference = result.reference else {
            if child.status != 0 {
                result.complaints.append("\(name): status \(child.status) under \(executor.name)\(firstLine(child.errorText))")
                return false
            }
            result.reference = (executor, child.status, child.output)
            return true
        }
        if child.status == reference.status && child.output == reference.output { return true }
        let what = child.status != reference.status
            ? "status \(child.status) under \(executor.name), \(reference.status) under "
                + "\(reference.executor.name)\(firstLine(child.errorText))"
            : "output under \(executor.name) differs from that under \(reference.executor.name)"
        if !result.complaints.contains("\(name): \(what)") { result.complaints.append("\(name): \(what)") }
        return false
    }

    private func firstLine(_ text: String) -> String {
        text.split(separator: "\n").first.map { " (\($0))" } ?? ""
    }
}

/// The number behind a key of our own JSON.
func number(_ key: String, in text: String) -> Double? {
    let quoted = "\"\(key)\":"
    guard let range = firstRange(of: quoted, in: text) else { return nil }
    let digits = text[range.upperBound...].drop { $0 == " " }.prefix { "0123456789.-+e".contains($0) }
    return Double(digits)
}

private func firstRange(of needle: String, in text: String) -> Range<String.Index>? {
    var index = text.startIndex
    while index < text.endIndex {
        if text[index...].hasPrefix(needle) { return index..<text.index(index, offsetBy: needle.count) }
        index = text.index(after: index)
    }
    return nil
}

// A benchmark as a table for people.

import Mynah

extension BenchResults {
    var tableText: String {
        var table = TextTable(
            heading: ["guest", "insns"] + columns { executor, base in [executor.name] + (base.map { ["÷ \($0.name)"] } ?? []) })
        for result in guests {
            table.rows.append(
                [result.guest.name, result.instructions.map(withMagnitude) ?? "–"]
                    + columns { executor, base in
                        [cell(executor, result)] + (base.map { [Self.ratio(result.ratio(executor, to: $0))] } ?? [])
                    })
        }
        if meanGuests.count > 1 {
            table.rows.append(
                ["geometric mean", ""]
                    + columns { executor, base in [""] + (base.map { [Self.ratio(meanRatio(executor, to: $0))] } ?? []) })
        }
        return table.text
    }

    /// The cells of every executor: its time, and unless it is the yardstick itself, that time relative to the yardstick, which
    /// is native builds or, without them, the first executor.
    private func columns(_ cells: (_ executor: Executor, _ base: Executor?) -> [String]) -> [String] {
        guard let yardstick = native ?? executors.first else { return [] }
        return executors.flatMap { cells($0, $0 == yardstick ? nil : yardstick) }
    }

    private static func ratio(_ value: Double?) -> String { value.map { threeDigits($0) + "×" } ?? "–" }

    private func cell(_ executor: Executor, _ result: GuestResult) -> String {
        guard let time = result.measurements[executor] else { return "–" }
        var text = duration(time.median)
        if time.samples.count > 1 { text += " ±" + fixed(time.spread * 50, 0) + "%" }
        if case .native = executor { return text }
        if let count = result.instructions, !result.guest.isStartUpProbe {
            text += " " + instructionRate(count / time.median).paddedLeft(9)
        }
        return text
    }

    /// The lines under the table.
    var summaryText: String {
        var text = ""
        if meanGuests.contains(where: { $0.guest.name != GuestImages.startUpProbe }),
            guests.contains(where: \.guest.isStartUpProbe)
        {
            text += "\(GuestImages.startUpProbe) measures start-up and is not part of the means\n"
        }
        let failures = complaints
        if failures.isEmpty {
            text += executors.count > 1 ? "all results identical across \(executors.map(\.name).joined(separator: ", "))\n" : ""
        } else {
            text += failures.map { "DIFFERENT: \($0)\n" }.joined()
        }
        return text
    }
}

// The hot translations of a program that ran, and one of them with every stage: for a terminal. HotPage writes the same as a page
// and as JSON.

import Mynah

struct HotReport {
    var command: String
    var program: RunningProgram
    /// The translations to list.
    var listed: [HotTranslation]
    /// Those to show with every stage.
    var details: [HotDetail]
    /// The program was stopped after so many seconds; nil when it ended.
    var seconds: Double?

    var total: UInt64 { program.translatedInstructions &+ program.interpretedInstructions }

    func name(_ address: UInt64) -> String { program.name(of: address) ?? hexadecimal(address) }

    var summary: String {
        let end = seconds.map { "for \(fixed($0, $0.rounded() == $0 ? 0 : 1)) s" } ?? "to its end"
        var text = "\(command), \(end): \(withMagnitude(Double(total))) guest instructions, "
            + "\(share(program.translatedInstructions, total)) of them translated"
        if !program.isComplete { text += "; there was no room to count everything" }
        return text
    }

    /// Of a translation, what to know in a line.
    func heading(_ detail: HotDetail) -> String {
        let translation = detail.translation
        let facts = [
            "\(share(translation.instructionsExecuted, total)) of all guest instructions", "entered \(spaced(translation.entries)) ×",
            translation.size, "\(detail.hostByteCount) bytes of host code",
            "\(fixed(detail.hostPerGuest, 2)) host instructions for each guest instruction",
        ]
        let place = "\(translation.tier) \(name(translation.address)) at \(hexadecimal(translation.address))"
        return "\(place): \(facts.joined(separator: ", "))"
    }

    func finding(_ finding: CostFinding) -> String {
        finding.text + (finding.address.map { "; most at \(name($0))" } ?? "")
    }

    func heading(_ block: HotBlock, _ translation: HotTranslation) -> String {
        let unrolled = block.iterations > 1 ? ", \(block.iterations) iterations" : ""
        let calls = block.calls.reversed().map { ", called before \(name($0))" }.joined()
        return "\(name(block.address)) (\(hexadecimal(block.address))\(calls)): \(spaced(block.executions)) ×, "
            + "\(share(block.instructionsExecuted, translation.instructionsExecuted)) of the \(translation.tier)\(unrolled)"
    }

    /// Ways out of a superblock that were taken, and what else was counted.
    func events(_ block: HotBlock) -> [String] {
        block.events.filter { $0.count > 0 }.sorted { $0.count > $1.count }.map { event in
            var text = "\(spaced(event.count)) × \(label(event)) at \(name(event.address))"
            if event.polls { text += ", polls" }
            if event.unlinked > 0 { text += ", by way of the dispatcher" }
            return text
        }
    }

    private func label(_ event: HotEvent) -> String {
        switch event.kind {
        case .transfer: return (event.isInside ? "to " : "leaves to ") + name(event.target)
        case .call: return "calls " + name(event.target)
        case .jump: return "jumps to a register"
        case .indirectCall: return "calls a register"
        case .return: return "returns"
        case .cacheFill: return "inline cache filled"
        case .cacheMiss: return "inline cache missed"
        case .returnMiss: return "return mispredicted"
        case .interpreter: return "interpreter called"
        case .trap: return "system call or trap"
        case .vectors: return "several iterations as vectors"
        }
    }

    // MARK: Terminal

    func text(_ stages: [TranslationStage]) -> String {
        let palette = Palette()
        var text = palette.bold(summary) + "\n\n" + list(palette)
        for detail in details {
            text += "\n" + palette.bold(heading(detail)) + "\n" + whySlow(detail, palette)
            if !detail.displaced.isEmpty { text += "homes: \(detail.displaced.joined(separator: ", "))\n" }
            for (block, rows) in zip(detail.translation.blocks, detail.rows) {
                text += "\n" + palette.cyan(heading(block, detail.translation)) + "\n"
                text += events(block).map { palette.dim("  \($0)") + "\n" }.joined()
                text += columns(rows, stages, palette)
            }
            if stages.contains(.host), !detail.cold.isEmpty {
                text += "\n" + palette.cyan("exits and slow paths") + "\n"
                text += detail.cold.map { ($0.isLabel ? "  " : "      ") + $0.text + "\n" }.joined()
            }
        }
        return text
    }

    private func list(_ palette: Palette) -> String {
        guard !listed.isEmpty else {
            return "nothing was translated: the program ended before any of its code was hot; try '--engine region'\n"
        }
        var table = TextTable(heading: ["hot code", "address", "", "entered", "executed", "share", "sum"])
        var sum: UInt64 = 0
        for translation in listed {
            sum &+= translation.instructionsExecuted
            table.rows.append([
                name(translation.address), hexadecimal(translation.address), translation.standing, spaced(translation.entries),
                withMagnitude(Double(translation.instructionsExecuted)), share(translation.instructionsExecuted, total), share(sum, total),
            ])
        }
        return table.text
    }

    private func whySlow(_ detail: HotDetail, _ palette: Palette) -> String {
        guard !detail.findings.isEmpty else { return "why slow: nothing stands out\n" }
        let width = detail.findings.map(\.kind.rawValue.count).max() ?? 0
        return palette.bold("why slow") + "\n" + detail.findings.map {
            "  \($0.kind.rawValue.paddedRight(width))  \(finding($0))\n"
        }.joined()
    }

    private func columns(_ rows: [HotRow], _ stages: [TranslationStage], _ palette: Palette) -> String {
        let cells = rows.map { row in stages.map { HotReport.lines($0, row) } }
        let counts = rows.map { $0.executions.map(spaced) ?? "" }
        let countWidth = max("executed".count, counts.map(\.count).max() ?? 0)
        let widths = stages.indices.map { stage in
            max(stages[stage].rawValue.count, cells.map { $0[stage].map(\.count).max() ?? 0 }.max() ?? 0)
        }
        func joined(_ count: String, _ cells: [String]) -> String {
            var line = ([count.paddedLeft(countWidth)] + zip(cells, widths).map { $0.paddedRight($1) }).joined(separator: " │ ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }
        var text = palette.dim(joined("executed", stages.map(\.rawValue)))
        for (count, row) in zip(counts, cells) {
            for line in 0 ..< max(1, row.map(\.count).max() ?? 0) {
                text += joined(line == 0 ? count : "", row.map { line < $0.count ? $0[line] : "" })
            }
        }
        return text
    }

    static func lines(_ stage: TranslationStage, _ row: HotRow) -> [String] {
        switch stage {
        case .guest:
            let digits = String(row.encoding, radix: 16)
            let encoding = String(repeating: "0", count: max(0, row.byteCount * 2 - digits.count)) + digits
            return ["\(hexadecimal(row.address))  \(encoding.paddedLeft(8))  \(row.guest)"]
        case .ir: return row.ir
        case .optimized: return row.optimized
        case .host: return row.host.map { $0.isLabel ? $0.text : "  " + $0.text }
        }
    }
}

extension HotTranslation {
    var tier: String { isRegion ? "region" : "block" }
    /// With whether it still runs.
    var standing: String { isCurrent ? tier : tier + ", replaced" }
    var size: String { "\(instructionCount) guest instructions in \(blocks.count) superblock\(blocks.count == 1 ? "" : "s")" }
}

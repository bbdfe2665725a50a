// The report on hot code as a page that needs nothing else, with the control-flow graphs in it; and as JSON.

import Mynah

extension HotReport {
    func html(_ stages: [TranslationStage]) -> String {
        let heading = ["hot code", "address", "", "entered", "executed", "share"].map { element("th", [:], $0) }.joined()
        let list = element("table", ["class": "list"], element("tr", [:], heading) + listed.map(row).joined())
        let body = element("h1", [:], escaped(command)) + element("p", [:], escaped(summary)) + list
            + details.map { section($0, stages) }.joined()
        return """
            <!doctype html><html lang="en"><meta charset="utf-8"><title>\(escaped(command)) · mynah inspect</title>
            <style>
            body { font: 13px system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
            h1 { font-size: 18px } h2 { font-size: 15px; margin-top: 2em }
            h3 { font: 600 13px ui-monospace, monospace; margin: 1.4em 0 .3em }
            table { border-collapse: collapse } th { text-align: left; color: #777; padding: 0 1em; font-weight: 500 }
            td { font: 12px/1.45 ui-monospace, monospace; white-space: pre; vertical-align: top }
            td { padding: 2px 1em; border-top: 1px solid #e4e4e4 }
            .n { text-align: right } .bar { display: inline-block; height: 9px; background: #ec6554 }
            tr:hover td { background: #f2f6fb } .guest { color: #114a82 } .ir, .events { color: #777 } .host { color: #20632a }
            .events { font: 12px ui-monospace, monospace; white-space: pre }
            .graph { overflow-x: auto; border: 1px solid #e4e4e4; background: #fff }
            @media (prefers-color-scheme: dark) { body { background: #15181c; color: #ddd } td { border-color: #333 }
            tr:hover td { background: #20262e } .guest, a { color: #8cc0f5 } .host { color: #8fd19a } }
            </style>
            \(body)</html>

            """
    }

    /// Of the list.
    private func row(_ translation: HotTranslation) -> String {
        let isShown = details.contains { $0.translation.number == translation.number }
        let title = escaped(name(translation.address)), executed = translation.instructionsExecuted
        let width = fixed(Double(executed) / Double(max(total, 1)) * 100, 1)
        let bar = "<span class=\"bar\" style=\"width:\(width)px\"></span> "
        return element("tr", [:], [
            element("td", [:], isShown ? "<a href=\"#t\(translation.number)\">\(title)</a>" : title),
            element("td", [:], hexadecimal(translation.address)), element("td", [:], translation.standing),
            element("td", ["class": "n"], spaced(translation.entries)), element("td", ["class": "n"], withMagnitude(Double(executed))),
            element("td", ["class": "n"], bar + escaped(share(executed, total))),
        ].joined())
    }

    private func section(_ detail: HotDetail, _ stages: [TranslationStage]) -> String {
        let drawing = ControlFlowDrawing(detail.translation, total: total, name: program.name)
        var text = element("h2", ["id": "t\(detail.translation.number)"], escaped(heading(detail)))
        if !detail.findings.isEmpty {
            let findings = detail.findings.map { element("td", [:], $0.kind.rawValue) + element("td", [:], escaped(finding($0))) }
            let heading = element("th", [:], "why slow") + element("th", [:], "")
            text += element("table", [:], ([heading] + findings).map { element("tr", [:], $0) }.joined())
        }
        if !detail.displaced.isEmpty { text += element("p", [:], "homes: " + escaped(detail.displaced.joined(separator: ", "))) }
        text += element("div", ["class": "graph"], drawing.svg)
        for (block, rows) in zip(detail.translation.blocks, detail.rows) {
            text += element("h3", [:], escaped(heading(block, detail.translation)))
            text += element("div", ["class": "events"], escaped(events(block).joined(separator: "\n")))
            text += code(rows, stages)
        }
        if stages.contains(.host), !detail.cold.isEmpty {
            let lines = detail.cold.map { ($0.isLabel ? "" : "    ") + escaped($0.text) }.joined(separator: "\n")
            let table = element("table", [:], element("tr", [:], element("td", ["class": "host"], lines)))
            text += element("details", [:], element("summary", [:], "exits and slow paths") + table)
        }
        return text
    }

    private func code(_ rows: [HotRow], _ stages: [TranslationStage]) -> String {
        let heading = (["executed"] + stages.map(\.rawValue)).map { element("th", [:], $0) }.joined()
        let lines = rows.map { row in
            element("td", ["class": "n"], row.executions.map(spaced) ?? "")
                + stages.map { element("td", ["class": $0.rawValue], escaped(HotReport.lines($0, row).joined(separator: "\n"))) }.joined()
        }
        return element("table", [:], ([heading] + lines).map { element("tr", [:], $0) }.joined())
    }

    // MARK: JSON

    func json(_ stages: [TranslationStage]) -> JSONValue {
        .object([
            ("command", .string(command)), ("seconds", seconds.map { .number($0) } ?? .null), ("instructions", integer(total)),
            ("translatedInstructions", integer(program.translatedInstructions)),
            ("interpretedInstructions", integer(program.interpretedInstructions)), ("isComplete", .boolean(program.isComplete)),
            ("hot", .array(listed.map(json))), ("details", .array(details.map { json($0, stages) })),
        ])
    }

    private func integer(_ value: UInt64) -> JSONValue { .integer(Int(clamping: value)) }
    private func string(_ address: UInt64) -> JSONValue { .string(hexadecimal(address)) }
    private func symbol(_ address: UInt64) -> JSONValue { program.name(of: address).map { .string($0) } ?? .null }

    private func json(_ translation: HotTranslation) -> JSONValue {
        .object([
            ("address", string(translation.address)), ("symbol", symbol(translation.address)), ("tier", .string(translation.tier)),
            ("isCurrent", .boolean(translation.isCurrent)), ("entries", integer(translation.entries)),
            ("instructionsExecuted", integer(translation.instructionsExecuted)),
            ("share", .number(total > 0 ? Double(translation.instructionsExecuted) / Double(total) : 0)),
        ])
    }

    private func json(_ detail: HotDetail, _ stages: [TranslationStage]) -> JSONValue {
        let blocks = zip(detail.translation.blocks, detail.rows).map { block, rows -> JSONValue in
            .object([
                ("address", string(block.address)), ("symbol", symbol(block.address)), ("calls", .array(block.calls.map(string))),
                ("executions", integer(block.executions)),
                ("instructionsExecuted", integer(block.instructionsExecuted)), ("iterations", .integer(block.iterations)),
                ("events", .array(block.events.map(json))), ("instructions", .array(rows.map { json($0, stages) })),
            ])
        }
        let findings = detail.findings.map { finding -> JSONValue in
            .object([
                ("kind", .string(finding.kind.rawValue)), ("count", integer(finding.count)),
                ("address", finding.address.map(string) ?? .null), ("text", .string(finding.text)),
            ])
        }
        return .object([
            ("address", string(detail.translation.address)), ("symbol", symbol(detail.translation.address)),
            ("hostBytes", .integer(detail.hostByteCount)), ("hostInstructionsPerGuestInstruction", .number(detail.hostPerGuest)),
            ("homes", .array(detail.displaced.map { .string($0) })), ("whySlow", .array(findings)), ("superblocks", .array(blocks)),
            ("cold", .array(detail.cold.map { .string($0.text) })),
        ])
    }

    private func json(_ event: HotEvent) -> JSONValue {
        .object([
            ("kind", .string(event.kind.rawValue)), ("address", string(event.address)),
            ("target", event.target == 0 ? .null : string(event.target)), ("count", integer(event.count)), ("polls", .boolean(event.polls)),
            ("isInside", .boolean(event.isInside)), ("unlinked", integer(event.unlinked)),
        ])
    }

    private func json(_ row: HotRow, _ stages: [TranslationStage]) -> JSONValue {
        var members: [(String, JSONValue)] = [
            ("address", string(row.address)), ("executions", row.executions.map(integer) ?? .null), ("guest", .string(row.guest)),
        ]
        for stage in stages where stage != .guest {
            members.append((stage.rawValue, .array(HotReport.lines(stage, row).map { .string(String($0.drop { $0 == " " })) })))
        }
        return .object(members)
    }
}

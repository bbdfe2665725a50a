// A translation for a terminal, as a page and as JSON: the guest's instructions, and beside each what became of it.

import Mynah

struct InspectReport {
    var program: String
    var views: [TranslationView]
    var stages: [TranslationStage]
    /// "main+0x10" for an address; nil when there is no symbol.
    var symbol: (UInt64) -> String?

    init(program: String, views: [TranslationView], stages: [TranslationStage], symbol: @escaping (UInt64) -> String?) {
        self.program = program
        self.views = views
        self.stages = stages
        self.symbol = symbol
    }

    private func lines(_ stage: TranslationStage, view: Int, row index: Int) -> [String] {
        let row = views[view].rows[index]
        switch stage {
        case .guest: return ["\(hexadecimal(row.address))  \(encoding(row))  \(row.guest)"]
        case .ir: return row.ir
        case .optimized: return row.optimized
        case .host: return row.hostText
        }
    }

    private func encoding(_ row: TranslationView.Row) -> String {
        let digits = String(row.encoding, radix: 16)
        return (String(repeating: "0", count: max(0, row.byteCount * 2 - digits.count)) + digits).paddedLeft(8)
    }

    private func title(_ view: TranslationView) -> String {
        let bytes = view.rows.map(\.host.count).reduce(0, +)
        let name = symbol(view.entry).map { " <\($0)>" } ?? ""
        return "\(hexadecimal(view.entry))\(name): \(view.rows.count) guest instructions, \(bytes) bytes of host code"
    }

    /// Columns side by side.
    var text: String {
        let palette = Palette()
        var text = ""
        for (number, view) in views.enumerated() {
            let cells = view.rows.indices.map { row in stages.map { lines($0, view: number, row: row) } }
            let widths = stages.indices.map { stage in
                max(stages[stage].rawValue.count, cells.map { $0[stage].map(\.count).max() ?? 0 }.max() ?? 0)
            }
            text += palette.bold(title(view)) + "\n"
            text += palette.dim(joined(stages.map(\.rawValue), widths)) + "\n"
            for row in cells {
                for line in 0 ..< (row.map(\.count).max() ?? 0) {
                    text += joined(row.map { line < $0.count ? $0[line] : "" }, widths) + "\n"
                }
            }
            text += "\n"
        }
        return text
    }

    private func joined(_ cells: [String], _ widths: [Int]) -> String {
        var line = zip(cells, widths).map { $0.paddedRight($1) }.joined(separator: " │ ")
        while line.last == " " { line.removeLast() }
        return line
    }

    /// A page that needs nothing else.
    var html: String {
        let heading = stages.map { element("th", [:], $0.rawValue) }.joined()
        let body = views.indices.map { number in
            let rows = views[number].rows.indices.map { row in
                stages.map { stage in
                    let lines = lines(stage, view: number, row: row).joined(separator: "\n")
                    return element("td", ["class": stage.rawValue], escaped(lines))
                }.joined()
            }
            return element("h2", [:], escaped(title(views[number])))
                + element("table", [:], ([heading] + rows).map { element("tr", [:], $0) }.joined())
        }.joined()
        return """
            <!doctype html><html lang="en"><meta charset="utf-8"><title>\(escaped(program)) · mynah inspect</title>
            <style>
            body { font: 13px system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
            h1 { font-size: 18px } h2 { font: 600 14px ui-monospace, monospace }
            table { border-collapse: collapse } th { text-align: left; color: #777; padding: 0 1em }
            td { font: 12px/1.45 ui-monospace, monospace; white-space: pre; vertical-align: top }
            td { padding: 2px 1em; border-top: 1px solid #e4e4e4 }
            tr:hover td { background: #f2f6fb } .guest { color: #114a82 } .ir { color: #777 } .host { color: #20632a }
            @media (prefers-color-scheme: dark) { body { background: #15181c; color: #ddd } td { border-color: #333 }
            tr:hover td { background: #20262e } .guest { color: #8cc0f5 } .host { color: #8fd19a } }
            </style>
            <h1>\(escaped(program))</h1>
            \(body)</html>

            """
    }

    var json: JSONValue {
        .array(views.indices.map { view in
            .object([
                ("entry", .string(hexadecimal(views[view].entry))),
                ("symbol", symbol(views[view].entry).map { .string($0) } ?? .null),
                ("instructions", .array(views[view].rows.indices.map { rowJSON(view, $0) })),
            ])
        })
    }

    private func rowJSON(_ view: Int, _ index: Int) -> JSONValue {
        let row = views[view].rows[index]
        var members: [(String, JSONValue)] = [("address", .string(hexadecimal(row.address))), ("guest", .string(row.guest))]
        for stage in stages where stage != .guest {
            members.append((stage.rawValue, .array(lines(stage, view: view, row: index).map { .string($0) })))
        }
        return .object(members)
    }
}

func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

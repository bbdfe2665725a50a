// The control-flow graph of a translation as an SVG picture that needs nothing else: superblocks coloured by heat, transfers
// with their counts, those backwards dashed around the side, ways out in grey.

import Mynah

struct ControlFlowDrawing {
    private let layout: ControlFlowLayout
    private let title: String
    private let subtitle: String
    private let most: UInt64

    init(_ translation: HotTranslation, total: UInt64, name: @escaping (UInt64) -> String?) {
        var graph = ControlFlowGraph(translation, name: name)
        graph.build()
        layout = ControlFlowLayout(nodes: graph.nodes, edges: graph.edges)
        most = graph.edges.map(\.count).max() ?? 0
        title = name(translation.address) ?? hexadecimal(translation.address)
        subtitle = "\(translation.isRegion ? "region" : "block") at \(hexadecimal(translation.address)) · \(translation.blocks.count) superblock\(translation.blocks.count == 1 ? "" : "s") · "
            + "\(translation.instructionCount) guest instructions · \(spaced(translation.instructionsExecuted)) executed, "
            + "\(share(translation.instructionsExecuted, total)) of all · entered \(spaced(translation.entries)) ×"
    }

    var svg: String {
        let titleHeight = 62.0, legendHeight = 40.0
        let textWidth = Double(subtitle.count) * 6.7 + 48
        let width = max(layout.width, textWidth, 420), height = layout.height + titleHeight + legendHeight
        let shift = max(0, (width - layout.width) / 2)
        var text = """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(number(width))" height="\(number(height))" viewBox="0 0 \(number(width)) \(number(height))">
            <style>
            text { font: 12px "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; fill: #1d2733 }
            .title { font: 600 17px "DejaVu Sans", "Liberation Sans", Helvetica, Arial, sans-serif }
            .subtitle { font: 12px "DejaVu Sans", "Liberation Sans", Helvetica, Arial, sans-serif; fill: #5a6775 }
            .name { font-weight: 700 } .dim { fill: #5a6775 }
            .edge { fill: none; stroke: #4a5663 } .back { fill: none; stroke: #1f5fa8; stroke-dasharray: 6 3 } .out { stroke: #9aa4ae }
            .label { fill: #2c3844 } .backlabel { fill: #1f5fa8 } .behind { fill: #ffffff; opacity: 0.85 }
            </style>
            <defs>
            \(marker("arrow", "#4a5663"))\(marker("backarrow", "#1f5fa8"))\(marker("outarrow", "#9aa4ae"))</defs>
            <rect width="100%" height="100%" fill="#ffffff"/>
            <text class="title" x="24" y="30">\(escaped(title))</text>
            <text class="subtitle" x="24" y="50">\(escaped(subtitle))</text>
            <g transform="translate(\(number(shift)) \(number(titleHeight)))">

            """
        for edge in layout.edges { text += line(of: edge) }
        for node in layout.nodes { text += box(of: node) }
        for edge in layout.edges where !edge.label.isEmpty {
            let half = Double(edge.label.count) * GraphNode.characterWidth / 2
            text += "<rect class=\"behind\" x=\"\(number(edge.labelPlace.x - half - 2))\" y=\"\(number(edge.labelPlace.y - 11))\" "
                + "width=\"\(number(half * 2 + 4))\" height=\"15\"/>\n"
            text += "<text class=\"\(edge.isBackward ? "backlabel" : "label")\" text-anchor=\"middle\" x=\"\(number(edge.labelPlace.x))\" "
                + "y=\"\(number(edge.labelPlace.y))\">\(escaped(edge.label))</text>\n"
        }
        return text + "</g>\n" + legend(y: height - legendHeight + 14) + "</svg>\n"
    }

    private func marker(_ name: String, _ colour: String) -> String {
        "<marker id=\"\(name)\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"9\" markerHeight=\"9\" markerUnits=\"userSpaceOnUse\" "
            + "orient=\"auto\"><path d=\"M0 0.8 L9.5 5 L0 9.2 z\" fill=\"\(colour)\"/></marker>\n"
    }

    // MARK: Parts

    private func box(of node: GraphNode) -> String {
        let left = node.x - node.width / 2, top = node.y - node.height / 2
        var text = "<rect x=\"\(number(left))\" y=\"\(number(top))\" width=\"\(number(node.width))\" height=\"\(number(node.height))\" "
        text += node.isOutside
            ? "rx=\"\(number(node.height / 2))\" fill=\"#f2f4f6\" stroke=\"#b4bcc4\"/>\n"
            : "rx=\"5\" fill=\"\(ControlFlowDrawing.colour(node.heat))\" stroke=\"#4a5663\" stroke-width=\"1.2\"/>\n"
        for (index, line) in node.lines.enumerated() {
            let kind = node.isOutside ? "dim" : index == 0 ? "name" : ""
            let y = top + GraphNode.padding / 2 + Double(index) * GraphNode.lineHeight + 12
            text += "<text class=\"\(kind)\" text-anchor=\"middle\" x=\"\(number(node.x))\" y=\"\(number(y))\">\(escaped(line))</text>\n"
        }
        return text
    }

    private func line(of edge: GraphEdge) -> String {
        let isOut = layout.nodes[edge.to].isOutside
        let kind = edge.isBackward ? "back" : isOut ? "edge out" : "edge"
        let marker = edge.isBackward ? "backarrow" : isOut ? "outarrow" : "arrow"
        let relative = most > 0 ? Double(edge.count) / Double(most) : 0
        let width = edge.count == 0 ? 0.8 : 1.1 + 2.4 * relative.squareRoot()
        return "<path class=\"\(kind)\" stroke-width=\"\(number(width))\" marker-end=\"url(#\(marker))\" d=\"\(edge.isBackward ? corners(edge.points) : curve(edge.points))\"/>\n"
    }

    /// From box to box in an S.
    private func curve(_ points: [(x: Double, y: Double)]) -> String {
        var text = "M\(number(points[0].x)) \(number(points[0].y))"
        for (from, to) in zip(points, points.dropFirst()) {
            if from.x == to.x {
                text += " L\(number(to.x)) \(number(to.y))"
            } else {
                let bend = (to.y - from.y) * 0.5
                text += " C\(number(from.x)) \(number(from.y + bend)) \(number(to.x)) \(number(to.y - bend)) \(number(to.x)) \(number(to.y))"
            }
        }
        return text
    }

    /// Around the side, with round corners.
    private func corners(_ points: [(x: Double, y: Double)]) -> String {
        var text = "M\(number(points[0].x)) \(number(points[0].y))"
        for index in 1 ..< points.count - 1 {
            let (before, corner, after) = (points[index - 1], points[index], points[index + 1])
            let lengths = [abs(before.x - corner.x) + abs(before.y - corner.y), abs(after.x - corner.x) + abs(after.y - corner.y)]
            let radius = min(9, (lengths.min() ?? 0) / 2)
            let from = towards(before, from: corner, radius), to = towards(after, from: corner, radius)
            text += " L\(number(from.x)) \(number(from.y)) Q\(number(corner.x)) \(number(corner.y)) \(number(to.x)) \(number(to.y))"
        }
        let last = points[points.count - 1]
        return text + " L\(number(last.x)) \(number(last.y))"
    }

    /// A point on the way to another, which is straight above, below or beside.
    private func towards(_ target: (x: Double, y: Double), from place: (x: Double, y: Double), _ distance: Double) -> (x: Double, y: Double) {
        if target.x == place.x { return (place.x, place.y + (target.y > place.y ? distance : -distance)) }
        return (place.x + (target.x > place.x ? distance : -distance), place.y)
    }

    private func legend(y: Double) -> String {
        var text = "<text class=\"subtitle\" x=\"24\" y=\"\(number(y + 10))\">executed instructions: few</text>\n"
        for step in 0 ..< 12 {
            text += "<rect x=\"\(190 + step * 14)\" y=\"\(number(y))\" width=\"14\" height=\"12\" stroke=\"#d5dade\" fill=\"\(ControlFlowDrawing.colour(Double(step) / 11))\"/>\n"
        }
        return text + "<text class=\"subtitle\" x=\"366\" y=\"\(number(y + 10))\">many</text>\n"
    }

    /// White over yellow and orange to red.
    static func colour(_ heat: Double) -> String {
        let stops: [(Double, Double, Double)] = [(255, 255, 255), (255, 243, 196), (254, 208, 121), (250, 153, 92), (236, 101, 84)]
        let place = min(max(heat, 0), 1) * Double(stops.count - 1), index = min(Int(place), stops.count - 2), part = place - Double(index)
        let mix = { (a: Double, b: Double) in Int(a + (b - a) * part + 0.5) }
        let (from, to) = (stops[index], stops[index + 1])
        let channels = [mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2)]
        return "#" + channels.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private func number(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? String(tenths / 10) : "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
    }
}

/// The graph of a translation: its superblocks, and where they go.
struct ControlFlowGraph {
    private(set) var nodes: [GraphNode] = []
    private(set) var edges: [GraphEdge] = []
    private let translation: HotTranslation
    private let name: (UInt64) -> String?

    /// Ways out that are drawn at most; those that are taken least are left out.
    private static let ways = 24

    init(_ translation: HotTranslation, name: @escaping (UInt64) -> String?) {
        self.translation = translation
        self.name = name
    }

    mutating func build() {
        let most = translation.blocks.map(\.instructionsExecuted).max() ?? 0
        var places: [[UInt64]: Int] = [:]
        for block in translation.blocks {
            places[block.calls + [block.address]] = nodes.count
            let unrolled = block.iterations > 1 ? " · \(block.iterations) iterations" : ""
            nodes.append(
                GraphNode(
                    lines: [
                        name(block.address) ?? hexadecimal(block.address), "\(hexadecimal(block.address)) · \(block.instructionCount) insns\(unrolled)",
                        "\(spaced(block.executions)) × · \(share(block.instructionsExecuted, translation.instructionsExecuted))",
                    ] + block.calls.suffix(1).map { "called before \(name($0) ?? hexadecimal($0))" },
                    heat: most > 0 ? Double(block.instructionsExecuted) / Double(most) : 0))
        }
        addEntry()
        for (source, block) in translation.blocks.enumerated() {
            for event in block.events where event.leaves && event.isInside {
                guard let target = places[event.targetCalls + [event.target]] else { continue }
                add(source, target, event.count)
            }
        }
        addWaysOut()
    }

    private mutating func addEntry() {
        guard !translation.blocks.isEmpty else { return }
        nodes.append(GraphNode(lines: ["entered \(spaced(translation.entries)) ×"], isOutside: true))
        edges.append(GraphEdge(from: nodes.count - 1, to: 0, count: translation.entries, label: ""))
    }

    private mutating func add(_ from: Int, _ to: Int, _ count: UInt64) {
        if let known = edges.firstIndex(where: { $0.from == from && $0.to == to }) {
            edges[known].count &+= count
            edges[known].label = spaced(edges[known].count)
        } else {
            edges.append(GraphEdge(from: from, to: to, count: count, label: spaced(count)))
        }
    }

    private mutating func addWaysOut() {
        var ways: [(source: Int, text: String, count: UInt64)] = []
        for (source, block) in translation.blocks.enumerated() {
            for event in block.events where event.leaves && !event.isInside && event.count > 0 {
                ways.append((source, text(of: event), event.count))
            }
        }
        var places: [String: Int] = [:]
        for way in ways.sorted(by: { $0.count > $1.count }).prefix(ControlFlowGraph.ways) {
            let key = "\(way.source) \(way.text)"
            if places[key] == nil {
                places[key] = nodes.count
                nodes.append(GraphNode(lines: [way.text], isOutside: true))
            }
            add(way.source, places[key]!, way.count)
        }
    }

    private func text(of event: HotEvent) -> String {
        switch event.kind {
        case .return: return "return"
        case .jump: return "jump to a register"
        case .indirectCall: return "call of a register"
        case .trap: return "system call or trap"
        case .call: return "call \(name(event.target) ?? hexadecimal(event.target))"
        default: return "→ \(name(event.target) ?? hexadecimal(event.target))"
        }
    }
}

func escaped(_ text: String) -> String {
    text.map { $0 == "<" ? "&lt;" : $0 == ">" ? "&gt;" : $0 == "&" ? "&amp;" : $0 == "\"" ? "&quot;" : String($0) }.joined()
}

/// 1 234 567.
func spaced(_ value: UInt64) -> String {
    var digits = String(value), groups: [String] = []
    while digits.count > 3 {
        groups.insert(String(digits.suffix(3)), at: 0)
        digits.removeLast(3)
    }
    return ([digits] + groups).joined(separator: "\u{2009}")
}

func share(_ part: UInt64, _ whole: UInt64) -> String {
    guard whole > 0 else { return "–" }
    let value = Double(part) / Double(whole) * 100
    return value > 0 && value < 0.05 ? "<0.1 %" : fixed(value, value < 99.95 ? 1 : 0) + " %"
}

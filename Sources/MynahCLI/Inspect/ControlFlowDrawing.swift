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
        subtitle = [
            "\(translation.tier) at \(hexadecimal(translation.address))", translation.size,
            "\(spaced(translation.instructionsExecuted)) executed, \(share(translation.instructionsExecuted, total)) of all",
            "entered \(spaced(translation.entries)) ×",
        ].joined(separator: " · ")
    }

    var svg: String {
        let titleHeight = 62.0, legendHeight = 40.0
        let textWidth = Double(subtitle.count) * 6.7 + 48
        let width = max(layout.width, textWidth, 420), height = layout.height + titleHeight + legendHeight
        let shift = max(0, (width - layout.width) / 2)
        var graph = ""
        for edge in layout.edges { graph += line(of: edge) }
        for node in layout.nodes { graph += box(of: node) }
        for edge in layout.edges where !edge.label.isEmpty { graph += label(of: edge) }
        let content = [
            element("style", [:], ControlFlowDrawing.style),
            element("defs", [:], marker("arrow", "#4a5663") + marker("backarrow", "#1f5fa8") + marker("outarrow", "#9aa4ae")),
            element("rect", ["width": "100%", "height": "100%", "fill": "#ffffff"]),
            element("text", ["class": "title", "x": 24, "y": 30], escaped(title)),
            element("text", ["class": "subtitle", "x": 24, "y": 50], escaped(subtitle)),
            element("g", ["transform": "translate(\(tenths(shift)) \(tenths(titleHeight)))"], "\n" + graph),
            legend(y: height - legendHeight + 14),
        ].joined()
        let box = "0 0 \(tenths(width)) \(tenths(height))"
        return element("svg", ["xmlns": "http://www.w3.org/2000/svg", "width": width, "height": height, "viewBox": box], "\n" + content)
    }

    private static let style = """

        text { font: 12px "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace; fill: #1d2733 }
        .title { font: 600 17px "DejaVu Sans", "Liberation Sans", Helvetica, Arial, sans-serif }
        .subtitle { font: 12px "DejaVu Sans", "Liberation Sans", Helvetica, Arial, sans-serif; fill: #5a6775 }
        .name { font-weight: 700 } .dim { fill: #5a6775 }
        .edge, .back { fill: none; stroke: #4a5663 } .back { stroke: #1f5fa8; stroke-dasharray: 6 3 } .out { stroke: #9aa4ae }
        .label { fill: #2c3844 } .backlabel { fill: #1f5fa8 } .behind { fill: #ffffff; opacity: 0.85 }

        """

    private func marker(_ name: String, _ colour: String) -> String {
        element(
            "marker",
            [
                "id": name, "viewBox": "0 0 10 10", "refX": 9, "refY": 5, "markerWidth": 9, "markerHeight": 9,
                "markerUnits": "userSpaceOnUse", "orient": "auto",
            ],
            element("path", ["d": "M0 0.8 L9.5 5 L0 9.2 z", "fill": colour]))
    }

    // MARK: Parts

    private func box(of node: GraphNode) -> String {
        let left = node.x - node.width / 2, top = node.y - node.height / 2
        var text = element(
            "rect",
            [
                "x": left, "y": top, "width": node.width, "height": node.height, "rx": node.isOutside ? node.height / 2 : 5.0,
                "fill": node.isOutside ? "#f2f4f6" : ControlFlowDrawing.colour(node.heat),
                "stroke": node.isOutside ? "#b4bcc4" : "#4a5663", "stroke-width": node.isOutside ? 1.0 : 1.2,
            ])
        for (index, line) in node.lines.enumerated() {
            let kind = node.isOutside ? "dim" : index == 0 ? "name" : ""
            let y = top + GraphNode.padding / 2 + Double(index) * GraphNode.lineHeight + 12
            text += element("text", ["class": kind, "text-anchor": "middle", "x": node.x, "y": y], escaped(line))
        }
        return text
    }

    private func line(of edge: GraphEdge) -> String {
        let isOut = layout.nodes[edge.to].isOutside
        let kind = edge.isBackward ? "back" : isOut ? "edge out" : "edge"
        let marker = edge.isBackward ? "backarrow" : isOut ? "outarrow" : "arrow"
        let relative = most > 0 ? Double(edge.count) / Double(most) : 0
        let width = edge.count == 0 ? 0.8 : 1.1 + 2.4 * relative.squareRoot()
        let path = edge.isBackward ? corners(edge.points) : curve(edge.points)
        return element("path", ["class": kind, "stroke-width": width, "marker-end": "url(#\(marker))", "d": path])
    }

    private func label(of edge: GraphEdge) -> String {
        let half = Double(edge.label.count) * GraphNode.characterWidth / 2, place = edge.labelPlace
        let kind = edge.isBackward ? "backlabel" : "label"
        return element("rect", ["class": "behind", "x": place.x - half - 2, "y": place.y - 11, "width": half * 2 + 4, "height": 15])
            + element("text", ["class": kind, "text-anchor": "middle", "x": place.x, "y": place.y], escaped(edge.label))
    }

    private typealias Point = (x: Double, y: Double)

    /// Letters of a path's data, each with the points that it goes by.
    private func path(_ letter: String, _ points: Point...) -> String {
        letter + points.map { "\(tenths($0.x)) \(tenths($0.y))" }.joined(separator: " ")
    }

    /// From box to box in an S.
    private func curve(_ points: [Point]) -> String {
        var text = path("M", points[0])
        for (from, to) in zip(points, points.dropFirst()) {
            let bend = (to.y - from.y) * 0.5
            text += from.x == to.x ? path("L", to) : path("C", (from.x, from.y + bend), (to.x, to.y - bend), to)
        }
        return text
    }

    /// Around the side, with round corners.
    private func corners(_ points: [Point]) -> String {
        var text = path("M", points[0])
        for index in 1 ..< points.count - 1 {
            let (before, corner, after) = (points[index - 1], points[index], points[index + 1])
            let lengths = [abs(before.x - corner.x) + abs(before.y - corner.y), abs(after.x - corner.x) + abs(after.y - corner.y)]
            let radius = min(9, (lengths.min() ?? 0) / 2)
            text += path("L", towards(before, from: corner, radius)) + path("Q", corner, towards(after, from: corner, radius))
        }
        return text + path("L", points[points.count - 1])
    }

    /// A point on the way to another, which is straight above, below or beside.
    private func towards(_ target: Point, from place: Point, _ distance: Double) -> Point {
        if target.x == place.x { return (place.x, place.y + (target.y > place.y ? distance : -distance)) }
        return (place.x + (target.x > place.x ? distance : -distance), place.y)
    }

    private func legend(y: Double) -> String {
        var text = element("text", ["class": "subtitle", "x": 24, "y": y + 10], "executed instructions: few")
        for step in 0 ..< 12 {
            let colour = ControlFlowDrawing.colour(Double(step) / 11)
            text += element("rect", ["x": 190 + step * 14, "y": y, "width": 14, "height": 12, "stroke": "#d5dade", "fill": colour])
        }
        return text + element("text", ["class": "subtitle", "x": 366, "y": y + 10], "many")
    }

    /// White over yellow and orange to red.
    static func colour(_ heat: Double) -> String {
        let stops: [(Double, Double, Double)] = [(255, 255, 255), (255, 243, 196), (254, 208, 121), (250, 153, 92), (236, 101, 84)]
        let place = min(max(heat, 0), 1) * Double(stops.count - 1)
        let index = min(Int(place), stops.count - 2), part = place - Double(index)
        let mix = { (a: Double, b: Double) in Int(a + (b - a) * part + 0.5) }
        let (from, to) = (stops[index], stops[index + 1])
        let channels = [mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2)]
        return "#" + channels.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

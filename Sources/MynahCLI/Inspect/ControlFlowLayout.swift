// Where the boxes and arrows of a control-flow graph go: layers by the longest way from the entry, few crossings, and transfers
// backwards around the side. Coordinates in SVG units, which are pixels.

struct GraphNode {
    var lines: [String]
    /// 0 cold … 1 hot.
    var heat = 0.0
    /// Outside of the region: drawn small.
    var isOutside = false
    var width = 0.0, height = 0.0
    /// The centre of the box.
    var x = 0.0, y = 0.0
    fileprivate(set) var layer = 0

    static let characterWidth = 7.25, lineHeight = 16.0, padding = 12.0
}

struct GraphEdge {
    var from: Int
    var to: Int
    var count: UInt64
    var label: String
    var isBackward = false
    /// Its line takes these points between the boxes.
    var points: [(x: Double, y: Double)] = []
    /// For transfers backwards: the vertical line at the side that it takes.
    fileprivate(set) var laneX = 0.0
    /// Sideways from the middle of a box, so that several ends do not meet.
    fileprivate(set) var startShift = 0.0, endShift = 0.0
    var labelPlace = (x: 0.0, y: 0.0)
}

struct ControlFlowLayout {
    private(set) var nodes: [GraphNode]
    private(set) var edges: [GraphEdge]
    private(set) var width = 0.0, height = 0.0

    private static let layerGap = 64.0, nodeGap = 34.0, margin = 24.0, laneGap = 30.0

    /// - Parameter nodes: the first is the entry.
    init(nodes: [GraphNode], edges: [GraphEdge]) {
        self.nodes = nodes
        self.edges = edges
        measure()
        findBackwardEdges()
        assignLayers()
        place()
        routeEdges()
    }

    private mutating func measure() {
        for index in nodes.indices {
            let characters = Double(nodes[index].lines.map(\.count).max() ?? 0)
            nodes[index].width = characters * GraphNode.characterWidth + GraphNode.padding * 2
            nodes[index].height = Double(nodes[index].lines.count) * GraphNode.lineHeight + GraphNode.padding
        }
    }

    // MARK: Layers

    /// Those that lead back to a node that is being visited, depth first, hottest way first.
    private mutating func findBackwardEdges() {
        var state = [Int](repeating: 0, count: nodes.count)
        let order = edges.indices.sorted { edges[$0].count > edges[$1].count }
        func visit(_ node: Int, _ edges: inout [GraphEdge]) {
            state[node] = 1
            for index in order where edges[index].from == node {
                switch state[edges[index].to] {
                case 1: edges[index].isBackward = true
                case 0: visit(edges[index].to, &edges)
                default: break
                }
            }
            state[node] = 2
        }
        for node in nodes.indices where state[node] == 0 { visit(node, &edges) }
    }

    private mutating func assignLayers() {
        var changed = true
        while changed {
            changed = false
            for edge in edges where !edge.isBackward && nodes[edge.to].layer < nodes[edge.from].layer + 1 {
                nodes[edge.to].layer = nodes[edge.from].layer + 1
                changed = true
            }
        }
    }

    // MARK: Places

    /// A box, or the place where an edge passes through a layer.
    private struct Item {
        var node: Int?
        var width: Double
        var x = 0.0
        var above: [(item: Int, weight: Double)] = []
        var below: [(item: Int, weight: Double)] = []
    }

    private var items: [Item] = []
    /// Items by layer, from left to right.
    private var rows: [[Int]] = []
    /// The items that an edge passes, without its ends.
    private var passages: [[Int]] = []

    private mutating func place() {
        makeItems()
        for _ in 0 ..< 12 {
            for layer in rows.indices { sortRow(layer, useAbove: true) }
            for layer in rows.indices.reversed() { sortRow(layer, useAbove: false) }
        }
        for row in rows { pack(row) }
        for _ in 0 ..< 40 {
            for layer in rows.indices.reversed() { align(layer, useAbove: false) }
            for layer in rows.indices { align(layer, useAbove: true) }
        }
        var y = ControlFlowLayout.margin
        for row in rows {
            let tallest = row.compactMap { items[$0].node.map { nodes[$0].height } }.max() ?? 0
            for item in row {
                if let node = items[item].node { nodes[node].y = y + tallest / 2 }
            }
            y += tallest + ControlFlowLayout.layerGap
        }
        for item in items {
            if let node = item.node { nodes[node].x = item.x }
        }
        height = y - ControlFlowLayout.layerGap + ControlFlowLayout.margin
    }

    private mutating func makeItems() {
        rows = Array(repeating: [], count: (nodes.map(\.layer).max() ?? 0) + 1)
        for node in nodes.indices {
            rows[nodes[node].layer].append(items.count)
            items.append(Item(node: node, width: nodes[node].width))
        }
        passages = Array(repeating: [], count: edges.count)
        for index in edges.indices where !edges[index].isBackward {
            let edge = edges[index], weight = 1 + Double(edge.count > 0 ? 1 : 0)
            var last = edge.from
            for layer in nodes[edge.from].layer + 1 ..< max(nodes[edge.to].layer, nodes[edge.from].layer + 1) {
                rows[layer].append(items.count)
                items.append(Item(node: nil, width: 16))
                connect(last, items.count - 1, weight * 2)
                last = items.count - 1
                passages[index].append(last)
            }
            connect(last, edge.to, weight)
        }
    }

    private mutating func connect(_ above: Int, _ below: Int, _ weight: Double) {
        items[above].below.append((below, weight))
        items[below].above.append((above, weight))
    }

    private mutating func sortRow(_ layer: Int, useAbove: Bool) {
        var position: [Int: Double] = [:]
        for row in rows {
            for (index, item) in row.enumerated() { position[item] = Double(index) - Double(row.count - 1) / 2 }
        }
        func middle(_ item: Int) -> Double {
            let neighbours = useAbove ? items[item].above : items[item].below
            guard !neighbours.isEmpty else { return position[item] ?? 0 }
            return neighbours.reduce(0) { $0 + (position[$1.item] ?? 0) } / Double(neighbours.count)
        }
        let keys = Dictionary(uniqueKeysWithValues: rows[layer].map { ($0, middle($0)) })
        rows[layer].sort { (keys[$0] ?? 0, position[$0] ?? 0) < (keys[$1] ?? 0, position[$1] ?? 0) }
    }

    private func distance(_ left: Int, _ right: Int) -> Double {
        (items[left].width + items[right].width) / 2 + ControlFlowLayout.nodeGap
    }

    private mutating func pack(_ row: [Int]) {
        var x = 0.0
        for (index, item) in row.enumerated() {
            if index > 0 { x += distance(row[index - 1], item) }
            items[item].x = x
        }
        for item in row { items[item].x -= x / 2 }
    }

    /// Moves the items of a layer towards their neighbours, in their order and without overlaps.
    private mutating func align(_ layer: Int, useAbove: Bool) {
        let row = rows[layer]
        var wanted = row.map { item -> Double in
            let neighbours = useAbove ? items[item].above : items[item].below
            let weight = neighbours.reduce(0) { $0 + $1.weight }
            guard weight > 0 else { return items[item].x }
            return neighbours.reduce(0) { $0 + items[$1.item].x * $1.weight } / weight
        }
        for index in row.indices.dropFirst() {
            wanted[index] = max(wanted[index], wanted[index - 1] + distance(row[index - 1], row[index]))
        }
        var right = wanted
        for index in row.indices.dropLast().reversed() {
            right[index] = min(right[index], right[index + 1] - distance(row[index], row[index + 1]))
        }
        // What was pushed to the right only for lack of room comes back by half.
        let excess = zip(wanted, row).reduce(0.0) { sum, pair in
            let neighbours = useAbove ? items[pair.1].above : items[pair.1].below
            let weight = neighbours.reduce(0) { $0 + $1.weight }
            guard weight > 0 else { return sum }
            return sum + pair.0 - neighbours.reduce(0) { $0 + items[$1.item].x * $1.weight } / weight
        } / Double(max(1, row.count))
        for (index, item) in row.enumerated() { items[item].x = right[index] - excess }
    }

    // MARK: Edges

    private mutating func routeEdges() {
        spreadEnds()
        for index in edges.indices where !edges[index].isBackward {
            let edge = edges[index], from = nodes[edge.from], to = nodes[edge.to]
            var points = [(x: from.x + edge.startShift, y: from.y + from.height / 2)]
            for (step, item) in passages[index].enumerated() {
                let row = rows[from.layer + 1 + step]
                let boxes = row.compactMap { items[$0].node.map { nodes[$0] } }
                let y = boxes.first?.y ?? points[points.count - 1].y, half = (boxes.map(\.height).max() ?? 0) / 2
                points.append((items[item].x, y - half))
                points.append((items[item].x, y + half))
            }
            points.append((to.x + edge.endShift, to.y - to.height / 2))
            edges[index].points = points
            let first = points[0], second = points[1]
            // Nearer to where it leaves: there the ways have parted, and the boxes are far.
            edges[index].labelPlace = (first.x + (second.x - first.x) * 0.42, first.y + (second.y - first.y) * 0.42 + 4)
        }
        routeBackwardEdges()
        frame()
    }

    /// Ends of edges side by side along a box, in the order in which their other ends lie.
    private mutating func spreadEnds() {
        for node in nodes.indices {
            let out = edges.indices.filter { edges[$0].from == node && !edges[$0].isBackward }.sorted {
                target(of: $0) < target(of: $1)
            }
            for (place, index) in out.enumerated() { edges[index].startShift = shift(place, out.count, nodes[node].width) }
            let into = edges.indices.filter { edges[$0].to == node && !edges[$0].isBackward }.sorted {
                source(of: $0) < source(of: $1)
            }
            for (place, index) in into.enumerated() { edges[index].endShift = shift(place, into.count, nodes[node].width) }
        }
    }

    private func target(of edge: Int) -> Double { passages[edge].first.map { items[$0].x } ?? nodes[edges[edge].to].x }
    private func source(of edge: Int) -> Double { passages[edge].last.map { items[$0].x } ?? nodes[edges[edge].from].x }
    private func shift(_ place: Int, _ count: Int, _ width: Double) -> Double {
        (Double(place) - Double(count - 1) / 2) * min(width * 0.7 / Double(max(count, 1)), 70)
    }

    /// Transfers backwards go up at the right of everything between their ends, the short ones innermost.
    private mutating func routeBackwardEdges() {
        let backward = edges.indices.filter { edges[$0].isBackward }
            .sorted {
                nodes[edges[$0].from].layer - nodes[edges[$0].to].layer < nodes[edges[$1].from].layer - nodes[edges[$1].to].layer
            }
        var lanes: [(x: Double, top: Int, bottom: Int, labelWidth: Double)] = []
        var ends: [Int: Int] = [:]
        for index in backward {
            let edge = edges[index], from = nodes[edge.from], to = nodes[edge.to], top = to.layer, bottom = from.layer
            var x = (top ... bottom).flatMap { rows[$0] }.map { items[$0].x + items[$0].width / 2 }.max() ?? 0
            x += ControlFlowLayout.laneGap
            for lane in lanes where lane.top <= bottom && top <= lane.bottom {
                x = max(x, lane.x + lane.labelWidth + ControlFlowLayout.laneGap)
            }
            let labelWidth = Double(edge.label.count) * GraphNode.characterWidth
            lanes.append((x, top, bottom, labelWidth))
            // Several of one box leave and arrive one above the other.
            let outPlace = Double(ends[edge.from, default: 0]), inPlace = Double(ends[edge.to + nodes.count, default: 0])
            ends[edge.from, default: 0] += 1
            ends[edge.to + nodes.count, default: 0] += 1
            // The long ways, which come last, arrive above and leave below the short ones, which they so do not cross.
            var way = [(x: from.x + from.width / 2, y: from.y + min(8 + outPlace * 8, from.height / 2 - 4))]
            if hasBox(rightOf: edge.from) {
                // Below the others of its layer, not through them.
                let y = layerBottom(from.layer) + 9 + outPlace * 7
                way = [
                    (from.x + from.width / 2 - 10 - outPlace * 9, from.y + from.height / 2),
                    (from.x + from.width / 2 - 10 - outPlace * 9, y),
                ]
            }
            var arrival = [(x: to.x + to.width / 2, y: to.y - min(6 + inPlace * 9, to.height / 2 - 4))]
            if hasBox(rightOf: edge.to) {
                let y = layerTop(to.layer) - 9 - inPlace * 7
                arrival = [
                    (to.x + to.width / 2 - 10 - inPlace * 9, y), (to.x + to.width / 2 - 10 - inPlace * 9, to.y - to.height / 2),
                ]
            }
            let start = way[way.count - 1], end = arrival[0]
            edges[index].laneX = x
            edges[index].points = way + [(x, start.y), (x, end.y)] + arrival
            edges[index].labelPlace = (x + 6 + labelWidth / 2, (start.y + end.y) / 2 + (edge.from == edge.to ? 6 : 4))
        }
    }

    private func boxes(_ layer: Int) -> [GraphNode] { rows[layer].compactMap { items[$0].node.map { nodes[$0] } } }
    private func hasBox(rightOf node: Int) -> Bool { boxes(nodes[node].layer).contains { $0.x > nodes[node].x } }
    private func layerBottom(_ layer: Int) -> Double { boxes(layer).map { $0.y + $0.height / 2 }.max() ?? 0 }
    private func layerTop(_ layer: Int) -> Double { boxes(layer).map { $0.y - $0.height / 2 }.min() ?? 0 }

    /// Moves everything so that it starts at the margin.
    private mutating func frame() {
        var left = nodes.map { $0.x - $0.width / 2 }.min() ?? 0, right = nodes.map { $0.x + $0.width / 2 }.max() ?? 0
        for edge in edges {
            let half = Double(edge.label.count) * GraphNode.characterWidth / 2
            left = min(left, edge.labelPlace.x - half, edge.points.map(\.x).min() ?? left)
            right = max(right, edge.labelPlace.x + half, edge.points.map(\.x).max() ?? right)
        }
        let shift = ControlFlowLayout.margin - left
        for index in nodes.indices { nodes[index].x += shift }
        for index in edges.indices {
            edges[index].points = edges[index].points.map { ($0.x + shift, $0.y) }
            edges[index].labelPlace.x += shift
        }
        width = right - left + ControlFlowLayout.margin * 2
    }
}

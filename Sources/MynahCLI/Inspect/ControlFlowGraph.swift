// What the control-flow graph of a translation is of, before it is laid out.

import Mynah

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
            let lines = [
                name(block.address) ?? hexadecimal(block.address),
                "\(hexadecimal(block.address)) · \(block.instructionCount) insns\(unrolled)",
                "\(spaced(block.executions)) × · \(share(block.instructionsExecuted, translation.instructionsExecuted))",
            ]
            let caller = block.calls.last.map { ["called before \(name($0) ?? hexadecimal($0))"] } ?? []
            nodes.append(GraphNode(lines: lines + caller, heat: most > 0 ? Double(block.instructionsExecuted) / Double(most) : 0))
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

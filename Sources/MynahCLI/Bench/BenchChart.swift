// A benchmark as an SVG that reads without the table: for each program how many times as long as native each executor takes,
// on a logarithmic axis. Without native builds, seconds.

import Glibc

struct BenchChart {
    var results: BenchResults
    var host: HostDescription

    private static let colours = ["#8c8c8c", "#2a6fbb", "#d9822b", "#5a9e4b", "#a04ea0"]
    private static let barHeight = 13.0, left = 130.0, plotWidth = 620.0, top = 92.0

    private struct Group {
        var name: String
        var values: [(Executor, Double)]
    }

    private var bars: [Executor] { results.executors.filter { $0 != results.native } }

    private var groups: [Group] {
        var groups = results.guests.filter { !$0.guest.isStartUpProbe || results.guests.count == 1 }.map { result in
            Group(name: result.guest.name, values: bars.compactMap { executor in value(executor, result).map { (executor, $0) } })
        }
        if groups.count > 1, let native = results.native {
            let means = bars.compactMap { executor in results.meanRatio(executor, to: native).map { (executor, $0) } }
            groups.append(Group(name: "geometric mean", values: means))
        }
        return groups
    }

    private func value(_ executor: Executor, _ result: GuestResult) -> Double? {
        if let native = results.native { return result.ratio(executor, to: native) }
        return result.measurements[executor]?.median
    }

    var svg: String {
        let groups = self.groups
        let values = groups.flatMap { $0.values.map(\.1) }.filter { $0 > 0 }
        let low = pow(10, floor(log10(min(1, values.min() ?? 1))))
        let high = pow(10, ceil(log10(max(low * 10, values.max() ?? 10))))
        let x = { (value: Double) in Self.left + Self.plotWidth * log10(max(value, low) / low) / log10(high / low) }
        let groupHeight = Double(bars.count) * Self.barHeight + 12
        let bottom = Self.top + Double(groups.count) * groupHeight
        var body = heading + axis(low: low, high: high, bottom: bottom, x: x)
        for (index, group) in groups.enumerated() {
            body += drawn(group, y: Self.top + Double(index) * groupHeight + 6, x: x)
        }
        let width = Self.left + Self.plotWidth + 90
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(fixed(width, 0)) \(fixed(bottom + 40, 0))" \
            font-family="system-ui, sans-serif" font-size="12">
            <rect width="100%" height="100%" fill="#ffffff"/>
            \(body)</svg>

            """
    }

    private var heading: String {
        let unit = results.native == nil ? "Seconds of processor time" : "Processor time relative to the same program built for this machine"
        let runs = "\(host.processor) · \(results.runs) runs, median · scale \(results.scalePercent) % · \(host.date)"
        var text = Self.text(16, 26, unit + " (shorter is better)", size: 16, weight: "600") + Self.text(16, 46, runs, colour: "#555555")
        var x = 16.0
        for (index, executor) in bars.enumerated() {
            let label = executor.name == "qemu" ? "qemu-\(GuestImages.machine)" : "mynah, \(executor.name)"
            text += "<rect x=\"\(fixed(x, 1))\" y=\"58\" width=\"12\" height=\"12\" fill=\"\(colour(index))\"/>\n"
            text += Self.text(x + 17, 68, label)
            x += 40 + Double(label.count) * 7
        }
        return text
    }

    private func axis(low: Double, high: Double, bottom: Double, x: (Double) -> Double) -> String {
        var text = ""
        var decade = low
        while decade <= high * 1.0001 {
            for step in [1.0, 2, 5] where decade * step <= high * 1.0001 {
                let position = fixed(x(decade * step), 1)
                let isUnit = results.native != nil && decade * step > 0.99 && decade * step < 1.01
                text += "<line x1=\"\(position)\" x2=\"\(position)\" y1=\"\(Self.top)\" y2=\"\(fixed(bottom, 1))\" "
                text += "stroke=\"\(isUnit ? "#c03030" : "#dddddd")\"/>\n"
                let label = plain(decade * step) + (results.native == nil ? " s" : "×")
                text += Self.text(x(decade * step), bottom + 16, isUnit ? "native" : label, colour: isUnit ? "#c03030" : "#555555", anchor: "middle")
            }
            decade *= 10
        }
        return text
    }

    private func drawn(_ group: Group, y: Double, x: (Double) -> Double) -> String {
        let middle = y + Double(bars.count) * Self.barHeight / 2 + 4
        let weight = group.name == "geometric mean" ? "600" : "400"
        var text = Self.text(Self.left - 8, middle, group.name, anchor: "end", weight: weight)
        for (executor, value) in group.values {
            let index = bars.firstIndex(of: executor) ?? 0
            let barY = y + Double(index) * Self.barHeight
            let width = max(1, x(value) - Self.left)
            text += "<rect x=\"\(Self.left)\" y=\"\(fixed(barY, 1))\" width=\"\(fixed(width, 1))\" height=\"\(Self.barHeight - 2)\" "
            text += "fill=\"\(colour(index))\"/>\n"
            let label = results.native == nil ? duration(value) : threeDigits(value) + "×"
            text += Self.text(Self.left + width + 4, barY + Self.barHeight - 3, label, size: 10, weight: weight)
        }
        return text
    }

    private func colour(_ index: Int) -> String { Self.colours[index % Self.colours.count] }

    private func plain(_ value: Double) -> String { value >= 1 ? fixed(value, 0) : "\(value)" }

    private static func text(
        _ x: Double, _ y: Double, _ text: String, size: Int = 12, colour: String = "#222222", anchor: String = "start",
        weight: String = "400"
    ) -> String {
        let escaped = text.map { $0 == "<" ? "&lt;" : $0 == "&" ? "&amp;" : String($0) }.joined()
        return "<text x=\"\(fixed(x, 1))\" y=\"\(fixed(y, 1))\" font-size=\"\(size)\" fill=\"\(colour)\" "
            + "text-anchor=\"\(anchor)\" font-weight=\"\(weight)\">\(escaped)</text>\n"
    }
}

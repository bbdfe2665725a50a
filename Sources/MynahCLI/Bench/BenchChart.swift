// A benchmark as an SVG that reads without the table: for each program how many times as long as native each executor takes,
// on a logarithmic axis. Without native builds, seconds.

import Glibc

struct BenchChart {
    var results: BenchResults
    var host: HostDescription

    // Told apart by lightness, too, for those who do not tell the colours apart.
    private static let colours = ["#9a9a9a", "#1f5fa8", "#e8973a", "#3f8f4f", "#7a3b8f"]
    private static let barHeight = 13.0, plotWidth = 620.0, top = 112.0, labelRoom = 60.0
    private static let meanName = "geometric mean"

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
            groups.insert(Group(name: Self.meanName, values: means), at: 0)
        }
        return groups
    }

    private func value(_ executor: Executor, _ result: GuestResult) -> Double? {
        if let native = results.native { return result.ratio(executor, to: native) }
        return result.measurements[executor]?.median
    }

    var svg: String {
        let groups = self.groups
        let plot = Plot(
            left: 24 + 7.5 * Double(groups.map(\.name.count).max() ?? 0), width: Self.plotWidth,
            values: groups.flatMap { $0.values.map(\.1) }, origin: results.native == nil ? nil : 1)
        let groupHeight = Double(bars.count) * Self.barHeight + 12
        let bottom = Self.top + Double(groups.count) * groupHeight
        var body = heading + axis(plot, bottom: bottom)
        for (index, group) in groups.enumerated() {
            let y = Self.top + Double(index) * groupHeight
            body += drawn(group, y: y + 6, plot)
            // The mean stands apart from what it is the mean of.
            if group.name == Self.meanName {
                body += Self.line(plot.left - 110, plot.left + plot.width, y + groupHeight, y + groupHeight, "#999999")
            }
        }
        let width = max(plot.left + plot.width + Self.labelRoom, 32 + Double(title.count) * 9)
        let content = element("title", [:], escaped(title))
            + element("rect", ["width": "100%", "height": "100%", "fill": "#ffffff"]) + body
        return element(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "viewBox": "0 0 \(fixed(width, 0)) \(fixed(bottom + 40, 0))", "width": width,
                "font-family": "system-ui, sans-serif", "font-size": 12, "role": "img",
            ], "\n" + content)
    }

    private var title: String {
        results.native == nil
            ? "Seconds of processor time (shorter is better)" : "Processor time relative to a native build (shorter is better)"
    }

    private var conditions: String {
        let work = results.scalePercent == 100 ? "" : " · \(results.scalePercent) % of the work"
        let runs = results.runs == 1 ? "1 run" : "median of \(results.runs) runs"
        return "\(host.processor), \(host.processorCount) CPUs · \(host.date) · \(runs)\(work) · logarithmic scale"
    }

    private var heading: String {
        var text = Self.text(16, 26, title, size: 16, weight: "600") + Self.text(16, 46, conditions, colour: "#555555")
        var x = 16.0
        for (index, executor) in bars.enumerated() {
            let label = executor.name == "qemu" ? "qemu-\(GuestImages.machine)" : "mynah, \(executor.name)"
            text += element("rect", ["x": x, "y": 58, "width": 12, "height": 12, "fill": colour(index)])
            text += Self.text(x + 17, 68, label)
            x += 40 + Double(label.count) * 7
        }
        return text
    }

    /// Where values lie on the logarithmic axis, whose ends are 1, 2 or 5 times a power of ten.
    struct Plot {
        var left: Double
        var width: Double
        var low: Double
        var high: Double
        /// The value that bars start from; nil for the low end.
        var origin: Double?

        init(left: Double, width: Double, values: [Double], origin: Double?) {
            self.left = left
            self.width = width
            self.origin = origin
            let positive = values.filter { $0 > 0 && $0.isFinite } + (origin.map { [$0] } ?? [])
            let least = Self.step(atMost: positive.min() ?? 1)
            low = least
            let most = positive.max() ?? 10
            high = Self.marks(from: least, to: most * 5).first { $0 >= most && $0 > least * 1.5 } ?? least * 10
        }

        func x(_ value: Double) -> Double {
            left + width * log10(min(max(value, low), high) / low) / log10(high / low)
        }
        var originX: Double { x(origin ?? low) }
        var marks: [Double] { Self.marks(from: low, to: high) }

        private static func step(atMost value: Double) -> Double {
            let decade = pow(10, floor(log10(value)))
            return decade * (value >= decade * 5 ? 5 : value >= decade * 2 ? 2 : 1)
        }
        private static func marks(from low: Double, to high: Double) -> [Double] {
            let first = Int(floor(log10(low))), last = Int(ceil(log10(high)))
            return (first ... max(first, last)).flatMap { exponent in [1.0, 2, 5].map { $0 * pow(10, Double(exponent)) } }
                .filter { $0 >= low * 0.999 && $0 <= high * 1.001 }
        }
    }

    /// Lines through all groups, labelled above and below: the chart is higher than most windows.
    private func axis(_ plot: Plot, bottom: Double) -> String {
        var text = ""
        for mark in plot.marks {
            let isUnit = results.native != nil && abs(mark - 1) < 0.01
            text += Self.line(plot.x(mark), plot.x(mark), Self.top - 4, bottom, isUnit ? "#b02020" : "#dddddd")
            let label = isUnit ? "native" : results.native == nil ? duration(mark) : threeDigitsOrFewer(mark) + "×"
            for y in [Self.top - 10, bottom + 16] {
                text += Self.text(plot.x(mark), y, label, colour: isUnit ? "#b02020" : "#555555", anchor: "middle")
            }
        }
        return text
    }

    private func drawn(_ group: Group, y: Double, _ plot: Plot) -> String {
        let middle = y + Double(bars.count) * Self.barHeight / 2 + 4
        let weight = group.name == Self.meanName ? "600" : "400"
        var text = Self.text(plot.left - 8, middle, group.name, anchor: "end", weight: weight)
        for (executor, value) in group.values {
            let index = bars.firstIndex(of: executor) ?? 0
            let barY = y + Double(index) * Self.barHeight
            let start = min(plot.originX, plot.x(value)), width = max(1, abs(plot.x(value) - plot.originX))
            text += element("rect", ["x": start, "y": barY, "width": width, "height": Self.barHeight - 2, "fill": colour(index)])
            let label = results.native == nil ? duration(value) : threeDigits(value) + "×"
            text += Self.text(start + width + 4, barY + Self.barHeight - 3, label, size: 10, weight: weight)
        }
        return text
    }

    private func colour(_ index: Int) -> String { Self.colours[index % Self.colours.count] }

    /// 0.5, 2, 100.
    private func threeDigitsOrFewer(_ value: Double) -> String {
        value >= 1 ? fixed(value, 0) : "\((value * 1000).rounded() / 1000)"
    }

    private static func line(_ x1: Double, _ x2: Double, _ y1: Double, _ y2: Double, _ colour: String) -> String {
        element("line", ["x1": x1, "x2": x2, "y1": y1, "y2": y2, "stroke": colour])
    }

    private static func text(
        _ x: Double, _ y: Double, _ text: String, size: Int = 12, colour: String = "#222222", anchor: String = "start",
        weight: String = "400"
    ) -> String {
        element(
            "text", ["x": x, "y": y, "font-size": size, "fill": colour, "text-anchor": anchor, "font-weight": weight], escaped(text))
    }
}

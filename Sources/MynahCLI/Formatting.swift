// Numbers as people read them, and columns.

import Glibc

/// A number with a fixed number of digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite else { return "–" }
    let scale = pow(10, Double(digits))
    let scaled = (value.magnitude * scale).rounded()
    guard scaled < 1e15 else { return "\(value)" }
    let whole = Int(scaled / scale)
    let sign = value < 0 && scaled != 0 ? "-" : ""
    if digits == 0 { return "\(sign)\(Int(scaled))" }
    let fraction = String(Int(scaled) - whole * Int(scale))
    return "\(sign)\(whole).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}

/// Three significant digits.
func threeDigits(_ value: Double) -> String {
    switch value.magnitude {
    case ..<9.995: return fixed(value, 2)
    case ..<99.95: return fixed(value, 1)
    default: return fixed(value, 0)
    }
}

/// 1.29 G, 187 M, 12 k.
func withMagnitude(_ value: Double) -> String {
    switch value {
    case ..<1e3: return fixed(value, 0)
    case ..<1e6: return threeDigits(value / 1e3) + " k"
    case ..<1e9: return threeDigits(value / 1e6) + " M"
    case ..<1e12: return threeDigits(value / 1e9) + " G"
    default: return threeDigits(value / 1e12) + " T"
    }
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

/// 6.91 s, 12.3 ms, 440 µs.
func duration(_ seconds: Double) -> String {
    if seconds >= 1 { return threeDigits(seconds) + " s" }
    if seconds >= 1e-3 { return threeDigits(seconds * 1e3) + " ms" }
    return threeDigits(seconds * 1e6) + " µs"
}

/// Guest instructions a second: 187 MIPS, 2.90 GIPS.
func instructionRate(_ perSecond: Double) -> String {
    perSecond >= 1e9 ? threeDigits(perSecond / 1e9) + " GIPS" : fixed(perSecond / 1e6, 0) + " MIPS"
}

extension String {
    func paddedLeft(_ width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
    func paddedRight(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// Rows of cells under a heading; the first column to the left, the others to the right.
struct TextTable {
    var heading: [String]
    var rows: [[String]] = []

    var text: String {
        let lines = [heading] + rows
        let widths = heading.indices.map { column in lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return lines.map { row in
            let cells = row.indices.map { $0 == 0 ? row[$0].paddedRight(widths[$0]) : row[$0].paddedLeft(widths[$0]) }
            return cells.joined(separator: "   ") + "\n"
        }.joined()
    }
}

/// The geometric mean; nil of nothing.
func geometricMean(_ values: [Double]) -> Double? {
    guard !values.isEmpty, values.allSatisfy({ $0 > 0 }) else { return nil }
    return exp(values.map { log($0) }.reduce(0, +) / Double(values.count))
}

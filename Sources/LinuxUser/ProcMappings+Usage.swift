// The text of the guest's /proc/self/smaps and smaps_rollup (proc(5)): its regions, with what the host says of their memory.
//
// Where one mapping of the host's holds several regions of the guest's, which is so when they differ only in the right to
// execute, each has a share by its size.

extension ProcMappings {
    /// What follows a line of the host's smaps: amounts in KiB, and lines of another kind.
    private struct Usage {
        var amounts: [(name: Substring, kibibytes: UInt64)] = []
        var flags: [Substring] = []
    }

    /// Fields that tell a size of the mapping or its pages, not an amount of memory.
    private static let sizeField = "Size", pageFields: Set<Substring> = ["KernelPageSize", "MMUPageSize"]

    private static func parse(_ hostUsage: String) -> (lines: [HostLine], usages: [Usage]) {
        var lines: [HostLine] = [], usages: [Usage] = []
        for text in hostUsage.split(separator: "\n") {
            if let line = HostLine(text) {
                lines.append(line)
                usages.append(Usage())
                continue
            }
            let words = text.split(separator: " ", omittingEmptySubsequences: true)
            guard let name = words.first?.dropLast(), !usages.isEmpty else { continue }
            if words.count == 3, words[2] == "kB", let amount = UInt64(words[1]) {
                usages[usages.count - 1].amounts.append((name, amount))
            } else if name == "VmFlags" {
                usages[usages.count - 1].flags = Array(words.dropFirst())
            }
        }
        return (lines, usages)
    }

    /// The amounts of a part: its own size, and its share of the rest in whole pages.
    private static func amounts(_ part: Part, _ host: HostLine, _ usage: Usage) -> [(name: Substring, kibibytes: UInt64)] {
        let size = UInt64(part.range.count) >> 10, whole = UInt64(host.range.count) >> 10
        return usage.amounts.map { name, amount in
            if name == sizeField { return (name, size) }
            if pageFields.contains(name) || size == whole { return (name, amount) }
            return (name, min(size, amount * size / whole & ~3))
        }
    }

    package static func usageText(
        regions: [MappingRegion], hostUsage: String, named: [(name: String, address: UInt64)] = []
    ) -> String {
        let (lines, usages) = parse(hostUsage)
        return parts(regions: regions, hostLines: lines, named: named).map { part in
            let usage = usages[part.hostLine]
            let amounts = amounts(part, lines[part.hostLine], usage).map { field($0.name, $0.kibibytes) }.joined()
            let rights: [Substring] = [(1, "rd"), (2, "wr"), (4, "ex")].filter { part.protection & $0.0 != 0 }.map { $0.1 }
            let flags = rights + usage.flags.filter { !["rd", "wr", "ex"].contains($0) }
            return line(part, lines[part.hostLine]) + amounts + "VmFlags: " + flags.joined(separator: " ") + "\n"
        }.joined()
    }

    package static func usageSummary(regions: [MappingRegion], hostUsage: String) -> String {
        let (lines, usages) = parse(hostUsage)
        var sums: [(name: Substring, kibibytes: UInt64)] = []
        for part in parts(regions: regions, hostLines: lines, named: []) {
            for (name, amount) in amounts(part, lines[part.hostLine], usages[part.hostLine])
            where name != sizeField && !pageFields.contains(name) {
                if let index = sums.firstIndex(where: { $0.name == name }) {
                    sums[index].kibibytes += amount
                } else {
                    sums.append((name, amount))
                }
            }
        }
        let start = regions.first?.range.lowerBound ?? 0, end = regions.last?.range.upperBound ?? 0
        let head = "\(padded(start))-\(padded(end)) ---p 00000000 00:00 0 "
        return head + String(repeating: " ", count: max(0, 73 - head.utf8.count)) + "[rollup]\n"
            + sums.map { field($0.name, $0.kibibytes) }.joined()
    }

    private static func field(_ name: Substring, _ kibibytes: UInt64) -> String {
        let amount = String(kibibytes)
        return name + ":" + String(repeating: " ", count: max(1, 23 - name.utf8.count - amount.utf8.count)) + amount + " kB\n"
    }
}

// "Why slow": what costs time in a translation, by count. Counts are exact where a word counts them; what happens in the middle
// of a superblock is counted by the executions of the instruction that it belongs to.

extension HotDetail {
    /// Findings by falling count.
    static func findings(_ translation: HotTranslation, _ rows: [[HotRow]], _ displaced: [String]) -> [CostFinding] {
        var findings = eventFindings(translation)
        findings += codeFindings(translation, rows)
        if translation.displacedHomes > 0, translation.entries > 0 {
            let moves = translation.entries &* UInt64(translation.displacedHomes) &* 4
            findings.append(
                CostFinding(
                    kind: .displacedHomes, count: moves,
                    text:
                        "\(displaced.joined(separator: ", ")): \(translation.displacedHomes * 2) moves on the way in and as "
                            + "many on the way out, "
                        + "\(counted(translation.entries, "entry", "entries"))"))
        }
        if translation.isRegion, translation.entries > 0 {
            let each = Double(translation.instructionsExecuted) / Double(translation.entries)
            if each < 100 {
                findings.append(
                    CostFinding(
                        kind: .fewIterations, count: translation.entries,
                        text: "\(Int(each)) guest instructions for each entry: the loop seldom iterates, and entering costs"))
            }
        }
        return findings.sorted { $0.count > $1.count }
    }

    private static func eventFindings(_ translation: HotTranslation) -> [CostFinding] {
        let events = translation.blocks.flatMap(\.events)
        var findings: [CostFinding] = []
        func add(
            _ kind: CostFinding.Kind, _ chosen: [HotEvent], _ count: (HotEvent) -> UInt64, _ text: (UInt64, HotEvent) -> String
        ) {
            let total = chosen.reduce(0 as UInt64) { $0 &+ count($1) }
            guard total > 0, let most = chosen.max(by: { count($0) < count($1) }) else { return }
            findings.append(CostFinding(kind: kind, count: total, address: most.address, text: text(total, most)))
        }
        add(.dispatcher, events.filter { $0.unlinked > 0 }, \.unlinked) { total, most in
            "\(counted(total, "transfer")) to code that has no translation to jump to, most to \(hexadecimal(most.target))"
        }
        add(.traps, events.filter { $0.kind == .trap }, \.count) { total, _ in "\(counted(total, "exit")) with the whole state" }
        add(.interpreter, events.filter { $0.kind == .interpreter }, \.count) { total, _ in
            "\(counted(total, "instruction")) without a translation, each called from the code with all registers in memory"
        }
        let jumps = events.filter { $0.kind == .jump || $0.kind == .indirectCall }.reduce(0 as UInt64) { $0 &+ $1.count }
        add(.cacheMisses, events.filter { $0.kind == .cacheMiss || $0.kind == .cacheFill }, \.count) { total, _ in
            "\(percent(total, jumps)) of \(counted(jumps, "indirect jump")) go through the hash table, as their target is "
                + "another than the first"
        }
        let returns = events.filter { $0.kind == .return }.reduce(0 as UInt64) { $0 &+ $1.count }
        add(.returnMisses, events.filter { $0.kind == .returnMiss }, \.count) { total, _ in
            "\(percent(total, returns)) of \(counted(returns, "return")) go elsewhere than the host predicts"
        }
        add(.polls, events.filter { $0.polls }, \.count) { total, _ in
            "\(counted(total, "poll")) for interrupts, two host instructions each"
        }
        return findings
    }

    /// What the host code shows.
    private static func codeFindings(_ translation: HotTranslation, _ rows: [[HotRow]]) -> [CostFinding] {
        var counts: [CostFinding.Kind: (total: UInt64, most: UInt64, address: UInt64, names: Set<String>)] = [:]
        for (block, rows) in zip(translation.blocks, rows) {
            let each = block.executionsOfEach(ofRows: rows.filter { !$0.isVectors }.count)
            for row in rows {
                // Of an unrolled loop each copy of the instruction runs its share.
                let executions = row.executions ?? each
                for line in row.host where !line.isLabel {
                    guard let (kind, name) = kind(of: line.text) else { continue }
                    var known = counts[kind] ?? (0, 0, row.address, [])
                    known.total &+= executions
                    if executions > known.most { (known.most, known.address) = (executions, row.address) }
                    known.names.insert(name)
                    counts[kind] = known
                }
            }
        }
        return counts.filter { $0.value.total > 0 }.map { kind, found in
            let names = found.names.sorted().joined(separator: ", ")
            switch kind {
            case .helper:
                return CostFinding(
                    kind: kind, count: found.total, address: found.address,
                    text: "\(counted(found.total, "call")) of C functions for what the host has no instruction for")
            case .spills:
                return CostFinding(
                    kind: kind, count: found.total, address: found.address,
                    text: "\(counted(found.total, "access", "accesses")) to \(names): more values at once than free registers")
            default:
                return CostFinding(
                    kind: kind, count: found.total, address: found.address,
                    text: "\(counted(found.total, "access", "accesses")) in memory, to \(names)")
            }
        }
    }

    private static func kind(of text: String) -> (CostFinding.Kind, String)? {
        if text == "call call-helper" { return (.helper, "") }
        guard let open = text.firstIndex(of: "["), let close = text[open...].firstIndex(of: "]") else { return nil }
        let name = String(text[text.index(after: open) ..< close])
        if name.hasPrefix("spill") { return (.spills, name) }
        let isRegister =
            (name.first.map { "astfrgx".contains($0) } ?? false) && name.count <= 4 && !name.hasPrefix("r") && !name.contains("+")
            && (name.last?.isNumber ?? false || ["ra", "sp", "gp", "tp"].contains(name))
        return isRegister ? (.memoryRegisters, name) : nil
    }
}

func counted(_ count: UInt64, _ one: String, _ many: String? = nil) -> String {
    var digits = String(count), groups: [String] = []
    while digits.count > 3 {
        groups.insert(String(digits.suffix(3)), at: 0)
        digits.removeLast(3)
    }
    return ([digits] + groups).joined(separator: " ") + " " + (count == 1 ? one : many ?? one + "s")
}

func percent(_ part: UInt64, _ whole: UInt64) -> String {
    guard whole > 0 else { return "–" }
    let value = Double(part) / Double(whole) * 100
    return value < 9.95 ? "\(Double(Int(value * 10 + 0.5)) / 10) %" : "\(Int(value + 0.5)) %"
}

private func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

// Host code of a translation as lines of text, with names for what it refers to: guest registers in the state, stubs,
// exits by the guest address that they lead to. The text depends neither on where code and stubs are nor on the machine.

import X86

/// An instruction of host code, or a label.
package struct HostLine: Equatable, Sendable {
    package var offset: Int
    package var text: String
    package var isLabel = false
    /// It is the label of a superblock, "block-" and the guest address.
    package var startsSuperblock = false
    package var isInstruction: Bool { !isLabel }
}

package struct HostListing {
    package let lines: [HostLine]

    /// - Parameters:
    ///   - address: where the code is executed.
    ///   - slots: the guest's registers in the state.
    ///   - entries: offsets in the code at which superblocks start, by guest address.
    package init(
        _ code: [UInt8], at address: UInt64, entries: [(address: UInt64, offset: Int)], links: [LinkSite], slots: [(offset: Int32, name: String)],
        programCounterOffset: Int32, stubs: CodeStubs
    ) {
        let end = address &+ UInt64(code.count)
        var names: [UInt64: String] = [:]
        for link in links where link.stub != 0 && link.kind != .compared {
            names[link.stub] = "exit-" + String(link.target, radix: 16)
        }
        for entry in entries { names[address &+ UInt64(entry.offset)] = "block-" + String(entry.address, radix: 16) }
        // Where else it goes, in the order of the code.
        let targets = Disassembler().instructions(code, at: address).compactMap(\.target)
        for target in Set(targets).sorted() where target >= address && target < end && names[target] == nil {
            names[target] = "L\(names.values.filter { $0.hasPrefix("L") }.count + 1)"
        }
        let disassembler = Disassembler { names[$0] ?? stubs.name(of: $0) }
        let instructions = disassembler.instructions(code, at: address)
        let slots = Dictionary(slots.map { (Int($0.offset), $0.name) }, uniquingKeysWith: { first, _ in first })
        var lines: [HostLine] = []
        for (index, instruction) in instructions.enumerated() {
            let offset = Int(instruction.address &- address)
            if let name = names[instruction.address] {
                lines.append(HostLine(offset: offset, text: name + ":", isLabel: true, startsSuperblock: name.hasPrefix("block-")))
            }
            var text = HostListing.named(instruction.text, slots, Int(programCounterOffset))
            if index + 1 < instructions.count, let target = instructions[index + 1].target, stubs.callsHelper(target),
                text.hasPrefix("movabs rax,") {
                text = "movabs rax,helper"
            }
            if text.hasPrefix("movabs "), let comma = text.firstIndex(of: ","), let number = UInt64(text[comma...].dropFirst(3), radix: 16),
                let name = stubs.name(of: number)
            {
                text = text[...comma] + name
            }
            lines.append(HostLine(offset: offset, text: text))
        }
        self.lines = lines
    }

    /// The text with `[rbp+displacement]` replaced by what is there.
    private static func named(_ text: String, _ slots: [Int: String], _ programCounterOffset: Int) -> String {
        guard let open = text.range(of: "[rbp"), let close = text[open.upperBound...].firstIndex(of: "]") else { return text }
        let digits = text[open.upperBound ..< close]
        guard digits.dropFirst().hasPrefix("0x"), let magnitude = Int(digits.dropFirst(3), radix: 16) else { return text }
        let displacement = digits.hasPrefix("-") ? -magnitude : magnitude
        let offset = RegisterMap.stateOffset(displacement: displacement)
        let name = slots[offset] ?? (offset == programCounterOffset ? "pc" : RegisterMap.headerName(displacement: displacement))
        guard let name else { return text }
        return text[..<open.lowerBound] + "[" + name + text[close...]
    }

    package func lines(_ range: Range<Int>) -> [HostLine] { lines.filter { range.contains($0.offset) } }
}

extension String {
    fileprivate func range(of needle: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(needle) { return start ..< index(start, offsetBy: needle.count) }
            start = index(after: start)
        }
        return nil
    }
}

// A translation with its stages side by side, aligned by guest instruction.

import Guest
import X86
import X86Backend

/// One translation, ready to be shown.
package struct TranslationView {
    package struct Row {
        package var address: UInt64
        package var encoding: UInt32
        package var byteCount: Int
        package var guest: String
        package var ir: [String] = []
        package var optimized: [String] = []
        /// Host code that was emitted for the instruction; with the last one's, the exits and slow paths of all.
        package var host: [UInt8] = []
        package var hostAddress: UInt64 = 0
        /// The same as text, an instruction or a label each.
        package var hostText: [String] = []
    }

    package var entry: UInt64
    package var rows: [Row]

    /// - Parameters:
    ///   - lifted, optimized: text of the IR, in which lines `boundary ADDRESS` start instructions.
    ///   - positions: where in `host` the instructions start.
    ///   - listing: the host code as text with names; nil for text without.
    package init(
        entry: UInt64, guest: [DisassembledInstruction], lifted: String, optimized: String, host: [UInt8], hostAddress: UInt64,
        positions: [(codeOffset: Int, address: UInt64)], listing: HostListing? = nil
    ) {
        self.entry = entry
        rows = guest.map { Row(address: $0.address, encoding: $0.encoding, byteCount: $0.byteCount, guest: $0.text) }
        let liftedGroups = Self.groups(lifted), optimizedGroups = Self.groups(optimized)
        for (index, group) in liftedGroups.enumerated() where index < rows.count { rows[index].ir = group.lines }
        for group in optimizedGroups {
            if let index = rows.firstIndex(where: { $0.address == group.address }) { rows[index].optimized += group.lines }
        }
        for (number, position) in positions.enumerated() {
            let end = number + 1 < positions.count ? positions[number + 1].codeOffset : host.count
            let start = number == 0 ? 0 : position.codeOffset
            guard let index = rows.firstIndex(where: { $0.address == position.address }), start <= end, end <= host.count else {
                continue
            }
            rows[index].host = Array(host[start ..< end])
            rows[index].hostAddress = hostAddress &+ UInt64(start)
            rows[index].hostText = listing?.lines(start ..< end).map(\.text)
                ?? Disassembler().instructions(rows[index].host, at: rows[index].hostAddress).map(\.text)
        }
    }

    /// The lines behind each boundary; what stands before the first belongs to the first.
    private static func groups(_ text: String) -> [(address: UInt64, lines: [String])] {
        var groups: [(address: UInt64, lines: [String])] = []
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.first == "boundary", words.count > 1, let address = UInt64(words[1].dropFirst(2), radix: 16) {
                groups.append((address, []))
            } else if !groups.isEmpty {
                groups[groups.count - 1].lines.append(String(line.drop { $0 == " " }))
            }
        }
        return groups
    }
}

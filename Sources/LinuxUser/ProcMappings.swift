// The text of the guest's /proc/self/maps: the guest's regions and permissions, with the files that the host's maps name.
//
// The host's own lines will not do: guest code is not executable on the host, and watched pages are not writable there.

/// A region of the guest's address space with one protection.
package struct MappingRegion {
    package var range: Range<UInt64>
    /// PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4.
    package var protection: UInt32

    package init(range: Range<UInt64>, protection: UInt32) {
        self.range = range
        self.protection = protection
    }
}

package enum ProcMappings {
    /// One line of the host's maps.
    struct HostLine {
        var range: Range<UInt64>
        var isShared: Bool
        var offset: UInt64
        var device: Substring, inode: Substring, name: Substring

        init?(_ line: Substring) {
            let parts = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            guard parts.count >= 5, let dash = parts[0].firstIndex(of: "-"),
                let start = UInt64(parts[0][..<dash], radix: 16), let offset = UInt64(parts[2], radix: 16),
                let end = UInt64(parts[0][parts[0].index(after: dash)...], radix: 16), start < end
            else { return nil }
            range = start..<end
            isShared = parts[1].hasSuffix("s")
            self.offset = offset
            (device, inode) = (parts[3], parts[4])
            let text = parts.count > 5 ? parts[5] : ""
            name = text.drop { $0 == " " }
        }
    }

    /// The guest's maps. `regions` ascend; `named` gives names such as [stack] to anonymous regions that hold an address.
    package static func text(
        regions: [MappingRegion], hostMaps: String, named: [(name: String, address: UInt64)] = []
    ) -> String {
        let lines = hostMaps.split(separator: "\n").compactMap(HostLine.init)
        return parts(regions: regions, hostLines: lines, named: named).map { line($0, lines[$0.hostLine]) }.joined()
    }

    /// A guest's region as far as one of the host's lines reaches.
    struct Part {
        var range: Range<UInt64>
        var protection: UInt32
        var hostLine: Int
        var name: String?
    }

    static func parts(regions: [MappingRegion], hostLines lines: [HostLine], named: [(name: String, address: UInt64)]) -> [Part] {
        var first = 0
        var parts: [Part] = []
        for region in regions {
            while first < lines.count && lines[first].range.upperBound <= region.range.lowerBound { first += 1 }
            var index = first
            while index < lines.count && lines[index].range.lowerBound < region.range.upperBound {
                let range = lines[index].range.clamped(to: region.range)
                let name = named.first { range.contains($0.address) }?.name
                parts.append(Part(range: range, protection: region.protection, hostLine: index, name: name))
                index += 1
            }
        }
        return parts
    }

    static func line(_ part: Part, _ host: HostLine) -> String {
        let range = part.range, protection = part.protection
        let letters = (protection & 1 != 0 ? "r" : "-") + (protection & 2 != 0 ? "w" : "-") + (protection & 4 != 0 ? "x" : "-")
        let isFile = host.inode != "0"
        let offset = isFile ? host.offset + (range.lowerBound - host.range.lowerBound) : 0
        let head = "\(padded(range.lowerBound))-\(padded(range.upperBound)) \(letters)\(host.isShared ? "s" : "p") "
            + "\(padded(offset)) \(host.device) \(host.inode) "
        // Names of the emulator's own kind ([anon:…], [heap]) are not the guest's.
        let shown = isFile ? String(host.name) : part.name ?? ""
        guard !shown.isEmpty else { return head + "\n" }
        return head + String(repeating: " ", count: max(0, 73 - head.utf8.count)) + shown + "\n"
    }

    static func padded(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}

// Looking at a hart from outside, without changing anything: its control registers by name, and what its page tables say. While
// the hart does not run.

import Guest

/// What the page tables make of a page.
package struct PageMapping: Equatable {
    package var virtual: UInt64
    package var physical: UInt64
    package var byteCount: UInt64
    /// The entry's low eight bits: D A G U X W R V.
    package var flags: UInt8

    package var permissions: String {
        let letters: [(UInt8, Character)] = [(2, "r"), (4, "w"), (8, "x"), (16, "u"), (32, "g"), (64, "a"), (128, "d")]
        return String(letters.map { flags & $0.0 != 0 ? $0.1 : "-" })
    }
}

extension RISCVHart {
    /// All control registers that machine mode can read.
    package var controlRegisters: [(name: String, value: UInt64)] {
        ControlRegisters.rows.map { ($0.uniqueName, $0.read(self)) }
    }

    package var translationMode: String {
        switch satp >> 60 {
        case 8: "Sv39"
        case 9: "Sv48"
        case 10: "Sv57"
        default: "Bare"
        }
    }

    private var levelCount: Int { satp >> 60 >= 8 && satp >> 60 <= 10 ? Int(satp >> 60) - 5 : 0 }
    private var rootTable: UInt64 { (satp & 0xfff_ffff_ffff) << 12 }

    private func entry(_ table: UInt64, _ index: UInt64) -> UInt64? {
        memory.hostPointer(table &+ index &* 8, byteCount: 8).map { $0.loadUnaligned(as: UInt64.self) }
    }

    /// Where supervisor and user mode find an address; nil when it is not mapped.
    package func mapping(of address: UInt64) -> PageMapping? {
        if levelCount == 0 {
            return PageMapping(virtual: address & ~4095, physical: address & ~4095, byteCount: 4096, flags: 0x0e)
        }
        let unused = UInt64(64 - 12 - 9 * levelCount)
        guard Int64(bitPattern: address << unused) >> Int64(unused) == Int64(bitPattern: address) else { return nil }
        var table = rootTable
        for level in stride(from: levelCount - 1, through: 0, by: -1) {
            let shift = UInt64(12 + 9 * level)
            guard let found = entry(table, address >> shift & 511), found & 1 != 0 else { return nil }
            if found & 0xe != 0 { return leaf(found, at: address, level: level) }
            table = RISCVHart.frame(found)
        }
        return nil
    }

    private static func frame(_ entry: UInt64) -> UInt64 { (entry >> 10 & 0xfff_ffff_ffff) << 12 }

    private func leaf(_ entry: UInt64, at address: UInt64, level: Int) -> PageMapping {
        // Svnapot's pages have 64 KiB, and a mark of that in the lowest bits of the page number.
        let size = UInt64(1) << UInt64(entry & PageTableEntry.napot != 0 && level == 0 ? 16 : 12 + 9 * level)
        return PageMapping(
            virtual: address & ~(size - 1), physical: RISCVHart.frame(entry) & ~(size - 1), byteCount: size,
            flags: UInt8(truncatingIfNeeded: entry))
    }

    /// Mapped ranges by rising address, neighbours that continue each other joined; at most `limit` of them.
    package func mappings(limit: Int) -> [PageMapping] {
        var result: [PageMapping] = []
        // A table that points to itself makes a tree without end: the budget ends it.
        var budget = 1 << 20
        if levelCount > 0 { collect(rootTable, levelCount - 1, 0, limit, &budget, &result) }
        return result
    }

    private func collect(
        _ table: UInt64, _ level: Int, _ base: UInt64, _ limit: Int, _ budget: inout Int, _ result: inout [PageMapping]
    ) {
        let shift = UInt64(12 + 9 * level)
        for index in 0..<UInt64(512) {
            budget -= 1
            guard budget > 0, result.count <= limit, let found = entry(table, index) else { return }
            guard found & 1 != 0 else { continue }
            var address = base | index << shift
            let unused = UInt64(64 - 12 - 9 * levelCount)
            address = UInt64(bitPattern: Int64(bitPattern: address << unused) >> Int64(unused))
            if found & 0xe == 0 {
                if level > 0 { collect(RISCVHart.frame(found), level - 1, base | index << shift, limit, &budget, &result) }
                continue
            }
            let mapping = leaf(found, at: address, level: level)
            if let last = result.last, last.virtual &+ last.byteCount == mapping.virtual,
                last.physical &+ last.byteCount == mapping.physical,
                last.flags & 0x3f == mapping.flags & 0x3f
            {
                result[result.count - 1].byteCount += mapping.byteCount
            } else if result.count < limit {
                result.append(mapping)
            } else {
                return
            }
        }
    }
}

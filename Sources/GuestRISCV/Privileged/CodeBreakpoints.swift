// Where a debugger stops the harts of a machine, by virtual address, in every address space.
//
// Guest memory is left alone: whoever decodes code of such a page, for the interpreter or for a translation, finds a trap at that
// place. An instruction that the address lies in the middle of is decoded as it is.

import Guest

enum RISCVEncoding {
    /// `c.ebreak`, which fits in place of every instruction.
    static let breakpoint: UInt32 = 0x9002
}

/// Shared by all harts; changed while none of them runs.
package final class CodeBreakpoints {
    /// What was asked for at an address; both work alike.
    package struct Kinds: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let software = Kinds(rawValue: 1), hardware = Kinds(rawValue: 2)
    }

    package private(set) var kinds: [UInt64: Kinds] = [:]
    // SAFETY: `wordCount` words a page, a bit for each two bytes; given to decoders, which run while nothing is changed here.
    private var maps: [UInt64: UnsafeMutablePointer<UInt64>] = [:]
    private static let wordCount = Int(SoftTLB.pageBytes) / 2 / 64

    package init() {}
    deinit { for map in maps.values { map.deallocate() } }

    package var isEmpty: Bool { kinds.isEmpty }

    /// Stops at exactly these places.
    package func set(_ wanted: [UInt64: Kinds]) {
        kinds = wanted
        for map in maps.values { map.deallocate() }
        maps = [:]
        for address in wanted.keys {
            let page = address & SoftTLB.pageMask, place = Int(address & (SoftTLB.pageBytes - 1)) >> 1
            let map = maps[page] ?? .allocate(capacity: Self.wordCount)
            if maps.updateValue(map, forKey: page) == nil { map.initialize(repeating: 0, count: Self.wordCount) }
            map[place >> 6] |= 1 << UInt64(place & 63)
        }
    }

    /// For `CodeWindow.stops`, of the page that starts at an address; nil when there is none in it.
    func stops(inPage page: UInt64) -> UnsafePointer<UInt64>? { maps[page].map { UnsafePointer($0) } }
}

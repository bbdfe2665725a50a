// Where walks found page tables of the last level lately: neighbouring pages need a look at one entry only. Forgotten with every
// fence.

import Guest

struct LeafTables {
    private struct Entry {
        /// What the addresses have above the 21 bits that such a table translates; not one of an address when there is none.
        var tag = UInt64.max
        /// Physical address of the table, and the host's.
        var table: UInt64 = 0
        var host: UInt64 = 0
        var isGlobal = false
    }
    private static let count = 16, bits: UInt64 = 21
    // SAFETY: `count` elements; every position is masked.
    private let entries: UnsafeMutablePointer<Entry>
    private var isEmpty = true

    init() {
        entries = .allocate(capacity: LeafTables.count)
        entries.initialize(repeating: Entry(), count: LeafTables.count)
    }

    func deallocate() { entries.deallocate() }

    @inline(__always)
    private func entry(_ address: UInt64) -> UnsafeMutablePointer<Entry> {
        entries + Int(truncatingIfNeeded: address >> LeafTables.bits) & (LeafTables.count - 1)
    }

    /// The table that translates an address, and whether a pointer to it is global.
    @inline(__always)
    func find(_ address: UInt64) -> (table: UInt64, host: UInt64, isGlobal: Bool)? {
        let known = entry(address)
        return known.pointee.tag == address >> LeafTables.bits
            ? (known.pointee.table, known.pointee.host, known.pointee.isGlobal) : nil
    }

    mutating func note(_ address: UInt64, table: UInt64, host: UInt64, isGlobal: Bool) {
        entry(address).pointee = Entry(tag: address >> LeafTables.bits, table: table, host: host, isGlobal: isGlobal)
        isEmpty = false
    }

    mutating func forgetAll() {
        if isEmpty { return }
        entries.update(repeating: Entry(), count: LeafTables.count)
        isEmpty = true
    }
}

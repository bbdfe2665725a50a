// The look-aside buffers of one processor: a table for each context that accesses are made in, and which entries of it are in
// use, so that flushing and searching cost as much as was filled.

import CHost

package struct SoftTables {
    // SAFETY: `count` tables of `SoftTLB.entryCount` entries each, one behind the other; of each the numbers of entries that may
    // be in use, `listLimit` at most, of which other threads read as many as `listCounts` says.
    package let entries: UnsafeMutablePointer<SoftTLBEntry>
    private let list: UnsafeMutablePointer<UInt16>
    private let listCounts: UnsafeMutablePointer<Int>
    package let count: Int
    private static let listLimit = SoftTLB.entryCount * 2

    package init(count: Int) {
        self.count = count
        entries = .allocate(capacity: count * SoftTLB.entryCount)
        for table in 0 ..< count {
            for index in 0 ..< SoftTLB.entryCount { (entries + table * SoftTLB.entryCount + index).initialize(to: .empty(index)) }
        }
        list = .allocate(capacity: count * SoftTables.listLimit)
        list.initialize(repeating: 0, count: count * SoftTables.listLimit)
        listCounts = .allocate(capacity: count)
        listCounts.initialize(repeating: 0, count: count)
    }

    package func deallocate() {
        entries.deallocate()
        list.deallocate()
        listCounts.deallocate()
    }

    /// The entry at `index` of a table is about to be used, which was empty. False when the list is full: then the table must be
    /// flushed.
    @inline(__always)
    package func noteUse(_ table: Int, _ index: Int) -> Bool {
        let used = listCounts[table]
        guard used < SoftTables.listLimit else { return false }
        list[table * SoftTables.listLimit + used] = UInt16(truncatingIfNeeded: index)
        listCounts[table] = used + 1
        return true
    }

    /// Calls with the index of each entry that may be in use, perhaps several times.
    @inline(__always)
    package func forEachUsed(_ table: Int, _ body: (Int) -> Void) {
        let first = table * SoftTables.listLimit
        for position in 0 ..< listCounts[table] { body(Int(list[first + position])) }
    }

    package func flush(_ table: Int) {
        let first = entries + table * SoftTLB.entryCount
        forEachUsed(table) { first[$0] = .empty($0) }
        // Last: whoever looks for a page meanwhile finds the entries until they are empty.
        listCounts[table] = 0
    }
}

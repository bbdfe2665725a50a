// The software translation look-aside buffer of a processor in machine mode: virtual page to host address.
//
// A direct-mapped table with a tag each for reading, writing and executing: a hit proves that the access is allowed, that it is
// to RAM, and (writing) that nobody needs to know of it. Whatever is special has no valid tag and takes the slow path, so that
// translated code needs one subtraction, one comparison and one addition.

import CHost

package struct SoftTLBEntry {
    /// Virtual address of the page; one that belongs into another entry when there is none.
    package var readTag: UInt64
    package var writeTag: UInt64
    package var executeTag: UInt64
    /// Host address of the page.
    package var host: UInt64

    /// The entry at `index` without a page: less than a page above its tags is no address that is looked up in it.
    @inlinable @inline(__always)
    package static func empty(_ index: Int) -> SoftTLBEntry {
        let tag = noTag(index)
        return SoftTLBEntry(readTag: tag, writeTag: tag, executeTag: tag, host: 0)
    }
    @inlinable @inline(__always)
    package static func noTag(_ index: Int) -> UInt64 { index & 1 == 0 ? 4096 : 0 }

    @inlinable
    package init(readTag: UInt64, writeTag: UInt64, executeTag: UInt64, host: UInt64) {
        self.readTag = readTag
        self.writeTag = writeTag
        self.executeTag = executeTag
        self.host = host
    }
}

package enum SoftTLB {
    @inlinable @inline(__always) package static var pageBits: UInt64 { 12 }
    @inlinable @inline(__always) package static var pageBytes: UInt64 { 4096 }
    @inlinable @inline(__always) package static var pageMask: UInt64 { ~4095 }
    /// Entries of one table.
    @inlinable @inline(__always) package static var entryCount: Int { 4096 }
    @inlinable @inline(__always) package static var indexMask: UInt64 { 4095 }
    /// Entries of a table of pages of code.
    @inlinable @inline(__always) package static var codePageCount: Int { 512 }

    /// The entry that `address` would be in.
    @inlinable @inline(__always)
    package static func entry(
        _ table: UnsafeMutablePointer<SoftTLBEntry>, _ address: UInt64
    ) -> UnsafeMutablePointer<SoftTLBEntry> {
        table + Int(truncatingIfNeeded: (address &>> 12) & indexMask)
    }
}

/// Where the state of a processor in machine mode has what translated code looks at, in bytes from the state pointer.
package struct SoftMemoryLayout: Sendable {
    /// Pointer to the table for loads and stores.
    package var dataTable: Int32
    /// Pointer to `SoftTLB.codePageCount` numbers (32 bits) of code pages that may be executed now: see `CodePageLookup`.
    package var codePages: Int32
    /// The slots of ranges for loads, and behind them those for stores; a pointer to the records; the epoch (32 bits). See
    /// `SoftRanges`.
    package var rangeSlots: Int32
    package var rangeRecords: Int32
    package var rangeEpoch: Int32
    /// How often slots may be filled still before that is noticed (32 bits).
    package var rangeFills: Int32
    package init(
        dataTable: Int32, codePages: Int32, rangeSlots: Int32, rangeRecords: Int32, rangeEpoch: Int32, rangeFills: Int32
    ) {
        self.dataTable = dataTable
        self.codePages = codePages
        self.rangeSlots = rangeSlots
        self.rangeRecords = rangeRecords
        self.rangeEpoch = rangeEpoch
        self.rangeFills = rangeFills
    }
}

/// What a processor in machine mode finds where it wants to execute.
package enum CodePageLookup {
    /// The page of memory, named by its host address.
    case page(UInt64)
    /// Code that may be executed, but not be assumed to stay so: one instruction at a time.
    case uncached
    /// An exception, which the privileged state describes.
    case fault
}

// The software translation look-aside buffer of a processor in machine mode: virtual page to host address.
//
// A direct-mapped table with a tag each for reading, writing and executing: a hit proves that the access is allowed, that it is
// to RAM, and (writing) that nobody needs to know of it. Whatever is special has no valid tag and takes the slow path, so that
// translated code needs one comparison and one addition.

import CHost

package struct SoftTLBEntry {
    /// Virtual address of the page, or `noTag`.
    package var readTag: UInt64
    package var writeTag: UInt64
    package var executeTag: UInt64
    /// Host address minus virtual address.
    package var addend: UInt64

    /// Equal to no page address.
    package static let noTag = UInt64.max
    package static let empty = SoftTLBEntry(readTag: noTag, writeTag: noTag, executeTag: noTag, addend: 0)

    package init(readTag: UInt64, writeTag: UInt64, executeTag: UInt64, addend: UInt64) {
        self.readTag = readTag
        self.writeTag = writeTag
        self.executeTag = executeTag
        self.addend = addend
    }
}

package enum SoftTLB {
    package static let pageBits: UInt64 = 12
    package static let pageBytes: UInt64 = 4096
    package static let pageMask: UInt64 = ~4095
    /// Entries of one table.
    package static let entryCount = 512
    package static let indexMask = UInt64(entryCount - 1)

    /// The entry that `address` would be in.
    @inlinable @inline(__always)
    package static func entry(_ table: UnsafeMutablePointer<SoftTLBEntry>, _ address: UInt64) -> UnsafeMutablePointer<SoftTLBEntry> {
        table + Int(truncatingIfNeeded: (address &>> 12) & 511)
    }
}

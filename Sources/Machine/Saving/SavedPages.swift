// Pages of memory or of a disk, packed: pages of zeroes are left out, the others of 64 KiB at a time are compressed together.
//
// A section is a row of pieces: 8 bytes of address, 2 with a bit for each page of 4096 bytes that is there, 2 with the number of
// the drive (0 for memory), 4 with the count of packed bytes, then these. Pages that are not packed (their count says so) stand
// as they are.

import DeviceModel
import Glibc

package enum SavedPages {
    static let pageBytes = 4096, pagesOfPiece = 16
    static let pieceBytes = pageBytes * pagesOfPiece
    static let pieceHeaderBytes = 16
    /// A section is written when it has so many bytes.
    private static let sectionGoal = 1 << 20
    package static let sectionLimit = sectionGoal + pieceHeaderBytes + pieceBytes

    /// Collects pieces into sections.
    final class Packer {
        private let writer: SavedMachineWriter
        private let section: SavedMachineFile.Section
        // SAFETY: `sectionLimit` bytes and what packing may need more, `pieceBytes`, and the table that `BlockPacking` asks for.
        private let buffer: UnsafeMutableRawBufferPointer
        private let gathered: UnsafeMutableRawBufferPointer
        private let table: UnsafeMutablePointer<UInt16>
        private var used = 0

        init(_ section: SavedMachineFile.Section, to writer: SavedMachineWriter) {
            self.section = section
            self.writer = writer
            buffer = .allocate(byteCount: sectionLimit + BlockPacking.expansionLimit, alignment: 16)
            gathered = .allocate(byteCount: pieceBytes, alignment: 4096)
            table = .allocate(capacity: BlockPacking.tableCount)
        }

        deinit {
            buffer.deallocate()
            gathered.deallocate()
            table.deallocate()
        }

        /// Adds the pages at an address, at most a piece of whole pages. Those of zeroes are left out.
        /// - Parameter keepsEmpty: also when all of them are zero.
        func add(
            _ address: UInt64, _ pages: UnsafeRawBufferPointer, drive: UInt16 = 0, keepsEmpty: Bool = false
        ) throws(BootError) {
            guard let start = pages.baseAddress else { return }
            var mask: UInt16 = 0, count = 0
            for index in 0..<pages.count / pageBytes where !BlockPacking.isZeroPage(start + index * pageBytes) {
                mask |= 1 << UInt16(index)
                count += 1
            }
            if count == 0 && !keepsEmpty { return }
            var content = UnsafeRawBufferPointer(rebasing: pages[..<(count * pageBytes)])
            if Int(mask.trailingZeroBitCount) != 0 || (count > 0 && mask != UInt16(truncatingIfNeeded: 1 << count - 1)) {
                var done = 0
                for index in 0..<pagesOfPiece where mask >> UInt16(index) & 1 != 0 {
                    (gathered.baseAddress! + done).copyMemory(from: start + index * pageBytes, byteCount: pageBytes)
                    done += pageBytes
                }
                content = UnsafeRawBufferPointer(rebasing: gathered[..<done])
            }
            let place = used + pieceHeaderBytes
            var packed = BlockPacking.pack(content, into: UnsafeMutableRawBufferPointer(rebasing: buffer[place...]), table: table)
            if packed >= content.count {
                packed = content.count
                if packed > 0 { (buffer.baseAddress! + place).copyMemory(from: content.baseAddress!, byteCount: packed) }
            }
            buffer.storeBytes(of: address.littleEndian, toByteOffset: used, as: UInt64.self)
            buffer.storeBytes(of: mask.littleEndian, toByteOffset: used + 8, as: UInt16.self)
            buffer.storeBytes(of: drive.littleEndian, toByteOffset: used + 10, as: UInt16.self)
            buffer.storeBytes(of: UInt32(packed).littleEndian, toByteOffset: used + 12, as: UInt32.self)
            used = place + packed
            if used >= sectionGoal { try flush() }
        }

        func flush() throws(BootError) {
            if used > 0 { try writer.section(section, UnsafeRawBufferPointer(rebasing: buffer[..<used])) }
            used = 0
        }
    }

    /// A piece of a section, unpacked.
    struct Piece {
        var address: UInt64
        var drive: UInt16
        var mask: UInt16
        /// The pages that are there, one behind the other.
        var pages: UnsafeRawBufferPointer
    }

    /// Calls `body` with each piece of a section.
    /// - Throws: `StateError` when the section is damaged, and what `body` throws.
    static func unpack(_ content: [UInt8], _ body: (Piece) throws -> Void) throws {
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 4096)
        defer { scratch.deallocate() }
        try content.withUnsafeBytes { bytes in
            var position = 0
            while position < bytes.count {
                guard bytes.count - position >= pieceHeaderBytes else { throw StateError("a piece of its pages is cut off") }
                let address = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                let mask = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: position + 8, as: UInt16.self))
                let drive = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: position + 10, as: UInt16.self))
                let packed = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position + 12, as: UInt32.self)))
                position += pieceHeaderBytes
                let count = mask.nonzeroBitCount * pageBytes
                guard packed <= count, packed <= bytes.count - position else {
                    throw StateError("a piece of its pages is cut off")
                }
                let source = UnsafeRawBufferPointer(rebasing: bytes[position..<position + packed])
                position += packed
                if packed == count {
                    try body(Piece(address: address, drive: drive, mask: mask, pages: source))
                    continue
                }
                let target = UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
                guard BlockPacking.unpack(source, into: target) else {
                    throw StateError("a piece of its pages cannot be unpacked")
                }
                try body(Piece(address: address, drive: drive, mask: mask, pages: UnsafeRawBufferPointer(target)))
            }
        }
    }
}

/// Which pages of this process were ever touched: the others are zero, and looking at them would cost memory.
struct TouchedPages {
    /// Of the RAM.
    let file: Int32
    private static let seekData: Int32 = 3, seekHole: Int32 = 4

    /// A bit a page from an offset of whole pages on: all are set where the host does not tell.
    func touched(_ offset: Int, pageCount: Int) -> [Bool] {
        var result = [Bool](repeating: false, count: pageCount)
        let end = offset + pageCount * SavedPages.pageBytes
        var place = offset
        while place < end {
            let data = lseek(file, off_t(place), TouchedPages.seekData)
            if data < 0 {
                // Behind the last data.
                if errno == ENXIO { return result }
                return Array(repeating: true, count: pageCount)
            }
            let hole = lseek(file, data, TouchedPages.seekHole)
            guard data < end else { return result }
            guard hole > data else { return Array(repeating: true, count: pageCount) }
            let first = max(Int(data), offset) - offset, last = min(Int(hole), end) - offset
            for page in first / SavedPages.pageBytes..<(last + SavedPages.pageBytes - 1) / SavedPages.pageBytes {
                result[page] = true
            }
            place = Int(hole)
        }
        return result
    }
}

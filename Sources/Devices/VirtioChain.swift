// A descriptor chain: buffers that the device reads, then buffers that it writes, seen as two streams of bytes.

import DeviceModel
import Glibc

package struct VirtioChain {
    package let head: UInt16
    package private(set) var readable: [MemoryRange] = []
    package private(set) var writable: [MemoryRange] = []
    package private(set) var readableCount = 0
    package private(set) var writableCount = 0

    init(head: UInt16) { self.head = head }

    mutating func append(_ buffer: MemoryRange, isWritable: Bool) throws(VirtioViolation) {
        if isWritable {
            writable.append(buffer)
            writableCount += buffer.byteCount
        } else {
            guard writable.isEmpty else { throw VirtioViolation("a buffer to read behind one to write") }
            readable.append(buffer)
            readableCount += buffer.byteCount
        }
    }

    /// The pieces of `list` between two offsets.
    private static func pieces(_ list: [MemoryRange], _ offset: Int, _ count: Int) -> [MemoryRange] {
        var result: [MemoryRange] = [], start = 0
        let end = offset + count
        for range in list {
            let first = max(offset, start), last = min(end, start + range.byteCount)
            if first < last { result.append(range.slice(first - start, byteCount: last - first)) }
            start += range.byteCount
            if start >= end { break }
        }
        return result
    }

    /// The readable bytes from `offset`, in pieces; fewer than `count` at the end.
    package func readablePieces(_ offset: Int, count: Int) -> [MemoryRange] { VirtioChain.pieces(readable, offset, count) }
    package func writablePieces(_ offset: Int, count: Int) -> [MemoryRange] { VirtioChain.pieces(writable, offset, count) }

    /// A copy of readable bytes, at most `count`.
    package func bytes(_ offset: Int = 0, count: Int) -> [UInt8] {
        let size = max(0, min(count, readableCount - offset))
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, done in
            for piece in readablePieces(offset, count: size) {
                UnsafeMutableRawBufferPointer(buffer).baseAddress!.advanced(by: done).copyMemory(
                    from: piece.bytes.baseAddress!, byteCount: piece.byteCount)
                done += piece.byteCount
            }
        }
    }

    /// The little-endian word at an offset of the readable bytes; nil behind their end.
    package func word<Word: FixedWidthInteger>(_ offset: Int, as: Word.Type = Word.self) -> Word? {
        let content = bytes(offset, count: MemoryLayout<Word>.size)
        guard content.count == MemoryLayout<Word>.size else { return nil }
        return content.reversed().reduce(0) { $0 << 8 | Word(truncatingIfNeeded: $1) }
    }

    /// Copies to the writable bytes at an offset; returns how many fitted.
    @discardableResult
    package func fill(_ offset: Int = 0, _ source: UnsafeRawBufferPointer) -> Int {
        var done = 0
        for piece in writablePieces(offset, count: source.count) {
            piece.write { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[done..<done + piece.byteCount])) }
            done += piece.byteCount
        }
        return done
    }

    @discardableResult
    package func fill(_ offset: Int = 0, _ source: [UInt8]) -> Int { source.withUnsafeBytes { fill(offset, $0) } }
}

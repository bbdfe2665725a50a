// What a device sees of the machine's memory: range-checked handles. Whatever address a guest gives to a device, nothing outside
// of RAM is reached, and the machine learns what a device has written.
//
// Harts may write at the same time. So words are read once, as volatile, and never trusted to be the same when read again.

import CHost
import Glibc

/// The machine's RAM, for devices. Any thread.
package protocol DeviceMemory: AnyObject {
    /// Host memory of a physical range; nil unless the whole range is RAM. It stays valid as long as the machine.
    func hostPointer(_ address: UInt64, byteCount: Int) -> UnsafeMutableRawPointer?
    /// After every write through such a pointer: translated code in the range is dropped.
    func didWrite(_ address: UInt64, byteCount: Int)
    /// Zeroes whole pages and gives the host's memory behind them back, until somebody writes there. Does nothing unless all of
    /// the range is RAM.
    func discard(_ address: UInt64, byteCount: Int)
}

extension DeviceMemory {
    /// The little-endian word at a physical address; nil when it is not RAM.
    @inline(__always)
    package func load<Word: FixedWidthInteger>(_ address: UInt64, as: Word.Type = Word.self) -> Word? {
        guard let host = hostPointer(address, byteCount: MemoryLayout<Word>.size) else { return nil }
        return Word(truncatingIfNeeded: mynah_load_word(UInt64(UInt(bitPattern: host)), Int32(MemoryLayout<Word>.size)))
    }

    /// Stores a little-endian word; false when the address is not RAM.
    @inline(__always)
    package func store<Word: FixedWidthInteger>(_ value: Word, at address: UInt64) -> Bool {
        guard let host = hostPointer(address, byteCount: MemoryLayout<Word>.size) else { return false }
        mynah_store_word(
            UInt64(UInt(bitPattern: host)), Int32(MemoryLayout<Word>.size), UInt64(truncatingIfNeeded: value))
        didWrite(address, byteCount: MemoryLayout<Word>.size)
        return true
    }

    /// A handle for a range; nil unless all of it is RAM.
    package func range(_ address: UInt64, byteCount: Int) -> MemoryRange? {
        guard byteCount >= 0, let host = hostPointer(address, byteCount: byteCount) else { return nil }
        return MemoryRange(memory: self, address: address, host: UnsafeMutableRawBufferPointer(start: host, count: byteCount))
    }
}

/// A piece of RAM that a device may read and write.
package struct MemoryRange {
    package unowned let memory: DeviceMemory
    package let address: UInt64
    // SAFETY: made by `range(_:byteCount:)` only, which checked that all of it is RAM; slices lie within their whole.
    private let host: UnsafeMutableRawBufferPointer

    fileprivate init(memory: DeviceMemory, address: UInt64, host: UnsafeMutableRawBufferPointer) {
        self.memory = memory
        self.address = address
        self.host = host
    }

    package var byteCount: Int { host.count }

    /// For reading only.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(host) }

    /// The part from `offset`, at most `byteCount` bytes of it; empty behind the end.
    package func slice(_ offset: Int, byteCount count: Int) -> MemoryRange {
        let start = max(0, min(offset, host.count)), length = max(0, min(count, host.count - start))
        return MemoryRange(
            memory: memory, address: address &+ UInt64(start),
            host: UnsafeMutableRawBufferPointer(rebasing: host[start..<start + length]))
    }

    /// The little-endian word at an offset; the whole word lies in the range.
    @inline(__always)
    package func load<Word: FixedWidthInteger>(_ offset: Int, as: Word.Type = Word.self) -> Word {
        precondition(offset >= 0 && offset <= host.count - MemoryLayout<Word>.size, "outside of the range")
        let place = UInt64(UInt(bitPattern: host.baseAddress! + offset))
        return Word(truncatingIfNeeded: mynah_load_word(place, Int32(MemoryLayout<Word>.size)))
    }

    @inline(__always)
    package func store<Word: FixedWidthInteger>(_ value: Word, at offset: Int) {
        precondition(offset >= 0 && offset <= host.count - MemoryLayout<Word>.size, "outside of the range")
        let place = UInt64(UInt(bitPattern: host.baseAddress! + offset))
        mynah_store_word(place, Int32(MemoryLayout<Word>.size), UInt64(truncatingIfNeeded: value))
        memory.didWrite(address &+ UInt64(offset), byteCount: MemoryLayout<Word>.size)
    }

    /// Lets `body` write; tells the machine afterwards, also when it throws.
    package func write<Result>(_ body: (UnsafeMutableRawBufferPointer) throws -> Result) rethrows -> Result {
        defer { memory.didWrite(address, byteCount: host.count) }
        return try body(host)
    }
}

/// RAM of its own, for tests and tools that have no machine. It lies between pages that fault.
package final class PlainMemory: DeviceMemory, @unchecked Sendable {
    package let base: UInt64
    // SAFETY: one mapping of `byteCount` bytes, whole pages, for the life of the object.
    private let host: UnsafeMutableRawPointer
    private let byteCount: Int
    private static let guardBytes = 1 << 16
    /// Every write by a device: address and byte count.
    package var onWrite: ((UInt64, Int) -> Void)?

    package init(base: UInt64, byteCount: Int) {
        self.base = base
        self.byteCount = byteCount
        precondition(byteCount > 0 && byteCount & 4095 == 0, "whole pages")
        let whole = mmap(
            nil, byteCount + 2 * PlainMemory.guardBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let whole, whole != MAP_FAILED, mprotect(whole + PlainMemory.guardBytes, byteCount, PROT_READ | PROT_WRITE) == 0
        else {
            fatalError("no memory")
        }
        host = whole + PlainMemory.guardBytes
    }

    deinit { munmap(host - PlainMemory.guardBytes, byteCount + 2 * PlainMemory.guardBytes) }

    package func hostPointer(_ address: UInt64, byteCount count: Int) -> UnsafeMutableRawPointer? {
        let offset = address &- base
        guard count >= 0, offset <= UInt64(byteCount), UInt64(byteCount) - offset >= UInt64(count) else { return nil }
        return host + Int(offset)
    }

    package func didWrite(_ address: UInt64, byteCount: Int) { onWrite?(address, byteCount) }

    package func discard(_ address: UInt64, byteCount: Int) {
        guard (address | UInt64(bitPattern: Int64(byteCount))) & 4095 == 0, let host = hostPointer(address, byteCount: byteCount)
        else {
            return
        }
        madvise(host, byteCount, MADV_DONTNEED)
        didWrite(address, byteCount: byteCount)
    }
}

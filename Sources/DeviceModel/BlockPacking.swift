// Fast compression of blocks of at most 64 KiB, for the pages of a machine that is saved: repeats of four bytes and more within
// the block are replaced by where they were.
//
// A packed block is a row of sequences. Each starts with a byte: its high half says how many bytes stand as they are, its low
// half how long the repeat behind them is, less 4; 15 means that bytes follow that are added, up to one that is not 255. Then
// come the bytes themselves and, in two bytes, the distance of the repeat. The last sequence has no repeat.

import CHost

package enum BlockPacking {
    package static let blockLimit = 1 << 16
    /// Packed, a block has at most so many bytes more.
    package static let expansionLimit = blockLimit / 255 + 16

    private static let shortestRepeat = 4, extended = 15
    private static let tableBits: UInt32 = 13
    /// Places that were seen, by a hash of four bytes: scratch memory for `pack`.
    package static let tableCount = 1 << Int(tableBits)

    // MARK: Packing

    /// - Parameters:
    ///   - source: at most `blockLimit` bytes.
    ///   - destination: room for the bytes of the source and `expansionLimit` more.
    ///   - table: `tableCount` elements.
    /// - Returns: bytes of the packed block.
    package static func pack(
        _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer, table: UnsafeMutablePointer<UInt16>
    ) -> Int {
        precondition(
            source.count <= blockLimit && destination.count >= source.count + expansionLimit, "no room for the packed block")
        // SAFETY: places stay below `count`; what is written is bounded by the bytes of the source and `expansionLimit`.
        guard let from = source.baseAddress, let to = destination.baseAddress, source.count > 0 else { return 0 }
        table.update(repeating: 0, count: tableCount)
        let count = source.count, lastStart = count - 8
        var place = 1, anchor = 0, written = 0, misses = 0
        while place <= lastStart {
            let word = from.loadUnaligned(fromByteOffset: place, as: UInt32.self)
            let slot = Int((word &* 2_654_435_761) >> (32 - tableBits))
            let candidate = Int(table[slot])
            table[slot] = UInt16(truncatingIfNeeded: place)
            guard candidate < place, from.loadUnaligned(fromByteOffset: candidate, as: UInt32.self) == word else {
                // Where nothing repeats, look at fewer places.
                misses &+= 1
                place &+= 1 &+ misses >> 5
                continue
            }
            misses = 0
            let length =
                shortestRepeat
                + equalBytes(
                    from + candidate + shortestRepeat, from + place + shortestRepeat, limit: count - place - shortestRepeat)
            append(from + anchor, place - anchor, repeatLength: length, distance: place - candidate, to, &written)
            place += length
            anchor = place
        }
        append(from + anchor, count - anchor, repeatLength: 0, distance: 0, to, &written)
        return written
    }

    @inline(__always)
    private static func equalBytes(_ first: UnsafeRawPointer, _ second: UnsafeRawPointer, limit: Int) -> Int {
        var done = 0
        while done &+ 8 <= limit {
            let difference =
                first.loadUnaligned(fromByteOffset: done, as: UInt64.self)
                ^ second.loadUnaligned(fromByteOffset: done, as: UInt64.self)
            if difference != 0 { return done &+ difference.trailingZeroBitCount >> 3 }
            done &+= 8
        }
        while done < limit, first.load(fromByteOffset: done, as: UInt8.self) == second.load(fromByteOffset: done, as: UInt8.self)
        {
            done &+= 1
        }
        return done
    }

    @inline(__always)
    private static func append(
        _ literals: UnsafeRawPointer, _ count: Int, repeatLength: Int, distance: Int, _ to: UnsafeMutableRawPointer,
        _ written: inout Int
    ) {
        let more = repeatLength == 0 ? 0 : repeatLength - shortestRepeat
        to.storeBytes(of: UInt8(min(count, extended) << 4 | min(more, extended)), toByteOffset: written, as: UInt8.self)
        written &+= 1
        if count >= extended { appendExtension(count - extended, to, &written) }
        (to + written).copyMemory(from: literals, byteCount: count)
        written &+= count
        guard repeatLength > 0 else { return }
        to.storeBytes(of: UInt8(truncatingIfNeeded: distance), toByteOffset: written, as: UInt8.self)
        to.storeBytes(of: UInt8(truncatingIfNeeded: distance >> 8), toByteOffset: written &+ 1, as: UInt8.self)
        written &+= 2
        if more >= extended { appendExtension(more - extended, to, &written) }
    }

    private static func appendExtension(_ number: Int, _ to: UnsafeMutableRawPointer, _ written: inout Int) {
        var rest = number
        while rest >= 255 {
            to.storeBytes(of: 255, toByteOffset: written, as: UInt8.self)
            written &+= 1
            rest &-= 255
        }
        to.storeBytes(of: UInt8(rest), toByteOffset: written, as: UInt8.self)
        written &+= 1
    }

    // MARK: Unpacking

    /// Fills all of the destination.
    /// - Returns: false when the packed bytes are damaged or make more or less than that.
    package static func unpack(_ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer) -> Bool {
        guard let from = source.baseAddress, let to = destination.baseAddress else {
            return source.isEmpty && destination.isEmpty
        }
        let sourceCount = source.count, count = destination.count
        // SAFETY: every count is compared with what is left on both sides before it is used.
        var place = 0, done = 0
        while place < sourceCount {
            let head = Int(from.load(fromByteOffset: place, as: UInt8.self))
            place &+= 1
            guard let literals = number(head >> 4, from, sourceCount, &place), literals <= sourceCount - place,
                literals <= count - done
            else {
                return false
            }
            (to + done).copyMemory(from: from + place, byteCount: literals)
            place &+= literals
            done &+= literals
            if place == sourceCount { return done == count && head & 15 == 0 }
            guard sourceCount - place >= 2 else { return false }
            let low = Int(from.load(fromByteOffset: place, as: UInt8.self)),
                high = Int(from.load(fromByteOffset: place &+ 1, as: UInt8.self))
            let distance = high << 8 | low
            place &+= 2
            guard let more = number(head & 15, from, sourceCount, &place) else { return false }
            let length = more &+ shortestRepeat
            guard distance > 0, distance <= done, length <= count - done else { return false }
            repeatBytes(to + done, distance: distance, count: length)
            done &+= length
        }
        return sourceCount == 0 && count == 0
    }

    /// A count of a sequence with the bytes that are added to it.
    @inline(__always)
    private static func number(_ first: Int, _ from: UnsafeRawPointer, _ sourceCount: Int, _ place: inout Int) -> Int? {
        if first < extended { return first }
        var result = first
        while place < sourceCount {
            let next = from.load(fromByteOffset: place, as: UInt8.self)
            place &+= 1
            result &+= Int(next)
            if next != 255 { return result }
            if result > blockLimit { return nil }
        }
        return nil
    }

    /// The source of a repeat may reach into itself.
    @inline(__always)
    private static func repeatBytes(_ to: UnsafeMutableRawPointer, distance: Int, count: Int) {
        let from = to - distance
        if distance >= count { return to.copyMemory(from: from, byteCount: count) }
        var done = 0
        if distance >= 8 {
            while done &+ 8 <= count {
                to.storeBytes(of: from.loadUnaligned(fromByteOffset: done, as: UInt64.self), toByteOffset: done, as: UInt64.self)
                done &+= 8
            }
        }
        while done < count {
            to.storeBytes(of: from.load(fromByteOffset: done, as: UInt8.self), toByteOffset: done, as: UInt8.self)
            done &+= 1
        }
    }

    // MARK: Zeroes

    /// Whether a page of 4096 bytes holds nothing but zeroes.
    @inline(__always)
    package static func isZeroPage(_ page: UnsafeRawPointer) -> Bool {
        let words = page.assumingMemoryBound(to: UInt64.self)
        var index = 0
        while index < 512 {
            let first = words[index] | words[index &+ 1] | words[index &+ 2] | words[index &+ 3]
            let second = words[index &+ 4] | words[index &+ 5] | words[index &+ 6] | words[index &+ 7]
            if first | second != 0 { return false }
            index &+= 8
        }
        return true
    }
}

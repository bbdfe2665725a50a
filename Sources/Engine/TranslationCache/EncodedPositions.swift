// Guest positions in two bytes each, mostly: what the cache keeps of them, decoded when a fault asks.
//
//   code: bytes of code since the last position, 255 for four bytes that follow
//   address: halfwords from the last instruction's address, signed; -128 for what follows: the distance from the block's address
//   in eight bytes, and what is pending in four. Nothing is pending otherwise.

import X86Backend

enum EncodedPositions {
    private static let wideCode: UInt8 = 255, wideAddress = UInt8(bitPattern: -128)

    static func append(_ positions: [GuestPosition], of address: UInt64, to bytes: inout [UInt8]) {
        var code: UInt32 = 0, last = address
        for position in positions {
            let step = position.codeOffset &- code, distance = Int64(bitPattern: position.address &- last)
            let isNear = distance & 1 == 0 && -127 ... 127 ~= distance >> 1 && position.pending == PendingFloats()
            if step < UInt32(wideCode) { bytes.append(UInt8(step)) } else {
                bytes.append(wideCode)
                append(UInt64(step), 4, &bytes)
            }
            if isNear { bytes.append(UInt8(bitPattern: Int8(distance >> 1))) } else {
                bytes.append(wideAddress)
                append(position.address &- address, 8, &bytes)
                append(UInt64(position.pending.canonicalNaNs) | UInt64(position.pending.boxes) << 16, 4, &bytes)
            }
            code = position.codeOffset
            last = position.address
        }
    }

    private static func append(_ value: UInt64, _ count: Int, _ bytes: inout [UInt8]) {
        for index in 0 ..< count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8))) }
    }

    /// The last position at `offset` or before; the block's start when there is none.
    static func last(in bytes: ArraySlice<UInt8>, of address: UInt64, upTo offset: UInt32) -> GuestPosition {
        var result = GuestPosition(codeOffset: 0, address: address), next = result
        var place = bytes.startIndex
        func read(_ count: Int) -> UInt64? {
            guard bytes.endIndex - place >= count else { return nil }
            defer { place += count }
            return (0 ..< count).reduce(0) { $0 | UInt64(bytes[place + $1]) << UInt64($1 * 8) }
        }
        while let short = read(1) {
            guard let step = short < UInt64(wideCode) ? short : read(4), let near = read(1) else { break }
            next.codeOffset = next.codeOffset &+ UInt32(truncatingIfNeeded: step)
            if near != UInt64(wideAddress) {
                next.address = next.address &+ UInt64(bitPattern: Int64(Int8(truncatingIfNeeded: near))) &* 2
                next.pending = PendingFloats()
            } else {
                guard let distance = read(8), let pending = read(4) else { break }
                next.address = address &+ distance
                next.pending = PendingFloats(
                    canonicalNaNs: UInt16(truncatingIfNeeded: pending), boxes: UInt16(truncatingIfNeeded: pending >> 16))
            }
            if next.codeOffset > offset { break }
            result = next
        }
        return result
    }
}

// Guest positions in two bytes each, mostly: what the engine and the cache on disk keep of them, decoded when a fault asks.
//
//   code: bytes of code since the last position, 255 for four bytes that follow
//   address: halfwords from the last instruction's address, signed; -128 for what follows: the distance from the block's address
//   in eight bytes, and what is pending in four. Nothing is pending otherwise.

import X86Backend

enum EncodedPositions {
    private static let wideCode: UInt8 = 255, wideAddress = UInt8(bitPattern: -128)
    private static let longest = 18

    static func append(_ positions: [GuestPosition], of address: UInt64, to bytes: inout [UInt8]) {
        // SAFETY: no position takes more than `longest` bytes.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: positions.count * longest) { buffer in
            guard let start = buffer.baseAddress else { return }
            var place = start, code: UInt32 = 0, last = address
            func put(_ value: UInt64, _ count: Int) {
                for index in 0 ..< count { place[index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8)) }
                place += count
            }
            for position in positions {
                let step = position.codeOffset &- code, distance = Int64(bitPattern: position.address &- last)
                let isNear = distance & 1 == 0 && -254 ... 254 ~= distance && position.pending == PendingFloats()
                put(UInt64(min(step, UInt32(wideCode))), 1)
                if step >= UInt32(wideCode) { put(UInt64(step), 4) }
                if isNear {
                    put(UInt64(bitPattern: distance >> 1), 1)
                } else {
                    put(UInt64(wideAddress), 1)
                    put(position.address &- address, 8)
                    put(UInt64(position.pending.canonicalNaNs) | UInt64(position.pending.boxes) << 16, 4)
                }
                code = position.codeOffset
                last = position.address
            }
            bytes.append(contentsOf: UnsafeBufferPointer(start: start, count: place - start))
        }
    }

    /// The last position at `offset` or before; the block's start when there is none.
    static func last(in bytes: ArraySlice<UInt8>, of address: UInt64, upTo offset: UInt32) -> GuestPosition {
        var result = GuestPosition(codeOffset: 0, address: address)
        decode(bytes, of: address) { position in
            if position.codeOffset <= offset { result = position }
            return position.codeOffset <= offset
        }
        return result
    }

    static func all(in bytes: ArraySlice<UInt8>, of address: UInt64) -> [GuestPosition] {
        var result: [GuestPosition] = []
        decode(bytes, of: address) {
            result.append($0)
            return true
        }
        return result
    }

    /// Positions in order, as long as more are wanted, and the bytes make sense.
    private static func decode(_ bytes: ArraySlice<UInt8>, of address: UInt64, _ wantsMore: (GuestPosition) -> Bool) {
        var next = GuestPosition(codeOffset: 0, address: address), place = bytes.startIndex
        func read(_ count: Int) -> UInt64? {
            guard bytes.endIndex - place >= count else { return nil }
            defer { place += count }
            return (0 ..< count).reduce(0) { $0 | UInt64(bytes[place + $1]) << UInt64($1 * 8) }
        }
        while let short = read(1) {
            guard let step = short < UInt64(wideCode) ? short : read(4), let near = read(1) else { return }
            next.codeOffset = next.codeOffset &+ UInt32(truncatingIfNeeded: step)
            if near != UInt64(wideAddress) {
                next.address = next.address &+ UInt64(bitPattern: Int64(Int8(truncatingIfNeeded: near))) &* 2
                next.pending = PendingFloats()
            } else {
                guard let distance = read(8), let pending = read(4) else { return }
                next.address = address &+ distance
                next.pending = PendingFloats(
                    canonicalNaNs: UInt16(truncatingIfNeeded: pending), boxes: UInt16(truncatingIfNeeded: pending >> 16))
            }
            if !wantsMore(next) { return }
        }
    }
}

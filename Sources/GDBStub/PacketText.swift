// Reading and writing the words of packets: hexadecimal numbers, lists with separators. Reading never fails harder than nil.

package enum Hexadecimal {
    static func digit(_ value: UInt8) -> UInt8 { value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &+ value &- 10 }

    static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0") ... UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a") ... UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A") ... UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// Two digits a byte.
    package static func encode(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        for byte in bytes {
            result.append(digit(byte >> 4))
            result.append(digit(byte & 15))
        }
        return result
    }

    package static func encode(_ text: String) -> String { String(decoding: encode(text.utf8), as: UTF8.self) }

    /// The bytes of an even number of digits; nil for anything else.
    package static func decode(_ digits: some Collection<UInt8>) -> [UInt8]? {
        guard digits.count % 2 == 0 else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(digits.count / 2)
        var high: UInt8?
        for byte in digits {
            guard let value = value(of: byte) else { return nil }
            if let first = high {
                result.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return result
    }

    static func text(_ number: UInt64) -> String { String(number, radix: 16) }
}

/// Goes over the body of a packet from left to right.
package struct PacketReader {
    package private(set) var rest: ArraySlice<UInt8>

    package init(_ bytes: some Collection<UInt8>) { rest = Array(bytes)[...] }

    package var isAtEnd: Bool { rest.isEmpty }
    package var peek: UInt8? { rest.first }

    package mutating func next() -> UInt8? { rest.popFirst() }

    /// Steps over `text` when it comes next.
    package mutating func skip(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard rest.count >= count else { return false }
        let matches = text.withUTF8Buffer { zip($0, rest).allSatisfy { $0 == $1 } }
        if matches { rest.removeFirst(count) }
        return matches
    }

    /// Everything up to the separator, which is stepped over, or to the end.
    package mutating func word(upTo separator: Character) -> ArraySlice<UInt8> {
        let byte = separator.asciiValue!
        let end = rest.firstIndex(of: byte) ?? rest.endIndex
        let result = rest[rest.startIndex ..< end]
        rest = rest[(end == rest.endIndex ? end : end + 1)...]
        return result
    }

    /// A hexadecimal number of 1 to 16 digits behind any zeros.
    package mutating func number() -> UInt64? {
        var value: UInt64 = 0, count = 0
        while let byte = rest.first, let digit = Hexadecimal.value(of: byte) {
            guard value >> 60 == 0 else { return nil }
            value = value << 4 | UInt64(digit)
            rest.removeFirst()
            count += 1
        }
        return count > 0 ? value : nil
    }

    /// The number in front of `separator`, which must follow.
    package mutating func number(before separator: Character) -> UInt64? {
        guard let value = number(), next() == separator.asciiValue else { return nil }
        return value
    }

    /// A number that is the last thing in the packet.
    package mutating func lastNumber() -> UInt64? {
        guard let value = number(), isAtEnd else { return nil }
        return value
    }

    /// The same as a count or an offset.
    package mutating func size(before separator: Character) -> Int? { number(before: separator).flatMap { Int(exactly: $0) } }
    package mutating func lastSize() -> Int? { lastNumber().flatMap { Int(exactly: $0) } }
}

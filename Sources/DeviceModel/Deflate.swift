// Decompression of deflated data (RFC 1951): disk images and kernels come compressed, and nothing that is sure to be installed
// does it for us.
//
// A code is looked up in one table with an entry for every sequence of as many bits as the longest code of the block has:
// building it costs little against the tens of kilobytes that a block decodes.

/// Why compressed data cannot be unpacked.
package enum DeflateError: Error, Equatable, CustomStringConvertible {
    case truncated
    /// The data contradicts itself; what is wrong with it.
    case malformed(String)
    /// It unpacks to more bytes than fit.
    case tooLarge(limit: Int)

    package var description: String {
        switch self {
        case .truncated: "the compressed data is cut off"
        case .malformed(let what): "the compressed data is damaged: \(what)"
        case .tooLarge(let limit): "unpacks to more than \(limit) bytes"
        }
    }
}

package enum Deflate {
    /// Appends what the stream at `position` unpacks to, up to `limit` bytes in all.
    /// - Returns: the offset behind the stream.
    @discardableResult
    package static func unpack(
        _ bytes: [UInt8], at position: Int = 0, appendingTo output: inout [UInt8], limit: Int
    ) throws -> Int {
        var stream = Inflater(bytes: bytes, position: position, output: output, limit: limit)
        output = []
        defer { output = stream.output }
        return try stream.run()
    }
}

/// One deflated stream (RFC 1951).
private struct Inflater {
    let bytes: [UInt8]
    var position: Int
    var output: [UInt8]
    let limit: Int
    /// Bits that were read and not used; the next one is the lowest.
    private var bits: UInt64 = 0
    private var bitCount = 0

    init(bytes: [UInt8], position: Int, output: [UInt8], limit: Int) {
        self.bytes = bytes
        self.position = position
        self.output = output
        self.limit = limit
    }

    /// - Returns: the offset behind the stream.
    mutating func run() throws -> Int {
        var isLast = false
        while !isLast {
            isLast = try take(1) == 1
            switch try take(2) {
            case 0: try copyStored()
            case 1: try decode(lengths: Self.fixedCodes.0, distances: Self.fixedCodes.1)
            case 2:
                let codes = try readCodes()
                try decode(lengths: codes.0, distances: codes.1)
            default: throw DeflateError.malformed("a block of an unknown kind")
            }
        }
        return position - bitCount / 8
    }

    // MARK: Bits

    /// Reads bytes while more than `count` bits are wanted and there are any. Behind the end there are zeros, which `drop`
    /// notices.
    private mutating func fill() {
        while bitCount <= 48, position < bytes.count {
            bits |= UInt64(bytes[position]) << UInt64(bitCount)
            position += 1
            bitCount += 8
        }
    }

    private mutating func drop(_ count: Int) throws {
        guard count <= bitCount else { throw DeflateError.truncated }
        bits >>= UInt64(count)
        bitCount -= count
    }

    private mutating func take(_ count: Int) throws -> Int {
        if bitCount < count { fill() }
        let value = Int(bits & (1 << UInt64(count) - 1))
        try drop(count)
        return value
    }

    private mutating func symbol(_ code: HuffmanCode) throws -> Int {
        if bitCount < 15 { fill() }
        let entry = code.entries[Int(bits & code.mask)]
        guard entry != 0 else { throw DeflateError.malformed("a code that stands for nothing") }
        try drop(Int(entry & 15))
        return Int(entry >> 4)
    }

    // MARK: Blocks

    private mutating func copyStored() throws {
        try drop(bitCount % 8)
        let length = try take(16), complement = try take(16)
        guard length == ~complement & 0xffff else { throw DeflateError.malformed("a stored block whose length is not sure") }
        position -= bitCount / 8
        bits = 0
        bitCount = 0
        guard position + length <= bytes.count else { throw DeflateError.truncated }
        guard output.count + length <= limit else { throw DeflateError.tooLarge(limit: limit) }
        output += bytes[position ..< position + length]
        position += length
    }

    private mutating func decode(lengths: HuffmanCode, distances: HuffmanCode) throws {
        while true {
            let symbol = try symbol(lengths)
            if symbol < 256 {
                guard output.count < limit else { throw DeflateError.tooLarge(limit: limit) }
                output.append(UInt8(symbol))
                continue
            }
            if symbol == 256 { return }
            guard symbol < 286 else { throw DeflateError.malformed("a length of an unknown kind") }
            let length = Self.lengthBases[symbol - 257] + (try take(Self.lengthBits[symbol - 257]))
            let kind = try self.symbol(distances)
            guard kind < 30 else { throw DeflateError.malformed("a distance of an unknown kind") }
            let distance = Self.distanceBases[kind] + (try take(Self.distanceBits[kind]))
            guard distance <= output.count else { throw DeflateError.malformed("a reference to before the beginning") }
            guard output.count + length <= limit else { throw DeflateError.tooLarge(limit: limit) }
            var source = output.count - distance
            for _ in 0..<length {
                output.append(output[source])
                source += 1
            }
        }
    }

    /// RFC 1951, 3.2.7: the codes of a block, themselves coded.
    private mutating func readCodes() throws -> (HuffmanCode, HuffmanCode) {
        let lengthCount = try take(5) + 257, distanceCount = try take(5) + 1, orderCount = try take(4) + 4
        let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
        var codeLengths = [Int](repeating: 0, count: 19)
        for index in 0..<orderCount { codeLengths[order[index]] = try take(3) }
        let code = try HuffmanCode(codeLengths)
        var all: [Int] = []
        while all.count < lengthCount + distanceCount {
            switch try symbol(code) {
            case 16:
                guard let last = all.last else { throw DeflateError.malformed("a repetition of nothing") }
                all += repeatElement(last, count: 3 + (try take(2)))
            case 17: all += repeatElement(0, count: 3 + (try take(3)))
            case 18: all += repeatElement(0, count: 11 + (try take(7)))
            case let length: all.append(length)
            }
        }
        guard all.count == lengthCount + distanceCount else { throw DeflateError.malformed("more code lengths than it says") }
        return (try HuffmanCode(Array(all[..<lengthCount])), try HuffmanCode(Array(all[lengthCount...])))
    }

    // MARK: Tables (RFC 1951, 3.2.5 and 3.2.6)

    private static let lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
    private static let lengthBases = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
    ]
    private static let distanceBits = (0..<30).map { max(0, $0 / 2 - 1) }
    private static let distanceBases = (0..<30).map { $0 < 2 ? $0 + 1 : 1 + (2 + $0 % 2) << ($0 / 2 - 1) }

    // The lengths are the format's own and make complete codes.
    private static let fixedCodes = (
        try! HuffmanCode((0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 }),
        try! HuffmanCode([Int](repeating: 5, count: 30))
    )
}

/// A canonical prefix code as a table of every possible sequence of bits: symbol << 4 | length, 0 for none.
private struct HuffmanCode {
    private(set) var entries: [UInt16]
    let mask: UInt64

    init(_ lengths: [Int]) throws {
        var counts = [Int](repeating: 0, count: 16)
        for length in lengths where length > 0 { counts[length] += 1 }
        let longest = max(1, counts.lastIndex { $0 > 0 } ?? 1)
        entries = [UInt16](repeating: 0, count: 1 << longest)
        mask = UInt64(entries.count - 1)
        var next = [Int](repeating: 0, count: 17)
        for length in 1...15 {
            next[length + 1] = (next[length] + counts[length]) << 1
            guard next[length] + counts[length] <= 1 << length else {
                throw DeflateError.malformed("more codes than there can be")
            }
        }
        for (symbol, length) in lengths.enumerated() where length > 0 {
            var reversed = 0
            for bit in 0..<length where next[length] >> bit & 1 != 0 { reversed |= 1 << (length - 1 - bit) }
            next[length] += 1
            let entry = UInt16(symbol << 4 | length)
            for index in stride(from: reversed, to: entries.count, by: 1 << length) { entries[index] = entry }
        }
    }
}

// The state of a device as a tree of plain values, and as bytes: CBOR (RFC 8949), of which only definite lengths, no tags and no
// floats are used. Bytes are nobody's word: lengths are those of what is really there, and nesting has a limit.

/// Why a state cannot be written, or is none.
package struct StateError: Error, Equatable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

package enum StateValue: Equatable, Sendable {
    package struct Field: Equatable, Sendable {
        package var name: String
        package var value: StateValue
        package init(_ name: String, _ value: StateValue) {
            self.name = name
            self.value = value
        }
    }

    case null
    case bool(Bool)
    case unsigned(UInt64)
    /// -1 - value.
    case negative(UInt64)
    case bytes([UInt8])
    case text(String)
    case list([StateValue])
    /// In the order of writing; of two fields with one name the first counts.
    case record([Field])

    package subscript(name: String) -> StateValue? {
        guard case .record(let fields) = self else { return nil }
        return fields.first { $0.name == name }?.value
    }
}

// MARK: - Bytes

extension StateValue {
    /// Major types (RFC 8949, 3.1).
    private enum Major {
        static let unsigned: UInt8 = 0, negative: UInt8 = 1, bytes: UInt8 = 2, text: UInt8 = 3, list: UInt8 = 4, record: UInt8 = 5
        static let simple: UInt8 = 7
    }
    private static let falseCode: UInt64 = 20, trueCode: UInt64 = 21, nullCode: UInt64 = 22
    private static let depthLimit = 32

    package var encoded: [UInt8] {
        var result: [UInt8] = []
        append(to: &result)
        return result
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .null: StateValue.head(Major.simple, StateValue.nullCode, &bytes)
        case .bool(let value): StateValue.head(Major.simple, value ? StateValue.trueCode : StateValue.falseCode, &bytes)
        case .unsigned(let value): StateValue.head(Major.unsigned, value, &bytes)
        case .negative(let value): StateValue.head(Major.negative, value, &bytes)
        case .bytes(let value):
            StateValue.head(Major.bytes, UInt64(value.count), &bytes)
            bytes += value
        case .text(let value):
            StateValue.head(Major.text, UInt64(value.utf8.count), &bytes)
            bytes += value.utf8
        case .list(let values):
            StateValue.head(Major.list, UInt64(values.count), &bytes)
            for value in values { value.append(to: &bytes) }
        case .record(let fields):
            StateValue.head(Major.record, UInt64(fields.count), &bytes)
            for field in fields {
                StateValue.text(field.name).append(to: &bytes)
                field.value.append(to: &bytes)
            }
        }
    }

    /// The type and a number: in the first byte when it is below 24, otherwise in the 1, 2, 4 or 8 bytes behind it, the highest
    /// first.
    private static func head(_ major: UInt8, _ number: UInt64, _ bytes: inout [UInt8]) {
        let width = number < 24 ? 0 : number <= 0xff ? 1 : number <= 0xffff ? 2 : number <= 0xffff_ffff ? 4 : 8
        let low = width == 0 ? UInt8(number) : 24 + UInt8(width.trailingZeroBitCount)
        bytes.append(major << 5 | low)
        for index in (0..<width).reversed() { bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * index))) }
    }

    /// - Throws: `StateError` unless the bytes are one value and nothing else.
    package init(encoded bytes: [UInt8]) throws(StateError) {
        var position = 0
        self = try StateValue.read(bytes, &position, depth: 0)
        guard position == bytes.count else { throw StateError("there is something behind its end") }
    }

    private static func read(_ bytes: [UInt8], _ position: inout Int, depth: Int) throws(StateError) -> StateValue {
        guard depth < depthLimit else { throw StateError("it is nested too deep") }
        guard position < bytes.count else { throw StateError("it is cut off") }
        let major = bytes[position] >> 5
        let number = try readNumber(bytes, &position)
        // Every element takes a byte at least.
        let rest = UInt64(bytes.count - position)
        switch major {
        case Major.unsigned: return .unsigned(number)
        case Major.negative: return .negative(number)
        case Major.bytes, Major.text:
            guard number <= rest else { throw StateError("it is cut off") }
            let part = bytes[position..<position + Int(number)]
            position += Int(number)
            if major == Major.bytes { return .bytes(Array(part)) }
            guard let text = String(validating: part, as: UTF8.self) else { throw StateError("a text is not UTF-8") }
            return .text(text)
        case Major.list:
            guard number <= rest else { throw StateError("it is cut off") }
            var values: [StateValue] = []
            for _ in 0..<number { values.append(try read(bytes, &position, depth: depth + 1)) }
            return .list(values)
        case Major.record:
            guard number <= rest / 2 else { throw StateError("it is cut off") }
            var fields: [Field] = []
            for _ in 0..<number {
                guard case .text(let name) = try read(bytes, &position, depth: depth + 1) else {
                    throw StateError("a field has no name")
                }
                fields.append(Field(name, try read(bytes, &position, depth: depth + 1)))
            }
            return .record(fields)
        default:
            switch (major, number) {
            case (Major.simple, falseCode): return .bool(false)
            case (Major.simple, trueCode): return .bool(true)
            case (Major.simple, nullCode): return .null
            default: throw StateError("a value has an unknown type")
            }
        }
    }

    private static func readNumber(_ bytes: [UInt8], _ position: inout Int) throws(StateError) -> UInt64 {
        let low = bytes[position] & 31
        position += 1
        if low < 24 { return UInt64(low) }
        guard low < 28 else { throw StateError("a length is not definite") }
        let width = 1 << Int(low - 24)
        guard bytes.count - position >= width else { throw StateError("it is cut off") }
        defer { position += width }
        return bytes[position..<position + width].reduce(0) { $0 << 8 | UInt64($1) }
    }
}

// Between `Codable` structs and `StateValue`: a struct is a record of its stored properties, `[UInt8]` is bytes, nil is left out.

extension StateValue {
    /// - Throws: `StateError` for what no state has: floats.
    package init<Value: Encodable>(encoding value: Value) throws {
        if let flag = value as? Bool {
            self = .bool(flag)
        } else if let text = value as? String {
            self = .text(text)
        } else if Value.self == [UInt8].self, let bytes = value as? [UInt8] {
            self = .bytes(bytes)
        } else if let number = value as? any BinaryInteger {
            self = StateValue.integer(number)
        } else if value is any BinaryFloatingPoint {
            throw StateError("a float has no place in a state")
        } else {
            let encoder = StateEncoder()
            try value.encode(to: encoder)
            self = encoder.value
        }
    }

    /// - Throws: `StateError` when the value is no such thing; the text starts with the name of what is wrong.
    package func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        if type == Bool.self, case .bool(let value) = self { return value as! Value }
        if type == String.self, case .text(let value) = self { return value as! Value }
        if type == [UInt8].self, case .bytes(let value) = self { return value as! Value }
        if let integer = type as? any FixedWidthInteger.Type { return try decodeInteger(integer) as! Value }
        guard type != Bool.self, type != String.self, type != [UInt8].self, !(type is any BinaryFloatingPoint.Type) else {
            throw StateError(": not of the right kind")
        }
        // What enumerations throw of themselves.
        do { return try Value(from: StateDecoder(value: self)) } catch is DecodingError {
            throw StateError(": not one of its values")
        }
    }

    private static func integer<Number: BinaryInteger>(_ number: Number) -> StateValue {
        number < 0 ? .negative(UInt64(truncatingIfNeeded: ~number)) : .unsigned(UInt64(truncatingIfNeeded: number))
    }

    private func decodeInteger<Number: FixedWidthInteger>(_: Number.Type) throws -> Number {
        switch self {
        case .unsigned(let value): if let number = Number(exactly: value) { return number }
        case .negative(let value): if value < 1 << 63, let number = Number(exactly: ~Int64(value)) { return number }
        default: throw StateError(": not a number")
        }
        throw StateError(": a number that is too large")
    }
}

// MARK: - Encoding

private final class StateEncoder: Encoder {
    var value = StateValue.null
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        value = .record([])
        return KeyedEncodingContainer(Keyed<Key>(encoder: self))
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        value = .list([])
        return Unkeyed(encoder: self)
    }
    func singleValueContainer() -> any SingleValueEncodingContainer { Single(encoder: self) }

    func add(_ name: String, _ new: StateValue) {
        guard case .record(var fields) = value else { return }
        value = .null // so that the array is not copied
        fields.append(.init(name, new))
        value = .record(fields)
    }

    func add(_ new: StateValue) {
        guard case .list(var values) = value else { return }
        value = .null
        values.append(new)
        value = .list(values)
    }

    struct Keyed<Key: CodingKey>: KeyedEncodingContainerProtocol {
        let encoder: StateEncoder
        var codingPath: [any CodingKey] { [] }
        func encodeNil(forKey key: Key) { encoder.add(key.stringValue, .null) }
        func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
            encoder.add(key.stringValue, try StateValue(encoding: value))
        }
        func nestedContainer<N: CodingKey>(keyedBy: N.Type, forKey: Key) -> KeyedEncodingContainer<N> {
            preconditionFailure("no nested containers")
        }
        func nestedUnkeyedContainer(forKey: Key) -> any UnkeyedEncodingContainer { preconditionFailure("no nested containers") }
        func superEncoder() -> any Encoder { preconditionFailure("no classes") }
        func superEncoder(forKey: Key) -> any Encoder { preconditionFailure("no classes") }
    }

    struct Unkeyed: UnkeyedEncodingContainer {
        let encoder: StateEncoder
        var codingPath: [any CodingKey] { [] }
        var count: Int { if case .list(let values) = encoder.value { values.count } else { 0 } }
        func encodeNil() { encoder.add(.null) }
        func encode<T: Encodable>(_ value: T) throws { encoder.add(try StateValue(encoding: value)) }
        func nestedContainer<N: CodingKey>(keyedBy: N.Type) -> KeyedEncodingContainer<N> {
            preconditionFailure("no nested containers")
        }
        func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { preconditionFailure("no nested containers") }
        func superEncoder() -> any Encoder { preconditionFailure("no classes") }
    }

    struct Single: SingleValueEncodingContainer {
        let encoder: StateEncoder
        var codingPath: [any CodingKey] { [] }
        func encodeNil() { encoder.value = .null }
        func encode<T: Encodable>(_ value: T) throws { encoder.value = try StateValue(encoding: value) }
    }
}

// MARK: - Decoding

private struct StateDecoder: Decoder {
    let value: StateValue
    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .record(let fields) = value else { throw StateError(": not a record") }
        return KeyedDecodingContainer(Keyed<Key>(fields: fields))
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .list(let values) = value else { throw StateError(": not a list") }
        return Unkeyed(values: values)
    }
    func singleValueContainer() -> any SingleValueDecodingContainer { Single(value: value) }

    struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let fields: [StateValue.Field]
        var codingPath: [any CodingKey] { [] }
        var allKeys: [Key] { fields.compactMap { Key(stringValue: $0.name) } }
        private func find(_ key: Key) -> StateValue? { fields.first { $0.name == key.stringValue }?.value }
        func contains(_ key: Key) -> Bool { find(key) != nil }
        func decodeNil(forKey key: Key) -> Bool { find(key) == .null }
        func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
            guard let value = find(key) else { throw StateError(".\(key.stringValue): missing") }
            do { return try value.decode(type) } catch let error as StateError {
                throw StateError(".\(key.stringValue)\(error.description)")
            }
        }
        func nestedContainer<N: CodingKey>(keyedBy: N.Type, forKey: Key) throws -> KeyedDecodingContainer<N> {
            throw StateError(": no nested containers")
        }
        func nestedUnkeyedContainer(forKey: Key) throws -> any UnkeyedDecodingContainer {
            throw StateError(": no nested containers")
        }
        func superDecoder() throws -> any Decoder { throw StateError(": no classes") }
        func superDecoder(forKey: Key) throws -> any Decoder { throw StateError(": no classes") }
    }

    struct Unkeyed: UnkeyedDecodingContainer {
        let values: [StateValue]
        var currentIndex = 0
        var codingPath: [any CodingKey] { [] }
        var count: Int? { values.count }
        var isAtEnd: Bool { currentIndex >= values.count }

        init(values: [StateValue]) { self.values = values }

        mutating func decodeNil() -> Bool {
            guard !isAtEnd, values[currentIndex] == .null else { return false }
            currentIndex += 1
            return true
        }
        mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
            guard !isAtEnd else { throw StateError("[\(currentIndex)]: missing") }
            let index = currentIndex
            currentIndex += 1
            do { return try values[index].decode(type) } catch let error as StateError {
                throw StateError("[\(index)]\(error.description)")
            }
        }
        func nestedContainer<N: CodingKey>(keyedBy: N.Type) throws -> KeyedDecodingContainer<N> {
            throw StateError(": no nested containers")
        }
        func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { throw StateError(": no nested containers") }
        func superDecoder() throws -> any Decoder { throw StateError(": no classes") }
    }

    struct Single: SingleValueDecodingContainer {
        let value: StateValue
        var codingPath: [any CodingKey] { [] }
        func decodeNil() -> Bool { value == .null }
        func decode<T: Decodable>(_ type: T.Type) throws -> T { try value.decode(type) }
    }
}

/// A state inside of another, as it is.
package struct StateTree: Codable {
    package let value: StateValue
    package init(_ value: StateValue) { self.value = value }

    package init(from decoder: any Decoder) throws {
        guard let decoder = decoder as? StateDecoder else { throw StateError(": not a state") }
        value = decoder.value
    }

    package func encode(to encoder: any Encoder) throws {
        guard let encoder = encoder as? StateEncoder else { throw StateError(": not a state") }
        encoder.value = value
    }
}

// gzip files (RFC 1952): kernels come compressed.

import DeviceModel

/// Why a gzip file cannot be unpacked.
package enum GzipError: Error, Equatable, CustomStringConvertible {
    case notGzip
    case truncated
    /// The data contradicts itself; what is wrong with it.
    case malformed(String)

    package var description: String {
        switch self {
        case .notGzip: "no gzip data"
        case .truncated: "the compressed data is cut off"
        case .malformed(let what): "the compressed data is damaged: \(what)"
        }
    }
}

/// gzip files: a header, deflated data, a checksum; any number of them one behind the other.
package enum Gzip {
    package static func isGzip(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x1f, 0x8b, 8]) }

    /// - Parameter limit: bytes that the result may have.
    /// - Throws: `GzipError` and `DeflateError`.
    package static func unpack(_ bytes: [UInt8], limit: Int) throws -> [UInt8] {
        guard isGzip(bytes) else { throw GzipError.notGzip }
        var output: [UInt8] = []
        var position = 0
        // What stands behind the last member and is none is padding, as gzip(1) takes it.
        while position == 0 || Array(bytes[position...].prefix(3)) == [0x1f, 0x8b, 8] {
            let start = output.count
            let data = try headerEnd(bytes, position)
            position = try Deflate.unpack(bytes, at: data, appendingTo: &output, limit: limit)
            guard position + 8 <= bytes.count else { throw GzipError.truncated }
            let checksum = word(bytes, position), length = word(bytes, position + 4)
            guard length == UInt32(truncatingIfNeeded: output.count - start) else {
                throw GzipError.malformed("its length is not as it says")
            }
            guard checksum == crc32(output[start...]) else { throw GzipError.malformed("its checksum is not as it says") }
            position += 8
        }
        return output
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
    }

    /// RFC 1952, 2.3: the offset behind the header with its optional fields.
    private static func headerEnd(_ bytes: [UInt8], _ start: Int) throws -> Int {
        guard start + 10 <= bytes.count else { throw GzipError.truncated }
        let hasHeaderChecksum: UInt8 = 2, hasExtra: UInt8 = 4, hasName: UInt8 = 8, hasComment: UInt8 = 16
        let flags = bytes[start + 3]
        var position = start + 10
        if flags & hasExtra != 0 {
            guard position + 2 <= bytes.count else { throw GzipError.truncated }
            position += 2 + Int(bytes[position]) + Int(bytes[position + 1]) << 8
        }
        for text in [hasName, hasComment] where flags & text != 0 {
            guard position < bytes.count, let end = bytes[position...].firstIndex(of: 0) else { throw GzipError.truncated }
            position = end + 1
        }
        if flags & hasHeaderChecksum != 0 { position += 2 }
        guard position <= bytes.count else { throw GzipError.truncated }
        return position
    }

    private static let checksumTable: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 != 0 ? value >> 1 ^ 0xedb8_8320 : value >> 1 }
    }

    package static func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        checksumTable.withUnsafeBufferPointer { table in
            ~bytes.reduce(~UInt32(0)) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
        }
    }
}

// 9P messages: size[4] type[1] tag[2], then little-endian fields; strings with a length of two bytes (9P2000.L, as Linux' v9fs
// speaks).

enum NinePType {
    static let lerror: UInt8 = 7, statfs: UInt8 = 8, lopen: UInt8 = 12, lcreate: UInt8 = 14, symlink: UInt8 = 16,
        mknod: UInt8 = 18
    static let rename: UInt8 = 20, readlink: UInt8 = 22, getattr: UInt8 = 24, setattr: UInt8 = 26, xattrwalk: UInt8 = 30
    static let xattrcreate: UInt8 = 32, readdir: UInt8 = 40, fsync: UInt8 = 50, lock: UInt8 = 52, getlock: UInt8 = 54,
        link: UInt8 = 70
    static let mkdir: UInt8 = 72, renameat: UInt8 = 74, unlinkat: UInt8 = 76, version: UInt8 = 100, auth: UInt8 = 102,
        attach: UInt8 = 104
    static let flush: UInt8 = 108, walk: UInt8 = 110, read: UInt8 = 116, write: UInt8 = 118, clunk: UInt8 = 120,
        remove: UInt8 = 122
}

/// Reads fields; what is not there is EINVAL.
struct NinePReader {
    let bytes: [UInt8]
    var position = 7

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private static let invalid = FileError(22)

    mutating func word<Word: FixedWidthInteger>(_: Word.Type = Word.self) throws(FileError) -> Word {
        guard bytes.count - position >= MemoryLayout<Word>.size else { throw NinePReader.invalid }
        defer { position += MemoryLayout<Word>.size }
        return bytes.word(position)
    }

    mutating func string() throws(FileError) -> [UInt8] {
        let count = Int(try word(UInt16.self))
        return try data(count)
    }

    mutating func data(_ count: Int) throws(FileError) -> [UInt8] {
        guard count >= 0, bytes.count - position >= count else { throw NinePReader.invalid }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    /// The name of an entry of a directory.
    mutating func name() throws(FileError) -> FileName {
        let result = try string()
        try SharedDirectory.check(result)
        return result
    }
}

extension Array<UInt8> {
    mutating func append(string: [UInt8]) {
        append(word: UInt16(truncatingIfNeeded: string.count))
        append(contentsOf: string)
    }
}

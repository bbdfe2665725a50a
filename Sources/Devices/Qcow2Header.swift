// The header of a qcow2 image, versions 2 and 3 (qcow2 specification in QEMU's documents, "Header"). Everything in it is checked:
// images come from elsewhere.

import DeviceModel

struct Qcow2Header {
    static let magic: UInt32 = 0x5146_49fb
    static let versionTwoBytes: UInt32 = 72, versionThreeBytes: UInt32 = 104

    var version: UInt32 = 3
    var backingOffset: UInt64 = 0
    var backingByteCount: UInt32 = 0
    var clusterBits: UInt32 = 16
    var byteCount: UInt64 = 0
    var encryption: UInt32 = 0
    var l1Count: UInt32 = 0
    var l1Offset: UInt64 = 0
    var refcountTableOffset: UInt64 = 0
    var refcountTableClusters: UInt32 = 0
    var snapshotCount: UInt32 = 0
    var snapshotsOffset: UInt64 = 0
    var incompatible: UInt64 = 0
    var compatible: UInt64 = 0
    var autoclear: UInt64 = 0
    var refcountOrder: UInt32 = 4
    var headerByteCount = Qcow2Header.versionThreeBytes
    var compression: UInt8 = 0
    var backingPath: String?
    var backingFormat: String?

    static let dirty: UInt64 = 1, corrupt: UInt64 = 2, externalData: UInt64 = 4, compressionType: UInt64 = 8,
        extendedL2: UInt64 = 16

    var clusterBytes: UInt64 { 1 << UInt64(clusterBits) }

    static func isAtStart(of file: ImageFile) throws(BackendError) -> Bool {
        try BigEndian.word(file.read(at: 0, byteCount: 8), 0) as UInt32 == magic
    }

    init() {}

    /// - Throws: `BackendError` for an image that is damaged, or of a kind that is not supported.
    init(_ file: ImageFile) throws(BackendError) {
        let bytes = try file.read(at: 0, byteCount: 112)
        guard BigEndian.word(bytes, 0) as UInt32 == Qcow2Header.magic else {
            throw BackendError("\(file.path) is not a qcow2 image: name its format, for instance raw")
        }
        read(bytes)
        try check(file)
        try readExtensions(file)
        if backingOffset != 0 {
            guard backingByteCount <= 1023, backingOffset <= clusterBytes else {
                throw Qcow2Header.damaged(file, "the name of its backing file")
            }
            backingPath = String(decoding: try file.read(at: backingOffset, byteCount: Int(backingByteCount)), as: UTF8.self)
        }
    }

    private mutating func read(_ bytes: [UInt8]) {
        version = BigEndian.word(bytes, 4)
        backingOffset = BigEndian.word(bytes, 8)
        backingByteCount = BigEndian.word(bytes, 16)
        clusterBits = BigEndian.word(bytes, 20)
        byteCount = BigEndian.word(bytes, 24)
        encryption = BigEndian.word(bytes, 32)
        l1Count = BigEndian.word(bytes, 36)
        l1Offset = BigEndian.word(bytes, 40)
        refcountTableOffset = BigEndian.word(bytes, 48)
        refcountTableClusters = BigEndian.word(bytes, 56)
        snapshotCount = BigEndian.word(bytes, 60)
        snapshotsOffset = BigEndian.word(bytes, 64)
        headerByteCount = Qcow2Header.versionTwoBytes
        guard version >= 3 else { return }
        incompatible = BigEndian.word(bytes, 72)
        compatible = BigEndian.word(bytes, 80)
        autoclear = BigEndian.word(bytes, 88)
        refcountOrder = BigEndian.word(bytes, 96)
        headerByteCount = BigEndian.word(bytes, 100)
        if headerByteCount > Qcow2Header.versionThreeBytes { compression = bytes[104] }
    }

    static func damaged(_ file: ImageFile, _ what: String) -> BackendError {
        BackendError("the qcow2 image \(file.path) is damaged (\(what)): repair it with qemu-img check -r all")
    }

    private func check(_ file: ImageFile) throws(BackendError) {
        let unsupported = { (what: String) in
            BackendError(
                "the qcow2 image \(file.path) \(what), which is not supported: convert it with qemu-img convert -O qcow2")
        }
        guard version == 2 || version == 3 else { throw unsupported("has version \(version)") }
        if encryption != 0 { throw unsupported("is encrypted") }
        if incompatible & Qcow2Header.externalData != 0 { throw unsupported("has its data in another file") }
        if incompatible & Qcow2Header.extendedL2 != 0 { throw unsupported("has subclusters") }
        if compression != 0 { throw unsupported("is compressed with zstd") }
        if incompatible & ~31 != 0 { throw unsupported("has unknown features") }
        if file.isWritable && incompatible & (Qcow2Header.dirty | Qcow2Header.corrupt) != 0 {
            throw Qcow2Header.damaged(file, "it was not closed, or found damaged before")
        }
        guard (9...21).contains(clusterBits) else { throw Qcow2Header.damaged(file, "its cluster size") }
        guard refcountOrder <= 6, version == 3 || refcountOrder == 4 else {
            throw Qcow2Header.damaged(file, "its refcount width")
        }
        let mask = clusterBytes - 1, perTable = clusterBytes / 8
        guard byteCount <= 1 << 62, l1Count <= 4 << 20, l1Offset & mask == 0, l1Offset < 1 << 56,
            UInt64(l1Count) >= (byteCount + clusterBytes - 1) / clusterBytes / perTable
                + ((byteCount + clusterBytes - 1) / clusterBytes % perTable == 0 ? 0 : 1)
        else { throw Qcow2Header.damaged(file, "its L1 table") }
        guard refcountTableOffset & mask == 0, refcountTableOffset < 1 << 56, refcountTableOffset != 0,
            UInt64(refcountTableClusters) << UInt64(clusterBits) <= 8 << 20, refcountTableClusters > 0
        else { throw Qcow2Header.damaged(file, "its refcount table") }
        let end = file.byteCount
        guard l1Count == 0 || l1Offset + UInt64(l1Count) * 8 <= end, refcountTableOffset < end else {
            throw Qcow2Header.damaged(file, "it is cut off in front of its tables")
        }
        let isHeaderSound = headerByteCount >= Qcow2Header.versionThreeBytes && UInt64(headerByteCount) <= clusterBytes
        guard version == 2 || (isHeaderSound && headerByteCount & 7 == 0) else {
            throw Qcow2Header.damaged(file, "its header")
        }
    }

    /// Only the format of the backing file matters; the others are for the tools of others.
    private mutating func readExtensions(_ file: ImageFile) throws(BackendError) {
        var place = UInt64(headerByteCount)
        let end = backingOffset > place && backingOffset < clusterBytes ? backingOffset : clusterBytes
        while place + 8 <= end {
            let head = try file.read(at: place, byteCount: 8)
            let type: UInt32 = BigEndian.word(head, 0), length: UInt32 = BigEndian.word(head, 4)
            if type == 0 { return }
            guard UInt64(length) <= end - place - 8 else { throw Qcow2Header.damaged(file, "a header extension") }
            if type == 0xe279_2aca {
                backingFormat = String(decoding: try file.read(at: place + 8, byteCount: Int(length)), as: UTF8.self)
            }
            place += 8 + (UInt64(length) + 7) & ~7
        }
    }
}

/// Words as network protocols and qcow2 store them.
enum BigEndian {
    static func word<Word: FixedWidthInteger>(_ bytes: [UInt8], _ offset: Int) -> Word {
        var result: Word = 0
        for index in 0..<MemoryLayout<Word>.size { result = result << 8 | Word(truncatingIfNeeded: bytes[offset + index]) }
        return result
    }

    static func bytes<Word: FixedWidthInteger>(_ words: [Word]) -> [UInt8] {
        words.flatMap { word in
            stride(from: Word.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> Word($0)) }
        }
    }

    /// Words from a table's bytes.
    static func words(_ bytes: [UInt8]) -> [UInt64] {
        bytes.withUnsafeBytes { buffer in
            (0..<bytes.count / 8).map { UInt64(bigEndian: buffer.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)) }
        }
    }

    static func store(_ words: [UInt64]) -> [UInt8] {
        words.map(\.bigEndian).withUnsafeBytes { Array($0) }
    }
}

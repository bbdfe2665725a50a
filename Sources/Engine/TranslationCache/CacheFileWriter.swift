// Puts the bytes of a file of the translation cache together.

import CHost
import Guest

struct CacheFileWriter {
    private let content: CacheContent
    private let refusals: [StoredLoop]
    private var units: [CacheFileUnit] = []
    private var bytes: [UInt8]

    /// - Parameters:
    ///   - unitCount: that of the units to come, at most; `unitByteCount` is what they have together.
    ///   - refusals: loops of which no region was made.
    init(_ content: CacheContent, unitCount: Int, unitByteCount: Int, refusals: [StoredLoop] = []) {
        self.content = content
        self.refusals = Array(refusals.prefix(CacheFile.refusalLimit))
        var header = CacheFileHeader()
        header.unitCount = UInt32(unitCount)
        header.refusalCount = UInt64(self.refusals.count)
        let bodyStart = (CacheFileHeader.byteCount + header.tableByteCount + 15) & ~15
        bytes = [UInt8](repeating: 0, count: bodyStart)
        bytes.reserveCapacity(bodyStart + unitByteCount)
    }

    /// Adds a unit; its offset, size and digest are filled in.
    mutating func add(_ unit: CacheFileUnit, _ unitBytes: UnsafeRawBufferPointer) {
        var unit = unit
        unit.offset = UInt64(bytes.count)
        unit.byteCount = UInt32(unitBytes.count)
        unit.digest = mynah_digest(unitBytes.baseAddress!, unitBytes.count, UInt64(unit.page))
        units.append(unit)
        bytes.append(contentsOf: unitBytes)
    }

    /// Adds a unit of another file as it is there; nothing when it is damaged.
    mutating func add(_ number: Int, of file: CacheFile, _ scratch: inout CacheScratch) {
        guard let bytes = file.bytes(of: number, into: &scratch) else { return }
        add(file.unit(number), UnsafeRawBufferPointer(bytes))
    }

    /// The file of a mapping's translations; nil when it would be too large.
    mutating func finish(_ origin: CodeOrigin, _ identity: CacheIdentity) -> [UInt8]? {
        guard units.count <= CacheFile.unitLimit, bytes.count <= CacheFile.byteLimit else { return nil }
        units.sort { $0.page < $1.page }
        var header = CacheFileHeader()
        header.content = content.rawValue
        header.unitCount = UInt32(units.count)
        header.refusalCount = UInt64(refusals.count)
        header.identity = identity
        header.device = origin.device
        header.inode = origin.inode
        header.sourceByteCount = origin.byteCount
        header.sourceModified = origin.modified
        header.base = CodeGroup.fixedBase(of: origin)
        header.byteCount = UInt64(bytes.count)
        header.blockCount = units.reduce(0) { $0 + UInt64($1.blockCount) }
        header.digest = CacheFile.digest(of: header)
        bytes.withUnsafeMutableBytes { bytes in
            func put<Record>(_ records: [Record], at offset: Int) {
                records.withUnsafeBytes { records in
                    if !records.isEmpty { UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]).copyMemory(from: records) }
                }
            }
            put(units, at: CacheFileHeader.byteCount)
            put(refusals, at: CacheFileHeader.byteCount + header.unitTableByteCount)
            let table = bytes.baseAddress! + CacheFileHeader.byteCount
            header.tableDigest = mynah_digest(table, header.tableByteCount, header.digest)
            bytes.storeBytes(of: header, as: CacheFileHeader.self)
        }
        return bytes
    }
}

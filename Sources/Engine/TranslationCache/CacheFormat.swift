// What a file of the translation cache holds: plain records, in the byte order and layout of this machine; a file is of one
// build.
//
//   header │ table of units, sorted by page │ refused loops │ units
//   unit:  header │ blocks │ links │ inline caches │ positions │ deferring code │ deferred writes │ relocations │ ranges │ homes
//          │ proofs │ proof bytes │ code
//
// A file has the translations of one file of the guest: either blocks, a unit for those that start in one page of it, or
// regions, a unit for each. Addresses of the guest count from the file's first byte, offsets in code from the start of the unit's.
// The proofs are the guest's bytes that the translations were made of: a unit is used only where the guest's memory holds the same.

import X86Backend

/// The head of a file.
struct CacheFileHeader {
    static let magic: UInt64 = 0x6568_6361_6368_796d, version: UInt32 = 5

    var magic = CacheFileHeader.magic
    var version = CacheFileHeader.version
    var unitCount: UInt32 = 0
    var identity = CacheIdentity()
    var device: UInt64 = 0
    var inode: UInt64 = 0
    var sourceByteCount: UInt64 = 0
    var sourceModified: UInt64 = 0
    /// Where the guest's file must be; 0 for anywhere.
    var base: UInt64 = 0
    /// Bytes of this file.
    var byteCount: UInt64 = 0
    var blockCount: UInt64 = 0
    var content = CacheContent.blocks.rawValue
    var refusalCount: UInt64 = 0
    /// Of the table of units, and what follows it.
    var tableDigest: UInt64 = 0
    /// Of the fields before.
    var digest: UInt64 = 0

    static let byteCount = MemoryLayout<CacheFileHeader>.stride
    /// Of the table of units, and of the refused loops.
    var unitTableByteCount: Int { Int(unitCount) * MemoryLayout<CacheFileUnit>.stride }
    var tableByteCount: Int { unitTableByteCount + Int(refusalCount) * MemoryLayout<StoredLoop>.stride }
}

/// What a file has.
enum CacheContent: UInt64, CaseIterable {
    case blocks = 0, regions

    /// How the file's name ends.
    var suffix: String { self == .blocks ? ".translations" : ".regions" }

    init?(ofFile name: String) {
        guard let content = CacheContent.allCases.first(where: { name.hasSuffix($0.suffix) }) else { return nil }
        self = content
    }
}

/// Where a loop starts.
struct StoredLoop: Hashable {
    var address: Int64
    var mode: UInt32
    var unused: UInt32 = 0
}

/// One unit in the table.
struct CacheFileUnit {
    /// Number of the page, in the guest's file.
    var page: UInt32
    var blockCount: UInt32
    var offset: UInt64
    var byteCount: UInt32
    /// Of a region, with its address.
    var mode: UInt32 = 0
    var address: Int64 = 0
    var digest: UInt64
}

struct CacheUnitHeader {
    var blockCount: UInt32 = 0
    var linkCount: UInt32 = 0
    var cacheCount: UInt32 = 0
    /// Bytes of `EncodedPositions`.
    var positionByteCount: UInt32 = 0
    var deferringCount: UInt32 = 0
    var writeCount: UInt32 = 0
    var relocationCount: UInt32 = 0
    var rangeCount: UInt32 = 0
    var homeCount: UInt32 = 0
    var proofCount: UInt32 = 0
    var proofByteCount: UInt32 = 0
    var codeByteCount: UInt32 = 0
}

struct StoredBlock {
    var address: Int64
    var mode: UInt32
    var code: UInt32
    var byteCount: UInt32
    /// From the block's code.
    var loopEntry: UInt32
    var firstLink: UInt32
    var linkCount: UInt32
    /// Bytes of `EncodedPositions`, and where they start.
    var positions: UInt32
    var positionByteCount: UInt32
    var firstRange: UInt32
    var rangeCount: UInt32
    /// 0 when they are those between translations.
    var homeCount: UInt32
    var firstHome: UInt32
    var instructionCount: UInt32
    var firstDeferring: UInt32
    var deferringCount: UInt32
    var firstWrite: UInt32
    var writeCount: UInt32
    /// How often a region was made anew, as it lacked ways that were taken.
    var revision: UInt32 = 0
}

/// Code, from the start of the block's, in which a fault finds writes deferred.
struct StoredDeferringCode {
    var start: UInt32
    var end: UInt32
    /// From the block's first.
    var firstWrite: UInt32
    var writeCount: UInt32
}

struct StoredLink {
    static let noField = UInt32.max

    var target: Int64
    var field: UInt32
    var stub: UInt32
    var kind: UInt8
    var isBackward: UInt8
    /// It was patched to go to its target.
    var isTaken: UInt8
    /// See `LinkSite.isReentry`.
    var isReentry: UInt8 = 0
    /// The block that it belongs to.
    var block: UInt32
}

struct StoredCache {
    var address: Int64
    var target: UInt32
    var hit: UInt32
    var miss: UInt32
    var lookup: UInt32
    /// See `InlineCache.cases`.
    var firstCase: UInt32
    var caseCount: UInt32
}

struct StoredRange {
    var start: Int64
    var byteCount: UInt32
    var unused: UInt32 = 0
}

struct StoredHome {
    var offset: Int32
    var register: UInt8
    var isVector: UInt8
    var unused: UInt16 = 0
}

/// A relocation: the offset, and the kind in the low bits.
struct StoredRelocation {
    var bits: UInt32
    static let kindBits: UInt32 = 3
}

/// Where the parts of a unit are.
struct CacheUnitLayout {
    var blocks = 0, links = 0, caches = 0, positions = 0, deferring = 0, writes = 0, relocations = 0, ranges = 0, homes = 0
    var proofs = 0, proofBytes = 0, code = 0
    var byteCount = 0

    init(_ header: CacheUnitHeader) {
        var offset = MemoryLayout<CacheUnitHeader>.size
        func place(_ count: UInt32, _ bytes: Int) -> Int {
            offset = (offset + 7) & ~7
            defer { offset += Int(count) * bytes }
            return offset
        }
        blocks = place(header.blockCount, MemoryLayout<StoredBlock>.stride)
        links = place(header.linkCount, MemoryLayout<StoredLink>.stride)
        caches = place(header.cacheCount, MemoryLayout<StoredCache>.stride)
        positions = place(header.positionByteCount, 1)
        deferring = place(header.deferringCount, MemoryLayout<StoredDeferringCode>.stride)
        writes = place(header.writeCount, MemoryLayout<StoredDeferredWrite>.stride)
        relocations = place(header.relocationCount, MemoryLayout<StoredRelocation>.stride)
        ranges = place(header.rangeCount, MemoryLayout<StoredRange>.stride)
        homes = place(header.homeCount, MemoryLayout<StoredHome>.stride)
        proofs = place(header.proofCount, MemoryLayout<StoredRange>.stride)
        proofBytes = place(header.proofByteCount, 1)
        code = place(header.codeByteCount, 1)
        byteCount = (offset + 15) & ~15
    }
}

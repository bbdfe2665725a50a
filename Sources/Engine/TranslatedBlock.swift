// A translation that is in the code cache: where its code is, and what of the engine's tables belongs to it.

import Guest
import X86Backend

/// There are many, so it is small, and plain data: what it has several of is in tables of the engine.
struct TranslatedBlock {
    let key: BlockKey
    let entry: UInt64
    private let innerOffset: UInt32
    private let loopOffset: UInt32
    private let codeByteCount: UInt32
    private let firstRange: UInt32, rangeCount: UInt32
    private let firstLinkNumber: UInt32, linkNumberCount: UInt32
    private let firstPosition: UInt32, positionByteCount: UInt32
    private let firstDeferring: UInt32, deferringCount: UInt32
    private let firstWrite: UInt32
    /// What home registers hold, by `Engine.homeLists`.
    let homeList: UInt32
    /// The last of the links that are patched to jump here, -1 for none; `nextIncoming` has the others.
    var lastIncoming: Int32 = -1
    /// The last of the inline caches that are patched to jump here, -1 for none; `InlineCache.nextIncoming` has the others.
    var lastIncomingCache: Int32 = -1
    var isRegion = false
    var isValid = true
    /// There may be an inline cache in it.
    let mayHaveCache: Bool
    /// It came from the cache on disk: `deferringCode` are places in the tables for that.
    let isStored: Bool

    /// - Parameters:
    ///   - innerEntry, loopEntry: see `Translation`.
    ///   - firstWrite: where its deferred writes start, when it came from the cache on disk.
    init(
        key: BlockKey, entry: UInt64, innerEntry: UInt64, loopEntry: UInt64, byteCount: Int, ranges: Range<Int>,
        links: Range<Int>, positions: Range<Int>, deferringCode: Range<Int>, homeList: Int, mayHaveCache: Bool,
        isStored: Bool = false, firstWrite: Int = 0
    ) {
        self.key = key
        self.entry = entry
        innerOffset = UInt32(innerEntry - entry)
        loopOffset = UInt32(loopEntry - entry)
        codeByteCount = UInt32(byteCount)
        firstRange = UInt32(ranges.lowerBound)
        rangeCount = UInt32(ranges.count)
        firstLinkNumber = UInt32(links.lowerBound)
        linkNumberCount = UInt32(links.count)
        firstPosition = UInt32(positions.lowerBound)
        positionByteCount = UInt32(positions.count)
        firstDeferring = UInt32(deferringCode.lowerBound)
        deferringCount = UInt32(deferringCode.count)
        self.firstWrite = UInt32(firstWrite)
        self.homeList = UInt32(homeList)
        self.mayHaveCache = mayHaveCache
        self.isStored = isStored
    }

    /// Where transfers enter that need not check the page.
    var innerEntry: UInt64 { entry + UInt64(innerOffset) }
    /// Where transfers backwards enter.
    var loopEntry: UInt64 { entry + UInt64(loopOffset) }
    var byteCount: Int { Int(codeByteCount) }
    /// The guest code that it depends on.
    var ranges: Range<Int> { Int(firstRange) ..< Int(firstRange) + Int(rangeCount) }
    var firstLink: Int { Int(firstLinkNumber) }
    var linkCount: Int { Int(linkNumberCount) }
    /// Bytes, see `EncodedPositions`.
    var positions: Range<Int> { Int(firstPosition) ..< Int(firstPosition) + Int(positionByteCount) }
    var deferringCode: Range<Int> { Int(firstDeferring) ..< Int(firstDeferring) + Int(deferringCount) }
    var firstStoredWrite: Int { Int(firstWrite) }
}

struct BlockKey: Hashable {
    var address: UInt64
    var mode: TranslationMode
    /// Machine mode: the number of the page of code, see `Engine+Pages`; 0 in user mode.
    var page: UInt32 = 0
    /// The same of the next page, when an instruction across the two is translated.
    var secondPage: UInt32 = 0

    func hash(into hasher: inout Hasher) {
        hasher.combine(address ^ UInt64(mode.rawValue) << 48 ^ UInt64(page) << 1 ^ UInt64(secondPage) << 33)
    }
}

// The engine's side of the translation cache: which guest code belongs to which file of it, what was loaded from there, and what
// is to go there at the end. Everything is done with the engine's lock held.

import CHost
import Guest
import X86Backend

/// A mapping of a file of the guest, and what the cache has for it.
final class CodeGroup {
    let origin: CodeOrigin
    let regions = RegionStore()
    private(set) var file: CacheFile?
    /// A bit for each page of the mapping whose units were looked for.
    private var tried: [UInt64]
    /// Translations of this run that the cache lacks, by page.
    private(set) var pending: [UInt32: CacheUnitBuilder] = [:]
    private(set) var pendingCount = 0
    /// How many translations may be made at once, not only when they turn out hot: what was run before is likely to be run again,
    /// and a part of it more each time becomes what the cache has.
    private(set) var eagerCount: Int

    init(_ origin: CodeOrigin, file: CacheFile?) {
        self.origin = origin
        self.file = file
        let known = Int(file?.header.blockCount ?? 0)
        eagerCount = known == 0 ? 0 : max(CodeGroup.leastEager, known / CodeGroup.eagerPart)
        tried = Array(repeating: 0, count: Int((origin.range.upperBound - origin.range.lowerBound) >> 18) + 1)
    }

    private static let leastEager = 100, eagerPart = 8

    func spendEager() -> Bool {
        guard eagerCount > 0 else { return false }
        eagerCount -= 1
        return true
    }

    func builder(for page: UInt32, codeStart: UInt64) -> CacheUnitBuilder {
        if let known = pending[page] { return known }
        let builder = CacheUnitBuilder(base: origin.base, codeStart: codeStart)
        pending[page] = builder
        return builder
    }

    func notePending() { pendingCount += 1 }

    func dropPending() {
        pending.removeAll()
        pendingCount = 0
    }

    /// True once for each page of the mapping that `address` may lie in.
    func tries(_ address: UInt64) -> Bool {
        let page = Int((address - origin.range.lowerBound) >> 12)
        let bit: UInt64 = 1 << UInt64(page & 63)
        if tried[page >> 6] & bit != 0 { return false }
        tried[page >> 6] |= bit
        return true
    }

    /// The code cache was emptied: everything may be loaded again, and what is pending has no links any more.
    func reset() {
        for index in tried.indices { tried[index] = 0 }
        dropPending()
        regions.reset()
    }

    /// Whether code in the range is of this mapping.
    func contains(_ range: Range<UInt64>) -> Bool {
        !range.isEmpty && range.lowerBound >= origin.range.lowerBound && range.upperBound <= origin.range.upperBound
    }

    func loop(_ key: BlockKey) -> StoredLoop {
        StoredLoop(address: Int64(bitPattern: key.address &- origin.base), mode: key.mode.rawValue)
    }

    /// Number of the address's page in the guest's file.
    func page(of address: UInt64) -> UInt32 { page(of: Int64(bitPattern: address &- origin.base)) }
    func page(of loop: StoredLoop) -> UInt32 { page(of: loop.address) }
    private func page(of distance: Int64) -> UInt32 { UInt32(truncatingIfNeeded: distance >> 12) }

    /// Where code must be that has addresses in it which do not say so; 0 for anywhere. See `Function.isMovable`.
    static func fixedBase(of origin: CodeOrigin) -> UInt64 {
        origin.range.lowerBound >> 32 == 0 || origin.range.upperBound >> 63 != 0 ? origin.base | 1 : 0
    }
}

final class TranslationCache {
    let options: TranslationCacheOptions
    let directory: CacheDirectory
    let identity: CacheIdentity
    private(set) var groups: [CodeGroup] = []
    private var recent: CodeGroup?
    /// How often mappings of a file went away: one whose code keeps changing is not for the cache.
    private var departures: [String: Int] = [:]
    private static let departureLimit = 8
    var scratch = CacheScratch()
    var guestBytes = CacheScratch(capacity: 1 << 13)

    init(options: TranslationCacheOptions, identity: CacheIdentity) {
        self.options = options
        self.identity = identity
        directory = CacheDirectory(path: options.directory)
    }

    deinit {
        scratch.deallocate()
        guestBytes.deallocate()
    }

    // MARK: Groups

    /// What the cache has to do with the code at the address; nil when nothing.
    func group(at address: UInt64, _ memory: GuestMemory) -> CodeGroup? {
        if let recent, recent.origin.range.contains(address) { return recent }
        if let known = groups.first(where: { $0.origin.range.contains(address) }) {
            recent = known
            return known
        }
        guard let origin = memory.codeOrigin(at: address) else { return nil }
        guard departures[name(of: origin, .blocks), default: 0] < TranslationCache.departureLimit else { return nil }
        let group = CodeGroup(origin, file: file(of: origin, .blocks))
        groups.append(group)
        recent = group
        return group
    }

    func name(of origin: CodeOrigin, _ content: CacheContent) -> String {
        let words = [origin.device, origin.inode, origin.byteCount, origin.modified, CodeGroup.fixedBase(of: origin)]
        let digest = CacheIdentity(words + [identity.low, identity.high], UnsafeRawBufferPointer(start: nil, count: 0))
        let digits = [digest.high, digest.low].map { word in
            let text = String(word, radix: 16)
            return String(repeating: "0", count: 16 - text.utf8.count) + text
        }
        return digits.joined() + content.suffix
    }

    /// The file that is there now, when it is the right one.
    func file(of origin: CodeOrigin, _ content: CacheContent) -> CacheFile? {
        guard let file = directory.file(named: name(of: origin, content)) else { return nil }
        let header = file.header
        let isRight = header.identity == identity && header.device == origin.device && header.inode == origin.inode
            && header.sourceByteCount == origin.byteCount && header.sourceModified == origin.modified
            && header.base == CodeGroup.fixedBase(of: origin)
        return isRight ? file : nil
    }

    /// Mappings in the range changed.
    func forget(_ range: Range<UInt64>) {
        recent = nil
        groups.removeAll { group in
            guard group.origin.range.overlaps(range) else { return false }
            departures[name(of: group.origin, .blocks), default: 0] += 1
            return true
        }
    }

    /// The code cache was emptied.
    func reset() {
        for group in groups { group.reset() }
    }

    /// A child process leaves to its parent what the parent translated.
    func dropPending() {
        for group in groups {
            group.dropPending()
            group.regions.dropPending()
        }
    }
}

// Where indirect jumps go, by samples of those that missed their inline cache, or polled: for each jump, and for each superblock
// that ends with it, as a jump that several superblocks end with mostly goes elsewhere from each.
//
// While samples of a jump are taken its inline cache has no target, so that all of them count.

/// Targets and how often they were seen.
struct TargetCounts {
    /// Different targets that are told apart, at most.
    private static let limit = 128
    /// A target is worth knowing that takes this part of all.
    private static let smallestPart = 256

    private var addresses: [UInt64] = []
    private var counts: [Int] = []
    private(set) var total = 0

    mutating func add(_ address: UInt64, _ count: Int = 1) {
        total += count
        if let place = addresses.firstIndex(of: address) {
            counts[place] += count
        } else if addresses.count < TargetCounts.limit {
            addresses.append(address)
            counts.append(count)
        }
    }

    func count(of address: UInt64) -> Int { addresses.firstIndex(of: address).map { counts[$0] } ?? 0 }

    /// The likeliest first.
    var frequent: [UInt64] {
        addresses.indices.filter { counts[$0] * TargetCounts.smallestPart >= total }
            .sorted { (counts[$0], addresses[$1]) > (counts[$1], addresses[$0]) }.map { addresses[$0] }
    }
}

struct JumpProfiles {
    private struct Jump {
        var all = TargetCounts()
        /// Since a region was made for it last.
        var recent = TargetCounts()
        /// Regions that were made for it, or tried.
        var regions = 0
    }

    /// By the address of the instruction.
    private var jumps: [BlockKey: Jump] = [:]
    private var superblocks: [BlockKey: (jump: BlockKey, counts: TargetCounts)] = [:]

    /// Jumps that are told apart, and targets that a region compares with, at most.
    private static let limit = 1 << 12, caseLimit = 32
    private static let fewSamples = 4
    /// Regions that are made for one jump, each after twice as many samples as the one before.
    private static let regionLimit = 8

    /// - Parameter superblock: that ends with the jump; nil when it is not known.
    mutating func note(_ jump: BlockKey, in superblock: BlockKey?, to target: UInt64) {
        guard jumps[jump] != nil || jumps.count < JumpProfiles.limit else { return }
        jumps[jump, default: Jump()].all.add(target)
        jumps[jump, default: Jump()].recent.add(target)
        guard let superblock, superblocks[superblock] != nil || superblocks.count < JumpProfiles.limit else { return }
        superblocks[superblock, default: (jump, TargetCounts())].counts.add(target)
    }

    /// A region compares with the targets at the jump.
    mutating func noteRegion(_ jump: BlockKey, of targets: [UInt64]) {
        var known = jumps[jump] ?? Jump()
        // What another run knew, the likeliest first.
        for (place, target) in targets.enumerated() where known.all.count(of: target) == 0 {
            known.all.add(target, targets.count - place)
        }
        known.regions = max(known.regions, 1)
        known.recent = TargetCounts()
        jumps[jump] = known
    }

    func hasRegion(_ jump: BlockKey) -> Bool { (jumps[jump]?.regions ?? 0) > 0 }

    /// More samples are worth having often.
    func isWanted(_ jump: BlockKey) -> Bool { (jumps[jump]?.regions ?? 0) < JumpProfiles.regionLimit / 2 }

    /// The targets since the last region, the likeliest first, when there are enough of them for another one.
    /// - Parameter samples: that it takes for the first.
    mutating func takeRecent(_ jump: BlockKey, samples: Int) -> [UInt64]? {
        guard let known = jumps[jump], known.regions < JumpProfiles.regionLimit, known.recent.total >= samples << known.regions
        else { return nil }
        jumps[jump]!.regions += 1
        jumps[jump]!.recent = TargetCounts()
        return known.recent.frequent
    }

    /// What it leads to did not lead back: it is looked at again only when it is very hot.
    mutating func doubt(_ jump: BlockKey) {
        guard var known = jumps[jump] else { return }
        known.regions = max(known.regions, JumpProfiles.regionLimit / 2)
        jumps[jump] = known
    }

    /// It is not known yet well enough where the superblock goes.
    func isYoung(_ superblock: BlockKey, samples: Int) -> Bool {
        guard let jump = superblocks[superblock].flatMap({ jumps[$0.jump] }) else { return false }
        return jump.regions == 0 && jump.recent.total < samples
    }

    /// Where the jump at the end of the superblock goes, the likeliest first.
    /// - Parameter filled: the target of its inline cache, which is likeliest as long as hardly anything else was seen.
    func targets(of jump: BlockKey, in superblock: BlockKey, likeliest filled: UInt64?) -> [UInt64] {
        let own = superblocks[superblock]?.counts ?? TargetCounts()
        var result = own.frequent
        if let filled, own.total < JumpProfiles.fewSamples { result = [filled] + result.filter { $0 != filled } }
        for target in jumps[jump]?.all.frequent ?? [] where !result.contains(target) { result.append(target) }
        return Array(result.prefix(JumpProfiles.caseLimit))
    }

    /// The part of the superblock's jumps that go to the target, in percent.
    func share(of target: UInt64, in superblock: BlockKey) -> Int {
        superblocks[superblock].map { $0.counts.count(of: target) * 100 / max(1, $0.counts.total) } ?? 0
    }

    /// The code of the superblock is another.
    mutating func forget(_ superblock: BlockKey) {
        guard let known = superblocks.removeValue(forKey: superblock) else { return }
        jumps[known.jump] = nil
    }

    mutating func removeAll() {
        jumps.removeAll()
        superblocks.removeAll()
    }
}

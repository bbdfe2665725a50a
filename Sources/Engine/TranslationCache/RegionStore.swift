// What the cache has of the regions in a mapping: those of earlier runs, opened when the first of its loops turns out to be hot,
// and what this run adds.

import X86Backend

final class RegionStore {
    private(set) var file: CacheFile?
    private var isOpen = false
    /// Loops of which no region was made in an earlier run.
    private var refused: Set<StoredLoop> = []
    /// Regions of this run, or made anew in it.
    private(set) var pending: [BlockKey: CacheUnitBuilder] = [:]
    /// Of those that were loaded, and those that are pending, see `StoredBlock.revision`.
    private var revisions: [BlockKey: UInt32] = [:]
    private var lookedAt: Set<BlockKey> = []
    /// Loops whose regions were loaded.
    private(set) var used: Set<StoredLoop> = []

    func open(_ find: () -> CacheFile?) {
        guard !isOpen else { return }
        isOpen = true
        file = find()
        refused = Set(file?.refusals ?? UnsafeMutableBufferPointer(start: nil, count: 0))
    }

    func wasRefused(_ loop: StoredLoop) -> Bool { refused.contains(loop) }

    // MARK: Revisions

    /// Regions that were made anew so often are left as they are.
    private static let lastRevision: UInt32 = 3

    func noteLoaded(_ key: BlockKey, _ loop: StoredLoop, revision: UInt32) {
        revisions[key] = revision
        used.insert(loop)
    }

    /// Of a region that is made now; nil when nothing is known of the key, and 0 is right.
    func nextRevision(of key: BlockKey) -> UInt32 { revisions[key].map { $0 &+ 1 } ?? 0 }

    /// Nothing more is expected of making the region anew in this run.
    func noteLookedAt(_ key: BlockKey) { lookedAt.insert(key) }

    func mayBeMadeAnew(_ key: BlockKey) -> Bool {
        guard let revision = revisions[key] else { return false }
        return revision < RegionStore.lastRevision && !lookedAt.contains(key)
    }

    // MARK: Pending

    func keep(_ key: BlockKey, _ builder: CacheUnitBuilder) { pending[key] = builder }

    /// Whether what this run adds is worth writing the file again.
    /// - Parameter newRefusals: loops that were refused in this run, and not before.
    func isWorthSaving(newRefusals: Int) -> Bool {
        let known = file?.unitCount ?? 0
        return pending.count >= max(1, known / 16) || newRefusals >= max(8, refused.count / 4)
    }

    func dropPending() { pending.removeAll() }

    /// The code cache was emptied: links of pending regions mean nothing any more.
    func reset() {
        dropPending()
        revisions.removeAll()
        lookedAt.removeAll()
    }
}

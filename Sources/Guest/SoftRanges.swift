// Ranges of addresses behind which memory lies in one piece: what a processor's look-aside buffer says of single pages, said of
// as many as possible at once.
//
// Translated code keeps the range that it accessed last in a slot, one for each pointer that it has, in its state block: a
// look-up there needs no index. For each page of the buffer there is a record of the range that it is part of, from which slots
// are filled again. All of them are forgotten together, by another epoch, whenever something in them may have changed.

import CHost
import Glibc

package struct SoftRange {
    /// The first address.
    package var low: UInt64 = 0
    /// How many addresses from there on an access of up to 8, 256 or 4096 bytes may start at.
    package var starts8: UInt64 = 0
    package var starts256: UInt64 = 0
    package var starts4096: UInt64 = 0
    /// Host address less guest address, and the host address of `low`.
    package var distance: UInt64 = 0
    package var host: UInt64 = 0
    /// Of a record: the epochs in which it holds for reading and for writing.
    package var readEpoch: UInt32 = 0
    package var writeEpoch: UInt32 = 0
    /// So many accesses may miss before a slot with it is filled again.
    package var patience: Int32 = 0
    private var unused: Int32 = 0

    package init() {}

    /// - Parameter byteCount: a multiple of pages, at least one.
    package init(low: UInt64, byteCount: UInt64, host: UInt64) {
        self.low = low
        starts8 = byteCount - 7
        starts256 = byteCount - 255
        starts4096 = byteCount - 4095
        distance = host &- low
        self.host = host
    }

    package func contains(_ address: UInt64) -> Bool { address & ~7 &- low < starts8 }

    fileprivate mutating func forget() {
        starts8 = 0
        starts256 = 0
        starts4096 = 0
        patience = 0
    }
}

package final class SoftRanges: @unchecked Sendable {
    /// Slots for loads, and as many behind them for stores.
    package static let slotCount = 256
    package static let slotBytes = slotCount * 2 * MemoryLayout<SoftRange>.stride
    /// Misses until a slot is filled again: with a range of pages, with a window, of which there are few; and until that is tried
    /// again where it cannot be done.
    private static let patience: Int32 = 8, patienceForWindows: Int32 = 2, longPatience: Int32 = 1000
    private static let granuleCount = 64, granuleBits: UInt64 = 21, recentCount = 8

    // SAFETY: `SoftTLB.entryCount` records, `granuleCount` + 1 extents and `recentCount` ranges, all initialised; indices are
    // masked.
    package let records: UnsafeMutablePointer<SoftRange>
    private let extents: UnsafeMutablePointer<Extent>
    private let recents: UnsafeMutablePointer<SoftRange>
    private var nextRecent = 0
    /// In the state block that the processor runs on.
    private var slots: UnsafeMutablePointer<SoftRange>?
    private var epochInState: UnsafeMutablePointer<UInt32>?
    package private(set) var epoch: UInt32 = 1
    /// In the state: slots may be filled so often before windows are opened.
    private var fillsLeft: UnsafeMutablePointer<Int32>?
    package let windows = SoftWindows()
    /// What is mapped decides what may be accessed; ranges are whole windows.
    package private(set) var isWindowed = false
    private var faults: UInt64 = 0, opened: UInt64 = 0, reluctance = 0
    /// Superpages that were mapped, by address.
    private var superpages: Set<UInt64> = []
    /// Fills of slots that make windows worth while. Tests want them sooner.
    package var fillsToOpen: Int32 = 2048
    private static let mostReluctance = 7
    /// How often windows were opened.
    package private(set) var openings = 0
    /// Faults in windows that are not too many, whatever the time, and the nanoseconds for each of the others: one costs a
    /// quarter of that with all that follows, and windows save less than half of the time.
    private static let freeFaults: UInt64 = 1024, nanosecondsOfFault: UInt64 = 400_000
    private static let superpageBytes: UInt64 = 1 << 21
    private var isEmpty = true
    /// Host memory that some range for writing may hold; read by others.
    private let written: UnsafeMutablePointer<Extent>
    private let isStale: UnsafeMutablePointer<UInt32>

    /// From the lowest to the highest address of some ranges.
    private struct Extent {
        var low = UInt64.max, high: UInt64 = 0
        mutating func include(_ first: UInt64, _ last: UInt64) {
            low = min(low, first)
            high = max(high, last)
        }
        func contains(_ address: UInt64) -> Bool { address >= low && address <= high }
    }

    package init() {
        // Zeroed by the host when they are touched first: most processors need few.
        guard let memory = calloc(SoftTLB.entryCount, MemoryLayout<SoftRange>.stride) else {
            preconditionFailure("no memory for ranges")
        }
        records = memory.bindMemory(to: SoftRange.self, capacity: SoftTLB.entryCount)
        extents = .allocate(capacity: SoftRanges.granuleCount + 1)
        extents.initialize(repeating: Extent(), count: SoftRanges.granuleCount + 1)
        recents = .allocate(capacity: SoftRanges.recentCount)
        recents.initialize(repeating: SoftRange(), count: SoftRanges.recentCount)
        written = .allocate(capacity: 1)
        written.initialize(to: Extent())
        isStale = .allocate(capacity: 1)
        isStale.initialize(to: 0)
    }

    deinit {
        free(records)
        extents.deallocate()
        recents.deallocate()
        written.deallocate()
        isStale.deallocate()
    }

    /// The slots and the word with the epoch that translated code looks at.
    package func attach(
        slots: UnsafeMutableRawPointer, epoch place: UnsafeMutablePointer<UInt32>, fillsLeft: UnsafeMutablePointer<Int32>
    ) {
        self.fillsLeft = fillsLeft
        fillsLeft.pointee = fillsToOpen
        self.slots = slots.bindMemory(to: SoftRange.self, capacity: SoftRanges.slotCount * 2)
        self.slots?.initialize(repeating: SoftRange(), count: SoftRanges.slotCount * 2)
        epochInState = place
        isEmpty = false
        forgetAll()
    }

    // MARK: Forgetting

    package func forgetAll() {
        if isEmpty { return }
        isEmpty = true
        closeWindows()
        epoch &+= 1
        if epoch == 0 {
            records.update(repeating: SoftRange(), count: SoftTLB.entryCount)
            recents.update(repeating: SoftRange(), count: SoftRanges.recentCount)
            epoch = 1
        }
        epochInState?.pointee = epoch
        if let slots { for index in 0 ..< SoftRanges.slotCount * 2 { slots[index].forget() } }
        extents.update(repeating: Extent(), count: SoftRanges.granuleCount + 1)
        written.pointee = Extent()
    }

    /// What an address is translated to may be another thing now.
    package func forget(_ address: UInt64) {
        if isEmpty { return }
        if isWindowed, !forgetInWindow(address) { return forgetAll() }
        let near = extents[SoftRanges.granule(address)], far = extents[SoftRanges.granuleCount]
        if near.contains(address) || far.contains(address) { forgetAll() }
    }

    /// Code is in the page at a host address: nothing holds it for writing any more.
    /// - Parameter isShared: other threads run the processor, which forgets at its next interrupt: see `settle`.
    func forgetWrites(host: UInt64, isShared: Bool) {
        guard written.pointee.contains(host) else { return }
        if isShared { mynah_store_word(UInt64(UInt(bitPattern: isStale)), 4, 1) } else { forgetAll() }
    }

    /// At an interrupt: forgets what others asked for.
    package func settle() {
        if isStale.pointee == 0 { return }
        _ = mynah_atomic(Int32(MYNAH_EXCHANGE), 4, UInt64(UInt(bitPattern: isStale)), 0)
        forgetAll()
    }

    // MARK: Windows

    /// Slots were filled so often that it pays to have the host look at page tables.
    package var wantsWindows: Bool { (fillsLeft?.pointee ?? 0) < 0 && !isWindowed }

    package func openWindows() {
        isEmpty = false
        forgetAll()
        isEmpty = false
        isWindowed = true
        openings += 1
        faults = 0
        opened = SoftRanges.nanoseconds()
        holdWindows()
    }

    /// They are not asked for again for long.
    package func holdWindows() { fillsLeft?.pointee = .max }

    private func closeWindows() {
        guard isWindowed else { return }
        isWindowed = false
        windows.unmapAll()
        superpages.removeAll()
        // The shorter they were open, for what they cost, the longer it takes until they are again.
        let pays = SoftRanges.nanoseconds() - opened >= faults * SoftRanges.nanosecondsOfFault
        reluctance = pays ? max(0, reluctance - 1) : min(SoftRanges.mostReluctance, reluctance + 1)
        fillsLeft?.pointee = fillsToOpen << Int32(reluctance)
    }

    /// Counts a fault in a window; closes all when there are too many.
    package func noteFault() {
        faults += 1
        guard faults & 255 == 0, faults > SoftRanges.freeFaults else { return }
        if SoftRanges.nanoseconds() - opened < (faults - SoftRanges.freeFaults) * SoftRanges.nanosecondsOfFault { forgetAll() }
    }

    /// The window that an address is in, as a range.
    package func windowRange(_ address: UInt64) -> SoftRange? {
        guard isWindowed, let host = windows.window(for: address) else { return nil }
        let bytes: UInt64 = 1 << SoftWindows.granuleBits
        var range = SoftRange(low: address & ~(bytes - 1), byteCount: bytes, host: host)
        range.readEpoch = epoch
        range.writeEpoch = epoch
        return range
    }

    package func noteSuperpage(_ address: UInt64) { superpages.insert(address & ~(SoftRanges.superpageBytes - 1)) }

    private func forgetInWindow(_ address: UInt64) -> Bool {
        let isSuperpage = !superpages.isEmpty && superpages.contains(address & ~(SoftRanges.superpageBytes - 1))
        return windows.unmap(address, byteCount: isSuperpage ? SoftRanges.superpageBytes : SoftTLB.pageBytes)
    }

    private static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    // MARK: Filling

    private static func granule(_ address: UInt64) -> Int { Int(truncatingIfNeeded: address >> granuleBits) & (granuleCount - 1) }

    /// Before a range for writing is made, which is checked for code after this.
    package func willWrite(host: UInt64, byteCount: UInt64) {
        isEmpty = false
        written.pointee.include(host, host &+ (byteCount - 1))
    }

    /// The range around an address, if it is known.
    package func known(_ address: UInt64, isWrite: Bool) -> SoftRange? {
        let record = records[Int(truncatingIfNeeded: address >> SoftTLB.pageBits & SoftTLB.indexMask)]
        if (isWrite ? record.writeEpoch : record.readEpoch) == epoch, record.contains(address) { return record }
        for index in 0 ..< SoftRanges.recentCount {
            let range = recents[index]
            if (isWrite ? range.writeEpoch : range.readEpoch) == epoch, range.contains(address) { return range }
        }
        return nil
    }

    /// Notes a range, which holds for reading in this epoch, and for writing in `writeEpoch`.
    package func note(_ range: inout SoftRange, writeEpoch: UInt32) {
        range.readEpoch = epoch
        range.writeEpoch = writeEpoch
        isEmpty = false
        let last = range.low &+ (range.starts8 &+ 6)
        let isInGranule = (range.low ^ last) >> SoftRanges.granuleBits == 0
        extents[isInGranule ? SoftRanges.granule(last) : SoftRanges.granuleCount].include(range.low, last)
        recents[nextRecent] = range
        nextRecent = (nextRecent + 1) % SoftRanges.recentCount
    }

    /// Puts a range around an address into the slot at an offset from the first; nil for a slot that cannot be filled now.
    package func fill(slot: Int, _ range: SoftRange?, around address: UInt64) {
        guard let slots, slot >= 0, slot < SoftRanges.slotCount * 2 else { return }
        guard var range else {
            slots[slot].patience = SoftRanges.longPatience
            return
        }
        range.patience = isWindowed ? SoftRanges.patienceForWindows : SoftRanges.patience
        records[Int(truncatingIfNeeded: address >> SoftTLB.pageBits & SoftTLB.indexMask)] = range
        slots[slot] = range
    }
}

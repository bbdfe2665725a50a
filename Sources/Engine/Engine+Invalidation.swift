// Dropping translations: of guest code that changed, and all of them when the cache is full.

import CHost
import Glibc
import Guest
import X86Backend

extension Engine {
    /// Guest code in the range changed, was unmapped, or may not be executed any more.
    package func invalidate(_ range: Range<UInt64>) {
        locked {
            guard !range.isEmpty, !blocks.isEmpty else { return }
            let first = range.lowerBound >> 12, last = (range.upperBound &- 1) >> 12
            var dropped = false
            if last - first > UInt64(blocksOfPage.count) {
                for page in Array(blocksOfPage.keys) where page >= first && page <= last { dropped = drop(page, range) || dropped }
            } else {
                for page in first ... last { dropped = drop(page, range) || dropped }
            }
            guard dropped else { return }
            counters.invalidations += 1
            // Others may be in a loop of a dropped translation: they come out at its next poll.
            for cpu in cpus { cpu.requestInterrupt() }
        }
    }

    private func drop(_ page: UInt64, _ range: Range<UInt64>) -> Bool {
        guard let candidates = blocksOfPage[page] else { return false }
        var kept: [Int] = [], dropped = false
        for index in candidates {
            if !blocks[index].isValid { continue }
            if blocks[index].ranges.contains(where: { $0.overlaps(range) }) {
                drop(block: index)
                dropped = true
            } else {
                kept.append(index)
            }
        }
        blocksOfPage[page] = kept.isEmpty ? nil : kept
        return dropped
    }

    func drop(block index: Int) {
        blocks[index].isValid = false
        let key = blocks[index].key
        if blockOfKey[key] == index { blockOfKey[key] = nil }
        if replacedBlocks[key] == index { replacedBlocks[key] = nil }
        if uncounted[key] == index { uncounted[key] = nil }
        samples[key] = nil
        refusedRegions.remove(key)
        for link in blocks[index].incoming where linkedTo[link] == Int32(index) {
            patch(links[link].field, toJumpTo: links[link].stub)
            linkedTo[link] = -1
        }
        blocks[index].incoming = []
        for cache in blocks[index].incomingCaches { setTarget(of: caches[cache], InlineCache.noTarget) }
        blocks[index].incomingCaches = []
        for cpu in cpus {
            let entry = cpu.tableEntry(key.address)
            if entry.pointee.guest == key.address { entry.pointee.guest = JumpTableEntry.emptyGuest }
        }
    }

    /// Empties the cache: every CPU is brought out of it and kept out. Holds the lock.
    func flush() {
        isFlushing = true
        mynah_fence()
        for cpu in cpus where cpu.header != mynah_get_current_cpu() {
            while cpu.header.pointee.in_code != 0 {
                cpu.requestInterrupt()
                sched_yield()
            }
        }
        for cpu in cpus { cpu.resetPredictions() }
        blocks.removeAll(keepingCapacity: true)
        blockOfKey.removeAll(keepingCapacity: true)
        replacedBlocks.removeAll(keepingCapacity: true)
        uncounted.removeAll(keepingCapacity: true)
        refusedRegions.removeAll(keepingCapacity: true)
        samples.removeAll(keepingCapacity: true)
        blocksOfPage.removeAll(keepingCapacity: true)
        links.removeAll(keepingCapacity: true)
        linkedTo.removeAll(keepingCapacity: true)
        caches.removeAll(keepingCapacity: true)
        positions.removeAll(keepingCapacity: true)
        deferringCode.removeAll(keepingCapacity: true)
        deferredWrites.removeAll(keepingCapacity: true)
        codeUsed = stubs.byteCount
        counters.flushes += 1
        isFlushing = false
    }

    func waitForFlush() { locked {} }
}

// Dropping translations: of guest code that changed, and all of them when the cache is full.

import CHost
import Glibc
import Guest
import X86Backend

extension Engine {
    /// Guest code in the range changed, was unmapped, or may not be executed any more.
    package func invalidate(_ range: Range<UInt64>) {
        locked {
            cache?.forget(range)
            background?.invalidate(range)
            guard !range.isEmpty, !blocks.isEmpty else { return }
            let first = range.lowerBound >> 12, last = (range.upperBound &- 1) >> 12
            var dropped = false
            if last - first > UInt64(blocksOfPage.pageCount) {
                for page in blocksOfPage.pages where page >= first && page <= last { dropped = drop(page, range) || dropped }
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
        var dropped = false
        for index in blocksOfPage.take(page) where blocks[index].isValid {
            if codeRanges[blocks[index].ranges].contains(where: { $0.overlaps(range) }) {
                drop(block: index)
                dropped = true
            } else {
                blocksOfPage.add(index, to: page)
            }
        }
        return dropped
    }

    func drop(block index: Int) {
        blocks[index].isValid = false
        let key = blocks[index].key
        if blockOfKey[key] == index { blockOfKey[key] = nil }
        if replacedBlocks[key] == index { replacedBlocks[key] = nil }
        if uncounted[key] == index { uncounted[key] = nil }
        samples[key] = nil
        waysBack[key] = nil
        refusedRegions.remove(key)
        jumps.forget(key)
        for link in takeIncoming(of: index) {
            patch(links[link].field, toJumpTo: links[link].stub)
            linkedTo[link] = -1
        }
        for link in blocks[index].firstLink ..< blocks[index].firstLink + blocks[index].linkCount where links[link].isReentry {
            if linkedTo[link] < 0 { patch(links[link].field, toJumpTo: links[link].stub) }
        }
        for cache in takeIncomingCaches(of: index) {
            setTarget(of: caches[cache], InlineCache.noTarget)
            caches[cache].filled = 0
        }
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
        background?.forgetAll()
        for cpu in cpus { cpu.resetPredictions() }
        blocks.removeAll(keepingCapacity: true)
        blockOfKey.removeAll()
        replacedBlocks.removeAll(keepingCapacity: true)
        uncounted.removeAll(keepingCapacity: true)
        refusedRegions.removeAll(keepingCapacity: true)
        samples.removeAll(keepingCapacity: true)
        jumps.removeAll()
        waysBack.removeAll(keepingCapacity: true)
        blocksOfPage.removeAll()
        codeRanges.removeAll(keepingCapacity: true)
        links.removeAll(keepingCapacity: true)
        linkedTo.removeAll(keepingCapacity: true)
        nextIncoming.removeAll(keepingCapacity: true)
        caches.removeAll(keepingCapacity: true)
        positions.removeAll(keepingCapacity: true)
        homeLists.removeSubrange(1...)
        stored.removeAll()
        cache?.reset()
        deferringCode.removeAll(keepingCapacity: true)
        deferredWrites.removeAll(keepingCapacity: true)
        codeUsed = stubs.byteCount
        counters.flushes += 1
        isFlushing = false
    }

    func waitForFlush() { locked {} }
}

// Watched pages: translated code lies in them, and the guest could write there. The host page is read-only until a store
// faults (`releaseWatch`) or a system call fails on it (`releaseAllWatches`).
//
// Shared memory may be mapped twice, writable at one address and executable at another: then the writable pages are watched
// for the code at the other address.

import Glibc
import Guest

extension AddressSpace {
    package func watchCode(_ range: Range<UInt64>) {
        lock.lock()
        defer {
            if !breakpoints.pages.isEmpty { refreshCopies(in: range) }
            lock.unlock()
        }
        if !unwatchedThreads.isEmpty && unwatchedThreads.contains(UInt(pthread_self())) {
            // What is decoded now is good for this instruction only.
            codeVersion &+= 1
            return
        }
        var index = list.firstIndex(endingAbove: range.lowerBound)
        while index < list.regions.count, list.regions[index].start < range.upperBound {
            let part = list.regions[index].clipped(to: range)
            index += 1
            let pages = (part.start & ~(Self.pageBytes - 1))..<Self.roundedUp(part.end)
            if part.protection.contains(.write) { watch(pages, code: pages) }
            if part.isShared && part.source != 0 { watchAliases(of: part.clipped(to: range), code: pages) }
        }
    }

    /// Other mappings of the same part of a file that the guest may write.
    private func watchAliases(of part: Region, code: Range<UInt64>) {
        let source = list.sources[Int(part.source)]
        let begin = part.offset & ~(Self.pageBytes - 1)
        let end = Self.roundedUp(part.offset &+ (part.end - part.start))
        for other in list.regions where other.isShared && other.source != 0 && other.protection.contains(.write) {
            let candidate = list.sources[Int(other.source)]
            guard candidate.inode == source.inode && candidate.device == source.device && candidate.inode != 0 else { continue }
            let otherEnd = other.offset &+ (other.end - other.start)
            let from = max(begin, other.offset), to = min(end, otherEnd)
            guard from < to else { continue }
            let start = other.start &+ (from - other.offset)
            let alias = start..<start &+ (to - from)
            if alias != code { watch(alias, code: code) }
        }
    }

    private func watch(_ pages: Range<UInt64>, code: Range<UInt64>) {
        var page = pages.lowerBound
        while page < pages.upperBound {
            let own = pages == code ? page..<page + Self.pageBytes : code
            if let before = watches[page] {
                watches[page] = min(before.lowerBound, own.lowerBound)..<max(before.upperBound, own.upperBound)
            } else {
                watches[page] = own
                watchCount = watches.count
                everWatched.insert(page)
                _ = Self.host(HostNumber.mprotect, page, Self.pageBytes, Int(PROT_READ))
            }
            page += Self.pageBytes
        }
    }

    /// Runs `body`, which interprets one instruction, without watching what it decodes: a store into its own page would find the
    /// page protected again each time it is tried.
    package func withoutWatching<Result>(_ body: () -> Result) -> Result {
        let thread = UInt(pthread_self())
        lock.locked { _ = unwatchedThreads.insert(thread) }
        defer { lock.locked { _ = unwatchedThreads.remove(thread) } }
        return body()
    }

    package func releaseWatch(at address: UInt64) -> Range<UInt64>? {
        lock.lock()
        defer { lock.unlock() }
        let page = address & ~(Self.pageBytes - 1)
        guard let code = watches[page] else {
            // Another thread released it between the fault and now: the store only has to be made again.
            let wasReleased = everWatched.contains(page) && list.region(at: page)?.protection.contains(.write) == true
            return wasReleased ? page..<page : nil
        }
        endWatch(of: page)
        codeVersion &+= 1
        return code
    }

    /// Ends the watches in a range that is written to from outside, and drops the code that they were for.
    package func releaseWatches(in range: Range<UInt64>) {
        guard watchCount != 0 else { return }
        var outdated: [Range<UInt64>] = []
        lock.lock()
        forEachWatch(in: range) { page, code in
            endWatch(of: page)
            outdated.append(code)
        }
        if !outdated.isEmpty { codeVersion &+= 1 }
        lock.unlock()
        for range in outdated { invalidateTranslations(range) }
    }

    /// Lifts every watch, for a system call that failed on one; false when there is none.
    package func releaseAllWatches() -> Bool {
        lock.lock()
        let ranges = Array(watches.values)
        for page in Array(watches.keys) { endWatch(of: page) }
        if !ranges.isEmpty { codeVersion &+= 1 }
        lock.unlock()
        for range in ranges { invalidateTranslations(range) }
        return !ranges.isEmpty
    }

    private func endWatch(of page: UInt64) {
        watches[page] = nil
        watchCount = watches.count
        guard let region = list.region(at: page) else { return }
        _ = Self.host(HostNumber.mprotect, page, Self.pageBytes, Self.hostProtection(region.protection))
    }

    /// Lifts the watches in a range whose mapping is about to change; the caller invalidates its code.
    func endWatches(in range: Range<UInt64>) {
        forEachWatch(in: range) { page, _ in endWatch(of: page) }
    }

    /// Calls `body`, which may end it, with each watched page that has bytes in `range`, and the code that it is watched for.
    private func forEachWatch(in range: Range<UInt64>, _ body: (UInt64, Range<UInt64>) -> Void) {
        guard !watches.isEmpty, !range.isEmpty else { return }
        let first = range.lowerBound & ~(Self.pageBytes - 1)
        if (range.upperBound - first) / Self.pageBytes < UInt64(watches.count) {
            for page in stride(from: first, to: range.upperBound, by: Int(Self.pageBytes)) {
                if let code = watches[page] { body(page, code) }
            }
        } else {
            for (page, code) in Array(watches) where page >= first && page < range.upperBound { body(page, code) }
        }
    }
}

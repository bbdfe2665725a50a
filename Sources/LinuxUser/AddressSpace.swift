// A guest's address space: guest addresses are host addresses, below `limit`, and every mapping that the guest has is made by
// the host's mmap and noted here.
//
// The host never gets PROT_EXEC: guest code is only read. Pages that code was translated from and that the guest may write
// are watched, which means write-protected on the host until the first write (`AddressSpace+Watches.swift`).
// One lock guards the list. The engine is told of vanished code after the lock is released: its own locks come first.

import CHost
import Glibc
import Guest

/// A lock that may be taken in one function and released in another, as around fork.
package final class HostLock {
    // SAFETY: allocated for the life of the process-wide object that owns the lock; never moved.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    package init() {
        mutex = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    package func lock() { pthread_mutex_lock(mutex) }
    package func unlock() { pthread_mutex_unlock(mutex) }

    @inline(__always) package func locked<Result>(_ body: () throws -> Result) rethrows -> Result {
        lock()
        defer { unlock() }
        return try body()
    }
}

package final class AddressSpace: GuestMemory {
    package static let pageBytes: UInt64 = 4096
    /// The end of user space with three-level page tables (Sv39).
    package static let limit: UInt64 = 0x40_0000_0000
    package static let stackTop: UInt64 = 0x3f_ffff_f000
    package static let positionIndependentBase: UInt64 = 0x2a_aaaa_a000
    /// Unmapped bytes between the stack and the mappings below it.
    static let stackGuardBytes: UInt64 = 1 << 20

    let lock = HostLock()
    var list = RegionList()
    /// Where the search for free memory begins, downwards.
    var mappingTop: UInt64 = AddressSpace.stackTop
    var breakStart: UInt64 = 0
    var breakEnd: UInt64 = 0
    package var stackRange: Range<UInt64> = 0..<0
    /// System V segments that are attached: start and end.
    var sharedSegments: [UInt64: UInt64] = [:]
    /// Watched pages, with the range whose translations a write to the page outdates.
    var watches: [UInt64: Range<UInt64>] = [:]
    /// Their number, which may be read without the lock.
    var watchCount = 0
    /// Pages that were watched at some time: a fault on one may be due to a watch that has ended since.
    var everWatched: Set<UInt64> = []
    /// Threads in `withoutWatching`.
    var unwatchedThreads: Set<UInt> = []
    /// Of a debugger.
    var breakpoints = BreakpointPages()
    /// Read without the lock; a change is always followed by an invalidation.
    package internal(set) var codeVersion: UInt64 = 1
    /// Drops translations: set to the engine's `invalidate` once there is an engine.
    package var invalidateTranslations: (Range<UInt64>) -> Void = { _ in }

    package init() {}

    /// Address ranges that a free search may use: above what the kernel keeps free, below the stack.
    var searchLimits: Range<UInt64> { 0x1_0000..<mappingTop }

    static func roundedUp(_ value: UInt64) -> UInt64 { (value &+ (pageBytes - 1)) & ~(pageBytes - 1) }
    static func isAligned(_ value: UInt64) -> Bool { value & (pageBytes - 1) == 0 }

    /// The page range of `start` and a length, or nil when it leaves the guest's address space.
    static func range(_ start: UInt64, _ byteCount: UInt64) -> Range<UInt64>? {
        let rounded = roundedUp(byteCount)
        guard rounded >= byteCount, start <= limit, rounded <= limit - start else { return nil }
        return start..<start + rounded
    }

    /// The protection that the host's page has for a guest's: code is read, never executed, by the host.
    static func hostProtection(_ guest: Protection) -> Int {
        var bits = 0
        if !guest.isDisjoint(with: [.read, .execute]) { bits |= Int(PROT_READ) }
        if guest.contains(.write) { bits |= Int(PROT_READ | PROT_WRITE) }
        return bits
    }

    /// A host system call on memory of the guest.
    static func host(
        _ number: Int, _ a: UInt64 = 0, _ b: UInt64 = 0, _ c: Int = 0, _ d: Int = 0, _ e: Int = 0, _ f: UInt64 = 0
    ) -> Int64 {
        Int64(mynah_syscall(number, Int(bitPattern: UInt(a)), Int(bitPattern: UInt(b)), c, d, e, Int(bitPattern: UInt(f))))
    }

    enum HostNumber {
        static let mmap = 9, mprotect = 10, munmap = 11, mremap = 25, msync = 26, mincore = 27, madvise = 28
        static let shmat = 30, shmctl = 31, shmdt = 67, fstat = 5
    }

    // MARK: The engine's view

    package func codeWindow(at address: GuestAddress) -> CodeWindow? {
        lock.lock()
        defer { lock.unlock() }
        let regions = list.regions
        let index = list.firstIndex(endingAbove: address.rawValue)
        guard index < regions.count, regions[index].start <= address.rawValue, regions[index].protection.contains(.execute) else {
            return nil
        }
        var first = index, last = index
        while first > 0, regions[first - 1].end == regions[first].start, regions[first - 1].protection.contains(.execute) {
            first -= 1
        }
        while last + 1 < regions.count, regions[last + 1].start == regions[last].end,
            regions[last + 1].protection.contains(.execute)
        {
            last += 1
        }
        // SAFETY: guest addresses are host addresses, and the list says that these are mapped.
        guard let host = UnsafeRawPointer(bitPattern: UInt(regions[first].start)) else { return nil }
        return window(CodeWindow(start: regions[first].start, end: regions[last].end, host: host), around: address.rawValue)
    }

    package func codeOrigin(at address: UInt64) -> CodeOrigin? {
        lock.locked {
            guard let region = list.region(at: address), region.protection.contains(.execute), !region.protection.contains(.write)
            else {
                return nil
            }
            let source = list.sources[Int(region.source)]
            guard source.inode != 0 else { return nil }
            return CodeOrigin(
                range: region.start..<region.end, base: region.start &- region.offset, device: source.device, inode: source.inode,
                byteCount: source.byteCount, modified: source.modified)
        }
    }

    package func isMapped(_ address: UInt64) -> Bool { lock.locked { list.region(at: address) != nil } }

    /// Guest code in `range` may have changed.
    package func invalidateCode(_ range: Range<UInt64>) {
        lock.locked { codeVersion &+= 1 }
        invalidateTranslations(range)
    }

    /// Runs `body` with the lock held, then tells the engine of the range that `body` returns as outdated.
    @inline(__always)
    func changing(_ body: (inout Range<UInt64>?) -> Int64) -> Int64 {
        var outdated: Range<UInt64>?
        lock.lock()
        let result = body(&outdated)
        if outdated != nil { codeVersion &+= 1 }
        lock.unlock()
        if let outdated { invalidateTranslations(outdated) }
        return result
    }

    /// Before the mapping of `range` changes: ends its watches and notes the range when there was code in it.
    func prepareChange(of range: Range<UInt64>, outdated: inout Range<UInt64>?) {
        endWatches(in: range)
        let hasCode = list.parts(in: range).contains { $0.protection.contains(.execute) }
        guard hasCode else { return }
        outdated = outdated.map { min($0.lowerBound, range.lowerBound)..<max($0.upperBound, range.upperBound) } ?? range
    }

    /// The text of /proc/self/maps.
    package func mappingsText() -> String {
        let (regions, named) = shownRegions()
        return ProcMappings.text(regions: regions, hostMaps: readHostFile("/proc/self/maps"), named: named)
    }

    /// The text of /proc/self/smaps.
    package func usageText() -> String {
        let (regions, named) = shownRegions()
        return ProcMappings.usageText(regions: regions, hostUsage: readHostFile("/proc/self/smaps"), named: named)
    }

    /// The text of /proc/self/smaps_rollup.
    package func usageSummary() -> String {
        ProcMappings.usageSummary(regions: shownRegions().regions, hostUsage: readHostFile("/proc/self/smaps"))
    }

    private func shownRegions() -> (regions: [MappingRegion], named: [(name: String, address: UInt64)]) {
        let (regions, sources) = lock.locked { (list.regions, list.sources) }
        let named = regions.compactMap { region -> (name: String, address: UInt64)? in
            let name = sources[Int(region.source)].name
            return name.isEmpty ? nil : (name, region.start)
        }
        return (regions.map { MappingRegion(range: $0.start..<$0.end, protection: UInt32($0.protection.rawValue)) }, named)
    }
}

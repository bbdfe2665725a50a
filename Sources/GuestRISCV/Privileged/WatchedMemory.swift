// Memory at virtual addresses that a debugger watches.
//
// No look-aside buffer holds a page with some of it for loads and stores, so that every access there, also of translated code,
// ends at the functions in `HartMemory`. They ask here before they access anything, when it is certain that the access faults
// not.

import Guest

package struct WatchedMemory: Equatable, Sendable {
    package struct Place: Equatable, Sendable {
        package var first: UInt64
        /// Inclusive.
        package var last: UInt64
        package var watchesLoads: Bool, watchesStores: Bool
        package init(first: UInt64, last: UInt64, watchesLoads: Bool, watchesStores: Bool) {
            self.first = first
            self.last = last
            self.watchesLoads = watchesLoads
            self.watchesStores = watchesStores
        }
    }

    package var places: [Place]
    package init(_ places: [Place]) { self.places = places }

    func isInPage(of address: UInt64) -> Bool {
        let page = address & SoftTLB.pageMask
        return places.contains { $0.first <= page | ~SoftTLB.pageMask && page <= $0.last }
    }

    /// The first place that an access is of.
    func place(of access: AccessedMemory) -> Int? {
        // One that goes on at address 0 faults before.
        let last = access.address &+ (access.byteCount &- 1)
        return places.firstIndex {
            ($0.watchesLoads && access.isLoad || $0.watchesStores && access.isStore) && access.address <= $0.last
                && $0.first <= last
        }
    }
}

extension RISCVHart {
    /// What a debugger is to hear of from now on; nil for nothing. While the hart does not run.
    package func watch(_ memory: WatchedMemory?) {
        if memory == watched { return }
        watched = memory
        flushTranslations()
    }

    /// Whether the instruction at the program counter is not to access memory yet: `takeWatchedPlace` says why.
    @inline(__always)
    func isWatched(_ address: UInt64, _ byteCount: UInt64) -> Bool { watched != nil && noteWatched(address, byteCount) }

    @inline(never)
    private func noteWatched(_ address: UInt64, _ byteCount: UInt64) -> Bool {
        guard !passesWatched, let watched, watched.isInPage(of: address) || watched.isInPage(of: address &+ (byteCount - 1)),
            let encoding = encoding(at: words[RISCVRegister.programCounter]),
            let access = RISCVDecoder.decode(UInt32(truncatingIfNeeded: encoding)).memoryAccess(state),
            let place = watched.place(of: access)
        else { return false }
        watchedPlace = place
        return true
    }

    /// The index of the place that the instruction at the program counter was about to access, which was not executed. Once.
    package func takeWatchedPlace() -> Int? {
        defer { watchedPlace = nil }
        return watchedPlace
    }
}

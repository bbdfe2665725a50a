// Windows of host addresses through which a processor in user mode reaches memory without asking where each page is: the host's
// own page tables do what the guest's say.
//
// A window shows a granule of the guest's addresses. Pages are mapped into it when an access faults and then turns out to be
// permitted, from the file that the machine's RAM is; so a look-up of a range (`SoftRanges`) need not know which pages there are.
// It costs system calls for every page, and is only made for a processor that accesses many pages again and again.

import CHost
import Glibc

package final class SoftWindows {
    package static let granuleBits: UInt64 = 30
    static let granuleBytes: UInt64 = 1 << granuleBits
    private static let most = 16, pagesPerGranule = 1 << Int(granuleBits - 12)
    /// Pieces mapped at a time: a process may have 65530 in all.
    package static let mostPieces = 6000

    private struct Window {
        /// The first guest address, and the host's.
        var guest: UInt64
        let host: UInt64
        var isUsed = false
        /// Bits of pages: those that are mapped, those that may be written to.
        // SAFETY: `pagesPerGranule` bits each; page numbers are below it.
        let mapped: UnsafeMutablePointer<UInt64>
        let writable: UnsafeMutablePointer<UInt64>
    }
    private var windows: [Window] = []
    private(set) var pieces = 0

    package init() {}

    deinit {
        for window in windows {
            munmap(UnsafeMutableRawPointer(bitPattern: UInt(window.host)), Int(SoftWindows.granuleBytes))
            free(window.mapped)
            free(window.writable)
        }
    }

    package var isFull: Bool { pieces >= SoftWindows.mostPieces }

    // MARK: Finding

    /// The host address of the window for the granule of an address, perhaps a new one; nil when there can be no more.
    package func window(for address: UInt64) -> UInt64? {
        let guest = address & ~(SoftWindows.granuleBytes - 1)
        if let known = windows.first(where: { $0.isUsed && $0.guest == guest }) { return known.host }
        if let free = windows.firstIndex(where: { !$0.isUsed }) {
            windows[free].guest = guest
            windows[free].isUsed = true
            return windows[free].host
        }
        guard windows.count < SoftWindows.most else { return nil }
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, words = SoftWindows.pagesPerGranule / 64
        guard let memory = mmap(nil, Int(SoftWindows.granuleBytes), PROT_NONE, flags, -1, 0), memory != MAP_FAILED,
            let mapped = calloc(words, 8), let writable = calloc(words, 8)
        else { return nil }
        windows.append(
            Window(
                guest: guest, host: UInt64(UInt(bitPattern: memory)), isUsed: true,
                mapped: mapped.bindMemory(to: UInt64.self, capacity: words),
                writable: writable.bindMemory(to: UInt64.self, capacity: words)))
        return windows.last?.host
    }

    /// The guest address that a host address in a window stands for.
    package func guestAddress(ofHost address: UInt64) -> UInt64? {
        for window in windows where window.isUsed && address &- window.host < SoftWindows.granuleBytes {
            return window.guest &+ (address &- window.host)
        }
        return nil
    }

    // MARK: Mapping

    private func find(_ address: UInt64) -> (window: Window, page: Int)? {
        for window in windows where window.isUsed && address &- window.guest < SoftWindows.granuleBytes {
            return (window, Int((address &- window.guest) >> 12))
        }
        return nil
    }

    /// What is mapped at an address: nil for nothing, else whether it may be written to.
    package func access(at address: UInt64) -> Bool? {
        guard let (window, page) = find(address), window.mapped[page >> 6] >> UInt64(page & 63) & 1 != 0 else { return nil }
        return window.writable[page >> 6] >> UInt64(page & 63) & 1 != 0
    }

    /// Maps pages of a RAM's file one behind the other; false when the host refuses, and nothing has changed.
    package func map(_ address: UInt64, pageCount: Int, file: Int32, offset: UInt64, isWritable: Bool) -> Bool {
        guard let (window, first) = find(address), first + pageCount <= SoftWindows.pagesPerGranule else { return false }
        let place = UnsafeMutableRawPointer(bitPattern: UInt(window.host) + UInt(first) << 12)
        let protection = isWritable ? PROT_READ | PROT_WRITE : PROT_READ, flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE
        guard mmap(place, pageCount << 12, protection, flags, file, Int(offset)) != MAP_FAILED else { return false }
        pieces += 1
        for page in first ..< first + pageCount {
            let bit: UInt64 = 1 << UInt64(page & 63)
            window.mapped[page >> 6] |= bit
            if isWritable { window.writable[page >> 6] |= bit } else { window.writable[page >> 6] &= ~bit }
        }
        return true
    }

    // MARK: Unmapping

    /// Unmaps the pages of an aligned piece of 2 MiB or less; false when everything has to go.
    package func unmap(_ address: UInt64, byteCount: UInt64) -> Bool {
        guard let (window, first) = find(address & ~(byteCount - 1)) else { return true }
        let last = min(first + Int(byteCount >> 12), SoftWindows.pagesPerGranule)
        guard (first ..< last).contains(where: { window.mapped[$0 >> 6] >> UInt64($0 & 63) & 1 != 0 }) else { return true }
        guard hide(window.host + UInt64(first) << 12, (last - first) << 12) else { return false }
        for page in first ..< last {
            window.mapped[page >> 6] &= ~(1 << UInt64(page & 63))
            window.writable[page >> 6] &= ~(1 << UInt64(page & 63))
        }
        return true
    }

    private func hide(_ host: UInt64, _ byteCount: Int) -> Bool {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED
        return mmap(UnsafeMutableRawPointer(bitPattern: UInt(host)), byteCount, PROT_NONE, flags, -1, 0) != MAP_FAILED
    }

    package func unmapAll() {
        for index in windows.indices where windows[index].isUsed {
            windows[index].isUsed = false
            // One piece takes the place of all: the host cannot run out of pieces.
            let isHidden = hide(windows[index].host, Int(SoftWindows.granuleBytes))
            precondition(isHidden, "a window cannot be closed")
            for word in 0 ..< SoftWindows.pagesPerGranule / 64 where windows[index].mapped[word] != 0 {
                windows[index].mapped[word] = 0
                windows[index].writable[word] = 0
            }
        }
        pieces = 0
    }
}

// Guest memory for tests: one mapping with code, then data. Guest addresses are host addresses, the same in every run, so that
// a seed replays.

import Glibc
import Guest
import Synchronization

final class GuestArena: GuestMemory {
    static let codeBytes = 32 << 10
    static let dataBytes = 16 << 10
    private static let count = Mutex<UInt64>(0)

    let start: UInt64
    var codeRange: Range<UInt64> { start ..< start + UInt64(GuestArena.codeBytes) }
    /// The middle of the data: every 12-bit offset from it and its neighbourhood lies inside.
    var center: UInt64 { start + UInt64(GuestArena.codeBytes + GuestArena.dataBytes / 2) }
    var codeVersion: UInt64 { watches.withLock { $0.version } }
    private struct Watches {
        var version: UInt64 = 0
        /// Pages that are read-only because code was read from them.
        var pages: Set<UInt64> = []
        /// Those that were it once.
        var formerPages: Set<UInt64> = []
        /// Threads in `withoutWatching`.
        var blindThreads: Set<UInt> = []
    }
    private let watches = Mutex(Watches())
    /// Off: writes to code are not noticed (for an executor that reads it anew each time).
    var noticesWrites = true
    /// The file that the code is taken for; nil for none.
    var inode: UInt64?
    /// What `codeWindow` gives, for tests of code that ends.
    var executable: Range<UInt64>

    init() {
        let number = GuestArena.count.withLock { count in
            count += 1
            return count
        }
        let wanted = UnsafeMutableRawPointer(bitPattern: UInt(0x10_0000_0000 + number << 20))
        let noReplace: Int32 = 0x10_0000
        let memory = mmap(
            wanted, GuestArena.codeBytes + GuestArena.dataBytes, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | noReplace, -1, 0)
        precondition(memory != MAP_FAILED, "no memory for the guest")
        start = UInt64(UInt(bitPattern: memory))
        executable = start ..< start + UInt64(GuestArena.codeBytes)
    }

    deinit { munmap(host(start), GuestArena.codeBytes + GuestArena.dataBytes) }

    func host(_ address: UInt64) -> UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: UInt(address))! }

    /// Replaces code and data.
    func load(code: [UInt8], data: [UInt8]) {
        // Nobody watches in between: another thread may be reading what was there before.
        watches.withLock { watches in
            unwatchAll(&watches)
            host(start).copyMemory(from: code, byteCount: min(code.count, GuestArena.codeBytes))
        }
        host(codeRange.upperBound).copyMemory(from: data, byteCount: min(data.count, GuestArena.dataBytes))
    }

    var data: [UInt8] { Array(UnsafeRawBufferPointer(start: host(codeRange.upperBound), count: GuestArena.dataBytes)) }

    func unwatchAll() { watches.withLock { unwatchAll(&$0) } }

    private func unwatchAll(_ watches: inout Watches) {
        watches.version += 1
        for page in watches.pages { mprotect(host(page), 4096, PROT_READ | PROT_WRITE) }
        watches.pages.removeAll()
    }

    // MARK: GuestMemory

    func codeOrigin(at address: UInt64) -> CodeOrigin? {
        guard let inode, codeRange.contains(address) else { return nil }
        return CodeOrigin(range: codeRange, base: start, device: 7, inode: inode, byteCount: UInt64(GuestArena.codeBytes), modified: 1)
    }

    func withoutWatching<Result>(_ body: () -> Result) -> Result {
        let thread = UInt(pthread_self())
        watches.withLock { _ = $0.blindThreads.insert(thread) }
        defer { watches.withLock { _ = $0.blindThreads.remove(thread) } }
        return body()
    }

    func codeWindow(at address: GuestAddress) -> CodeWindow? {
        guard executable.contains(address.rawValue) else { return nil }
        return CodeWindow(start: executable.lowerBound, end: executable.upperBound, host: host(executable.lowerBound))
    }

    func watchCode(_ range: Range<UInt64>) {
        guard noticesWrites else { return }
        watches.withLock { watches in
            if watches.blindThreads.contains(UInt(pthread_self())) {
                // What is decoded now is good for one instruction only.
                watches.version += 1
                return
            }
            var page = range.lowerBound & ~4095
            while page < range.upperBound {
                if codeRange.contains(page), watches.pages.insert(page).inserted { mprotect(host(page), 4096, PROT_READ) }
                page += 4096
            }
        }
    }

    func releaseWatch(at address: UInt64) -> Range<UInt64>? {
        watches.withLock { watches in
            let page = address & ~4095
            guard watches.pages.remove(page) != nil else {
                // Another thread may have released it between the fault and now.
                return watches.formerPages.contains(page) ? page ..< page + 4096 : nil
            }
            watches.formerPages.insert(page)
            watches.version += 1
            mprotect(host(page), 4096, PROT_READ | PROT_WRITE)
            return page ..< page + 4096
        }
    }
}

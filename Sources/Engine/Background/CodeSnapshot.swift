// Guest code for a thread that runs no guest: pages are copied when they are first looked at, and are the same from then on,
// whatever the guest does to them meanwhile. Who uses what was made of them finds out before whether it did anything.

import CHost
import Glibc
import Guest

/// A copy of a page of guest code, or of the part of it that is executable.
final class CodePage {
    static let byteCount: UInt64 = 4096
    let window: CodeWindow
    // SAFETY: a page each, and a bit for each two bytes of it; they live as long as this object, longer than whoever has the window.
    private let bytes: UnsafeMutableRawPointer
    private let stops: UnsafeMutablePointer<UInt64>?
    private static let stopWords = Int(byteCount) / 2 / 64

    /// The part of `window` that lies in the page of `address`; nil when it cannot be read.
    init?(_ address: UInt64, in window: CodeWindow) {
        let page = address & ~(CodePage.byteCount - 1)
        let start = max(page, window.start), end = window.end - page < CodePage.byteCount ? window.end : page + CodePage.byteCount
        guard start < end else { return nil }
        bytes = .allocate(byteCount: Int(CodePage.byteCount), alignment: 16)
        // Breakpoints of the debugger's come with whole pages.
        if let original = window.stops, start == window.start {
            let copy = UnsafeMutablePointer<UInt64>.allocate(capacity: CodePage.stopWords)
            copy.initialize(from: original, count: CodePage.stopWords)
            stops = copy
        } else {
            stops = nil
        }
        self.window = CodeWindow(start: start, end: end, host: bytes, stops: stops)
        if !CodePage.read(window.host + Int(start - window.start), Int(end - start), to: bytes) { return nil }
    }

    deinit {
        bytes.deallocate()
        stops?.deallocate()
    }

    /// Reads memory of this process that may go away at any time, on a thread that takes no signals. See process_vm_readv(2).
    private static func read(_ source: UnsafeRawPointer, _ count: Int, to destination: UnsafeMutableRawPointer) -> Bool {
        var local = iovec(iov_base: destination, iov_len: count)
        var remote = iovec(iov_base: UnsafeMutableRawPointer(mutating: source), iov_len: count)
        return withUnsafeMutablePointer(to: &local) { local in
            withUnsafeMutablePointer(to: &remote) { remote in
                mynah_syscall(310, Int(getpid()), Int(bitPattern: local), 1, Int(bitPattern: remote), 1, 0) == count
            }
        }
    }

    /// Whether the host lets a process read its own memory so.
    static let canRead: Bool = {
        var original: UInt64 = 0x5ca1_ab1e, copy: UInt64 = 0
        return withUnsafeMutablePointer(to: &original) { original in
            withUnsafeMutablePointer(to: &copy) { copy in read(original, 8, to: copy) && copy.pointee == original.pointee }
        }
    }()
}

/// The pages that one region is made of.
final class CodeSnapshot: CodeSource {
    private let memory: GuestMemory
    private var pages: [UInt64: CodePage] = [:]
    /// Only the pages that it came with are to be seen.
    private var isComplete = false
    /// Called before a page is read: from then on its changes have to be noticed. False when it is not worth reading any more.
    var willRead: (UInt64) -> Bool = { _ in true }

    init(of memory: GuestMemory) { self.memory = memory }

    /// Forgets all pages; with one, that is all there is.
    func restart(with only: CodePage?) {
        pages.removeAll(keepingCapacity: true)
        isComplete = only != nil
        if let only { pages[only.window.start & ~(CodePage.byteCount - 1)] = only }
    }

    func codeWindow(at address: GuestAddress) -> CodeWindow? {
        let page = address.rawValue & ~(CodePage.byteCount - 1)
        if let known = pages[page] { return known.window.start <= address.rawValue ? known.window : nil }
        guard !isComplete, willRead(page), let window = memory.codeWindow(at: address) else { return nil }
        let end = window.end - page < CodePage.byteCount ? window.end : page + CodePage.byteCount
        memory.watchCode(max(page, window.start) ..< end)
        guard let copy = CodePage(address.rawValue, in: window) else { return nil }
        pages[page] = copy
        return copy.window
    }

    var codeVersion: UInt64 { 0 }
    /// Done when the page was copied.
    func watchCode(_ range: Range<UInt64>) {}
}

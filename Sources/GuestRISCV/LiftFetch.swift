// Fetching instructions for the lifter: the current window of executable bytes, and the watch on what is read from it.

import Guest

/// Reads instruction encodings; an instruction may lie across two windows.
struct CodeFetcher {
    /// Granularity of watching, no larger than a page of any host.
    private static let pageBytes: UInt64 = 4096

    private let source: CodeSource
    private var window: CodeWindow?
    /// Start of the page that was watched last; code is watched before it is read, so that no write between goes unnoticed.
    private var watchedPage: UInt64 = 1
    /// The only page that code may be taken from, where each page may be mapped anew.
    private let onlyPage: UInt64?

    init(source: CodeSource, onlyPage: UInt64? = nil) {
        self.source = source
        self.onlyPage = onlyPage
    }

    /// The 16 or 32 bits of the instruction at `address`, or nil when part of it cannot be fetched.
    mutating func fetch(at address: UInt64) -> UInt32? {
        guard let low = halfWord(at: address) else { return nil }
        if window?.stopsExecution(at: address) == true { return RISCVEncoding.breakpoint }
        if low & 3 != 3 { return UInt32(low) }
        guard let high = halfWord(at: address &+ 2) else { return nil }
        return UInt32(low) | UInt32(high) << 16
    }

    private mutating func halfWord(at address: UInt64) -> UInt16? {
        if let onlyPage, address & ~(CodeFetcher.pageBytes - 1) != onlyPage { return nil }
        if !windowHolds(address) { window = source.codeWindow(at: GuestAddress(address)) }
        guard windowHolds(address), let window else { return nil }
        watch(address, in: window)
        // SAFETY: `windowHolds` has checked that both bytes lie in the window, which is readable from `host` on.
        return window.host.loadUnaligned(fromByteOffset: Int(address &- window.start), as: UInt16.self)
    }

    private func windowHolds(_ address: UInt64) -> Bool {
        guard let window else { return false }
        return address >= window.start && address < window.end && window.end - address >= 2
    }

    private mutating func watch(_ address: UInt64, in window: CodeWindow) {
        let page = address & ~(CodeFetcher.pageBytes - 1)
        if page == watchedPage { return }
        watchedPage = page
        let (sum, overflows) = page.addingReportingOverflow(CodeFetcher.pageBytes)
        source.watchCode(max(page, window.start) ..< (overflows ? window.end : min(sum, window.end)))
    }
}

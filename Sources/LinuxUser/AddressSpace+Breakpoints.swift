// Breakpoints of a debugger, kept out of the guest's memory: instructions in a page that has one are fetched from a copy of the
// page with trap instructions in it. The guest reads, writes, shares and forks what it had.

import CHost
import Glibc
import Guest

/// What was asked for at an address; both work alike.
struct BreakpointKinds: OptionSet {
    let rawValue: UInt8
    static let software = BreakpointKinds(rawValue: 1), hardware = BreakpointKinds(rawValue: 2)
}

/// Where execution stops, and the pages that are fetched instead of the guest's.
struct BreakpointPages {
    var kinds: [UInt64: BreakpointKinds] = [:]
    /// Copies by address of the page. They stay when their breakpoints go, as another thread may be decoding.
    // SAFETY: a page each, never freed; written under the address space's lock, with bytes that only differ where code changed.
    var copies: [UInt64: UnsafeMutableRawPointer] = [:]
    /// Pages that have breakpoints, sorted.
    var pages: [UInt64] = []
    /// What stands at each of them.
    var instruction: [UInt8] = []
    /// Threads that fetch what the guest wrote.
    var blindThreads: Set<UInt> = []
}

extension AddressSpace {
    /// Stops whoever comes to `address`; the engine's trap is that of `instruction`. False when nothing is mapped there.
    func insertBreakpoint(_ kind: BreakpointKinds, at address: UInt64, instruction: [UInt8]) -> Bool {
        lock.lock()
        guard list.region(at: address) != nil else {
            lock.unlock()
            return false
        }
        breakpoints.instruction = instruction
        breakpoints.kinds[address, default: []].insert(kind)
        updateBreakpointPages()
        lock.unlock()
        invalidateCode(address ..< address &+ UInt64(instruction.count))
        return true
    }

    func removeBreakpoint(_ kind: BreakpointKinds, at address: UInt64) {
        let isGone = lock.locked { () -> Bool in
            guard var kinds = breakpoints.kinds[address] else { return false }
            kinds.remove(kind)
            breakpoints.kinds[address] = kinds.isEmpty ? nil : kinds
            updateBreakpointPages()
            return kinds.isEmpty
        }
        if isGone { invalidateCode(address ..< address &+ UInt64(breakpoints.instruction.count)) }
    }

    func removeAllBreakpoints() {
        let addresses = lock.locked { () -> [UInt64] in
            defer { breakpoints.kinds = [:] }
            breakpoints.pages = []
            return Array(breakpoints.kinds.keys)
        }
        for address in addresses { invalidateCode(address ..< address &+ UInt64(breakpoints.instruction.count)) }
    }

    func breakpoints(at address: UInt64) -> BreakpointKinds { lock.locked { breakpoints.kinds[address] ?? [] } }

    /// Runs `body`, which interprets one instruction, as if there were no breakpoints.
    func withoutBreakpoints<Result>(_ body: () -> Result) -> Result {
        let thread = UInt(pthread_self())
        // What is decoded meanwhile, and what was before, is not kept.
        lock.locked { _ = (breakpoints.blindThreads.insert(thread), codeVersion &+= 1) }
        defer { lock.locked { _ = (breakpoints.blindThreads.remove(thread), codeVersion &+= 1) } }
        return body()
    }

    private func updateBreakpointPages() {
        breakpoints.pages = Set(breakpoints.kinds.keys.map { $0 & ~(Self.pageBytes - 1) }).sorted()
        for page in breakpoints.pages { refreshCopy(of: page) }
    }

    /// The part of `window` around `address` in which fetching is simple: outside of pages with breakpoints, or the copy of one.
    /// With the lock held.
    func window(_ window: CodeWindow, around address: UInt64) -> CodeWindow {
        if breakpoints.pages.isEmpty || breakpoints.blindThreads.contains(UInt(pthread_self())) { return window }
        let page = address & ~(Self.pageBytes - 1)
        var start = window.start, end = window.end
        for other in breakpoints.pages {
            if other < page { start = max(start, other + Self.pageBytes) }
            if other > page { end = min(end, other) }
        }
        guard breakpoints.pages.contains(page), let copy = breakpoints.copies[page] else {
            return CodeWindow(start: start, end: end, host: window.host + Int(start - window.start))
        }
        refreshCopy(of: page)
        // Mappings begin and end with pages.
        return CodeWindow(start: page, end: page + Self.pageBytes, host: UnsafeRawPointer(copy))
    }

    /// Code in the range is about to be read, and a write to it will be noticed. With the lock held.
    func refreshCopies(in range: Range<UInt64>) {
        for page in breakpoints.pages where range.overlaps(page ..< page + Self.pageBytes) { refreshCopy(of: page) }
    }

    private func refreshCopy(of page: UInt64) {
        let count = Int(Self.pageBytes)
        let copy = breakpoints.copies[page] ?? .allocate(byteCount: count, alignment: count)
        breakpoints.copies[page] = copy
        // By way of a buffer: another thread that decodes from the copy never misses a trap.
        withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) { buffer in
            let bytes = buffer.baseAddress!
            guard let source = UnsafeRawPointer(bitPattern: UInt(page)), mynah_copy(bytes, source, count) == 0 else { return }
            for address in breakpoints.kinds.keys where address & ~(Self.pageBytes - 1) == page {
                let offset = Int(address - page)
                for (index, byte) in breakpoints.instruction.enumerated() where offset + index < count {
                    bytes.storeBytes(of: byte, toByteOffset: offset + index, as: UInt8.self)
                }
            }
            copy.copyMemory(from: bytes, byteCount: count)
        }
    }
}

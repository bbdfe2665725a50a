// Breakpoints are seen by those who fetch instructions, and by nobody else.

import CHost
import Guest
import Testing

@testable import LinuxUser

@Suite(.serialized) struct BreakpointTests {
    private static let page = AddressSpace.pageBytes
    private let memory = AddressSpace()
    private let trap: [UInt8] = [0x02, 0x90]
    /// Three pages that may be read, written and executed, filled with 0x55.
    private let start: UInt64

    init() {
        mynah_install_fault_handlers()
        start = UInt64(memory.map(0, 3 * Self.page, protection: 7, flags: 0x22, descriptor: -1, offset: 0))
        UnsafeMutableRawPointer(bitPattern: UInt(start))!.initializeMemory(
            as: UInt8.self, repeating: 0x55, count: Int(3 * Self.page))
    }

    private func release() { _ = memory.unmap(start, 3 * Self.page) }

    private func fetch(_ address: UInt64) -> UInt8? {
        guard let window = memory.codeWindow(at: GuestAddress(address)), address >= window.start, address < window.end else {
            return nil
        }
        return window.host.load(fromByteOffset: Int(address - window.start), as: UInt8.self)
    }

    @Test func onlyFetchesSeeThem() {
        defer { release() }
        let place = start + Self.page + 100
        let version = memory.codeVersion
        #expect(memory.insertBreakpoint(.software, at: place, instruction: trap) && memory.codeVersion != version)
        #expect(fetch(place) == 0x02 && fetch(place + 1) == 0x90 && fetch(place + 2) == 0x55 && fetch(place - 1) == 0x55)
        #expect(readGuest(UInt16.self, at: place) == 0x5555)
        #expect(memory.breakpoints(at: place) == .software && memory.breakpoints(at: place + 2).isEmpty)
        #expect(memory.withoutBreakpoints { fetch(place) } == 0x55)
        memory.removeBreakpoint(.software, at: place)
        #expect(fetch(place) == 0x55 && memory.breakpoints(at: place).isEmpty)
        #expect(!memory.insertBreakpoint(.software, at: 0x10, instruction: trap))
    }

    @Test func windowsEndAtPagesWithBreakpoints() {
        defer { release() }
        _ = memory.insertBreakpoint(.software, at: start + Self.page, instruction: trap)
        for (page, address) in [(0, start), (1, start + Self.page + 8), (2, start + 2 * Self.page + 8)] as [(UInt64, UInt64)] {
            let window = memory.codeWindow(at: GuestAddress(address))!
            #expect(window.start == start + page * Self.page && window.end == window.start + Self.page)
            #expect(fetch(address) == 0x55)
        }
        #expect(fetch(start + Self.page) == 0x02)
        memory.removeAllBreakpoints()
        let window = memory.codeWindow(at: GuestAddress(start))!
        #expect(window.end == start + 3 * Self.page && fetch(start + Self.page) == 0x55)
    }

    /// Inserting twice is inserting once; the two kinds do not know each other.
    @Test func kindsAreIndependent() {
        defer { release() }
        let place = start + 8
        for kind in [BreakpointKinds.software, .software, .hardware] {
            #expect(memory.insertBreakpoint(kind, at: place, instruction: trap))
        }
        memory.removeBreakpoint(.software, at: place)
        #expect(fetch(place) == 0x02 && memory.breakpoints(at: place) == .hardware)
        memory.removeBreakpoint(.software, at: place)
        memory.removeBreakpoint(.hardware, at: place)
        #expect(fetch(place) == 0x55)
    }

    @Test func codeThatChangesIsFetchedAnew() {
        defer { release() }
        _ = memory.insertBreakpoint(.software, at: start + 8, instruction: trap)
        #expect(fetch(start + 16) == 0x55)
        #expect(writeGuest(UInt8(0x77), at: start + 16) && writeGuest(UInt16(0x7777), at: start + 8))
        #expect(fetch(start + 16) == 0x77 && fetch(start + 8) == 0x02)
        memory.removeBreakpoint(.software, at: start + 8)
        #expect(fetch(start + 8) == 0x77)
    }
}

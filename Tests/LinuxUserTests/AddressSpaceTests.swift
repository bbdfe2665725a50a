// The address space against mmap(2)'s rules, and its book-keeping against the host's memory.

import CHost
import Glibc
import Guest
import Testing

@testable import LinuxUser

@Suite(.serialized) struct AddressSpaceTests {
    private static let page = AddressSpace.pageBytes
    private static let anonymous: UInt64 = 0x22, fixed: UInt64 = 0x10, noReplace: UInt64 = 0x100000

    /// Guarded copies need the fault handler; there is no code cache here.
    init() { mynah_install_fault_handlers() }

    private func map(
        _ memory: AddressSpace, _ pages: UInt64, protection: UInt64 = 3, at hint: UInt64 = 0, flags: UInt64 = 0
    ) -> Int64 {
        memory.map(hint, pages * Self.page, protection: protection, flags: Self.anonymous | flags, descriptor: -1, offset: 0)
    }

    @Test func regionsMergeAndSplit() {
        var list = RegionList()
        func region(_ start: UInt64, _ end: UInt64, _ protection: Protection = [.read]) -> Region {
            Region(start: start, end: end, protection: protection, isShared: false, source: 0, offset: 0)
        }
        list.insert(region(0x1000, 0x3000))
        list.insert(region(0x4000, 0x5000))
        list.insert(region(0x3000, 0x4000))
        #expect(list.regions == [region(0x1000, 0x5000)])
        list.setProtection([.write], in: 0x2000..<0x3000)
        #expect(list.regions == [region(0x1000, 0x2000), region(0x2000, 0x3000, [.write]), region(0x3000, 0x5000)])
        list.setProtection([.read], in: 0x2000..<0x3000)
        #expect(list.regions == [region(0x1000, 0x5000)])
        list.remove(0x2000..<0x3000)
        #expect(list.regions == [region(0x1000, 0x2000), region(0x3000, 0x5000)])
        #expect(list.covers(0x3000..<0x5000) && !list.covers(0x1000..<0x3000) && list.isFree(0x2000..<0x3000))
        #expect(list.highestFree(0x1000, in: 0..<0x5000) == 0x2000)
        #expect(list.highestFree(0x2000, in: 0..<0x8000) == 0x6000)
        #expect(list.highestFree(0x2000, in: 0..<0x5000) == nil)
        #expect(list.highestFree(0x1000, in: 0..<0x4800) == 0x2000)
    }

    /// Random changes to a list and to an array of pages give the same picture.
    @Test func regionsAgreeWithPages() {
        var list = RegionList()
        var pages = [UInt8](repeating: 0, count: 64)
        var seed: UInt64 = 1
        func next(_ limit: Int) -> Int {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1
            return Int((seed >> 33) % UInt64(limit))
        }
        for _ in 0..<3000 {
            let first = next(64), last = first + next(64 - first)
            let range = UInt64(first) * 4096..<UInt64(last + 1) * 4096
            let protection = UInt8(next(7) + 1)
            switch next(3) {
            case 0:
                list.insert(Region(
                    start: range.lowerBound, end: range.upperBound, protection: Protection(rawValue: protection), isShared: false,
                    source: 0, offset: 0))
                for page in first...last { pages[page] = protection }
            case 1:
                list.remove(range)
                for page in first...last { pages[page] = 0 }
            default:
                list.setProtection(Protection(rawValue: protection), in: range)
                for page in first...last where pages[page] != 0 { pages[page] = protection }
            }
            for page in 0..<64 {
                #expect((list.region(at: UInt64(page) * 4096)?.protection.rawValue ?? 0) == pages[page])
            }
            for pair in zip(list.regions, list.regions.dropFirst()) {
                #expect(pair.0.end <= pair.1.start && !pair.1.continues(pair.0))
            }
        }
    }

    @Test func argumentErrors() {
        let memory = AddressSpace()
        #expect(memory.map(0, 0, protection: 3, flags: 0x22, descriptor: -1, offset: 0) == Errno.EINVAL.result)
        #expect(memory.map(0, .max, protection: 3, flags: 0x22, descriptor: -1, offset: 0) == Errno.ENOMEM.result)
        #expect(memory.map(0, 4096, protection: 3, flags: 0x22, descriptor: -1, offset: 1) == Errno.EINVAL.result)
        #expect(memory.map(1, 4096, protection: 3, flags: 0x32, descriptor: -1, offset: 0) == Errno.EINVAL.result)
        #expect(
            memory.map(AddressSpace.limit, 4096, protection: 3, flags: 0x32, descriptor: -1, offset: 0) == Errno.ENOMEM.result)
        // Other tests have many open at the same time.
        #expect(memory.map(0, 4096, protection: 1, flags: 1, descriptor: 1 << 24, offset: 0) == Errno.EBADF.result)
        #expect(memory.unmap(1, 4096) == Errno.EINVAL.result && memory.unmap(4096, 0) == Errno.EINVAL.result)
        #expect(memory.unmap(0x7fff_0000_0000, 4096) == Errno.EINVAL.result)
        #expect(memory.protect(0x10_0000, 4096, protection: 1) == Errno.ENOMEM.result)
        #expect(memory.protect(0x10_0000, 4096, protection: 0x80) == Errno.EINVAL.result)
        #expect(memory.remap(0x10_0000, 4096, 8192, flags: 1, target: 0) == Errno.EFAULT.result)
    }

    @Test func mappingsAreBelowTheLimitAndUsable() {
        let memory = AddressSpace()
        let first = map(memory, 4), second = map(memory, 2)
        #expect(first > 0 && second > 0 && UInt64(first) < AddressSpace.limit && second < first)
        #expect(writeGuest(UInt64(7), at: UInt64(first)) && readGuest(UInt64.self, at: UInt64(first)) == 7)
        #expect(map(memory, 1, at: UInt64(first), flags: Self.noReplace) == Errno.EEXIST.result)
        #expect(map(memory, 1, at: UInt64(first), flags: Self.fixed) == first)
        #expect(readGuest(UInt64.self, at: UInt64(first)) == 0)
        #expect(memory.protect(UInt64(first), Self.page, protection: 1) == 0 && !writeGuest(UInt64(7), at: UInt64(first)))
        #expect(memory.unmap(UInt64(first) + Self.page, Self.page) == 0)
        #expect(readGuest(UInt8.self, at: UInt64(first) + Self.page) == nil)
        #expect(memory.protect(UInt64(first), 3 * Self.page, protection: 3) == Errno.ENOMEM.result)
        #expect(memory.unmap(UInt64(first), 4 * Self.page) == 0 && memory.unmap(UInt64(second), 2 * Self.page) == 0)
        #expect(memory.list.regions.isEmpty)
    }

    @Test func moving() {
        let memory = AddressSpace()
        let area = UInt64(map(memory, 4))
        _ = writeGuest(UInt64(5), at: area)
        #expect(memory.remap(area, 4 * Self.page, 2 * Self.page, flags: 0, target: 0) == Int64(area))
        #expect(memory.remap(area, 2 * Self.page, 4 * Self.page, flags: 0, target: 0) == Int64(area))
        #expect(memory.remap(area, 4 * Self.page, 64 * Self.page, flags: 0, target: 0) == Errno.ENOMEM.result)
        let larger = memory.remap(area, 4 * Self.page, 64 * Self.page, flags: 1, target: 0)
        #expect(larger > 0 && readGuest(UInt64.self, at: UInt64(larger)) == 5)
        #expect(memory.list.regions.map { $0.end - $0.start } == [64 * Self.page])
        #expect(memory.unmap(UInt64(larger), 64 * Self.page) == 0)
    }

    @Test func theBreak() {
        let memory = AddressSpace()
        let base = UInt64(map(memory, 1))
        memory.breakStart = base - 0x10_0000
        memory.breakEnd = memory.breakStart
        let start = memory.setBreak(0)
        #expect(start == memory.breakStart && memory.setBreak(start + 10) == start + 10)
        #expect(writeGuest(UInt8(1), at: start + 4095) && !writeGuest(UInt8(1), at: start + 4096))
        // The next mapping is in the way.
        #expect(memory.setBreak(base) == start + 10)
        #expect(memory.setBreak(start) == start && !writeGuest(UInt8(1), at: start))
        #expect(memory.unmap(base, Self.page) == 0)
    }

    /// A page with code that may be written is protected until a write to it, which outdates the code.
    @Test func watches() {
        let memory = AddressSpace()
        var dropped: [Range<UInt64>] = []
        memory.invalidateTranslations = { dropped.append($0) }
        let area = UInt64(map(memory, 3, protection: 7))
        let window = memory.codeWindow(at: GuestAddress(area + 100))
        #expect(window?.start == area && window?.end == area + 3 * Self.page)
        memory.watchCode(area + Self.page + 4..<area + Self.page + 8)
        #expect(writeGuest(UInt8(1), at: area) && !writeGuest(UInt8(1), at: area + Self.page))
        #expect(memory.releaseWatch(at: area + 5) == nil)
        #expect(memory.releaseWatch(at: area + Self.page + 100) == area + Self.page..<area + 2 * Self.page)
        #expect(writeGuest(UInt8(1), at: area + Self.page) && dropped.isEmpty)
        memory.watchCode(area..<area + 4)
        #expect(memory.releaseAllWatches() && writeGuest(UInt8(1), at: area) && dropped == [area..<area + Self.page])
        #expect(!memory.releaseAllWatches())
        let version = memory.codeVersion
        #expect(
            memory.unmap(area, 3 * Self.page) == 0 && dropped.last == area..<area + 3 * Self.page && memory.codeVersion != version
        )
        #expect(memory.codeWindow(at: GuestAddress(area)) == nil)
    }

    /// Code in shared memory is also watched where the same memory is writable.
    @Test func watchedAliases() {
        let memory = AddressSpace()
        let descriptor = mynah_memfd("test")
        defer { close(descriptor) }
        ftruncate(descriptor, 8192)
        let writable = UInt64(memory.map(0, 8192, protection: 3, flags: 1, descriptor: descriptor, offset: 0))
        let executable = UInt64(memory.map(0, 4096, protection: 5, flags: 1, descriptor: descriptor, offset: 4096))
        memory.watchCode(executable..<executable + 4)
        #expect(writeGuest(UInt8(1), at: writable) && !writeGuest(UInt8(1), at: writable + 4096))
        #expect(memory.releaseWatch(at: writable + 4096) == executable..<executable + 4096)
        #expect(writeGuest(UInt8(9), at: writable + 4096) && readGuest(UInt8.self, at: executable) == 9)
        _ = memory.unmap(writable, 8192)
        _ = memory.unmap(executable, 4096)
    }
}

// Address translation: every way to fault, in every mode.

import Guest
import Testing

@testable import GuestRISCV

@Suite struct PageWalkTests {
    private typealias E = PageTableEntry
    private static let all = E.valid | E.readable | E.writable | E.executable | E.accessed | E.dirty
    private static let modes: [UInt64] = [8, 9, 10]
    private let physical: UInt64 = 0x8005_0000
    private let address: UInt64 = 0x3f_1234_5000

    private func bench(_ mode: UInt64) -> HartBench {
        let bench = HartBench()
        bench.hart.privilege = .supervisor
        bench.translate(mode: mode)
        bench.hart.contextChanged()
        return bench
    }

    private func walk(
        _ bench: HartBench, _ address: UInt64, _ access: MemoryAccess, _ mode: PrivilegeMode = .supervisor
    ) -> PageWalkResult {
        bench.hart.walk(address, access, mode)
    }

    @Test(arguments: modes) func pagesOfEverySize(mode: UInt64) {
        let bench = bench(mode)
        for level in 0 ..< bench.hart.pageTableLevels {
            // Each in a part of the address space of its own.
            let bits = UInt64(12 + 9 * level), base = (UInt64(level) + 1) << max(bits, 30)
            let frame = (0x8000_0000 as UInt64) & ~(1 << bits - 1)
            bench.map(base, to: frame, Self.all, level: level)
            let result = walk(bench, base + 0x678, .write)
            #expect(result.fault == nil && result.physical == frame + 0x678 && UInt64(result.pageBits) == bits)
            if level > 0 {
                bench.map(base, to: frame + 0x1000, Self.all, level: level)
                #expect(walk(bench, base, .read).fault == TrapCause.loadPageFault, "a misaligned superpage")
            }
        }
    }

    @Test(arguments: modes) func addressesMustBeExtended(mode: UInt64) {
        let bench = bench(mode)
        let bits = UInt64(12 + 9 * bench.hart.pageTableLevels)
        let high = UInt64.max << (bits - 1)
        bench.map(high, to: physical, Self.all)
        #expect(walk(bench, high + 8, .read).physical == physical + 8)
        #expect(walk(bench, high & ~(1 << 63), .read).fault == TrapCause.loadPageFault)
        #expect(walk(bench, 1 << (bits - 1), .execute).fault == TrapCause.instructionPageFault)
    }

    @Test(arguments: modes) func badEntries(mode: UInt64) {
        let bench = bench(mode), menvcfg = EnvironmentConfiguration.self
        let bad: [(UInt64, String)] = [
            (0, "not valid"), (Self.all & ~E.valid, "not valid"), (Self.all & ~E.readable, "W without R"),
            (Self.all | 1 << 54, "reserved bit"), (Self.all | 1 << 60, "reserved bit"), (Self.all | 1 << 61, "PBMT that is off"),
            (E.valid, "a pointer at the last level"), (Self.all | E.napot, "a reserved size of NAPOT"),
        ]
        for (flags, what) in bad {
            bench.map(address, to: physical, flags)
            #expect(walk(bench, address, .read).fault == TrapCause.loadPageFault, "\(what)")
        }
        bench.hart.menvcfg = menvcfg.pbmte
        bench.map(address, to: physical, Self.all | 1 << 61)
        #expect(walk(bench, address, .read).fault == nil)
        bench.map(address, to: physical, Self.all | 3 << 61)
        #expect(walk(bench, address, .read).fault == TrapCause.loadPageFault, "PBMT 3 is reserved")
        // Pointers have no A, D, U.
        for flag in [E.accessed, E.dirty, E.user, E.napot] {
            bench.map(address, to: physical, Self.all)
            let pointer = bench.entry(address, level: 1)
            let good = bench.word(pointer)
            bench.store(pointer, good | flag)
            #expect(walk(bench, address, .read).fault == TrapCause.loadPageFault)
            bench.store(pointer, good)
        }
        #expect(walk(bench, address, .read).fault == nil)
    }

    @Test(arguments: modes) func contiguousPages(mode: UInt64) {
        let bench = bench(mode), base = address & ~0xffff
        bench.map(base + 0x7000, to: physical + 0x8000, Self.all | E.napot)
        let result = walk(bench, base + 0x7123, .read)
        #expect(result.fault == nil && result.physical == physical + 0x7123 && result.pageBits == 16)
        bench.map(base + 0x7000, to: physical + 0x4000, Self.all | E.napot)
        #expect(walk(bench, base + 0x7123, .read).fault == TrapCause.loadPageFault)
    }

    /// Every combination of rights, mode, SUM and MXR.
    @Test func rights() {
        let bench = bench(8)
        for flags in 0 ..< UInt64(32) where flags & 1 != 0 {
            for bits in 0 ..< 4 {
                let sum = bits & 1 != 0, mxr = bits & 2 != 0
                bench.hart.mstatus = Status.widths | (sum ? Status.sum : 0) | (mxr ? Status.mxr : 0)
                bench.map(address, to: physical, flags | E.accessed | E.dirty)
                for mode in [PrivilegeMode.user, .supervisor] {
                    for access in [MemoryAccess.read, .write, .execute] {
                        let isReserved = flags & 6 == 4 || flags & 14 == 0
                        let isUser = flags & E.user != 0
                        var allowed = !isReserved
                        switch access {
                        case .read: allowed = allowed && (flags & E.readable != 0 || (mxr && flags & E.executable != 0))
                        case .write: allowed = allowed && flags & E.writable != 0
                        case .execute: allowed = allowed && flags & E.executable != 0
                        }
                        if mode == .user { allowed = allowed && isUser }
                        if mode == .supervisor && isUser { allowed = allowed && sum && access != .execute }
                        let fault = walk(bench, address, access, mode).fault
                        #expect(
                            fault == (allowed ? nil : access.pageFault), "flags \(flags) sum \(sum) mxr \(mxr) \(mode) \(access)")
                    }
                }
            }
        }
    }

    @Test(arguments: [false, true]) func accessedAndDirty(isUpdated: Bool) {
        let bench = bench(9)
        bench.hart.menvcfg = isUpdated ? EnvironmentConfiguration.adue : 0
        bench.map(address, to: physical, Self.all & ~E.accessed & ~E.dirty)
        let place = bench.entry(address, level: 0)
        #expect(walk(bench, address, .read).fault == (isUpdated ? nil : TrapCause.loadPageFault))
        #expect(bench.word(place) & E.accessed == (isUpdated ? E.accessed : 0))
        #expect(walk(bench, address, .write).fault == (isUpdated ? nil : TrapCause.storePageFault))
        #expect(bench.word(place) & E.dirty == (isUpdated ? E.dirty : 0))
    }

    @Test func tablesOutsideOfMemory() {
        let bench = bench(8)
        _ = bench.hart.setTranslation(8 << 60 | 0x1000)
        #expect(walk(bench, address, .read).fault == TrapCause.loadAccessFault)
        #expect(walk(bench, address, .write).fault == TrapCause.storeAccessFault)
        #expect(walk(bench, address, .execute).fault == TrapCause.instructionAccessFault)
    }

    /// The buffer forgets what `sfence.vma` names, and a superpage as a whole.
    @Test func fences() {
        let bench = bench(8), hart = bench.hart
        bench.map(0x4000_0000, to: 0x8000_0000, Self.all, level: 1)
        bench.map(address, to: physical, Self.all)
        #expect(hart.load(0x4000_3000, 8) != nil && hart.load(0x4010_0000, 8) != nil && hart.load(address, 8) != nil)
        bench.store(bench.entry(0x4000_0000, level: 1), 0)
        bench.store(bench.entry(address, level: 0), 0)
        func hits(_ address: UInt64) -> Bool {
            SoftTLB.entry(hart.table(.supervisor), address).pointee.readTag == address & ~4095
        }
        #expect(hits(0x4000_3000) && hits(0x4010_0000) && hits(address))
        hart.flushTranslation(of: 0x4000_0000)
        #expect(!hits(0x4000_3000) && !hits(0x4010_0000) && hits(address))
        hart.flushTranslation(of: address + 4)
        #expect(!hits(address))
        #expect(hart.load(address, 8) == nil && hart.trapCause == TrapCause.loadPageFault && hart.trapValue == address)
    }

    /// An access across pages faults with the address of the part that does, before it has any effect.
    @Test func acrossPages() {
        let bench = bench(8), hart = bench.hart
        bench.map(address, to: physical, Self.all)
        bench.map(address + 4096, to: 0x8007_0000, Self.all)
        #expect(hart.store(address + 4092, 8, 0x1122_3344_5566_7788))
        #expect(bench.word(physical + 4088) >> 32 == 0x5566_7788 && bench.word(0x8007_0000) & 0xffff_ffff == 0x1122_3344)
        #expect(hart.load(address + 4092, 8) == 0x1122_3344_5566_7788)
        bench.map(address + 4096, to: 0x8007_0000, Self.all & ~E.writable)
        #expect(!hart.store(address + 4092, 8, 0))
        #expect(hart.trapCause == TrapCause.storePageFault && hart.trapValue == address + 4096)
        #expect(bench.word(physical + 4088) >> 32 == 0x5566_7788)
    }
}

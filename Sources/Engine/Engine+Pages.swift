// Machine mode: pages of code, which processors see where their page tables say, and everybody else may write to.
//
// A page of memory at a virtual address, in a translation mode, has a number. Translations are found by it, and check it where
// they are entered from other pages; so a change of address space invalidates nothing, and a return to one finds all.

import CHost
import Glibc
import Guest
import X86Backend

struct CodePages {
    private struct Key: Hashable {
        var address: UInt64
        var host: UInt64
        var mode: TranslationMode
    }
    private var numbers: [Key: UInt32] = [:]
    private var hosts: [UInt64] = [0]

    /// The number of the page at host address `host`, seen at `address`.
    mutating func number(_ address: UInt64, host: UInt64, _ mode: TranslationMode) -> UInt32 {
        let key = Key(address: address & SoftTLB.pageMask, host: host, mode: mode)
        if let known = numbers[key] { return known }
        let number = UInt32(hosts.count)
        hosts.append(host)
        numbers[key] = number
        return number
    }

    /// The host addresses of the pages that were seen at a virtual address.
    func hosts(seenAt address: UInt64) -> Set<UInt64> {
        Set(numbers.keys.lazy.filter { $0.address == address & SoftTLB.pageMask }.map(\.host))
    }

    /// The host address of a page.
    func host(_ number: UInt32) -> UInt64 { hosts[Int(number)] }
}

/// A number that a CPU asked for lately. Numbers never change.
struct KnownPage {
    static let count = 512
    var address = UInt64.max
    var host: UInt64 = 0
    var mode = TranslationMode.interpretOnly
    var number: UInt32 = 0
}

extension Engine {
    static func softBuffer(_ layout: SoftMemoryLayout) -> SoftBuffer {
        precondition(MemoryLayout<SoftTLBEntry>.stride == 32)
        func offset(_ field: PartialKeyPath<SoftTLBEntry>) -> Int32 { Int32(MemoryLayout<SoftTLBEntry>.offset(of: field)!) }
        return SoftBuffer(
            dataTable: layout.dataTable, codePages: layout.codePages, entryCount: SoftTLB.entryCount, codePageCount: SoftTLB.codePageCount, readTag: offset(\.readTag),
            writeTag: offset(\.writeTag), host: offset(\.host), ranges: softRanges(layout))
    }

    private static func softRanges(_ layout: SoftMemoryLayout) -> SoftRangeLayout {
        precondition(MemoryLayout<SoftRange>.stride == 1 << SoftRangeLayout.recordBits)
        func offset(_ field: PartialKeyPath<SoftRange>) -> Int32 { Int32(MemoryLayout<SoftRange>.offset(of: field)!) }
        return SoftRangeLayout(
            slots: layout.rangeSlots, slotCount: SoftRanges.slotCount, records: layout.rangeRecords, epoch: layout.rangeEpoch, fills: layout.rangeFills,
            low: offset(\.low), starts8: offset(\.starts8), starts256: offset(\.starts256), starts4096: offset(\.starts4096),
            distance: offset(\.distance), host: offset(\.host), readEpoch: offset(\.readEpoch), writeEpoch: offset(\.writeEpoch),
            patience: offset(\.patience))
    }

    /// A page of memory that has translations, named by its host address, is written to. Called by whoever writes, also from within
    /// translated code.
    package func invalidatePage(host: UInt64) {
        // The guest's flags may be live, and tables that grow compute with floats.
        let control = mynah_get_mxcsr()
        defer { mynah_set_mxcsr(control) }
        while pthread_mutex_trylock(lock) != 0 {
            // Whoever empties the cache waits for this CPU to leave it, and drops everything.
            if isFlushing { return }
            sched_yield()
        }
        defer { pthread_mutex_unlock(lock) }
        dropPage(host: host)
    }

    /// What is decoded from the page at a virtual address is another thing now, in every address space. While no processor runs.
    package func invalidatePage(seenAt address: UInt64) {
        locked { for host in pages.hosts(seenAt: address) { dropPage(host: host) } }
    }

    /// Holds the lock.
    private func dropPage(host: UInt64) {
        var dropped = false
        for index in blocksOfPage.take(host >> 12) where blocks[index].isValid {
            drop(block: index)
            dropped = true
        }
        guard dropped else { return }
        counters.invalidations += 1
        if configuration.countsInstructions {
            // Interrupts of the guest's are looked for where it can tell from its instructions only.
            for cpu in cpus { mynah_begin_single_pass(cpu.header) }
        } else {
            for cpu in cpus { cpu.requestInterrupt() }
        }
    }
}

extension VirtualCPU {
    /// Where the processor is about to execute, in machine mode.
    enum Admission { case page(UInt32), uncached, fault }

    /// Finds the page of code at an address, and lets translations there be entered.
    func admit(_ address: UInt64) -> Admission {
        let first = admitPage(address)
        secondPage = 0
        // Perhaps an instruction across the pages.
        if case .page = first, address & 4095 == 4094, case .page(let number) = admitPage(address &+ 2) { secondPage = number }
        return first
    }

    private func admitPage(_ address: UInt64) -> Admission {
        switch engine.isa.codePage(state, at: address) {
        case .fault: return .fault
        case .uncached: return .uncached
        case .page(let host):
            let number = pageNumber(address & SoftTLB.pageMask, host)
            engine.isa.admitCodePage(state, at: address, number: number)
            return .page(number)
        }
    }

    private func pageNumber(_ page: UInt64, _ host: UInt64) -> UInt32 {
        let place = Int(truncatingIfNeeded: page >> SoftTLB.pageBits) & (KnownPage.count - 1)
        let known = knownPages[place]
        if known.address == page && known.host == host && known.mode == mode { return known.number }
        let number = engine.locked { engine.pages.number(page, host: host, mode) }
        knownPages[place] = KnownPage(address: page, host: host, mode: mode, number: number)
        return number
    }

    /// What translated code calls for an access that its look-aside buffer does not serve; 0 when it does now.
    static let fillBufferFromCode: @convention(c) (UnsafeMutableRawPointer, UInt64, UInt64) -> UInt64 = { state, address, flags in
        let header = mynah_cpu_of(state)
        let cpu = Unmanaged<VirtualCPU>.fromOpaque(header.pointee.owner!).takeUnretainedValue()
        // The guest's flags are live, and this may compute with floats.
        let control = mynah_get_mxcsr()
        let isFilled = cpu.engine.isa.fillBuffer(
            state, address: address, byteCount: flags >> 1 & 0xff, isWrite: flags & 1 != 0,
            isSpeculative: flags & UInt64(SoftBuffer.isSpeculative) != 0)
        mynah_set_mxcsr(control)
        if isFilled { return 0 }
        if flags & UInt64(SoftBuffer.isSpeculative) == 0, cpu.engine.configuration.countsInstructions { header.pointee.budget += header.pointee.undone }
        header.pointee.fault_address = address
        header.pointee.fault_signal = 0
        return 1
    }

    /// What translated code calls when a slot of ranges, whose number is the third argument, did not have an address for long.
    static let fillRangeFromCode: @convention(c) (UnsafeMutableRawPointer, UInt64, UInt64) -> UInt64 = { state, address, slot in
        let cpu = Unmanaged<VirtualCPU>.fromOpaque(mynah_cpu_of(state).pointee.owner!).takeUnretainedValue()
        let control = mynah_get_mxcsr()
        cpu.engine.isa.fillRange(state, address: address, slot: Int(truncatingIfNeeded: slot))
        mynah_set_mxcsr(control)
        return 0
    }
}

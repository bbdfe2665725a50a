// Ranges of user addresses behind which memory lies in one piece, as page tables say: neighbouring entries with the same rights,
// for neighbouring frames, which have been accessed (and written to) before. So a processor may have cached all of them at any
// time.

import CHost
import Guest

extension RISCVHart {
    /// 4 KiB pages of a range for writing on each side of the address, at most: all of them are looked at.
    private static let mostPages = 1024
    /// What entries of one range may differ in: bits for software, X, and for loads W and D.
    private static let ignored: UInt64 = 3 << 8 | PageTableEntry.executable

    /// Puts the range around an address of user mode into a slot of translated code; the second half of them is for stores.
    package func fillRange(_ address: UInt64, slot: Int) {
        let isWrite = slot >= SoftRanges.slotCount
        if ranges.wantsWindows {
            // Faults of the host are not counted as instructions have to be.
            let mayOpen = watched == nil && countedInstructions == nil && pageTableLevels != 0
            if mayOpen { ranges.openWindows() } else { ranges.holdWindows() }
        }
        if let window = ranges.windowRange(address) { return ranges.fill(slot: slot, window, around: address) }
        var range = ranges.known(address, isWrite: isWrite)
        if range == nil { range = makeRange(address, isWrite: isWrite) }
        ranges.fill(slot: slot, range, around: address)
    }

    private func makeRange(_ address: UInt64, isWrite: Bool) -> SoftRange? {
        guard privilege == .user, watched == nil else { return nil }
        let epoch = ranges.epoch, access = isWrite ? MemoryAccess.write : .read
        isSpeculative = true
        defer { isSpeculative = false }
        let walked = walk(address, access, .user)
        // Those of Svnapot have entries of another form.
        guard walked.fault == nil, walked.entry != 0, walked.pageBits != 16,
            mynah_load_word(walked.entry, 8) & PageTableEntry.readable != 0
        else { return nil }
        if !walked.isGlobal { hasLocalEntries[Context.user.rawValue] = true }
        let pageBytes: UInt64 = 1 << UInt64(walked.pageBits), physical = walked.physical & ~(pageBytes - 1)
        guard let ram = memory.ram(physical, byteCount: pageBytes), isOpen(physical, pageBytes, access) else { return nil }
        let place = walked.entry & 4095, table = walked.entry - place, index = Int(place / 8)
        let ignored = RISCVHart.ignored | (isWrite ? 0 : PageTableEntry.writable | PageTableEntry.dirty)
        let entry = mynah_load_word(walked.entry, 8) & ~ignored, step = pageBytes >> 2
        func continues(_ distance: Int) -> Bool {
            let other = physical &+ UInt64(bitPattern: Int64(distance)) &* pageBytes
            let offset = other &- ram.pointee.address
            guard offset < ram.pointee.byteCount, ram.pointee.byteCount - offset >= pageBytes else { return false }
            let found = mynah_load_word(table + UInt64(index + distance) * 8, 8) & ~ignored
            return found == entry &+ UInt64(bitPattern: Int64(distance)) &* step && isOpen(other, pageBytes, access)
        }
        var first = 0, last = 0
        // In the root of page tables not all neighbours have addresses that follow each other.
        if walked.pageBits <= 21 {
            while index + first > 0, continues(first - 1) { first -= 1 }
            while index + last < 511, continues(last + 1) { last += 1 }
        }
        var low = physical &- UInt64(-first) * pageBytes, end = physical &+ UInt64(last + 1) * pageBytes
        if isWrite {
            guard let pages = writable(around: walked.physical & SoftTLB.pageMask, low, end, ram) else { return nil }
            (low, end) = (pages.lowerBound, pages.upperBound)
        }
        let host = UInt64(UInt(bitPattern: ram.pointee.host)) &+ (low &- ram.pointee.address)
        var range = SoftRange(low: address &- (walked.physical &- low), byteCount: end - low, host: host)
        ranges.note(&range, writeEpoch: isWrite ? epoch : 0)
        return range
    }

    private func isOpen(_ physical: UInt64, _ byteCount: UInt64, _ access: MemoryAccess) -> Bool {
        if protection.isOpen { return true }
        guard byteCount == SoftTLB.pageBytes, protection.isUniform(page: physical) else { return false }
        return protection.allows(physical, byteCount, access.right, .user)
    }

    /// Of the physical addresses from `low` to `end` the pages around one of them that have no code: they count as tagged from
    /// now on.
    private func writable(
        around page: UInt64, _ low: UInt64, _ end: UInt64, _ ram: UnsafeMutablePointer<MachineRAM>
    ) -> Range<UInt64>? {
        let most = UInt64(RISCVHart.mostPages) * SoftTLB.pageBytes
        let start = max(low, page - min(page, most)), stop = min(end, page + most)
        // Whoever notes code in one of these pages from here on has the range forgotten.
        let host = UInt64(UInt(bitPattern: ram.pointee.host)) &+ (start &- ram.pointee.address)
        ranges.willWrite(host: host, byteCount: stop - start)
        guard memory.noteWriteTag(MachineMemory.page(page, in: ram)) else { return nil }
        var first = page, last = page + SoftTLB.pageBytes
        while first > start, memory.noteWriteTag(MachineMemory.page(first - SoftTLB.pageBytes, in: ram)) {
            first -= SoftTLB.pageBytes
        }
        while last < stop, memory.noteWriteTag(MachineMemory.page(last, in: ram)) { last += SoftTLB.pageBytes }
        return first ..< last
    }

    // MARK: Windows

    /// 4 KiB pages that are mapped together if they can be.
    private static let pagesAround = 16

    /// An access of user mode to a window faulted, and has been executed since: maps the page, and others near it.
    package func mapFaulted(host: UInt64) {
        guard ranges.isWindowed, privilege == .user, let address = ranges.windows.guestAddress(ofHost: host) else { return }
        ranges.noteFault()
        if ranges.windows.isFull { ranges.forgetAll() }
        guard ranges.isWindowed else { return }
        isSpeculative = true
        defer { isSpeculative = false }
        let walked = walk(address, .read, .user)
        guard walked.fault == nil, walked.entry != 0, walked.pageBits == 12 || walked.pageBits == 21 else { return }
        if !walked.isGlobal { hasLocalEntries[Context.user.rawValue] = true }
        var run: WindowPiece?
        if walked.pageBits == 21 {
            ranges.noteSuperpage(address)
            let first = address & ~(1 << 21 - 1), entry = mynah_load_word(walked.entry, 8)
            let physical = walked.physical & ~(1 << 21 - 1)
            for page in 0 ..< 512 as Range<UInt64> { add(first + page << 12, entry, physical + page << 12, to: &run) }
        } else {
            let first = address & ~(UInt64(RISCVHart.pagesAround) * SoftTLB.pageBytes - 1)
            let entries = walked.entry - (address - first) >> 12 * 8
            for page in 0 ..< UInt64(RISCVHart.pagesAround) {
                let entry = mynah_load_word(entries + page * 8, 8)
                add(first + page << 12, entry, (entry >> 10 & PageTableEntry.pageNumberMask) << 12, to: &run)
            }
        }
        flush(run)
    }

    /// Pages that follow each other in both memories.
    private struct WindowPiece {
        var address: UInt64
        var count: Int
        var file: Int32
        var offset: UInt64
        var isWritable: Bool
    }

    private func flush(_ piece: WindowPiece?) {
        guard let piece, ranges.isWindowed else { return }
        let isMapped = ranges.windows.map(
            piece.address, pageCount: piece.count, file: piece.file, offset: piece.offset, isWritable: piece.isWritable)
        // The host has no more room for pieces.
        if !isMapped { ranges.forgetAll() }
    }

    /// Adds a page to the piece, or begins another, if it may be accessed and is not mapped yet.
    private func add(_ address: UInt64, _ entry: UInt64, _ physical: UInt64, to piece: inout WindowPiece?) {
        let wanted = PageTableEntry.valid | PageTableEntry.readable | PageTableEntry.user | PageTableEntry.accessed
        let unusual = PageTableEntry.reserved | PageTableEntry.memoryType | PageTableEntry.napot
        guard entry & wanted == wanted, entry & unusual == 0, isOpen(physical, SoftTLB.pageBytes, .read),
            let ram = memory.ram(physical, byteCount: SoftTLB.pageBytes)
        else { return }
        let offset = physical &- ram.pointee.address, written = PageTableEntry.writable | PageTableEntry.dirty
        let known = ranges.windows.access(at: address)
        if known == true { return }
        var isWritable = false
        if entry & written == written, isOpen(physical, SoftTLB.pageBytes, .write) {
            ranges.willWrite(host: UInt64(UInt(bitPattern: ram.pointee.host)) &+ offset, byteCount: SoftTLB.pageBytes)
            isWritable = memory.noteWriteTag(MachineMemory.page(physical, in: ram))
        }
        if known != nil, !isWritable { return }
        if var last = piece, last.address + UInt64(last.count) << 12 == address, last.offset + UInt64(last.count) << 12 == offset,
            last.file == ram.pointee.file, last.isWritable == isWritable
        {
            last.count += 1
            piece = last
            return
        }
        flush(piece)
        piece = WindowPiece(address: address, count: 1, file: ram.pointee.file, offset: offset, isWritable: isWritable)
    }
}

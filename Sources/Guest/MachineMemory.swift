// The memory of a machine: RAM that all harts and devices share, and a bus for the rest of the physical address space.
//
// Each page of RAM has a word: a version that changes when code in the page is written to, and two flags. While a page has code
// that somebody decoded, no TLB holds a tag for writing it: the first write takes the slow path, gives the page a new version
// and clears the flag. Decoded code is checked against the version, so nobody has to be asked to forget it.

import CHost
import Glibc
import IR

/// What is not RAM. Called on the thread of the hart that accesses it, by several at once.
package protocol PhysicalBus: AnyObject {
    /// The 1, 2, 4 or 8 bytes at a naturally aligned physical address; nil raises an access fault.
    func read(_ address: UInt64, byteCount: Int) -> UInt64?
    /// False raises an access fault.
    func write(_ address: UInt64, byteCount: Int, value: UInt64) -> Bool
}

package enum MachineMemoryError: Error, CustomStringConvertible {
    case noMemory(byteCount: Int)
    case overlap(address: UInt64)
    case misaligned(address: UInt64, byteCount: Int)

    package var description: String {
        switch self {
        case .noMemory(let count): "The host has no \(count >> 20) MiB for the machine's memory: give it less."
        case .overlap(let address): "Memory at 0x\(String(address, radix: 16)) overlaps other memory of the machine."
        case .misaligned(let address, let count):
            "Memory at 0x\(String(address, radix: 16)) of \(count) bytes is not made of whole pages."
        }
    }
}

/// One piece of RAM.
package struct MachineRAM {
    package let address: UInt64
    package let byteCount: UInt64
    package let host: UnsafeMutableRawPointer
    /// The file that it is, so that it can be mapped elsewhere, too.
    package let file: Int32
    /// A word a page: `MachineMemory.hasCode`, `mayBeTagged`, and the version above them.
    package let pages: UnsafeMutablePointer<UInt32>
}

package final class MachineMemory: @unchecked Sendable {
    @inlinable @inline(__always) package static var hasCode: UInt32 { 1 }
    /// Some TLB may have a tag for writing the page.
    @inlinable @inline(__always) package static var mayBeTagged: UInt32 { 2 }
    private static let oneVersion: UInt32 = 4

    // SAFETY: filled before harts run; afterwards only read. RAM lives as long as the object.
    package private(set) var rams: [MachineRAM] = []
    private let ramList: UnsafeMutablePointer<MachineRAM>
    private var ramCount = 0
    private static let ramLimit = 16
    package var bus: PhysicalBus?
    /// Called, on the writer's thread, when code in a page is written to: the page's physical address. Set before harts run.
    package var onCodeWrite: ((UInt64) -> Void)?
    /// Called when tags for writing were dropped from the buffers of several harts: who goes on from a proof that he has had,
    /// looks again.
    package var onTagsDropped: (() -> Void)?
    // SAFETY: tables are registered before harts run and live as long as their hart, which unregisters them.
    private var tables: [SoftTables] = []
    private var ranges: [SoftRanges] = []
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    /// Pages whose code was first noted since the last `settleCode`: their physical addresses.
    private var youngCode: [UInt64] = []
    private var youngCount: UInt64 = 0

    package init() {
        ramList = .allocate(capacity: MachineMemory.ramLimit)
        lock = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
    }

    deinit {
        for ram in rams {
            munmap(ram.host, Int(ram.byteCount))
            close(ram.file)
            free(ram.pages)
        }
        ramList.deallocate()
        pthread_mutex_destroy(lock)
        lock.deallocate()
    }

    /// Adds zeroed RAM at a physical address.
    package func addRAM(at address: UInt64, byteCount: Int) throws {
        let (end, overflows) = address.addingReportingOverflow(UInt64(bitPattern: Int64(byteCount)))
        guard byteCount > 0, !overflows, address & 4095 == 0, byteCount & 4095 == 0, rams.count < MachineMemory.ramLimit else {
            throw MachineMemoryError.misaligned(address: address, byteCount: byteCount)
        }
        for ram in rams where address < ram.address + ram.byteCount && ram.address < end {
            throw MachineMemoryError.overlap(address: address)
        }
        let file = mynah_memfd("mynah-ram")
        guard file >= 0, ftruncate(file, byteCount) == 0,
            let host = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0), host != MAP_FAILED,
            let pages = calloc(byteCount >> 12, MemoryLayout<UInt32>.stride)
        else {
            if file >= 0 { close(file) }
            throw MachineMemoryError.noMemory(byteCount: byteCount)
        }
        let ram = MachineRAM(
            address: address, byteCount: UInt64(byteCount), host: host, file: file,
            pages: pages.bindMemory(to: UInt32.self, capacity: byteCount >> 12))
        (ramList + rams.count).initialize(to: ram)
        rams.append(ram)
        ramCount += 1
    }

    // MARK: Finding RAM

    /// The RAM that holds the whole range; nil when none does.
    @inline(__always)
    package func ram(_ address: UInt64, byteCount: UInt64) -> UnsafeMutablePointer<MachineRAM>? {
        for index in 0 ..< ramCount {
            let offset = address &- ramList[index].address
            if offset < ramList[index].byteCount && ramList[index].byteCount &- offset >= byteCount { return ramList + index }
        }
        return nil
    }

    /// The RAM that a host address is in.
    package func ram(host: UInt64) -> UnsafeMutablePointer<MachineRAM>? {
        for index in 0 ..< ramCount where host &- UInt64(UInt(bitPattern: ramList[index].host)) < ramList[index].byteCount {
            return ramList + index
        }
        return nil
    }

    /// Host memory of a physical range; nil unless the range lies within one RAM. Whoever writes there calls `didWrite`.
    package func hostPointer(_ address: UInt64, byteCount: Int) -> UnsafeMutableRawPointer? {
        guard byteCount >= 0, let ram = ram(address, byteCount: UInt64(byteCount)) else { return nil }
        return ram.pointee.host + Int(address &- ram.pointee.address)
    }

    /// Writes bytes to RAM; false when the range is not RAM.
    package func copyIn(_ bytes: UnsafeRawBufferPointer, to address: UInt64) -> Bool {
        guard let host = hostPointer(address, byteCount: bytes.count) else { return false }
        if let start = bytes.baseAddress { memcpy(host, start, bytes.count) }
        didWrite(address, byteCount: bytes.count)
        return true
    }

    /// Reads bytes from RAM; false when the range is not RAM.
    package func copyOut(_ address: UInt64, to bytes: UnsafeMutableRawBufferPointer) -> Bool {
        guard let host = hostPointer(address, byteCount: bytes.count) else { return false }
        if let start = bytes.baseAddress { memcpy(start, host, bytes.count) }
        return true
    }

    /// Zeroes whole pages of RAM, and lets the host have what they were kept in; does nothing for any other range.
    package func discard(_ address: UInt64, byteCount: Int) {
        guard byteCount > 0, (address | UInt64(byteCount)) & ~SoftTLB.pageMask == 0,
            let host = hostPointer(address, byteCount: byteCount)
        else { return }
        if madvise(host, byteCount, MADV_REMOVE) != 0 { memset(host, 0, byteCount) }
        didWrite(address, byteCount: byteCount)
    }

    // MARK: Code in RAM

    /// The word of the page that holds a physical address in `ram`.
    @inline(__always)
    package static func page(_ address: UInt64, in ram: UnsafeMutablePointer<MachineRAM>) -> UnsafeMutablePointer<UInt32> {
        ram.pointee.pages + Int((address &- ram.pointee.address) &>> 12)
    }

    @inline(__always)
    package static func version(_ page: UnsafeMutablePointer<UInt32>) -> UInt32 {
        UInt32(mynah_load_word(UInt64(UInt(bitPattern: page)), 4)) & ~3
    }

    /// Somebody wrote to RAM by other means than a hart's stores: a device, a loader.
    package func didWrite(_ address: UInt64, byteCount: Int) {
        guard byteCount > 0, let ram = ram(address, byteCount: UInt64(byteCount)) else { return }
        var page = address & SoftTLB.pageMask
        while page < address &+ UInt64(byteCount) {
            let word = MachineMemory.page(page, in: ram)
            if word.pointee & MachineMemory.hasCode != 0 { noteWrite(page, word) }
            page &+= SoftTLB.pageBytes
        }
    }

    /// A page that has code is about to be written, or was: what is decoded from it is void.
    package func noteWrite(_ address: UInt64, _ page: UnsafeMutablePointer<UInt32>) {
        let place = UInt64(UInt(bitPattern: page))
        while true {
            let old = page.pointee
            if old & MachineMemory.hasCode == 0 { return }
            let new = (old &+ MachineMemory.oneVersion) & ~MachineMemory.hasCode
            if mynah_compare_exchange(4, place, UInt64(old), UInt64(new)) == UInt64(old) { break }
        }
        onCodeWrite?(address & SoftTLB.pageMask)
    }

    /// Before code is read from a page in order to decode it: from now on its version changes with a write.
    package func noteCode(_ address: UInt64, _ page: UnsafeMutablePointer<UInt32>) {
        if page.pointee & MachineMemory.hasCode != 0 { return }
        let place = UInt64(UInt(bitPattern: page))
        let old = UInt32(truncatingIfNeeded: mynah_atomic(Int32(MYNAH_OR), 4, place, UInt64(MachineMemory.hasCode)))
        guard old & MachineMemory.hasCode == 0 else { return }
        let tagged = UInt64(MachineMemory.mayBeTagged)
        let before = mynah_atomic(Int32(MYNAH_AND), 4, place, ~tagged & 0xffff_ffff)
        if before & tagged != 0 { dropWriteTags(address & SoftTLB.pageMask) }
    }

    /// After a hart set a tag for writing. False when the page has code: the tag must be dropped again.
    package func noteWriteTag(_ page: UnsafeMutablePointer<UInt32>) -> Bool {
        if page.pointee & 3 == MachineMemory.mayBeTagged {
            mynah_fence()
            if page.pointee & 3 == MachineMemory.mayBeTagged { return true }
        }
        let old = mynah_atomic(Int32(MYNAH_OR), 4, UInt64(UInt(bitPattern: page)), UInt64(MachineMemory.mayBeTagged))
        return UInt32(truncatingIfNeeded: old) & MachineMemory.hasCode == 0
    }

    private func dropWriteTags(_ address: UInt64) {
        guard let ram = ram(address, byteCount: 1) else { return }
        let host = UInt64(UInt(bitPattern: ram.pointee.host)) &+ (address &- ram.pointee.address)
        locked {
            // With one hart a store cannot be under way between its check and its effect.
            if tables.count > 1 { youngCode.append(address) }
            for buffers in tables {
                for table in 0 ..< buffers.count {
                    let entries = buffers.entries + table * SoftTLB.entryCount
                    buffers.forEachUsed(table) { index in
                        if entries[index].host == host { entries[index].writeTag = SoftTLBEntry.noTag(index) }
                    }
                }
            }
            for ranges in ranges { ranges.forgetWrites(host: host, isShared: tables.count > 1 && onTagsDropped != nil) }
            if !youngCode.isEmpty { youngCount &+= 1 }
        }
        if tables.count > 1 { onTagsDropped?() }
        mynah_fence()
    }

    /// At `fence.i` and the like: another hart may have been between the check of a tag and its store when the page's code was
    /// noted. That store has happened by now, so what was decoded meanwhile is decoded again.
    package func settleCode() {
        if tables.count < 2 || youngCount == 0 { return }
        let pages = locked {
            defer {
                youngCode.removeAll(keepingCapacity: true)
                youngCount = 0
            }
            return youngCode
        }
        for page in pages { didWrite(page, byteCount: 1) }
    }

    // MARK: Tables of harts

    package func register(_ buffers: SoftTables, _ ranges: SoftRanges) {
        locked {
            tables.append(buffers)
            self.ranges.append(ranges)
        }
    }
    package func unregister(_ buffers: SoftTables, _ ranges: SoftRanges) {
        locked {
            tables.removeAll { $0.entries == buffers.entries }
            self.ranges.removeAll { $0 === ranges }
        }
    }

    @inline(__always)
    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }
}

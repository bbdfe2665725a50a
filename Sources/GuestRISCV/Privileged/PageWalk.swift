// Address translation: Sv39, Sv48 and Sv57, with Svnapot, Svpbmt, and accessed and dirty bits that are either updated (Svadu,
// `menvcfg.ADUE`) or raise page faults (Svade). Volume II, 12.3 to 12.6 and the chapters of the extensions.

import CHost
import Guest

/// What is done at an address.
enum MemoryAccess {
    case read, write, execute

    var right: MemoryRights { self == .read ? .read : self == .write ? .write : .execute }
    var pageFault: UInt64 {
        self == .read ? TrapCause.loadPageFault : self == .write ? TrapCause.storePageFault : TrapCause.instructionPageFault
    }
    var accessFault: UInt64 {
        self == .read ? TrapCause.loadAccessFault : self == .write ? TrapCause.storeAccessFault : TrapCause.instructionAccessFault
    }
    var misaligned: UInt64 {
        self == .read ? TrapCause.loadMisaligned : self == .write ? TrapCause.storeMisaligned : TrapCause.instructionMisaligned
    }
}

/// The end of a walk.
struct PageWalkResult {
    /// The exception that it raises; nil when there is a translation.
    var fault: UInt64?
    var physical: UInt64 = 0
    /// log2 of the size of the page.
    var pageBits: UInt8 = 12
    /// It is the same in all address spaces.
    var isGlobal = false
    /// Host address of the page-table entry; 0 when there is none.
    var entry: UInt64 = 0

    static func fault(_ cause: UInt64) -> PageWalkResult { PageWalkResult(fault: cause) }
}

/// Bits of a page-table entry.
enum PageTableEntry {
    static let valid: UInt64 = 1
    static let readable: UInt64 = 2
    static let writable: UInt64 = 4
    static let executable: UInt64 = 8
    static let user: UInt64 = 16
    static let global: UInt64 = 32
    static let accessed: UInt64 = 64
    static let dirty: UInt64 = 128
    static let memoryType: UInt64 = 3 << 61
    static let napot: UInt64 = 1 << 63
    static let reserved: UInt64 = 0x7f << 54
    static let pageNumberMask: UInt64 = 1 << 44 - 1
}

extension RISCVHart {
    /// Levels of the page table that `satp` names; 0 for none.
    var pageTableLevels: Int {
        switch satp >> 60 {
        case 8: 3
        case 9: 4
        case 10: 5
        default: 0
        }
    }

    /// Translates for an access with the rights of `mode`.
    func walk(_ address: UInt64, _ access: MemoryAccess, _ mode: PrivilegeMode) -> PageWalkResult {
        let levels = pageTableLevels
        if mode == .machine || levels == 0 { return PageWalkResult(physical: address, isGlobal: mode == .machine) }
        let bits = 12 + 9 * UInt64(levels)
        let extended = UInt64(bitPattern: Int64(bitPattern: address << (64 - bits)) >> Int64(64 - bits))
        guard extended == address else { return .fault(access.pageFault) }
        while true {
            var table = (satp & PageTableEntry.pageNumberMask) << 12
            var level = levels - 1, isGlobal = false
            let known = leafTables.find(address)
            if let known {
                table = known.table
                level = 0
                isGlobal = known.isGlobal
            }
            descent: while true {
                let index = address >> (12 + 9 * UInt64(level)) & 511
                let place = table &+ index * 8
                guard protection.allows(place, 8, .read, .supervisor) else { return .fault(access.accessFault) }
                let host: UInt64
                if let known {
                    host = known.host &+ index * 8
                } else {
                    guard let ram = memory.ram(place, byteCount: 8) else { return .fault(access.accessFault) }
                    host = UInt64(UInt(bitPattern: ram.pointee.host)) &+ (place &- ram.pointee.address)
                    if level == 0 { leafTables.note(address, table: table, host: host &- index * 8, isGlobal: isGlobal) }
                }
                let entry = mynah_load_word(host, 8)
                if !isWellFormed(entry) { return .fault(access.pageFault) }
                isGlobal = isGlobal || entry & PageTableEntry.global != 0
                if entry & (PageTableEntry.readable | PageTableEntry.executable) == 0 {
                    // A pointer to the next level.
                    let leafOnly =
                        PageTableEntry.user | PageTableEntry.accessed | PageTableEntry.dirty | PageTableEntry.memoryType
                        | PageTableEntry.napot
                    if level == 0 || entry & leafOnly != 0 { return .fault(access.pageFault) }
                    table = (entry >> 10 & PageTableEntry.pageNumberMask) << 12
                    level -= 1
                    continue
                }
                guard permits(entry, access, mode), let frame = frame(entry, address, level) else {
                    return .fault(access.pageFault)
                }
                let wanted = PageTableEntry.accessed | (access == .write ? PageTableEntry.dirty : 0)
                if entry & wanted != wanted {
                    if isSpeculative || menvcfg & EnvironmentConfiguration.adue == 0 { return .fault(access.pageFault) }
                    guard protection.allows(place, 8, .write, .supervisor) else { return .fault(access.accessFault) }
                    // Changed meanwhile: from the start.
                    if mynah_compare_exchange(8, host, entry, entry | wanted) != entry { break descent }
                }
                let pageBits = entry & PageTableEntry.napot != 0 ? 16 : UInt8(12 + 9 * level)
                return PageWalkResult(physical: frame, pageBits: pageBits, isGlobal: isGlobal, entry: host)
            }
        }
    }

    private func isWellFormed(_ entry: UInt64) -> Bool {
        let isWriteOnly = entry & (PageTableEntry.readable | PageTableEntry.writable) == PageTableEntry.writable
        if entry & PageTableEntry.valid == 0 || isWriteOnly || entry & PageTableEntry.reserved != 0 { return false }
        let type = entry & PageTableEntry.memoryType
        if type == 0 { return true }
        return menvcfg & EnvironmentConfiguration.pbmte != 0 && type != PageTableEntry.memoryType
    }

    private func permits(_ entry: UInt64, _ access: MemoryAccess, _ mode: PrivilegeMode) -> Bool {
        let isUser = entry & PageTableEntry.user != 0
        if mode == .user && !isUser { return false }
        if mode == .supervisor && isUser && (access == .execute || mstatus & Status.sum == 0) { return false }
        switch access {
        case .read:
            let readable = PageTableEntry.readable | (mstatus & Status.mxr != 0 ? PageTableEntry.executable : 0)
            return entry & readable != 0
        case .write: return entry & PageTableEntry.writable != 0
        case .execute: return entry & PageTableEntry.executable != 0
        }
    }

    /// The physical address, or nil for a misaligned superpage or a reserved size.
    private func frame(_ entry: UInt64, _ address: UInt64, _ level: Int) -> UInt64? {
        let number = entry >> 10 & PageTableEntry.pageNumberMask
        if entry & PageTableEntry.napot != 0 {
            guard level == 0, number & 15 == 8 else { return nil }
            return (number & ~15) << 12 | address & 0xffff
        }
        let low: UInt64 = 1 << (9 * UInt64(level)) - 1
        guard number & low == 0 else { return nil }
        return number << 12 | address & (low << 12 | 4095)
    }
}

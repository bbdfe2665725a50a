// Memory as the hart's instructions see it when the look-aside buffer does not know: walks, protection, devices, accesses across
// pages, and filling the buffer.

import CHost
import Guest

/// Where an access goes.
enum ResolvedAccess {
    /// RAM, at this host address.
    case ram(UInt64)
    /// Not RAM, at this physical address.
    case device(UInt64)
    /// An exception, whose cause and value are in the hart.
    case fault
}

extension RISCVHart {
    // MARK: Flushing

    package func flushTranslations() {
        for context in Context.allCases {
            table(context).update(from: emptyTable, count: SoftTLB.entryCount)
            if superpageRanges[context.rawValue].isEmpty { continue }
            (superpages + context.rawValue * SoftTLB.entryCount).update(repeating: 0, count: SoftTLB.entryCount)
            superpageRanges[context.rawValue] = SuperpageRange()
        }
        codePages.forgetAll()
    }

    /// Flushes what translates `address`, in all contexts that translate.
    package func flushTranslation(of address: UInt64) {
        let place = Int(truncatingIfNeeded: address >> 12 & SoftTLB.indexMask)
        for context in Context.allCases where context != .machine {
            let table = table(context), first = context.rawValue * SoftTLB.entryCount
            table[place] = .empty(place)
            guard superpageRanges[context.rawValue].contains(address) else { continue }
            for index in 0 ..< SoftTLB.entryCount {
                let bits = UInt64(superpages[first + index])
                guard bits != 0 else { continue }
                // Tags that there are not are near address 0, where one more flush does no harm.
                let entry = table[index]
                let covers = (entry.readTag ^ address) >> bits == 0 || (entry.writeTag ^ address) >> bits == 0
                if covers || (entry.executeTag ^ address) >> bits == 0 {
                    table[index] = .empty(index)
                    superpages[first + index] = 0
                }
            }
        }
        codePages.forget(address)
    }

    // MARK: Resolving

    /// Translates and checks an access that lies within one page, and fills the buffer when it is to RAM.
    func resolve(_ address: UInt64, _ byteCount: UInt64, _ access: MemoryAccess) -> ResolvedAccess {
        let mode = access == .execute ? privilege : dataPrivilege
        let walked = walk(address, access, mode)
        if let fault = walked.fault { return raise(fault, address) }
        let physical = walked.physical
        guard protection.allows(physical, byteCount, access.right, mode) else { return raise(access.accessFault, address) }
        guard let ram = memory.ram(physical, byteCount: byteCount) else { return .device(physical) }
        let host = UInt64(UInt(bitPattern: ram.pointee.host)) &+ (physical &- ram.pointee.address)
        let word = MachineMemory.page(physical, in: ram)
        if access == .write, word.pointee & MachineMemory.hasCode != 0 { memory.noteWrite(physical, word) }
        if protection.isUniform(page: physical & SoftTLB.pageMask), access == .execute || watched?.isInPage(of: address) != true {
            fill(address, host, access, access == .execute ? codeContext : dataContext, walked.pageBits, word)
        }
        return .ram(host)
    }

    private func raise(_ cause: UInt64, _ value: UInt64) -> ResolvedAccess {
        trapCause = cause
        trapValue = value
        return .fault
    }

    private func fill(
        _ address: UInt64, _ host: UInt64, _ access: MemoryAccess, _ context: Context, _ pageBits: UInt8,
        _ word: UnsafeMutablePointer<UInt32>
    ) {
        let page = address & SoftTLB.pageMask, hostPage = host & SoftTLB.pageMask
        let index = context.rawValue * SoftTLB.entryCount + Int(truncatingIfNeeded: address >> 12 & SoftTLB.indexMask)
        let entry = tables + index
        let isSame = entry.pointee.host == hostPage && (entry.pointee.readTag == page || entry.pointee.writeTag == page || entry.pointee.executeTag == page)
        if !isSame {
            // The tags first and last: another hart may look which page of memory is behind the one for writing.
            entry.pointee = .empty(index)
            entry.pointee.host = hostPage
            superpages[index] = 0
        }
        if pageBits > 12 {
            superpages[index] = max(superpages[index], pageBits)
            superpageRanges[context.rawValue].include(address, bits: pageBits)
        }
        switch access {
        case .read: entry.pointee.readTag = page
        case .execute: entry.pointee.executeTag = page
        case .write:
            entry.pointee.writeTag = page
            // Somebody may have decoded code of the page just now: the next write finds out.
            if !memory.noteWriteTag(word) { entry.pointee.writeTag = SoftTLBEntry.noTag(index) }
        }
    }

    // MARK: Loads and stores

    /// A load that the buffer did not serve; nil raises the exception in the hart.
    @inline(never)
    func load(_ address: UInt64, _ byteCount: UInt64) -> UInt64? {
        let offset = address & 4095
        if offset &+ byteCount > SoftTLB.pageBytes { return loadAcrossPages(address, byteCount) }
        switch resolve(address, byteCount, .read) {
        case .ram(let host): return isWatched(address, byteCount) ? nil : RISCVHart.loadWord(host, byteCount)
        case .device(let physical): return isWatched(address, byteCount) ? nil : loadDevice(address, physical, byteCount)
        case .fault: return nil
        }
    }

    private static func loadWord(_ host: UInt64, _ byteCount: UInt64) -> UInt64 { mynah_load_word(host, Int32(byteCount)) }

    private func loadDevice(_ address: UInt64, _ physical: UInt64, _ byteCount: UInt64) -> UInt64? {
        // Devices compute with floats of their own; the guest's flags are live.
        let control = mynah_get_mxcsr()
        defer { mynah_set_mxcsr(control) }
        if physical & (byteCount - 1) == 0, let value = memory.bus?.read(physical, byteCount: Int(byteCount)) { return value }
        _ = raise(physical & (byteCount - 1) == 0 ? TrapCause.loadAccessFault : TrapCause.loadMisaligned, address)
        return nil
    }

    private func loadAcrossPages(_ address: UInt64, _ byteCount: UInt64) -> UInt64? {
        let first = SoftTLB.pageBytes - address & 4095
        let second = address &+ first
        guard case .ram(let low) = resolveRAM(address, first, .read), case .ram(let high) = resolveRAM(second, byteCount - first, .read) else {
            return nil
        }
        if isWatched(address, byteCount) { return nil }
        var result: UInt64 = 0
        for index in 0 ..< byteCount {
            let byte = index < first ? mynah_load_word(low &+ index, 1) : mynah_load_word(high &+ (index - first), 1)
            result |= byte << (index * 8)
        }
        return result
    }

    /// Devices have no accesses across pages.
    private func resolveRAM(_ address: UInt64, _ byteCount: UInt64, _ access: MemoryAccess) -> ResolvedAccess {
        let result = resolve(address, byteCount, access)
        if case .device = result { return raise(access.misaligned, address) }
        return result
    }

    /// A store that the buffer did not serve; false raises the exception in the hart.
    @inline(never)
    func store(_ address: UInt64, _ byteCount: UInt64, _ value: UInt64) -> Bool {
        let offset = address & 4095
        if offset &+ byteCount > SoftTLB.pageBytes { return storeAcrossPages(address, byteCount, value) }
        switch resolve(address, byteCount, .write) {
        case .ram(let host):
            if isWatched(address, byteCount) { return false }
            mynah_store_word(host, Int32(byteCount), value)
            return true
        case .device(let physical): return !isWatched(address, byteCount) && storeDevice(address, physical, byteCount, value)
        case .fault: return false
        }
    }

    private func storeDevice(_ address: UInt64, _ physical: UInt64, _ byteCount: UInt64, _ value: UInt64) -> Bool {
        let control = mynah_get_mxcsr()
        defer { mynah_set_mxcsr(control) }
        let mask: UInt64 = byteCount == 8 ? .max : 1 << (byteCount * 8) - 1
        if physical & (byteCount - 1) == 0, let bus = memory.bus, bus.write(physical, byteCount: Int(byteCount), value: value & mask) { return true }
        _ = raise(physical & (byteCount - 1) == 0 ? TrapCause.storeAccessFault : TrapCause.storeMisaligned, address)
        return false
    }

    private func storeAcrossPages(_ address: UInt64, _ byteCount: UInt64, _ value: UInt64) -> Bool {
        let first = SoftTLB.pageBytes - address & 4095
        let second = address &+ first
        // Both are checked before a byte is written.
        guard case .ram(let low) = resolveRAM(address, first, .write), case .ram(let high) = resolveRAM(second, byteCount - first, .write) else {
            return false
        }
        if isWatched(address, byteCount) { return false }
        for index in 0 ..< byteCount {
            let byte = value >> (index * 8) & 255
            if index < first { mynah_store_word(low &+ index, 1, byte) } else { mynah_store_word(high &+ (index - first), 1, byte) }
        }
        return true
    }

    /// The host address of a naturally aligned word for an atomic access; nil raises the exception in the hart.
    func hostOfAtomic(_ address: UInt64, _ byteCount: UInt64, _ access: MemoryAccess) -> UInt64? {
        if address & (byteCount - 1) != 0 {
            _ = raise(access.misaligned, address)
            return nil
        }
        switch resolve(address, byteCount, access) {
        case .ram(let host): return isWatched(address, byteCount) ? nil : host
        case .device:
            _ = raise(access.accessFault, address)
            return nil
        case .fault: return nil
        }
    }

    /// Whether a cache block may be managed: it may be read or written.
    func permitsCacheManagement(_ address: UInt64) -> Bool {
        if case .fault = resolve(address, 1, .read) {
            if case .fault = resolve(address, 1, .write) { return false }
        }
        return true
    }
}

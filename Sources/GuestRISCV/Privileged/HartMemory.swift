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
        leafTables.forgetAll()
        for context in Context.allCases { flush(context) }
        codePages.forgetAll()
    }

    private func flush(_ context: Context) {
        hasLocalEntries[context.rawValue] = false
        if !superpageRanges[context.rawValue].isEmpty {
            let first = superpages + context.rawValue * SoftTLB.entryCount
            buffers.forEachUsed(context.rawValue) { first[$0] = 0 }
            superpageRanges[context.rawValue] = SuperpageRange()
        }
        buffers.flush(context.rawValue)
        if context == .user { ranges.forgetAll() }
    }

    /// Flushes what is not of all address spaces: bit G of page-table entries.
    package func flushLocalTranslations() {
        leafTables.forgetAll()
        for context in Context.allCases where hasLocalEntries[context.rawValue] {
            flush(context)
            if context != .supervisorOfUser { codePages.forgetAll(context) }
        }
    }

    /// `sfence.vma`: the translations of an address, or of all, in one address space or all. Only entries of the present address
    /// space are ever there, beside those of all.
    package func fence(address: UInt64?, space: UInt64?) {
        if let space, space & 0xffff != satp >> 44 & 0xffff { return }
        if let address { return flushTranslation(of: address) }
        if space == nil { flushTranslations() } else { flushLocalTranslations() }
    }

    /// Flushes what translates `address`, in all contexts that translate.
    package func flushTranslation(of address: UInt64) {
        leafTables.forgetAll()
        let place = Int(truncatingIfNeeded: address >> 12 & SoftTLB.indexMask)
        for context in Context.allCases where context != .machine {
            let table = table(context), first = context.rawValue * SoftTLB.entryCount
            table[place] = .empty(place)
            guard superpageRanges[context.rawValue].contains(address) else { continue }
            buffers.forEachUsed(context.rawValue) { index in
                let bits = UInt64(superpages[first + index])
                guard bits != 0 else { return }
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
        ranges.forget(address)
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
            fill(address, host, access, access == .execute ? codeContext : dataContext, walked, word)
        }
        return .ram(host)
    }

    private func raise(_ cause: UInt64, _ value: UInt64) -> ResolvedAccess {
        trapCause = cause
        trapValue = value
        return .fault
    }

    private func fill(
        _ address: UInt64, _ host: UInt64, _ access: MemoryAccess, _ context: Context, _ walked: PageWalkResult,
        _ word: UnsafeMutablePointer<UInt32>
    ) {
        let page = address & SoftTLB.pageMask, hostPage = host & SoftTLB.pageMask
        let place = Int(truncatingIfNeeded: address >> 12 & SoftTLB.indexMask)
        let index = context.rawValue * SoftTLB.entryCount + place
        let entry = tables + index, pageBits = walked.pageBits
        if entry.pointee.host == 0, !buffers.noteUse(context.rawValue, place) {
            // Pages of code stay admitted.
            let isLocal = hasLocalEntries[context.rawValue]
            flush(context)
            hasLocalEntries[context.rawValue] = isLocal
            _ = buffers.noteUse(context.rawValue, place)
        }
        if !walked.isGlobal { hasLocalEntries[context.rawValue] = true }
        let isSame =
            entry.pointee.host == hostPage
            && (entry.pointee.readTag == page || entry.pointee.writeTag == page || entry.pointee.executeTag == page)
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
        if leavesDevices {
            hasLeftDevice = true
            return nil
        }
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
        guard case .ram(let low) = resolveRAM(address, first, .read),
            case .ram(let high) = resolveRAM(second, byteCount - first, .read)
        else {
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
        if leavesDevices {
            hasLeftDevice = true
            return false
        }
        let control = mynah_get_mxcsr()
        defer { mynah_set_mxcsr(control) }
        let mask: UInt64 = byteCount == 8 ? .max : 1 << (byteCount * 8) - 1
        if physical & (byteCount - 1) == 0, let bus = memory.bus,
            bus.write(physical, byteCount: Int(byteCount), value: value & mask)
        {
            return true
        }
        _ = raise(physical & (byteCount - 1) == 0 ? TrapCause.storeAccessFault : TrapCause.storeMisaligned, address)
        return false
    }

    private func storeAcrossPages(_ address: UInt64, _ byteCount: UInt64, _ value: UInt64) -> Bool {
        let first = SoftTLB.pageBytes - address & 4095
        let second = address &+ first
        // Both are checked before a byte is written.
        guard case .ram(let low) = resolveRAM(address, first, .write),
            case .ram(let high) = resolveRAM(second, byteCount - first, .write)
        else {
            return false
        }
        if isWatched(address, byteCount) { return false }
        for index in 0 ..< byteCount {
            let byte = value >> (index * 8) & 255
            if index < first {
                mynah_store_word(low &+ index, 1, byte)
            } else {
                mynah_store_word(high &+ (index - first), 1, byte)
            }
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

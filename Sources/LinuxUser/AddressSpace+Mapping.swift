// mmap, munmap, mprotect, mremap and brk for the guest: the kernel's rules for arguments, our choice of addresses.

import Glibc

extension AddressSpace {
    enum MapFlag {
        static let shared = 1, sharedValidate = 3, typeMask = 0xf
        static let fixed = 0x10, anonymous = 0x20, growsDown = 0x100, hugePages = 0x40000, fixedNoReplace = 0x100000
        static let placement = fixed | growsDown | fixedNoReplace | 0x40
    }

    private static let hugePageBytes: UInt64 = 2 << 20

    package func map(
        _ hint: UInt64, _ byteCount: UInt64, protection: UInt64, flags: UInt64, descriptor: Int32, offset: UInt64,
        named name: String? = nil
    ) -> Int64 {
        let flags = Int(truncatingIfNeeded: flags)
        let isFixed = flags & (MapFlag.fixed | MapFlag.fixedNoReplace) != 0
        guard byteCount != 0, Self.isAligned(offset) else { return Errno.EINVAL.result }
        let length = Self.roundedUp(byteCount)
        guard length >= byteCount, length <= Self.limit else { return Errno.ENOMEM.result }
        let isAnonymous = flags & MapFlag.anonymous != 0
        if !isAnonymous && offset &+ length < offset { return Errno.EOVERFLOW.result }
        if isFixed {
            guard Self.isAligned(hint) else { return Errno.EINVAL.result }
            guard Self.range(hint, length) != nil else { return Errno.ENOMEM.result }
        }
        // Other bits are ignored, as in the kernel.
        let guestProtection = Protection(rawValue: UInt8(protection & 7))
        let source = isAnonymous ? name.map { MappingSource($0) } : describe(descriptor)
        return changing { outdated in
            let hostFlags = (flags & ~MapFlag.placement)
            let call = { (address: UInt64, placement: Int) -> Int64 in
                Self.host(
                    HostNumber.mmap, address, length, Self.hostProtection(guestProtection), hostFlags | placement,
                    isAnonymous ? -1 : Int(descriptor), offset)
            }
            let result: Int64
            if isFixed {
                let range = hint..<hint + length
                let replaces = flags & MapFlag.fixedNoReplace == 0
                if !replaces && !list.isFree(range) { return Errno.EEXIST.result }
                if replaces { prepareChange(of: range, outdated: &outdated) }
                result = call(hint, replaces ? MapFlag.fixed : MapFlag.fixedNoReplace)
            } else {
                let alignment = flags & MapFlag.hugePages != 0 ? Self.hugePageBytes : Self.pageBytes
                result = place(hint, length, alignment: alignment) { call($0, MapFlag.fixedNoReplace) }
            }
            guard result > 0 || (result == 0 && isFixed) else { return result }
            let start = UInt64(bitPattern: result)
            let index = source.map { list.index(of: $0) } ?? 0
            list.insert(Region(
                start: start, end: start + length, protection: guestProtection, isShared: flags & MapFlag.typeMask != 2,
                source: index, offset: index == 0 ? 0 : isAnonymous ? start : offset))
            return result
        }
    }

    /// Chooses an address, the hint when it is free, and calls `map` with it; again elsewhere when the host has something there.
    private func place(_ hint: UInt64, _ length: UInt64, alignment: UInt64, _ map: (UInt64) -> Int64) -> Int64 {
        let wanted = Self.roundedUp(hint) & ~(alignment - 1)
        if hint != 0, let range = Self.range(wanted, length), wanted >= searchLimits.lowerBound, list.isFree(range) {
            let result = map(wanted)
            if result != Errno.EEXIST.result { return result }
        }
        var limits = searchLimits
        while let address = list.highestFree(length, in: limits, alignment: alignment) {
            let result = map(address)
            if result != Errno.EEXIST.result { return result }
            limits = limits.lowerBound..<address
        }
        return Errno.ENOMEM.result
    }

    /// Which file a descriptor's mappings show.
    private func describe(_ descriptor: Int32) -> MappingSource? {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        let modified =
            UInt64(bitPattern: Int64(status.st_mtim.tv_sec)) &* 1_000_000_000 &+ UInt64(bitPattern: Int64(status.st_mtim.tv_nsec))
        return MappingSource(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino), byteCount: UInt64(bitPattern: Int64(status.st_size)),
            modified: modified)
    }

    package func unmap(_ start: UInt64, _ byteCount: UInt64) -> Int64 {
        guard Self.isAligned(start), byteCount != 0, let range = Self.range(start, byteCount) else { return Errno.EINVAL.result }
        return changing { outdated in
            prepareChange(of: range, outdated: &outdated)
            // Nothing of ours lies between the guest's mappings, but the host may: only what the list has is unmapped.
            for part in list.parts(in: range) {
                let result = Self.host(HostNumber.munmap, part.start, part.end - part.start)
                if result < 0 { return result }
            }
            list.remove(range)
            return 0
        }
    }

    package func protect(_ start: UInt64, _ byteCount: UInt64, protection: UInt64) -> Int64 {
        let semaphores: UInt64 = 8, growsDown: UInt64 = 0x0100_0000, growsUp: UInt64 = 0x0200_0000
        guard Self.isAligned(start), protection & ~(7 | semaphores | growsDown | growsUp) == 0 else { return Errno.EINVAL.result }
        if byteCount == 0 { return 0 }
        guard var range = Self.range(start, byteCount) else { return Errno.ENOMEM.result }
        let guestProtection = Protection(rawValue: UInt8(protection & 7))
        return changing { outdated in
            if protection & growsDown != 0 {
                guard let region = list.region(at: start) else { return Errno.ENOMEM.result }
                range = region.start..<range.upperBound
            }
            // As in the kernel, what lies before a hole is changed.
            let whole = list.covers(range)
            prepareChange(of: range, outdated: &outdated)
            for part in list.parts(in: range) {
                let result = Self.host(
                    HostNumber.mprotect, part.start, part.end - part.start, Self.hostProtection(guestProtection))
                if result < 0 { return result }
                list.setProtection(guestProtection, in: part.start..<part.end)
                if !whole && part.end < range.upperBound && list.region(at: part.end) == nil { break }
            }
            if outdated == nil && guestProtection.contains(.execute) { outdated = range }
            return whole ? 0 : Errno.ENOMEM.result
        }
    }

    package func remap(_ start: UInt64, _ oldByteCount: UInt64, _ newByteCount: UInt64, flags: UInt64, target: UInt64) -> Int64 {
        let mayMove = flags & 1 != 0, isFixed = flags & 2 != 0, keepsOld = flags & 4 != 0
        guard Self.isAligned(start), flags & ~7 == 0, newByteCount != 0, !isFixed || mayMove, !keepsOld || mayMove else {
            return Errno.EINVAL.result
        }
        guard let old = Self.range(start, oldByteCount) else { return Errno.EFAULT.result }
        guard let newEnd = Self.range(0, newByteCount)?.upperBound else { return Errno.ENOMEM.result }
        let oldLength = old.upperBound - old.lowerBound, newLength = newEnd
        if isFixed {
            guard Self.isAligned(target), let range = Self.range(target, newByteCount) else { return Errno.EINVAL.result }
            if range.overlaps(old) { return Errno.EINVAL.result }
        }
        return changing { outdated in
            guard let region = list.region(at: start) else { return Errno.EFAULT.result }
            if !old.isEmpty && !list.covers(old) { return Errno.EFAULT.result }
            if !isFixed && !keepsOld && newLength <= oldLength && oldLength != 0 {
                return shrink(old, to: newLength, outdated: &outdated)
            }
            prepareChange(of: old, outdated: &outdated)
            let added = start + oldLength..<start + newLength
            if !isFixed && !keepsOld && oldLength != 0 && added.upperBound <= Self.limit && list.isFree(added) {
                let result = Self.host(HostNumber.mremap, start, oldLength, Int(newLength), 0)
                if result >= 0 {
                    var grown = region.clipped(to: start..<region.end)
                    grown.end = start + newLength
                    list.insert(grown)
                    return result
                }
            }
            guard mayMove else { return Errno.ENOMEM.result }
            return move(region, old, newLength, flags: flags | 3, target: isFixed ? target : nil, outdated: &outdated)
        }
    }

    private func shrink(_ old: Range<UInt64>, to newLength: UInt64, outdated: inout Range<UInt64>?) -> Int64 {
        let rest = old.lowerBound + newLength..<old.upperBound
        if !rest.isEmpty {
            prepareChange(of: rest, outdated: &outdated)
            let result = Self.host(HostNumber.munmap, rest.lowerBound, rest.upperBound - rest.lowerBound)
            if result < 0 { return result }
            list.remove(rest)
        }
        return Int64(old.lowerBound)
    }

    private func move(
        _ region: Region, _ old: Range<UInt64>, _ newLength: UInt64, flags: UInt64, target: UInt64?,
        outdated: inout Range<UInt64>?
    ) -> Int64 {
        guard let destination = target ?? list.highestFree(newLength, in: searchLimits) else { return Errno.ENOMEM.result }
        let new = destination..<destination + newLength
        prepareChange(of: new, outdated: &outdated)
        let length = old.upperBound - old.lowerBound
        let result = Self.host(HostNumber.mremap, old.lowerBound, length, Int(newLength), Int(flags), Int(destination))
        guard result >= 0 else { return result }
        var moved = region.clipped(to: old.lowerBound..<region.end)
        moved.start = destination
        moved.end = new.upperBound
        if flags & 4 == 0 && length != 0 { list.remove(old) }
        list.insert(moved)
        // Code at the destination from before, and at the source.
        if region.protection.contains(.execute) {
            outdated = min(old.lowerBound, new.lowerBound)..<max(old.upperBound, new.upperBound)
        }
        return result
    }

    /// brk(2): the new end of the data segment, or the old one when it cannot be moved there.
    package func setBreak(_ address: UInt64) -> UInt64 {
        _ = changing { outdated in
            guard address >= breakStart, address < Self.limit else { return 0 }
            let before = Self.roundedUp(breakEnd), after = Self.roundedUp(address)
            if after > before {
                let range = before..<after
                // A page of distance to the next mapping, as the kernel keeps it for the stack's sake.
                guard list.isFree(before..<after + Self.pageBytes) else { return 0 }
                let flags = 0x2 | MapFlag.anonymous | MapFlag.fixedNoReplace
                let result = Self.host(HostNumber.mmap, before, after - before, Int(PROT_READ | PROT_WRITE), flags, -1)
                guard result == Int64(before) else { return 0 }
                list.insert(Region(
                    start: range.lowerBound, end: range.upperBound, protection: [.read, .write], isShared: false,
                    source: list.index(of: MappingSource("[heap]")), offset: range.lowerBound))
            } else if after < before {
                prepareChange(of: after..<before, outdated: &outdated)
                _ = Self.host(HostNumber.munmap, after, before - after)
                list.remove(after..<before)
            }
            breakEnd = address
            return 0
        }
        return breakEnd
    }
}

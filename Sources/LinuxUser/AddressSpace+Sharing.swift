// madvise, and System V shared memory.

import Glibc

extension AddressSpace {
    package func advise(_ start: UInt64, _ byteCount: UInt64, advice: Int) -> Int64 {
        let discarding = [4 /* DONTNEED */, 8 /* FREE */, 9 /* REMOVE */, 24 /* DONTNEED_LOCKED */].contains(advice)
        guard Self.isAligned(start) else { return Errno.EINVAL.result }
        guard let range = Self.range(start, byteCount) else {
            return byteCount &+ 4095 < byteCount ? Errno.EINVAL.result : Errno.ENOMEM.result
        }
        return changing { outdated in
            if discarding { prepareChange(of: range, outdated: &outdated) }
            return Self.host(HostNumber.madvise, start, byteCount, advice)
        }
    }

    private enum SharedMemoryFlag {
        static let readOnly = 0o10000, round = 0o20000, remap = 0o40000, execute = 0o100000
    }

    package func attach(_ identifier: Int32, at hint: UInt64, flags: Int) -> Int64 {
        var description = shmid_ds()
        guard shmctl(identifier, IPC_STAT, &description) == 0 else { return -Int64(errno) }
        let length = Self.roundedUp(UInt64(description.shm_segsz))
        var protection: Protection = flags & SharedMemoryFlag.readOnly != 0 ? .read : [.read, .write]
        if flags & SharedMemoryFlag.execute != 0 { protection.insert(.execute) }
        var address = hint
        if hint != 0 && !Self.isAligned(hint) {
            guard flags & SharedMemoryFlag.round != 0 else { return Errno.EINVAL.result }
            address = hint & ~(Self.pageBytes - 1)
        }
        return changing { outdated in
            if address == 0 {
                guard let free = list.highestFree(length, in: searchLimits) else { return Errno.ENOMEM.result }
                address = free
            }
            guard let range = Self.range(address, length) else { return Errno.EINVAL.result }
            if !list.isFree(range) {
                guard flags & SharedMemoryFlag.remap != 0 else { return Errno.EINVAL.result }
                prepareChange(of: range, outdated: &outdated)
            }
            let hostFlags = flags & (SharedMemoryFlag.readOnly | SharedMemoryFlag.remap)
            let result = Self.host(HostNumber.shmat, UInt64(UInt32(bitPattern: identifier)), address, hostFlags)
            guard result >= 0 else { return result }
            let source = MappingSource("/SYSV\(identifier)")
            list.insert(Region(
                start: address, end: range.upperBound, protection: protection, isShared: true, source: list.index(of: source),
                offset: address))
            sharedSegments[address] = range.upperBound
            return result
        }
    }

    package func detach(_ address: UInt64) -> Int64 {
        changing { outdated in
            guard let end = sharedSegments[address] else { return Errno.EINVAL.result }
            prepareChange(of: address..<end, outdated: &outdated)
            let result = Self.host(HostNumber.shmdt, address)
            guard result >= 0 else { return result }
            sharedSegments[address] = nil
            list.remove(address..<end)
            return result
        }
    }
}

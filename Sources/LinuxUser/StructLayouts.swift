// Structures whose layout differs between riscv64 (asm-generic) and x86-64, and the copies between them.
//
// Nearly all 64-bit structures are the same; these are the exceptions: `struct stat`, `struct epoll_event`, `struct
// semid_ds`, and `struct utsname` because its contents differ. Fields are in the order of the kernel's headers.

/// `struct stat` of x86-64 (144 bytes).
package struct HostStatus {
    package var device: UInt64 = 0, inode: UInt64 = 0, linkCount: UInt64 = 0
    package var mode: UInt32 = 0, user: UInt32 = 0, group: UInt32 = 0, padding: UInt32 = 0
    package var specialDevice: UInt64 = 0
    package var size: Int64 = 0, blockSize: Int64 = 0, blockCount: Int64 = 0
    package var accessSeconds: Int64 = 0, accessNanoseconds: Int64 = 0
    package var modificationSeconds: Int64 = 0, modificationNanoseconds: Int64 = 0
    package var changeSeconds: Int64 = 0, changeNanoseconds: Int64 = 0
    package var unused: (Int64, Int64, Int64) = (0, 0, 0)

    package init() {}
}

/// `struct stat` of asm-generic (128 bytes).
package struct GuestStatus {
    package var device: UInt64, inode: UInt64
    package var mode: UInt32, linkCount: UInt32, user: UInt32, group: UInt32
    package var specialDevice: UInt64
    package var padding1: UInt64 = 0
    package var size: Int64
    package var blockSize: Int32, padding2: Int32 = 0
    package var blockCount: Int64
    package var accessSeconds: Int64, accessNanoseconds: Int64
    package var modificationSeconds: Int64, modificationNanoseconds: Int64
    package var changeSeconds: Int64, changeNanoseconds: Int64
    package var unused: UInt64 = 0

    package init(_ host: HostStatus) {
        device = host.device
        inode = host.inode
        mode = host.mode
        linkCount = UInt32(truncatingIfNeeded: host.linkCount)
        user = host.user
        group = host.group
        specialDevice = host.specialDevice
        size = host.size
        blockSize = Int32(truncatingIfNeeded: host.blockSize)
        blockCount = host.blockCount
        accessSeconds = host.accessSeconds
        accessNanoseconds = host.accessNanoseconds
        modificationSeconds = host.modificationSeconds
        modificationNanoseconds = host.modificationNanoseconds
        changeSeconds = host.changeSeconds
        changeNanoseconds = host.changeNanoseconds
    }
}

/// `struct epoll_event` of x86-64: 12 bytes, packed (the data split in halves keeps the alignment at 4).
package struct HostEpollEvent {
    package var events: UInt32, dataLow: UInt32, dataHigh: UInt32

    package init(_ guest: GuestEpollEvent) {
        events = guest.events
        dataLow = UInt32(truncatingIfNeeded: guest.data)
        dataHigh = UInt32(truncatingIfNeeded: guest.data >> 32)
    }
}

/// `struct epoll_event` of asm-generic: 16 bytes.
package struct GuestEpollEvent {
    package var events: UInt32, padding: UInt32, data: UInt64

    package init(events: UInt32, padding: UInt32 = 0, data: UInt64) {
        self.events = events
        self.padding = padding
        self.data = data
    }
}

/// `struct ipc64_perm`, the same on both (48 bytes).
package struct IPCPermissions {
    package var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)

    package init() {}
}

/// `struct semid64_ds` of x86-64 (104 bytes): a word follows each time.
package struct HostSemaphoreStatus {
    package var permissions = IPCPermissions()
    package var operationTime: Int64 = 0, unused1: UInt64 = 0, changeTime: Int64 = 0, unused2: UInt64 = 0
    package var count: UInt64 = 0, unused3: UInt64 = 0, unused4: UInt64 = 0

    package init() {}

    package init(_ guest: GuestSemaphoreStatus) {
        permissions = guest.permissions
        operationTime = guest.operationTime
        changeTime = guest.changeTime
        count = guest.count
    }
}

/// `struct semid64_ds` of asm-generic (88 bytes).
package struct GuestSemaphoreStatus {
    package var permissions: IPCPermissions
    package var operationTime: Int64, changeTime: Int64
    package var count: UInt64, unused3: UInt64 = 0, unused4: UInt64 = 0

    package init(_ host: HostSemaphoreStatus) {
        permissions = host.permissions
        operationTime = host.operationTime
        changeTime = host.changeTime
        count = host.count
    }
}

/// What pselect6's sixth argument points to.
package struct GuestMaskReference {
    package var address: UInt64 = 0, size: UInt64 = 0

    package init() {}
}

/// `struct new_utsname`: six fields of 65 bytes.
package enum SystemName {
    package static let fieldBytes = 65, byteCount = 6 * 65
    package static let releaseField = 2, machineField = 4

    /// Replaces field `index` of the structure in `bytes` by `text`, cut off at 64 bytes.
    package static func setField(_ index: Int, _ text: String, in bytes: UnsafeMutableRawBufferPointer) {
        let field = UnsafeMutableRawBufferPointer(rebasing: bytes[index * fieldBytes..<(index + 1) * fieldBytes])
        field.initializeMemory(as: UInt8.self, repeating: 0)
        for (offset, byte) in text.utf8.prefix(fieldBytes - 1).enumerated() { field[offset] = byte }
    }
}

import CHost
import Testing

@testable import LinuxUser

/// Guarded copies need the fault handlers that the engine installs when it starts.
enum GuardedCopies {
    private static let installed: Void = mynah_install_fault_handlers()
    static func prepare() { _ = installed }
}

/// Conversions against bytes laid out by hand from the kernel's headers.
@Suite struct SystemCallStructureTests {
    @Test func sizes() {
        #expect(MemoryLayout<HostStatus>.size == 144)
        #expect(MemoryLayout<GuestStatus>.size == 128)
        #expect(MemoryLayout<HostEpollEvent>.size == 12)
        #expect(MemoryLayout<GuestEpollEvent>.size == 16)
        #expect(MemoryLayout<HostSemaphoreStatus>.size == 104)
        #expect(MemoryLayout<GuestSemaphoreStatus>.size == 88)
    }

    /// Each field of x86-64's `struct stat` arrives at its place in the generic one.
    @Test func status() {
        var host = HostStatus()
        withUnsafeMutableBytes(of: &host) { bytes in
            func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
                bytes.storeBytes(of: value, toByteOffset: offset, as: T.self)
            }
            put(UInt64(0x0102), at: 0)  // st_dev
            put(UInt64(0x1111_2222_3333), at: 8)  // st_ino
            put(UInt64(7), at: 16)  // st_nlink
            put(UInt32(0o100644), at: 24)  // st_mode
            put(UInt32(1000), at: 28)  // st_uid
            put(UInt32(1001), at: 32)  // st_gid
            put(UInt64(0x0405), at: 40)  // st_rdev
            put(Int64(123_456_789_012), at: 48)  // st_size
            put(Int64(4096), at: 56)  // st_blksize
            put(Int64(99), at: 64)  // st_blocks
            for index in 0..<6 { put(Int64(1000 + index), at: 72 + 8 * index) }  // st_atim, st_mtim, st_ctim
        }
        var guest = GuestStatus(host)
        withUnsafeBytes(of: &guest) { bytes in
            func get<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) -> T { bytes.load(fromByteOffset: offset, as: T.self) }
            #expect(get(UInt64.self, 0) == 0x0102)
            #expect(get(UInt64.self, 8) == 0x1111_2222_3333)
            #expect(get(UInt32.self, 16) == 0o100644)
            #expect(get(UInt32.self, 20) == 7)
            #expect(get(UInt32.self, 24) == 1000)
            #expect(get(UInt32.self, 28) == 1001)
            #expect(get(UInt64.self, 32) == 0x0405)
            #expect(get(Int64.self, 48) == 123_456_789_012)
            #expect(get(Int32.self, 56) == 4096)
            #expect(get(Int64.self, 64) == 99)
            for index in 0..<6 { #expect(get(Int64.self, 72 + 8 * index) == Int64(1000 + index)) }
        }
    }

    @Test func epollEvent() {
        var host = HostEpollEvent(GuestEpollEvent(events: 0x8000_0001, data: 0x1122_3344_5566_7788))
        let expected: [UInt8] = [0x01, 0, 0, 0x80, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]
        #expect(withUnsafeBytes(of: &host) { Array($0) } == expected)
    }

    @Test func semaphoreStatus() {
        var host = HostSemaphoreStatus()
        withUnsafeMutableBytes(of: &host) { bytes in
            for index in 0..<48 { bytes[index] = UInt8(index) }
            bytes.storeBytes(of: 111, toByteOffset: 48, as: Int64.self)
            bytes.storeBytes(of: 222, toByteOffset: 64, as: Int64.self)
            bytes.storeBytes(of: 5, toByteOffset: 80, as: UInt64.self)
        }
        var guest = GuestSemaphoreStatus(host)
        withUnsafeBytes(of: &guest) { bytes in
            #expect(Array(bytes[0..<48]) == (0..<48).map { UInt8($0) })
            #expect(bytes.load(fromByteOffset: 48, as: Int64.self) == 111)
            #expect(bytes.load(fromByteOffset: 56, as: Int64.self) == 222)
            #expect(bytes.load(fromByteOffset: 64, as: UInt64.self) == 5)
        }
        var again = HostSemaphoreStatus(guest)
        let same = withUnsafeBytes(of: &again) { left in withUnsafeBytes(of: &host) { left.elementsEqual($0) } }
        #expect(same)
    }

    @Test func systemName() {
        var bytes = [UInt8](repeating: 0xff, count: SystemName.byteCount)
        bytes.withUnsafeMutableBytes { SystemName.setField(SystemName.machineField, "riscv64", in: $0) }
        #expect(Array(bytes[4 * 65..<4 * 65 + 8]) == Array("riscv64".utf8) + [0])
        #expect(bytes[4 * 65 + 64] == 0 && bytes[4 * 65 - 1] == 0xff && bytes[5 * 65] == 0xff)
    }

    @Test func hardwareProbe() {
        #expect(HardwareProbe.value(of: 3)?.value == 1)
        // F and D, C, Zba, Zbb, Zbs and Zicboz at the bits of hwprobe.rst.
        let mask = HardwareProbe.value(of: 4)?.value ?? 0
        #expect(mask & 0b111_1011 == 0b111_1011)
        #expect(mask >> 35 & 1 == 1 && mask >> 32 & 1 == 1)
        // Zbc to Zksh.
        #expect(mask >> 7 & 0x3ff == 0x1ff)
        for name in ["zbc", "zbkb", "zbkc", "zbkx", "zknd", "zkne", "zknh", "zksed", "zksh"] {
            #expect(RISCVFeatures.isaString.contains("_\(name)_") || RISCVFeatures.isaString.hasSuffix("_" + name))
        }
        #expect(mask & 0b100 == 0, "no vectors")
        #expect(HardwareProbe.value(of: 9)?.value == 3)
        #expect(HardwareProbe.value(of: 10_000) == nil && HardwareProbe.value(of: -1) == nil)
        #expect(RISCVFeatures.isaString.hasPrefix("rv64imafdc_zicbom_"))
    }

    @Test func badPointersAreRefused() {
        GuardedCopies.prepare()
        #expect(readGuest(UInt64.self, at: 0) == nil)
        #expect(readGuest(UInt64.self, at: 16) == nil)
        #expect(!writeGuest(UInt64(1), at: 16))
        #expect(readGuestString(at: 16) == nil)
    }
}

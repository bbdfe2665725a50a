// What is put where before the harts start, and where they start: the boot protocol of `virt`.
//
// With the built-in firmware one hart enters the kernel in S mode and the others wait for HSM's hart_start. With firmware of the
// guest's, all harts run the reset vector in M mode, which passes on hart, device tree, and what comes after the firmware.

import DeviceModel
import Guest

/// The files of a boot, read but not placed.
package struct BootFiles {
    package var kernel: BootFile?
    package var firmware: BootFile?
    package var initialDisk: BootFile?
    package var deviceTree: BootFile?
    package init() {}
}

/// Bytes and addresses of a boot, checked to be inside of RAM and apart from each other.
package struct BootPlan {
    package private(set) var segments: [(what: String, segment: BootSegment)] = []
    package private(set) var kernel: BootImage?
    package private(set) var firmware: BootImage?
    package private(set) var initialDisk: Range<UInt64>?
    package private(set) var deviceTreeAddress: UInt64 = 0
    package let memory: Range<UInt64>

    /// Places everything but the device tree, whose content depends on the places.
    /// - Parameter mayBeEmpty: what is in memory comes from elsewhere.
    /// - Throws: `BootError`.
    package init(_ files: BootFiles, memory: Range<UInt64>, mayBeEmpty: Bool = false) throws {
        self.memory = memory
        if let file = files.firmware {
            let image = try BootImage(file, what: "firmware", base: memory.lowerBound, memory: memory)
            firmware = image
            try add(image, "firmware")
        }
        if let file = files.kernel {
            let behind = firmware?.end ?? memory.lowerBound
            let base = max(memory.lowerBound + BoardMap.kernelOffset, aligned(behind, to: BoardMap.largePage))
            let image = try BootImage(file, what: "kernel", base: base, memory: memory)
            kernel = image
            try add(image, "kernel")
        }
        guard firmware != nil || kernel != nil || mayBeEmpty else {
            throw BootError.badMachine("nothing to boot: give a kernel or a firmware")
        }
    }

    private mutating func add(_ image: BootImage, _ what: String) throws {
        for segment in image.segments { try add(segment, what) }
    }

    private mutating func add(_ segment: BootSegment, _ what: String) throws {
        guard segment.range.lowerBound >= memory.lowerBound, segment.range.upperBound <= memory.upperBound else {
            throw BootError.badMachine("no room for the \(what) in \(memory.count >> 20) MiB of memory; give more with -m")
        }
        for other in segments where other.segment.range.overlaps(segment.range) {
            throw BootError.badMachine(
                "the \(what) at \(hexadecimal(segment.address)) to \(hexadecimal(segment.range.upperBound)) lies over the "
                    + "\(other.what) at "
                    + "\(hexadecimal(other.segment.address)) to \(hexadecimal(other.segment.range.upperBound)); link one of "
                    + "them elsewhere, or give more "
                    + "memory with -m")
        }
        segments.append((what, segment))
    }

    /// The address for a tree of that size: high, and below what 32-bit firmware can reach.
    package mutating func placeDeviceTree(byteCount: Int) throws {
        let top = min(memory.upperBound, BoardMap.deviceTreeLimit), size = UInt64(byteCount) + BoardMap.deviceTreeSlack
        guard top - memory.lowerBound > size else {
            throw BootError.badMachine("no room for a device tree of \(byteCount) bytes")
        }
        deviceTreeAddress = (top - size) & ~(BoardMap.largePage - 1)
    }

    /// The initial RAM disk: some way behind the kernel, which has no bounds that are known to us, or below the device tree.
    package mutating func placeInitialDisk(_ file: BootFile) throws {
        guard !file.bytes.isEmpty else { throw BootError.notBootable("the initial RAM disk '\(file.path)' is empty") }
        let size = UInt64(file.bytes.count), half = UInt64(memory.count) / 2
        let end = max(kernel?.end ?? memory.lowerBound, firmware?.end ?? memory.lowerBound)
        let wanted = max(
            aligned(end, to: 4096), (kernel?.segments.map(\.address).min() ?? memory.lowerBound) + min(half, 512 << 20))
        var start = aligned(wanted, to: 4096)
        if start + size > deviceTreeAddress && deviceTreeAddress > size { start = (deviceTreeAddress - size) & ~4095 }
        guard start >= end, start + size <= deviceTreeAddress else {
            throw BootError.badMachine(
                "no room for the initial RAM disk of \(size >> 20) MiB beside the kernel in \(memory.count >> 20) MiB of "
                    + "memory; give more with -m")
        }
        initialDisk = start ..< start + size
        try add(BootSegment(address: start, bytes: file.bytes[...], byteCount: size), "initial RAM disk")
    }

    package mutating func addDeviceTree(_ blob: [UInt8]) throws {
        try add(BootSegment(address: deviceTreeAddress, bytes: blob[...], byteCount: UInt64(blob.count)), "device tree")
    }

    private func aligned(_ address: UInt64, to unit: UInt64) -> UInt64 { (address + unit - 1) & ~(unit - 1) }

    // MARK: Reset vector

    /// Code and data at the start of the boot ROM, as OpenSBI's fw_dynamic (docs/firmware/fw_dynamic.md) wants them: a0 the hart,
    /// a1 the device tree, a2 a record that says what comes next.
    package var resetVector: [UInt8] {
        let code: [UInt32] = [
            0x0000_0297, // auipc t0, 0
            0x0282_8613, // addi  a2, t0, 40
            0xf140_2573, // csrr  a0, mhartid
            0x0202_b583, // ld    a1, 32(t0)
            0x0182_b283, // ld    t0, 24(t0)
            0x0002_8067, // jr    t0
        ]
        let supervisorMode: UInt64 = 1, magic: UInt64 = 0x4942_534f, version: UInt64 = 2
        let start = firmware?.entry ?? kernel?.entry ?? memory.lowerBound
        let data = [start, deviceTreeAddress, magic, version, kernel?.entry ?? 0, supervisorMode, 0, 0]
        return code.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
            + data.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) } }
    }

    /// Writes everything to memory; zeros behind segments that say so.
    package func load(into target: MachineMemory) {
        for (_, segment) in segments {
            segment.bytes.withUnsafeBytes { _ = target.copyIn($0, to: segment.address) }
            let zeros = Int(segment.byteCount) - segment.bytes.count
            if zeros > 0 { target.clear(segment.address + UInt64(segment.bytes.count), byteCount: zeros) }
        }
        resetVector.withUnsafeBytes { _ = target.copyIn($0, to: BoardMap.bootROM.lowerBound) }
    }
}

extension MachineMemory {
    /// Zeros a range of RAM.
    func clear(_ address: UInt64, byteCount: Int) {
        guard let host = hostPointer(address, byteCount: byteCount) else { return }
        // SAFETY: `hostPointer` has checked the range. Pages that were never touched stay so when the host gives zeroed ones.
        UnsafeMutableRawBufferPointer(start: host, count: byteCount).initializeMemory(as: UInt8.self, repeating: 0)
        didWrite(address, byteCount: byteCount)
    }
}

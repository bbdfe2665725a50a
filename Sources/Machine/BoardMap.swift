// Where everything is: the memory map and interrupt numbers of QEMU's `virt` machine (hw/riscv/virt.c), which kernels, firmware
// and distributions for "riscv-virtio" are made for.

package enum BoardMap {
    package static let testDevice: UInt64 = 0x10_0000
    package static let clock: UInt64 = 0x10_1000
    package static let localInterrupts: UInt64 = 0x200_0000
    package static let interruptController: UInt64 = 0xc00_0000
    package static let serial: UInt64 = 0x1000_0000
    package static let virtio: UInt64 = 0x1000_1000
    package static let virtioStride: UInt64 = 0x1000
    package static let virtioSlots = 8
    /// Read-only in a real machine; the reset vector is at its start.
    package static let bootROM: Range<UInt64> = 0x1000 ..< 0x1_0000
    package static let memory: UInt64 = 0x8000_0000

    package static let interruptSources = 96
    package static let serialInterrupt: UInt32 = 10
    package static let clockInterrupt: UInt32 = 11
    package static func virtioInterrupt(slot: Int) -> UInt32 { 1 + UInt32(slot) }

    /// Where a kernel goes that does not say it itself: behind the firmware, on a large page.
    package static let kernelOffset: UInt64 = 0x20_0000
    package static let largePage: UInt64 = 0x20_0000
    /// Device trees lie below this, where 32-bit code finds them.
    package static let deviceTreeLimit: UInt64 = 0xc000_0000
    /// Firmware that adds to the tree does so in place.
    package static let deviceTreeSlack: UInt64 = 0x1_0000

    package static let hartLimit = 8
    package static let memoryLimit = 64 << 30
    package static let memoryMinimum = 16 << 20
}

// Virtio over memory-mapped registers (section 4.2): version 2, or version 1 for drivers from before the standard (section
// 4.2.4).

import DeviceModel

package final class VirtioMMIO: Device, Snapshottable, @unchecked Sendable {
    package struct State: Codable, Equatable {
        package var transport = VirtioTransport.State()
        package var deviceFeaturesSelector: UInt32 = 0
        package var driverFeaturesSelector: UInt32 = 0
        package var queueSelector: UInt32 = 0
        package var pageSize: UInt32 = 0
        package var queueAlignments: [UInt32] = []
    }

    package let name = "virtio_mmio"
    package let byteCount: UInt64 = 0x1000
    package let transport: VirtioTransport
    private let monitor = Monitor()
    private var registers = State()

    private static let magic: UInt64 = 0x7472_6976
    /// "MYNH".
    private static let vendor: UInt64 = 0x484e_594d
    private static let configurationStart: UInt64 = 0x100

    package init(
        device: VirtioDevice, memory: DeviceMemory, interrupt: InterruptLine, isLegacy: Bool = false, runsInline: Bool = false
    ) {
        transport = VirtioTransport(
            device: device, memory: memory, interrupt: interrupt, isLegacy: isLegacy, runsInline: runsInline)
        registers.queueAlignments = Array(repeating: 4096, count: transport.queues.count)
    }

    package var device: VirtioDevice { transport.device }

    package func check(_ state: State) throws {
        guard state.queueAlignments.count == transport.queues.count else { throw StateError(" has other queues") }
        try transport.check(state.transport)
    }

    package var state: State {
        get {
            var result = monitor.locked { registers }
            result.transport = transport.state
            return result
        }
        set {
            guard newValue.queueAlignments.count == transport.queues.count else { return }
            monitor.locked {
                registers = newValue
                registers.transport = VirtioTransport.State()
            }
            transport.state = newValue.transport
        }
    }

    package func reset() {
        monitor.locked {
            registers = State()
            registers.queueAlignments = Array(repeating: 4096, count: transport.queues.count)
        }
        transport.reset()
    }

    package func shutDown() { transport.shutDown() }

    // MARK: Reading

    package func read(_ offset: UInt64, byteCount: Int) -> UInt64? {
        if offset >= VirtioMMIO.configurationStart {
            let bytes = transport.device.configuration, start = Int(offset - VirtioMMIO.configurationStart)
            return (0..<byteCount).reversed().reduce(0) { $0 << 8 | UInt64(start + $1 < bytes.count ? bytes[start + $1] : 0) }
        }
        guard byteCount == 4 else { return 0 }
        let registers = monitor.locked { self.registers }
        return readRegister(offset, registers)
    }

    private func readRegister(_ offset: UInt64, _ registers: State) -> UInt64 {
        let isLegacy = transport.isLegacy, selected = Int(registers.queueSelector)
        switch offset {
        case 0x000: return VirtioMMIO.magic
        case 0x004: return isLegacy ? 1 : 2
        case 0x008: return UInt64(transport.device.deviceID)
        case 0x00c: return VirtioMMIO.vendor
        case 0x010:
            switch registers.deviceFeaturesSelector {
            case 0: return transport.features & 0xffff_ffff
            case 1: return transport.features >> 32
            default: return 0
            }
        case 0x034: return selected < transport.queues.count ? UInt64(transport.queues[selected].maximumSize) : 0
        case 0x040 where isLegacy:
            guard let queue = transport.queueState(selected), queue.isReady, registers.pageSize > 0 else { return 0 }
            return queue.descriptors / UInt64(registers.pageSize)
        case 0x044 where !isLegacy: return transport.queueState(selected)?.isReady == true ? 1 : 0
        case 0x060: return UInt64(transport.interruptStatus)
        case 0x070: return UInt64(transport.status)
        // No shared memory regions: length and base are all ones.
        case 0x0b0, 0x0b4, 0x0b8, 0x0bc: return 0xffff_ffff
        case 0x0fc where !isLegacy: return UInt64(transport.configurationGeneration)
        default: return 0
        }
    }

    // MARK: Writing

    package func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool {
        if offset >= VirtioMMIO.configurationStart {
            let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
            transport.device.writeConfiguration(Int(offset - VirtioMMIO.configurationStart), bytes)
            return true
        }
        guard byteCount == 4 else { return true }
        let word = UInt32(truncatingIfNeeded: value)
        switch offset {
        case 0x050: transport.notify(Int(word))
        case 0x064: transport.acknowledge(word)
        // A reset of the device keeps the selectors, and the page size that drivers of version 1 set before it.
        case 0x070: transport.setStatus(word)
        case 0x020:
            let selector = monitor.locked { registers.driverFeaturesSelector }
            if selector < 2 { transport.setDriverFeatures(word, isHigh: selector == 1) }
        case 0x014: monitor.locked { registers.deviceFeaturesSelector = word }
        case 0x024: monitor.locked { registers.driverFeaturesSelector = word }
        case 0x030: monitor.locked { registers.queueSelector = word }
        default: writeQueueRegister(offset, word)
        }
        return true
    }

    private func writeQueueRegister(_ offset: UInt64, _ word: UInt32) {
        let selected = Int(monitor.locked { registers.queueSelector })
        guard selected < transport.queues.count else {
            if offset == 0x028 { monitor.locked { registers.pageSize = word } }
            return
        }
        if offset == 0x038 { return transport.configure(selected) { $0.size = UInt16(clamping: word) } }
        if transport.isLegacy { return writeLegacyRegister(offset, word, selected) }
        switch offset {
        case 0x044: transport.setReady(selected, word & 1 != 0)
        case 0x080: transport.configure(selected) { VirtioMMIO.setLow(&$0.descriptors, word) }
        case 0x084: transport.configure(selected) { VirtioMMIO.setHigh(&$0.descriptors, word) }
        case 0x090: transport.configure(selected) { VirtioMMIO.setLow(&$0.available, word) }
        case 0x094: transport.configure(selected) { VirtioMMIO.setHigh(&$0.available, word) }
        case 0x0a0: transport.configure(selected) { VirtioMMIO.setLow(&$0.used, word) }
        case 0x0a4: transport.configure(selected) { VirtioMMIO.setHigh(&$0.used, word) }
        default: break
        }
    }

    private static func setLow(_ address: inout UInt64, _ word: UInt32) { address = address & ~0xffff_ffff | UInt64(word) }
    private static func setHigh(_ address: inout UInt64, _ word: UInt32) { address = address & 0xffff_ffff | UInt64(word) << 32 }

    /// Version 1: one page number places all three areas, the used ring behind a gap (section 2.7.2).
    private func writeLegacyRegister(_ offset: UInt64, _ word: UInt32, _ selected: Int) {
        switch offset {
        case 0x028: monitor.locked { registers.pageSize = word }
        case 0x03c: monitor.locked { registers.queueAlignments[selected] = word }
        case 0x040:
            guard word != 0 else { return transport.setReady(selected, false) }
            let (pageSize, alignment) = monitor.locked {
                (UInt64(registers.pageSize), UInt64(registers.queueAlignments[selected]))
            }
            transport.configure(selected) { queue in
                queue.descriptors = UInt64(word) &* pageSize
                queue.available = queue.descriptors &+ UInt64(queue.size) * 16
                let end = queue.available &+ UInt64(queue.size) * 2 &+ 6
                let mask = alignment > 0 && alignment & (alignment - 1) == 0 ? alignment - 1 : 4095
                queue.used = (end &+ mask) & ~mask
            }
            transport.setReady(selected, true)
        default: break
        }
    }

    package func describe(_ placement: DevicePlacement, in parent: DeviceTreeNode) {
        _ = placement.makeNode(self, compatible: ["virtio,mmio"], in: parent)
    }
}

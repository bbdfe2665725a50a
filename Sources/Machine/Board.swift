// A computer that is compatible with QEMU's `virt` machine: harts, RAM, and devices at their places.

import DeviceModel
import Devices
import Guest
import GuestRISCV

/// How the guest, or its user, ends a run.
package enum BoardEvent: Equatable, Sendable {
    case powerOff(code: Int)
    case reboot
}

package struct BoardConfiguration {
    package var memoryByteCount = 1 << 30
    package var hartCount = 1
    package var bootArguments: String?
    package var files = BootFiles()
    package var processor = ProcessorOptions()
    /// Random bytes of the device tree and the entropy device; nil for the host's.
    package var seed: UInt64?
    /// The machine is loaded from a file: files to boot are for restarts only, and may be left out.
    package var isLoaded = false
    package init() {}
}

package final class Board {
    package let memory: MachineMemory
    package let processor: Processor
    package let bus = Bus()
    package let serial: UART
    package let interruptController: PLIC
    package let localInterrupts: ACLINT
    package let configuration: BoardConfiguration
    package let entropy: EntropyBackend
    /// Told of power-off and reboot, on the thread of the hart that asked, which stops at the next instruction.
    package var onEvent: ((BoardEvent) -> Void)?
    /// Where each device is; the board's own first.
    package private(set) var placements: [(device: Device, placement: DevicePlacement)] = []
    private(set) var plan: BootPlan
    private var slotsUsed = 0
    private var firmware: BoardFirmware?
    let serialConsole: SerialConsole?

    /// - Throws: `BootError`, or what the host refuses.
    package init(_ configuration: BoardConfiguration, console: CharacterBackend?) throws {
        try Board.check(configuration)
        self.configuration = configuration
        let range = BoardMap.memory ..< BoardMap.memory + UInt64(configuration.memoryByteCount)
        plan = try BootPlan(configuration.files, memory: range, mayBeEmpty: configuration.isLoaded)
        serialConsole = console as? SerialConsole
        memory = MachineMemory()
        try memory.addRAM(at: BoardMap.bootROM.lowerBound, byteCount: BoardMap.bootROM.count)
        try memory.addRAM(at: BoardMap.memory, byteCount: configuration.memoryByteCount)
        processor = try Processor(memory: memory, hartCount: configuration.hartCount, options: configuration.processor)
        entropy = configuration.seed.map { SeededEntropy(seed: $0) } ?? HostEntropy()
        let harts = processor.harts
        for hart in harts {
            hart.core.entropy = { [entropy] in
                var bits: UInt16 = 0
                withUnsafeMutableBytes(of: &bits) { entropy.fill($0) }
                return bits
            }
        }
        let line = { (hart: Hart, bit: UInt64) in
            InterruptLine { [unowned hart] level in if level { hart.raise(bit) } else { hart.lower(bit) } }
        }
        interruptController = PLIC(
            sourceCount: BoardMap.interruptSources,
            contexts: harts.flatMap { [line($0, HartInterrupt.machineExternal), line($0, HartInterrupt.supervisorExternal)] })
        localInterrupts = ACLINT(
            timers: processor.timers, software: harts.map { line($0, HartInterrupt.machineSoftware) },
            timer: harts.map { line($0, HartInterrupt.machineTimer) })
        serial = UART(backend: console, interrupt: interruptController.line(forSource: Int(BoardMap.serialInterrupt)))
        memory.bus = bus
        try attachOwnDevices()
    }

    private static func check(_ configuration: BoardConfiguration) throws {
        guard (1...BoardMap.hartLimit).contains(configuration.hartCount) else {
            throw BootError.badMachine("a machine has 1 to \(BoardMap.hartLimit) harts, not \(configuration.hartCount)")
        }
        guard (BoardMap.memoryMinimum...BoardMap.memoryLimit).contains(configuration.memoryByteCount) else {
            throw BootError.badMachine(
                "a machine has \(BoardMap.memoryMinimum >> 20) MiB to \(BoardMap.memoryLimit >> 30) GiB of memory, "
                    + "not \(configuration.memoryByteCount >> 20) MiB")
        }
        guard configuration.memoryByteCount % Int(BoardMap.largePage) == 0 else {
            throw BootError.badMachine("the size of memory is a multiple of 2 MiB")
        }
    }

    // MARK: Devices

    private func attachOwnDevices() throws {
        let controller = SystemController { [unowned self] event in
            switch event {
            case .powerOff(let code): end(.powerOff(code: code))
            case .reboot: end(.reboot)
            }
        }
        let clock = GoldfishRTC(
            timers: processor.timers, interrupt: interruptController.line(forSource: Int(BoardMap.clockInterrupt)))
        try attach(interruptController, at: BoardMap.interruptController)
        try attach(localInterrupts, at: BoardMap.localInterrupts)
        try attach(controller, at: BoardMap.testDevice)
        try attach(clock, at: BoardMap.clock, interrupts: [BoardMap.clockInterrupt])
        try attach(serial, at: BoardMap.serial, interrupts: [BoardMap.serialInterrupt])
    }

    private func attach(_ device: Device, at address: UInt64, interrupts: [UInt32] = []) throws {
        try bus.attach(device, at: address)
        placements.append((device, DevicePlacement(address: address, interrupts: interrupts)))
    }

    package var freeSlotCount: Int { BoardMap.virtioSlots - slotsUsed }

    /// Puts a device into the next free virtio slot. Before the machine starts.
    /// - Throws: `BootError.badMachine` when all slots are taken.
    package func attachVirtio(_ device: VirtioDevice) throws {
        guard freeSlotCount > 0 else {
            throw BootError.badMachine(
                "a machine has \(BoardMap.virtioSlots) slots for virtio devices, which are all taken: leave something out")
        }
        let interrupt = BoardMap.virtioInterrupt(slot: slotsUsed)
        let slot = VirtioMMIO(
            device: device, memory: memory, interrupt: interruptController.line(forSource: Int(interrupt)),
            runsInline: configuration.processor.isDeterministic)
        try attach(slot, at: BoardMap.virtio + BoardMap.virtioStride * UInt64(slotsUsed), interrupts: [interrupt])
        slotsUsed += 1
    }

    var balloon: VirtioBalloon? { slots.lazy.compactMap { $0.device as? VirtioBalloon }.first }

    /// Programs that look through the slots find that nothing is in the rest of them.
    func fillFreeSlots() throws {
        while freeSlotCount > 0 {
            try attach(EmptyVirtioSlot(), at: BoardMap.virtio + BoardMap.virtioStride * UInt64(slotsUsed))
            slotsUsed += 1
        }
    }

    // MARK: Device tree

    /// The tree that the guest gets.
    package func deviceTree() -> DeviceTree {
        var seed = [UInt8](repeating: 0, count: 32)
        seed.withUnsafeMutableBytes { entropy.fill($0) }
        let description = BoardDescription(
            hartCount: configuration.hartCount, memory: plan.memory, bootArguments: configuration.bootArguments,
            initialDisk: plan.initialDisk,
            randomSeed: seed)
        let (tree, hartControllers) = description.tree()
        let soc = tree.root.child("soc")
        var controllerNode: DeviceTreeNode?
        for (device, placement) in placements {
            var placement = placement
            placement.hartControllers = hartControllers
            placement.interruptParent = controllerNode
            device.describe(placement, in: soc)
            if device === interruptController { controllerNode = soc.children.last }
        }
        return tree
    }

    // MARK: Life

    /// Places everything that is loaded, and gives the tree that says where it is.
    /// - Throws: `BootError` when something does not fit, or a given tree is none.
    package func deviceTreeBlob() throws -> [UInt8] {
        if configuration.isLoaded, configuration.files.kernel == nil, configuration.files.firmware == nil {
            throw BootError.badMachine(
                "the machine restarts, which needs what it was booted from: give --kernel or --firmware, and --initrd, together "
                    + "with --load")
        }
        plan = try BootPlan(configuration.files, memory: plan.memory)
        let given = configuration.files.deviceTree
        try plan.placeDeviceTree(byteCount: given?.bytes.count ?? deviceTree().flattened().count)
        if let disk = configuration.files.initialDisk { try plan.placeInitialDisk(disk) }
        guard let given else { return deviceTree().flattened() }
        let tree: DeviceTree
        do { tree = try DeviceTree(flattened: given.bytes) } catch {
            throw BootError.notBootable(
                "'\(given.path)' is no sound device tree (\(error)); make one from source with: dtc -O dtb")
        }
        // As for a tree of our own: the command line and the initial RAM disk belong to this boot.
        let chosen = tree.root.child("chosen")
        if let text = configuration.bootArguments { chosen.set("bootargs", .string(text)) }
        if let disk = plan.initialDisk {
            chosen.set("linux,initrd-start", .cells64([disk.lowerBound]))
            chosen.set("linux,initrd-end", .cells64([disk.upperBound]))
        }
        return tree.flattened()
    }

    /// Fills memory and starts the harts. The processor is stopped before and after; `processor.start()` runs it.
    /// - Throws: `BootError` when something does not fit.
    package func powerOn() throws {
        try fillFreeSlots()
        try plan.addDeviceTree(try deviceTreeBlob())
        plan.load(into: memory)
        setFirmware(isBuiltIn: plan.firmware == nil)
        if plan.firmware == nil, let kernel = plan.kernel {
            _ = processor.harts[0].start(at: kernel.entry, opaque: plan.deviceTreeAddress, isSupervisor: true)
        } else {
            for hart in processor.harts {
                _ = hart.start(at: BoardMap.bootROM.lowerBound, opaque: plan.deviceTreeAddress, isSupervisor: false)
            }
        }
    }

    /// Whether calls out of supervisor mode are served here.
    var hasBuiltInFirmware: Bool { firmware != nil }

    func setFirmware(isBuiltIn: Bool) {
        firmware = isBuiltIn ? BoardFirmware(self) : nil
        for hart in processor.harts { hart.onSupervisorCall = nil }
        firmware?.attach()
    }

    /// Everything as after power-on, but for what hosts gave. The processor must be stopped.
    package func reset() throws {
        for hart in processor.harts { hart.halt() }
        (processor.turn, processor.isTurnBusy) = ((0, nil), false)
        bus.reset()
        try powerOn()
    }

    package func shutDown() { bus.shutDown() }

    /// The guest wants to end or restart; on the thread of a hart.
    func end(_ event: BoardEvent) {
        processor.stop()
        onEvent?(event)
    }
}

/// A virtio slot without a device (virtio 1.2, 4.2.3.1.1: device ID 0). It has no node in the device tree.
final class EmptyVirtioSlot: Device {
    let name = "virtio_mmio"
    let byteCount: UInt64 = 0x1000
    func reset() {}

    func read(_ offset: UInt64, byteCount: Int) -> UInt64? {
        let magic: UInt64 = 0x7472_6976, version: UInt64 = 2
        return offset == 0 ? magic : offset == 4 ? version : 0
    }

    func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool { true }
}

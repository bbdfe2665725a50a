// A small driver that does what the specification asks of drivers: sets a device up, puts chains into queues, collects them.

import DeviceModel
import Devices
import Glibc

final class VirtioDriver {
    static let base: UInt64 = 0x8000_0000
    let memory = PlainMemory(base: VirtioDriver.base, byteCount: 4 << 20)
    let line = InterruptLine()
    let mmio: VirtioMMIO
    var size: UInt16
    private(set) var features: UInt64 = 0
    private var nextAvailable: [UInt16], seenUsed: [UInt16]
    private var nextDescriptor: [UInt16]
    private var heap: UInt64 = VirtioDriver.base + (1 << 20)

    init(_ device: VirtioDevice, isLegacy: Bool = false, runsInline: Bool = false) {
        mmio = VirtioMMIO(device: device, memory: memory, interrupt: line, isLegacy: isLegacy, runsInline: runsInline)
        let count = device.queueSizes.count
        size = min(16, device.queueSizes.min()!)
        nextAvailable = Array(repeating: 0, count: count)
        seenUsed = nextAvailable
        nextDescriptor = nextAvailable
    }

    deinit { mmio.shutDown() }

    // Each queue has 64 KiB: descriptors, available at +0x4000, used at +0x8000; legacy rings lie as version 1 wants.
    func descriptors(_ queue: Int) -> UInt64 { VirtioDriver.base + UInt64(queue) << 16 }
    func available(_ queue: Int) -> UInt64 {
        mmio.transport.isLegacy ? descriptors(queue) + 16 * UInt64(size) : descriptors(queue) + 0x4000
    }
    func used(_ queue: Int) -> UInt64 { mmio.transport.isLegacy ? descriptors(queue) + 0x1000 : descriptors(queue) + 0x8000 }

    /// Section 3.1.1; returns whether the device accepted the features.
    @discardableResult
    func start(wanting wanted: UInt64 = ~0) -> Bool {
        mmio.write32(0x70, 0)
        mmio.write32(0x70, 1)
        mmio.write32(0x70, 3)
        mmio.write32(0x14, 0)
        var offered = UInt64(mmio.read32(0x10))
        mmio.write32(0x14, 1)
        offered |= UInt64(mmio.read32(0x10)) << 32
        features = offered & wanted
        for half in 0..<2 {
            mmio.write32(0x24, UInt32(half))
            mmio.write32(0x20, UInt32(truncatingIfNeeded: features >> UInt64(32 * half)))
        }
        if !mmio.transport.isLegacy {
            mmio.write32(0x70, 11)
            guard mmio.read32(0x70) == 11 else { return false }
        } else {
            mmio.write32(0x28, 4096)
        }
        for queue in nextAvailable.indices { setUp(queue) }
        mmio.write32(0x70, mmio.transport.isLegacy ? 7 : 15)
        return true
    }

    private func setUp(_ queue: Int) {
        nextAvailable[queue] = 0
        seenUsed[queue] = 0
        memory.range(descriptors(queue), byteCount: 0x10000)!.write { _ = memset($0.baseAddress!, 0, $0.count) }
        mmio.write32(0x30, UInt32(queue))
        mmio.write32(0x38, UInt32(size))
        if mmio.transport.isLegacy {
            mmio.write32(0x3c, 4096)
            mmio.write32(0x40, UInt32(descriptors(queue) >> 12))
            return
        }
        for (offset, address) in [(0x80, descriptors(queue)), (0x90, available(queue)), (0xa0, used(queue))] as [(UInt64, UInt64)]
        {
            mmio.write32(offset, UInt32(truncatingIfNeeded: address))
            mmio.write32(offset + 4, UInt32(address >> 32))
        }
        mmio.write32(0x44, 1)
    }

    /// Memory for a buffer.
    func allocate(_ bytes: [UInt8]) -> UInt64 {
        let address = heap
        heap += UInt64(bytes.count + 15) & ~15
        if heap > VirtioDriver.base + (4 << 20) - 65536 { heap = VirtioDriver.base + (1 << 20) }
        bytes.withUnsafeBytes { source in
            if source.count > 0 { memory.range(address, byteCount: source.count)!.write { $0.copyMemory(from: source) } }
        }
        return address
    }

    func bytes(_ address: UInt64, _ count: Int) -> [UInt8] { Array(memory.range(address, byteCount: count)!.bytes) }

    func writeDescriptor(_ table: UInt64, _ index: UInt16, _ address: UInt64, _ length: UInt32, _ flags: UInt16, _ next: UInt16) {
        let place = table + UInt64(index) * 16
        _ = memory.store(address, at: place)
        _ = memory.store(length, at: place + 8)
        _ = memory.store(flags, at: place + 12)
        _ = memory.store(next, at: place + 14)
    }

    func offer(_ queue: Int, head: UInt16) {
        _ = memory.store(head, at: available(queue) + 4 + 2 * UInt64(nextAvailable[queue] % size))
        nextAvailable[queue] &+= 1
        _ = memory.store(nextAvailable[queue], at: available(queue) + 2)
    }

    func notify(_ queue: Int) { mmio.write32(0x50, UInt32(queue)) }

    typealias Buffer = (address: UInt64, count: Int, isWritable: Bool)

    /// Puts a chain into the queue, through an indirect table if asked for.
    func add(_ queue: Int, _ buffers: [Buffer], indirect: Bool = false) {
        let table = indirect ? allocate([UInt8](repeating: 0, count: 16 * buffers.count)) : descriptors(queue)
        let head = nextDescriptor[queue] % size
        for (position, buffer) in buffers.enumerated() {
            let index = indirect ? UInt16(position) : (head &+ UInt16(position)) % size
            let isLast = position == buffers.count - 1
            let flags: UInt16 = (buffer.isWritable ? 2 : 0) | (isLast ? 0 : 1)
            writeDescriptor(
                table, index, buffer.address, UInt32(buffer.count), flags, isLast ? 0 : indirect ? index + 1 : (index &+ 1) % size
            )
        }
        if indirect { writeDescriptor(descriptors(queue), head, table, UInt32(16 * buffers.count), 4, 0) }
        nextDescriptor[queue] = (head &+ (indirect ? 1 : UInt16(buffers.count))) % size
        offer(queue, head: head)
    }

    /// The next used element: head and length.
    func takeUsed(_ queue: Int) -> (head: UInt32, length: UInt32)? {
        guard memory.load(used(queue) + 2, as: UInt16.self)! != seenUsed[queue] else { return nil }
        let place = used(queue) + 4 + 8 * UInt64(seenUsed[queue] % size)
        seenUsed[queue] &+= 1
        return (memory.load(place)!, memory.load(place + 4)!)
    }

    /// One request from end to end: sends `output`, returns `inputCount` bytes and the used length; nil when the device does not
    /// answer.
    func request(
        _ queue: Int, _ output: [[UInt8]], _ inputCounts: [Int], indirect: Bool = false
    ) -> (input: [UInt8], length: Int)? {
        let outputs = output.map { (address: allocate($0), count: $0.count, isWritable: false) }
        let inputs = inputCounts.map { (address: allocate([UInt8](repeating: 0xee, count: $0)), count: $0, isWritable: true) }
        add(queue, outputs + inputs, indirect: indirect)
        notify(queue)
        var result: (head: UInt32, length: UInt32)?
        guard waitUntil({
            result = takeUsed(queue)
            return result != nil || mmio.read32(0x70) & 64 != 0
        }), let result else { return nil }
        return (inputs.flatMap { bytes($0.address, $0.count) }, Int(result.length))
    }

    /// Becomes the driver that another one was, with its memory and what it knows of its queues.
    func adopt(_ other: VirtioDriver) {
        let count = 4 << 20
        memory.range(VirtioDriver.base, byteCount: count)!.write {
            $0.copyMemory(from: other.memory.range(VirtioDriver.base, byteCount: count)!.bytes)
        }
        (size, features, heap) = (other.size, other.features, other.heap)
        (nextAvailable, seenUsed, nextDescriptor) = (other.nextAvailable, other.seenUsed, other.nextDescriptor)
    }

    var needsReset: Bool { mmio.read32(0x70) & 64 != 0 }
}

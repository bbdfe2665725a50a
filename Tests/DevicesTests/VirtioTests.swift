// Transport and queues with a driver that keeps the rules, and one that breaks them one at a time.

import DeviceModel
import Devices
import Testing

/// Answers each chain with its readable bytes, reversed.
final class EchoDevice: VirtioDevice {
    let deviceID: UInt32 = 42
    let features: UInt64 = 5
    let queueSizes: [UInt16] = [16, 16]
    let isSlow: Bool
    var configuration: [UInt8] = [1, 2, 3, 4, 5, 6]
    private(set) var transport: VirtioTransport!
    init(isSlow: Bool = false) { self.isSlow = isSlow }
    func attach(_ transport: VirtioTransport) { self.transport = transport }
    func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) { if offset < 6 { configuration[offset] = bytes[0] } }
    func process(_ queue: Int) {
        transport.drain(queue) { chain in chain.fill(0, Array(chain.bytes(count: chain.readableCount).reversed())) }
    }
}

@Suite struct VirtioTransportTests {
    @Test func registersOfVersionTwo() {
        let driver = VirtioDriver(EchoDevice()), mmio = driver.mmio
        #expect(mmio.read32(0) == 0x7472_6976 && mmio.read32(4) == 2 && mmio.read32(8) == 42)
        mmio.write32(0x14, 1)
        #expect(mmio.read32(0x10) == 1)
        mmio.write32(0x14, 2)
        #expect(mmio.read32(0x10) == 0)
        mmio.write32(0x30, 1)
        #expect(mmio.read32(0x34) == 16)
        mmio.write32(0x30, 2)
        #expect(mmio.read32(0x34) == 0)
        #expect(mmio.read(0x102, byteCount: 2) == 0x403 && mmio.read(0x104, byteCount: 4) == 0x605 && mmio.read8(0x106) == 0)
        mmio.write8(0x101, 9)
        #expect(mmio.read8(0x101) == 9)
        #expect(mmio.read32(0xfc) == 0)
        #expect(driver.start())
        mmio.transport.configurationChanged()
        #expect(mmio.read32(0xfc) == 1 && driver.line.level && mmio.read32(0x60) == 2)
        mmio.write32(0x64, 2)
        #expect(!driver.line.level)
    }

    @Test func featuresAreNegotiated() {
        let driver = VirtioDriver(EchoDevice())
        #expect(!driver.start(wanting: 0xffff_ffff), "not a driver of version 1")
        #expect(driver.start())
        driver.mmio.write32(0x70, 0)
        driver.mmio.write32(0x24, 0)
        driver.mmio.write32(0x20, 2)  // not offered
        driver.mmio.write32(0x24, 1)
        driver.mmio.write32(0x20, 1)
        driver.mmio.write32(0x70, 11)
        #expect(driver.mmio.read32(0x70) == 3)
        driver.mmio.write32(0x70, 15)
        #expect(driver.mmio.read32(0x70) & 4 == 0)
    }

    @Test(arguments: [false, true], [false, true]) func requests(isSlow: Bool, isLegacy: Bool) {
        let driver = VirtioDriver(EchoDevice(isSlow: isSlow), isLegacy: isLegacy)
        driver.size = 8
        #expect(driver.start())
        for round in 0..<100 {
            let reply = driver.request(round & 1, [[1, 2, UInt8(round)], [4]], [1, 2, 3], indirect: round % 3 == 0)
            #expect(reply?.input == [4, UInt8(round), 2, 1, 0xee, 0xee] && reply?.length == 4)
        }
        #expect(!driver.needsReset)
    }

    @Test func interruptsAsAskedFor() {
        let driver = VirtioDriver(EchoDevice())
        driver.start(wanting: ~VirtioFeature.eventIndex)
        _ = driver.request(0, [[1]], [1])
        #expect(driver.line.level && driver.mmio.read32(0x60) == 1)
        driver.mmio.write32(0x64, 1)
        _ = driver.memory.store(1 as UInt16, at: driver.available(0))  // no interrupts
        _ = driver.request(0, [[1]], [1])
        #expect(!driver.line.level)

        driver.start()
        _ = driver.memory.store(2 as UInt16, at: driver.available(0) + 4 + 2 * 16)  // used_event: the third
        _ = driver.request(0, [[1]], [1])
        _ = driver.request(0, [[1]], [1])
        #expect(!driver.line.level)
        _ = driver.request(0, [[1]], [1])
        #expect(driver.line.level)
        #expect(driver.memory.load(driver.used(0) + 4 + 8 * 16, as: UInt16.self) == 3, "avail_event")
    }

    /// Section 2.7.10: only the push that passes `used_event` interrupts, however long ago the last interrupt was.
    @Test func anEventThatHasPassedDoesNotInterrupt() {
        let driver = VirtioDriver(EchoDevice()), usedEvent = driver.available(0) + 4 + 2 * 16
        driver.start()
        _ = driver.memory.store(100 as UInt16, at: usedEvent)
        for _ in 0..<5 { _ = driver.request(0, [[1]], [1]) }
        _ = driver.memory.store(2 as UInt16, at: usedEvent)
        _ = driver.request(0, [[1]], [1])
        #expect(!driver.line.level)
        _ = driver.memory.store(6 as UInt16, at: usedEvent)
        _ = driver.request(0, [[1]], [1])
        #expect(driver.line.level)
    }

    /// Section 2.7.5.3.2: descriptors of the ring, then a table of others.
    @Test func aTableBehindOtherDescriptors() {
        let driver = VirtioDriver(EchoDevice())
        driver.start()
        let parts = [[1, 2], [3]].map { driver.allocate($0) }, answer = driver.allocate([0, 0, 0, 0])
        let table = driver.allocate([UInt8](repeating: 0, count: 16))
        driver.writeDescriptor(driver.descriptors(0), 0, parts[0], 2, 1, 1)
        driver.writeDescriptor(driver.descriptors(0), 1, parts[1], 1, 1, 2)
        driver.writeDescriptor(driver.descriptors(0), 2, table, 16, 4, 0)
        driver.writeDescriptor(table, 0, answer, 4, 2, 0)
        driver.offer(0, head: 0)
        driver.notify(0)
        #expect(driver.takeUsed(0)?.length == 3 && driver.bytes(answer, 4) == [3, 2, 1, 0] && !driver.needsReset)
    }

    @Test func entropy() {
        let driver = VirtioDriver(VirtioEntropy(backend: SeededEntropy(seed: 1)))
        driver.start()
        let reply = driver.request(0, [], [64, 64])!
        #expect(reply.length == 128 && Set(reply.input).count > 50)
        #expect(driver.request(0, [], [200_000])?.length == 65536)
    }

    @Test func resetForgets() {
        let driver = VirtioDriver(EchoDevice())
        driver.start()
        _ = driver.request(0, [[1]], [1])
        driver.mmio.write32(0x70, 0)
        #expect(driver.mmio.read32(0x44) == 0 && !driver.line.level && driver.mmio.read32(0x60) == 0)
        driver.add(0, [(driver.allocate([1]), 1, false)])
        driver.notify(0)
        #expect(driver.takeUsed(0) == nil)
    }

    @Test func stateGoesOn() {
        let driver = VirtioDriver(EchoDevice(isSlow: true))
        driver.start()
        for _ in 0..<5 { _ = driver.request(0, [[1]], [1]) }
        driver.mmio.transport.pause()
        driver.add(0, [(driver.allocate([7]), 1, false), (driver.allocate([0]), 1, true)])
        driver.notify(0)
        let saved = driver.mmio.state
        driver.mmio.reset()
        driver.mmio.state = saved
        #expect(driver.mmio.state == saved && driver.line.level)
        driver.mmio.transport.resume()
        #expect(waitUntil { driver.takeUsed(0) != nil })
    }
}

/// Each case breaks one rule; the device must fail, say so, and go on after a reset.
@Suite struct BrokenDriverTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let act: @Sendable (VirtioDriver) -> Void
        init(_ name: String, _ act: @escaping @Sendable (VirtioDriver) -> Void) {
            testDescription = name
            self.act = act
        }
    }

    static let ram = VirtioDriver.base, end = VirtioDriver.base + (4 << 20)

    /// One descriptor at place 0 of queue 0, offered.
    private static func offer(_ driver: VirtioDriver, _ address: UInt64, _ length: UInt32, _ flags: UInt16, _ next: UInt16 = 0) {
        driver.writeDescriptor(driver.descriptors(0), 0, address, length, flags, next)
        driver.offer(0, head: 0)
    }

    static let cases = [
        Case("buffer outside") { offer($0, 0x1000, 4, 0) },
        Case("buffer across the end") { offer($0, end - 2, 4, 2) },
        Case("buffer that wraps around") { offer($0, .max - 1, 4, 2) },
        Case("buffer of 4 GiB") { offer($0, ram, .max, 2) },
        Case("head out of range") { $0.offer(0, head: 16) },
        Case("next out of range") { offer($0, ram, 4, 1, 16) },
        Case("chain to itself") { offer($0, ram, 4, 1, 0) },
        Case("chain of two that loops") {
            $0.writeDescriptor($0.descriptors(0), 1, ram, 1, 1, 0)
            offer($0, ram, 4, 1, 1)
        },
        Case("read behind write") {
            $0.writeDescriptor($0.descriptors(0), 1, ram, 1, 0, 0)
            offer($0, ram, 4, 3, 1)
        },
        Case("too many available") { _ = $0.memory.store(17 as UInt16, at: $0.available(0) + 2) },
        Case("available going backwards") { _ = $0.memory.store(0xffff as UInt16, at: $0.available(0) + 2) },
        Case("indirect of odd size") { offer($0, ram + 0x10_0000, 17, 4) },
        Case("indirect of no size") { offer($0, ram + 0x10_0000, 0, 4) },
        Case("indirect outside") { offer($0, 0x1000, 16, 4) },
        Case("indirect with next") { offer($0, ram + 0x10_0000, 16, 5, 1) },
        Case("indirect in indirect") {
            $0.writeDescriptor(ram + 0x10_0000, 0, ram, 16, 4, 0)
            offer($0, ram + 0x10_0000, 16, 4)
        },
        Case("indirect that leads out of its table") {
            $0.writeDescriptor(ram + 0x10_0000, 0, ram, 16, 1, 1)
            offer($0, ram + 0x10_0000, 16, 4)
        },
    ]

    @Test(arguments: cases) func isStopped(_ broken: Case) {
        let driver = VirtioDriver(EchoDevice())
        driver.start()
        broken.act(driver)
        driver.notify(0)
        #expect(driver.needsReset && driver.mmio.read32(0x60) & 2 == 2 && driver.line.level)
        #expect(driver.mmio.transport.violation != nil)
        driver.add(1, [(driver.allocate([7]), 1, false)])
        driver.notify(1)
        #expect(driver.takeUsed(1) == nil, "nothing is served any more")
        driver.start()
        #expect(driver.request(0, [[7]], [1])?.input == [7])
    }

    @Test(arguments: [
        (0x80, 0x0), (0x80, 0xffff_fff0), (0x84, 1), (0x80, 8 + 0x8000_0000), (0x90, 1 + 0x8000_0000), (0xa0, 2 + 0x8000_0000),
        (0xa4, 0xffff_ffff), (0x38, 3), (0x38, 0), (0x38, 32), (0x38, 0xffff_ffff), (0x90, 0x803f_fffc),
    ] as [(UInt64, UInt32)])
    func ringsMustBeSound(offset: UInt64, value: UInt32) {
        let driver = VirtioDriver(EchoDevice())
        driver.start()
        driver.mmio.write32(0x30, 0)
        driver.mmio.write32(0x44, 0)
        #expect(driver.mmio.read32(0x44) == 0)
        driver.mmio.write32(offset, value)
        driver.mmio.write32(0x44, 1)
        #expect(driver.mmio.read32(0x44) == 0 && driver.needsReset)
    }
}

// Drivers that do anything: random registers, rings, descriptors and configuration, from a seed. Memory outside of RAM faults, so
// a device that reaches there ends the test. MYNAH_DEVICE_OPERATIONS=1000000 does more.

import DeviceModel
import Devices
import TestSupport
import Testing

@Suite(.serialized) struct HostileDriverTests {
    private static let operations = setting("MYNAH_DEVICE_OPERATIONS", 10_000)
    private static let seed = UInt64(setting("MYNAH_FUZZ_SEED", 1))
    private let directory = TemporaryDirectory()

    private func virtio(_ name: String) throws -> VirtioDevice {
        switch name {
        case "block": VirtioBlock(backend: VirtioBlockTests.FakeDisk())
        case "network": try VirtioNetwork(backend: FakeNetwork(), address: NetworkTests.address)
        case "console":
            VirtioConsole(ports: [.init(backend: FakeCharacters(), isConsole: true), .init(backend: FakeCharacters(), name: "x")])
        case "balloon": VirtioBalloon()
        case "entropy": VirtioEntropy(backend: SeededEntropy(seed: 1))
        case "share": try VirtioFileShare(path: directory.path, tag: "share")
        default: EchoDevice()
        }
    }

    private func address(_ random: inout SplitMix) -> UInt64 {
        switch random.below(8) {
        case 0: random.next()
        case 1: VirtioDriver.base + (4 << 20) - UInt64(random.below(64))
        case 2: UInt64.max - UInt64(random.below(4096))
        default: VirtioDriver.base + UInt64(random.below(4 << 20))
        }
    }

    private func act(_ driver: VirtioDriver, _ random: inout SplitMix) {
        let mmio = driver.mmio, queues = mmio.device.queueSizes.count, queue = random.below(queues)
        let registers: [UInt64] = [
            0x10, 0x14, 0x20, 0x24, 0x28, 0x30, 0x34, 0x38, 0x3c, 0x40, 0x44, 0x50, 0x60, 0x64, 0x70, 0x80, 0x84, 0x90, 0x94,
            0xa0, 0xa4, 0xfc,
        ]
        switch random.below(16) {
        case 0:
            mmio.write32(
                registers[random.below(registers.count)],
                UInt32(truncatingIfNeeded: random.below(3) == 0 ? random.next() : UInt64(random.below(32))))
        case 1: _ = mmio.read(UInt64(random.below(0x1000 / 4)) * 4, byteCount: [1, 2, 4, 8][random.below(4)])
        case 2: _ = mmio.write(UInt64(random.below(0x140)), byteCount: [1, 2, 4, 8][random.below(4)], value: random.next())
        case 3 where random.below(20) == 0: driver.start()
        case 4:
            let place =
                [driver.descriptors(queue), driver.available(queue), driver.used(queue)][random.below(3)]
                + UInt64(random.below(300))
            _ = driver.memory.store(UInt16(truncatingIfNeeded: random.next()), at: place)
        case 5...9:
            let length = random.below(4) == 0 ? UInt32(truncatingIfNeeded: random.next()) : UInt32(random.below(2000))
            driver.writeDescriptor(
                random.below(4) == 0 ? VirtioDriver.base + 0x10_0000 : driver.descriptors(queue), UInt16(random.below(20)),
                address(&random), length,
                UInt16(random.below(random.below(8) == 0 ? 65536 : 8)), UInt16(random.below(18)))
        case 10...12:
            driver.offer(queue, head: UInt16(random.below(17)))
            driver.notify(queue)
        default:
            // Something sound, so that the device gets further than the rings.
            let buffers = (0..<(1 + random.below(3))).map { position -> VirtioDriver.Buffer in
                (
                    VirtioDriver.base + UInt64(0x20_0000 + position * 0x1_0000 + random.below(64)), random.below(700),
                    position > 0 || random.below(4) == 0
                )
            }
            _ = driver.memory.store(UInt64(random.below(16)), at: buffers[0].address)
            driver.add(queue, buffers, indirect: random.below(2) == 0)
            driver.notify(queue)
        }
    }

    @Test(arguments: ["echo", "block", "network", "console", "entropy", "balloon", "share"], [false, true])
    func virtioDevices(name: String, isLegacy: Bool) throws {
        let device = try virtio(name), driver = VirtioDriver(device, isLegacy: isLegacy, runsInline: true)
        var random = SplitMix(seed: Self.seed), failures = 0, served = 0
        driver.start()
        for _ in 0..<Self.operations {
            act(driver, &random)
            if driver.needsReset {
                failures += 1
                driver.start()
            }
            for queue in device.queueSizes.indices where driver.takeUsed(queue) != nil { served += 1 }
        }
        #expect(
            failures > Self.operations / 1000 && served > Self.operations / 200, "\(failures) failures, \(served) requests served"
        )
        driver.start()
        #expect(driver.mmio.read32(0x70) == (isLegacy ? 7 : 15))
    }

    /// The same with the device's own thread, which only must not crash or hang.
    @Test func withAThread() throws {
        let driver = VirtioDriver(try virtio("block"))
        var random = SplitMix(seed: Self.seed)
        driver.start()
        for _ in 0..<Self.operations {
            act(driver, &random)
            if driver.needsReset { driver.start() }
        }
    }

    @Test func otherDevices() {
        let clock = ManualClock(), queue = TimerQueue(clock: clock), lines = (0..<4).map { _ in InterruptLine() }
        let uart = UART(backend: FakeCharacters(), interrupt: InterruptLine())
        let devices: [Device] = [
            ACLINT(timers: queue, software: Array(lines[..<2]), timer: Array(lines[2...])),
            ACLINTSupervisorSoftware(Array(lines[..<2])),
            PLIC(contexts: lines), uart, GoldfishRTC(timers: queue, interrupt: lines[0]), SystemController { _ in },
        ]
        var random = SplitMix(seed: Self.seed)
        for _ in 0..<Self.operations {
            let device = devices[random.below(devices.count)], count = [1, 2, 4, 8][random.below(4)]
            let span = random.below(3) == 0 ? Int(device.byteCount) : min(Int(device.byteCount), 0x100)
            let offset = UInt64(random.below(span) / count * count), value = random.next() >> UInt64(random.below(64))
            if random.below(2) == 0 {
                _ = device.read(offset, byteCount: count)
            } else {
                _ = device.write(offset, byteCount: count, value: value)
            }
            if random.below(50) == 0 { _ = Array("input".utf8).withUnsafeBytes { uart.receive($0) } }
            if random.below(20) == 0 {
                clock.ticks &+= random.next() >> UInt64(random.below(64))
                queue.runDue()
            }
        }
    }
}

// A device that is saved in the middle of its work goes on in another one of its kind. Every attribute of a state must be in the
// bytes: `moved` takes a device to a state in which none has its first value, and a test that leaves one out fails.

import DeviceModel
import Glibc
import TestSupport
import Testing

@testable import Devices

/// Saves one device and restores another by the bytes. `exceptions` are attributes that are as at first.
private func move<Saved: Snapshottable>(
    _ device: Saved, to other: Saved, fresh: Saved.State?, exceptions: Set<String> = []
) throws where Saved.State: Equatable {
    let bytes = try device.savedState().encoded
    if let fresh, case .record(let fields) = try StateValue(encoding: fresh),
        case .record(let now) = try StateValue(encoded: bytes)
    {
        let same = zip(fields, now).filter { $0.0 == $0.1 }.map(\.0.name)
        #expect(Set(same) == exceptions, "attributes that this test does not change")
    }
    #expect(device.state != other.state)
    try other.restoration(from: StateValue(encoded: bytes))()
    #expect(device.state == other.state)
}

@Suite struct SavedStateTests {
    @Test func serialPort() throws {
        let far = FakeCharacters(), line = InterruptLine()
        let uart = UART(backend: far, interrupt: line)
        uart.write8(3, 0x83)
        uart.write8(0, 3)
        uart.write8(1, 1)
        uart.write8(3, 0x13)
        uart.write8(2, 0xc7)
        uart.write8(7, 0x5a)
        // A break in loopback, then the line again, whose signals change.
        uart.write8(4, 0x10)
        uart.write8(3, 0x53)
        uart.write8(3, 0x13)
        uart.write8(4, 0x0b)
        uart.write8(1, 7)
        _ = uart.read8(0)
        #expect(far.type("typed ahead") == 11)
        uart.write8(0, UInt8(ascii: "x"))
        let otherFar = FakeCharacters(), otherLine = InterruptLine()
        let other = UART(backend: otherFar, interrupt: otherLine)
        try move(uart, to: other, fresh: UART.State())
        #expect(otherLine.level && line.level)
        #expect(otherFar.type("0123456789") == 5, "sixteen fit")
        for offset in [2, 5, 6, 7, 3, 4, 1, 0, 0, 0] as [UInt64] {
            #expect(other.read8(offset) == uart.read8(offset), "register \(offset)")
        }
        var rest = ""
        while other.read8(5) & 1 != 0 { rest.append(Character(UnicodeScalar(other.read8(0)))) }
        #expect(rest == "ed ahead01234")
    }

    @Test func interruptController() throws {
        func make() -> (PLIC, [InterruptLine], [InterruptLine]) {
            let lines = [InterruptLine(), InterruptLine()]
            let plic = PLIC(contexts: lines)
            return (plic, lines, (1..<96).map { plic.line(forSource: $0) })
        }
        let (plic, contexts, inputs) = make(), (other, otherContexts, otherInputs) = make()
        for source in 1..<96 as Range<UInt64> { plic.write32(4 * source, UInt32(source % 8)) }
        for word in 0..<3 as Range<UInt64> {
            plic.write32(0x2000 + 4 * word, .max)
            plic.write32(0x2080 + 4 * word, 0xf0f0_f0f0)
        }
        plic.write32(0x20_0000, 5)
        plic.write32(0x20_1000, 7)
        for source in [7, 39, 71, 95] { inputs[source - 1].level = true }
        #expect(plic.read32(0x20_0004) == 7 && contexts[0].level)
        let fresh = PLIC(contexts: [InterruptLine(), InterruptLine()]).state
        try move(plic, to: other, fresh: fresh)
        #expect(otherContexts[0].level && !otherContexts[1].level)
        // Devices come behind it and raise what they raised.
        for source in [7, 39, 71, 95] { otherInputs[source - 1].level = true }
        #expect(other.state == plic.state)
        for expected in [39, 71, 95] as [UInt32] { #expect(other.read32(0x20_0004) == expected) }
        other.write32(0x20_0004, 7)
        #expect(other.read32(0x20_0004) == 7, "still high, so it is pending again")
    }

    @Test func timersAndClock() throws {
        func make() -> (ManualClock, TimerQueue, ACLINT, GoldfishRTC, [InterruptLine]) {
            let clock = ManualClock(), queue = TimerQueue(clock: clock), lines = (0..<5).map { _ in InterruptLine() }
            return (
                clock, queue, ACLINT(timers: queue, software: [lines[0], lines[1]], timer: [lines[2], lines[3]]),
                GoldfishRTC(timers: queue, interrupt: lines[4]), lines
            )
        }
        let (clock, _, aclint, rtc, lines) = make(), (otherClock, otherQueue, other, otherRTC, otherLines) = make()
        clock.ticks = 1000
        _ = aclint.write(0xbff8, byteCount: 8, value: 5_000_000)
        _ = aclint.write(0x4000, byteCount: 8, value: 5_000_500)
        _ = aclint.write(0x4008, byteCount: 8, value: 4_999_999)
        _ = aclint.write(4, byteCount: 4, value: 1)
        let now = clock.wallNanoseconds + 7_000_000_000
        rtc.write32(4, UInt32(now >> 32))
        rtc.write32(0, UInt32(now & 0xffff_ffff))
        // An alarm that has rung and was not answered, and another that is set.
        rtc.write32(0x10, 1)
        rtc.write32(0x0c, UInt32(now >> 32))
        rtc.write32(0x08, UInt32(now & 0xffff_ffff))
        let later = now + 90_000
        rtc.write32(0x0c, UInt32(later >> 32))
        rtc.write32(0x08, UInt32(later & 0xffff_ffff))
        _ = rtc.read32(0)
        otherClock.ticks = clock.ticks
        let fresh = ACLINT(
            timers: TimerQueue(clock: clock), software: [InterruptLine(), InterruptLine()],
            timer: [InterruptLine(), InterruptLine()]
        ).state
        try move(aclint, to: other, fresh: fresh)
        try move(rtc, to: otherRTC, fresh: GoldfishRTC.State())
        #expect(lines.map(\.level) == [false, true, false, true, true] && otherLines.map(\.level) == lines.map(\.level))
        #expect(other.read(0xbff8, byteCount: 8) == 5_000_000 && otherRTC.read32(4) == UInt32(now >> 32))
        otherClock.ticks += 499
        otherQueue.runDue()
        #expect(!otherLines[2].level)
        otherRTC.write32(0x1c, 1)
        otherClock.ticks += 402
        otherQueue.runDue()
        #expect(otherLines[2].level && otherLines[4].level)
    }

    // MARK: Virtio

    private func header(_ type: UInt32, _ sector: UInt64) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: type >> UInt32(8 * $0)) } + [0, 0, 0, 0]
            + (0..<8).map { UInt8(truncatingIfNeeded: sector >> UInt64(8 * $0)) }
    }

    /// Six requests, of which the device is let to do two before it is saved; another device with the same disk does the rest.
    @Test(arguments: [false, true], [false, true]) func disksInTheMiddleOfAQueue(isLegacy: Bool, indirect: Bool) throws {
        let directory = TemporaryDirectory(), image = directory.file("disk")
        writeFile(image, [UInt8](repeating: 0, count: 64 << 10))
        let driver = VirtioDriver(VirtioBlock(backend: try DiskImage.open(image)), isLegacy: isLegacy)
        driver.start()
        _ = driver.request(0, [header(1, 1), [UInt8](repeating: 1, count: 512)], [1])
        if !isLegacy { driver.mmio.write8(0x120, 0) }  // every write is made durable
        func add(_ sector: UInt64) -> UInt64 {
            let status = driver.allocate([0xee]), data = driver.allocate([UInt8](repeating: UInt8(sector), count: 512))
            driver.add(
                0, [(driver.allocate(header(1, sector)), 16, false), (data, 512, false), (status, 1, true)],
                indirect: indirect && !isLegacy)
            return status
        }
        var statuses = [add(2)]
        driver.notify(0)
        #expect(waitUntil { driver.takeUsed(0) != nil })
        driver.mmio.transport.pause()
        for sector in 3...5 as ClosedRange<UInt64> { statuses.append(add(sector)) }
        driver.notify(0)
        usleep(2000)
        #expect(driver.takeUsed(0) == nil, "nothing is done while it is paused")
        let block = driver.mmio.device as! VirtioBlock
        try block.backend.flush()
        block.backend.close()

        // A child that another test starts just now may still hold the file's lock.
        var disk: BlockBackend?
        _ = waitUntil {
            disk = try? DiskImage.open(image)
            return disk != nil
        }
        let other = VirtioDriver(VirtioBlock(backend: try #require(disk)), isLegacy: isLegacy)
        other.adopt(driver)
        other.mmio.transport.pause()
        try move(driver.mmio, to: other.mmio, fresh: nil)
        if !isLegacy { try move(block, to: other.mmio.device as! VirtioBlock, fresh: VirtioBlock.State()) }
        #expect(other.line.level == driver.line.level)
        other.mmio.transport.resume()
        for _ in 0..<3 { #expect(waitUntil { other.takeUsed(0) != nil }) }
        #expect(statuses.allSatisfy { other.bytes($0, 1) == [0] })
        #expect(
            (1...5).allSatisfy { sector in readFile(image)[sector * 512..<sector * 512 + 512].allSatisfy { $0 == UInt8(sector) } }
        )
        #expect(other.request(0, [header(0, 4)], [512, 1])?.input == [UInt8](repeating: 4, count: 512) + [0])
        #expect(isLegacy || other.mmio.read8(0x120) == 0)
    }

    private final class SlowDisk: BlockBackend {
        let monitor = Monitor()
        var isOpen = false, isBusy = false
        let byteCount: UInt64 = 1 << 20
        let isReadOnly = false
        func read(at offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) {
            monitor.locked {
                isBusy = true
                while !isOpen { monitor.wait() }
            }
        }
        func write(at offset: UInt64, from bytes: UnsafeRawBufferPointer) {}
        func flush() {}
        func discard(at offset: UInt64, byteCount: UInt64) {}
        func writeZeroes(at offset: UInt64, byteCount: UInt64, mayDiscard: Bool) {}
        func close() {}
    }

    @Test func whatIsUnderWayIsFinished() throws {
        let disk = SlowDisk(), driver = VirtioDriver(VirtioBlock(backend: disk))
        driver.start()
        driver.add(
            0,
            [
                (driver.allocate(header(0, 0)), 16, false), (driver.allocate([UInt8](repeating: 1, count: 512)), 512, true),
                (driver.allocate([9]), 1, true),
            ])
        driver.notify(0)
        #expect(waitUntil { disk.monitor.locked { disk.isBusy } })
        var isPaused = false
        let thread = try HostThread {
            driver.mmio.transport.pause()
            disk.monitor.locked { isPaused = true }
        }
        usleep(20000)
        #expect(!disk.monitor.locked { isPaused })
        disk.monitor.locked {
            disk.isOpen = true
            disk.monitor.wake()
        }
        thread.join()
        #expect(driver.mmio.state.transport.queues[0].nextUsed == 1 && driver.takeUsed(0) != nil)
    }

    @Test func network() throws {
        func make() throws -> (VirtioDriver, FakeNetwork) {
            let far = FakeNetwork()
            return (VirtioDriver(try VirtioNetwork(backend: far, address: [2, 0, 0, 0, 0, 1])), far)
        }
        let (driver, _) = try make(), (other, otherFar) = try make()
        driver.start()
        for _ in 0..<3 { driver.add(0, [(driver.allocate([UInt8](repeating: 0, count: 1600)), 1600, true)]) }
        driver.notify(0)
        driver.mmio.transport.pause()
        driver.add(1, [(driver.allocate([UInt8](repeating: 0, count: 12) + Array("sent before".utf8)), 23, false)])
        driver.notify(1)
        other.adopt(driver)
        other.mmio.transport.pause()
        try move(driver.mmio, to: other.mmio, fresh: nil)
        #expect(!otherFar.arrive([1, 2, 3]), "nobody may write to memory yet")
        other.mmio.transport.resume()
        #expect(otherFar.sent == [Array("sent before".utf8)])
        #expect(otherFar.arrive(Array("hello".utf8)))
        let used = other.takeUsed(0)!
        #expect(used.length == 17)
    }

    @Test func consoleWithPorts() throws {
        func make() -> (VirtioDriver, [FakeCharacters]) {
            let far = [FakeCharacters(), FakeCharacters()]
            return (
                VirtioDriver(
                    VirtioConsole(ports: [.init(backend: far[0], isConsole: true), .init(backend: far[1], name: "agent")])), far
            )
        }
        let (driver, _) = make(), (other, otherFar) = make()
        driver.start()
        func control(_ id: UInt8, _ event: UInt8, _ value: UInt8) {
            _ = driver.request(3, [[id, 0, 0, 0, event, 0, value, 0]], [])
        }
        control(0, 0, 1)
        control(1, 3, 1)
        control(1, 6, 1)
        driver.mmio.transport.pause()
        other.adopt(driver)
        other.mmio.transport.pause()
        try move(driver.mmio, to: other.mmio, fresh: nil)
        try move(driver.mmio.device as! VirtioConsole, to: other.mmio.device as! VirtioConsole, fresh: VirtioConsole.State())
        other.mmio.transport.resume()
        #expect(otherFar[1].type("x") == 0)
        other.add(4, [(other.allocate([0, 0, 0, 0]), 4, true)])
        other.notify(4)
        #expect(otherFar[1].type("open") == 4 && other.takeUsed(4)!.length == 4)
        // Messages for which there was no buffer come now.
        for _ in 0..<4 { other.add(2, [(other.allocate([UInt8](repeating: 0, count: 64)), 64, true)]) }
        other.notify(2)
        var count = 0
        while other.takeUsed(2) != nil { count += 1 }
        #expect(count == 4)
    }

    @Test func sharedFiles() throws {
        let directory = TemporaryDirectory(), share = directory.file("share")
        mkdir(share, 0o755)
        writeFile(share + "/kept", Array("kept".utf8))
        writeFile(share + "/gone", Array("gone".utf8))
        let server = NinePServer(try SharedDirectory(path: share, identities: .passthrough, isReadOnly: false))
        func call(_ server: NinePServer, _ type: UInt8, _ fields: [UInt8]) -> [UInt8] {
            var message: [UInt8] = []
            message.append(word: UInt32(fields.count + 7))
            message += [type, 1, 0] + fields
            return server.reply(to: message, limit: 8192) ?? []
        }
        func fid(_ number: UInt8) -> [UInt8] { [number, 0, 0, 0] }
        func name(_ text: String) -> [UInt8] { [UInt8(text.utf8.count), 0] + Array(text.utf8) }
        _ = call(server, 100, [0, 0x20, 0, 0] + name("9P2000.L"))
        _ = call(server, 104, fid(0) + fid(255) + name("") + name("") + fid(9))
        for (number, file) in [(1, "kept"), (2, "gone"), (3, "kept")] as [(UInt8, String)] {
            _ = call(server, 110, fid(0) + fid(number) + [1, 0] + name(file))
        }
        for number in [1, 2] as [UInt8] { #expect(call(server, 12, fid(number) + [2, 0, 0, 0])[4] == 13) }
        #expect(call(server, 32, fid(3) + name("user.mark") + [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])[4] == 33)
        #expect(call(server, 118, fid(3) + [0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0] + [7, 8])[4] == 119)
        let qid = call(server, 24, fid(1) + [255, 7, 0, 0, 0, 0, 0, 0])[15..<28]
        let saved = server.state
        unlink(share + "/gone")
        let other = NinePServer(try SharedDirectory(path: share, identities: .passthrough, isReadOnly: false))
        let again = try StateValue(encoded: StateValue(encoding: saved).encoded).decode(NinePServer.State.self)
        #expect(again == saved && saved.fids.count == 4)
        try other.check(again)
        other.state = again
        #expect(other.lostFileCount(of: again) == 1)
        #expect(call(other, 116, fid(1) + [0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0])[11...] == Array("kept".utf8)[...])
        #expect(
            call(other, 118, fid(1) + [4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0] + Array("!".utf8))[4] == 119
                && readFile(share + "/kept") == Array("kept!".utf8))
        #expect(call(other, 116, fid(2) + [0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0])[4] == 7)
        #expect(call(other, 24, fid(1) + [255, 7, 0, 0, 0, 0, 0, 0])[20..<28] == qid.suffix(8), "the same file to the guest")
        #expect(other.state.fids.first { $0.number == 3 } == saved.fids.first { $0.number == 3 }, "an attribute half written")
        other.reset()
    }

    @Test func sharedFilesThatNoGuestCanHave() throws {
        let directory = TemporaryDirectory()
        let server = NinePServer(try SharedDirectory(path: directory.path, identities: .passthrough, isReadOnly: true))
        let fid = NinePServer.State.Fid(number: 1, path: [], uid: 0, isOpen: false, openFlags: 0)
        func refused(_ change: (inout NinePServer.State) -> Void) -> Bool {
            var state = NinePServer.State(fids: [fid])
            change(&state)
            do { try server.check(state) } catch { return true }
            return false
        }
        #expect(!refused { _ in })
        #expect(
            refused { $0.fids[0].path = [Array("..".utf8)] } && refused { $0.fids[0].path = [Array("a/b".utf8)] }
                && refused { $0.fids[0].path = [[]] })
        #expect(
            refused { $0.fids[0].openFlags = O_CREAT } && refused { $0.fids[0].openFlags = -1 } && refused { $0.messageSize = 1 }
                && refused { $0.messageSize = .max })
        #expect(
            refused { $0.fids += $0.fids } && refused { $0.fids[0].attributeByteCount = -1 }
                && refused { $0.fids[0].attributeName = [0] })
        writeFile(directory.file("file"), [1])
        var state = NinePServer.State(fids: [fid])
        (state.fids[0].path, state.fids[0].isOpen, state.fids[0].openFlags) = ([Array("file".utf8)], true, O_RDWR)
        server.state = state
        #expect(server.fids[1]?.descriptor == -1, "the share is read-only")
    }

    @Test func snapshotsForget() throws {
        let directory = TemporaryDirectory(), image = directory.file("disk")
        writeFile(image, [UInt8](repeating: 7, count: 200_000))
        let disk = try DiskImage.open(image, isSnapshot: true) as! SnapshotDisk
        #expect(disk.writtenClusters == [] && disk.clusterCount == 4 && disk.byteCount(ofCluster: 3) == 200_000 - 3 * 65536)
        try [UInt8](repeating: 1, count: 70000).withUnsafeBytes { try disk.write(at: 60000, from: $0) }
        #expect(disk.writtenClusters == [0, 1])
        try [1].withUnsafeBytes { try disk.write(at: 199_999, from: $0) }
        #expect(disk.writtenClusters == [0, 1, 3] && disk.origin.path == image && disk.origin.modified > 0)
        disk.forgetWrites()
        var byte: UInt8 = 0
        try withUnsafeMutableBytes(of: &byte) { try disk.read(at: 60000, into: $0) }
        #expect(byte == 7 && disk.writtenClusters == [])
        disk.close()
    }

    /// Whatever is in a state: it is refused, or the device works with it.
    @Test func statesThatNobodyVouchesFor() throws {
        var random = SplitMix(seed: UInt64(setting("MYNAH_FUZZ_SEED", 77)))
        let clock = ManualClock(), queue = TimerQueue(clock: clock)
        var refused = 0, accepted = 0
        func attack<Saved: Snapshottable>(_ device: Saved, _ registers: Device, _ count: Int) throws {
            let good = try device.savedState()
            for _ in 0..<count {
                let bad = mutated(good, &random)
                do {
                    try device.restoration(from: bad)()
                    accepted += 1
                } catch { refused += 1 }
                for _ in 0..<40 {
                    let offset = UInt64(random.below(Int(min(registers.byteCount, 0x400)))) & ~3,
                        size = random.below(2) == 0 ? 1 : 4
                    if random.below(2) == 0 {
                        _ = registers.read(offset, byteCount: size)
                    } else {
                        _ = registers.write(offset, byteCount: size, value: random.next() >> 32)
                    }
                }
                clock.ticks &+= 1000
                queue.runDue()
            }
        }
        let lines = (0..<4).map { _ in InterruptLine() }
        let uart = UART(backend: FakeCharacters(), interrupt: lines[0]), plic = PLIC(contexts: [lines[1], lines[2]])
        let aclint = ACLINT(timers: queue, software: [InterruptLine()], timer: [InterruptLine()]),
            rtc = GoldfishRTC(timers: queue, interrupt: lines[3])
        for (source, priority) in [(1, 3), (40, 7)] as [(UInt64, UInt32)] { plic.write32(4 * source, priority) }
        try attack(uart, uart, 200)
        try attack(plic, plic, 200)
        try attack(aclint, aclint, 200)
        try attack(rtc, rtc, 200)
        for isLegacy in [false, true] {
            let driver = VirtioDriver(EchoDevice(), isLegacy: isLegacy)
            driver.start()
            for _ in 0..<3 { driver.add(0, [(driver.allocate([7]), 1, false), (driver.allocate([0]), 1, true)]) }
            try attack(driver.mmio, driver.mmio, 400)
        }
        #expect(refused > 100 && accepted > 100)
    }
}

/// The same tree with a few leaves that are others, or are not there.
func mutated(_ value: StateValue, _ random: inout SplitMix) -> StateValue {
    var leaves = 0
    func count(_ value: StateValue) {
        switch value {
        case .list(let values): values.forEach(count)
        case .record(let fields): fields.forEach { count($0.value) }
        default: leaves += 1
        }
    }
    count(value)
    let targets = Set((0...random.below(3)).map { _ in random.below(max(1, leaves)) })
    var place = 0
    func change(_ value: StateValue) -> StateValue {
        switch value {
        case .list(let values):
            var result = values.map(change)
            if random.below(60) == 0, let last = result.last { result.append(last) }
            if random.below(60) == 0, !result.isEmpty { result.removeLast() }
            return .list(result)
        case .record(let fields): return .record(fields.map { .init($0.name, change($0.value)) })
        default:
            defer { place += 1 }
            guard targets.contains(place) else { return value }
            // Of the same kind more often than not.
            if case .bool = value, random.below(4) > 0 { return .bool(random.below(2) == 0) }
            if case .unsigned(let old) = value, random.below(3) > 0 {
                return .unsigned(
                    random.below(2) == 0 ? old ^ 1 << UInt64(random.below(16)) : random.next() >> UInt64(32 + random.below(32)))
            }
            switch random.below(8) {
            case 0: return .unsigned(random.next())
            case 1: return .unsigned(random.next() >> UInt64(random.below(64)))
            case 2: return .unsigned(1 << UInt64(random.below(64)))
            case 3: return .unsigned(.max)
            case 4: return .negative(random.next() >> UInt64(random.below(64)))
            case 5: return .bool(random.below(2) == 0)
            case 6: return .bytes(random.bytes(random.below(70)))
            default: return .null
            }
        }
    }
    return change(value)
}

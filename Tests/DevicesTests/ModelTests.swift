// Bus, memory handles, timers and the device tree.

import DeviceModel
import Devices
import TestSupport
import Testing

@Suite struct BusTests {
    private final class Register: Device {
        let name = "register"
        let byteCount: UInt64
        var last: (UInt64, Int, UInt64)?
        init(_ byteCount: UInt64) { self.byteCount = byteCount }
        func reset() { last = nil }
        func read(_ offset: UInt64, byteCount: Int) -> UInt64? { byteCount == 8 ? nil : offset }
        func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool {
            last = (offset, byteCount, value)
            return byteCount != 8
        }
    }

    @Test func accessesFindTheirDevice() throws {
        let bus = Bus(), first = Register(0x100), second = Register(0x10)
        try bus.attach(second, at: 0x2000)
        try bus.attach(first, at: 0x1000)
        #expect(bus.windows.map(\.address) == [0x1000, 0x2000])
        #expect(bus.read(0x1004, byteCount: 4) == 4)
        #expect(bus.read(0x200e, byteCount: 2) == 14)
        #expect(bus.write(0x2008, byteCount: 2, value: 0x1234_5678))
        #expect(second.last! == (8, 2, 0x5678) && first.last == nil)
        #expect(!bus.write(0x2008, byteCount: 8, value: .max), "the device refuses")
        for (address, count) in [(0xfff, 1), (0x1100, 1), (0x2010, 1), (0x1001, 2), (0x1000, 3), (0, 8), (0x1000, 8)]
            as [(UInt64, Int)]
        {
            #expect(bus.read(address, byteCount: count) == nil, "\(address) \(count)")
        }
        #expect(bus.read(.max, byteCount: 1) == nil)
    }

    @Test func windowsDoNotOverlap() throws {
        let bus = Bus()
        try bus.attach(Register(0x100), at: 0x1000)
        for address in [0xf01, 0x10ff, 0x1000, 0x1050] as [UInt64] {
            #expect(throws: BusError.self) { try bus.attach(Register(0x100), at: address) }
        }
        #expect(throws: BusError.self) { try bus.attach(Register(0x100), at: .max - 0x80) }
        try bus.attach(Register(0x100), at: 0x1100)
        try bus.attach(Register(0x100), at: 0xf00)
    }
}

@Suite struct DeviceMemoryTests {
    @Test func nothingOutsideIsReached() {
        let memory = PlainMemory(base: 0x8000_0000, byteCount: 0x1000)
        var writes: [UInt64] = []
        memory.onWrite = { address, count in writes.append(address &+ UInt64(count)) }
        #expect(memory.store(0x1122_3344_5566_7788 as UInt64, at: 0x8000_0ff8))
        #expect(memory.load(0x8000_0ffc, as: UInt32.self) == 0x1122_3344)
        #expect(memory.load(0x8000_0ffd, as: UInt32.self) == nil)
        #expect(memory.load(0x7fff_ffff, as: UInt8.self) == nil)
        #expect(!memory.store(1 as UInt8, at: 0x8000_1000))
        #expect(memory.range(.max - 3, byteCount: 8) == nil)
        #expect(memory.range(0x8000_0000, byteCount: 0x1001) == nil)
        #expect(memory.range(0x8000_0000, byteCount: -1) == nil)
        let range = memory.range(0x8000_0800, byteCount: 0x800)!
        #expect(range.slice(0x7f0, byteCount: 100).byteCount == 16)
        #expect(range.slice(0x900, byteCount: 1).byteCount == 0)
        range.slice(16, byteCount: 4).write { $0.storeBytes(of: 0x0403_0201, as: UInt32.self) }
        #expect(memory.load(0x8000_0810, as: UInt32.self) == 0x0403_0201)
        #expect(writes == [0x8000_1000, 0x8000_0814])
    }
}

@Suite struct TimerTests {
    @Test func deadlinesComeInOrder() {
        let clock = ManualClock(), queue = TimerQueue(clock: clock)
        var calls: [Int] = [], earlier: [UInt64] = []
        queue.onEarlier = { earlier.append($0) }
        let timers = (0..<3).map { index in queue.makeTimer { calls.append(index) } }
        timers[0].set(30)
        timers[1].set(10)
        timers[2].set(20)
        #expect(queue.nextDeadline == 10 && earlier == [30, 10])
        clock.ticks = 20
        queue.runDue()
        #expect(calls == [1, 2] && queue.nextDeadline == 30)
        timers[0].set(nil)
        clock.ticks = 100
        queue.runDue()
        #expect(calls == [1, 2] && queue.nextDeadline == nil)
    }

    @Test func theThreadServesHostTime() throws {
        let queue = TimerQueue(clock: HostClock()), monitor = Monitor()
        var count = 0
        let timer = queue.makeTimer { monitor.locked { count += 1 } }
        try queue.start()
        timer.set(queue.clock.ticks + 50_000)
        let other = queue.makeTimer {}
        other.set(queue.clock.ticks + 1 << 50)
        #expect(waitUntil { monitor.locked { count } == 1 })
        #expect(queue.nextDeadline != nil)
        queue.stop()
    }
}

@Suite struct DeviceTreeTests {
    private func sample() -> DeviceTree {
        let tree = DeviceTree()
        tree.reservations = [(0x8000_0000, 0x20000)]
        tree.bootHart = 1
        tree.root.set("compatible", .strings(["riscv-virtio", "x"]))
        let cpu = tree.root.child("cpus").child("cpu@0")
        cpu.set("reg", .cell(0))
        let controller = cpu.child("interrupt-controller")
        controller.set("interrupt-controller")
        let soc = tree.root.child("soc")
        soc.set("interrupt-parent", .phandle(controller))
        soc.set("interrupts-extended", .references([DeviceTreeReference(controller, 11), DeviceTreeReference(controller, 9)]))
        soc.child("memory@80000000").set("reg", .cells64([0x8000_0000, 0x1_0000_0000]))
        soc.set("odd", .bytes([1, 2, 3]))
        return tree
    }

    /// The smallest tree, byte by byte (Devicetree Specification, chapter 5).
    @Test func bytesOfTheFormat() {
        let tree = DeviceTree(root: DeviceTreeNode(""))
        tree.root.set("a", .cell(0x0102_0304))
        let expected: [UInt8] = [
            0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 0x5a, 0, 0, 0, 0x38, 0, 0, 0, 0x58, 0, 0, 0, 0x28, 0, 0, 0, 17, 0, 0, 0, 16, 0, 0, 0,
            0, 0, 0,
            0, 2, 0, 0, 0, 0x20,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 2, 0, 0, 0, 9,
            0x61, 0,
        ]
        #expect(tree.flattened() == expected)
    }

    @Test func readsWhatItWrites() throws {
        let blob = sample().flattened(), tree = try DeviceTree(flattened: blob)
        #expect(tree.bootHart == 1 && tree.reservations.count == 1 && tree.reservations[0] == (0x8000_0000, 0x20000))
        #expect(tree.flattened() == blob)
        #expect(tree.root.find("soc/memory")?.property("reg") == .bytes([0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]))
        #expect(tree.root.find("cpus/cpu/interrupt-controller")?.property("phandle") == .cell(1))
        #expect(
            tree.root.find("soc")?.property("interrupts-extended") == .bytes([0, 0, 0, 1, 0, 0, 0, 11, 0, 0, 0, 1, 0, 0, 0, 9]))
        #expect(tree.source.contains("compatible = \"riscv-virtio\", \"x\";"))
        #expect(tree.source.contains("odd = [01 02 03];"))
    }

    @Test func dtcAgrees() throws {
        let tree = sample(), blob = tree.flattened()
        guard let text = run("dtc", "-q", "-I", "dtb", "-O", "dts", input: blob) else { return }  // no dtc here
        #expect(text.status == 0)
        let again = run("dtc", "-q", "-I", "dts", "-O", "dtb", "-b", "1", input: Array(tree.source.utf8))!
        #expect(again.status == 0)
        #expect(try DeviceTree(flattened: again.output).source == DeviceTree(flattened: blob).source)
    }

    @Test func damageIsRefused() {
        let blob = sample().flattened()
        var random = SplitMix(seed: 3), refused = 0
        #expect(throws: DeviceTreeError.notATree) { try DeviceTree(flattened: []) }
        for count in 0..<blob.count {
            #expect(throws: DeviceTreeError.self) { try DeviceTree(flattened: Array(blob.prefix(count))) }
        }
        for _ in 0..<3000 {
            var bytes = blob
            for _ in 0...random.below(3) { bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next()) }
            do { _ = try DeviceTree(flattened: bytes).source } catch { refused += 1 }
        }
        #expect(refused > 500)
    }
}

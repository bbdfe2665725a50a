// Interrupt controllers, timers, serial port, clock and power switch by their registers.

import DeviceModel
import Devices
import Testing

@Suite struct ACLINTTests {
    let clock = ManualClock()
    let queue: TimerQueue
    let software = [InterruptLine(), InterruptLine()], timer = [InterruptLine(), InterruptLine()]
    let device: ACLINT

    init() {
        queue = TimerQueue(clock: clock)
        device = ACLINT(timers: queue, software: software, timer: timer)
    }

    @Test func softwareInterrupts() {
        device.write32(4, 0xffff_ffff)
        #expect(device.read32(4) == 1 && software[1].level && !software[0].level)
        device.write32(4, 0xffff_fffe)
        #expect(device.read32(4) == 0 && !software[1].level)
        device.write32(8, 1)
        #expect(device.read32(8) == 0)
        #expect(device.read(0, byteCount: 1) == nil && !device.write(0, byteCount: 2, value: 1))
    }

    @Test func timerFiresAndIsMoved() {
        _ = device.write(0x4008, byteCount: 8, value: 1000)
        #expect(queue.nextDeadline == 1000 && !timer[1].level)
        clock.ticks = 999
        queue.runDue()
        #expect(!timer[1].level)
        clock.ticks = 1000
        queue.runDue()
        #expect(timer[1].level && !timer[0].level)
        device.write32(0x400c, 1)
        #expect(!timer[1].level && device.read(0x4008, byteCount: 8) == 1 << 32 | 1000)
        device.write32(0x400c, 0)
        #expect(timer[1].level)
        device.write32(0x4008, 5000)
        #expect(!timer[1].level && queue.nextDeadline == 5000 && device.read32(0x4008) == 5000)
    }

    @Test func timeCanBeSet() {
        clock.ticks = 70
        #expect(device.read(0xbff8, byteCount: 8) == 70)
        _ = device.write(0x4000, byteCount: 8, value: 0x2_0000_0000)
        device.write32(0xbffc, 1)
        #expect(device.time == 0x1_0000_0046 && device.read32(0xbffc) == 1 && device.read32(0xbff8) == 70)
        #expect(queue.nextDeadline == 0x1_0000_0000)
        device.write32(0xbffc, 2)
        #expect(timer[0].level)
        _ = device.write(0xbff8, byteCount: 8, value: 0)
        #expect(!timer[0].level && queue.nextDeadline == 0x2_0000_0046)
    }

    /// A time that the host's clock does not reach must not look like one that is over: the timer would be due again and again.
    @Test func timeBehindTheEndOfTheClock() {
        clock.ticks = 1000
        _ = device.write(0xbff8, byteCount: 8, value: 0)
        _ = device.write(0x4000, byteCount: 8, value: .max - 1)
        #expect(queue.nextDeadline == nil && !timer[0].level)
        _ = device.write(0x4000, byteCount: 8, value: 5)
        #expect(queue.nextDeadline == 1005)
    }

    @Test func stateGoesOn() {
        _ = device.write(0x4000, byteCount: 8, value: 10)
        device.write32(0, 1)
        let saved = device.state
        device.reset()
        #expect(!software[0].level && device.read(0x4000, byteCount: 8) == .max)
        device.state = saved
        #expect(software[0].level && queue.nextDeadline == 10)
    }

    @Test func supervisorSoftwareIsAPulse() {
        var pulses = 0
        let device = ACLINTSupervisorSoftware([InterruptLine { if $0 { pulses += 1 } }])
        device.write32(0, 1)
        device.write32(0, 0)
        device.write32(0, 1)
        device.write32(4, 1)
        #expect(pulses == 2 && device.read32(0) == 0)
    }
}

@Suite struct PLICTests {
    let contexts = (0..<4).map { _ in InterruptLine() }
    let plic: PLIC

    init() { plic = PLIC(contexts: contexts) }

    @Test func claimAndComplete() {
        let line = plic.line(forSource: 10)
        plic.write32(40, 3)
        plic.write32(0x2080, 1 << 10)  // context 1
        line.level = true
        #expect(contexts[1].level && !contexts[0].level)
        #expect(plic.read32(0x1000) == 1 << 10)
        #expect(plic.read32(0x201004) == 10 && !contexts[1].level && plic.read32(0x1000) == 0)
        #expect(plic.read32(0x201004) == 0, "in service")
        line.level = false
        line.level = true
        #expect(!contexts[1].level, "still in service")
        plic.write32(0x201004, 11)
        #expect(!contexts[1].level, "another source")
        plic.write32(0x201004, 10)
        #expect(contexts[1].level, "still high")
        _ = plic.read32(0x201004)
        line.level = false
        plic.write32(0x201004, 10)
        #expect(!contexts[1].level)
    }

    @Test func prioritiesAndThresholds() {
        let lines = [3, 4, 40].map { plic.line(forSource: $0) }
        plic.write32(12, 2)
        plic.write32(16, 2)
        plic.write32(160, 9)  // three bits: 1
        #expect(plic.read32(160) == 1)
        plic.write32(0x2000, ~0)
        plic.write32(0x2004, ~0)
        #expect(plic.read32(0x2000) == 0xffff_fffe)
        for line in lines { line.level = true }
        plic.write32(0x200000, 2)
        #expect(!contexts[0].level)
        plic.write32(0x200000, 1)
        #expect(contexts[0].level)
        #expect((0..<4).map { _ in plic.read32(0x200004) } == [3, 4, 40, 0])
    }

    @Test func completionNeedsTheEnable() {
        let line = plic.line(forSource: 5)
        plic.write32(20, 1)
        plic.write32(0x2000, 1 << 5)
        line.level = true
        #expect(plic.read32(0x200004) == 5)
        plic.write32(0x2000, 0)
        plic.write32(0x200004, 5)
        plic.write32(0x2000, 1 << 5)
        #expect(!contexts[0].level)
        plic.write32(0x200004, 5)
        #expect(contexts[0].level)
    }

    @Test func registersThatDoNotExist() {
        plic.write32(0, 7)
        plic.write32(96 * 4, 7)
        plic.write32(0x1000, ~0)
        plic.write32(0x200c, ~0)
        plic.write32(0x204000, 7)
        #expect([0, 96 * 4, 0x1000, 0x200c, 0x200008].allSatisfy { plic.read32($0) == 0 })
        #expect(plic.read(0, byteCount: 8) == nil && plic.read(4, byteCount: 1) == nil)
        let saved = plic.state
        plic.write32(0x2000, 2)
        plic.state = saved
        #expect(plic.read32(0x2000) == 0)
    }

    @Test func describesItsWires() {
        let tree = DeviceTree(), soc = tree.root.child("soc")
        let harts = (0..<2).map { tree.root.child("cpus").child("cpu@\($0)").child("interrupt-controller") }
        plic.describe(DevicePlacement(address: 0xc00_0000, hartControllers: harts), in: soc)
        let node = soc.find("plic@c000000")!
        #expect(node.property("riscv,ndev") == .cell(95))
        #expect(node.property("reg") == .cells64([0xc00_0000, 0x204000]))
        _ = tree.flattened()
        #expect(tree.source.contains("interrupts-extended = <0x1 0xb 0x1 0x9 0x2 0xb 0x2 0x9>;"))
    }
}

@Suite struct UARTTests {
    let backend = FakeCharacters(), line = InterruptLine()
    let uart: UART

    init() { uart = UART(backend: backend, interrupt: line) }

    @Test func whatIsWrittenComesOut() {
        for byte in "hello\n".utf8 { uart.write8(0, byte) }
        #expect(backend.output == Array("hello\n".utf8))
        #expect(uart.read8(5) == 0x60)
        uart.write8(3, 0x83)
        uart.write8(0, 0x34)
        uart.write8(1, 0x12)
        #expect(uart.read8(0) == 0x34 && uart.read8(1) == 0x12 && backend.output.count == 6)
        uart.write8(3, 3)
        #expect(uart.read8(1) == 0)
        uart.write8(7, 0xa5)
        #expect(uart.read8(7) == 0xa5)
    }

    @Test func transmitterInterrupt() {
        #expect(uart.read8(2) == 1 && !line.level)
        uart.write8(1, 2)
        #expect(line.level && uart.read8(2) == 2)
        #expect(!line.level && uart.read8(2) == 1, "reading it clears it")
        uart.write8(1, 0)
        uart.write8(1, 2)
        #expect(line.level, "enabling raises it again")
        _ = uart.read8(2)
        uart.write8(0, 65)
        #expect(line.level)
    }

    @Test func receiverWithFIFO() {
        uart.write8(2, 0x87)  // enable, clear both, trigger 8
        uart.write8(1, 1)
        #expect(uart.read8(2) == 0xc1)
        #expect(backend.type("0123456") == 7)
        #expect(line.level && uart.read8(2) == 0xcc, "timeout below the trigger level")
        #expect(backend.type("789abcdefghi") == 9, "16 fit")
        #expect(uart.read8(2) == 0xc4 && uart.read8(5) == 0x61)
        var ready = false
        uart.whenReady { ready = true }
        #expect(!ready)
        #expect((0..<16).map { _ in uart.read8(0) } == Array("0123456789abcdef".utf8))
        #expect(ready && !line.level && uart.read8(5) == 0x60 && uart.read8(2) == 0xc1)
        _ = backend.type("xyz")
        uart.write8(2, 3)
        #expect(uart.read8(5) == 0x60, "cleared")
    }

    @Test func aStateWithRoomIsTold() {
        let empty = uart.state
        #expect(backend.type("a") == 1 && backend.type("b") == 0)
        var ready = false
        uart.whenReady { ready = true }
        uart.state = uart.state
        #expect(!ready, "it is as full as before")
        uart.state = empty
        #expect(ready)
    }

    @Test func receiverWithoutFIFO() {
        #expect(backend.type("ab") == 1)
        #expect(uart.read8(0) == UInt8(ascii: "a") && uart.read8(0) == 0)
    }

    /// What Linux' 8250 driver does to find out what it has.
    @Test func loopbackAndAutoconfiguration() {
        uart.write8(1, 0)
        #expect(uart.read8(1) == 0)
        uart.write8(1, 0xf)
        #expect(uart.read8(1) == 0xf)
        uart.write8(1, 0)
        uart.write8(4, 0x1a)
        #expect(uart.read8(6) & 0xf0 == 0x90)
        uart.write8(2, 1)
        #expect(uart.read8(2) >> 6 == 3)
        uart.write8(0, 0x42)
        #expect(backend.output.isEmpty && uart.read8(5) & 1 == 1 && uart.read8(0) == 0x42)
        for _ in 0..<17 { uart.write8(0, 1) }
        #expect(uart.read8(5) & 2 == 2 && uart.read8(5) & 2 == 0, "overrun, once")
        #expect(backend.type("x") == 0)
        uart.write8(4, 0xb)
        #expect(uart.read8(6) & 0xf0 == 0xb0)
    }

    @Test func modemAndLineInterrupts() {
        uart.write8(1, 0xc)
        uart.write8(4, 0x10)  // all lines fall
        #expect(line.level && uart.read8(2) == 0)
        #expect(uart.read8(6) == 0x0b && uart.read8(6) == 0 && !line.level)
        uart.write8(4, 0x14)  // ring: the leading edge says nothing
        #expect(!line.level && uart.read8(6) == 0x40)
        uart.write8(4, 0x10)
        #expect(uart.read8(6) == 4)
        uart.write8(0, 1)
        uart.write8(0, 2)
        #expect(uart.read8(2) == 6 && uart.read8(5) == 0x63 && uart.read8(0) == 2)
        let saved = uart.state
        uart.reset()
        #expect(uart.read8(4) == 0)
        uart.state = saved
        #expect(uart.read8(4) == 0x10)
    }
}

@Suite struct ClockAndPowerTests {
    @Test func goldfishTells() {
        let clock = ManualClock(), line = InterruptLine(), queue = TimerQueue(clock: clock)
        let rtc = GoldfishRTC(timers: queue, interrupt: line)
        let time = { UInt64(rtc.read32(0)) | UInt64(rtc.read32(4)) << 32 }
        #expect(time() == clock.wallStart)
        rtc.write32(4, 0x1000)
        rtc.write32(0, 0x2000)
        #expect(time() == 0x1000_0000_2000)
        rtc.write32(0xc, 0x1000)
        rtc.write32(0x10, 1)
        rtc.write32(8, 0x2000 + 1000)
        #expect(rtc.read32(0x18) == 1 && !line.level && queue.nextDeadline != nil)
        clock.ticks = queue.nextDeadline!
        queue.runDue()
        #expect(line.level && rtc.read32(0x18) == 0)
        rtc.write32(0x1c, 1)
        #expect(!line.level)
        rtc.write32(8, 0)
        #expect(line.level, "in the past")
        rtc.write32(0x10, 0)
        #expect(!line.level)
        rtc.write32(0x1c, 1)
        rtc.write32(8, 0xffff_ffff)
        rtc.write32(0x14, 1)
        #expect(rtc.read32(0x18) == 0 && queue.nextDeadline == nil)
    }

    @Test func goldfishAlarmBehindTheEndOfTheClock() {
        let clock = ManualClock(), queue = TimerQueue(clock: clock), rtc = GoldfishRTC(timers: queue, interrupt: InterruptLine())
        clock.ticks = .max - 1000
        rtc.write32(0x0c, 0xffff_ffff)
        rtc.write32(0x08, 0xffff_ffff)
        #expect(rtc.read32(0x18) == 1 && queue.nextDeadline == nil)
    }

    @Test func powerSwitch() {
        var events: [SystemController.Event] = []
        let device = SystemController { events.append($0) }
        for value in [0x5555, 0x2a_3333, 0x7777, 0x1234] as [UInt32] { device.write32(0, value) }
        device.write32(4, 0x5555)
        #expect(events == [.powerOff(code: 0), .powerOff(code: 42), .reboot])
        let tree = DeviceTree()
        device.describe(DevicePlacement(address: 0x100000), in: tree.root.child("soc"))
        _ = tree.flattened()
        #expect(tree.source.contains("regmap = <0x1>"))
        #expect(tree.root.find("poweroff")?.property("value") == .cell(0x5555))
    }
}

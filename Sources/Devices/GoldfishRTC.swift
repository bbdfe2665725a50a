// The real-time clock of the Android emulator's goldfish platform ("goldfish virtual hardware", RTC): nanoseconds since 1970.

import DeviceModel

package final class GoldfishRTC: Device, Snapshottable, @unchecked Sendable {
    package struct State: Codable, Equatable {
        /// What is added to the host's wall clock.
        package var offset: UInt64 = 0
        package var latchedHigh: UInt32 = 0
        package var writtenHigh: UInt32 = 0
        package var alarm: UInt64 = 0
        package var isAlarmSet = false
        package var isEnabled = false
        package var isPending = false
    }

    package let name = "rtc"
    package let byteCount: UInt64 = 0x1000
    private let monitor = Monitor()
    private var registers = State()
    private let queue: TimerQueue
    private var timer: DeviceTimer?
    private let interrupt: InterruptLine

    package init(timers queue: TimerQueue, interrupt: InterruptLine) {
        self.queue = queue
        self.interrupt = interrupt
        timer = queue.makeTimer { [weak self] in
            guard let self else { return }
            monitor.locked { self.update() }
        }
    }

    package var state: State {
        get { monitor.locked { registers } }
        set {
            monitor.locked {
                registers = newValue
                update()
            }
        }
    }

    /// The clock keeps its time: it has a battery.
    package func reset() {
        monitor.locked {
            registers = State(offset: registers.offset)
            update()
        }
    }

    private var now: UInt64 { queue.clock.wallNanoseconds &+ registers.offset }

    private func update() {
        let now = now
        if registers.isAlarmSet && now >= registers.alarm {
            registers.isAlarmSet = false
            registers.isPending = true
        }
        // An alarm behind the last tick never comes.
        let wait = (registers.alarm &- now) / Timebase.nanosecondsPerTick + 1
        let (deadline, isNever) = queue.clock.ticks.addingReportingOverflow(wait)
        timer?.set(registers.isAlarmSet && !isNever ? deadline : nil)
        interrupt.level = registers.isPending && registers.isEnabled
    }

    package func read(_ offset: UInt64, byteCount: Int) -> UInt64? {
        guard byteCount == 4 else { return nil }
        return monitor.locked {
            switch offset {
            case 0x00:  // TIME_LOW, which latches TIME_HIGH
                let time = now
                registers.latchedHigh = UInt32(time >> 32)
                return time & 0xffff_ffff
            case 0x04: return UInt64(registers.latchedHigh)
            case 0x08: return registers.alarm & 0xffff_ffff
            case 0x0c: return registers.alarm >> 32
            case 0x10: return registers.isEnabled ? 1 : 0
            case 0x18: return registers.isAlarmSet ? 1 : 0
            default: return 0
            }
        }
    }

    package func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool {
        guard byteCount == 4 else { return false }
        let value = value & 0xffff_ffff
        monitor.locked {
            switch offset {
            case 0x00:  // TIME_LOW completes a time whose TIME_HIGH was written before
                registers.offset = (UInt64(registers.writtenHigh) << 32 | value) &- queue.clock.wallNanoseconds
            case 0x04: registers.writtenHigh = UInt32(value)
            case 0x08:  // ALARM_LOW arms
                registers.alarm = registers.alarm & ~0xffff_ffff | value
                registers.isAlarmSet = true
            case 0x0c: registers.alarm = registers.alarm & 0xffff_ffff | value << 32
            case 0x10: registers.isEnabled = value & 1 != 0
            case 0x14: registers.isAlarmSet = false
            case 0x1c: registers.isPending = false
            default: break
            }
            update()
        }
        return true
    }

    package func describe(_ placement: DevicePlacement, in parent: DeviceTreeNode) {
        _ = placement.makeNode(self, compatible: ["google,goldfish-rtc"], in: parent)
    }
}

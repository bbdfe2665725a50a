// Machine-level software interrupts and timer in the layout of SiFive's CLINT, which the MSWI and MTIMER of the RISC-V ACLINT
// specification 1.0 keep: msip at 0, mtimecmp at 0x4000, mtime at 0xbff8.

import DeviceModel

package final class ACLINT: Device, Snapshottable, @unchecked Sendable {
    package struct State: Codable, Equatable {
        package var softwareInterrupts: [Bool]
        package var timeCompare: [UInt64]
        /// What is added to the clock to get mtime.
        package var timeOffset: UInt64 = 0
    }

    package let name = "clint"
    package let byteCount: UInt64 = 0x10000
    /// The specification's limit: mtimecmp ends where mtime begins.
    package static let hartLimit = 4095

    private static let timeCompareStart: UInt64 = 0x4000, time: UInt64 = 0xbff8

    private let monitor = Monitor()
    private var registers: State
    private let queue: TimerQueue
    private var timers: [DeviceTimer] = []
    private let software: [InterruptLine], timer: [InterruptLine]

    /// One line of each kind a hart: `software` is mip.MSIP, `timer` mip.MTIP.
    package init(timers queue: TimerQueue, software: [InterruptLine], timer: [InterruptLine]) {
        precondition(software.count == timer.count && software.count <= ACLINT.hartLimit, "two lines a hart")
        self.queue = queue
        self.software = software
        self.timer = timer
        registers = State(
            softwareInterrupts: Array(repeating: false, count: software.count),
            timeCompare: Array(repeating: .max, count: software.count))
        for hart in software.indices {
            timers.append(queue.makeTimer { [weak self] in self?.timerFired(hart) })
        }
    }

    /// mtime, which the `time` CSR of every hart shows.
    package var time: UInt64 { queue.clock.ticks &+ monitor.locked { registers.timeOffset } }

    package func check(_ state: State) throws {
        guard state.softwareInterrupts.count == software.count, state.timeCompare.count == timer.count else {
            throw StateError(" has other harts")
        }
    }

    package var state: State {
        get { monitor.locked { registers } }
        set {
            guard (try? check(newValue)) != nil else { return }
            monitor.locked {
                registers = newValue
                updateAll()
            }
        }
    }

    package func reset() {
        monitor.locked {
            for hart in software.indices {
                registers.softwareInterrupts[hart] = false
                registers.timeCompare[hart] = .max
            }
            registers.timeOffset = 0
            updateAll()
        }
    }

    private func updateAll() {
        for hart in software.indices {
            software[hart].level = registers.softwareInterrupts[hart]
            updateTimer(hart)
        }
    }

    private func timerFired(_ hart: Int) { monitor.locked { updateTimer(hart) } }

    private func updateTimer(_ hart: Int) {
        let ticks = queue.clock.ticks, now = ticks &+ registers.timeOffset, compare = registers.timeCompare[hart]
        timer[hart].level = now >= compare
        // What lies behind the end of the clock never comes.
        let (deadline, isNever) = ticks.addingReportingOverflow(compare &- now)
        timers[hart].set(now >= compare || isNever || compare == .max ? nil : deadline)
    }

    // MARK: Registers

    package func read(_ offset: UInt64, byteCount: Int) -> UInt64? {
        guard byteCount == 4 || byteCount == 8 else { return nil }
        return monitor.locked {
            if offset < ACLINT.timeCompareStart {
                let hart = Int(offset / 4)
                return byteCount == 4 && hart < software.count && registers.softwareInterrupts[hart] ? 1 : 0
            }
            return part(of: word(at: offset), offset, byteCount)
        }
    }

    private func word(at offset: UInt64) -> UInt64 {
        if offset & ~7 == ACLINT.time { return queue.clock.ticks &+ registers.timeOffset }
        let hart = Int((offset - ACLINT.timeCompareStart) / 8)
        return hart < timer.count ? registers.timeCompare[hart] : 0
    }

    private func part(of word: UInt64, _ offset: UInt64, _ byteCount: Int) -> UInt64 {
        byteCount == 8 ? word : word >> ((offset & 4) * 8) & 0xffff_ffff
    }

    private func replace(_ word: UInt64, _ offset: UInt64, _ byteCount: Int, _ value: UInt64) -> UInt64 {
        if byteCount == 8 { return value }
        let shift = (offset & 4) * 8
        return word & ~(0xffff_ffff << shift) | (value & 0xffff_ffff) << shift
    }

    package func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool {
        guard byteCount == 4 || byteCount == 8 else { return false }
        monitor.locked {
            if offset < ACLINT.timeCompareStart {
                let hart = Int(offset / 4)
                guard byteCount == 4, hart < software.count else { return }
                registers.softwareInterrupts[hart] = value & 1 != 0
                software[hart].level = value & 1 != 0
            } else if offset & ~7 == ACLINT.time {
                let ticks = queue.clock.ticks
                registers.timeOffset = replace(ticks &+ registers.timeOffset, offset, byteCount, value) &- ticks
                for hart in timer.indices { updateTimer(hart) }
            } else {
                let hart = Int((offset - ACLINT.timeCompareStart) / 8)
                guard hart < timer.count else { return }
                registers.timeCompare[hart] = replace(registers.timeCompare[hart], offset, byteCount, value)
                updateTimer(hart)
            }
        }
        return true
    }

    package func describe(_ placement: DevicePlacement, in parent: DeviceTreeNode) {
        let node = placement.makeNode(self, compatible: ["sifive,clint0", "riscv,clint0"], in: parent)
        // Causes 3 and 7: machine software and machine timer interrupt.
        node.set(
            "interrupts-extended",
            .references(placement.hartControllers.flatMap { [DeviceTreeReference($0, 3), DeviceTreeReference($0, 7)] }))
    }
}

/// Supervisor software interrupts by a store: the SSWI of the ACLINT specification. A store of 1 sets mip.SSIP of the hart, which
/// only the hart itself clears.
package final class ACLINTSupervisorSoftware: Device {
    package let name = "sswi"
    package let byteCount: UInt64 = 0x4000
    private let lines: [InterruptLine]

    /// A line a hart, which is pulsed.
    package init(_ lines: [InterruptLine]) { self.lines = lines }

    package func reset() {}
    package func read(_ offset: UInt64, byteCount: Int) -> UInt64? { byteCount == 4 ? 0 : nil }

    package func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool {
        guard byteCount == 4 else { return false }
        let hart = Int(offset / 4)
        if value & 1 != 0 && hart < lines.count { lines[hart].pulse() }
        return true
    }

    package func describe(_ placement: DevicePlacement, in parent: DeviceTreeNode) {
        let node = placement.makeNode(self, compatible: ["riscv,aclint-sswi"], in: parent)
        node.set("interrupt-controller")
        node.set("#interrupt-cells", .cell(0))
        node.set("interrupts-extended", .references(placement.hartControllers.map { DeviceTreeReference($0, 1) }))
    }
}

// A 16550A serial port (National Semiconductor PC16550D data sheet), registers one byte apart.
//
// What the guest sends is out at once, so the transmitter is always empty. A line that has waited long enough is what the
// character timeout is about; here it always has, so data below the trigger level is reported as a timeout at once.

import DeviceModel

package final class UART: Device, CharacterReceiver, Snapshottable, @unchecked Sendable {
    package struct State: Codable, Equatable {
        package var divisor: UInt16 = 12
        package var interruptEnable: UInt8 = 0
        package var fifoControl: UInt8 = 0
        package var lineControl: UInt8 = 0
        package var modemControl: UInt8 = 0
        /// Overrun, parity, framing and break, until they are read.
        package var lineErrors: UInt8 = 0
        /// Lines in the high half, what changed in the low half.
        package var modemStatus: UInt8 = UART.connected
        package var scratch: UInt8 = 0
        /// The transmitter has become empty, and nobody was told yet.
        package var transmitterInterrupt = false
        package var received: [UInt8] = []
    }

    package let name = "serial"
    package let byteCount: UInt64 = 0x100
    private static let fifoSize = 16
    private static let fcrEnable: UInt8 = 1, fcrClearReceiver: UInt8 = 2
    private static let lcrBreak: UInt8 = 0x40, lcrDivisor: UInt8 = 0x80
    private static let mcrLoopback: UInt8 = 0x10
    private static let lsrData: UInt8 = 1, lsrOverrun: UInt8 = 2, lsrBreak: UInt8 = 0x10, lsrEmpty: UInt8 = 0x60
    /// Clear to send, data set ready, carrier: somebody is at the other end.
    static let connected: UInt8 = 0xb0

    private let monitor = Monitor(), outputMonitor = Monitor()
    private var registers = State()
    private let backend: CharacterBackend?
    private let interrupt: InterruptLine
    private let clockHertz: UInt32
    private var readyBody: (() -> Void)?

    /// - Parameter clockHertz: what the device tree says; the speed of the line means nothing here.
    package init(backend: CharacterBackend?, interrupt: InterruptLine, clockHertz: UInt32 = 3_686_400) {
        self.backend = backend
        self.interrupt = interrupt
        self.clockHertz = clockHertz
        backend?.connect(self)
    }

    package func check(_ state: State) throws {
        guard state.received.count <= UART.fifoSize, state.interruptEnable <= 0xf, state.modemControl <= 0x1f else {
            throw StateError(" has registers that no 16550 can have")
        }
    }

    package var state: State {
        get { monitor.locked { registers } }
        set {
            monitor.locked {
                registers = newValue
                registers.received = Array(newValue.received.prefix(UART.fifoSize))
                update()
            }
            // Who waits for room has not heard of the one that there is now.
            ready()
        }
    }

    package func reset() {
        monitor.locked {
            registers = State()
            update()
        }
        ready()
    }

    package func shutDown() { backend?.disconnect() }

    // MARK: Receiving

    private var hasFIFO: Bool { registers.fifoControl & UART.fcrEnable != 0 }
    private var capacity: Int { hasFIFO ? UART.fifoSize : 1 }
    private var triggerLevel: Int { hasFIFO ? [1, 4, 8, 14][Int(registers.fifoControl >> 6)] : 1 }
    private var isLoopback: Bool { registers.modemControl & UART.mcrLoopback != 0 }

    package func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
        monitor.locked {
            if isLoopback { return 0 }
            let count = max(0, min(bytes.count, capacity - registers.received.count))
            registers.received.append(contentsOf: bytes.prefix(count))
            update()
            return count
        }
    }

    package func whenReady(_ body: @escaping () -> Void) {
        let hasRoom = monitor.locked { () -> Bool in
            if !isLoopback && registers.received.count < capacity { return true }
            readyBody = body
            return false
        }
        if hasRoom { body() }
    }

    private func ready() {
        let body = monitor.locked { () -> (() -> Void)? in
            guard !isLoopback, registers.received.isEmpty else { return nil }
            defer { readyBody = nil }
            return readyBody
        }
        body?()
    }

    // MARK: Interrupts

    /// The identification without the FIFO bits (table II): the pending source of the highest priority.
    private var identification: UInt8 {
        let enable = registers.interruptEnable
        if enable & 4 != 0 && registers.lineErrors != 0 { return 6 }
        if enable & 1 != 0 && !registers.received.isEmpty { return registers.received.count >= triggerLevel ? 4 : 0xc }
        if enable & 2 != 0 && registers.transmitterInterrupt { return 2 }
        if enable & 8 != 0 && registers.modemStatus & 0xf != 0 { return 0 }
        return 1
    }

    private func update() { interrupt.level = identification != 1 }

    // MARK: Registers

    package func read(_ offset: UInt64, byteCount: Int) -> UInt64? {
        let value = monitor.locked { () -> UInt8 in
            defer { update() }
            return readRegister(offset)
        }
        if offset == 0 { ready() }
        return UInt64(value)
    }

    private func readRegister(_ offset: UInt64) -> UInt8 {
        let isDivisor = registers.lineControl & UART.lcrDivisor != 0
        switch offset {
        case 0:
            if isDivisor { return UInt8(truncatingIfNeeded: registers.divisor) }
            return registers.received.isEmpty ? 0 : registers.received.removeFirst()
        case 1: return isDivisor ? UInt8(registers.divisor >> 8) : registers.interruptEnable
        case 2:
            let result = identification
            if result == 2 { registers.transmitterInterrupt = false }
            return result | (hasFIFO ? 0xc0 : 0)
        case 3: return registers.lineControl
        case 4: return registers.modemControl
        case 5:
            defer { registers.lineErrors = 0 }
            return registers.lineErrors | UART.lsrEmpty | (registers.received.isEmpty ? 0 : UART.lsrData)
        case 6:
            defer { registers.modemStatus &= 0xf0 }
            return registers.modemStatus
        case 7: return registers.scratch
        default: return 0
        }
    }

    package func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool {
        let byte = UInt8(truncatingIfNeeded: value)
        // Output has a lock of its own: while the host is slow to take it, input and interrupts go on.
        outputMonitor.locked {
            let output = monitor.locked { () -> UInt8? in
                defer { update() }
                return writeRegister(offset, byte)
            }
            if let output { withUnsafeBytes(of: output) { backend?.write($0) } }
        }
        if offset == 2 || offset == 4 { ready() }
        return true
    }

    /// Returns what goes out on the line.
    private func writeRegister(_ offset: UInt64, _ byte: UInt8) -> UInt8? {
        let isDivisor = registers.lineControl & UART.lcrDivisor != 0
        switch offset {
        case 0:
            if isDivisor {
                registers.divisor = registers.divisor & 0xff00 | UInt16(byte)
                return nil
            }
            registers.transmitterInterrupt = true
            if !isLoopback { return byte }
            loopBack(byte)
        case 1:
            if isDivisor {
                registers.divisor = registers.divisor & 0xff | UInt16(byte) << 8
                return nil
            }
            // Enabling the transmitter's interrupt while it is empty raises it.
            if byte & ~registers.interruptEnable & 2 != 0 { registers.transmitterInterrupt = true }
            registers.interruptEnable = byte & 0xf
        case 2: writeFIFOControl(byte)
        case 3:
            if isLoopback && byte & ~registers.lineControl & UART.lcrBreak != 0 {
                registers.lineErrors |= UART.lsrBreak
                loopBack(0)
            }
            registers.lineControl = byte
        case 4:
            registers.modemControl = byte & 0x1f
            updateModemStatus()
        case 7: registers.scratch = byte
        default: break
        }
        return nil
    }

    private func loopBack(_ byte: UInt8) {
        if registers.received.count < capacity {
            registers.received.append(byte)
        } else {
            registers.lineErrors |= UART.lsrOverrun
            // Without FIFOs the new character takes the place of the old one.
            if !hasFIFO { registers.received[registers.received.count - 1] = byte }
        }
    }

    private func writeFIFOControl(_ byte: UInt8) {
        let changes = (byte ^ registers.fifoControl) & UART.fcrEnable != 0
        if changes || byte & UART.fcrClearReceiver != 0 { registers.received.removeAll(keepingCapacity: true) }
        // The other bits can only be written together with the enabling one.
        registers.fifoControl = byte & UART.fcrEnable != 0 ? byte & 0xc9 : 0
    }

    private func updateModemStatus() {
        var lines = UART.connected
        if isLoopback {
            let control = registers.modemControl
            lines = (control & 2) << 3 | (control & 1) << 5 | (control & 4) << 4 | (control & 8) << 4
        }
        let before = registers.modemStatus & 0xf0
        var changes = (before ^ lines) >> 4
        // Ring: only its trailing edge.
        if changes & 4 != 0 && lines & 0x40 != 0 { changes &= ~4 }
        registers.modemStatus = lines | registers.modemStatus & 0xf | changes
    }

    package func describe(_ placement: DevicePlacement, in parent: DeviceTreeNode) {
        let node = placement.makeNode(self, compatible: ["ns16550a"], in: parent)
        node.set("clock-frequency", .cell(clockHertz))
    }
}

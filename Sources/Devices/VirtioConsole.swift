// Virtio console (section 5.3): port 0 is the console; with several ports each has a pair of queues, and a pair of control queues
// tells the guest their names.

import DeviceModel

package final class VirtioConsole: VirtioDevice, Snapshottable, @unchecked Sendable {
    package struct State: Codable, Equatable {
        /// Ports that a program in the guest has open.
        package var openPorts: Set<Int> = []
        /// Control messages for which the guest had no buffer yet.
        package var messages: [[UInt8]] = []
    }

    /// A port and its host end. Only port 0 may be a console in the guest's eyes; others become /dev/vport0pN with a name.
    package struct Port {
        package let backend: CharacterBackend?
        package let name: String?
        package let isConsole: Bool
        package init(backend: CharacterBackend?, name: String? = nil, isConsole: Bool = false) {
            self.backend = backend
            self.name = name
            self.isConsole = isConsole
        }
    }

    package let deviceID: UInt32 = 3
    package let features: UInt64
    package let queueSizes: [UInt16]
    package static let portLimit = 30

    private enum Feature {
        static let size: UInt64 = 1, multiport: UInt64 = 2, emergencyWrite: UInt64 = 4
    }
    private enum Event {
        static let deviceReady: UInt16 = 0, deviceAdd: UInt16 = 1, portReady: UInt16 = 3, consolePort: UInt16 = 4,
            resize: UInt16 = 5
        static let portOpen: UInt16 = 6, portName: UInt16 = 7
    }
    private static let controlReceive = 2, controlTransmit = 3
    private static let controlBacklog = 256

    private let ports: [Port]
    private var inputs: [Input] = []
    private let monitor = Monitor()
    /// Held while a message is handed over, so that two threads do not send the same one.
    private let sendMonitor = Monitor()
    private weak var transport: VirtioTransport?
    private var isMultiport = false, offersSize = false
    private var size: (columns: UInt16, rows: UInt16)
    private var registers = State()

    /// One port without a name makes a plain console.
    package init(ports: [Port], columns: UInt16 = 80, rows: UInt16 = 25) {
        precondition((1...VirtioConsole.portLimit).contains(ports.count), "1 to 30 ports")
        self.ports = ports
        size = (columns, rows)
        let isSingle = ports.count == 1 && ports[0].name == nil
        features = Feature.size | Feature.emergencyWrite | (isSingle ? 0 : Feature.multiport)
        queueSizes = Array(repeating: 64, count: isSingle ? 2 : 2 * (ports.count + 1))
        for index in ports.indices {
            inputs.append(Input(self, port: index))
            ports[index].backend?.connect(inputs[index])
        }
    }

    package convenience init(backend: CharacterBackend?) { self.init(ports: [Port(backend: backend, isConsole: true)]) }

    package func check(_ state: State) throws {
        guard state.openPorts.allSatisfy({ ports.indices.contains($0) }), state.messages.count <= VirtioConsole.controlBacklog
        else {
            throw StateError(" has other ports")
        }
    }

    package var state: State {
        get { monitor.locked { registers } }
        set { monitor.locked { registers = newValue } }
    }

    package func attach(_ transport: VirtioTransport) { self.transport = transport }

    package func start(features: UInt64) {
        monitor.locked {
            isMultiport = features & Feature.multiport != 0
            offersSize = features & Feature.size != 0
        }
    }

    package func reset() {
        monitor.locked {
            registers = State()
            isMultiport = false
        }
        for input in inputs { input.room() }
    }

    package func shutDown() { for port in ports { port.backend?.disconnect() } }

    package var configuration: [UInt8] {
        let size = monitor.locked { self.size }
        var bytes: [UInt8] = []
        bytes.append(word: size.columns)
        bytes.append(word: size.rows)
        bytes.append(word: UInt32(ports.count))
        bytes.append(word: 0 as UInt32)
        return bytes
    }

    /// Emergency output, before there are queues.
    package func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {
        guard offset == 8, let byte = bytes.first else { return }
        withUnsafeBytes(of: byte) { ports[0].backend?.write($0) }
    }

    /// The terminal has another size now.
    package func resize(columns: UInt16, rows: UInt16) {
        let sendsMessage = monitor.locked { () -> Bool in
            size = (columns, rows)
            return isMultiport
        }
        if sendsMessage {
            var bytes: [UInt8] = []
            bytes.append(word: rows)
            bytes.append(word: columns)
            send(0, Event.resize, 0, bytes)
        }
        transport?.configurationChanged()
    }

    // MARK: Queues

    private static func receiveQueue(_ port: Int) -> Int { port == 0 ? 0 : 2 + 2 * port }
    private static func port(ofQueue queue: Int) -> Int { queue < 2 ? 0 : (queue - 2) / 2 }

    package func process(_ queue: Int) {
        if queue == VirtioConsole.controlReceive { return sendMessages() }
        if queue == VirtioConsole.controlTransmit { return receiveControl() }
        let port = VirtioConsole.port(ofQueue: queue)
        guard port < ports.count else { return }
        if queue & 1 == 0 { return inputs[port].room() }
        transport?.drain(queue) { chain in
            for piece in chain.readable { ports[port].backend?.write(piece.bytes) }
            return 0
        }
    }

    /// A port's input from the host.
    private final class Input: CharacterReceiver, @unchecked Sendable {
        private unowned let console: VirtioConsole
        private let port: Int
        private let monitor = Monitor()
        private var readyBody: (() -> Void)?

        init(_ console: VirtioConsole, port: Int) {
            self.console = console
            self.port = port
        }

        func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
            guard let transport = console.transport, console.accepts(port) else { return 0 }
            var done = 0
            while done < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
                let isTaken = transport.deliver(VirtioConsole.receiveQueue(port)) { chain in
                    let count = chain.fill(0, rest)
                    done += count
                    return count
                }
                if !isTaken { break }
            }
            return done
        }

        func whenReady(_ body: @escaping () -> Void) {
            monitor.locked { readyBody = body }
            // Buffers may have come before there was anybody to tell.
            if let transport = console.transport, console.accepts(port), transport.hasAvailable(VirtioConsole.receiveQueue(port))
            {
                room()
            }
        }

        /// The guest gave buffers, or was reset.
        func room() {
            let body = monitor.locked { () -> (() -> Void)? in
                defer { readyBody = nil }
                return readyBody
            }
            body?()
        }
    }

    /// A port that the guest has not opened loses its input to nobody.
    private func accepts(_ port: Int) -> Bool {
        monitor.locked { !isMultiport || port == 0 || registers.openPorts.contains(port) }
    }

    // MARK: Control messages (section 5.3.6.2)

    private func send(_ port: Int, _ event: UInt16, _ value: UInt16, _ rest: [UInt8] = []) {
        var message: [UInt8] = []
        message.append(word: UInt32(port))
        message.append(word: event)
        message.append(word: value)
        monitor.locked {
            if registers.messages.count < VirtioConsole.controlBacklog { registers.messages.append(message + rest) }
        }
        sendMessages()
    }

    private func sendMessages() {
        guard let transport else { return }
        sendMonitor.locked {
            while let message = monitor.locked({ registers.messages.first }) {
                guard transport.deliver(VirtioConsole.controlReceive, { $0.fill(0, message) }) else { return }
                monitor.locked { if !registers.messages.isEmpty { registers.messages.removeFirst() } }
            }
        }
    }

    private func receiveControl() {
        transport?.drain(VirtioConsole.controlTransmit) { chain in
            if let id: UInt32 = chain.word(0), let event: UInt16 = chain.word(4), let value: UInt16 = chain.word(6) {
                handle(Int(id), event, value)
            }
            return 0
        }
    }

    private func handle(_ id: Int, _ event: UInt16, _ value: UInt16) {
        if event == Event.deviceReady {
            if value == 1 { for index in ports.indices { send(index, Event.deviceAdd, 1) } }
            return
        }
        guard id < ports.count else { return }
        if event == Event.portReady && value == 1 {
            if ports[id].isConsole { send(id, Event.consolePort, 1) }
            if let name = ports[id].name { send(id, Event.portName, 1, Array(name.utf8)) }
            if ports[id].backend != nil { send(id, Event.portOpen, 1) }
        } else if event == Event.portOpen {
            monitor.locked { if value == 1 { registers.openPorts.insert(id) } else { registers.openPorts.remove(id) } }
            if value == 1 { inputs[id].room() }
        }
    }
}

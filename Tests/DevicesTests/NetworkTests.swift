// The network card, the console and their host ends.

import DeviceModel
import Devices
import Glibc
import Testing

final class FakeNetwork: NetworkBackend {
    private let monitor = Monitor()
    private var frames: [[UInt8]] = []
    private(set) var receive: ((UnsafeRawBufferPointer) -> Bool)?
    private(set) var readyCount = 0
    var sent: [[UInt8]] { monitor.locked { frames } }
    func send(_ frame: UnsafeRawBufferPointer) { monitor.locked { frames.append(Array(frame)) } }
    func start(receive: @escaping (UnsafeRawBufferPointer) -> Bool) throws(BackendError) { self.receive = receive }
    func receiverReady() { readyCount += 1 }
    func stop() { receive = nil }
    func arrive(_ frame: [UInt8]) -> Bool { frame.withUnsafeBytes { receive!($0) } }
}

@Suite struct NetworkTests {
    static let address: [UInt8] = [0x52, 0x54, 0, 0x12, 0x34, 0x56]

    @Test(arguments: [false, true]) func framesInBothDirections(isLegacy: Bool) throws {
        let network = FakeNetwork()
        let driver = VirtioDriver(try VirtioNetwork(backend: network, address: Self.address), isLegacy: isLegacy)
        let header = isLegacy ? 10 : 12
        #expect(network.arrive([1]), "nobody runs the card: lost")
        driver.start()
        #expect((0..<6).map { driver.mmio.read8(0x100 + $0) } == Self.address && driver.mmio.read8(0x106) == 1)
        let frame = (0..<100).map { UInt8($0) }
        #expect(driver.request(1, [[UInt8](repeating: 0, count: header), frame], []) != nil)
        #expect(driver.request(1, [[UInt8](repeating: 0, count: header) + frame.prefix(50), Array(frame.suffix(50))], []) != nil)
        #expect(network.sent == [frame, frame])
        #expect(!network.arrive(frame), "no buffer")
        let place = driver.allocate([UInt8](repeating: 0xee, count: 2000))
        driver.add(0, [(place, 5, true), (place + 5, 1600, true)])
        driver.notify(0)
        #expect(network.readyCount > 0 && network.arrive(frame))
        #expect(driver.takeUsed(0)!.length == UInt32(header + 100))
        #expect(driver.bytes(place + UInt64(header), 100) == frame && driver.bytes(place, 10) == [UInt8](repeating: 0, count: 10))
        #expect(isLegacy || driver.bytes(place + 10, 2) == [1, 0])
        driver.add(0, [(place, 20, true)])
        #expect(network.arrive(frame) && driver.takeUsed(0)!.length == 0, "too small a buffer loses the frame")
    }

    /// Asks libslirp's gateway for its Ethernet address.
    @Test func userNetworkAnswers() throws {
        let card: VirtioNetwork
        do {
            card = try VirtioNetwork(backend: try UserNetwork(forwards: []), address: Self.address)
        } catch {
            #expect("\(error)".contains("libslirp0"))
            return
        }
        let driver = VirtioDriver(card)
        driver.start()
        let buffers = (0..<4).map { _ in driver.allocate([UInt8](repeating: 0, count: 1600)) }
        for buffer in buffers { driver.add(0, [(buffer, 1600, true)]) }
        driver.notify(0)
        let broadcast = [UInt8](repeating: 0xff, count: 6), none = [UInt8](repeating: 0, count: 6)
        let request =
            broadcast + Self.address + [8, 6, 0, 1, 8, 0, 6, 4, 0, 1] + Self.address + [10, 0, 2, 15] + none + [10, 0, 2, 2]
        #expect(driver.request(1, [[UInt8](repeating: 0, count: 12), request], []) != nil)
        var answer: [UInt8]?
        #expect(waitUntil {
            while let used = driver.takeUsed(0) {
                let frame = driver.bytes(buffers[Int(used.head)], Int(used.length)).dropFirst(12)
                if frame.dropFirst(12).starts(with: [8, 6]) { answer = Array(frame) }
            }
            return answer != nil
        })
        // An ARP reply from 10.0.2.2.
        if let answer { #expect(answer[20...21] == [0, 2] && Array(answer[28..<32]) == [10, 0, 2, 2]) }
    }

    /// A connection to a port of the host arrives at the guest as frames.
    @Test func hostPortsAreForwarded() throws {
        do { try VirtioNetwork(backend: UserNetwork(), address: Self.address).shutDown() } catch {
            return #expect("\(error)".contains("libslirp0"))
        }
        // A port may be somebody else's.
        var port = UInt16(20000 + getpid() % 20000), card: VirtioNetwork?
        for _ in 0..<50 where card == nil {
            port += 1
            card = try? VirtioNetwork(
                backend: UserNetwork(forwards: [HostForward("udp:127.0.0.1:\(port)-:7")!]), address: Self.address)
        }
        let driver = VirtioDriver(try #require(card))
        driver.start()
        let buffer = driver.allocate([UInt8](repeating: 0, count: 1600))
        for _ in 0..<8 { driver.add(0, [(buffer, 1600, true)]) }
        driver.notify(0)
        let socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(socket) }
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = port.bigEndian
        target.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let status = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(socket, "hello", 5, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(status == 5)
        #expect(waitUntil { driver.takeUsed(0) != nil }, "at least the question who the guest is")
    }

    @Test func forwardsAreRead() {
        #expect(HostForward("tcp:127.0.0.1:2222-10.0.2.15:22")?.description == "tcp:127.0.0.1:2222-10.0.2.15:22")
        #expect(HostForward("udp::53-:5353") == HostForward(isUDP: true, hostPort: 53, guestPort: 5353))
        #expect(
            HostForward("2222-22") == HostForward(hostPort: 2222, guestPort: 22)
                && HostForward("2222:22") == HostForward("2222-22"))
        for text in ["", "22", "tcp::-:", "tcp:1.2.3:1-:2", "a-b", "tcp::1-:99999", "1-2-3", "icmp::1-:2"] {
            #expect(HostForward(text) == nil, "\(text)")
        }
        #expect(throws: BackendError.self) { try TapNetwork(name: "a name that is too long") }
    }
}

@Suite struct ConsoleTests {
    @Test func plainConsole() {
        let host = FakeCharacters(), driver = VirtioDriver(VirtioConsole(backend: host))
        #expect(host.type("early") == 0)
        var isReady = false
        host.receiver!.whenReady { isReady = true }
        driver.start()
        #expect(driver.features & 2 == 0)
        #expect(driver.request(1, [Array("out ".utf8), Array("put".utf8)], []) != nil && host.output == Array("out put".utf8))
        let place = driver.allocate([UInt8](repeating: 0, count: 16))
        driver.add(0, [(place, 4, true)])
        driver.notify(0)
        #expect(
            isReady && host.type("abcdef") == 4 && driver.takeUsed(0)!.length == 4 && driver.bytes(place, 4) == Array("abcd".utf8)
        )
        driver.mmio.write32(0x108, 0x21)
        #expect(host.output.last == 0x21, "emergency output")
        #expect(driver.mmio.read(0x100, byteCount: 2) == 80)
    }

    @Test func severalPorts() {
        let console = FakeCharacters(), agent = FakeCharacters()
        let device = VirtioConsole(ports: [.init(backend: console, isConsole: true), .init(backend: agent, name: "agent")])
        let driver = VirtioDriver(device)
        driver.start()
        #expect(driver.mmio.read32(0x104) == 2)
        func next() -> [UInt8] {
            driver.takeUsed(2).map { driver.bytes(0x8020_0000 + UInt64($0.head) * 64, Int($0.length)) } ?? []
        }
        for index in 0..<8 { driver.add(2, [(0x8020_0000 + UInt64(index) * 64, 64, true)]) }
        driver.notify(2)
        let control = { (port: UInt8, event: UInt8, value: UInt8) in driver.request(3, [[port, 0, 0, 0, event, 0, value, 0]], [])
        }
        _ = control(0, 0, 1)
        #expect(next() == [0, 0, 0, 0, 1, 0, 1, 0] && next() == [1, 0, 0, 0, 1, 0, 1, 0])
        _ = control(0, 3, 1)
        #expect(next() == [0, 0, 0, 0, 4, 0, 1, 0] && next() == [0, 0, 0, 0, 6, 0, 1, 0])
        _ = control(1, 3, 1)
        #expect(next() == [1, 0, 0, 0, 7, 0, 1, 0] + Array("agent".utf8) && next() == [1, 0, 0, 0, 6, 0, 1, 0])
        driver.add(4, [(0x8030_0000, 64, true)])
        driver.notify(4)
        #expect(agent.type("x") == 0, "not open in the guest")
        _ = control(1, 6, 1)
        #expect(agent.type("x") == 1 && driver.takeUsed(4)!.length == 1)
        _ = driver.request(5, [Array("hi".utf8)], [])
        #expect(agent.output == Array("hi".utf8) && console.output.isEmpty)
    }

    @Test func streams() throws {
        var input: [Int32] = [0, 0], output: [Int32] = [0, 0]
        pipe(&input)
        pipe(&output)
        let stream = try StreamCharacters(input: input[0], output: output[1]) { $0 == 1 ? nil : $0 }
        let uart = UART(backend: stream, interrupt: InterruptLine())
        write(input[1], "a\u{1}bcdefghijklmnopqrstuvwxyz", 27)
        var text = ""
        #expect(waitUntil {
            while uart.read8(5) & 1 != 0 { text.unicodeScalars.append(Unicode.Scalar(uart.read8(0))) }
            return text.count == 26
        })
        #expect(text == "abcdefghijklmnopqrstuvwxyz")
        uart.write8(0, 0x41)
        var byte: UInt8 = 0
        #expect(read(output[0], &byte, 1) == 1 && byte == 0x41)
        uart.shutDown()
        for descriptor in input + output { close(descriptor) }
    }
}

// A debugger that does what tests tell it: starts a guest under `mynah run --gdb`, sends packets, waits for answers.

import GDBStub
import Glibc
import Testing

@testable import MynahCLI

struct DebuggerClientError: Error { var text: String }

final class DebuggerClient {
    /// Numbers of registers in packets.
    enum Register { static let returnAddress = 1, stackPointer = 2, a0 = 10, a1 = 11, pc = 32 }

    let process: pid_t
    private var descriptor: Int32
    private let path: String, output: String, errors: String
    private var decoder = PacketDecoder(expandsRuns: true)
    private var packets: [[UInt8]] = []
    private var status: Int32?

    /// Starts a program of GuestImages, and connects through a Unix socket, or a port that is free.
    convenience init(_ program: String, _ arguments: [String] = [], options: [String] = [], byPort: Bool = false) throws {
        try self.init(command: "run", options + [program] + arguments, byPort: byPort)
    }

    /// Starts a machine; `waits` says whether it waits for the debugger.
    convenience init(machine options: [String], waits: Bool = true) throws {
        try self.init(command: "boot", options, waits: waits)
    }

    private init(command: String, _ arguments: [String], byPort: Bool = false, waits: Bool = true) throws {
        let directory = Files.parent(of: Files.ownExecutable)
        let name = "/tmp/mynah-test-\(getpid())-gdb-\(UInt32.random(in: 0 ... .max))"
        path = name
        output = name + "-out"
        errors = name + "-err"
        let words = [directory + "/mynah", command, "--gdb", (byPort ? "0" : name) + (waits ? "" : ",nowait")] + arguments
        process = try Self.spawn(words, output: output, errors: errors)
        var found: Int32 = -1
        for _ in 0 ..< 12_000 where found < 0 {
            if let text = Files.readText(errors), text.hasSuffix("\n") {
                found = byPort ? Self.connect(port: text) : Self.connect(path: name)
            }
            if found < 0 { usleep(10_000) }
        }
        descriptor = found
        guard found >= 0 else { throw DebuggerClientError(text: "no connection: \(Files.readText(errors) ?? "")") }
        try begin()
    }

    /// Acknowledgements would count as answers.
    private func begin() throws {
        if try ask("QStartNoAckMode") != "OK" { throw DebuggerClientError(text: "acknowledgements cannot be turned off") }
        sendRaw(Array("+".utf8))
    }

    /// Leaves without a word, or after one, and comes back, which stops the machine.
    func reconnect() throws {
        close(descriptor)
        packets = []
        decoder = PacketDecoder(expandsRuns: true)
        descriptor = Self.connect(path: path)
        guard descriptor >= 0 else { throw DebuggerClientError(text: "no connection again") }
        try begin()
    }

    /// What the guest has printed so far.
    var printed: String { Files.readText(output) ?? "" }

    deinit {
        close(descriptor)
        if status == nil {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
        }
        unlink(output)
        unlink(errors)
    }

    private static func spawn(_ words: [String], output: String, errors: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        // The threads of a test may have signals blocked.
        var attributes = posix_spawnattr_t(), mask = sigset_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        sigemptyset(&mask)
        posix_spawnattr_setsigmask(&attributes, &mask)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { pointers.forEach { free($0) } }
        var process: pid_t = 0
        guard posix_spawn(&process, words[0], &actions, &attributes, &pointers, environ) == 0 else {
            throw DebuggerClientError(text: "cannot start")
        }
        return process
    }

    private static func connect(path: String) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        return connected(descriptor, &address)
    }

    /// The message ends in `127.0.0.1:PORT`.
    private static func connect(port text: String) -> Int32 {
        guard let number = text.dropLast().split(separator: ":").last.flatMap({ UInt16($0) }) else { return -1 }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = number.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return connected(socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0), &address)
    }

    private static func connected<Address>(_ descriptor: Int32, _ address: inout Address) -> Int32 {
        let result = withUnsafeBytes(of: &address) {
            Glibc.connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
        }
        if result == 0 { return descriptor }
        close(descriptor)
        return -1
    }

    // MARK: Packets

    func sendRaw(_ bytes: [UInt8]) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            done += count
        }
    }

    func send(_ text: String) { sendRaw(PacketEncoder.packet(Array(text.utf8))) }

    /// The next packet's bytes; acknowledges nothing, as the session is not to wait for that.
    func receive(seconds: Int32 = 120) throws -> [UInt8] {
        while packets.isEmpty {
            var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&poller, 1, seconds * 1000) > 0 else { throw DebuggerClientError(text: "no answer in \(seconds) s") }
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard count > 0 else { throw DebuggerClientError(text: "the connection is closed") }
            for case .packet(let body) in decoder.decode(buffer[0 ..< count]) { packets.append(body) }
        }
        return packets.removeFirst()
    }

    @discardableResult
    func ask(_ text: String) throws -> String {
        send(text)
        return String(decoding: try receive(), as: UTF8.self)
    }

    func interrupt() throws -> String {
        sendRaw([3])
        return String(decoding: try receive(), as: UTF8.self)
    }

    /// Hears nothing for a while: the program runs.
    func isSilent(milliseconds: Int32) -> Bool {
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return packets.isEmpty && poll(&poller, 1, milliseconds) == 0
    }

    /// Lets the guest go on and interrupts it, again and again until the condition holds: how far it gets in a while is the
    /// host's affair.
    /// - Returns: the last stop.
    @discardableResult
    func goOn(_ packet: String = "vCont;c", until isDone: () throws -> Bool) throws -> String {
        for _ in 0 ..< 1000 {
            send(packet)
            // It does not stop by itself.
            guard isSilent(milliseconds: 50) else {
                throw DebuggerClientError(text: "stopped: \(String(decoding: try receive(), as: UTF8.self))")
            }
            let stop = try interrupt()
            guard stop.hasPrefix("T02") else { throw DebuggerClientError(text: "interrupted: \(stop)") }
            if try isDone() { return stop }
        }
        throw DebuggerClientError(text: "the guest does not get there")
    }

    func disconnect() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    // MARK: What the packets mean

    func register(_ number: Int, thread: String? = nil) throws -> UInt64 {
        if let thread { try ask("Hg\(thread)") }
        return try Self.number(ask("p" + String(number, radix: 16)))
    }

    func setRegister(_ number: Int, _ value: UInt64) throws {
        let digits = Hexadecimal.encode((0 ..< 8).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) })
        let answer = try ask("P\(String(number, radix: 16))=\(String(decoding: digits, as: UTF8.self))")
        guard answer == "OK" else { throw DebuggerClientError(text: "register \(number): \(answer)") }
    }

    func word(_ address: UInt64) throws -> UInt64 { try Self.number(ask("m\(String(address, radix: 16)),8")) }

    func setWord(_ address: UInt64, _ value: UInt64) throws {
        let digits = Hexadecimal.encode((0 ..< 8).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) })
        let answer = try ask("M\(String(address, radix: 16)),8:\(String(decoding: digits, as: UTF8.self))")
        guard answer == "OK" else { throw DebuggerClientError(text: "memory at \(address): \(answer)") }
    }

    func insert(_ kind: Int, _ address: UInt64, _ byteCount: Int = 2) throws {
        let answer = try ask("Z\(kind),\(String(address, radix: 16)),\(String(byteCount, radix: 16))")
        guard answer == "OK" else { throw DebuggerClientError(text: "Z\(kind) at \(address): \(answer)") }
    }

    func remove(_ kind: Int, _ address: UInt64, _ byteCount: Int = 2) throws {
        let answer = try ask("z\(kind),\(String(address, radix: 16)),\(String(byteCount, radix: 16))")
        guard answer == "OK" else { throw DebuggerClientError(text: "z\(kind) at \(address): \(answer)") }
    }

    /// Goes on from a breakpoint: one step without it, of that thread alone.
    func stepOver(_ kind: Int, _ address: UInt64, thread: String, _ byteCount: Int = 2) throws {
        try remove(kind, address, byteCount)
        let stop = try ask("vCont;s:\(thread)")
        try insert(kind, address, byteCount)
        guard stop.hasPrefix("T05thread:\(thread);") else { throw DebuggerClientError(text: "stepped: \(stop)") }
    }

    /// The thread of a stop reply.
    static func thread(_ stop: String) -> String {
        stop.split(separator: ";").first.flatMap { $0.split(separator: ":").last.map(String.init) } ?? ""
    }

    static func number(_ digits: String) throws -> UInt64 {
        guard let bytes = Hexadecimal.decode(Array(digits.utf8)), bytes.count <= 8, !bytes.isEmpty else {
            throw DebuggerClientError(text: "no value: \(digits)")
        }
        return bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Runs to the call by which `debugging` tells its addresses.
    func places() throws -> Places {
        try ask("QCatchSyscalls:1;1388")
        let stop = try ask("vCont;c")
        guard stop.contains("syscall_entry:1388") else { throw DebuggerClientError(text: "no announcement: \(stop)") }
        try ask("QCatchSyscalls:0")
        let table = try register(Register.a0)
        let words = try (0 ..< 8).map { try word(table + UInt64($0 * 8)) }
        return Places(
            checkpoint: words[0], visit: words[1], handle: words[2], counter: words[3], watched: words[4], released: words[5],
            spins: words[6], visits: words[7])
    }

    struct Places { var checkpoint, visit, handle, counter, watched, released, spins, visits: UInt64 }

    // MARK: The end

    /// Waits for the end of the guest: its status as a shell says it, and what it printed.
    func finish(seconds: Int = 120) throws -> (status: Int32, output: String, errors: String) {
        for _ in 0 ..< seconds * 100 {
            var raw: Int32 = 0
            if waitpid(process, &raw, WNOHANG) == process {
                let value = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
                status = value
                return (value, Files.readText(output) ?? "", Files.readText(errors) ?? "")
            }
            usleep(10_000)
        }
        throw DebuggerClientError(text: "the guest does not end")
    }
}

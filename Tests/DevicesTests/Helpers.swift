// A host and a driver for tests: time that stands still, lines that remember.

import DeviceModel
import Glibc

final class ManualClock: Clock {
    var ticks: UInt64 = 0
    var wallStart: UInt64 = 1_700_000_000_000_000_000
    var wallNanoseconds: UInt64 { wallStart &+ ticks &* Timebase.nanosecondsPerTick }
}

func setting(_ name: String, _ standard: Int) -> Int {
    guard let text = getenv(name) else { return standard }
    return Int(String(cString: text)) ?? standard
}

final class FakeCharacters: CharacterBackend {
    private let monitor = Monitor()
    private var bytes: [UInt8] = []
    private(set) var receiver: CharacterReceiver?
    var output: [UInt8] { monitor.locked { bytes } }
    func write(_ bytes: UnsafeRawBufferPointer) { monitor.locked { self.bytes.append(contentsOf: bytes) } }
    func connect(_ receiver: CharacterReceiver) { self.receiver = receiver }
    func disconnect() { receiver = nil }
    func type(_ text: String) -> Int { Array(text.utf8).withUnsafeBytes { receiver?.receive($0) ?? 0 } }
}

/// Registers of 32 bits, and of 8.
extension Device {
    func read32(_ offset: UInt64) -> UInt32 { UInt32(read(offset, byteCount: 4) ?? 0xdead_dead) }
    func write32(_ offset: UInt64, _ value: UInt32) { _ = write(offset, byteCount: 4, value: UInt64(value)) }
    func read8(_ offset: UInt64) -> UInt8 { UInt8(read(offset, byteCount: 1) ?? 0xdd) }
    func write8(_ offset: UInt64, _ value: UInt8) { _ = write(offset, byteCount: 1, value: UInt64(value)) }
}

func waitUntil(seconds: Double = 120, _ condition: () -> Bool) -> Bool {
    let end = HostClock.monotonicNanoseconds + UInt64(seconds * 1e9)
    while HostClock.monotonicNanoseconds < end {
        if condition() { return true }
        usleep(500)
    }
    return condition()
}

/// A directory that is removed at the end.
final class TemporaryDirectory {
    let path: String
    init() {
        var template = Array("/tmp/mynah-devices-XXXXXX\0".utf8CString)
        path = String(cString: mkdtemp(&template))
    }
    deinit { _ = run("rm", "-rf", path) }
    func file(_ name: String) -> String { path + "/" + name }
}

/// Runs a program of the host; nil when there is none of that name.
func run(_ arguments: String..., input: [UInt8]? = nil) -> (status: Int32, output: [UInt8])? {
    let outputPath = "/tmp/mynah-run-\(getpid())-\(UInt64.random(in: 0 ... .max))", inputPath = outputPath + ".in"
    defer {
        unlink(outputPath)
        unlink(inputPath)
    }
    writeFile(inputPath, input ?? [])
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, inputPath, O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    var process: pid_t = 0
    guard posix_spawnp(&process, arguments[0], &actions, nil, &words, environ) == 0 else { return nil }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return (status >> 8 & 0xff, readFile(outputPath))
}

func readFile(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var result: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        if count == 0 { return result }
        result.append(contentsOf: buffer.prefix(count))
    }
}

func writeFile(_ path: String, _ bytes: [UInt8]) {
    guard let file = fopen(path, "w") else { return }
    defer { fclose(file) }
    fwrite(bytes, 1, bytes.count, file)
}

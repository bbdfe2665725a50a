// Small guest programs for measurements: an assembler for the handful of instructions that they need, and their memory.

import Engine
import Glibc
import Guest
import GuestRISCV

/// Code of a measured loop. Register 10 counts the rounds; the end is an `ebreak`.
struct MicroGuest {
    private(set) var words: [UInt32] = []
    /// Start values: an address, as an offset from the code's start, for each register.
    var addresses: [Int: Int] = [:]

    var position: Int { words.count * 4 }

    mutating func add(_ rd: UInt32, _ rs1: UInt32, _ value: Int32) {
        words.append(0x13 | rd << 7 | rs1 << 15 | UInt32(bitPattern: value) << 20)
    }
    mutating func add(_ rd: UInt32, _ rs1: UInt32, register rs2: UInt32) { words.append(0x33 | rd << 7 | rs1 << 15 | rs2 << 20) }
    mutating func jump(to target: Int, link: UInt32 = 0) {
        let distance = UInt32(bitPattern: Int32(target - position))
        let high = (distance >> 20 & 1) << 31 | (distance >> 1 & 0x3ff) << 21
        words.append(0x6f | link << 7 | high | (distance >> 11 & 1) << 20 | (distance >> 12 & 0xff) << 12)
    }
    mutating func jump(toRegister register: UInt32) { words.append(0x67 | register << 15) }
    mutating func systemCall() { words.append(0x73) }
    /// Goes to `target` while register 10 is not zero, having counted it down.
    mutating func loop(to target: Int) {
        add(10, 10, -1)
        let distance = UInt32(bitPattern: Int32(target - position))
        let high = (distance >> 12 & 1) << 31 | (distance >> 5 & 0x3f) << 25
        words.append(0x63 | 1 << 12 | 10 << 15 | high | (distance >> 1 & 0xf) << 8 | (distance >> 11 & 1) << 7)
        words.append(0x0010_0073)
    }
    mutating func pad(to position: Int) {
        while self.position < position { add(0, 0, 0) }
    }

    /// Seconds that `rounds` rounds take on an engine, the fastest of `runs`, after a round that translates.
    func seconds(rounds: Int, runs: Int, _ change: (inout EngineConfiguration) -> Void = { _ in }) throws -> Double {
        var configuration = EngineConfiguration()
        configuration.policy = .block
        configuration.codeCacheBytes = 4 << 20
        change(&configuration)
        let memory = try MicroMemory(words)
        let engine = try Engine(isa: RISCV64(), memory: memory, configuration: configuration)
        let cpu = engine.makeCPU()
        defer { cpu.destroy() }
        func run(_ rounds: Int) -> Double {
            let state = RISCVState(cpu.state)
            state.reset()
            for (register, offset) in addresses { state[register] = memory.start + UInt64(offset) }
            state[10] = UInt64(rounds)
            state.programCounter = memory.start
            let start = MicroClock.seconds
            while true {
                let exit = cpu.run()
                if exit == .breakpoint { break }
                if exit == .systemCall { state.programCounter &+= 4 }
            }
            return MicroClock.seconds - start
        }
        _ = run(max(3, rounds / 100))
        return (0 ..< runs).map { _ in run(rounds) }.min() ?? 0
    }
}

/// Guest memory with code that nobody changes. Guest addresses are host addresses.
private final class MicroMemory: GuestMemory {
    let start: UInt64
    private let bytes: UnsafeMutableRawPointer
    private let byteCount: Int
    var codeVersion: UInt64 { 0 }

    /// - Throws: `ProgramError.internalError` when the host has no memory.
    init(_ words: [UInt32]) throws {
        byteCount = (words.count * 4 + 4095) & ~4095
        guard let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), memory != MAP_FAILED
        else {
            throw ProgramError.internalError("no memory for a measurement: \(String(cString: strerror(errno)))")
        }
        bytes = memory
        start = UInt64(UInt(bitPattern: memory))
        memory.copyMemory(from: words, byteCount: words.count * 4)
    }

    deinit { munmap(bytes, byteCount) }

    func codeWindow(at address: GuestAddress) -> CodeWindow? {
        guard address.rawValue >= start, address.rawValue < start + UInt64(byteCount) else { return nil }
        return CodeWindow(start: start, end: start + UInt64(byteCount), host: UnsafeRawPointer(bytes))
    }
    func watchCode(_ range: Range<UInt64>) {}
    func releaseWatch(at address: UInt64) -> Range<UInt64>? { nil }
}

enum MicroClock {
    /// Processor time of this thread: other programs on the machine do not count.
    static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// For stretches of microseconds, which reading the processor time would dominate: repeat, and take the shortest.
    static var elapsedSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// What reading `elapsedSeconds` itself takes.
    static let elapsedOverhead = (0 ..< 200).map { _ in
        let start = elapsedSeconds
        return elapsedSeconds - start
    }.min() ?? 0
}

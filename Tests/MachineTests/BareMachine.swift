// Programs without a kernel: RAM, page tables by hand, a device that notes what is done to it, and a run by any engine.

import CHost
import DeviceModel
import Engine
import Guest
import GuestRISCV

@testable import Machine

/// Pure in what it answers, so that every engine sees the same.
final class NotingBus: PhysicalBus {
    private(set) var hash: UInt64 = 1
    func read(_ address: UInt64, byteCount: Int) -> UInt64? {
        hash = hash &* 31 &+ address
        return address &* 0x9e37_79b9_7f4a_7c15 >> UInt64(64 - byteCount * 8)
    }
    func write(_ address: UInt64, byteCount: Int, value: UInt64) -> Bool {
        hash = hash &* 31 &+ address ^ value
        return true
    }
}

final class BareMachine {
    static let ram: UInt64 = 0x8000_0000, constants: UInt64 = 0x8000_0800, tables: UInt64 = 0x8020_0000
    let memory = MachineMemory()
    let bus = NotingBus()
    let processor: Processor
    private var nextTable = BareMachine.tables

    /// Regions are made at the first transfer backwards, by this thread or by one of their own.
    enum RegionChoice { case late, atOnce, inBackground }

    init(
        _ policy: ExecutionPolicy, harts: Int = 1, isDeterministic: Bool = false, regions: RegionChoice = .late,
        looksAtRangesInBlocks: Bool = false
    ) throws {
        try memory.addRAM(at: BareMachine.ram, byteCount: 4 << 20)
        memory.bus = bus
        var options = ProcessorOptions()
        options.engine.policy = policy
        options.engine.codeCacheBytes = 4 << 20
        options.engine.looksAtRangesInBlocks = looksAtRangesInBlocks
        options.isDeterministic = isDeterministic
        if regions != .late {
            options.engine.samplePeriod = 1
            options.engine.regionSamples = 1
            options.engine.backgroundTranslation = regions == .inBackground
        }
        processor = try Processor(memory: memory, hartCount: harts, options: options)
        for hart in processor.harts { hart.onSupervisorCall = { [unowned processor] _ in processor.stop() } }
    }

    func code(_ words: [UInt32], at address: UInt64) {
        words.withUnsafeBytes { bytes in
            guard memory.copyIn(bytes, to: address) else { preconditionFailure("not RAM") }
        }
    }

    func words(_ words: [UInt64], at address: UInt64) {
        words.withUnsafeBytes { bytes in
            guard memory.copyIn(bytes, to: address) else { preconditionFailure("not RAM") }
        }
    }

    func word(_ address: UInt64) -> UInt64 { memory.hostPointer(address, byteCount: 8)!.load(as: UInt64.self) }

    // MARK: Page tables, Sv39

    func newTable() -> UInt64 {
        defer { nextTable += 4096 }
        return nextTable
    }

    func map(root: UInt64, _ address: UInt64, to physical: UInt64, _ flags: UInt64) {
        var table = root
        for level in [2, 1] as [UInt64] {
            let place = table + (address >> (12 + 9 * level) & 511) * 8
            if word(place) == 0 { words([newTable() >> 2 | 1], at: place) }
            table = (word(place) >> 10) << 12
        }
        words([physical >> 2 | flags], at: table + (address >> 12 & 511) * 8)
    }

    /// Runs hart 0 (and the others, when `all`) in supervisor mode until an `ecall`; false when that takes too long.
    func run(at address: UInt64, all: Bool = false, seconds: Int = 300) throws -> Bool {
        for hart in processor.harts where all || hart.id == 0 {
            _ = hart.start(at: address, opaque: BareMachine.constants, isSupervisor: true)
        }
        // The watchdog stops the processor; then the result is wrong.
        let watchdog = TimerQueue(clock: HostClock())
        var isLate = false
        let timer = watchdog.makeTimer { [processor] in
            isLate = true
            processor.stop()
        }
        timer.set(UInt64(seconds) * Timebase.hertz)
        try watchdog.start()
        try processor.start()
        processor.wait()
        watchdog.stop()
        return !isLate
    }
}

/// Encodings.
enum Asm {
    static let ecall: UInt32 = 0x73, sret: UInt32 = 0x1020_0073, wfi: UInt32 = 0x1050_0073, fenceI: UInt32 = 0x100f,
        sfence: UInt32 = 0x1200_0073
    static func i(_ opcode: UInt32, _ function: UInt32, _ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 {
        UInt32(bitPattern: value) << 20 | rs1 << 15 | function << 12 | rd << 7 | opcode
    }
    static func addi(_ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 { i(0x13, 0, rd, rs1, value) }
    static func slli(_ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 { i(0x13, 1, rd, rs1, value) }
    static func ld(_ rd: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { i(3, 3, rd, rs1, offset) }
    static func lw(_ rd: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { i(3, 2, rd, rs1, offset) }
    static func jalr(_ rd: UInt32, _ rs1: UInt32, _ offset: Int32 = 0) -> UInt32 { i(0x67, 0, rd, rs1, offset) }
    static func s(_ function: UInt32, _ rs2: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: offset)
        return (bits >> 5 & 127) << 25 | rs2 << 20 | rs1 << 15 | function << 12 | (bits & 31) << 7 | 0x23
    }
    static func sw(_ rs2: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { s(2, rs2, rs1, offset) }
    static func sd(_ rs2: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { s(3, rs2, rs1, offset) }
    static func r(_ function7: UInt32, _ function: UInt32, _ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 {
        function7 << 25 | rs2 << 20 | rs1 << 15 | function << 12 | rd << 7 | 0x33
    }
    static func add(_ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 { r(0, 0, rd, rs1, rs2) }
    static func xor(_ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 { r(0, 4, rd, rs1, rs2) }
    static func csrrw(_ rd: UInt32, _ csr: UInt32, _ rs1: UInt32) -> UInt32 { csr << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x73 }
    static func csrrs(_ rd: UInt32, _ csr: UInt32, _ rs1: UInt32) -> UInt32 { csr << 20 | rs1 << 15 | 2 << 12 | rd << 7 | 0x73 }
    static func csrrc(_ rd: UInt32, _ csr: UInt32, _ rs1: UInt32) -> UInt32 { csr << 20 | rs1 << 15 | 3 << 12 | rd << 7 | 0x73 }
    static func amoaddD(_ rd: UInt32, _ rs2: UInt32, _ rs1: UInt32) -> UInt32 { rs2 << 20 | rs1 << 15 | 3 << 12 | rd << 7 | 0x2f }
    static func lrD(_ rd: UInt32, _ rs1: UInt32) -> UInt32 { 0x10 << 24 | rs1 << 15 | 3 << 12 | rd << 7 | 0x2f }
    static func scD(_ rd: UInt32, _ rs2: UInt32, _ rs1: UInt32) -> UInt32 {
        0x18 << 24 | rs2 << 20 | rs1 << 15 | 3 << 12 | rd << 7 | 0x2f
    }
    /// The distance in bytes.
    static func jal(_ rd: UInt32, _ distance: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: distance)
        let high = (bits >> 20 & 1) << 31 | (bits >> 1 & 1023) << 21
        return high | (bits >> 11 & 1) << 20 | (bits >> 12 & 255) << 12 | rd << 7 | 0x6f
    }
    /// Function 0 eq, 1 ne; the distance in bytes.
    static func branch(_ function: UInt32, _ rs1: UInt32, _ rs2: UInt32, _ distance: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: distance)
        let high = (bits >> 12 & 1) << 31 | (bits >> 5 & 63) << 25
        return high | rs2 << 20 | rs1 << 15 | function << 12 | (bits >> 1 & 15) << 8 | (bits >> 11 & 1) << 7 | 0x63
    }
}

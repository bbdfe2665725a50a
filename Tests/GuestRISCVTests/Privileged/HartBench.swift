// A hart without a machine around it: RAM, page tables by hand, and the interpreter.

import CHost
import Guest

@testable import GuestRISCV

final class StoppedClock: HartClock {
    var now: UInt64 = 0
    var deadline = UInt64.max
    func time() -> UInt64 { now }
    func timerChanged(hart: Int, deadline: UInt64) { self.deadline = deadline }
}

final class HartBench {
    static let ram: UInt64 = 0x8000_0000
    /// Where page tables are made; code and data lie before.
    static let tables: UInt64 = 0x8010_0000
    let memory = MachineMemory()
    let clock = StoppedClock()
    let hart: RISCVHart
    let interpreter = MachineInterpreter()
    private let block: UnsafeMutableRawPointer
    private var nextTable = HartBench.tables

    init() {
        do { try memory.addRAM(at: HartBench.ram, byteCount: 4 << 20) } catch { preconditionFailure("\(error)") }
        let header = Int(MYNAH_CPU_HEADER_BYTES)
        block = .allocate(byteCount: header + RISCVState.hartByteCount, alignment: 64)
        block.initializeMemory(as: UInt8.self, repeating: 0, count: header + RISCVState.hartByteCount)
        hart = RISCVHart(id: 0, memory: memory, clock: clock)
        hart.attach(block + header)
        hart.protection.allowEverything()
        pc = HartBench.ram
    }

    deinit { block.deallocate() }

    var state: UnsafeMutableRawPointer { hart.state }
    var x: UnsafeMutablePointer<UInt64> { hart.words }
    var pc: UInt64 {
        get { x[RISCVRegister.programCounter] }
        set { x[RISCVRegister.programCounter] = newValue }
    }

    func store(_ address: UInt64, _ value: UInt64) {
        guard let host = memory.hostPointer(address, byteCount: 8) else { preconditionFailure("not RAM") }
        host.storeBytes(of: value, as: UInt64.self)
        memory.didWrite(address, byteCount: 8)
    }

    func word(_ address: UInt64) -> UInt64 { memory.hostPointer(address, byteCount: 8)!.load(as: UInt64.self) }

    func code(_ words: [UInt32], at address: UInt64 = HartBench.ram) {
        for (index, word) in words.enumerated() {
            memory.hostPointer(address + UInt64(index) * 4, byteCount: 4)!.storeBytes(of: word, as: UInt32.self)
        }
        memory.didWrite(address, byteCount: words.count * 4)
    }

    /// Executes one instruction; an exception is left to whoever asks.
    @discardableResult
    func step(_ encoding: UInt32) -> InterpreterExit {
        code([encoding], at: pc)
        let saved = mynah_get_mxcsr()
        mynah_set_mxcsr(hart.header.pointee.guest_mxcsr)
        let exit = interpreter.step(state: state)
        hart.header.pointee.guest_mxcsr = mynah_get_mxcsr()
        mynah_set_mxcsr(saved)
        mynah_clear_interrupt(hart.header)
        return exit
    }

    /// The cause that an instruction raises; nil when it is executed.
    func cause(_ encoding: UInt32) -> UInt64? {
        let place = pc
        defer { pc = place }
        return step(encoding) == .trap ? hart.trapCause : nil
    }

    // MARK: Page tables

    private func newTable() -> UInt64 {
        defer { nextTable += 4096 }
        return nextTable
    }

    /// Translation by a new root table: mode 8, 9 or 10.
    func translate(mode: UInt64) {
        let root = newTable()
        _ = hart.setTranslation(mode << 60 | root >> 12)
    }

    /// Address of the entry for `address` at `level`; makes the tables above.
    func entry(_ address: UInt64, level: Int) -> UInt64 {
        var table = (hart.satp & PageTableEntry.pageNumberMask) << 12
        for depth in stride(from: hart.pageTableLevels - 1, to: level, by: -1) {
            let place = table + (address >> UInt64(12 + 9 * depth) & 511) * 8
            if word(place) == 0 { store(place, newTable() >> 2 | PageTableEntry.valid) }
            table = (word(place) >> 10) << 12
        }
        return table + (address >> UInt64(12 + 9 * level) & 511) * 8
    }

    func map(_ address: UInt64, to physical: UInt64, _ flags: UInt64, level: Int = 0) {
        store(entry(address, level: level), physical >> 2 | flags)
        hart.flushTranslations()
    }
}

/// Encodings of the privileged instructions.
enum Code {
    static let mret: UInt32 = 0x3020_0073, sret: UInt32 = 0x1020_0073, wfi: UInt32 = 0x1050_0073
    static let sfence: UInt32 = 0x1200_0073, sinval: UInt32 = 0x1600_0073, sfenceWInval: UInt32 = 0x1800_0073,
        sfenceInvalIr: UInt32 = 0x1810_0073
    static func csrrw(_ rd: UInt32, _ csr: UInt32, _ rs1: UInt32) -> UInt32 { csr << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x73 }
    static func csrrs(_ rd: UInt32, _ csr: UInt32, _ rs1: UInt32) -> UInt32 { csr << 20 | rs1 << 15 | 2 << 12 | rd << 7 | 0x73 }
    static func csrrc(_ rd: UInt32, _ csr: UInt32, _ rs1: UInt32) -> UInt32 { csr << 20 | rs1 << 15 | 3 << 12 | rd << 7 | 0x73 }
    static func ld(_ rd: UInt32, _ rs1: UInt32) -> UInt32 { rs1 << 15 | 3 << 12 | rd << 7 | 0x03 }
    static func sd(_ rs2: UInt32, _ rs1: UInt32) -> UInt32 { rs2 << 20 | rs1 << 15 | 3 << 12 | 0x23 }
}

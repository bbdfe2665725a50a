// The built-in firmware's view of the board.

import DeviceModel
import Guest
import GuestRISCV

final class BoardFirmware: SBIPlatform {
    private unowned let board: Board
    private lazy var sbi = SBI(platform: self)
    private var processor: Processor { board.processor }

    init(_ board: Board) { self.board = board }

    /// Has the harts' calls out of S mode served here.
    func attach() {
        let sbi = sbi
        for hart in processor.harts { hart.onSupervisorCall = { BoardFirmware.serve($0, by: sbi) } }
    }

    private static func serve(_ hart: Hart, by sbi: SBI) {
        let call = SBICall(extensionID: hart[17], functionID: hart[16], arguments: (10...15).map { hart[$0] })
        switch sbi.call(call, hart: hart.id) {
        case .standard(let error, let value):
            hart[10] = UInt64(bitPattern: error)
            hart[11] = value
        case .legacy(let value): hart[10] = value
        case .none: break
        }
    }

    // MARK: SBIPlatform

    var hartCount: Int { processor.harts.count }

    func setTimer(hart: Int, deadline: UInt64) { processor.harts[hart].core.setTimer(deadline) }

    func setSoftwareInterrupt(hart: Int, pending: Bool) {
        let hart = processor.harts[hart]
        if pending { hart.raise(HartInterrupt.supervisorSoftware) } else { hart.lower(HartInterrupt.supervisorSoftware) }
    }

    func fence(_ fence: SBIFence, harts: [Int], caller: Int) {
        processor.fence(fence == .instructions ? .instructions : .translations, harts: harts, caller: caller)
    }

    func state(of hart: Int) -> SBIHartState {
        switch processor.harts[hart].phase {
        case .started: .started
        case .stopped: .stopped
        case .suspended: .suspended
        }
    }

    func start(hart: Int, at address: UInt64, opaque: UInt64) -> Bool {
        processor.harts[hart].start(at: address & ~1, opaque: opaque, isSupervisor: true)
    }

    func stop(hart: Int) { processor.harts[hart].park() }

    func suspend(hart: Int, resume: (address: UInt64, opaque: UInt64)?) {
        processor.harts[hart].suspend(resume: resume.map { ($0.address & ~1, $0.opaque) })
    }

    func reset(_ kind: SBIReset, isFailure: Bool) {
        board.end(kind == .shutdown ? .powerOff(code: isFailure ? 1 : 0) : .reboot)
    }

    /// The console of the firmware is the serial port, and shares it with whoever else uses it.
    func writeConsole(_ bytes: [UInt8]) {
        for byte in bytes { _ = board.serial.write(0, byteCount: 1, value: UInt64(byte)) }
    }

    func readConsole(limit: Int) -> [UInt8] {
        let lineStatus: UInt64 = 5, dataReady: UInt64 = 1
        var bytes: [UInt8] = []
        while bytes.count < limit, let status = board.serial.read(lineStatus, byteCount: 1), status & dataReady != 0 {
            bytes.append(UInt8(truncatingIfNeeded: board.serial.read(0, byteCount: 1) ?? 0))
        }
        return bytes
    }

    func read(_ address: UInt64, count: Int) -> [UInt8]? {
        guard let host = board.memory.hostPointer(address, byteCount: count) else { return nil }
        // SAFETY: `hostPointer` has checked the range.
        return Array(UnsafeRawBufferPointer(start: host, count: count))
    }

    func write(_ address: UInt64, _ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { board.memory.copyIn($0, to: address) } }

    func readVirtual(hart: Int, _ address: UInt64) -> UInt64? { processor.readVirtual(hart: hart, address) }
}

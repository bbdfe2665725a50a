// What a debugging session asks of a machine that stands still: harts, registers, memory, points.

import GDBStub
import Guest
import GuestRISCV

extension MachineDebugger: DebugTarget {
    package var wasAttached: Bool { true }
    package var threads: [DebugThreadID] { harts.map { Self.thread($0) } }

    func hart(_ thread: DebugThreadID?) -> Hart? {
        guard let thread else { return harts.first }
        return harts.first { Self.thread($0) == thread }
    }

    package func thread(_ id: DebugThreadID) -> DebugThread? {
        guard let hart = hart(id) else { return nil }
        let details = hart.phase == .started ? "\(hart.core.privilege) mode" : "\(hart.phase)"
        return DebugThread(id: id, name: "hart \(hart.id)", details: details)
    }

    // MARK: Registers

    /// Registers by number: x0...x31, pc, f0...f31, the control registers, priv.
    private enum Number { static let programCounter = 32, firstFloat = 33, firstControl = 65 }
    private static let privilege = Number.firstControl + RISCVHart.controlRegisterNames.count

    static func makeDescription() -> TargetDescription {
        // What a function that the debugger calls does to control registers is not undone.
        let controls = RISCVHart.controlRegisterNames.map {
            RegisterDescription(
                $0.name, bitCount: $0.number < 4 ? 32 : 64, isRestored: $0.number < 4, isReadOnly: $0.number >> 10 & 3 == 3)
        }
        return TargetDescription(
            architecture: "riscv:rv64",
            features: [
                .riscvIntegers((0 ..< 32).map { RISCVRegisterName.name($0) }),
                .riscvFloats((0 ..< 32).map { RISCVRegisterName.name(RISCVRegister.firstFloat + $0) }),
                RegisterFeature("org.gnu.gdb.riscv.csr", controls),
                RegisterFeature("org.gnu.gdb.riscv.virtual", [RegisterDescription("priv", isRestored: false)]),
            ],
            programCounter: Number.programCounter, expedited: [Number.programCounter, 1, 2, 8])
    }

    private func value(_ number: Int, _ hart: Hart) -> UInt64? {
        switch number {
        case 0 ..< 32: hart[number]
        case Number.programCounter: hart.programCounter
        case Number.firstFloat ..< Number.firstControl: hart[RISCVRegister.firstFloat + number - Number.firstFloat]
        case Number.firstControl ..< Self.privilege:
            hart.core.controlRegister(RISCVHart.controlRegisterNames[number - Number.firstControl].number)
        case Self.privilege: UInt64(hart.core.privilege.rawValue)
        default: nil
        }
    }

    package func register(_ number: Int, of thread: DebugThreadID) -> [UInt8]? {
        guard description.registers.indices.contains(number), let hart = hart(thread), let value = value(number, hart) else {
            return nil
        }
        return (0 ..< description.registers[number].byteCount).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
    }

    package func setRegister(_ number: Int, to bytes: [UInt8], of thread: DebugThreadID) -> Bool {
        guard description.registers.indices.contains(number), let hart = hart(thread) else { return false }
        // What is written back unchanged has no effect, though some control registers' writes do more than to keep the value.
        if register(number, of: thread) == bytes { return true }
        var value: UInt64 = 0
        for (index, byte) in bytes.prefix(8).enumerated() { value |= UInt64(byte) << UInt64(index * 8) }
        switch number {
        case 0 ..< 32: hart[number] = value
        case Number.programCounter: hart.goOn(at: value & ~1)
        case Number.firstFloat ..< Number.firstControl:
            hart[RISCVRegister.firstFloat + number - Number.firstFloat] = value
            hart.core.noteFloatChange()
        case Number.firstControl ..< Self.privilege:
            return hart.core.setControlRegister(RISCVHart.controlRegisterNames[number - Number.firstControl].number, to: value)
        default:
            guard let mode = UInt8(exactly: value).flatMap(PrivilegeMode.init(rawValue:)) else { return false }
            hart.core.setPrivilege(mode)
        }
        return true
    }

    // MARK: Memory

    package func readMemory(at address: UInt64, byteCount: Int, thread: DebugThreadID?) -> [UInt8] {
        guard let hart = hart(thread) else { return [] }
        let memory = PhysicalAccess(session.board.memory)
        var bytes: [UInt8] = [], place = address
        while bytes.count < byteCount, let found = physical(place, hart) {
            let count = min(UInt64(byteCount - bytes.count), found.byteCount)
            let part = memory.read(found.address, byteCount: Int(count))
            bytes += part
            place &+= count
            // Behind the last address is nothing.
            if UInt64(part.count) < count || place == 0 { break }
        }
        return bytes
    }

    package func writeMemory(at address: UInt64, _ bytes: [UInt8], thread: DebugThreadID?) -> Bool {
        guard let hart = hart(thread) else { return false }
        var parts: [(address: UInt64, bytes: ArraySlice<UInt8>)] = [], rest = bytes[...], place = address
        while !rest.isEmpty {
            guard let found = physical(place, hart) else { return false }
            let count = min(UInt64(rest.count), found.byteCount)
            parts.append((found.address, rest.prefix(Int(count))))
            rest = rest.dropFirst(Int(count))
            place &+= count
            if place == 0 && !rest.isEmpty { return false }
        }
        let memory = PhysicalAccess(session.board.memory)
        return parts.allSatisfy { memory.write($0.address, $0.bytes) }
    }

    private func physical(_ address: UInt64, _ hart: Hart) -> (address: UInt64, byteCount: UInt64)? {
        isPhysical ? (address, 4096 - address & 4095) : hart.core.physicalAddress(behind: address)
    }

    // MARK: Points

    package func insert(_ point: DebugPoint) -> DebugPointResult { change(point, inserting: true) }
    package func remove(_ point: DebugPoint) -> DebugPointResult { change(point, inserting: false) }

    /// Points are there or not: inserting one twice, or removing what is not there, changes nothing.
    private func change(_ point: DebugPoint, inserting: Bool) -> DebugPointResult {
        switch point.kind {
        case .softwareBreakpoint, .hardwareBreakpoint:
            guard point.address & 1 == 0 else { return .failed }
            let kind: CodeBreakpoints.Kinds = point.kind == .softwareBreakpoint ? .software : .hardware
            var kinds = wantedBreakpoints[point.address] ?? []
            if inserting { kinds.insert(kind) } else { kinds.remove(kind) }
            wantedBreakpoints[point.address] = kinds.isEmpty ? nil : kinds
        case .writeWatchpoint, .readWatchpoint, .accessWatchpoint:
            guard point.byteCount > 0, point.address &+ (point.byteCount - 1) >= point.address else { return .failed }
            watchpoints.removeAll { $0 == point }
            if inserting { watchpoints.append(point) }
        }
        return .done
    }
}

/// Memory and devices at physical addresses, without a hart.
struct PhysicalAccess {
    private let memory: MachineMemory
    init(_ memory: MachineMemory) { self.memory = memory }

    /// What is read from the start on. A device sees accesses of its own kind: aligned, of 8 bytes at most.
    func read(_ address: UInt64, byteCount: Int) -> [UInt8] {
        if let host = memory.hostPointer(address, byteCount: byteCount) {
            // SAFETY: `hostPointer` has checked the range.
            return Array(UnsafeRawBufferPointer(start: host, count: byteCount))
        }
        var bytes: [UInt8] = []
        while bytes.count < byteCount {
            let place = address &+ UInt64(bytes.count), size = accessSize(place, byteCount - bytes.count)
            guard let value = memory.bus?.read(place, byteCount: size) else { break }
            bytes += (0 ..< size).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
        }
        return bytes
    }

    /// False when something of it could not be written.
    func write(_ address: UInt64, _ bytes: ArraySlice<UInt8>) -> Bool {
        if bytes.withUnsafeBytes({ memory.copyIn($0, to: address) }) { return true }
        var done = 0
        while done < bytes.count {
            let place = address &+ UInt64(done), size = accessSize(place, bytes.count - done)
            let value = (0 ..< size).reduce(0 as UInt64) { $0 | UInt64(bytes[bytes.startIndex + done + $1]) << UInt64(8 * $1) }
            guard memory.bus?.write(place, byteCount: size, value: value) == true else { return false }
            done += size
        }
        return true
    }

    private func accessSize(_ address: UInt64, _ left: Int) -> Int {
        [8, 4, 2].first { $0 <= left && address & UInt64($0 - 1) == 0 } ?? 1
    }
}

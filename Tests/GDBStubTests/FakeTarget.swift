// A target of two threads, three registers and a page of memory, which notes what it was asked.

@testable import GDBStub

final class FakeTarget: DebugTarget {
    let description = TargetDescription(
        architecture: "fake", features: [
            RegisterFeature("org.fake.cpu", [RegisterDescription("a"), RegisterDescription("pc", type: "code_ptr")]),
            RegisterFeature("org.fake.control", [RegisterDescription("c", bitCount: 32, group: "system")]),
        ], programCounter: 1, expedited: [1])
    var threads: [DebugThreadID] { known.map(\.id) }
    var known = [
        DebugThread(id: DebugThreadID(rawValue: 0x11), name: "first"),
        DebugThread(id: DebugThreadID(rawValue: 0x12), name: "<&>", details: "in read"),
    ]
    var registers: [DebugThreadID: [UInt64]] = [
        DebugThreadID(rawValue: 0x11): [1, 0x1000, 3], DebugThreadID(rawValue: 0x12): [4, 0x2000, 6],
    ]
    static let base: UInt64 = 0x1000
    var memory = [UInt8]((0 ..< 256).map { UInt8($0) })
    var points: Set<DebugPoint> = []
    var plans: [ResumePlan] = []
    var log: [String] = []
    var passed: Set<GDBSignal> = []
    var caught = CaughtSystemCalls.none
    var files: [String: String] = [:]
    var information: [UInt8] = Array(repeating: 9, count: 128)

    var objects: Set<TransferObject> { [.auxiliaryVector, .executable, .signalInformation] }
    var catchesSystemCalls: Bool { true }

    func register(_ number: Int, of thread: DebugThreadID) -> [UInt8]? {
        guard let values = registers[thread], number < values.count else { return nil }
        return (0 ..< description.registers[number].byteCount).map { UInt8(truncatingIfNeeded: values[number] >> UInt64($0 * 8)) }
    }

    func setRegister(_ number: Int, to bytes: [UInt8], of thread: DebugThreadID) -> Bool {
        registers[thread]?[number] = bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        return true
    }

    func readMemory(at address: UInt64, byteCount: Int, thread: DebugThreadID?) -> [UInt8] {
        guard address >= Self.base, address - Self.base < UInt64(memory.count) else { return [] }
        return Array(memory[Int(address - Self.base)...].prefix(byteCount))
    }

    func writeMemory(at address: UInt64, _ bytes: [UInt8], thread: DebugThreadID?) -> Bool {
        guard address >= Self.base, address - Self.base <= UInt64(memory.count - bytes.count) else { return false }
        memory.replaceSubrange(Int(address - Self.base) ..< Int(address - Self.base) + bytes.count, with: bytes)
        return true
    }

    func insert(_ point: DebugPoint) -> DebugPointResult {
        if point.kind == .accessWatchpoint { return .unsupported }
        return point.address < Self.base ? .failed : points.insert(point).inserted ? .done : .failed
    }

    func remove(_ point: DebugPoint) -> DebugPointResult { points.remove(point) != nil ? .done : .failed }
    func thread(_ id: DebugThreadID) -> DebugThread? { known.first { $0.id == id } }
    func resume(_ plan: ResumePlan) { plans.append(plan) }
    func interrupt() { log.append("interrupt") }

    func object(_ object: TransferObject, annex: String, thread: DebugThreadID?) -> [UInt8]? {
        switch object {
        case .auxiliaryVector: Array("vector#$}*".utf8)
        case .executable: annex == "" || annex == "1" ? Array("/program".utf8) : nil
        case .signalInformation: information
        default: nil
        }
    }

    func setObject(_ object: TransferObject, to bytes: [UInt8], at offset: Int, thread: DebugThreadID?) -> Bool {
        guard object == .signalInformation, offset <= 128 - bytes.count else { return false }
        information.replaceSubrange(offset ..< offset + bytes.count, with: bytes)
        return true
    }

    func pass(_ signals: Set<GDBSignal>) { passed = signals }
    func catchSystemCalls(_ calls: CaughtSystemCalls) { caught = calls }
    func monitor(_ command: String) -> String? { command == "hello there" ? "answer\n" : command == "quiet" ? "" : nil }
    func hostPath(ofFile path: String) -> String? { files[path] }
    func kill() { log.append("kill") }
    func detach() { log.append("detach") }
}

/// A session over a fake target, spoken to in text.
final class Conversation {
    let target = FakeTarget()
    let session: DebugSession

    init() {
        session = DebugSession(target: target, stop: DebugStop(thread: DebugThreadID(rawValue: 0x11), signal: .trap))
        session.receive(PacketEncoder.packet(Array("QStartNoAckMode".utf8)))
        _ = session.takeOutput()
    }

    /// The bodies of the packets that the session sent.
    func replies() -> [String] {
        var decoder = PacketDecoder(expandsRuns: true)
        return decoder.decode(session.takeOutput()).compactMap {
            guard case .packet(let body) = $0 else { return nil }
            return String(decoding: body, as: UTF8.self)
        }
    }

    func say(_ body: String) -> [String] { say(Array(body.utf8)) }

    func say(_ body: [UInt8]) -> [String] {
        session.receive(PacketEncoder.packet(body))
        return replies()
    }

    /// The one answer.
    func ask(_ body: String) -> String {
        let all = say(body)
        return all.count == 1 ? all[0] : "\(all.count) answers"
    }
}

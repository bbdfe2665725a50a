// The SBI functions against a platform that records what they ask of it.

import TestSupport
import Testing

@testable import Machine

private final class RecordedPlatform: SBIPlatform {
    var hartCount = 4
    var log: [String] = []
    var states: [SBIHartState] = [.started, .stopped, .stopped, .started]
    var console: [UInt8] = []
    var typed: [UInt8] = []
    var memory = [UInt8](repeating: 0, count: 0x1000) // at 0x8000_0000

    func setTimer(hart: Int, deadline: UInt64) { log.append("timer \(hart) \(deadline)") }
    func setSoftwareInterrupt(hart: Int, pending: Bool) { log.append("software \(hart) \(pending)") }
    func fence(_ fence: SBIFence, harts: [Int], caller: Int) { log.append("\(fence) \(harts)") }
    func state(of hart: Int) -> SBIHartState { states[hart] }
    func start(hart: Int, at address: UInt64, opaque: UInt64) -> Bool {
        guard states[hart] == .stopped else { return false }
        states[hart] = .started
        log.append("start \(hart) \(hexadecimal(address)) \(opaque)")
        return true
    }
    func stop(hart: Int) { states[hart] = .stopped }
    func suspend(hart: Int, resume: (address: UInt64, opaque: UInt64)?) {
        log.append("suspend \(hart)" + (resume.map { " \(hexadecimal($0.address)) \($0.opaque)" } ?? ""))
    }
    func reset(_ kind: SBIReset, isFailure: Bool) { log.append("reset \(kind) \(isFailure)") }
    func writeConsole(_ bytes: [UInt8]) { console += bytes }
    func readConsole(limit: Int) -> [UInt8] {
        let bytes = Array(typed.prefix(limit))
        typed.removeFirst(bytes.count)
        return bytes
    }
    private func offset(_ address: UInt64, _ count: Int) -> Int? {
        address >= 0x8000_0000 && address <= 0x8000_1000 - UInt64(count) ? Int(address - 0x8000_0000) : nil
    }
    func read(_ address: UInt64, count: Int) -> [UInt8]? { offset(address, count).map { Array(memory[$0 ..< $0 + count]) } }
    func write(_ address: UInt64, _ bytes: [UInt8]) -> Bool {
        guard let start = offset(address, bytes.count) else { return false }
        memory.replaceSubrange(start ..< start + bytes.count, with: bytes)
        return true
    }
    func readVirtual(hart: Int, _ address: UInt64) -> UInt64? { address == 0xffff_0000 ? 0b1010 : nil }
}

@Suite struct SBITests {
    private let platform = RecordedPlatform()
    private let sbi: SBI

    init() { sbi = SBI(platform: platform) }

    private func call(_ id: UInt64, _ function: UInt64, _ arguments: UInt64..., hart: Int = 0) -> SBIAnswer {
        sbi.call(SBICall(extensionID: id, functionID: function, arguments: arguments), hart: hart)
    }
    private func success(_ value: UInt64 = 0) -> SBIAnswer { .standard(error: 0, value: value) }
    private func error(_ error: SBIError) -> SBIAnswer { .standard(error: error.rawValue, value: 0) }

    @Test func versionAndIdentity() {
        #expect(call(0x10, 0) == success(0x0200_0000))
        #expect(call(0x10, 1) == success(SBIIdentity.implementation))
        for function: UInt64 in [4, 5, 6] { #expect(call(0x10, function) == success(0)) }
    }

    @Test func probesAreHonest() {
        let there: [UInt64] = [
            0x10, 0x5449_4d45, 0x73_5049, 0x5246_4e43, 0x48_534d, 0x5352_5354, 0x4442_434e, 0, 1, 2, 3, 4, 5, 6, 7, 8,
        ]
        let notThere: [UInt64] = [0x50_4d55, 0x4350_5043, 0x5355_5350, 0x4e41_434c, 0x5354_41, 9, 0x0a00_0000, .max]
        for id in there { #expect(call(0x10, 3, id) == success(1), "\(hexadecimal(id))") }
        for id in notThere {
            #expect(call(0x10, 3, id) == success(0), "\(hexadecimal(id))")
            #expect(call(id, 0) == error(.notSupported))
        }
        #expect(call(0x10, 7) == error(.notSupported))
        #expect(call(0x5246_4e43, 3, 1, 0) == error(.notSupported))
    }

    @Test func timerAndInterrupts() {
        #expect(call(0x5449_4d45, 0, 1234, hart: 2) == success())
        #expect(call(0x73_5049, 0, 0b101, 1) == success())
        #expect(call(0x73_5049, 0, 0, .max) == success())
        #expect(call(0x73_5049, 0, 0b1000, 1) == error(.invalidParameter))
        #expect(call(0x73_5049, 0, 1, 4) == error(.invalidParameter))
        #expect(call(0x73_5049, 0, 1 << 63, 1 << 62) == error(.invalidParameter))
        #expect(platform.log == ["timer 2 1234", "software 1 true", "software 3 true"] + (0..<4).map { "software \($0) true" })
    }

    @Test func fences() {
        let id: UInt64 = 0x5246_4e43
        #expect(call(id, 0, 0, .max) == success())
        #expect(call(id, 1, 0b10, 0, 0x1000, 0x2000) == success())
        #expect(call(id, 1, 1, 0, 0, 0) == success())
        #expect(call(id, 2, 1, 3, 0x1000, .max, 7) == success())
        #expect(platform.log == [
            "\(SBIFence.instructions) [0, 1, 2, 3]", "\(SBIFence.addresses(0x1000..<0x3000, addressSpace: nil)) [1]",
            "\(SBIFence.addresses(nil, addressSpace: nil)) [0]", "\(SBIFence.addresses(nil, addressSpace: 7)) [3]",
        ])
    }

    @Test func hartStates() {
        let id: UInt64 = 0x48_534d
        #expect(call(id, 2, 1) == success(1) && call(id, 2, 0) == success(0))
        #expect(call(id, 0, 1, 0x8000_0040, 99) == success())
        #expect(call(id, 0, 1, 0x8000_0040, 99) == error(.alreadyAvailable))
        #expect(call(id, 0, 2, 0x1000, 99) == error(.invalidAddress))
        #expect(call(id, 0, 4, 0x8000_0040, 99) == error(.invalidParameter))
        #expect(call(id, 2, .max) == error(.invalidParameter))
        #expect(call(id, 1, hart: 3) == .none)
        #expect(platform.states[3] == .stopped)
        #expect(call(id, 3, 0) == success())
        #expect(call(id, 3, 0x8000_0000, 0x8000_0000, 5) == .none)
        #expect(call(id, 3, 0x8000_0000, 0, 5) == error(.invalidAddress))
        #expect(call(id, 3, 1) == error(.invalidParameter))
        #expect(call(id, 3, 0x1000_0000) == error(.notSupported))
        #expect(platform.log == ["start 1 0x80000040 99", "suspend 0", "suspend 0 0x80000000 5"])
    }

    @Test func resets() {
        let id: UInt64 = 0x5352_5354
        #expect(call(id, 0, 0, 0) == .none)
        #expect(call(id, 0, 1, 0) == .none)
        #expect(call(id, 0, 0, 1) == .none)
        #expect(call(id, 0, 3, 0) == error(.invalidParameter))
        #expect(call(id, 0, 0, 2) == error(.invalidParameter))
        #expect(platform.log == ["reset shutdown false", "reset coldReboot false", "reset shutdown true"])
    }

    @Test func debugConsole() {
        let id: UInt64 = 0x4442_434e
        platform.memory.replaceSubrange(0..<5, with: Array("hello".utf8))
        #expect(call(id, 0, 5, 0x8000_0000, 0) == success(5))
        #expect(call(id, 2, 0x121) == success())
        #expect(platform.console == Array("hello!".utf8))
        #expect(call(id, 0, 5, 0x8000_0ffc, 0) == error(.invalidParameter))
        #expect(call(id, 0, 5, 0x8000_0000, 1) == error(.invalidParameter))
        #expect(call(id, 0, .max, 0x8000_0000, 0) == error(.invalidParameter))
        #expect(call(id, 1, 10, 0x8000_0100, 0) == success(0))
        platform.typed = Array("abc".utf8)
        #expect(call(id, 1, 2, 0x1000, 0) == error(.invalidParameter))
        #expect(call(id, 1, 2, 0x8000_0100, 0) == success(2))
        #expect(Array(platform.memory[0x100..<0x103]) == Array("ab\0".utf8) && platform.typed == Array("c".utf8))
    }

    @Test func legacyCalls() {
        #expect(call(0, 0, 77) == .legacy(0))
        #expect(call(1, 0, 0x41) == .legacy(0) && platform.console == [0x41])
        #expect(call(2, 0) == .legacy(.max))
        platform.typed = [0x7a]
        #expect(call(2, 0) == .legacy(0x7a))
        #expect(call(3, 0, hart: 1) == .legacy(0))
        #expect(call(4, 0, 0xffff_0000) == .legacy(0))
        #expect(call(4, 0, 0x10) == .legacy(UInt64(bitPattern: SBIError.invalidAddress.rawValue)))
        #expect(call(7, 0, 0, 0x1000, 0x1000, 3) == .legacy(0))
        #expect(call(8, 0) == .legacy(0))
        #expect(platform.log == [
            "timer 0 77", "software 1 false", "software 1 true", "software 3 true",
            "\(SBIFence.addresses(0x1000..<0x2000, addressSpace: 3)) [0, 1, 2, 3]", "reset shutdown false",
        ])
    }

    @Test func anyCallGetsAnAnswer() {
        var random = SplitMix(seed: 3)
        let ids: [UInt64] = Array(0...9) + [0x10, 0x5449_4d45, 0x73_5049, 0x5246_4e43, 0x48_534d, 0x5352_5354, 0x4442_434e]
        let values: [UInt64] = [0, 1, 2, 3, 4, 63, 64, 0x8000_0000, 0x8000_0fff, 0xffff_0000, 1 << 63, .max, .max - 1]
        for _ in 0..<20000 {
            let arguments = (0..<6).map { _ in random.pick(values) }
            _ = sbi.call(
                SBICall(extensionID: random.pick(ids), functionID: random.pick([0, 1, 2, 3, 9, .max]), arguments: arguments),
                hart: random.below(4))
        }
        #expect(platform.console.count > 100)
    }
}

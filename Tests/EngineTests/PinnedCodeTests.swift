// The host code of chosen guest sequences and loops, pinned: PinnedCode/NAME.txt holds guest code and what it is translated
// to, so that a loss of code quality is a difference to review.
//
//     ; what the case shows
//     scope region             (a block is the default)
//     features none            (the processor has all that Mynah uses, by default)
//     vectors                  (loops of vectors are made, of 16 bytes)
//     cold 10020               (an address that the loop was never seen to go to)
//     jumps 10020 10000 10024  (where an indirect jump was seen to go, the likeliest first)
//     guest                    (from 0x10000 on: encodings; what stands behind them is written by the test)
//     host                     (written by the test)
//
// `MYNAH_UPDATE_GOLDENS=1 swift test --filter PinnedCode` writes what the translator now makes of them; review the difference.
// Nothing is executed, so that the code is the same on every machine.

@testable import Engine
import Foundation
import Guest
import GuestRISCV
import Host
import Testing
import X86Backend

private let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("PinnedCode")
private let updatesGoldens = ProcessInfo.processInfo.environment["MYNAH_UPDATE_GOLDENS"] != nil

/// Guest code that only a translator reads.
private final class PinnedMemory: GuestMemory {
    static let start: UInt64 = 0x10000
    private let bytes: UnsafeMutableRawPointer
    let byteCount: Int
    var codeVersion: UInt64 { 0 }

    init(_ code: [UInt8]) {
        byteCount = code.count
        bytes = .allocate(byteCount: code.count + 16, alignment: 16)
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: code.count + 16)
        bytes.copyMemory(from: code, byteCount: code.count)
    }
    deinit { bytes.deallocate() }

    func codeWindow(at address: GuestAddress) -> CodeWindow? {
        let end = PinnedMemory.start + UInt64(byteCount)
        guard address.rawValue >= PinnedMemory.start, address.rawValue < end else { return nil }
        return CodeWindow(start: PinnedMemory.start, end: end, host: UnsafeRawPointer(bytes))
    }
    func watchCode(_ range: Range<UInt64>) {}
    func releaseWatch(at address: UInt64) -> Range<UInt64>? { nil }
}

private struct PinnedCase {
    var comments: [String] = []
    var settings: [String] = []
    var isRegion = false
    var features = PinnedCase.allFeatures
    var hasVectors = false
    var cold: Set<UInt64> = []
    var jumps: [UInt64: [UInt64]] = [:]
    var code: [UInt8] = []
    var host = ""

    /// Every feature that code may use, by name: a machine of the test that lacks some, or has more, changes nothing.
    static let allFeatures: CPUFeatures = [.sse41, .popcnt, .avx, .fma, .bmi1, .bmi2, .lzcnt, .ssse3, .aes, .pclmul]

    init(_ text: String) throws {
        var section = ""
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            let words = line.split(separator: " ").map(String.init)
            if section == "host" {
                host += line + "\n"
            } else if line.hasPrefix(";") {
                comments.append(line)
            } else if let word = words.first {
                if word == "guest" || word == "host" {
                    section = word
                } else if section == "guest" {
                    try addEncoding(word)
                } else {
                    try set(words)
                }
            }
        }
        while host.hasSuffix("\n\n") { host.removeLast() }
    }

    private mutating func addEncoding(_ word: String) throws {
        let value = try #require(UInt32(word, radix: 16), "'\(word)' is no encoding")
        for index in 0 ..< word.count / 2 { code.append(UInt8(truncatingIfNeeded: value >> UInt32(index * 8))) }
    }

    private mutating func set(_ words: [String]) throws {
        settings.append(words.joined(separator: " "))
        switch words[0] {
        case "scope":
            try #require(words.count == 2 && ["block", "region"].contains(words[1]))
            isRegion = words[1] == "region"
        case "features":
            try #require(words.count == 2 && words[1] == "none")
            features = []
        case "vectors": hasVectors = true
        case "cold":
            for word in words.dropFirst() {
                let address = try #require(UInt64(word, radix: 16), "'\(word)' is no address")
                cold.insert(address)
            }
        case "jumps":
            let addresses = try words.dropFirst().map { try #require(UInt64($0, radix: 16), "'\($0)' is no address") }
            try #require(addresses.count > 1)
            jumps[addresses[0]] = Array(addresses.dropFirst())
        default: Issue.record("no setting '\(words[0])'")
        }
    }

    func text(guest: [String], host: String) -> String {
        (comments + settings + ["guest"] + guest + ["host"]).joined(separator: "\n") + "\n" + host
    }
}

/// Translates a case and writes it down.
private struct PinnedTranslation {
    let isa = RISCV64()
    let memory: PinnedMemory
    let engine: Engine

    init(_ pinned: PinnedCase) throws {
        memory = PinnedMemory(pinned.code)
        var configuration = EngineConfiguration()
        configuration.policy = .region
        configuration.features = pinned.features
        if !pinned.hasVectors { configuration.optimizations.remove(.vectorLoops) }
        configuration.codeCacheBytes = 4 << 20
        engine = try Engine(isa: isa, memory: memory, configuration: configuration)
    }

    var guest: [String] {
        var lines: [String] = [], address = PinnedMemory.start
        while let window = memory.codeWindow(at: GuestAddress(address)) {
            let instruction = isa.disassemble(at: address, in: window)
            let digits = String(instruction.encoding, radix: 16)
            let encoding = String(repeating: "0", count: max(0, instruction.byteCount * 2 - digits.count)) + digits
            lines.append("  " + encoding.padding(toLength: 8, withPad: " ", startingAt: 0) + "  " + instruction.text)
            address += UInt64(max(instruction.byteCount, 2))
        }
        return lines
    }

    func host(of pinned: PinnedCase) throws -> String {
        let key = BlockKey(address: PinnedMemory.start, mode: TranslationMode(rawValue: 0))
        var plan = [SuperblockPlan(address: key.address)]
        if pinned.isRegion {
            warm(key, pinned)
            plan = try #require(Region(around: key, by: engine.regions), "no loop leads back to the start").plan
        }
        let detail = try #require(engine.detail(of: plan, key.mode, isRegion: pinned.isRegion))
        var text = detail.displaced.isEmpty ? "" : "  homes " + detail.displaced.joined(separator: ", ") + "\n"
        func add(_ lines: [HostLine]) {
            for line in lines { text += (line.isLabel ? "  " : "      ") + line.text + "\n" }
        }
        add(detail.prologue)
        for block in detail.superblocks {
            text += "  block-\(String(block.plan.address, radix: 16)):\n"
            for row in block.rows {
                let labels = row.host.prefix { $0.isLabel }
                add(Array(labels))
                text += "    " + String(row.guest.address, radix: 16) + "  " + row.guest.text + "\n"
                add(Array(row.host.dropFirst(labels.count)))
            }
        }
        if !detail.cold.isEmpty { text += "  cold\n" }
        add(detail.cold)
        return text
    }

    /// Translates everything that the start leads to, and links it, as running it would.
    private func warm(_ key: BlockKey, _ pinned: PinnedCase) {
        guard engine.blockOfKey[key] == nil, let index = engine.translate(key, engine.configuration.limits) else { return }
        let block = engine.blocks[index], cache = engine.caches.last
        for link in block.firstLink ..< block.firstLink + block.linkCount {
            let target = BlockKey(address: engine.links[link].target, mode: key.mode)
            guard memory.codeWindow(at: GuestAddress(target.address)) != nil, !pinned.cold.contains(target.address)
            else { continue }
            warm(target, pinned)
            if let known = engine.blockOfKey[target] { engine.connect(link, to: known) }
        }
        guard let jump = cache, jump.hit >= block.entry, let targets = pinned.jumps[jump.address] else { return }
        for (place, target) in targets.enumerated() {
            let site = BlockKey(address: jump.address, mode: key.mode)
            for _ in place ..< targets.count { engine.jumps.note(site, in: key, to: target) }
        }
        for target in targets { warm(BlockKey(address: target, mode: key.mode), pinned) }
    }
}

@Suite struct PinnedCodeTests {
    static let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? [])
        .filter { $0.hasSuffix(".txt") }.map { String($0.dropLast(4)) }.sorted()

    @Test(arguments: names)
    func hostCodeIsAsPinned(_ name: String) throws {
        let url = directory.appendingPathComponent(name + ".txt")
        let pinned = try PinnedCase(String(contentsOf: url, encoding: .utf8))
        #expect(!pinned.comments.isEmpty, "a case says what it shows")
        let translation = try PinnedTranslation(pinned)
        let host = try translation.host(of: pinned)
        #expect(!host.contains(".byte"), "\(name): the disassembler lacks a form that the assembler has:\n\(host)")
        if updatesGoldens {
            try pinned.text(guest: translation.guest, host: host).write(to: url, atomically: true, encoding: .utf8)
        } else {
            #expect(host == pinned.host, "\(name): \(Self.firstDifference(host, pinned.host)); MYNAH_UPDATE_GOLDENS=1 writes it, for review")
        }
    }

    @Test func thereAreCases() { #expect(PinnedCodeTests.names.count >= 30) }

    private static func firstDifference(_ actual: String, _ expected: String) -> String {
        let actual = actual.split(separator: "\n"), expected = expected.split(separator: "\n")
        for (number, pair) in zip(actual, expected).enumerated() where pair.0 != pair.1 {
            return "line \(number + 1) of the host code is now '\(pair.0)', was '\(pair.1)' (\(actual.count) lines now, \(expected.count) before)"
        }
        return "\(actual.count) lines now, \(expected.count) before"
    }
}

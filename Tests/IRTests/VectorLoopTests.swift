import Foundation
import IR
import Optimizer
import Testing

// Cases/vector-loops.ir holds loops, and what they become as vectors: nothing where there is no such form.

private let slotTypes: [Type] = (0 ..< 12).map { $0 < 8 ? .i64 : .f64 }

private func vectors(_ loop: Function, bytes: Int = 32) -> Function? {
    loop.entry = 0x1000
    let result = Function(capacity: 16)
    guard LoopVectorizer.vectorize(loop, for: .init(vectorBytes: bytes, fuses: true), into: result, slotTypes: slotTypes) else {
        return nil
    }
    Pipeline().tidy(result)
    return result
}

private let casesURL = casesDirectory.appendingPathComponent("vector-loops.ir")

@Test func loopsBecomeTheVectorsThatTheirCasesSay() throws {
    var cases = try readCases(casesURL)
    for index in cases.indices {
        let loop = try Parser().parse(cases[index].input)
        #expect(Verifier.messages(for: loop) == [], "\(cases[index].title)")
        let result = vectors(loop)
        let text = result.map { Printer().text(of: $0) } ?? ""
        if let result { #expect(Verifier.messages(for: result) == [], "\(cases[index].title)") }
        if updatesGoldens {
            cases[index].expected = text
        } else {
            #expect(text == cases[index].expected, "\(cases[index].title)")
        }
    }
    if updatesGoldens { try write(cases, casesURL) }
}

private let floatPatterns: [UInt64] = [
    0, 1 << 63, 0x3ff0_0000_0000_0000, 0x7ff0_0000_7f80_0000, 0x7ff8_0000_ffc0_1234, 0x7ff0_0001_7f80_0001, 1,
    0x0010_0000_8000_0001,
    0x4000_0000_3f80_0000, 0xffff_ffff_3f80_0000, 0xffff_ffff_7f7f_ffff, 0x7fef_ffff_ffff_ffff, 0x3fb9_9999_3dcc_cccd,
]

private func floatPattern(_ random: inout Random) -> UInt64 { floatPatterns[random.below(floatPatterns.count)] }

/// Runs a loop to its end, or to a fault, by itself or with vectors where they go.
private struct Run: Equatable {
    var exit: EvaluatorExit
    var slots: [UInt64]
    var memory: [UInt64]
    var flags: UInt32
    var groups = 0

    static let words = 256

    /// - Parameter memory: `words` words; the same for runs that are compared, since loops store pointers.
    init(_ loop: Function, _ vectors: Function?, seed: UInt64, memory: UnsafeMutablePointer<UInt64>) {
        var random = Random(seed: seed), rounds = 0
        let slots = UnsafeMutablePointer<UInt64>.allocate(capacity: 12)
        defer { slots.deallocate() }
        // Searches go on for a while where all is the same, or most.
        let same: UInt64? = random.chance(30) ? 0x0101_0101_0101_0101 &* UInt64(random.below(256)) : nil
        for word in 0 ..< Run.words { memory[word] = random.chance(60) ? floatPattern(&random) : random.next() }
        let start = UInt64(UInt(bitPattern: memory)), end = start + UInt64(Run.words * 8)
        if let same { for word in 0 ..< Run.words where !random.chance(2) { memory[word] = same } }
        // Pointers near each other, so that they overlap as often as not.
        for slot in 0 ..< 8 { slots[slot] = start + UInt64(random.below(24)) * 4 }
        for slot in 8 ..< 12 { slots[slot] = floatPattern(&random) }
        let trips = UInt64(1 + random.below(random.chance(25) ? 200 : 40))
        let leading = Int(loop.instructions[loop.count - 1].opcode == .exit ? 1 + random.below(2) : 1)
        slots[4] = slots[leading] + trips * 8
        slots[7] = random.chance(80) ? trips : UInt64(bitPattern: Int64(Int32.min) + Int64(trips))
        var evaluator = Evaluator(state: slots, slotOffsets: (0 ..< 12).map { $0 * 8 })
        evaluator.isAccessible = { address, bytes in address >= start && address + UInt64(bytes) <= end }
        HostFloatState.mxcsr = 0x1f80 | UInt32(random.below(4)) << 13
        var exit = EvaluatorExit.outOfFuel
        while rounds < 10_000 {
            rounds += 1
            if let vectors {
                let before = (0 ..< 12).map { slots[$0] }
                exit = evaluator.run(vectors)
                if case .fault = exit { exit = .exit(target: 0x1000) }
                if exit != .exit(target: 0x1000) { groups += 1; break }
                if before != (0 ..< 12).map({ slots[$0] }) { groups += 1; continue }
            }
            exit = evaluator.run(loop)
            if exit != .exit(target: 0x1000) { break }
        }
        // A group that faults has raised flags already; host code takes them back.
        if case .fault = exit { flags = 0 } else { flags = HostFloatState.mxcsr & HostFloatState.flags }
        HostFloatState.mxcsr = 0x1f80
        self.exit = exit
        self.slots = (0 ..< 12).map { slots[$0] &- ($0 < 8 && slots[$0] &- start < 4096 ? start : 0) }
        self.memory = (0 ..< Run.words).map { memory[$0] }
        if case .fault(let address, let counter) = exit { self.exit = .fault(address: address &- start, programCounter: counter) }
    }

    func shows(the other: Run) -> Bool {
        exit == other.exit && slots == other.slots && memory == other.memory && flags == other.flags
    }
}

@Test(arguments: [16, 32]) func vectorsDoWhatTheirLoopsDo(bytes: Int) throws {
    let memory = UnsafeMutablePointer<UInt64>.allocate(capacity: Run.words)
    defer { memory.deallocate() }
    for example in try readCases(casesURL) {
        let loop = try Parser().parse(example.input)
        guard let vectors = vectors(loop, bytes: bytes) else { continue }
        var groups = 0
        for seed in 1 ... UInt64(400) {
            let expected = Run(loop, nil, seed: seed, memory: memory), actual = Run(loop, vectors, seed: seed, memory: memory)
            groups += actual.groups
            let isSame = actual.shows(the: expected)
            #expect(isSame, "\(example.title), seed \(seed): flags \(actual.flags), \(expected.flags)")
        }
        #expect(groups > 100, "\(example.title): \(groups)")
    }
}

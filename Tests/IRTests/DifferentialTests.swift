import Foundation
import IR
import Optimizer
import Testing

/// Everything that running a function shows.
struct Observation: Equatable, CustomStringConvertible {
    var exit: EvaluatorExit
    var slots: [UInt64]
    var memory: [UInt8]
    var flags: UInt32
    /// The state at each instruction that was left to the interpreter.
    var interpreted: [[UInt64]]
    var description: String {
        "\(exit) flags \(flags) slots \(slots.map { String($0, radix: 16) }) memory \(memory.hashValue) interpreted "
            + "\(interpreted.map { $0.map { String($0, radix: 16) } })"
    }
}

/// Memory and registers that functions run on; the same for every run with one seed.
final class Laboratory {
    private let memory = UnsafeMutableRawPointer.allocate(byteCount: RandomFunction.memoryBytes, alignment: 64)
    private let slots = UnsafeMutablePointer<UInt64>.allocate(capacity: RandomFunction.slotTypes.count)

    deinit {
        memory.deallocate()
        slots.deallocate()
    }

    func run(_ function: Function, seed: UInt64) -> Observation {
        let count = RandomFunction.slotTypes.count
        var random = Random(seed: seed ^ 0x5555)
        for offset in stride(from: 0, to: RandomFunction.memoryBytes, by: 8) {
            memory.storeBytes(
                of: random.chance(30) ? floatPattern(&random) : random.next(), toByteOffset: offset, as: UInt64.self)
        }
        for slot in 0 ..< count { slots[slot] = slot < 8 ? integerPattern(&random) : floatPattern(&random) }
        slots[0] = UInt64(UInt(bitPattern: memory))
        // Accesses to one place may fault, so that states at faults are compared too.
        let forbidden = slots[0] + UInt64(random.chance(50) ? 8 * random.below(200) : 1_000_000)

        var interpreted: [[UInt64]] = []
        let slots = slots
        var evaluator = Evaluator(state: slots, slotOffsets: (0 ..< count).map { $0 * 8 }) { address in
            interpreted.append((0 ..< count).map { slots[$0] })
            slots[3] = slots[3] &+ address
            slots[9] = address
            HostFloatState.mxcsr &= ~HostFloatState.flags
            return nil
        }
        evaluator.isAccessible = { address, bytes in !(address < forbidden + 8 && address + UInt64(bytes) > forbidden) }
        let before = HostFloatState.mxcsr
        HostFloatState.mxcsr = 0x1f80 | UInt32(random.below(4)) << 13
        let exit = evaluator.run(function, fuel: 5000)
        let flags = HostFloatState.mxcsr & HostFloatState.flags
        HostFloatState.mxcsr = before
        return Observation(
            exit: exit, slots: (0 ..< count).map { slots[$0] },
            memory: Array(UnsafeRawBufferPointer(start: memory, count: RandomFunction.memoryBytes)),
            flags: flags & 0x3d, interpreted: interpreted)
    }

    private func integerPattern(_ random: inout Random) -> UInt64 {
        random.chance(50)
            ? random.next() : random.pick([0, 1, ~0, 0xffff_ffff, 0x8000_0000, 0xffff_ffff_8000_0000, 1 << 63, 31, 256])
    }

    private func floatPattern(_ random: inout Random) -> UInt64 {
        let doubles: [Double] = [
            0, -0.0, 1, -1.5, 3.25, 1e300, 0x1p-1060, .infinity, -.infinity, 0x1p63, -0x1p31, 0x1p32, 4294967295.5, 0.1,
        ]
        switch random.below(5) {
        case 0: return random.next()
        case 1:
            return random.pick([
                0x7ff8_0000_0000_0000, 0x7ff0_0000_0000_0001, 0xfff8_0000_0000_1234, 0xffff_ffff_7fa0_0000, 0xffff_ffff_ffc0_0001,
            ])
        case 2: return 0xffff_ffff_0000_0000 | UInt64(Float(random.pick(doubles)).bitPattern)
        default: return random.pick(doubles).bitPattern
        }
    }
}

/// More cases with `MYNAH_RANDOM_CASES=100000 swift test`.
private let caseCount = ProcessInfo.processInfo.environment["MYNAH_RANDOM_CASES"].flatMap(Int.init) ?? 300
private let firstSeed = ProcessInfo.processInfo.environment["MYNAH_RANDOM_SEED"].flatMap(UInt64.init) ?? 1

private func check(_ label: String, _ optimize: (Function) -> Void) {
    let laboratory = Laboratory()
    var failures = 0
    for seed in firstSeed ..< firstSeed + UInt64(caseCount) {
        let original = RandomFunction.make(seed: seed)
        let optimized = RandomFunction.make(seed: seed)
        #expect(Verifier.messages(for: original) == [], "the generator, seed \(seed)")
        let expected = laboratory.run(original, seed: seed)
        optimize(optimized)
        let messages = Verifier.messages(for: optimized)
        if messages.isEmpty && laboratory.run(optimized, seed: seed) == expected { continue }
        failures += 1
        guard failures < 3 else { continue }
        let observed = messages.isEmpty ? "\(laboratory.run(optimized, seed: seed))" : messages.joined(separator: "\n")
        Issue.record(
            """
            \(label), seed \(seed): expected \(expected)
            but found \(observed)
            before:
            \(Printer().text(of: original))
            after:
            \(Printer().text(of: optimized))
            """)
    }
    #expect(failures == 0, "\(label)")
}

@Test(arguments: OptimizerOptions.passNames)
func passKeepsMeaning(_ name: String) throws {
    let options = try #require(OptimizerOptions(passName: name))
    let pipeline = Pipeline(options: options)
    check(name) { pipeline.optimize($0) }
}

@Test func pipelineKeepsMeaning() {
    let pipeline = Pipeline()
    check("pipeline") { pipeline.optimize($0) }
}

/// A second run finds little, but must not break what the first one made.
@Test func pipelineTwiceKeepsMeaning() {
    let pipeline = Pipeline()
    check("pipeline twice") {
        pipeline.optimize($0)
        pipeline.optimize($0)
    }
}

@Test func printedFunctionsReadBack() throws {
    for seed in 1 ... UInt64(200) {
        let text = Printer().text(of: RandomFunction.make(seed: seed))
        #expect(Printer().text(of: try Parser().parse(text)) == text)
    }
}

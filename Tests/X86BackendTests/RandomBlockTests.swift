// Random blocks through the back end: their results are the evaluator's, and the allocation passes its checker.
//
// MYNAH_FUZZ_BLOCKS=N makes N blocks a processor.

import Glibc
import Host
import IR
import Testing
import X86Backend

@Suite struct RandomBlockTests {
    static let processors: [CPUFeatures] = [
        .host, [], CPUFeatures.host.subtracting(.avx), CPUFeatures.host.subtracting(.bmi2), CPUFeatures.host.subtracting(.fma),
        CPUFeatures.host.subtracting([.lzcnt, .bmi1, .popcnt]), CPUFeatures.host.subtracting([.aes, .pclmul, .ssse3]),
    ]
    static var blockCount: UInt64 { getenv("MYNAH_FUZZ_BLOCKS").flatMap { UInt64(String(cString: $0)) } ?? 150 }

    @Test(arguments: processors) func resultsAreTheEvaluators(features: CPUFeatures) throws {
        let machine = try BackendMachine(features: features)
        var failures = 0
        for seed in 1 ... RandomBlockTests.blockCount where failures < 3 {
            let function = RandomBlock.make(seed: seed, memory: machine.center, count: 20 + Int(seed % 7) * 30)
            let text = Printer().text(of: function)
            #expect(Verifier.messages(for: function) == [], "seed \(seed)")
            let mxcsr = UInt32(0x1f80) | UInt32(seed % 4) << 13
            let expected = machine.evaluate(function, seed: seed, mxcsr: mxcsr)
            guard let translation = machine.translate(function) else { continue }
            let errors = AllocationChecker.errors(
                in: machine.translator.events, of: function, homes: machine.translator.homePlaces)
            let actual = machine.execute(translation, seed: seed, mxcsr: mxcsr)
            if actual != expected || !errors.isEmpty {
                failures += 1
                let difference = RandomBlockTests.difference(actual, expected)
                Issue.record("seed \(seed), features \(features.rawValue): \(difference)\n\(errors.prefix(3))\n\(text)")
            }
        }
    }

    /// Side exits make deferred writes in their cold code, whatever is made from what they overwrite.
    @Test(arguments: [CPUFeatures.host, []]) func sideExitsSeeEveryWrite(features: CPUFeatures) throws {
        let machine = try BackendMachine(features: features)
        var failures = 0, left = 0, deferred = 0, paired = 0
        for seed in 1 ... RandomBlockTests.blockCount * 4 where failures < 3 {
            let function = RandomBlock.make(
                seed: seed, memory: machine.center, count: 40 + Int(seed % 7) * 30, leavesOften: true)
            let text = Printer().text(of: function)
            let expected = machine.evaluate(function, seed: seed, mxcsr: 0x1f80)
            guard let translation = machine.translate(function, isRegion: true) else { continue }
            let errors = AllocationChecker.errors(
                in: machine.translator.events, of: function, homes: machine.translator.homePlaces)
            let actual = machine.execute(translation, seed: seed, mxcsr: 0x1f80)
            if actual.kind == ExitKind.link.rawValue, actual.target < 0x20_0000 { left += 1 }
            for write in translation.deferredWrites {
                let address = UInt64(0x1000)
                #expect(StoredDeferredWrite(write, of: address).write(of: address) == write)
            }
            deferred += translation.deferredWrites.count
            for case .promise(_, _, let origins) in machine.translator.events where origins.count > 1 { paired += 1 }
            if actual != expected || !errors.isEmpty {
                failures += 1
                let difference = RandomBlockTests.difference(actual, expected)
                Issue.record("seed \(seed), features \(features.rawValue): \(difference)\n\(errors.prefix(3))\n\(text)")
            }
        }
        #expect(left > 100 && deferred > 1000 && paired > 100, "\(left) left, \(deferred) deferred, \(paired) of two origins")
    }

    private static func difference(_ actual: BlockOutcome, _ expected: BlockOutcome) -> String {
        var lines: [String] = []
        for index in actual.slots.indices where actual.slots[index] != expected.slots[index] {
            lines.append(
                "slot \(index): \(String(actual.slots[index], radix: 16)) instead of \(String(expected.slots[index], radix: 16))")
        }
        if actual.memory != expected.memory { lines.append("memory") }
        if actual.flags != expected.flags { lines.append("flags \(actual.flags) instead of \(expected.flags)") }
        if (actual.kind, actual.target) != (expected.kind, expected.target) {
            lines.append("exit \(actual.kind) \(actual.target) instead of \(expected.kind) \(expected.target)")
        }
        return lines.joined(separator: ", ")
    }
}

/// The checker must notice when the translator's account is changed in one place.
@Suite struct AllocationCheckerTests {
    @Test func changedEventsAreFound() throws {
        let machine = try BackendMachine(features: .host)
        var tried = 0, found = 0
        var random = BlockRandom(seed: 5)
        for seed in 1 ... UInt64(60) {
            let leavesOften = seed % 2 == 0
            let function = RandomBlock.make(seed: seed, memory: machine.center, count: 150, leavesOften: leavesOften)
            guard machine.translate(function, isRegion: leavesOften) != nil else { continue }
            let events = machine.translator.events
            for _ in 0 ..< 40 {
                guard let changed = AllocationCheckerTests.mutated(events, &random) else { continue }
                tried += 1
                if !AllocationChecker.errors(in: changed, of: function, homes: machine.translator.homePlaces).isEmpty {
                    found += 1
                }
            }
        }
        #expect(tried > 500)
        // A few changes are harmless: a value may lie in two places.
        #expect(found * 100 > tried * 95, "\(found) of \(tried)")
    }

    /// Another place in a use, another value in a commit.
    private static func mutated(_ events: [AllocationEvent], _ random: inout BlockRandom) -> [AllocationEvent]? {
        guard !events.isEmpty else { return nil }
        let index = random.below(events.count)
        var changed = events
        switch events[index] {
        case .use(let value, .register(let number), let user):
            changed[index] = .use(value: value, .register(number ^ 1), user: user)
        case .use(let value, .slot(let slot), let user): changed[index] = .use(value: value, .slot(slot ^ 1), user: user)
        case .use(let value, .spill(let spill), let user): changed[index] = .use(value: value, .spill(spill ^ 1), user: user)
        case .use(let value, .vector(let number), let user): changed[index] = .use(value: value, .vector(number ^ 1), user: user)
        case .commit(let slot, let value): changed[index] = .commit(slot: slot ^ 1, value: value)
        case .promise(let slot, let value, var origins):
            switch origins[origins.count - 1].place {
            case .register(let number): origins[origins.count - 1].place = .register(number ^ 1)
            case .slot(let other): origins[origins.count - 1].place = .slot(other ^ 1)
            case .spill(let spill): origins[origins.count - 1].place = .spill(spill ^ 1)
            // A promise that is not kept.
            default: return events.filter { $0 != events[index] }
            }
            changed[index] = .promise(slot: slot, value: value, origins)
        default: return nil
        }
        return changed
    }
}

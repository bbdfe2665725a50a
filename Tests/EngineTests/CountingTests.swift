// Counting what translations do: it changes nothing that the guest sees, and adds up to what the interpreter executes.

import Engine
import Guest
import GuestRISCV
import Testing
import X86Backend

@Suite struct CountingTests {
    private struct Counted {
        var profile: ExecutionProfile
        var expected: UInt64
    }

    /// Runs on an engine that counts and on the interpreter.
    private func count(_ program: GuestProgram, _ change: @escaping (inout EngineConfiguration) -> Void) throws -> Counted {
        let arena = GuestArena()
        let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        let executor = EngineExecutor("counting", arena) {
            $0.countsExecutions = true
            change(&$0)
        }
        let expected = reference.run(program, arena), actual = executor.run(program, arena)
        #expect(actual == expected, "\(actual.differences(from: expected))")
        let profile = try #require(executor.engine.executionProfile)
        return Counted(profile: profile, expected: reference.engine.statistics.interpretedInstructions)
    }

    private func nested() -> GuestProgram { nestedLoops().program([19: 7, 25: 3]) }

    @Test func blocksCountWhatTheInterpreterExecutes() throws {
        let counted = try count(nested()) { $0.policy = .block }
        let executed = counted.profile.translatedInstructions + counted.profile.interpretedInstructions
        #expect(counted.profile.isComplete)
        #expect(executed == counted.expected, "\(counted.profile)")
    }

    @Test func regionsCountWhatTheInterpreterExecutes() throws {
        let counted = try count(nested()) {
            $0.policy = .region
            $0.samplePeriod = 1
            $0.regionSamples = 1
        }
        let made = counted.profile.translations.first { $0.isRegion }
        let region = try #require(made)
        #expect(counted.profile.translatedInstructions + counted.profile.interpretedInstructions == counted.expected)
        #expect(region.instructionsExecuted > counted.expected / 2, "most of it happens in the region")
        #expect(region.superblocks.count > 1)
        #expect(region.displacedHomes > 0)
        for superblock in region.superblocks {
            let left = superblock.events.filter(\.kind.leaves).reduce(0 as UInt64) { $0 + $1.count }
            #expect(left == superblock.executions, "who enters leaves")
        }
    }

    /// Loops of vectors count groups of iterations, and leave where the guest's branch does.
    @Test(arguments: [ProgramKind.vectors, .searches]) func vectorLoopsCountWhatTheInterpreterExecutes(kind: ProgramKind) throws {
        var groups: UInt64 = 0
        for seed in 1 ... UInt64(40) {
            let program = kind.program(seed: seed)
            let arena = GuestArena()
            // Of what faults, nobody counts the instructions before the fault.
            if case .memoryFault = EngineExecutor("interpreter", arena, { $0.policy = .interpreter }).run(program, arena).exit { continue }
            let counted = try count(program) {
                $0.policy = .region
                $0.samplePeriod = 1
                $0.regionSamples = 1
            }
            let executed = counted.profile.translatedInstructions + counted.profile.interpretedInstructions
            #expect(executed == counted.expected, "seed \(seed)")
            for superblock in counted.profile.translations.flatMap(\.superblocks) {
                let made = superblock.events.filter { $0.kind == .vectors }.reduce(0 as UInt64) { $0 + $1.count }
                groups += made
                #expect((made == 0) == (superblock.instructionsInVectors == 0))
                #expect(superblock.instructionsInVectors <= counted.expected)
            }
        }
        #expect(groups > 100)
    }

    @Test func nothingIsCountedUnlessAsked() throws {
        let arena = GuestArena()
        let executor = EngineExecutor("not counting", arena) { $0.policy = .block }
        _ = executor.run(nested(), arena)
        #expect(executor.engine.executionProfile == nil)
    }

    /// The listing of a translation is what runs without counting, in an engine that counts too.
    @Test func detailsAreOfTheCodeThatDoesNotCount() throws {
        let arena = GuestArena()
        let counting = EngineExecutor("counting", arena) {
            $0.policy = .block
            $0.countsExecutions = true
        }
        let plain = EngineExecutor("plain", arena) { $0.policy = .block }
        let program = nested()
        _ = counting.run(program, arena)
        _ = plain.run(program, arena)
        let profile = try #require(counting.engine.executionProfile)
        #expect(profile.translations.count > 3)
        for translation in profile.translations {
            let details = [counting, plain].map { $0.engine.detail(of: translation.plan, translation.mode, isRegion: false) }
            let first = try #require(details[0]), second = try #require(details[1])
            #expect(first.hostByteCount == second.hostByteCount)
            #expect(first.superblocks.flatMap(\.rows).map(\.host) == second.superblocks.flatMap(\.rows).map(\.host))
            #expect(first.superblocks[0].rows.first?.lifted.isEmpty == false)
        }
    }
}

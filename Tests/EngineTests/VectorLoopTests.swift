// Loops as vectors: that they become some, and that nobody can tell.

import Engine
import Glibc
import GuestRISCV
import Testing

@Suite struct VectorLoopTests {
    /// The generator makes what the vectoriser works on.
    @Test func manyRandomLoopsBecomeVectors() {
        let arena = GuestArena()
        let executor = RegionExecutors.make("regions", arena)
        for seed in 1 ... UInt64(120) { _ = executor.run(ProgramKind.vectors.program(seed: seed), arena) }
        #expect(executor.engine.statistics.vectorLoops > 25)
    }
}

// Which way a region goes on where a loop has several: the one that samples of the loop came from.

@testable import Engine
import Guest
import GuestRISCV
import Testing

@Suite struct RegionShapeTests {
    /// A loop with a branch over a product, taken in seven iterations of eight, or in one.
    private static func loop(mostlyTaken: Bool) -> (list: ItemList, way: Int) {
        var list = ItemList()
        list.words(Encode.addi(20, 0, 600))
        let start = list.here
        list.words(Encode.addi(6, 6, 1), Encode.immediate(0x13, 7, 7, 6, 7))
        let over = list.branch(mostlyTaken ? 1 : 0, 7, 0)
        list.words(Encode.mul(10, 10, 6), Encode.add(11, 11, 10))
        let way = list.here
        list.land(over)
        list.words(Encode.add(12, 12, 11), Encode.addi(20, 20, -1))
        list.branch(1, 20, 0, to: start)
        return (list, way)
    }

    @Test(arguments: [true, false]) func samplesTellTheWayBack(mostlyTaken: Bool) {
        let arena = GuestArena(), (list, way) = Self.loop(mostlyTaken: mostlyTaken)
        // Five and eight have no common factor: every iteration of eight has its turn.
        let executor = EngineExecutor("regions", arena) {
            $0.policy = .region
            $0.samplePeriod = 5
            $0.regionSamples = 4
            $0.regionIterations = 2
        }
        let reference = EngineExecutor("interpreter", arena) { $0.policy = .interpreter }
        let program = list.program([10: 3]), expected = reference.run(program, arena)
        #expect(executor.run(program, arena) == expected && executor.engine.statistics.regions > 0)
        let key = BlockKey(address: arena.start + 4, mode: TranslationMode(rawValue: 0))
        #expect(executor.engine.wayBack(to: key) == (mostlyTaken ? arena.start + UInt64(way) * 4 : nil))
        // It is followed, iteration by iteration.
        let start = Region(around: key, by: executor.engine.regions)?.blocks.first
        #expect(start?.loopEnds == (mostlyTaken ? [arena.start + UInt64(way) * 4] : []) && (start?.iterations ?? 0) > 2)
        executor.engine.invalidate(arena.codeRange)
        #expect(executor.engine.wayBack(to: key) == nil)
    }
}

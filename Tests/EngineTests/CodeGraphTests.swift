// What the search for a region reads of block translations, and lifts.

@testable import Engine
import Guest
import GuestRISCV
import IR
import Testing

@Suite struct CodeGraphTests {
    @Test func addressTableHoldsWhatADictionaryDoes() {
        var table = AddressTable(capacity: 8), expected: [UInt64: Int] = [:], random = FuzzRandom(seed: 11)
        for round in 0 ..< 3 {
            for step in 0 ..< 3000 {
                // Addresses that differ in their high bits only, too.
                let address = (random.integer() % 900) * 2 + (random.integer() % 3) << 40
                #expect(table[address] == expected[address])
                table[address] = step + round
                expected[address] = step + round
            }
            #expect(table.count == expected.count && expected.allSatisfy { table[$0.key] == $0.value })
            table.removeAll()
            #expect(table.count == 0 && expected.allSatisfy { table[$0.key] == nil })
            expected = [:]
        }
    }

    /// A loop that calls a function twice, and goes past a part that is never executed.
    private struct Calling {
        let arena = GuestArena(), executor: EngineExecutor
        private(set) var loop: UInt64 = 0, behind: UInt64 = 0, never: UInt64 = 0, function: UInt64 = 0, end: UInt64 = 0

        init() {
            var list = ItemList()
            list.words(Encode.addi(20, 0, 200))
            let loop = list.here, first = list.here
            list.call(0)
            list.words(Encode.addi(22, 22, 1))
            let second = list.here
            list.call(0)
            let behind = list.here
            let over = list.branch(1, 20, 0)
            let never = list.here
            list.words(Encode.addi(23, 23, 1))
            list.land(over)
            list.words(Encode.addi(20, 20, -1))
            list.branch(1, 20, 0, to: loop)
            let end = list.here
            let out = list.branch(0, 0, 0)
            let function = list.here
            list.land(call: first)
            list.land(call: second)
            list.words(Encode.add(24, 24, 20), Encode.jr(1))
            list.land(out)
            executor = EngineExecutor("regions", arena) {
                $0.policy = .region
                $0.samplePeriod = 1 << 20
            }
            _ = executor.run(list.program(), arena)
            let start = arena.start
            func address(_ place: Int) -> UInt64 { start + UInt64(place) * 4 }
            self.loop = address(loop)
            self.behind = address(behind)
            self.never = address(never)
            self.function = address(function)
            self.end = address(end)
        }

        var key: BlockKey { BlockKey(address: loop, mode: TranslationMode(rawValue: 0)) }
    }

    @Test func graphKnowsWaysThatWereTaken() {
        let calling = Calling(), engine = calling.executor.engine, graph = CodeGraph()
        graph.read(around: calling.key, engine)
        #expect(graph.places[0].address == calling.loop && graph.places[0].leadsBack && graph.places[0].isTranslated)
        #expect(graph.goes(0, to: calling.function) && !graph.goes(0, to: calling.end))
        #expect(graph.leadsBack(from: calling.behind) && !graph.leadsBack(from: calling.never) && !graph.leadsBack(from: 2))
        for place in graph.places.indices { #expect(graph.taken(place) == graph.taken(place).sorted()) }
        var asked = 0
        let function = graph.number(of: calling.function)
        #expect(graph.reachesMore(than: 0, from: function) { _ in asked += 1 })
        #expect(!graph.reachesMore(than: graph.places.count, from: function) { _ in asked += 1 } && asked == 0)
        // Of what was not found on the way, nothing is known until it is asked for.
        let elsewhere = graph.number(of: 0x10)
        #expect(!graph.places[elsewhere].isRead && !graph.reachesMore(than: 0, from: elsewhere) { graph.read($0, engine) })
        #expect(graph.places[elsewhere].isRead && !graph.places[elsewhere].isTranslated)
        // It starts anew.
        graph.read(around: BlockKey(address: calling.function, mode: calling.key.mode), engine)
        #expect(graph.places[0].address == calling.function)
    }

    @Test func superblocksAreLiftedOnceAndCopied() throws {
        let calling = Calling(), maker = calling.executor.engine.regions
        let region = try #require(Region(around: calling.key, by: maker))
        let callees = region.blocks.filter { $0.plan.address == calling.function }
        #expect(callees.count == 2 && Set(callees.map(\.lift)).count == 1 && callees[0].plan.calls != callees[1].plan.calls)
        // The translator changes what it is given.
        #expect(Set(region.blocks.map { ObjectIdentifier($0.function) }).count == region.blocks.count)
        let texts = callees.map { calling.executor.engine.text(of: $0.function) }
        #expect(texts[0] == texts[1] && !texts[0].isEmpty)
    }
}

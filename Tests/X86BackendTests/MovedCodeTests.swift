// Code that is emitted in one place and moved to another is what would have been emitted there.

import Glibc
import Host
import IR
import Testing
import X86Backend

@Suite struct MovedCodeTests {
    /// With and without accesses by way of a buffer, as a block and as a region.
    @Test(arguments: [false, true], [false, true]) func isAsIfEmittedThere(isSoft: Bool, isRegion: Bool) throws {
        let slots = RandomBlock.slotTypes.enumerated().map { SlotLayout(offset: Int32($0 * 8), type: $1) }
        let map = RegisterMap(
            slots: slots, hotIntegers: Array(0 ..< 10),
            hotFloats: Array(RandomBlock.integerSlots ..< RandomBlock.integerSlots + 8),
            programCounterOffset: Int32(RandomBlock.slotTypes.count * 8))
        let code = try ExecutableMemory(byteCount: 1 << 20)
        let ranges = SoftRangeLayout(
            slots: 2048, slotCount: 8, records: 1040, epoch: 1048, fills: 1056, low: 0, starts8: 8, starts256: 16, starts4096: 24,
            distance: 32, host: 40, readEpoch: 48, writeEpoch: 52, patience: 56)
        let buffer = SoftBuffer(
            dataTable: 1024, codePages: 1032, entryCount: 256, codePageCount: 64, readTag: 0, writeTag: 8, host: 16,
            ranges: ranges)
        let stubs = CodeStubs(
            writable: code.writable, executable: code.executable, capacity: 8192, map: map,
            interpretOneFunction: 0x1234_5678_9abc,
            softMemory: SoftMemoryFunctions(buffer: buffer, fillBuffer: 0x1234_5678_0000, fillRange: 0x1234_5678_1000))
        let translator = Translator(map: map, stubs: stubs, features: .host)
        translator.recordsRelocations = true
        if isSoft {
            translator.softBuffer = buffer
            translator.codePage = 77
            translator.looksAtRanges = isRegion
        }
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: 1 << 19, alignment: 64)
        defer { scratch.deallocate() }
        let first = 8192, second = 3 << 18
        var compared = 0, relocated = 0
        for seed in 1 ... UInt64(120) {
            func emit(_ place: Int, _ writable: UnsafeMutableRawPointer, _ links: Int, _ caches: Int) -> Translation? {
                // Emitting leaves its marks in it.
                let function = RandomBlock.make(seed: seed, memory: 0x1_0000, count: 20 + Int(seed % 7) * 30)
                translator.firstLink = links
                translator.firstCache = caches
                let executable = code.executable + UInt64(place), capacity = 1 << 18
                return isRegion
                    ? translator.translate(
                        [function], weights: [1], writable: writable, executable: executable, capacity: capacity)
                    : translator.translate(function, writable: writable, executable: executable, capacity: capacity)
            }
            guard let expected = emit(second, code.writable + second, 5000, 70), var moved = emit(first, scratch, 3, 0) else {
                continue
            }
            relocated += moved.relocations.count
            moved.move(scratch, to: code.executable + UInt64(second), links: 4997, caches: 70)
            let isSame = moved.byteCount == expected.byteCount && memcmp(scratch, code.writable + second, moved.byteCount) == 0
            #expect(isSame, "seed \(seed)")
            #expect(
                moved.entry == expected.entry && moved.innerEntry == expected.innerEntry && moved.loopEntry == expected.loopEntry)
            #expect(moved.links.map { [$0.field, $0.stub, $0.target] } == expected.links.map { [$0.field, $0.stub, $0.target] })
            #expect(
                moved.caches.map { [$0.target, $0.hit, $0.miss, $0.lookup] }
                    == expected.caches.map { [$0.target, $0.hit, $0.miss, $0.lookup] })
            compared += 1
        }
        #expect(compared > 60 && relocated > 100, "\(compared), \(relocated)")
    }
}

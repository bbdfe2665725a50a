// What each stage of translation costs, pass by pass: the code of a file is decoded, lifted, optimised and emitted block by
// block, and each stage is timed. Nothing of it is executed.

import Engine
import Guest
import GuestRISCV
import Host
import IR
import Optimizer
import X86Backend

extension MicroBenchmarks {
    /// Nanoseconds for a guest instruction by stage, with the fastest of `runs` for each block and stage.
    /// - Parameter limit: blocks at most.
    /// - Throws: `ProgramError` when the file has no code, `HostError` when the host refuses memory.
    package static func stages(of image: ELFImage, runs: Int, limit: Int = 2000) throws -> [MicroMeasurement] {
        let isa = RISCV64()
        let code = try ExecutableMemory(byteCount: 1 << 20)
        let map = RegisterMap(
            slots: isa.slots.map { SlotLayout(offset: $0.offset, type: $0.type) }, hotIntegers: isa.hotIntegerSlots,
            hotFloats: isa.hotFloatSlots, programCounterOffset: isa.programCounterOffset)
        let stubs = CodeStubs(
            writable: code.writable, executable: code.executable, capacity: 8192, map: map, interpretOneFunction: 0)
        let translator = Translator(map: map, stubs: stubs, features: CPUFeatures.host)
        let function = Function()
        var builder = Builder(function: function, slotTypes: isa.slots.map(\.type))
        let pipeline = Pipeline()
        let keys = ["decode", "lift"] + Pipeline.passes.map(\.name) + ["emit"]
        var sums = [Double](repeating: 0, count: keys.count), instructions = 0
        guard let window = image.codeWindow(at: GuestAddress(image.entry)) else {
            throw ProgramError.notRunnable("no code at the entry")
        }
        var address = image.entry
        for _ in 0 ..< limit where address < window.end {
            var best = [Double](repeating: .infinity, count: keys.count), count = 0
            var end = address
            for _ in 0 ..< max(1, runs) {
                var times: [Double] = []
                var last = MicroClock.elapsedSeconds
                func lap() {
                    let now = MicroClock.elapsedSeconds
                    times.append(max(0, now - last - MicroClock.elapsedOverhead))
                    last = MicroClock.elapsedSeconds
                }
                function.reset(entry: address)
                last = MicroClock.elapsedSeconds
                let lifted = isa.lift(
                    at: GuestAddress(address), mode: TranslationMode(rawValue: 0), source: image, limits: LiftLimits(),
                    into: &builder)
                lap()
                for pass in Pipeline.passes {
                    pipeline.run(pass, function)
                    lap()
                }
                let start = stubs.byteCount
                guard translator.translate(
                    function, writable: code.writable + start, executable: code.executable + UInt64(start),
                    capacity: code.byteCount - start) != nil
                else { break }
                lap()
                decode(lifted.ranges, window)
                lap()
                times.insert(times.removeLast(), at: 0)
                for index in best.indices { best[index] = min(best[index], times[index]) }
                count = lifted.instructionCount
                end = lifted.ranges.first?.upperBound ?? address
            }
            guard end > address else { break }
            if count > 0 {
                for index in sums.indices { sums[index] += best[index] }
                instructions += count
            }
            address = end
        }
        guard instructions > 0 else { throw ProgramError.notRunnable("no code that can be lifted at the entry") }
        return zip(keys, sums).map { key, sum in
            let isPass = Pipeline.passes.contains { $0.name == key }
            return MicroMeasurement(key: key, label: isPass ? "pass: \(key)" : key, nanoseconds: sum * 1e9 / Double(instructions))
        }
    }

    @inline(never)
    private static func decode(_ ranges: [Range<UInt64>], _ window: CodeWindow) {
        var kinds: UInt16 = 0
        for range in ranges where range.lowerBound >= window.start && range.upperBound <= window.end {
            var address = range.lowerBound
            while address < range.upperBound {
                let place = window.host + Int(address - window.start)
                var bits = UInt32(place.loadUnaligned(as: UInt16.self))
                if bits & 3 == 3, range.upperBound - address >= 4 { bits = place.loadUnaligned(as: UInt32.self) }
                let instruction = RISCVDecoder.decode(bits)
                kinds ^= instruction.opcode.rawValue
                address += UInt64(instruction.byteCount)
            }
        }
        withExtendedLifetime(kinds) {}
    }
}

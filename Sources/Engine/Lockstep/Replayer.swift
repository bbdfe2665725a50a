// Replays reproducers on a small engine of their own, and makes them smaller while they still show a difference.

import CHost
import Glibc
import Guest
import X86Backend

/// The code of a reproducer, as guest memory; data is the memory of this process.
private final class ReproducerMemory: GuestMemory {
    private var pieces: [(range: Range<UInt64>, bytes: UnsafeMutableRawPointer)] = []
    private(set) var codeVersion: UInt64 = 1

    deinit { for piece in pieces { piece.bytes.deallocate() } }

    func setCode(_ code: [Reproducer.Code]) {
        for piece in pieces { piece.bytes.deallocate() }
        pieces.removeAll()
        codeVersion += 1
        var runs: [(start: UInt64, bytes: [UInt8])] = []
        for line in code.sorted(by: { $0.address < $1.address }) {
            let bytes = (0 ..< line.byteCount).map { UInt8(truncatingIfNeeded: line.encoding >> UInt32($0 * 8)) }
            if let last = runs.last, last.start + UInt64(last.bytes.count) == line.address {
                runs[runs.count - 1].bytes += bytes
            } else {
                runs.append((line.address, bytes))
            }
        }
        pieces = runs.map { run in
            let copy = UnsafeMutableRawPointer.allocate(byteCount: run.bytes.count, alignment: 16)
            copy.copyMemory(from: run.bytes, byteCount: run.bytes.count)
            return (run.start ..< run.start + UInt64(run.bytes.count), copy)
        }
    }

    func codeWindow(at address: GuestAddress) -> CodeWindow? {
        guard let piece = pieces.first(where: { $0.range.contains(address.rawValue) }) else { return nil }
        return CodeWindow(start: piece.range.lowerBound, end: piece.range.upperBound, host: UnsafeRawPointer(piece.bytes))
    }
    func watchCode(_ range: Range<UInt64>) {}
    func releaseWatch(at address: UInt64) -> Range<UInt64>? { nil }
}

package final class Replayer {
    private let isa: GuestISA
    private let memory = ReproducerMemory()
    private let engine: Engine
    private let cpu: VirtualCPU
    private let comparison: BlockComparison

    /// - Parameter configuration: how the blocks are translated.
    /// - Throws: `HostError` when the host refuses memory for code.
    package init(isa: GuestISA, configuration: EngineConfiguration) throws {
        self.isa = isa
        var own = configuration
        own.lockstep = nil
        own.observer = nil
        own.writesPerfMap = false
        own.codeCacheBytes = 1 << 20
        own.policy = .block
        own.translationLimit = .max
        engine = try Engine(isa: isa, memory: memory, configuration: own)
        cpu = engine.makeCPU()
        comparison = BlockComparison(isa: isa, interpreter: isa.makeInterpreter(source: memory))
    }

    deinit { cpu.destroy() }

    /// What translation and interpreter make different of the block; empty when they agree. Memory is put back.
    package func differences(_ reproducer: Reproducer) -> [DifferingValue] {
        mynah_prepare_thread()
        mynah_set_current_cpu(cpu.header)
        guard let block = load(reproducer) else { return [] }
        comparison.saveStart(of: cpu)
        guard comparison.interpretAhead(cpu, block.steps, limit: block.steps.count) else { return [] }
        guard let translation = translation(reproducer), let end = cpu.passOnce(translation) else { return [] }
        var found: [DifferingValue] = []
        if !comparison.agrees(cpu, end), !comparison.agreesUpToExit(cpu, block.steps, end) {
            comparison.collectDifferences(cpu, end)
            found = comparison.differences
        }
        comparison.rewind(cpu)
        return found
    }

    /// Maps the memory that a reproducer names, for a process in which it is not there.
    package static func mapMemory(of reproducer: Reproducer) {
        for page in Set(reproducer.memory.keys.map { $0 & ~4095 }) {
            let noReplace: Int32 = 0x10_0000
            _ = mmap(GuestWord.pointer(page), 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | noReplace, -1, 0)
        }
    }

    private func translation(_ reproducer: Reproducer) -> UnlinkedTranslation? {
        var limits = engine.configuration.limits
        limits.instructions = reproducer.code.count
        return engine.unlinkedTranslation(cpu.programCounter.pointee, isa.mode(of: cpu.state), limits: limits)
    }

    /// Code, memory and registers as the reproducer says.
    private func load(_ reproducer: Reproducer) -> LockstepBlock? {
        memory.setCode(reproducer.code)
        Reproducer.putBack(reproducer.memory)
        cpu.state.copyMemory(from: reproducer.state, byteCount: isa.stateByteCount)
        cpu.header.pointee.guest_mxcsr = reproducer.control
        guard isa.mode(of: cpu.state) != .interpretOnly else { return nil }
        return LockstepBlock(
            steps: reproducer.code.map { LockstepStep(address: $0.address, footprint: isa.footprint(of: $0.encoding)) })
    }

    // MARK: Making smaller

    /// The smallest found that still differs; nil when the block does not differ outside of its surroundings.
    package func minimised(_ original: Reproducer) -> Reproducer? {
        func differs(_ trial: Reproducer) -> Bool { !differences(trial).isEmpty }
        guard differs(original) else { return nil }
        var best = original
        for count in 1 ..< max(1, best.code.count) {
            var trial = best
            trial.code = Array(best.code.prefix(count))
            if differs(trial) { best = trial; break }
        }
        for count in stride(from: best.code.count - 1, to: 0, by: -1) {
            if let trial = advanced(best, by: count), differs(trial) { best = trial; break }
        }
        for index in best.code.indices.reversed() where best.code.count > 1 {
            guard let nothing = isa.noOperation(byteCount: best.code[index].byteCount) else { continue }
            var trial = best
            trial.code[index].encoding = nothing
            trial.code[index].text = "nop"
            if differs(trial) { best = trial }
        }
        let compact = compacted(best)
        if compact.code.count < best.code.count, !compact.code.isEmpty, differs(compact) { best = compact }
        for slot in isa.slots where slot.offset != isa.programCounterOffset {
            var trial = best
            trial.state.withUnsafeMutableBytes { $0.storeBytes(of: 0, toByteOffset: Int(slot.offset), as: UInt64.self) }
            if trial.state != best.state, differs(trial) { best = trial }
        }
        return withTouchedMemory(best)
    }

    /// The same from behind its first instructions on, which the interpreter executes; nil when it does not get there.
    private func advanced(_ reproducer: Reproducer, by count: Int) -> Reproducer? {
        guard let block = load(reproducer) else { return nil }
        comparison.saveStart(of: cpu)
        let before = Reproducer.touchedMemory(cpu, comparison, block.steps, count: count)
        var result = reproducer
        result.code.removeFirst(count)
        result.state = Array(UnsafeRawBufferPointer(start: cpu.state, count: isa.stateByteCount))
        result.control = cpu.header.pointee.guest_mxcsr
        for address in result.memory.keys { result.memory[address] = Reproducer.guardedByte(address) }
        let arrived = cpu.programCounter.pointee == result.code.first?.address
        Reproducer.putBack(before)
        return arrived ? result : nil
    }

    /// Without the instructions that do nothing; the others move up.
    private func compacted(_ reproducer: Reproducer) -> Reproducer {
        var result = reproducer
        result.code.removeAll { isa.noOperation(byteCount: $0.byteCount) == $0.encoding }
        var address = reproducer.code[0].address
        for index in result.code.indices {
            result.code[index].address = address
            address += UInt64(result.code[index].byteCount)
        }
        memory.setCode(result.code)
        for index in result.code.indices {
            guard let window = memory.codeWindow(at: GuestAddress(result.code[index].address)) else { continue }
            result.code[index].text = isa.disassemble(at: result.code[index].address, in: window).text
        }
        return result
    }

    /// With the memory that its instructions touch, and no more.
    private func withTouchedMemory(_ reproducer: Reproducer) -> Reproducer {
        guard let block = load(reproducer) else { return reproducer }
        var result = reproducer
        result.memory = Reproducer.touchedMemory(cpu, comparison, block.steps, count: block.steps.count)
        Reproducer.putBack(reproducer.memory)
        return result
    }
}

/// The first difference that a lockstep run met.
package struct LockstepDifference: Sendable {
    /// The block's instructions, in the order in which it executes them.
    package var instructions: [DisassembledInstruction]
    package var comparedBlocks: UInt64
    package var values: [DifferingValue]
    /// The smallest block that still differs; nil when the block does not differ by itself.
    package var minimised: Reproducer?
    package var original: Reproducer

    /// The report for a person, with what a test can replay.
    package func text(_ isa: GuestISA) -> String {
        let hex = { (value: UInt64) in "0x" + String(value, radix: 16) }
        let pad = { (text: String, width: Int) in text + String(repeating: " ", count: max(1, width - text.count)) }
        var text = "DIFFERENT: the translation of \(hex(instructions.first?.address ?? 0)), after \(comparedBlocks - 1) that were right\n"
        text += pad("", 24) + pad("interpreter", 20) + "translation\n"
        for value in values { text += "  " + pad(value.name, 22) + pad(hex(value.interpreted), 20) + hex(value.translated) + "\n" }
        text += "The block:\n"
        for line in instructions { text += "  " + pad(hex(line.address), 14) + line.text + "\n" }
        let kept = minimised ?? original
        text += minimised == nil
            ? "It does not differ by itself; what it starts from:\n" : "The smallest part that differs (\(kept.code.count) of \(instructions.count) instructions), to replay with 'mynah verify --replay FILE':\n"
        return text + kept.text(isa)
    }
}

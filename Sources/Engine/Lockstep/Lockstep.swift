// Lockstep: each translation beside the interpreter, from the same state, while the guest runs.
//
// The interpreter goes first and logs what its stores replace; then registers and memory are put back, the translation runs
// once, and both ends are compared. Nothing is linked meanwhile, and a loop comes out after one round, so that a pass through a
// translation is what its list of guest instructions says. System calls are made once: a translation ends before them.
// No regions are made, which are made of superblocks that follow each other by taken links.
// Blocks with atomic accesses, clocks and the like run once and are not compared. What others see of memory that they share
// with the guest would be seen twice, so comparing ends when the guest starts a thread.

import CHost
import Guest
import IR
import X86Backend

package struct LockstepOptions: Sendable {
    /// Compare one of so many executions of each translation.
    package var every: Int
    /// Called with the first difference; comparing has ended then.
    package var onDifference: @Sendable (LockstepDifference) -> Void
    /// Called with the reason when comparing ends early.
    package var onEnd: @Sendable (String) -> Void

    package init(
        every: Int = 1, onDifference: @escaping @Sendable (LockstepDifference) -> Void,
        onEnd: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.every = max(1, every)
        self.onDifference = onDifference
        self.onEnd = onEnd
    }
}

package struct LockstepStatistics: Sendable {
    /// Passes through translations that were compared, and the guest instructions in them.
    package var comparedBlocks: UInt64 = 0
    package var comparedInstructions: UInt64 = 0
    /// Passes that were not compared because executing them twice is not the same as once.
    package var skippedBlocks: UInt64 = 0
    /// Differences that were gone when the same was done again: somebody else changed memory.
    package var unstableBlocks: UInt64 = 0
    package init() {}
}

/// How a pass through a translation ended.
enum BlockEnd: Equatable {
    /// At the program counter.
    case goesOn
    case trap(TrapReason)
    /// The interpreter, called for one instruction, could not go on.
    case interpreter(InterpreterExit)
    case fault

    /// All ways of giving control to the outside are one to the comparison: the program counter tells them apart.
    var leaves: Bool { self != .goesOn && self != .fault }
}

/// A guest instruction of a translation.
struct LockstepStep {
    var address: UInt64
    var footprint: InstructionFootprint
}

/// The guest instructions of a translation, in the order in which it executes them; it may leave some out, and go on behind.
final class LockstepBlock {
    let steps: [LockstepStep]
    var executions = 0
    init(steps: [LockstepStep]) { self.steps = steps }
}

package final class Lockstep {
    let isa: GuestISA
    let source: CodeSource
    let options: LockstepOptions
    package internal(set) var statistics = LockstepStatistics()
    package private(set) var isActive = true
    let comparison: BlockComparison
    private var blocks: [UInt64: LockstepBlock] = [:]
    private var generation = -1

    init(isa: GuestISA, source: CodeSource, options: LockstepOptions) {
        self.isa = isa
        self.source = source
        self.options = options
        comparison = BlockComparison(isa: isa, interpreter: isa.makeInterpreter(source: source))
    }

    /// Ends comparing for good.
    package func end(because reason: String) {
        guard isActive else { return }
        isActive = false
        options.onEnd(reason)
    }

    func block(_ translation: UnlinkedTranslation) -> LockstepBlock {
        if generation != translation.generation {
            generation = translation.generation
            blocks.removeAll(keepingCapacity: true)
        }
        if let block = blocks[translation.entry] { return block }
        let block = LockstepBlock(steps: Lockstep.steps(of: translation.positions, isa, source))
        blocks[translation.entry] = block
        return block
    }

    static func steps(of positions: [GuestPosition], _ isa: GuestISA, _ source: CodeSource) -> [LockstepStep] {
        positions.map { position in
            guard let window = source.codeWindow(at: GuestAddress(position.address)) else {
                return LockstepStep(address: position.address, footprint: InstructionFootprint(.leaves))
            }
            let encoding = isa.disassemble(at: position.address, in: window).encoding
            return LockstepStep(address: position.address, footprint: isa.footprint(of: encoding))
        }
    }

    /// The comparison failed: makes sure of it, and reports. The CPU's state is that at the start of the block.
    func report(_ cpu: VirtualCPU, _ block: LockstepBlock) {
        isActive = false
        let reproducer = Reproducer(recording: cpu, comparison, block)
        let code = reproducer.code.map(\.disassembled)
        var difference = LockstepDifference(
            instructions: code, comparedBlocks: statistics.comparedBlocks, values: comparison.differences, minimised: nil,
            original: reproducer)
        if let replayer = try? Replayer(isa: isa, configuration: cpu.engine.configuration) {
            difference.minimised = replayer.minimised(reproducer)
        }
        mynah_set_current_cpu(cpu.header)
        options.onDifference(difference)
    }
}

extension VirtualCPU {
    /// One pass through the translation at the program counter, compared when it is its turn.
    func runInLockstep(_ lockstep: Lockstep) -> CPUExit? {
        guard let translation = engine.unlinkedTranslation(programCounter.pointee, mode) else { return interpretUntranslated() }
        let block = lockstep.block(translation), comparison = lockstep.comparison
        block.executions += 1
        var compares = lockstep.options.every == 1 || block.executions % lockstep.options.every == 1
        if compares {
            comparison.saveStart(of: self)
            compares = comparison.interpretAhead(self, block.steps, limit: block.steps.count)
            if !compares { lockstep.statistics.skippedBlocks += 1 }
        }
        guard var end = passOnce(translation) else { return nil }
        if compares {
            lockstep.statistics.comparedBlocks += 1
            lockstep.statistics.comparedInstructions += UInt64(comparison.executed)
            if !comparison.agrees(self, end), !comparison.agreesUpToExit(self, block.steps, end) {
                // Once more: memory that others write may have changed between the two.
                comparison.rewind(self)
                _ = comparison.interpretAhead(self, block.steps, limit: block.steps.count)
                guard let again = passOnce(translation) else { return nil }
                end = again
                if comparison.agrees(self, end) || comparison.agreesUpToExit(self, block.steps, end) {
                    lockstep.statistics.unstableBlocks += 1
                } else {
                    comparison.collectDifferences(self, end)
                    comparison.rewind(self)
                    lockstep.report(self, block)
                    return nil
                }
            }
        }
        return act(on: end)
    }

    /// Runs a translation to its next exit, which linked or looping code would not take, and settles the state; nil when the
    /// cache was being emptied.
    func passOnce(_ translation: UnlinkedTranslation) -> BlockEnd? {
        mynah_begin_single_pass(header)
        defer { mynah_end_single_pass(header) }
        guard let word = enterCode(translation.entry, of: translation.generation) else { return nil }
        let payload = Int(truncatingIfNeeded: word >> 3)
        switch ExitKind(rawValue: word & 7) {
        case .link, .call:
            programCounter.pointee = exitTarget
            return .goesOn
        case .indirectMiss, .cacheMiss: return .goesOn
        case .trap: return .trap(TrapReason(rawValue: UInt8(truncatingIfNeeded: payload)) ?? .illegalInstruction)
        case .interpreter: return .interpreter(InterpreterExit(rawValue: UInt32(truncatingIfNeeded: payload)) ?? .illegalInstruction)
        case .fault: return .fault
        case .budget, nil: preconditionFailure("unknown exit word \(word)")
        }
    }

    private func act(on end: BlockEnd) -> CPUExit? {
        switch end {
        case .goesOn: nil
        case .trap(let reason): handleTrap(reason)
        case .interpreter(let exit): outcome(of: exit)
        case .fault: memoryFault(isExact: false)
        }
    }
}

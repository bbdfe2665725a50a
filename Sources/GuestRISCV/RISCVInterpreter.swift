// The interpreter of one hart: finds or decodes blocks, and lets the loop in `Interpreter+Loop.swift` run through them.

import CHost
import Guest

package final class RISCVInterpreter: GuestInterpreter {
    private let source: CodeSource
    private var blocks: InterpreterBlocks
    /// Blocks of a single instruction, for `step`.
    private var steps: InterpreterBlocks
    private var codeVersion: UInt64
    // SAFETY: allocated and freed with the interpreter; the loop reads and writes it, also when a memory fault ends it.
    private let context: UnsafeMutablePointer<InterpreterContext>

    package init(source: CodeSource) {
        self.source = source
        blocks = InterpreterBlocks(tableSize: 1 << 16, arenaByteCount: 32 << 20, recordLimit: 64)
        steps = InterpreterBlocks(tableSize: 1 << 10, arenaByteCount: 1 << 17, recordLimit: 1)
        codeVersion = source.codeVersion
        context = .allocate(capacity: 1)
        context.initialize(to: InterpreterContext(heat: blocks.heat))
    }

    deinit {
        blocks.deallocate()
        steps.deallocate()
        context.deallocate()
    }

    package var hasTranslation: ((UInt64) -> Bool)?

    package var heatLimit: Int32 {
        get { context.pointee.heatLimit }
        set { context.pointee.heatLimit = newValue }
    }

    package var instructionsExecuted: UInt64 { context.pointee.executed }

    package func run(state: UnsafeMutableRawPointer, budget: Int) -> InterpreterExit {
        checkCodeVersion()
        context.pointee.budget = budget
        var previous: UnsafeMutablePointer<InterpreterBlock>?
        while true {
            let pc = RISCVState(state).programCounter
            var block = blocks.find(pc)
            if block == nil {
                if previous != nil, isTranslated(pc) { return .hot }
                block = blocks.make(pc, source: source)
                previous = nil
            }
            guard let block else { return fetchFault(state, pc) }
            if let previous {
                RISCVInterpreter.link(previous, to: block, slot: context.pointee.missSlot)
                if RISCVInterpreter.isHot(block, context) { return .hot }
            }
            let status = RISCVInterpreter.execute(context, block, state)
            guard status == InterpreterStatus.miss else { return RISCVInterpreter.exit(status) }
            previous = context.pointee.missBlock
        }
    }

    private func isTranslated(_ pc: UInt64) -> Bool {
        guard let hasTranslation else { return false }
        // The guest's MXCSR is live.
        let control = mynah_get_mxcsr()
        defer { mynah_set_mxcsr(control) }
        return hasTranslation(pc)
    }

    package func step(state: UnsafeMutableRawPointer) -> InterpreterExit {
        checkCodeVersion()
        context.pointee.budget = 0
        let pc = RISCVState(state).programCounter
        guard let block = steps.find(pc) ?? steps.make(pc, source: source) else { return fetchFault(state, pc) }
        return RISCVInterpreter.exit(RISCVInterpreter.execute(context, block, state))
    }

    /// The loop of user mode.
    @inline(never)
    private static func execute(
        _ context: UnsafeMutablePointer<InterpreterContext>, _ first: UnsafeMutablePointer<InterpreterBlock>,
        _ state: UnsafeMutableRawPointer
    ) -> UInt32 { executeBlocks(DirectMemory.self, context, first, state) }

    static func link(
        _ block: UnsafeMutablePointer<InterpreterBlock>, to next: UnsafeMutablePointer<InterpreterBlock>, slot: Int
    ) {
        if slot == 0 {
            block.pointee.nextAddress.0 = next.pointee.address
            block.pointee.next.0 = next
        } else {
            block.pointee.nextAddress.1 = next.pointee.address
            block.pointee.next.1 = next
        }
    }

    private func checkCodeVersion() {
        let version = source.codeVersion
        if version != codeVersion {
            codeVersion = version
            blocks.reset()
            steps.reset()
        }
    }

    /// The address reported is that of the half that is missing.
    private func fetchFault(_ state: UnsafeMutableRawPointer, _ pc: UInt64) -> InterpreterExit {
        let isFirstHalfMissing = source.codeWindow(at: GuestAddress(pc)) == nil
        mynah_cpu_of(state).pointee.fault_address = isFirstHalfMissing ? pc : pc &+ 2
        return .instructionFetch
    }

    static func exit(_ status: UInt32) -> InterpreterExit {
        InterpreterExit(rawValue: status) ?? .illegalInstruction
    }
}

/// What the loop and its caller share.
struct InterpreterContext {
    /// Executions of blocks by place; see `GuestInterpreter.heatLimit`, which Int32.max turns off: counts stop there.
    var heat: UnsafeMutablePointer<Int32>
    var heatLimit = Int32.max
    /// Instructions that may still be executed, and how many of them are left to others.
    var budget = 0
    var reserve = 0
    var executed: UInt64 = 0
    /// Of the last miss: the block that was left, and through which of its two links.
    var missBlock: UnsafeMutablePointer<InterpreterBlock>?
    var missSlot = 0
}

/// How the loop, or one of the functions that it calls, ended: an `InterpreterExit`, or one of these.
enum InterpreterStatus {
    /// The block at the program counter is not linked.
    static let miss: UInt32 = 100
    /// The instruction is done.
    static let next: UInt32 = 101
    /// The instruction has not been executed; it decodes as another one now.
    static let again: UInt32 = 102
}

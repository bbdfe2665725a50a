// Making the code of a region apart from the engine: with buffers of its own, outside of the code cache. The engine's tables are read for
// which ways were taken, and changed when the code is installed.

import Guest
import IR
import Optimizer
import X86Backend

/// A region that is not in the code cache yet.
struct NewRegion {
    /// Of the place that the code is for, in bytes.
    static let alignment = 64
    var key: BlockKey
    /// Guest code that it depends on.
    var ranges: [Range<UInt64>]
    var instructionCount: Int
    var plan: [SuperblockPlan]
    var translation: Translation
    /// Of the guest's memory, before any of the code was read.
    var codeVersion: UInt64
    /// Its IR, when somebody wants to see it.
    var text = ""
}

/// Who a region is made for.
protocol RegionContext: AnyObject {
    /// Has the question answered from the engine's tables, with its lock held; nil when nobody wants what is being made any more.
    func ask<Answer>(_ question: (Engine) -> Answer) -> Answer?
    /// There is still a place for the region.
    var isWanted: Bool { get }
}

/// The engine itself, while its lock is held all the time.
extension Engine: RegionContext {
    func ask<Answer>(_ question: (Engine) -> Answer) -> Answer? { question(self) }
    var isWanted: Bool { true }
}

final class RegionTranslator {
    private unowned let engine: Engine
    private unowned let context: RegionContext
    let configuration: EngineConfiguration
    let isa: GuestISA
    /// Where guest code is read.
    let source: CodeSource
    let optimizer: Pipeline
    let translator: Translator
    private let values: RegionValues
    /// Time that regions took since it was last asked for.
    var stages = StageTimes()
    // Kept from region to region, as their buffers are large.
    private var functions: [Function] = []
    private var vectorFunctions: [Function] = []
    let graph = CodeGraph()
    // SAFETY: `bufferBytes`, aligned to `NewRegion.alignment`; the translator writes no further than it is told, and nobody else writes there.
    private let buffer: UnsafeMutableRawPointer
    private static let bufferBytes = 1 << 20
    /// What the code is emitted for: the first place behind the stubs.
    private let executable: UInt64

    init(_ engine: Engine, for context: RegionContext, source: CodeSource) {
        self.engine = engine
        self.context = context
        self.source = source
        configuration = engine.configuration
        isa = engine.isa
        optimizer = Pipeline(options: configuration.optimizations)
        values = RegionValues(slotTypes: isa.slots.map(\.type))
        translator = engine.makeTranslator()
        translator.recordsRelocations = true
        buffer = .allocate(byteCount: RegionTranslator.bufferBytes, alignment: NewRegion.alignment)
        let mask = UInt64(NewRegion.alignment - 1)
        executable = (engine.code.executable + UInt64(engine.stubs.byteCount) + mask) & ~mask
    }

    deinit { buffer.deallocate() }

    func function(_ index: Int) -> Function {
        while functions.count <= index { functions.append(Function(capacity: 512)) }
        return functions[index]
    }

    func vectorFunction(_ index: Int) -> Function {
        while vectorFunctions.count <= index { vectorFunctions.append(Function(capacity: 128)) }
        return vectorFunctions[index]
    }

    func takeStages() -> StageTimes {
        defer { stages = StageTimes() }
        return stages
    }

    /// See `RegionContext`.
    func ask<Answer>(_ question: (Engine) -> Answer) -> Answer? { context.ask(question) }

    /// The loop around the address as a region; nil when there is none, or it has no code. Its code is good until the next one is made.
    func translate(_ key: BlockKey) -> NewRegion? {
        let start = Engine.nanoseconds(), optimizedBefore = stages.optimize, codeVersion = engine.memory.codeVersion
        let found = Region(around: key, by: self)
        // The superblocks were optimised one by one, as they were found.
        stages.lift += Engine.nanoseconds() - start - (stages.optimize - optimizedBefore)
        guard let region = found, context.isWanted else { return nil }
        improve(region.blocks.map { RegionMember($0.function, calls: $0.calls, cases: $0.cases, isFixed: $0.vectors != nil) })
        let end = Engine.nanoseconds()
        defer { stages.emit += Engine.nanoseconds() - end }
        translator.codePage = key.page
        translator.secondCodePage = 0
        translator.looksAtRanges = isa.hasRanges(key.mode)
        let translation = translator.translate(
            region.blocks.map(\.function), weights: region.blocks.map(\.weight), vectors: region.blocks.map(\.vectors),
            calls: region.plan.map(\.calls), cases: region.plan.map(\.cases), writable: buffer, executable: executable,
            capacity: RegionTranslator.bufferBytes)
        guard let translation else { return nil }
        var result = NewRegion(
            key: key, ranges: region.ranges, instructionCount: region.instructionCount, plan: region.plan, translation: translation,
            codeVersion: codeVersion)
        if configuration.observer != nil {
            result.text = region.blocks.map { ($0.vectors.map { engine.text(of: $0) + "\n" } ?? "") + engine.text(of: $0.function) }
                .joined(separator: "\n")
        }
        return result
    }

    /// Optimises the superblocks of a region again, with what is known of all of them.
    func improve(_ members: @autoclosure () -> [RegionMember]) {
        guard configuration.optimizations.contains(.regionValues) else { return }
        let start = Engine.nanoseconds()
        _ = values.improve(members(), with: optimizer)
        stages.optimize += Engine.nanoseconds() - start
    }

    /// Copies the code that was made last to where it is executed, with the numbers that its links and inline caches get there.
    func put(_ region: inout NewRegion, at writable: UnsafeMutableRawPointer, _ executable: UInt64, firstLink: Int, firstCache: Int) {
        region.translation.move(buffer, to: executable, links: firstLink - translator.firstLink, caches: firstCache - translator.firstCache)
        // SAFETY: the caller has seen that there is room.
        writable.copyMemory(from: buffer, byteCount: region.translation.byteCount)
    }
}

// What can be chosen about an engine.

import Guest
import Host
import IR
import Optimizer

/// Which executor runs guest code.
package enum ExecutionPolicy: String, CaseIterable, Sendable {
    /// The interpreter alone.
    case interpreter
    /// Everything is translated when it is first executed.
    case block
    /// The same, and loops that turn out hot are translated again, as regions.
    case region
    /// Code that runs a few times only is interpreted, the rest as with `region`.
    case auto

    var makesRegions: Bool { self == .region || self == .auto }
}

package struct EngineConfiguration: Sendable {
    package var policy = ExecutionPolicy.auto
    package var optimizations = OptimizerOptions.all
    package var limits = LiftLimits()
    package var codeCacheBytes = 64 << 20
    /// Processor features that translations may use.
    package var features = CPUFeatures.host
    /// Only the first so many translations are made; code beyond them is interpreted. For bisecting a wrong translation.
    package var translationLimit = Int.max
    /// Executions of a block in the interpreter before it is translated (policy `auto`).
    package var translationThreshold: UInt8 = 32
    /// The same, of executions that came from translated code: what it leads to is likely to be hot soon.
    package var visitThreshold: UInt8 = 2
    /// Transfers backwards from one sample to the next, and samples of an address until something is done about it, twice.
    package var samplePeriod = 8192, regionSamples = 4
    /// How many times as long a sample is waited for where everything is known already, at most.
    package var longestSamplePeriods = 4
    /// Iterations per entry that make a loop worth a region.
    package var regionIterations = 6
    /// Superblocks and guest instructions in a region, at most.
    package var regionBlocks = 40, regionInstructions = 1200
    /// Block translations look at ranges as regions do (`GuestISA.hasRanges`): where few regions are made, and ranges are to be tested.
    package var looksAtRangesInBlocks = false
    /// Make regions on a thread of their own. When they are there depends on the host's scheduling then: not where runs are to be repeated.
    package var backgroundTranslation = false
    /// Have translations count what they do, for `Engine.executionProfile`. Costs time where they run; nothing when it is off.
    package var countsExecutions = false
    /// Machine mode: translations count the instructions that they execute, for `VirtualCPU.run(instructions:)`.
    package var countsInstructions = false
    /// Measure how long the interpreter runs and block translations take, for statistics: looks at the clock for each of them.
    package var takesTimes = false
    /// Write symbols of translated code to /tmp/perf-PID.map.
    package var writesPerfMap = false
    /// Called after every translation, with every stage in it.
    package var observer: (@Sendable (TranslationReport) -> Void)?
    /// Compare translations with the interpreter while the guest runs.
    package var lockstep: LockstepOptions?
    /// Where translations are kept between runs; nil for nowhere. Left alone by whatever wants to see each translation made.
    package var translationCache: TranslationCacheOptions?
    /// Runs behind the optimiser; tests plant wrong translations with it.
    package var lastPass: Pass?
    package init() {}

    /// Nothing that is asked for needs to know when a region is made.
    var translatesInBackground: Bool {
        backgroundTranslation && policy.makesRegions && !countsInstructions && !countsExecutions && observer == nil && lockstep == nil
            && translationLimit == .max
    }

    /// What is asked for allows translations that were made elsewhere.
    var mayCache: Bool {
        policy != .interpreter && observer == nil && lockstep == nil && lastPass == nil && !writesPerfMap && !countsExecutions && translationLimit == .max
    }
}

/// One translation with its stages, for dumps.
package struct TranslationReport {
    package var entry: UInt64
    package var guest: [DisassembledInstruction]
    package var lifted: String
    package var optimized: String
    package var host: [UInt8]
    package var hostAddress: UInt64
    package var positions: [(codeOffset: Int, address: UInt64)]
}

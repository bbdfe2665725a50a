// Which passes run. Each has a switch, so that a wrong translation can be bisected to one of them.

/// A set of passes.
package struct OptimizerOptions: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let state = OptimizerOptions(rawValue: 1 << 0)
    package static let fold = OptimizerOptions(rawValue: 1 << 1)
    package static let valueNumbering = OptimizerOptions(rawValue: 1 << 2)
    package static let canonicalNaN = OptimizerOptions(rawValue: 1 << 3)
    package static let demandedBits = OptimizerOptions(rawValue: 1 << 4)
    package static let addressFolding = OptimizerOptions(rawValue: 1 << 5)
    package static let branchShaping = OptimizerOptions(rawValue: 1 << 6)
    package static let deadCode = OptimizerOptions(rawValue: 1 << 7)

    package static let byteCombining = OptimizerOptions(rawValue: 1 << 8)

    /// Of the back end, which has no passes.
    package static let deferredWrites = OptimizerOptions(rawValue: 1 << 31)
    /// Makes another function instead of changing one: see `LoopVectorizer`.
    package static let vectorLoops = OptimizerOptions(rawValue: 1 << 30)
    /// In machine mode only, behind all passes.
    package static let hostAddresses = OptimizerOptions(rawValue: 1 << 29)
    /// Of the back end: floats stay pending between superblocks of a region.
    package static let regionFloats = OptimizerOptions(rawValue: 1 << 28)
    /// Of all superblocks of a region together: see `RegionValues`.
    package static let regionValues = OptimizerOptions(rawValue: 1 << 27)
    private static let others = [
        ("host-addresses", hostAddresses), ("deferred-writes", deferredWrites), ("vector-loops", vectorLoops), ("region-floats", regionFloats),
        ("region-values", regionValues),
    ]

    package static let all = Pipeline.passes.reduce(into: OptimizerOptions(others.map(\.1))) { $0.formUnion($1.option) }

    /// The set of the one optimisation called `name`, or nil when there is none.
    package init?(name: String) {
        if let other = OptimizerOptions.others.first(where: { $0.0 == name }) { self = other.1 } else { self.init(passName: name) }
    }

    /// The set of the one pass called `name`, or nil when there is none.
    package init?(passName name: String) {
        guard let pass = Pipeline.passes.first(where: { $0.name == name }) else { return nil }
        self = pass.option
    }

    /// Names of all passes, in the order in which they run.
    package static var passNames: [String] { Pipeline.passes.map(\.name) }

    /// Names of everything that can be left out: the passes, and what is none.
    package static var names: [String] { passNames + others.map(\.0) }
}

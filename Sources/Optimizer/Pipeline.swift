// All passes in the order in which they run.

import IR

/// Optimises functions, one after the other; keeps its scratch memory. Not to be shared between threads.
package final class Pipeline {
    /// Every pass, in order.
    package static let passes: [Pass] = [
        byteCombining, stateElimination, fold, valueNumbering, canonicalNaN, demandedBits, addressFolding, branchShaping, deadCode,
    ]

    package let options: OptimizerOptions
    /// Called after each pass that ran, for dumps.
    package var afterPass: ((Pass, Function) -> Void)?
    private let context = PassContext()

    package init(options: OptimizerOptions = .all) { self.options = options }

    package func optimize(_ function: Function) { optimize(function, options: options) }

    package func optimize(_ function: Function, options: OptimizerOptions) {
        run(byteCombining, function, options)
        // Dead writes go first: they would keep values alive that later passes fold only when they have few users.
        run(stateElimination, function, options)
        run(fold, function, options)
        run(valueNumbering, function, options)
        run(canonicalNaN, function, options)
        run(demandedBits, function, options)
        run(addressFolding, function, options)
        run(branchShaping, function, options)
        run(deadCode, function, options)
    }

    /// Lets accesses to memory in a look-aside buffer's reach ask it together.
    package func groupAccesses(_ function: Function) {
        guard options.contains(.hostAddresses) else { return }
        run(hostAddresses, function, options)
        run(deadCode, function, options)
    }

    /// Removes what a loop of vectors computes twice or for nothing.
    package func tidy(_ function: Function) {
        run(valueNumbering, function, options)
        run(deadCode, function, options)
    }

    /// Runs one pass if it is in `options`.
    package func run(_ pass: Pass, _ function: Function, _ options: OptimizerOptions = .all) {
        guard options.contains(pass.option) else { return }
        context.prepare(for: function)
        pass.run(function, context)
        afterPass?(pass, function)
    }
}

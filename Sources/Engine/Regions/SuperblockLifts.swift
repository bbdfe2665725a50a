// What the search for a region lifts: every superblock once, however often it is come by. Only what the region consists of is
// optimised, but for loops of one superblock, of which it must be known whether they become vectors.

import Guest
import IR
import Optimizer

final class SuperblockLifts {
    struct Lift {
        let function: Function
        /// See `RegionBlock.vectors`.
        var vectors: Function?
        var code: LiftedCode
        var iterations: Int
        var loopEnds: [UInt64]
        /// Where it transfers to directly, without a call.
        var targets: [UInt64] = []
        /// Where the call that ends it returns to, and what it calls, when it does so directly.
        var returnAddress: UInt64?, callee: UInt64?
        /// It ends with an indirect jump, or with a return.
        var jumps = false, returns = false
        var isOptimized: Bool
        /// It is in the region already: whoever else wants it gets a copy.
        var isTaken = false
    }

    let maker: RegionTranslator
    let key: BlockKey
    var graph: CodeGraph { maker.graph }
    private(set) var lifts: [Lift] = []
    /// By numbers of places in the graph.
    private var numbers: [Int: Int] = [:]
    /// Functions that are copies.
    private var copyCount = 0

    init(_ maker: RegionTranslator, _ key: BlockKey) {
        self.maker = maker
        self.key = key
    }

    /// The number of the place's superblock.
    func number(of place: Int) -> Int {
        if let known = numbers[place] { return known }
        numbers[place] = lifts.count
        var lift = lift(place)
        lift.noteTransfers()
        lifts.append(lift)
        return lifts.count - 1
    }

    private func lift(_ place: Int) -> Lift {
        let address = graph.places[place].address, function = maker.function(lifts.count), number = lifts.count
        var limits = maker.configuration.limits
        limits.loopEnds = graph.taken(place)
        var vectors: Function?, isOptimized = false
        func lift() -> LiftedCode {
            let code = maker.lift(address, key.mode, limits, into: function)
            isOptimized = function.targets.contains(address)
            if isOptimized { maker.optimize(function) }
            return code
        }
        var code = lift()
        if isOptimized { vectors = maker.vectorLoop(of: function, number) }
        if vectors == nil, !code.goesBy.isEmpty {
            // Only as vectors it is worth leaving a way out that the loop may mostly go.
            let start = BlockKey(address: address, mode: key.mode, page: key.page)
            let wayBack = maker.ask { $0.wayBack(to: start) } ?? nil
            limits.loopEnds = wayBack.map { [$0] } ?? []
            code = lift()
            if isOptimized { vectors = maker.vectorLoop(of: function, number) }
        }
        if function.targets.contains(address) {
            // One poll for several iterations, which the optimiser sees as one.
            let before = vectors.flatMap { LoopVectorizer.iterations(before: $0) }
            limits.instructions = Region.unrolledInstructionsOfSearch
            let most = before == nil ? Region.unrolledInstructions : Region.unrolledInstructionsOfSearch
            let fitting = max(most / code.instructionCount, before == nil && code.instructionCount <= most ? 2 : 1)
            limits.iterations = min(before ?? Region.unrolledIterations, fitting)
            if limits.iterations > 1 { code = lift() }
        }
        return Lift(
            function: function, vectors: vectors, code: code, iterations: limits.iterations,
            loopEnds: code.goesBy.isEmpty ? [] : limits.loopEnds, isOptimized: isOptimized)
    }

    /// The superblock for a place in the region, optimised, and its form of vectors: nobody else has them.
    func take(_ number: Int) -> (Function, Function?) {
        let lift = lifts[number]
        guard !lift.isTaken else { return (copy(lift.function), lift.vectors.map(copy)) }
        lifts[number].isTaken = true
        if !lift.isOptimized { maker.optimize(lift.function) }
        if maker.isa.softMemory != nil { maker.optimizer.groupAccesses(lift.function) }
        return (lift.function, lift.vectors)
    }

    private func copy(_ function: Function) -> Function {
        copyCount += 1
        let copy = maker.function(lifts.count + copyCount - 1)
        copy.becomeCopy(of: function)
        return copy
    }
}

extension SuperblockLifts.Lift {
    fileprivate mutating func noteTransfers() {
        targets = function.targets
        let last = function.instructions[function.count - 1]
        jumps = last.opcode == .exitIndirect && last.hint == .none
        returns = last.opcode == .exitIndirect && last.hint == .return
        guard last.opcode == .exit || last.opcode == .exitIndirect, last.hint == .call else { return }
        if !last.b.isNone { returnAddress = UInt64(bitPattern: function.instructions[Int(last.b.index)].immediate) }
        if last.opcode == .exit { callee = UInt64(bitPattern: last.immediate) }
    }
}

extension Function {
    /// Where the superblock transfers to directly, without a call.
    fileprivate var targets: [UInt64] {
        var targets: [UInt64] = []
        for index in 0 ..< count {
            let instruction = instructions[index]
            if instruction.opcode == .exitIf || (instruction.opcode == .exit && instruction.hint == .none) {
                targets.append(UInt64(bitPattern: instruction.immediate))
            }
        }
        return targets
    }
}

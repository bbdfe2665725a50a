// Which superblocks make a region: the hot loop around an address, with the loops inside of it.
//
// Followed are the ways that block translations were seen to take: a link that was never patched is a cold exit. Of what is
// reached so, the superblocks stay that lead back to the start. Callees that are small enough to be had whole are part of it, once
// for each call that leads to them.

import Guest
import Host
import IR
import Optimizer

struct RegionBlock {
    /// Of the region's `SuperblockLifts`.
    let lift: Int
    var function: Function
    /// The same, several iterations at once.
    var vectors: Function?
    let lifted: LiftedCode
    /// How often it runs, in proportion, as loop depth suggests.
    var weight = 1
    /// Iterations of the loop that it is the whole of, which it holds one behind the other.
    var iterations = 1
    /// See `LiftLimits.loopEnds`.
    var loopEnds: [UInt64] = []
    /// See `SuperblockPlan.calls`.
    var calls: [UInt64] = []
    /// See `SuperblockPlan.cases`.
    var cases: [UInt64] = []
    /// Positions of the superblocks that it transfers to.
    var successors: [Int] = []

    var plan: SuperblockPlan {
        SuperblockPlan(
            address: function.entry, iterations: iterations, weight: weight, loopEnds: loopEnds, calls: calls, cases: cases)
    }
}

struct Region {
    /// In the order of the code; the first is the entry.
    private(set) var blocks: [RegionBlock] = []
    var instructionCount: Int { blocks.reduce(0) { $0 + $1.lifted.instructionCount } }
    var plan: [SuperblockPlan] { blocks.map(\.plan) }
    var ranges: [Range<UInt64>] { blocks.flatMap(\.lifted.ranges) }

    /// Executions of a loop's body per execution of what is around it, for `weight`.
    private static let iterations = 8
    private static let deepest = 5

    /// Superblocks and guest instructions of a callee with its own callees, at most; calls within each other.
    static let calleeBlocks = 16, calleeInstructions = 240, nestedCalls = 4

    /// Targets of an indirect jump that make a region one with many; superblocks and guest instructions that it may have more.
    static let manyCases = 3, blocksOfCases = 88, instructionsOfCases = 2800

    /// Iterations of a loop of one superblock that are laid out one behind the other, and guest instructions in them, at most; more
    /// in front of vectors that search. Two iterations may have twice as many: in the first of them nothing is computed that the
    /// second one overwrites. Longer code for more iterations made other loops slower.
    static let unrolledIterations = 8, unrolledInstructions = 64, unrolledInstructionsOfSearch = 128

    /// The loop that starts at `key`; nil when nothing leads back there.
    init?(around key: BlockKey, by maker: RegionTranslator) {
        guard maker.ask({ maker.graph.read(around: key, $0) }) != nil else { return nil }
        let lifts = SuperblockLifts(maker, key)
        if explore(key, lifts, followsCalls: true) {
            // Calls took room that the loop itself may need. Without them there may be no loop.
            let whole = blocks
            _ = explore(key, lifts, followsCalls: false)
            if blocks.isEmpty { blocks = whole }
        }
        guard !blocks.isEmpty else { return nil }
        for index in blocks.indices { (blocks[index].function, blocks[index].vectors) = lifts.take(blocks[index].lift) }
        weigh()
    }

    /// Fills `blocks`.
    /// - Returns: whether something was left out for lack of room.
    private mutating func explore(_ key: BlockKey, _ lifts: SuperblockLifts, followsCalls: Bool) -> Bool {
        var explorer = RegionExplorer(key, lifts, followsCalls: followsCalls)
        explorer.explore()
        blocks = explorer.blocks
        keepLoop()
        return explorer.isCut
    }

    // MARK: Shaping

    private mutating func keepLoop() {
        guard !blocks.isEmpty else { return }
        let leadsBack = reaching(0, without: nil)
        guard leadsBack[0] else { return blocks.removeAll() }
        var place = [Int?](repeating: nil, count: blocks.count), next = 0
        for index in blocks.indices where leadsBack[index] {
            place[index] = next
            next += 1
        }
        blocks = blocks.indices.filter { leadsBack[$0] }.map { index in
            var block = blocks[index]
            block.successors = block.successors.compactMap { place[$0] }
            return block
        }
    }

    /// Which superblocks lead to `target` over at least one transfer, not passing through `excluded`.
    private func reaching(_ target: Int, without excluded: Int?) -> [Bool] {
        var result = [Bool](repeating: false, count: blocks.count), changed = true
        while changed {
            changed = false
            for index in blocks.indices where !result[index] && index != excluded {
                if blocks[index].successors.contains(where: { $0 == target || (result[$0] && $0 != excluded) }) {
                    result[index] = true
                    changed = true
                }
            }
        }
        return result
    }

    /// The superblocks that lead to one of `ends` without passing through the header, and these.
    private static func body(of header: Int, _ ends: [Int], _ predecessors: [[Int]]) -> Set<Int> {
        var body = Set(ends).union([header]), rest = ends.filter { $0 != header }
        while let next = rest.popLast() {
            for index in predecessors[next] where body.insert(index).inserted { rest.append(index) }
        }
        return body
    }

    /// Weights by the depth of natural loops: the bodies of the transfers that go back in the order of the code.
    private mutating func weigh() {
        var depth = [Int](repeating: 0, count: blocks.count), predecessors = [[Int]](repeating: [], count: blocks.count)
        for index in blocks.indices {
            for successor in Set(blocks[index].successors) { predecessors[successor].append(index) }
        }
        for header in blocks.indices {
            let backward = predecessors[header].filter { $0 >= header }
            guard !backward.isEmpty else { continue }
            for index in Region.body(of: header, backward, predecessors) { depth[index] += 1 }
        }
        for index in blocks.indices {
            blocks[index].weight = (0 ..< min(depth[index], Region.deepest)).reduce(1) { weight, _ in weight * Region.iterations }
        }
    }
}

extension RegionTranslator {
    /// The loop that `function` is, of vectors; nil when there is none.
    func vectorLoop(of function: Function, _ place: Int) -> Function? {
        guard configuration.optimizations.contains(.vectorLoops), configuration.features.contains(.avx), !configuration.countsInstructions else {
            return nil
        }
        let target = LoopVectorizer.Target(
            vectorBytes: configuration.features.contains(.avx2) ? 32 : 16, fuses: configuration.features.contains(.fma),
            hasPlainMemory: isa.softMemory == nil)
        let result = vectorFunction(place)
        guard LoopVectorizer.vectorize(function, for: target, into: result, slotTypes: isa.slots.map(\.type)) else { return nil }
        optimizer.tidy(result)
        return result
    }

    /// Lifts a superblock.
    func lift(_ address: UInt64, _ mode: TranslationMode, _ limits: LiftLimits, into function: Function) -> LiftedCode {
        function.reset(entry: address)
        var builder = Builder(function: function, slotTypes: isa.slots.map(\.type)), limits = limits
        limits.predicates = !configuration.countsInstructions
        return isa.lift(at: GuestAddress(address), mode: mode, source: source, limits: limits, into: &builder)
    }

    func optimize(_ function: Function) {
        let start = Engine.nanoseconds()
        function.leavesSeldom = true
        optimizer.optimize(function)
        stages.optimize += Engine.nanoseconds() - start
    }
}

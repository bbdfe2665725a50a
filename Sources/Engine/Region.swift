// Which superblocks make a region: the hot loop around an address, with the loops inside of it.
//
// Followed are the ways that block translations were seen to take: a link that was never patched is a cold exit. Of what is
// reached so, the superblocks stay that lead back to the start.

import Guest
import Host
import IR
import Optimizer

struct RegionBlock {
    let function: Function
    /// The same, several iterations at once.
    var vectors: Function?
    let lifted: LiftedCode
    /// How often it runs, in proportion, as loop depth suggests.
    var weight = 1
    /// Iterations of the loop that it is the whole of, which it holds one behind the other.
    var iterations = 1
    /// See `LiftLimits.loopEnds`.
    var loopEnds: [UInt64] = []
    /// Positions of the superblocks that it transfers to.
    var successors: [Int] = []
}

struct Region {
    /// In the order of the code; the first is the entry.
    private(set) var blocks: [RegionBlock] = []
    var instructionCount: Int { blocks.reduce(0) { $0 + $1.lifted.instructionCount } }
    var plan: [SuperblockPlan] {
        blocks.map { SuperblockPlan(address: $0.function.entry, iterations: $0.iterations, weight: $0.weight, loopEnds: $0.loopEnds) }
    }
    var ranges: [Range<UInt64>] { blocks.flatMap(\.lifted.ranges) }

    /// Executions of a loop's body per execution of what is around it, for `weight`.
    private static let iterations = 8
    private static let deepest = 5

    /// Iterations of a loop of one superblock that are laid out one behind the other, and guest instructions in them, at most; more in front
    /// of vectors that search.
    static let unrolledIterations = 8, unrolledInstructions = 64, unrolledInstructionsOfSearch = 128

    /// The loop that starts at `key`; nil when nothing leads back there.
    init?(around key: BlockKey, by maker: RegionTranslator) {
        explore(key, maker)
        keepLoop()
        guard !blocks.isEmpty else { return nil }
        weigh()
    }

    // MARK: Exploring

    private mutating func explore(_ key: BlockKey, _ maker: RegionTranslator) {
        var places: [UInt64: Int] = [:], count = 0
        // Depth first, the way that ends a superblock before those that leave it: it falls through then.
        func visit(_ address: UInt64, isAside: Bool = false) -> Int? {
            if let known = places[address] { return known }
            guard places.count < maker.configuration.regionBlocks, count < maker.configuration.regionInstructions,
                (address ^ key.address) >> 12 == 0 || key.page == 0,
                let profile = maker.profile(of: BlockKey(address: address, mode: key.mode, page: key.page)) ?? (isAside ? [] : nil)
            else { return nil }
            let place = places.count
            places[address] = place
            let function = maker.function(place)
            var limits = maker.configuration.limits
            limits.loopEnds = Array(profile)
            var lifted = maker.lift(address, key.mode, limits, into: function)
            var vectors = maker.vectorLoop(of: function, place)
            if vectors == nil, !lifted.goesBy.isEmpty {
                // Which way the loop mostly goes is not known: only as vectors it is worth leaving the other out.
                limits.loopEnds = []
                lifted = maker.lift(address, key.mode, limits, into: function)
                vectors = maker.vectorLoop(of: function, place)
            }
            if Region.targets(of: function).contains(address) {
                // One poll for several iterations, which the optimiser sees as one.
                let before = vectors.flatMap { LoopVectorizer.iterations(before: $0) }
                limits.instructions = Region.unrolledInstructionsOfSearch
                let most = before == nil ? Region.unrolledInstructions : Region.unrolledInstructionsOfSearch
                limits.iterations = min(before ?? Region.unrolledIterations, most / lifted.instructionCount)
                if limits.iterations > 1 { lifted = maker.lift(address, key.mode, limits, into: function) }
            }
            if maker.isa.softMemory != nil { maker.optimizer.groupAccesses(function) }
            count += lifted.instructionCount
            blocks.append(RegionBlock(function: function, vectors: vectors, lifted: lifted, iterations: limits.iterations, loopEnds: lifted.goesBy.isEmpty ? [] : limits.loopEnds))
            for target in Region.targets(of: function).reversed() {
                // What the block translation went through on its way back to the start, and the region goes by.
                let isAside = lifted.goesBy.contains(target)
                guard target == address || profile.contains(target) || isAside || (profile.isEmpty && places[target] != nil) else { continue }
                if let successor = visit(target, isAside: isAside) { blocks[place].successors.append(successor) }
            }
            return place
        }
        _ = visit(key.address)
    }

    /// Where a superblock transfers to directly, without a call.
    static func targets(of function: Function) -> [UInt64] {
        (0 ..< function.count).compactMap { index in
            let instruction = function.instructions[index]
            switch instruction.opcode {
            case .exitIf: return UInt64(bitPattern: instruction.immediate)
            case .exit where instruction.hint == .none: return UInt64(bitPattern: instruction.immediate)
            default: return nil
            }
        }
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

    /// Weights by the depth of natural loops: the bodies of the transfers that go back in the order of the code.
    private mutating func weigh() {
        var depth = [Int](repeating: 0, count: blocks.count)
        for header in blocks.indices {
            let backward = blocks.indices.filter { $0 >= header && blocks[$0].successors.contains(header) }
            guard !backward.isEmpty else { continue }
            var body = Set(backward).union([header])
            for end in backward where end != header {
                let leads = reaching(end, without: header)
                for index in blocks.indices where leads[index] { body.insert(index) }
            }
            for index in body { depth[index] += 1 }
        }
        for index in blocks.indices {
            blocks[index].weight = (0 ..< min(depth[index], Region.deepest)).reduce(1) { weight, _ in weight * Region.iterations }
        }
    }
}

extension Engine {
    /// The targets that the block translation at `key` was seen to go to; nil when there is none. Holds the lock.
    func profile(of key: BlockKey) -> Set<UInt64>? {
        guard let index = replacedBlocks[key] ?? blockOfKey[key] else { return nil }
        let block = blocks[index]
        var targets: Set<UInt64> = []
        for link in block.firstLink ..< block.firstLink + block.linkCount where linkedTo[link] >= 0 { targets.insert(links[link].target) }
        return targets
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

    /// Lifts and optimises a superblock.
    func lift(_ address: UInt64, _ mode: TranslationMode, _ limits: LiftLimits, into function: Function) -> LiftedCode {
        function.reset(entry: address)
        var builder = Builder(function: function, slotTypes: isa.slots.map(\.type)), limits = limits
        limits.predicates = !configuration.countsInstructions
        let lifted = isa.lift(at: GuestAddress(address), mode: mode, source: source, limits: limits, into: &builder)
        let start = Engine.nanoseconds()
        optimizer.optimize(function)
        stages.optimize += Engine.nanoseconds() - start
        return lifted
    }
}

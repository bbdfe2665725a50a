// The way through the superblocks that a region may be of: depth first, along links that were taken.

import Guest
import IR

struct RegionExplorer {
    /// What is left of the limits; of the callee, while there is one.
    private struct Budget {
        var blocks: Int
        var instructions: Int
    }

    private let key: BlockKey
    private let maker: RegionTranslator
    private let graph: CodeGraph
    private let lifts: SuperblockLifts
    /// Otherwise what is behind calls is not looked at, either.
    private let followsCalls: Bool
    private(set) var blocks: [RegionBlock] = []
    /// Of each superblock, its place in the graph and the calls that it is in: a number of `frames`.
    private var origins: [(place: Int, frame: Int)] = []
    /// Calls by the addresses they return to, outermost first. The first are none.
    private var frames: [[UInt64]] = [[]]
    /// Positions of superblocks, by place and frame.
    private var positions: [Int: Int] = [:]
    private var budget: Budget
    /// The region has a jump with many targets, for which it may be larger.
    private var isLarge = false
    /// Targets that indirect jumps are followed to; known once there is such a jump.
    private var casesLeadingBack: Set<UInt64>?
    /// Something was left out for lack of budget; of the callee, while there is one.
    private(set) var isCut = false
    /// Where the callees start that the superblocks are in.
    private var callees: [UInt64] = []
    /// Callees that did not fit, and into what: none is looked at again for hardly more.
    private var refused: [UInt64: Budget] = [:]

    init(_ key: BlockKey, _ lifts: SuperblockLifts, followsCalls: Bool) {
        self.key = key
        self.lifts = lifts
        self.followsCalls = followsCalls
        maker = lifts.maker
        graph = lifts.graph
        budget = Budget(blocks: maker.configuration.regionBlocks, instructions: maker.configuration.regionInstructions)
    }

    /// Fills `blocks`, from the start of the loop on.
    mutating func explore() { _ = visit(key.address, in: 0) }

    /// The number of an address in the graph, which knows the block translation there.
    private func place(of address: UInt64) -> Int {
        let place = graph.number(of: address)
        if !graph.places[place].isRead { read(place) }
        return place
    }

    private func read(_ place: Int) { _ = maker.ask { graph.read(place, $0) } }

    private func isVisited(_ address: UInt64, in frame: Int) -> Bool {
        positions[RegionExplorer.position(graph.number(of: address), frame)] != nil
    }

    private static func position(_ place: Int, _ frame: Int) -> Int { place << 16 | frame }

    /// The position of the superblock at an address, in calls; nil when it is not part of the region.
    /// - Parameter isAside: a block translation went through it on its way back to the start, and the region goes by.
    private mutating func visit(_ address: UInt64, in frame: Int, isAside: Bool = false) -> Int? {
        let place = place(of: address)
        if let known = positions[RegionExplorer.position(place, frame)] { return known }
        guard frame != 0 || isAside || graph.places[place].leadsBack, graph.isInReach(address),
            graph.places[place].isTranslated || isAside
        else { return nil }
        guard budget.blocks > 0, budget.instructions > 0 else {
            isCut = true
            return nil
        }
        let number = blocks.count, lift = lifts.number(of: place), found = lifts.lifts[lift]
        positions[RegionExplorer.position(place, frame)] = number
        origins.append((place, frame))
        blocks.append(
            RegionBlock(
                lift: lift, function: found.function, lifted: found.code, iterations: found.iterations, loopEnds: found.loopEnds,
                calls: frames[frame]))
        budget.blocks -= 1
        budget.instructions -= found.code.instructionCount
        for target in found.targets.reversed() {
            let isAside = found.code.goesBy.contains(target)
            guard target == address || graph.goes(place, to: target) || isAside
                || (graph.places[place].taken.isEmpty && isVisited(target, in: frame))
            else { continue }
            if let successor = visit(target, in: frame, isAside: isAside) { blocks[number].successors.append(successor) }
        }
        if found.jumps { followJump(of: number) }
        if followsCalls, let back = found.returnAddress, frame != 0 || graph.leadsBack(from: back) {
            let callee = found.callee.flatMap { graph.goes(place, to: $0) ? $0 : nil }
            let isFollowed = callee.map { follow($0, returningTo: back, from: number) } ?? false
            if !isFollowed, let behind = visit(back, in: frame) { blocks[number].successors.append(behind) }
        }
        return number
    }

    // MARK: Jumps

    /// Takes in where the indirect jump that ends the superblock was seen to go, as far as that leads back. Jumps of callees are
    /// left: mostly they lead into libraries.
    private mutating func followJump(of number: Int) {
        guard origins[number].frame == 0 else { return }
        let known = graph.jumps(origins[number].place)
        if casesLeadingBack == nil, !known.isEmpty { casesLeadingBack = maker.ask { $0.blocksLeadingBack(to: key) } ?? [] }
        let targets = known.filter { casesLeadingBack!.contains($0) }
        if targets.count >= Region.manyCases, !isLarge {
            isLarge = true
            budget.blocks += Region.blocksOfCases
            budget.instructions += Region.instructionsOfCases
        }
        for target in targets {
            guard let successor = visit(target, in: 0) else { continue }
            blocks[number].successors.append(successor)
            blocks[number].cases.append(target)
        }
    }

    // MARK: Calls

    /// Takes in the callee, and what comes behind the call, if all of the callee that was seen to run fits.
    private mutating func follow(_ callee: UInt64, returningTo back: UInt64, from caller: Int) -> Bool {
        let frame = origins[caller].frame
        guard frames[frame].count < Region.nestedCalls, !callees.contains(callee) else { return false }
        let limit = Budget(
            blocks: min(budget.blocks, Region.calleeBlocks), instructions: min(budget.instructions, Region.calleeInstructions))
        if let tried = refused[callee], limit.blocks < 2 * tried.blocks, limit.instructions < 2 * tried.instructions {
            return false
        }
        if graph.reachesMore(than: limit.blocks, from: graph.number(of: callee), read) {
            refused[callee] = limit
            return false
        }
        let first = blocks.count, before = (budget: budget, isCut: isCut), inner = number(ofFrame: frames[frame] + [back])
        budget = limit
        isCut = false
        callees.append(callee)
        let entry = visit(callee, in: inner)
        callees.removeLast()
        let returns = (first ..< blocks.count).filter { origins[$0].frame == inner && lifts.lifts[blocks[$0].lift].returns }
        let fits = entry != nil && !isCut && !returns.isEmpty
        (budget, isCut) = before
        guard fits, let entry else {
            refused[callee] = limit
            forget(from: first)
            return false
        }
        for block in blocks[first...] {
            budget.blocks -= 1
            budget.instructions -= block.lifted.instructionCount
        }
        blocks[caller].successors.append(entry)
        if let behind = visit(back, in: frame) {
            for block in returns { blocks[block].successors.append(behind) }
        }
        return true
    }

    private mutating func number(ofFrame calls: [UInt64]) -> Int {
        if let known = frames.firstIndex(of: calls) { return known }
        frames.append(calls)
        return frames.count - 1
    }

    /// Takes the superblocks from a position on out again: nothing in front of them leads to them.
    private mutating func forget(from first: Int) {
        for origin in origins[first...] { positions[RegionExplorer.position(origin.place, origin.frame)] = nil }
        origins.removeSubrange(first...)
        blocks.removeSubrange(first...)
    }
}

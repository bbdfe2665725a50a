// The way through the superblocks that a region may be of: depth first, along links that were taken.

import Guest
import IR
import Optimizer
import X86Backend

struct RegionExplorer {
    private struct Place: Hashable {
        var address: UInt64
        var calls: [UInt64]
    }
    /// What is left of the limits; of the callee, while there is one.
    private struct Budget {
        var blocks: Int
        var instructions: Int
    }

    private let key: BlockKey
    private let maker: RegionTranslator
    /// Otherwise what is behind calls is not looked at, either.
    private let followsCalls: Bool
    private(set) var blocks: [RegionBlock] = []
    private var places: [Place: Int] = [:]
    private var budget: Budget
    /// The region has a jump with many targets, for which it may be larger.
    private var isLarge = false
    /// Targets that indirect jumps are followed to; known once there is such a jump.
    private var casesLeadingBack: Set<UInt64>?
    /// Something was left out for lack of budget; of the callee, while there is one.
    private(set) var isCut = false
    /// Where the callees start that the superblocks are in.
    private var callees: [UInt64] = []
    /// Where superblocks start that may lead back to the start of the region.
    private let leadingBack: Set<UInt64>
    /// Callees that did not fit, and into what: none is looked at again for hardly more.
    private var refused: [UInt64: Budget] = [:]

    init(_ key: BlockKey, _ maker: RegionTranslator, followsCalls: Bool) {
        self.key = key
        self.maker = maker
        self.followsCalls = followsCalls
        budget = Budget(blocks: maker.configuration.regionBlocks, instructions: maker.configuration.regionInstructions)
        leadingBack = RegionExplorer.leadingBack(to: key, maker)
    }

    /// Block translations that are looked at, nearest first.
    private static let searchedBlocks = 256

    /// Looked up before anything is lifted, which is what costs: most of what code with calls leads to does not lead back.
    private static func leadingBack(to key: BlockKey, _ maker: RegionTranslator) -> Set<UInt64> {
        var found: Set<UInt64> = [key.address], queue = [key.address], origins: [UInt64: [UInt64]] = [:], position = 0
        while position < queue.count, position < searchedBlocks {
            let address = queue[position]
            position += 1
            let place = BlockKey(address: address, mode: key.mode, page: key.page)
            guard let profile = maker.profile(of: place) else { continue }
            for target in profile.sorted() + maker.jumpTargets(of: place) where (target ^ key.address) >> 12 == 0 || key.page == 0 {
                origins[target, default: []].append(address)
                if found.insert(target).inserted { queue.append(target) }
            }
        }
        var result: Set<UInt64> = [key.address], next = [key.address]
        while let address = next.popLast() {
            for origin in origins[address] ?? [] where result.insert(origin).inserted { next.append(origin) }
        }
        return result
    }

    /// The position of the superblock at an address, in calls; nil when it is not part of the region.
    /// - Parameter isAside: a block translation went through it on its way back to the start, and the region goes by.
    mutating func visit(_ address: UInt64, in calls: [UInt64], isAside: Bool = false) -> Int? {
        let place = Place(address: address, calls: calls)
        if let known = places[place] { return known }
        guard !calls.isEmpty || isAside || leadingBack.contains(address), (address ^ key.address) >> 12 == 0 || key.page == 0,
            let profile = maker.profile(of: BlockKey(address: address, mode: key.mode, page: key.page)) ?? (isAside ? [] : nil)
        else { return nil }
        guard budget.blocks > 0, budget.instructions > 0 else {
            isCut = true
            return nil
        }
        let number = blocks.count
        places[place] = number
        blocks.append(lift(address, number, profile, calls))
        budget.blocks -= 1
        budget.instructions -= blocks[number].lifted.instructionCount
        let function = blocks[number].function
        for target in function.targets.reversed() {
            let isAside = blocks[number].lifted.goesBy.contains(target)
            guard target == address || profile.contains(target) || isAside
                || (profile.isEmpty && places[Place(address: target, calls: calls)] != nil)
            else { continue }
            if let successor = visit(target, in: calls, isAside: isAside) { blocks[number].successors.append(successor) }
        }
        if function.jumps { followJump(of: number) }
        if followsCalls, let back = function.returnAddress, !calls.isEmpty || leadingBack.contains(back) {
            let isFollowed = function.callee.map { profile.contains($0) && follow($0, returningTo: back, from: number) } ?? false
            if !isFollowed, let behind = visit(back, in: calls) { blocks[number].successors.append(behind) }
        }
        return number
    }

    private func lift(_ address: UInt64, _ number: Int, _ profile: Set<UInt64>, _ calls: [UInt64]) -> RegionBlock {
        let function = maker.function(number)
        var limits = maker.configuration.limits
        limits.loopEnds = Array(profile)
        var lifted = maker.lift(address, key.mode, limits, into: function)
        var vectors = maker.vectorLoop(of: function, number)
        if vectors == nil, !lifted.goesBy.isEmpty {
            // Only as vectors it is worth leaving a way out that the loop may mostly go.
            let wayBack = maker.wayBack(to: BlockKey(address: address, mode: key.mode, page: key.page))
            limits.loopEnds = wayBack.map { [$0] } ?? []
            lifted = maker.lift(address, key.mode, limits, into: function)
            vectors = maker.vectorLoop(of: function, number)
        }
        if function.targets.contains(address) {
            // One poll for several iterations, which the optimiser sees as one.
            let before = vectors.flatMap { LoopVectorizer.iterations(before: $0) }
            limits.instructions = Region.unrolledInstructionsOfSearch
            let most = before == nil ? Region.unrolledInstructions : Region.unrolledInstructionsOfSearch
            let fitting = max(most / lifted.instructionCount, before == nil && lifted.instructionCount <= most ? 2 : 1)
            limits.iterations = min(before ?? Region.unrolledIterations, fitting)
            if limits.iterations > 1 { lifted = maker.lift(address, key.mode, limits, into: function) }
        }
        if maker.isa.softMemory != nil { maker.optimizer.groupAccesses(function) }
        return RegionBlock(
            function: function, vectors: vectors, lifted: lifted, iterations: limits.iterations,
            loopEnds: lifted.goesBy.isEmpty ? [] : limits.loopEnds, calls: calls)
    }

    // MARK: Jumps

    /// Takes in where the indirect jump that ends the superblock was seen to go, as far as that leads back. Jumps of callees are
    /// left: mostly they lead into libraries.
    private mutating func followJump(of number: Int) {
        let block = blocks[number]
        guard block.calls.isEmpty else { return }
        let known = maker.jumpTargets(of: BlockKey(address: block.function.entry, mode: key.mode, page: key.page))
        if casesLeadingBack == nil, !known.isEmpty { casesLeadingBack = maker.blocksLeadingBack(to: key) }
        let targets = known.filter { casesLeadingBack!.contains($0) }
        if targets.count >= Region.manyCases, !isLarge {
            isLarge = true
            budget.blocks += Region.blocksOfCases
            budget.instructions += Region.instructionsOfCases
        }
        for target in targets {
            guard let successor = visit(target, in: []) else { continue }
            blocks[number].successors.append(successor)
            blocks[number].cases.append(target)
        }
    }

    // MARK: Calls

    /// Takes in the callee, and what comes behind the call, if all of the callee that was seen to run fits.
    private mutating func follow(_ callee: UInt64, returningTo back: UInt64, from caller: Int) -> Bool {
        let calls = blocks[caller].calls
        guard calls.count < Region.nestedCalls, !callees.contains(callee) else { return false }
        let limit = Budget(
            blocks: min(budget.blocks, Region.calleeBlocks), instructions: min(budget.instructions, Region.calleeInstructions))
        if let tried = refused[callee], limit.blocks < 2 * tried.blocks, limit.instructions < 2 * tried.instructions {
            return false
        }
        if isTooLarge(callee, for: limit) {
            refused[callee] = limit
            return false
        }
        let before = self
        budget = limit
        isCut = false
        callees.append(callee)
        let entry = visit(callee, in: calls + [back])
        let returns = blocks.indices.dropFirst(before.blocks.count).filter {
            blocks[$0].calls.count == calls.count + 1 && blocks[$0].function.returns
        }
        guard let entry, !isCut, !returns.isEmpty else {
            var refused = refused
            refused[callee] = limit
            self = before
            self.refused = refused
            return false
        }
        callees.removeLast()
        isCut = before.isCut
        budget = before.budget
        for block in blocks[before.blocks.count...] {
            budget.blocks -= 1
            budget.instructions -= block.lifted.instructionCount
        }
        blocks[caller].successors.append(entry)
        if let behind = visit(back, in: calls) {
            for block in returns { blocks[block].successors.append(behind) }
        }
        return true
    }

    /// What block translations know of a callee's size, before any of it is lifted.
    private func isTooLarge(_ callee: UInt64, for limit: Budget) -> Bool {
        var found: Set<UInt64> = [callee], rest = [callee], count = 0
        while let address = rest.popLast() {
            guard let profile = maker.profile(of: BlockKey(address: address, mode: key.mode, page: key.page)) else { continue }
            count += 1
            if count > limit.blocks { return true }
            for target in profile where key.page == 0 || (target ^ key.address) >> 12 == 0 {
                if found.insert(target).inserted { rest.append(target) }
            }
        }
        return false
    }
}

extension Function {
    /// Where the superblock transfers to directly, without a call.
    fileprivate var targets: [UInt64] {
        (0 ..< count).compactMap { index in
            let instruction = instructions[index]
            switch instruction.opcode {
            case .exitIf: return UInt64(bitPattern: instruction.immediate)
            case .exit where instruction.hint == .none: return UInt64(bitPattern: instruction.immediate)
            default: return nil
            }
        }
    }

    /// It ends with an indirect jump.
    fileprivate var jumps: Bool {
        let last = instructions[count - 1]
        return last.opcode == .exitIndirect && last.hint == .none
    }

    /// Where the call that ends the superblock returns to.
    fileprivate var returnAddress: UInt64? {
        let last = instructions[count - 1]
        guard last.opcode == .exit || last.opcode == .exitIndirect, last.hint == .call, !last.b.isNone else { return nil }
        return UInt64(bitPattern: instructions[Int(last.b.index)].immediate)
    }

    /// What it calls, when it does so directly.
    fileprivate var callee: UInt64? {
        let last = instructions[count - 1]
        return last.opcode == .exit && last.hint == .call ? UInt64(bitPattern: last.immediate) : nil
    }

    /// It ends with a return.
    fileprivate var returns: Bool {
        let last = instructions[count - 1]
        return last.opcode == .exitIndirect && last.hint == .return
    }
}

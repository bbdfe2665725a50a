// A translation with every stage, superblock by superblock and instruction by instruction: lifted, optimised and emitted
// again for whoever looks at it, as it runs when nobody counts. What comes of it is not run.

import Guest
import IR
import Optimizer
import X86Backend

package struct TranslationDetail {
    package struct Row {
        package var guest: DisassembledInstruction
        package var lifted: [String] = []
        package var optimized: [String] = []
        package var host: [HostLine] = []
    }
    package struct Superblock {
        package var plan: SuperblockPlan
        package var rows: [Row] = []
        /// The first row is the loop of vectors in front of the guest's instructions.
        package var startsWithVectors = false
    }
    package var address: UInt64
    package var superblocks: [Superblock] = []
    /// Exits and slow paths, behind the superblocks.
    package var cold: [HostLine] = []
    /// Before the first superblock: registers that take other homes.
    package var prologue: [HostLine] = []
    package var hostByteCount = 0
    /// Slots that have another home inside than between translations, or one at all: "s5 in r13".
    package var displaced: [String] = []

    /// Host instructions that a pass through all superblocks executes, without exits, slow paths and loops of vectors.
    package var hostInstructionCount: Int {
        superblocks.flatMap { $0.rows.dropFirst($0.startsWithVectors ? 1 : 0) }.reduce(0) { $0 + $1.host.filter(\.isInstruction).count }
    }
}

extension Engine {
    /// The translation that the plan describes; nil when it cannot be made.
    package func detail(of plan: [SuperblockPlan], _ mode: TranslationMode, isRegion: Bool) -> TranslationDetail? {
        locked {
            guard let entry = plan.first, code.byteCount - codeUsed >= 256 << 10 else { return nil }
            var functions: [Function] = [], vectors: [Function?] = [], lifted: [String] = []
            for (number, block) in plan.enumerated() {
                vectors.append(isRegion ? vectorLoop(of: block, number, mode) : nil)
                let function = Function(capacity: 512)
                function.reset(entry: block.address)
                var builder = Builder(function: function, slotTypes: isa.slots.map(\.type)), limits = configuration.limits
                limits.loopEnds = block.loopEnds
                if block.iterations > 1 {
                    limits.iterations = block.iterations
                    limits.instructions = Region.unrolledInstructionsOfSearch
                }
                _ = isa.lift(at: GuestAddress(block.address), mode: mode, source: memory, limits: limits, into: &builder)
                lifted.append(text(of: function))
                function.leavesSeldom = isRegion
                optimizer.optimize(function)
                functions.append(function)
            }
            if isRegion {
                regions.improve(
                    plan.indices.map { RegionMember(functions[$0], calls: plan[$0].calls, cases: plan[$0].cases, isFixed: vectors[$0] != nil) })
            }
            let optimized = functions.map { text(of: $0) }
            let counting = translator.counting
            translator.counting = nil
            defer { translator.counting = counting }
            translator.firstLink = 0
            translator.firstCache = 0
            // Always in the same place of a cache line, as loops are aligned to one.
            let start = (codeUsed + 63) & ~63
            let writable = code.writable + start, executable = code.executable + UInt64(start), capacity = code.byteCount - start
            let translation = isRegion
                ? translator.translate(
                    functions, weights: plan.map(\.weight), vectors: vectors, calls: plan.map(\.calls), cases: plan.map(\.cases),
                    writable: writable, executable: executable, capacity: capacity)
                : translator.translate(functions[0], writable: writable, executable: executable, capacity: capacity)
            guard let translation else { return nil }
            let bytes = Array(UnsafeRawBufferPointer(start: writable, count: translation.byteCount))
            return detail(entry, plan, lifted, optimized, vectors.map { $0.map { text(of: $0) } }, translation, bytes)
        }
    }

    /// The loop of vectors that a region has in front of the superblock, as `Region` finds it. Holds the lock.
    private func vectorLoop(of block: SuperblockPlan, _ number: Int, _ mode: TranslationMode) -> Function? {
        let function = Function(capacity: 512)
        var limits = configuration.limits
        limits.loopEnds = block.loopEnds
        _ = regions.lift(block.address, mode, limits, into: function)
        regions.optimize(function)
        return regions.vectorLoop(of: function, number)
    }

    private func detail(
        _ entry: SuperblockPlan, _ plan: [SuperblockPlan], _ lifted: [String], _ optimized: [String], _ vectors: [String?],
        _ translation: Translation, _ code: [UInt8]
    ) -> TranslationDetail {
        var result = TranslationDetail(address: entry.address, hostByteCount: code.count)
        let positions = translation.positions, starts = translator.firstPositions + [positions.count]
        func offset(_ position: Int) -> Int { position < positions.count ? Int(positions[position].codeOffset) : translator.coldOffset }
        let listing = HostListing(
            code, at: translation.entry, entries: plan.indices.map { (plan[$0].address, offset(starts[$0])) }, links: translation.links,
            slots: isa.slots.map { ($0.offset, $0.name) }, programCounterOffset: isa.programCounterOffset, stubs: stubs)
        result.prologue = listing.lines(0 ..< offset(0))
        for (number, block) in plan.enumerated() {
            let before = TranslationDetail.instructions(lifted[number]), after = TranslationDetail.instructions(optimized[number])
            var superblock = TranslationDetail.Superblock(plan: block), start = starts[number]
            if translator.startsWithVectors[number] {
                var row = TranslationDetail.Row(
                    guest: DisassembledInstruction(address: block.address, byteCount: 0, encoding: 0, text: "(iterations as vectors)"))
                row.optimized = TranslationDetail.instructions(vectors[number] ?? "").flatMap { $0 }
                row.host = listing.lines(offset(start) ..< offset(start + 1)).filter { !$0.startsSuperblock }
                superblock.rows.append(row)
                superblock.startsWithVectors = true
                start += 1
            }
            for position in start ..< starts[number + 1] {
                let index = position - start
                var row = TranslationDetail.Row(guest: disassembled(positions[position].address))
                if index < before.count { row.lifted = before[index] }
                if index < after.count { row.optimized = after[index] }
                row.host = listing.lines(offset(position) ..< offset(position + 1)).filter { !$0.startsSuperblock }
                superblock.rows.append(row)
            }
            result.superblocks.append(superblock)
        }
        result.cold = listing.lines(translator.coldOffset ..< code.count)
        let usual = translator.homesBetweenTranslations
        for home in translation.homes where !usual.contains(where: { $0.offset == home.offset && $0.register == home.register }) {
            let slot = isa.slots.first { $0.offset == home.offset }?.name ?? "?"
            result.displaced.append("\(slot) in \(RegisterMap.name(of: home))")
        }
        return result
    }

    private func disassembled(_ address: UInt64) -> DisassembledInstruction {
        guard let window = memory.codeWindow(at: GuestAddress(address)) else {
            return DisassembledInstruction(address: address, byteCount: 0, encoding: 0, text: "(no code)")
        }
        return isa.disassemble(at: address, in: window)
    }
}

extension TranslationDetail {
    /// The lines of IR behind each `boundary`; what stands before the first belongs to the first.
    static func instructions(_ text: String) -> [[String]] {
        var groups: [[String]] = [[]], isFirst = true
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.first == "boundary" {
                if !isFirst { groups.append([]) }
                isFirst = false
            } else if line.hasPrefix(" ") {
                groups[groups.count - 1].append(String(line.drop { $0 == " " }))
            }
        }
        return groups
    }
}

// Indirect jumps that go on in the region: the target is compared with those that it mostly has, which are superblocks of it.
//
// The first few are compared one by one, the likeliest first; the others by bisection. What is none of them leaves as from a
// block.

import IR
import X86

extension Translator {
    /// Targets that are compared in the order of how likely they are; beyond them it takes fewer comparisons to bisect.
    private static let comparedInOrder = 4
    /// Targets at the end of a bisection that are compared one by one.
    private static let comparedAtEnd = 2

    /// A target, the superblock that starts there, and the number that the target is compared as.
    private struct Case {
        var target: UInt64
        var superblock: Int
        var number: Int32
    }

    /// Goes on in the region where `target`, which may still have its bit 0, is a superblock that the jump was seen to go to.
    func emitCases(_ target: Register, of cache: Int) {
        let known = entryCases[currentBlock].compactMap { address in
            superblock(address, frame).map { Case(target: address, superblock: $0, number: 0) }
        }
        guard let first = known.first else { return }
        if known.contains(where: { polls($0.target) }) {
            asm.jcc(poll(inside: true), cold(.jumpAway, target.rawValue, counter: makeCounter(.jump)))
        }
        // Distances are the same wherever the guest's code is.
        let isPlain = !function.isMovable && known.allSatisfy { Int32(exactly: Int64(bitPattern: $0.target)) != nil }
        var compared = target
        if !isPlain {
            compared = allocate()
            loadGuestAddress(compared, first.target)
            asm.sub(.quad, compared, target)
        }
        let cases = known.compactMap { known -> Case? in
            let number = Int64(bitPattern: isPlain ? known.target : first.target &- known.target)
            return Int32(exactly: number).map { Case(target: known.target, superblock: known.superblock, number: $0) }
        }
        caches[cache].cases = Int32(links.count) ..< Int32(links.count + cases.count)
        for known in cases {
            let link = makeLink(known.target, .compared)
            links[link].stub = asm.executableAddress
        }
        let ordered = cases.prefix(Translator.comparedInOrder), others = cases.dropFirst(Translator.comparedInOrder)
        for known in ordered { emitCase(known, compared) }
        let elsewhere = asm.makeLabel()
        bisect(others.sorted { $0.number < $1.number }[...], compared, elsewhere, isLast: true)
        asm.bind(elsewhere)
    }

    private func emitCase(_ known: Case, _ compared: Register) {
        asm.cmp(.quad, compared, imm: known.number)
        go(to: known, if: .e)
    }

    private func go(to known: Case, if condition: X86.Condition) {
        let label = entryLabels[known.superblock]
        let counter = makeCounter(.transfer, known.target, polls: polls(known.target), into: known.superblock)
        asm.jcc(condition, counter == nil ? label : cold(.go, back: label, counter: counter))
    }

    /// - Parameter isLast: what is none of them falls through.
    private func bisect(_ cases: ArraySlice<Case>, _ compared: Register, _ elsewhere: Label, isLast: Bool) {
        if cases.count <= Translator.comparedAtEnd {
            for known in cases { emitCase(known, compared) }
            if !isLast { asm.jmp(elsewhere) }
            return
        }
        let middle = cases.startIndex + cases.count / 2, above = asm.makeLabel()
        asm.cmp(.quad, compared, imm: cases[middle].number)
        go(to: cases[middle], if: .e)
        asm.jcc(.g, above)
        bisect(cases[..<middle], compared, elsewhere, isLast: false)
        asm.bind(above)
        bisect(cases[(middle + 1)...], compared, elsewhere, isLast: isLast)
    }
}

// Lifts of A: the atomic read-modify-writes, and the compare-and-swap that compilers build from `lr` and `sc`.
//
// Any other use of `lr` and `sc` is the interpreter's, which knows the reservation. A misaligned address is not refused: the
// host performs the operation atomically all the same, which the manual's misaligned atomicity granule permits.

import IR

extension SuperblockLifter {
    mutating func atomic(_ kind: AtomicKind, _ i: DecodedInstruction, bytes: Int) -> Successor {
        let access = Access(bytes: bytes, signed: bytes == 4, ordered: true)
        let old = atomicValue(kind, access, x(i.rs1), x(i.rs2))
        set(i.rd, old)
        return .next
    }

    /// `lr rd, (a)` · `bne rd, expected, out` · `sc t, new, (a)` is one compare-and-swap that cannot fail spuriously; the loop's
    /// `bnez t` behind it folds away. The page must be writable even when the comparison fails, as a host compare-and-swap wants.
    mutating func loadReserved(_ i: DecodedInstruction, bytes: Int) -> Successor {
        guard let (branch, conditional) = compareAndSwap(behind: i) else { return interpret() }
        let expected = x(branch.rs2)
        let replacement = replacement(x(conditional.rs2 == i.rd ? branch.rs2 : conditional.rs2), for: expected, bytes: bytes)
        let access = Access(bytes: bytes, signed: bytes == 4, ordered: true)
        let old = compareExchange(access, x(i.rs1), expected, replacement)
        set(i.rd, old)
        advance(branch)
        exitIf(comparison(.notEqual, old, expected), to: displaced(branch))
        advance(conditional)
        return setConstant(conditional, 0)
    }

    /// `bne` compares 64 bits, the exchange of a word only 32: an expected value that is no sign-extended word never equals the
    /// loaded one, so that memory must keep what it has.
    private mutating func replacement(_ value: Value, for expected: Value, bytes: Int) -> Value {
        if bytes == 8 { return value }
        let isWord = comparison(.equal, signExtend(expected, bits: 32), expected)
        return select(.i64, isWord, value, expected)
    }

    /// The two instructions behind an `lr` when the three are a compare-and-swap.
    private mutating func compareAndSwap(behind i: DecodedInstruction) -> (DecodedInstruction, DecodedInstruction)? {
        guard i.rd != 0, i.rd != i.rs1, let (branch, conditional) = nextTwo() else { return nil }
        let store: RISCVOpcode = i.opcode == .lrW ? .scW : .scD
        guard branch.opcode == .bne, branch.rs1 == i.rd, branch.rs2 != i.rd, branch.immediate > 0,
            conditional.opcode == store, conditional.rs1 == i.rs1
        else { return nil }
        return (branch, conditional)
    }
}

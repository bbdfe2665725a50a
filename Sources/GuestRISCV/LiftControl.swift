// Lifts of jumps and branches, of traps, and of accesses to control registers.

import Guest
import IR

extension SuperblockLifter {
    // MARK: Branches

    /// A forward branch leaves the superblock when taken; a backward one, or one to the start of the superblock, is taken to
    /// close a loop, so that it leaves when not taken and the block ends with the jump back.
    mutating func branch(_ condition: Condition, _ i: DecodedInstruction) -> Successor {
        let target = displaced(i)
        let left = x(i.rs1)
        let right = x(i.rs2)
        if let holds = knownComparison(condition, left, right) { return holds ? jump(to: target) : .next }
        if target > pc && limits.followsJumps && target != entry {
            if limits.predicates, let skipped = predicable(upTo: target) {
                return predicate(skipped, unless: comparison(condition, left, right))
            }
            if leadsBack(from: target), follows(to: target) {
                exitIf(comparison(condition.inverted, left, right), to: next)
                goesBy.append(next)
                return .follow(target)
            }
            exitIf(comparison(condition, left, right), to: target)
            return .next
        }
        if target > pc && !(limits.followsJumps && target == entry) {
            exitIf(comparison(condition, left, right), to: target)
            builder.exit(to: next)
        } else {
            exitIf(comparison(condition.inverted, left, right), to: next)
            if iterates(to: target) { return .follow(target) }
            builder.exit(to: target)
        }
        return .ended
    }

    /// The outcome when it is known: assemblers write unconditional branches as comparisons of a register with itself.
    private func knownComparison(_ condition: Condition, _ left: Value, _ right: Value) -> Bool? {
        if left == right { return condition.holds(0, 0) }
        guard let a = constantValue(of: left), let b = constantValue(of: right) else { return nil }
        return condition.holds(a, b)
    }

    func displaced(_ i: DecodedInstruction) -> UInt64 { pc &+ UInt64(bitPattern: Int64(i.immediate)) }

    // MARK: Jumps

    mutating func jal(_ i: DecodedInstruction) -> Successor {
        let target = displaced(i)
        writeLink(i.rd)
        return isLink(i.rd) ? call(target) : jump(to: target)
    }

    /// Hints by table 2.1 of the unprivileged manual; the instruction that pops and pushes is taken as a call.
    mutating func jalr(_ i: DecodedInstruction) -> Successor {
        let base = add(x(i.rs1), Int64(i.immediate))
        if let address = addressValue(of: base) {
            let target = address & ~1
            writeLink(i.rd)
            return isLink(i.rd) ? call(target) : jump(to: target)
        }
        let target = binary(.and, .i64, base, builder.i64(~1))
        writeLink(i.rd)
        if isLink(i.rd) {
            builder.exitIndirect(target, hint: .call, returnAddress: next)
        } else {
            builder.exitIndirect(target, hint: isLink(i.rs1) ? .return : .none)
        }
        return .ended
    }

    private mutating func writeLink(_ register: UInt8) {
        if register != 0 { set(register, builder.guestAddress(next)) }
    }

    private func isLink(_ register: UInt8) -> Bool { register == 1 || register == 5 }

    private mutating func call(_ target: UInt64) -> Successor {
        builder.exit(to: target, hint: .call, returnAddress: next)
        return .ended
    }

    private mutating func jump(to target: UInt64) -> Successor {
        if iterates(to: target) || follows(to: target) { return .follow(target) }
        builder.exit(to: target)
        return .ended
    }

    // MARK: Control registers

    /// Reads, and writes of the sticky flags, are the interpreter's. Writes that may change the rounding mode leave: the
    /// translations behind them are others.
    mutating func controlRegister(_ i: DecodedInstruction) -> Successor {
        i.changesRounding ? trap(.modeChanged, at: pc) : interpret()
    }
}

extension DecodedInstruction {
    /// An access to a control register that may change the rounding mode.
    var changesRounding: Bool {
        let number = immediate & 0xfff
        let alwaysWrites = opcode == .csrrw || opcode == .csrrwi
        let holdsMode = number == ControlRegister.roundingMode || number == ControlRegister.floatControl
        return holdsMode && (alwaysWrites || rs1 != 0)
    }
}

extension Condition {
    fileprivate func holds(_ a: Int64, _ b: Int64) -> Bool {
        switch self {
        case .equal: a == b
        case .notEqual: a != b
        case .lessSigned: a < b
        case .greaterOrEqualSigned: a >= b
        case .lessOrEqualSigned: a <= b
        case .greaterSigned: a > b
        case .lessUnsigned: UInt64(bitPattern: a) < UInt64(bitPattern: b)
        case .greaterOrEqualUnsigned: UInt64(bitPattern: a) >= UInt64(bitPattern: b)
        case .lessOrEqualUnsigned: UInt64(bitPattern: a) <= UInt64(bitPattern: b)
        case .greaterUnsigned: UInt64(bitPattern: a) > UInt64(bitPattern: b)
        }
    }
}

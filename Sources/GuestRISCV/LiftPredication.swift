// Branches over a few computations, as conditional moves: the superblock goes on whichever way the branch goes, and a branch
// that depends on data costs no misprediction.

import IR

extension SuperblockLifter {
    private static let longest = 3

    /// What a forward branch to `target` skips, when it is little and can be executed whether the branch is taken or not.
    mutating func predicable(upTo target: UInt64) -> [DecodedInstruction]? {
        // Two bytes are the shortest instruction, four the longest.
        guard target &- next <= UInt64(SuperblockLifter.longest * 4), target > next,
            let skipped = instructions(upTo: target, atMost: SuperblockLifter.longest, where: \.isCheapComputation)
        else { return nil }
        let written = skipped.reduce(0 as UInt32) { $0 | 1 << UInt32($1.rd) } & ~1
        return written.nonzeroBitCount == 1 || (written.nonzeroBitCount == 2 && skipped.count == 2) ? skipped : nil
    }

    /// Executes the instructions, and takes their results unless `condition` holds.
    mutating func predicate(_ skipped: [DecodedInstruction], unless condition: Value) -> Successor {
        var before: [(register: UInt8, value: Value)] = []
        for instruction in skipped where instruction.rd != 0 && !before.contains(where: { $0.register == instruction.rd }) {
            before.append((instruction.rd, x(instruction.rd)))
        }
        for instruction in skipped {
            advance(instruction)
            _ = lift(instruction)
        }
        for (register, value) in before {
            let computed = x(register)
            set(register, select(.i64, condition, value, computed))
        }
        return .next
    }
}

extension RISCVOpcode {
    /// Computes an integer register from others within a cycle or so, and does nothing else.
    fileprivate var isCheapComputation: Bool {
        switch self {
        case .lui, .auipc, .addi, .slti, .sltiu, .xori, .ori, .andi, .slli, .srli, .srai, .add, .sub, .sll, .slt, .sltu, .xor,
            .srl,
            .sra, .or, .and, .addiw, .slliw, .srliw, .sraiw, .addw, .subw, .sllw, .srlw, .sraw:
            true
        default: false
        }
    }
}

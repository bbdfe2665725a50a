// Random encodings of instruction rows, bent so that they can run anywhere: memory is accessed through pointer registers
// that nothing changes, and control goes on behind them.

import GuestRISCV

enum PointerRegister {
    /// Hold addresses in the data, two of them in registers that are pinned to host registers, two in others.
    static let all: [UInt32] = [2, 8, 9, 26]
    /// Those that compressed loads and stores can name.
    static let compressed: [UInt32] = [8, 9]
    /// Counts down in loops.
    static let fuel: UInt32 = 27
    static func isReserved(_ register: UInt8) -> Bool { all.contains(UInt32(register)) || UInt32(register) == fuel }
}

extension RISCVOpcode {
    /// Loads and stores, whose address is rs1 plus the immediate.
    var accessesWithOffset: Bool {
        switch self {
        case .lb, .lh, .lw, .ld, .lbu, .lhu, .lwu, .sb, .sh, .sw, .sd, .flw, .fld, .fsw, .fsd: true
        default: false
        }
    }

    /// Instructions whose address is rs1.
    var accessesPlainly: Bool {
        switch self {
        case .lrW, .scW, .lrD, .scD, .amoswapW, .amoaddW, .amoxorW, .amoandW, .amoorW, .amominW, .amomaxW, .amominuW, .amomaxuW,
            .amoswapD, .amoaddD, .amoxorD, .amoandD, .amoorD, .amominD, .amomaxD, .amominuD, .amomaxuD,
            .cboZero, .cboInval, .cboClean, .cboFlush:
            true
        default: false
        }
    }

    var transfersControl: Bool {
        switch self {
        case .illegal, .jal, .jalr, .beq, .bne, .blt, .bge, .bltu, .bgeu, .ecall, .ebreak, .fenceI: true
        default: isPrivileged
        }
    }

    var accessesControlRegister: Bool {
        switch self {
        case .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci: true
        default: false
        }
    }

    /// Stores have no destination although the decoder may leave something in that field.
    var hasDestination: Bool {
        switch self {
        case .sb, .sh, .sw, .sd, .fsw, .fsd, .cboZero, .cboInval, .cboClean, .cboFlush: false
        default: true
        }
    }
}

struct RandomInstruction {
    /// Rows to choose from.
    let rows: [InstructionRow]
    /// Only registers whose numbers have these bits, in most operands: instructions then depend on each other.
    var usesFewRegisters = true
    /// `c.addi16sp` may occur: only where nothing repeats it until memory ends.
    var adjustsStack = true

    /// `frm` may get a reserved mode once in a while, under which instructions are illegal.
    var reservesRounding = true

    init(rows: [InstructionRow] = RISCVInstructionTable.rows) { self.rows = rows.filter { !$0.opcode.transfersControl && $0.opcode != .scW && $0.opcode != .scD } }

    /// A random instruction, and the row it comes from.
    func next(_ random: inout FuzzRandom) -> (bits: UInt32, row: InstructionRow) {
        while true {
            let row = random.pick(rows)
            if let bits = encoding(row, &random) { return (bits, row) }
        }
    }

    /// A random encoding of the row that may be executed anywhere; nil when these bits were not.
    func encoding(_ row: InstructionRow, _ random: inout FuzzRandom) -> UInt32? {
        let width: UInt32 = row.byteCount == 2 ? 0xffff : ~0
        var bits = (UInt32(truncatingIfNeeded: random.next()) & ~row.fixedMask & width) | row.fixedBits
        if row.byteCount == 4, usesFewRegisters, random.below(4) != 0 {
            bits = bits & ~(0x0180_0000 | 0x000c_0000 | 0x0000_0c00) | row.fixedMask & row.fixedBits
        }
        if row.opcode.accessesWithOffset || row.opcode.accessesPlainly { bits = pointing(bits, row, &random) }
        if row.opcode.accessesControlRegister { bits = floatControl(bits, row, &random) }
        guard row.matches(bits) else { return nil }
        let instruction = RISCVDecoder.decode(bits)
        guard instruction.opcode == row.opcode else { return nil }
        if adjustsStack, row.format == .compressedStackAdjust { return bits }
        if row.opcode.hasDestination && PointerRegister.isReserved(instruction.rd) { return nil }
        return bits
    }

    private func pointing(_ bits: UInt32, _ row: InstructionRow, _ random: inout FuzzRandom) -> UInt32 {
        if row.byteCount == 4 { return bits & ~0x000f_8000 | random.pick(PointerRegister.all) << 15 }
        // Quadrant 2 is relative to the stack pointer already.
        return bits & 3 == 2 ? bits : bits & ~0x380 | (random.pick(PointerRegister.compressed) - 8) << 7
    }

    /// Accesses to fflags, frm and fcsr; an invalid rounding mode only once in a while.
    private func floatControl(_ bits: UInt32, _ row: InstructionRow, _ random: inout FuzzRandom) -> UInt32 {
        let csr = UInt32(1 + random.below(3))
        var result = bits & 0x000f_ffff | csr << 20
        let takesImmediate = bits >> 14 & 1 == 1
        if csr == 1 || (random.chance(oneIn: 24) && reservesRounding) { return result }
        result &= ~0x000f_8000
        if takesImmediate {
            // frm 0...4; through fcsr only the flags.
            let limit = row.opcode == .csrrwi ? (csr == 2 ? 5 : 32) : 1
            let value = random.below(limit)
            return result | UInt32(csr == 2 && value == 4 && random.below(4) != 0 ? 0 : value) << 15
        }
        return result
    }
}

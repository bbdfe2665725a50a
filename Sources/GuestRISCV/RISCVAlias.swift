// The pseudoinstructions that disassemblers show (assembly programmer's manual), where an instruction is one.

enum RISCVAlias {
    static func text(of i: DecodedInstruction, at address: UInt64) -> String? {
        let rd = RISCVDisassembler.name(i.rd)
        let rs1 = RISCVDisassembler.name(i.rs1)
        let rs2 = RISCVDisassembler.name(i.rs2)
        switch i.opcode {
        case .addi:
            if i.rd == 0 && i.rs1 == 0 && i.immediate == 0 { return "nop" }
            if i.rs1 == 0 { return "li \(rd),\(i.immediate)" }
            return i.immediate == 0 ? "mv \(rd),\(rs1)" : nil
        case .add: return i.rs1 == 0 && i.byteCount == 2 ? "mv \(rd),\(rs2)" : nil
        case .addiw: return i.immediate == 0 ? "sext.w \(rd),\(rs1)" : nil
        case .xori: return i.immediate == -1 ? "not \(rd),\(rs1)" : nil
        case .andi: return i.immediate == 255 ? "zext.b \(rd),\(rs1)" : nil
        case .sub: return i.rs1 == 0 ? "neg \(rd),\(rs2)" : nil
        case .subw: return i.rs1 == 0 ? "negw \(rd),\(rs2)" : nil
        case .addUw: return i.rs2 == 0 ? "zext.w \(rd),\(rs1)" : nil
        case .sltiu: return i.immediate == 1 ? "seqz \(rd),\(rs1)" : nil
        case .sltu: return i.rs1 == 0 ? "snez \(rd),\(rs2)" : nil
        case .slt:
            if i.rs2 == 0 { return "sltz \(rd),\(rs1)" }
            return i.rs1 == 0 ? "sgtz \(rd),\(rs2)" : nil
        case .jal:
            let target = RISCVDisassembler.target(i, address)
            if i.rd == 0 { return "j \(target)" }
            return i.rd == 1 ? "jal \(target)" : nil
        case .jalr: return jumpRegister(i, rs1)
        case .beq, .bne, .blt, .bge: return branch(i, address, rs1, rs2)
        case .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci: return controlRegister(i, rd, rs1)
        case .fsgnjS, .fsgnjD: return sameSource(i, "fmv", rd, rs1)
        case .fsgnjnS, .fsgnjnD: return sameSource(i, "fneg", rd, rs1)
        case .fsgnjxS, .fsgnjxD: return sameSource(i, "fabs", rd, rs1)
        case .fence: return i.immediate == 0xff ? "fence" : nil
        default: return nil
        }
    }

    private static func sameSource(_ i: DecodedInstruction, _ name: String, _ rd: String, _ rs1: String) -> String? {
        guard i.rs1 == i.rs2 else { return nil }
        let isDouble = i.opcode == .fsgnjD || i.opcode == .fsgnjnD || i.opcode == .fsgnjxD
        return "\(name).\(isDouble ? "d" : "s") \(rd),\(rs1)"
    }

    private static func jumpRegister(_ i: DecodedInstruction, _ rs1: String) -> String? {
        let operand = i.immediate == 0 ? rs1 : "\(i.immediate)(\(rs1))"
        if i.rd == 0 { return i.rs1 == 1 && i.immediate == 0 ? "ret" : "jr \(operand)" }
        if i.rd == 1 { return "jalr \(operand)" }
        return i.immediate == 0 ? "jalr \(RISCVDisassembler.name(i.rd)),\(rs1)" : nil
    }

    private static func branch(_ i: DecodedInstruction, _ address: UInt64, _ rs1: String, _ rs2: String) -> String? {
        let target = RISCVDisassembler.target(i, address)
        if i.rs2 == 0 {
            switch i.opcode {
            case .beq: return "beqz \(rs1),\(target)"
            case .bne: return "bnez \(rs1),\(target)"
            case .blt: return "bltz \(rs1),\(target)"
            default: return "bgez \(rs1),\(target)"
            }
        }
        guard i.rs1 == 0 else { return nil }
        switch i.opcode {
        case .blt: return "bgtz \(rs2),\(target)"
        case .bge: return "blez \(rs2),\(target)"
        default: return nil
        }
    }

    private static func controlRegister(_ i: DecodedInstruction, _ rd: String, _ rs1: String) -> String? {
        let reads: Bool = i.opcode == .csrrs && i.rs1 == 0
        if let special = specialControlRegister(i, rd, rs1, reads: reads) { return special }
        let number = RISCVDisassembler.controlRegister(i.immediate)
        if reads { return "csrr \(rd),\(number)" }
        guard i.rd == 0 else { return nil }
        switch i.opcode {
        case .csrrw: return "csrw \(number),\(rs1)"
        case .csrrs: return "csrs \(number),\(rs1)"
        case .csrrc: return "csrc \(number),\(rs1)"
        case .csrrwi: return "csrwi \(number),\(i.rs1)"
        case .csrrsi: return "csrsi \(number),\(i.rs1)"
        default: return "csrci \(number),\(i.rs1)"
        }
    }

    /// `frflags`, `fsrm` and their like.
    private static func specialControlRegister(_ i: DecodedInstruction, _ rd: String, _ rs1: String, reads: Bool) -> String? {
        let suffix: String
        switch i.immediate {
        case 0x001: suffix = "flags"
        case 0x002: suffix = "rm"
        case 0x003: suffix = "csr"
        case 0xc00: return reads ? "rdcycle \(rd)" : nil
        case 0xc01: return reads ? "rdtime \(rd)" : nil
        case 0xc02: return reads ? "rdinstret \(rd)" : nil
        default: return nil
        }
        if reads { return "fr\(suffix) \(rd)" }
        let destination = i.rd == 0 ? "" : "\(rd),"
        if i.opcode == .csrrw { return "fs\(suffix) \(destination)\(rs1)" }
        return i.opcode == .csrrwi && i.immediate != 3 ? "fs\(suffix)i \(destination)\(i.rs1)" : nil
    }
}

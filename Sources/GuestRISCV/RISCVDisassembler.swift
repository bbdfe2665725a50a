// Disassembly in the manner of GNU objdump: the common aliases, compressed instructions as what they abbreviate.

import Guest

package enum RISCVDisassembler {
    /// The instruction at `address`; `.2byte` or `.4byte` for what is none, or lies across the window's end.
    package static func disassemble(at address: UInt64, in window: CodeWindow) -> DisassembledInstruction {
        let available = address >= window.start && address < window.end ? window.end - address : 0
        guard available >= 2 else { return DisassembledInstruction(address: address, byteCount: 2, encoding: 0, text: "?") }
        let bytes = window.host + Int(address - window.start)
        var encoding = UInt32(bytes.loadUnaligned(as: UInt16.self))
        if encoding & 3 == 3 && available >= 4 { encoding = bytes.loadUnaligned(as: UInt32.self) }
        let byteCount = encoding & 3 == 3 && available >= 4 ? 4 : 2
        let text = text(of: encoding, at: address)
        return DisassembledInstruction(address: address, byteCount: byteCount, encoding: encoding, text: text)
    }

    /// The text of one encoding; branch and jump targets are absolute.
    package static func text(of encoding: UInt32, at address: UInt64) -> String {
        let instruction = RISCVDecoder.decode(encoding)
        if instruction.opcode == .illegal {
            return instruction.byteCount == 4 ? ".4byte 0x" + hex(UInt64(encoding)) : ".2byte 0x" + hex(UInt64(encoding & 0xffff))
        }
        if let alias = RISCVAlias.text(of: instruction, at: address) { return alias }
        return plainText(of: instruction, at: address)
    }

    /// Mnemonic and operands, without aliases.
    package static func plainText(of instruction: DecodedInstruction, at address: UInt64) -> String {
        let row = RISCVInstructionTable.rows[Int(RISCVInstructionTable.rowOfOpcode[Int(instruction.opcode.rawValue)])]
        let name = row.mnemonic.description
        switch row.format {
        case .loadReserved, .atomic: return name + ordering(instruction) + " " + operands(instruction, row.format, address)
        case .none: return name
        case .operationToBe, .binaryOperationToBe:
            return "\(name).\(instruction.immediate) " + operands(instruction, row.format, address)
        default: return name + " " + operands(instruction, row.format, address)
        }
    }

    private static func operands(_ i: DecodedInstruction, _ format: RISCVFormat, _ address: UInt64) -> String {
        let rd = name(i.rd)
        let rs1 = name(i.rs1)
        let rs2 = name(i.rs2)
        switch format {
        case .register, .binaryOperationToBe, .floatRegister, .floatCompare: return "\(rd),\(rs1),\(rs2)"
        case .unary, .operationToBe, .floatToInteger, .integerToFloat: return "\(rd),\(rs1)"
        case .immediate: return "\(rd),\(rs1),\(i.immediate)"
        case .shift: return "\(rd),\(rs1),0x\(hex(UInt64(i.immediate)))"
        case .registerByte: return "\(rd),\(rs1),\(rs2),0x\(i.immediate)"
        case .roundNumber: return "\(rd),\(rs1),0x\(hex(UInt64(i.immediate)))"
        case .load, .jumpRegister, .floatLoad: return "\(rd),\(i.immediate)(\(rs1))"
        case .store, .floatStore: return "\(rs2),\(i.immediate)(\(rs1))"
        case .branch: return "\(rs1),\(rs2),\(target(i, address))"
        case .upper: return "\(rd),0x\(hex(UInt64(UInt32(bitPattern: i.immediate) >> 12)))"
        case .jump: return "\(rd),\(target(i, address))"
        case .addressFence: return i.rs2 == 0 && i.rs1 == 0 ? "" : i.rs2 == 0 ? rs1 : "\(rs1),\(rs2)"
        case .fence: return fenceSet(i.immediate >> 4) + "," + fenceSet(i.immediate)
        case .csr: return "\(rd),\(controlRegister(i.immediate)),\(rs1)"
        case .csrImmediate: return "\(rd),\(controlRegister(i.immediate)),\(i.rs1)"
        case .loadReserved: return "\(rd),(\(rs1))"
        case .atomic: return "\(rd),\(rs2),(\(rs1))"
        case .cacheBlock: return "(\(rs1))"
        case .floatRegisterRounded: return "\(rd),\(rs1),\(rs2)" + rounding(i)
        case .floatFused: return "\(rd),\(rs1),\(rs2),\(name(i.rs3))" + rounding(i)
        case .floatUnary, .floatToIntegerRounded, .integerToFloatRounded: return "\(rd),\(rs1)" + rounding(i)
        case .floatConstant: return "\(rd),\(FloatConstants.names[Int(i.rs1 & 31)])"
        default: return ""
        }
    }

    // MARK: Operands

    static func name(_ register: UInt8) -> String { RISCVRegisterName.name(Int(register)) }
    static func hex(_ value: UInt64) -> String { String(value, radix: 16) }
    static func target(_ i: DecodedInstruction, _ address: UInt64) -> String {
        "0x" + hex(address &+ UInt64(bitPattern: Int64(i.immediate)))
    }

    /// Conversions that are always exact have a mode field, too; assemblers leave it 0.
    private static func rounding(_ i: DecodedInstruction) -> String {
        switch i.opcode {
        case .fcvtDS, .fcvtDW, .fcvtDWu: if i.roundingMode == 0 { return "" }
        default: break
        }
        return i.roundingMode == 7 ? "" : "," + ["rne", "rtz", "rdn", "rup", "rmm", "?", "?"][Int(i.roundingMode)]
    }

    private static func ordering(_ i: DecodedInstruction) -> String { ["", ".rl", ".aq", ".aqrl"][Int(i.immediate & 3)] }

    private static func fenceSet(_ bits: Int32) -> String {
        var text = ""
        if bits & 8 != 0 { text += "i" }
        if bits & 4 != 0 { text += "o" }
        if bits & 2 != 0 { text += "r" }
        if bits & 1 != 0 { text += "w" }
        return text.isEmpty ? "0" : text
    }

    static func controlRegister(_ number: Int32) -> String {
        switch number {
        case 0x001: "fflags"
        case 0x002: "frm"
        case 0x003: "fcsr"
        case 0x015: "seed"
        case 0xc00: "cycle"
        case 0xc01: "time"
        case 0xc02: "instret"
        default: "0x" + hex(UInt64(number))
        }
    }
}

/// Register names of the calling convention.
package enum RISCVRegisterName {
    private static let names = [
        "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "s2", "s3",
        "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
        "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6",
        "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
        "pc", "sink",
    ]

    /// Name of a word of the register file.
    package static func name(_ index: Int) -> String { index < names.count ? names[index] : "?" }
}

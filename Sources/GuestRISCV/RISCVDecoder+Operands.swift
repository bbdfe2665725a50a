// Operand extraction of 32-bit instructions: the immediate variants of the unprivileged manual, section 2.3.

extension RISCVDecoder {
    private static let floatFile: UInt8 = 32

    static func operands(_ bits: UInt32, _ entry: DecoderEntry) -> DecodedInstruction {
        var result = DecodedInstruction(entry.opcode)
        let rd = UInt8(truncatingIfNeeded: bits >> 7 & 31)
        let rs1 = UInt8(truncatingIfNeeded: bits >> 15 & 31)
        let rs2 = UInt8(truncatingIfNeeded: bits >> 20 & 31)
        let signed = Int32(bitPattern: bits)
        let rounding = UInt8(truncatingIfNeeded: bits >> 12 & 7)
        switch entry.format {
        case .register:
            result.rd = rd
            result.rs1 = rs1
            result.rs2 = rs2
        case .unary:
            result.rd = rd
            result.rs1 = rs1
        case .immediate, .load, .jumpRegister:
            result.rd = rd
            result.rs1 = rs1
            result.immediate = signed >> 20
        case .shift:
            result.rd = rd
            result.rs1 = rs1
            // Bit 25 of the five-bit forms is part of their fixed bits.
            result.immediate = Int32(bitPattern: bits >> 20 & (~entry.mask >> 20) & 63)
        case .registerByte:
            result.rd = rd
            result.rs1 = rs1
            result.rs2 = rs2
            result.immediate = Int32(bitPattern: bits >> 30)
        case .roundNumber:
            result.rd = rd
            result.rs1 = rs1
            result.immediate = Int32(bitPattern: bits >> 20 & 15)
        case .operationToBe:
            result.rd = rd
            result.rs1 = rs1
            let number = (bits >> 30 & 1) << 4 | (bits >> 26 & 3) << 2 | bits >> 20 & 3
            result.immediate = Int32(bitPattern: number)
        case .binaryOperationToBe:
            result.rd = rd
            result.rs1 = rs1
            result.rs2 = rs2
            result.immediate = Int32(bitPattern: bits >> 30 & 1) << 2 | Int32(bitPattern: bits >> 26 & 3)
        case .store:
            result.rs1 = rs1
            result.rs2 = rs2
            result.immediate = storeOffset(bits)
        case .branch:
            result.rs1 = rs1
            result.rs2 = rs2
            result.immediate = branchOffset(bits)
        case .upper:
            result.rd = rd
            result.immediate = Int32(bitPattern: bits & 0xffff_f000)
        case .jump:
            result.rd = rd
            result.immediate = jumpOffset(bits)
        case .fence:
            result.immediate = Int32(bitPattern: bits >> 20)
        case .csr, .csrImmediate:
            result.rd = rd
            result.rs1 = rs1
            result.immediate = Int32(bitPattern: bits >> 20)
        case .loadReserved, .atomic:
            result.rd = rd
            result.rs1 = rs1
            result.rs2 = rs2
            result.immediate = Int32(bitPattern: bits >> 25 & 3)
        case .cacheBlock:
            result.rs1 = rs1
        case .addressFence:
            result.rs1 = rs1
            result.rs2 = rs2
        case .floatLoad:
            result.rd = rd + floatFile
            result.rs1 = rs1
            result.immediate = signed >> 20
        case .floatStore:
            result.rs1 = rs1
            result.rs2 = rs2 + floatFile
            result.immediate = storeOffset(bits)
        case .floatRegister, .floatRegisterRounded:
            result.rd = rd + floatFile
            result.rs1 = rs1 + floatFile
            result.rs2 = rs2 + floatFile
            result.roundingMode = rounding
        case .floatFused:
            result.rd = rd + floatFile
            result.rs1 = rs1 + floatFile
            result.rs2 = rs2 + floatFile
            result.rs3 = UInt8(truncatingIfNeeded: bits >> 27) + floatFile
            result.roundingMode = rounding
        case .floatUnary:
            result.rd = rd + floatFile
            result.rs1 = rs1 + floatFile
            result.roundingMode = rounding
        case .floatCompare:
            result.rd = rd
            result.rs1 = rs1 + floatFile
            result.rs2 = rs2 + floatFile
        case .floatToInteger, .floatToIntegerRounded:
            result.rd = rd
            result.rs1 = rs1 + floatFile
            result.roundingMode = rounding
        case .integerToFloat, .integerToFloatRounded:
            result.rd = rd + floatFile
            result.rs1 = rs1
            result.roundingMode = rounding
        case .floatConstant:
            result.rd = rd + floatFile
            result.rs1 = rs1
        default:
            break
        }
        // Where funct3 is part of the opcode it is no rounding mode.
        if !entry.isRounded && entry.opcode != .fcvtmodWD { result.roundingMode = 0 }
        return result
    }

    private static func storeOffset(_ bits: UInt32) -> Int32 {
        let high = (Int32(bitPattern: bits) >> 25) << 5
        return high | Int32(bitPattern: bits >> 7 & 31)
    }

    private static func branchOffset(_ bits: UInt32) -> Int32 {
        let sign = (Int32(bitPattern: bits) >> 31) << 12
        let bit11 = Int32(bitPattern: (bits >> 7 & 1) << 11)
        let middle = Int32(bitPattern: (bits >> 25 & 63) << 5)
        let low = Int32(bitPattern: (bits >> 8 & 15) << 1)
        return sign | bit11 | middle | low
    }

    private static func jumpOffset(_ bits: UInt32) -> Int32 {
        let sign = (Int32(bitPattern: bits) >> 31) << 20
        let high = Int32(bitPattern: bits & 0xff000)
        let bit11 = Int32(bitPattern: (bits >> 20 & 1) << 11)
        let low = Int32(bitPattern: (bits >> 21 & 1023) << 1)
        return sign | high | bit11 | low
    }
}

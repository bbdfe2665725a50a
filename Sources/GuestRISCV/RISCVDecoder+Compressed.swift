// Operand extraction of compressed instructions, expanded to the instruction that they abbreviate (manual, chapter "C").

extension RISCVDecoder {
    static func compressedOperands(_ bits: UInt32, _ entry: DecoderEntry) -> DecodedInstruction {
        var result = DecodedInstruction(entry.opcode, byteCount: 2)
        let rd = UInt8(truncatingIfNeeded: bits >> 7 & 31)
        let rs2 = UInt8(truncatingIfNeeded: bits >> 2 & 31)
        // The three-bit register fields name x8...x15 or f8...f15.
        let highRegister = UInt8(truncatingIfNeeded: 8 + (bits >> 7 & 7))
        let lowRegister = UInt8(truncatingIfNeeded: 8 + (bits >> 2 & 7))
        let stackPointer: UInt8 = 2
        let float: UInt8 = 32
        switch entry.format {
        case .compressedStackAddress:
            result.rd = lowRegister
            result.rs1 = stackPointer
            result.immediate = stackAddressOffset(bits)
        case .compressedLoadWord, .compressedLoadDouble, .compressedFloatLoadDouble:
            result.rd = entry.format == .compressedFloatLoadDouble ? lowRegister + float : lowRegister
            result.rs1 = highRegister
            result.immediate = entry.format == .compressedLoadWord ? wordOffset(bits) : doubleOffset(bits)
        case .compressedStoreWord, .compressedStoreDouble, .compressedFloatStoreDouble:
            result.rs2 = entry.format == .compressedFloatStoreDouble ? lowRegister + float : lowRegister
            result.rs1 = highRegister
            result.immediate = entry.format == .compressedStoreWord ? wordOffset(bits) : doubleOffset(bits)
        case .compressedLoadByte, .compressedLoadHalf:
            result.rd = lowRegister
            result.rs1 = highRegister
            result.immediate = entry.format == .compressedLoadHalf ? field(bits, 5, 1, to: 1) : byteOffset(bits)
        case .compressedStoreByte, .compressedStoreHalf:
            result.rs2 = lowRegister
            result.rs1 = highRegister
            result.immediate = entry.format == .compressedStoreHalf ? field(bits, 5, 1, to: 1) : byteOffset(bits)
        case .compressedUnary, .compressedLowByte, .compressedComplement:
            result.rd = highRegister
            result.rs1 = highRegister
            result.immediate = entry.format == .compressedLowByte ? 255 : entry.format == .compressedComplement ? -1 : 0
        case .compressedImmediate:
            result.rd = rd
            result.rs1 = rd
            result.immediate = signedImmediate(bits)
        case .compressedLoadImmediate:
            result.rd = rd
            result.immediate = signedImmediate(bits)
        case .compressedStackAdjust:
            result.rd = stackPointer
            result.rs1 = stackPointer
            result.immediate = stackAdjustment(bits)
        case .compressedUpper:
            result.rd = rd
            result.immediate = signedImmediate(bits) << 12
        case .compressedShiftRight:
            result.rd = highRegister
            result.rs1 = highRegister
            result.immediate = signedImmediate(bits) & 63
        case .compressedAndImmediate:
            result.rd = highRegister
            result.rs1 = highRegister
            result.immediate = signedImmediate(bits)
        case .compressedRegister:
            result.rd = highRegister
            result.rs1 = highRegister
            result.rs2 = lowRegister
        case .compressedJump:
            result.immediate = compressedJumpOffset(bits)
        case .compressedBranch:
            result.rs1 = highRegister
            result.immediate = compressedBranchOffset(bits)
        case .compressedShiftLeft:
            result.rd = rd
            result.rs1 = rd
            result.immediate = signedImmediate(bits) & 63
        case .compressedStackLoadWord:
            result.rd = rd
            result.rs1 = stackPointer
            result.immediate = field(bits, 12, 1, to: 5) | field(bits, 4, 3, to: 2) | field(bits, 2, 2, to: 6)
        case .compressedStackLoadDouble, .compressedStackFloatLoadDouble:
            result.rd = entry.format == .compressedStackFloatLoadDouble ? rd + float : rd
            result.rs1 = stackPointer
            result.immediate = field(bits, 12, 1, to: 5) | field(bits, 5, 2, to: 3) | field(bits, 2, 3, to: 6)
        case .compressedStackStoreWord:
            result.rs2 = rs2
            result.rs1 = stackPointer
            result.immediate = field(bits, 9, 4, to: 2) | field(bits, 7, 2, to: 6)
        case .compressedStackStoreDouble, .compressedStackFloatStoreDouble:
            result.rs2 = entry.format == .compressedStackFloatStoreDouble ? rs2 + float : rs2
            result.rs1 = stackPointer
            result.immediate = field(bits, 10, 3, to: 3) | field(bits, 7, 3, to: 6)
        case .compressedJumpRegister:
            result.rs1 = rd
        case .compressedJumpAndLinkRegister:
            result.rd = 1
            result.rs1 = rd
        case .compressedMove:
            result.rd = rd
            result.rs2 = rs2
        case .compressedAdd:
            result.rd = rd
            result.rs1 = rd
            result.rs2 = rs2
        default:
            break
        }
        return result
    }

    /// `count` bits from bit `low` on, moved to bit `position`.
    @inline(__always)
    private static func field(_ bits: UInt32, _ low: UInt32, _ count: UInt32, to position: UInt32) -> Int32 {
        Int32(bitPattern: (bits &>> low & (1 &<< count &- 1)) &<< position)
    }

    private static func sign(_ bits: UInt32, to position: UInt32) -> Int32 {
        bits >> 12 & 1 == 0 ? 0 : -1 &<< Int32(bitPattern: position)
    }

    private static func signedImmediate(_ bits: UInt32) -> Int32 { sign(bits, to: 5) | field(bits, 2, 5, to: 0) }

    private static func wordOffset(_ bits: UInt32) -> Int32 {
        field(bits, 10, 3, to: 3) | field(bits, 6, 1, to: 2) | field(bits, 5, 1, to: 6)
    }

    private static func byteOffset(_ bits: UInt32) -> Int32 { field(bits, 6, 1, to: 0) | field(bits, 5, 1, to: 1) }

    private static func doubleOffset(_ bits: UInt32) -> Int32 { field(bits, 10, 3, to: 3) | field(bits, 5, 2, to: 6) }

    private static func stackAddressOffset(_ bits: UInt32) -> Int32 {
        let high = field(bits, 11, 2, to: 4) | field(bits, 7, 4, to: 6)
        return high | field(bits, 6, 1, to: 2) | field(bits, 5, 1, to: 3)
    }

    private static func stackAdjustment(_ bits: UInt32) -> Int32 {
        let high = sign(bits, to: 9) | field(bits, 3, 2, to: 7) | field(bits, 5, 1, to: 6)
        return high | field(bits, 2, 1, to: 5) | field(bits, 6, 1, to: 4)
    }

    private static func compressedJumpOffset(_ bits: UInt32) -> Int32 {
        let high = sign(bits, to: 11) | field(bits, 8, 1, to: 10) | field(bits, 9, 2, to: 8) | field(bits, 6, 1, to: 7)
        let low = field(bits, 7, 1, to: 6) | field(bits, 2, 1, to: 5) | field(bits, 11, 1, to: 4) | field(bits, 3, 3, to: 1)
        return high | low
    }

    private static func compressedBranchOffset(_ bits: UInt32) -> Int32 {
        let high = sign(bits, to: 8) | field(bits, 5, 2, to: 6) | field(bits, 2, 1, to: 5)
        return high | field(bits, 10, 2, to: 3) | field(bits, 3, 2, to: 1)
    }
}

// How the operands of an instruction lie in its bits, and how they are written in assembly language.

/// The operand layout of an instruction row. Decoder and disassembler switch over it.
package enum RISCVFormat: UInt8, CaseIterable, Sendable {
    /// No operands.
    case none
    /// rd, rs1, rs2
    case register
    /// rd, rs1
    case unary
    /// rd, rs1, 12-bit signed immediate
    case immediate
    /// rd, rs1, shift amount or bit index of six or five bits
    case shift
    /// rd, rs1, rs2, number of a byte
    case registerByte
    /// rd, rs1, number of a round of AES
    case roundNumber
    /// rd, rs1; a number that belongs to the mnemonic
    case operationToBe
    /// rd, rs1, rs2; a number that belongs to the mnemonic
    case binaryOperationToBe
    /// rd, offset(rs1)
    case load
    /// rs2, offset(rs1)
    case store
    /// rs1, rs2, target
    case branch
    /// rd, upper 20 bits
    case upper
    /// rd, target
    case jump
    /// rd, offset(rs1)
    case jumpRegister
    /// pred, succ
    case fence
    /// rs1, rs2
    case addressFence
    /// rd, csr, rs1
    case csr
    /// rd, csr, five-bit immediate
    case csrImmediate
    /// rd, (rs1)
    case loadReserved
    /// rd, rs2, (rs1)
    case atomic
    /// (rs1)
    case cacheBlock
    /// fd, offset(rs1)
    case floatLoad
    /// fs2, offset(rs1)
    case floatStore
    /// fd, fs1, fs2
    case floatRegister
    /// fd, fs1, fs2, rm
    case floatRegisterRounded
    /// fd, fs1, fs2, fs3, rm
    case floatFused
    /// fd, fs1, rm
    case floatUnary
    /// rd, fs1, fs2
    case floatCompare
    /// rd, fs1
    case floatToInteger
    /// rd, fs1, rm
    case floatToIntegerRounded
    /// fd, rs1
    case integerToFloat
    /// fd, rs1, rm
    case integerToFloatRounded
    /// fd, index of a constant
    case floatConstant

    // Compressed forms, named after what they abbreviate.
    case compressedStackAddress, compressedLoadWord, compressedLoadDouble, compressedFloatLoadDouble
    case compressedStoreWord, compressedStoreDouble, compressedFloatStoreDouble
    case compressedImmediate, compressedLoadImmediate, compressedStackAdjust, compressedUpper
    case compressedShiftRight, compressedAndImmediate, compressedRegister, compressedJump, compressedBranch
    case compressedShiftLeft, compressedStackLoadWord, compressedStackLoadDouble, compressedStackFloatLoadDouble
    case compressedJumpRegister, compressedJumpAndLinkRegister, compressedMove, compressedAdd
    case compressedStackStoreWord, compressedStackStoreDouble, compressedStackFloatStoreDouble
    case compressedLoadByte, compressedLoadHalf, compressedStoreByte, compressedStoreHalf
    case compressedUnary, compressedLowByte, compressedComplement
}

// Rows of C for RV64 with D: each names the instruction that it abbreviates.

extension InstructionRows {
    mutating func addCompressed() {
        insn("c.addi4spn", "000 IIIIIIII ddd 00", .compressedStackAddress, .addi)
        insn("c.fld", "001 iii sss ii ddd 00", .compressedFloatLoadDouble, .fld)
        insn("c.lw", "010 iii sss ii ddd 00", .compressedLoadWord, .lw)
        insn("c.ld", "011 iii sss ii ddd 00", .compressedLoadDouble, .ld)
        insn("c.fsd", "101 iii sss ii ttt 00", .compressedFloatStoreDouble, .fsd)
        insn("c.sw", "110 iii sss ii ttt 00", .compressedStoreWord, .sw)
        insn("c.sd", "111 iii sss ii ttt 00", .compressedStoreDouble, .sd)

        insn("c.addi", "000 i ddddd iiiii 01", .compressedImmediate, .addi)
        insn("c.addiw", "001 i DDDDD iiiii 01", .compressedImmediate, .addiw)
        insn("c.li", "010 i ddddd iiiii 01", .compressedLoadImmediate, .addi)
        // x2 as destination of c.lui is c.addi16sp; both reserve a zero immediate.
        insn("c.addi16sp", "011 I 00010 IIIII 01", .compressedStackAdjust, .addi)
        insn("c.lui", "011 I ddddd IIIII 01", .compressedUpper, .lui)
        insn("c.srli", "100 i 00 ddd iiiii 01", .compressedShiftRight, .srli)
        insn("c.srai", "100 i 01 ddd iiiii 01", .compressedShiftRight, .srai)
        insn("c.andi", "100 i 10 ddd iiiii 01", .compressedAndImmediate, .andi)
        insn("c.sub", "100 0 11 ddd 00 ttt 01", .compressedRegister, .sub)
        insn("c.xor", "100 0 11 ddd 01 ttt 01", .compressedRegister, .xor)
        insn("c.or", "100 0 11 ddd 10 ttt 01", .compressedRegister, .or)
        insn("c.and", "100 0 11 ddd 11 ttt 01", .compressedRegister, .and)
        insn("c.subw", "100 1 11 ddd 00 ttt 01", .compressedRegister, .subw)
        insn("c.addw", "100 1 11 ddd 01 ttt 01", .compressedRegister, .addw)
        insn("c.j", "101 iiiiiiiiiii 01", .compressedJump, .jal)
        insn("c.beqz", "110 iii sss iiiii 01", .compressedBranch, .beq)
        insn("c.bnez", "111 iii sss iiiii 01", .compressedBranch, .bne)

        insn("c.slli", "000 i ddddd iiiii 10", .compressedShiftLeft, .slli)
        insn("c.fldsp", "001 i ddddd iiiii 10", .compressedStackFloatLoadDouble, .fld)
        insn("c.lwsp", "010 i DDDDD iiiii 10", .compressedStackLoadWord, .lw)
        insn("c.ldsp", "011 i DDDDD iiiii 10", .compressedStackLoadDouble, .ld)
        insn("c.jr", "100 0 SSSSS 00000 10", .compressedJumpRegister, .jalr)
        insn("c.mv", "100 0 ddddd TTTTT 10", .compressedMove, .add)
        insn("c.ebreak", "100 1 00000 00000 10", .none, .ebreak)
        insn("c.jalr", "100 1 SSSSS 00000 10", .compressedJumpAndLinkRegister, .jalr)
        insn("c.add", "100 1 ddddd TTTTT 10", .compressedAdd, .add)
        insn("c.fsdsp", "101 iiiiii ttttt 10", .compressedStackFloatStoreDouble, .fsd)
        insn("c.swsp", "110 iiiiii ttttt 10", .compressedStackStoreWord, .sw)
        insn("c.sdsp", "111 iiiiii ttttt 10", .compressedStackStoreDouble, .sd)
    }
}

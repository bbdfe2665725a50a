// Rows of the scalar cryptography extensions: Zbkb, Zbkc, Zbkx, Zknd, Zkne, Zknh, Zksed and Zksh for RV64, and Zbc.
// `packw` with x0 is `zext.h`, whose row comes first.

extension InstructionRows {
    mutating func addCryptography() {
        insn("pack", "0000100 ttttt sssss 100 ddddd 0110011", .register, .pack)
        insn("packh", "0000100 ttttt sssss 111 ddddd 0110011", .register, .packh)
        insn("packw", "0000100 ttttt sssss 100 ddddd 0111011", .register, .packw)
        insn("brev8", "011010000111 sssss 101 ddddd 0010011", .unary, .brev8)
        insn("clmul", "0000101 ttttt sssss 001 ddddd 0110011", .register, .clmul)
        insn("clmulr", "0000101 ttttt sssss 010 ddddd 0110011", .register, .clmulr)
        insn("clmulh", "0000101 ttttt sssss 011 ddddd 0110011", .register, .clmulh)
        insn("xperm4", "0010100 ttttt sssss 010 ddddd 0110011", .register, .xperm4)
        insn("xperm8", "0010100 ttttt sssss 100 ddddd 0110011", .register, .xperm8)
        insn("aes64ds", "0011101 ttttt sssss 000 ddddd 0110011", .register, .aes64ds)
        insn("aes64dsm", "0011111 ttttt sssss 000 ddddd 0110011", .register, .aes64dsm)
        insn("aes64es", "0011001 ttttt sssss 000 ddddd 0110011", .register, .aes64es)
        insn("aes64esm", "0011011 ttttt sssss 000 ddddd 0110011", .register, .aes64esm)
        insn("aes64im", "001100000000 sssss 001 ddddd 0010011", .unary, .aes64im)
        insn("aes64ks1i", "00110001 nnnn sssss 001 ddddd 0010011", .roundNumber, .aes64ks1i)
        insn("aes64ks2", "0111111 ttttt sssss 000 ddddd 0110011", .register, .aes64ks2)
        insn("sha256sum0", "000100000000 sssss 001 ddddd 0010011", .unary, .sha256sum0)
        insn("sha256sum1", "000100000001 sssss 001 ddddd 0010011", .unary, .sha256sum1)
        insn("sha256sig0", "000100000010 sssss 001 ddddd 0010011", .unary, .sha256sig0)
        insn("sha256sig1", "000100000011 sssss 001 ddddd 0010011", .unary, .sha256sig1)
        insn("sha512sum0", "000100000100 sssss 001 ddddd 0010011", .unary, .sha512sum0)
        insn("sha512sum1", "000100000101 sssss 001 ddddd 0010011", .unary, .sha512sum1)
        insn("sha512sig0", "000100000110 sssss 001 ddddd 0010011", .unary, .sha512sig0)
        insn("sha512sig1", "000100000111 sssss 001 ddddd 0010011", .unary, .sha512sig1)
        insn("sm3p0", "000100001000 sssss 001 ddddd 0010011", .unary, .sm3p0)
        insn("sm3p1", "000100001001 sssss 001 ddddd 0010011", .unary, .sm3p1)
        insn("sm4ed", "ii 11000 ttttt sssss 000 ddddd 0110011", .registerByte, .sm4ed)
        insn("sm4ks", "ii 11010 ttttt sssss 000 ddddd 0110011", .registerByte, .sm4ks)
    }
}

// The instructions of RV64GC and the extensions of RVA22 and later that Mynah knows: one case an instruction, named as in
// the manual with dots turned into capitals (`fcvt.w.s` is `fcvtWS`). Compressed instructions decode to the case of the
// instruction that they abbreviate.

package enum RISCVOpcode: UInt16, CaseIterable, Sendable {
    /// Any encoding that is none of the others.
    case illegal

    // RV64I
    case lui, auipc, jal, jalr
    case beq, bne, blt, bge, bltu, bgeu
    case lb, lh, lw, ld, lbu, lhu, lwu
    case sb, sh, sw, sd
    case addi, slti, sltiu, xori, ori, andi, slli, srli, srai
    case add, sub, sll, slt, sltu, xor, srl, sra, or, and
    case addiw, slliw, srliw, sraiw
    case addw, subw, sllw, srlw, sraw
    case fence, fenceTso, pause, ecall, ebreak
    // Zifencei, Zicsr
    case fenceI
    case csrrw, csrrs, csrrc, csrrwi, csrrsi, csrrci
    // M
    case mul, mulh, mulhsu, mulhu, div, divu, rem, remu
    case mulw, divw, divuw, remw, remuw
    // A
    case lrW, scW, amoswapW, amoaddW, amoxorW, amoandW, amoorW, amominW, amomaxW, amominuW, amomaxuW
    case lrD, scD, amoswapD, amoaddD, amoxorD, amoandD, amoorD, amominD, amomaxD, amominuD, amomaxuD
    // F
    case flw, fsw
    case fmaddS, fmsubS, fnmsubS, fnmaddS
    case faddS, fsubS, fmulS, fdivS, fsqrtS
    case fsgnjS, fsgnjnS, fsgnjxS, fminS, fmaxS
    case fcvtWS, fcvtWuS, fcvtLS, fcvtLuS
    case fmvXW, feqS, fltS, fleS, fclassS
    case fcvtSW, fcvtSWu, fcvtSL, fcvtSLu, fmvWX
    // D
    case fld, fsd
    case fmaddD, fmsubD, fnmsubD, fnmaddD
    case faddD, fsubD, fmulD, fdivD, fsqrtD
    case fsgnjD, fsgnjnD, fsgnjxD, fminD, fmaxD
    case fcvtSD, fcvtDS
    case fcvtWD, fcvtWuD, fcvtLD, fcvtLuD
    case fmvXD, feqD, fltD, fleD, fclassD
    case fcvtDW, fcvtDWu, fcvtDL, fcvtDLu, fmvDX
    // Zfa
    case fliS, fminmS, fmaxmS, froundS, froundnxS, fleqS, fltqS
    case fliD, fminmD, fmaxmD, froundD, froundnxD, fleqD, fltqD, fcvtmodWD
    // Zba
    case addUw, sh1add, sh2add, sh3add, sh1addUw, sh2addUw, sh3addUw, slliUw
    // Zbb
    case andn, orn, xnor, clz, ctz, cpop, clzw, ctzw, cpopw, max, maxu, min, minu, sextB, sextH, zextH
    case rol, ror, rori, rolw, rorw, roriw, orcB, rev8
    // Zbkb, Zbkc with Zbc, Zbkx: what Zbb has not
    case pack, packh, packw, brev8
    case clmul, clmulh, clmulr
    case xperm4, xperm8
    // Zknd, Zkne, Zknh
    case aes64ds, aes64dsm, aes64im, aes64es, aes64esm, aes64ks1i, aes64ks2
    case sha256sum0, sha256sum1, sha256sig0, sha256sig1, sha512sum0, sha512sum1, sha512sig0, sha512sig1
    // Zksed, Zksh
    case sm4ed, sm4ks, sm3p0, sm3p1
    // Zbs
    case bclr, bclri, bext, bexti, binv, binvi, bset, bseti
    // Zicond
    case czeroEqz, czeroNez
    // Zawrs, Zimop
    case wrsNto, wrsSto
    case mopR, mopRR
    // Zicbom, Zicboz
    case cboInval, cboClean, cboFlush, cboZero
    // The privileged architecture, with Svinval: illegal in user mode
    case mret, sret, wfi, sfenceVma, sinvalVma, sfenceWInval, sfenceInvalIr

    /// Illegal in user mode.
    package var isPrivileged: Bool { rawValue >= RISCVOpcode.mret.rawValue }
}

/// An instruction with its operands as register-file indices: x registers are 0...31, f registers 32...63.
///
/// Operands that an instruction lacks are 0. A destination x0 stays 0: whoever executes must discard the result.
package struct DecodedInstruction: Equatable, Sendable {
    package var opcode: RISCVOpcode
    package var rd: UInt8
    /// Of `csrrwi`, `csrrsi`, `csrrci` the five-bit immediate; of `fli` the index of the constant.
    package var rs1: UInt8
    package var rs2: UInt8
    package var rs3: UInt8
    /// The `rm` field of floating-point instructions: 0...4, or 7 for the dynamic mode.
    package var roundingMode: UInt8
    /// 2 or 4.
    package var byteCount: UInt8
    /// Byte offset of branches, jumps, loads and stores; the value of `lui` and `auipc` (already shifted); shift amount or bit
    /// index; number of a round of AES; number of a byte for SM4 or of an operation of Zimop; CSR number; `fm`, `pred` and `succ`
    /// of a fence; `aq` (2) and `rl` (1) of atomics.
    package var immediate: Int32

    package init(
        _ opcode: RISCVOpcode, rd: UInt8 = 0, rs1: UInt8 = 0, rs2: UInt8 = 0, rs3: UInt8 = 0, roundingMode: UInt8 = 0,
        byteCount: UInt8 = 4, immediate: Int32 = 0
    ) {
        self.opcode = opcode
        self.rd = rd
        self.rs1 = rs1
        self.rs2 = rs2
        self.rs3 = rs3
        self.roundingMode = roundingMode
        self.byteCount = byteCount
        self.immediate = immediate
    }
}

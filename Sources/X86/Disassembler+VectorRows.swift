// The forms on vector registers, SSE and AVX side by side.

extension DisassemblyRows {
    mutating func moves() {
        both(.x0F, .none, 0x10, "movups", "Vx,Wx")
        both(.x0F, .none, 0x11, "movups", "Wx,Vx")
        both(.x0F, .x66, 0x10, "movupd", "Vx,Wx")
        both(.x0F, .x66, 0x11, "movupd", "Wx,Vx")
        for (prefix, name, size) in [(OpcodePrefix.xF3, "movss", "d"), (.xF2, "movsd", "q")] {
            legacy(.x0F, prefix, 0x10, name, "Vo,W\(size)")
            legacy(.x0F, prefix, 0x11, name, "W\(size),Vo")
            vex(.x0F, prefix, 0x10, "v" + name, "Vo,M\(size)")
            vex(.x0F, prefix, 0x10, "v" + name, "Vo,Ho,Uo")
            vex(.x0F, prefix, 0x11, "v" + name, "M\(size),Vo")
            vex(.x0F, prefix, 0x11, "v" + name, "Uo,Ho,Vo")
        }
        binary(.x0F, .none, 0x12, "movlps", "Mq")
        binary(.x0F, .none, 0x12, "movhlps", "Uo")
        both(.x0F, .none, 0x13, "movlps", "Mq,Vo")
        binary(.x0F, .x66, 0x12, "movlpd", "Mq")
        both(.x0F, .x66, 0x13, "movlpd", "Mq,Vo")
        binary(.x0F, .none, 0x16, "movhps", "Mq")
        binary(.x0F, .none, 0x16, "movlhps", "Uo")
        both(.x0F, .none, 0x17, "movhps", "Mq,Vo")
        binary(.x0F, .x66, 0x16, "movhpd", "Mq")
        both(.x0F, .x66, 0x17, "movhpd", "Mq,Vo")
        legacy(.x0F, .xF2, 0x12, "movddup", "Vo,Wq")
        vex(.x0F, .xF2, 0x12, "vmovddup", "Vx,Ux")
        vex(.x0F, .xF2, 0x12, "vmovddup", "Vx,Mc")
        both(.x0F, .xF3, 0x12, "movsldup", "Vx,Wx")
        both(.x0F, .xF3, 0x16, "movshdup", "Vx,Wx")
        both(.x0F, .none, 0x28, "movaps", "Vx,Wx")
        both(.x0F, .none, 0x29, "movaps", "Wx,Vx")
        both(.x0F, .x66, 0x28, "movapd", "Vx,Wx")
        both(.x0F, .x66, 0x29, "movapd", "Wx,Vx")
        both(.x0F, .x66, 0x6E, "movd|movq", "Vo,Ey")
        both(.x0F, .x66, 0x7E, "movd|movq", "Ey,Vo")
        both(.x0F, .xF3, 0x7E, "movq", "Vo,Wq")
        both(.x0F, .x66, 0xD6, "movq", "Wq,Vo")
        both(.x0F, .x66, 0x6F, "movdqa", "Vx,Wx")
        both(.x0F, .x66, 0x7F, "movdqa", "Wx,Vx")
        both(.x0F, .xF3, 0x6F, "movdqu", "Vx,Wx")
        both(.x0F, .xF3, 0x7F, "movdqu", "Wx,Vx")
        both(.x0F, .xF2, 0xF0, "lddqu", "Vx,Mn")
        both(.x0F, .none, 0x50, "movmskps", "Gd,Ux")
        both(.x0F, .x66, 0x50, "movmskpd", "Gd,Ux")
        both(.x0F, .x66, 0xD7, "pmovmskb", "Gd,Ux")
        vex(.x0F, .none, 0x77, "vzeroupper", "")
    }

    mutating func floatArithmetic() {
        let operations: [(UInt8, String)] = [
            (0x58, "add"), (0x59, "mul"), (0x5C, "sub"), (0x5D, "min"), (0x5E, "div"), (0x5F, "max"),
        ]
        for (opcode, name) in operations {
            binary(.x0F, .none, opcode, name + "ps")
            binary(.x0F, .x66, opcode, name + "pd")
            scalar(.xF3, opcode, name + "ss", "Wd")
            scalar(.xF2, opcode, name + "sd", "Wq")
        }
        both(.x0F, .none, 0x51, "sqrtps", "Vx,Wx")
        both(.x0F, .x66, 0x51, "sqrtpd", "Vx,Wx")
        scalar(.xF3, 0x51, "sqrtss", "Wd")
        scalar(.xF2, 0x51, "sqrtsd", "Wq")
        for (opcode, name) in [(0x54, "and"), (0x55, "andn"), (0x56, "or"), (0x57, "xor")] as [(UInt8, String)] {
            binary(.x0F, .none, opcode, name + "ps")
            binary(.x0F, .x66, opcode, name + "pd")
        }
        both(.x0F, .none, 0x2E, "ucomiss", "Vo,Wd")
        both(.x0F, .x66, 0x2E, "ucomisd", "Vo,Wq")
        both(.x0F, .none, 0x2F, "comiss", "Vo,Wd")
        both(.x0F, .x66, 0x2F, "comisd", "Vo,Wq")
        binary(.x0F, .none, 0xC2, "cmp*ps", "Wx", ",P")
        binary(.x0F, .x66, 0xC2, "cmp*pd", "Wx", ",P")
        binary(.x0F, .xF3, 0xC2, "cmp*ss", "Wd", ",P")
        binary(.x0F, .xF2, 0xC2, "cmp*sd", "Wq", ",P")
        binary(.x0F, .none, 0xC6, "shufps", "Wx", ",Ib")
        binary(.x0F, .x66, 0xC6, "shufpd", "Wx", ",Ib")
        for (opcode, name) in [(0x14, "unpcklp"), (0x15, "unpckhp")] as [(UInt8, String)] {
            binary(.x0F, .none, opcode, name + "s")
            binary(.x0F, .x66, opcode, name + "d")
        }
        binary(.x0F, .x66, 0x7C, "haddpd")
        binary(.x0F, .xF2, 0x7C, "haddps")
        both(.x0F3A, .x66, 0x08, "roundps", "Vx,Wx,Ib")
        both(.x0F3A, .x66, 0x09, "roundpd", "Vx,Wx,Ib")
        binary(.x0F3A, .x66, 0x0A, "roundss", "Wd", ",Ib")
        binary(.x0F3A, .x66, 0x0B, "roundsd", "Wq", ",Ib")
        binary(.x0F3A, .x66, 0x21, "insertps", "Wd", ",Ib")
        both(.x0F3A, .x66, 0x17, "extractps", "Ed,Vo,Ib")
    }

    private mutating func scalar(_ prefix: OpcodePrefix, _ opcode: UInt8, _ name: String, _ source: String) {
        binary(.x0F, prefix, opcode, name, source)
    }

    mutating func conversions() {
        binary(.x0F, .xF3, 0x2A, "cvtsi2ss", "Ey")
        binary(.x0F, .xF2, 0x2A, "cvtsi2sd", "Ey")
        for (opcode, name) in [(0x2C, "cvtt"), (0x2D, "cvt")] as [(UInt8, String)] {
            both(.x0F, .xF3, opcode, name + "ss2si", "Gy,Wd")
            both(.x0F, .xF2, opcode, name + "sd2si", "Gy,Wq")
        }
        binary(.x0F, .xF3, 0x5A, "cvtss2sd", "Wd")
        binary(.x0F, .xF2, 0x5A, "cvtsd2ss", "Wq")
        both(.x0F, .none, 0x5A, "cvtps2pd", "Vx,Wh")
        both(.x0F, .x66, 0x5A, "cvtpd2ps", "Vo,Wx")
        both(.x0F, .none, 0x5B, "cvtdq2ps", "Vx,Wx")
        both(.x0F, .x66, 0x5B, "cvtps2dq", "Vx,Wx")
        both(.x0F, .xF3, 0x5B, "cvttps2dq", "Vx,Wx")
        both(.x0F, .xF3, 0xE6, "cvtdq2pd", "Vx,Wh")
        both(.x0F, .x66, 0xE6, "cvttpd2dq", "Vo,Wx")
        both(.x0F, .xF2, 0xE6, "cvtpd2dq", "Vo,Wx")
    }

    mutating func packedIntegers() {
        let binaries: [(UInt8, String)] = [
            (0x60, "punpcklbw"), (0x61, "punpcklwd"), (0x62, "punpckldq"), (0x63, "packsswb"), (0x64, "pcmpgtb"),
            (0x65, "pcmpgtw"),
            (0x66, "pcmpgtd"), (0x67, "packuswb"), (0x68, "punpckhbw"), (0x69, "punpckhwd"), (0x6A, "punpckhdq"),
            (0x6B, "packssdw"),
            (0x6C, "punpcklqdq"), (0x6D, "punpckhqdq"), (0x74, "pcmpeqb"), (0x75, "pcmpeqw"), (0x76, "pcmpeqd"),
            (0xD4, "paddq"), (0xD5, "pmullw"), (0xD8, "psubusb"), (0xD9, "psubusw"), (0xDA, "pminub"),
            (0xDB, "pand"), (0xDC, "paddusb"), (0xDD, "paddusw"), (0xDE, "pmaxub"), (0xDF, "pandn"), (0xE0, "pavgb"),
            (0xE3, "pavgw"), (0xE4, "pmulhuw"), (0xE5, "pmulhw"), (0xE8, "psubsb"), (0xE9, "psubsw"), (0xEA, "pminsw"),
            (0xEB, "por"), (0xEC, "paddsb"), (0xED, "paddsw"), (0xEE, "pmaxsw"), (0xEF, "pxor"),
            (0xF4, "pmuludq"), (0xF5, "pmaddwd"), (0xF6, "psadbw"), (0xF8, "psubb"), (0xF9, "psubw"), (0xFA, "psubd"),
            (0xFB, "psubq"), (0xFC, "paddb"), (0xFD, "paddw"), (0xFE, "paddd"),
        ]
        for (opcode, name) in binaries { binary(.x0F, .x66, opcode, name) }
        let counted: [(UInt8, String)] = [
            (0xD1, "psrlw"), (0xD2, "psrld"), (0xD3, "psrlq"), (0xE1, "psraw"), (0xE2, "psrad"), (0xF1, "psllw"), (0xF2, "pslld"),
            (0xF3, "psllq"),
        ]
        for (opcode, name) in counted {
            legacy(.x0F, .x66, opcode, name, "Vo,Wo")
            vex(.x0F, .x66, opcode, "v" + name, "Vx,Hx,Wo")
        }
        let binaries38: [(UInt8, String)] = [
            (0x00, "pshufb"), (0x01, "phaddw"), (0x02, "phaddd"), (0x04, "pmaddubsw"), (0x08, "psignb"), (0x09, "psignw"),
            (0x0A, "psignd"),
            (0x0B, "pmulhrsw"), (0x28, "pmuldq"), (0x29, "pcmpeqq"), (0x2B, "packusdw"), (0x37, "pcmpgtq"), (0x38, "pminsb"),
            (0x39, "pminsd"), (0x3A, "pminuw"), (0x3B, "pminud"), (0x3C, "pmaxsb"), (0x3D, "pmaxsd"), (0x3E, "pmaxuw"),
            (0x3F, "pmaxud"),
            (0x40, "pmulld"), (0xDC, "aesenc"), (0xDD, "aesenclast"), (0xDE, "aesdec"), (0xDF, "aesdeclast"),
        ]
        for (opcode, name) in binaries38 { binary(.x0F38, .x66, opcode, name) }
        for (opcode, name) in [(0x1C, "pabsb"), (0x1D, "pabsw"), (0x1E, "pabsd"), (0x17, "ptest")] as [(UInt8, String)] {
            both(.x0F38, .x66, opcode, name, "Vx,Wx")
        }
        for (number, name) in ["bw", "bd", "bq", "wd", "wq", "dq"].enumerated() {
            let source = ["Wh", "Wf", "We", "Wh", "Wf", "Wh"][number]
            both(.x0F38, .x66, 0x20 + UInt8(number), "pmovsx" + name, "Vx,\(source)")
            both(.x0F38, .x66, 0x30 + UInt8(number), "pmovzx" + name, "Vx,\(source)")
        }
        both(.x0F, .x66, 0x70, "pshufd", "Vx,Wx,Ib")
        both(.x0F, .xF3, 0x70, "pshufhw", "Vx,Wx,Ib")
        both(.x0F, .xF2, 0x70, "pshuflw", "Vx,Wx,Ib")
        shifts(0x71, ["psrlw": 2, "psraw": 4, "psllw": 6])
        shifts(0x72, ["psrld": 2, "psrad": 4, "pslld": 6])
        shifts(0x73, ["psrlq": 2, "psrldq": 3, "psllq": 6, "pslldq": 7])
        binary(.x0F, .x66, 0xC4, "pinsrw", "EW", ",Ib")
        both(.x0F, .x66, 0xC5, "pextrw", "Gd,Uo,Ib")
        both(.x0F3A, .x66, 0x14, "pextrb", "EB,Vo,Ib")
        both(.x0F3A, .x66, 0x15, "pextrw", "EW,Vo,Ib")
        both(.x0F3A, .x66, 0x16, "pextrd|pextrq", "Ey,Vo,Ib")
        binary(.x0F3A, .x66, 0x20, "pinsrb", "EB", ",Ib")
        legacy(.x0F3A, .x66, 0x22, "pinsrd|pinsrq", "Vo,Ey,Ib")
        vex(.x0F3A, .x66, 0x22, "vpinsrd|vpinsrq", "Vo,Ho,Ey,Ib")
        binary(.x0F3A, .x66, 0x0E, "pblendw", "Wx", ",Ib")
        both(.x0F38, .x66, 0xDB, "aesimc", "Vo,Wo")
        both(.x0F3A, .x66, 0xDF, "aeskeygenassist", "Vo,Wo,Ib")
        binary(.x0F3A, .x66, 0x44, "pclmul*qdq", "Wx", ",Q")
        binary(.x0F3A, .x66, 0x0F, "palignr", "Wx", ",Ib")
        avx2()
    }

    private mutating func shifts(_ opcode: UInt8, _ names: [String: UInt8]) {
        for (name, digit) in names {
            legacy(.x0F, .x66, opcode, name, "Uo,Ib", digit: digit)
            vex(.x0F, .x66, opcode, "v" + name, "Hx,Ux,Ib", digit: digit)
        }
    }

    private mutating func avx2() {
        vex(.x0F38, .x66, 0x18, "vbroadcastss", "Vx,Wd")
        vex(.x0F38, .x66, 0x19, "vbroadcastsd", "Vx,Wq")
        for (opcode, name, source) in [(0x78, "b", "Wb"), (0x79, "w", "Ww"), (0x58, "d", "Wd"), (0x59, "q", "Wq")]
            as [(UInt8, String, String)]
        {
            vex(.x0F38, .x66, opcode, "vpbroadcast" + name, "Vx,\(source)")
        }
        vex(.x0F38, .x66, 0x45, "vpsrlvd|vpsrlvq", "Vx,Hx,Wx")
        vex(.x0F38, .x66, 0x46, "vpsravd", "Vx,Hx,Wx")
        vex(.x0F38, .x66, 0x47, "vpsllvd|vpsllvq", "Vx,Hx,Wx")
        vex(.x0F38, .x66, 0x36, "vpermd", "Vx,Hx,Wx")
        vex(.x0F3A, .x66, 0x00, "vpermq", "Vx,Wx,Ib")
        vex(.x0F3A, .x66, 0x02, "vpblendd", "Vx,Hx,Wx,Ib")
        vex(.x0F3A, .x66, 0x06, "vperm2f128", "Vx,Hx,Wx,Ib")
        vex(.x0F3A, .x66, 0x46, "vperm2i128", "Vx,Hx,Wx,Ib")
        vex(.x0F3A, .x66, 0x18, "vinsertf128", "Vx,Hx,Wo,Ib")
        vex(.x0F3A, .x66, 0x19, "vextractf128", "Wo,Vt,Ib")
        vex(.x0F3A, .x66, 0x38, "vinserti128", "Vx,Hx,Wo,Ib")
        vex(.x0F3A, .x66, 0x39, "vextracti128", "Wo,Vt,Ib")
        vex(.x0F3A, .x66, 0x4A, "vblendvps", "Vx,Hx,Wx,Lx")
        vex(.x0F3A, .x66, 0x4B, "vblendvpd", "Vx,Hx,Wx,Lx")
        vex(.x0F3A, .x66, 0x4C, "vpblendvb", "Vx,Hx,Wx,Lx")
    }

    /// Fused multiply-add: the order of operands in the high digit, the operation in the low one.
    mutating func fused() {
        for (order, digits) in [(0x90, "132"), (0xA0, "213"), (0xB0, "231")] as [(UInt8, String)] {
            for (operation, name) in [(0x8, "madd"), (0xA, "msub"), (0xC, "nmadd"), (0xE, "nmsub")] as [(UInt8, String)] {
                let stem = "vf\(name)\(digits)"
                vex(.x0F38, .x66, order | operation, "\(stem)ps|\(stem)pd", "Vx,Hx,Wx")
                vex(.x0F38, .x66, order | operation | 1, "\(stem)ss|\(stem)sd", "Vo,Ho,Wy")
            }
        }
    }
}

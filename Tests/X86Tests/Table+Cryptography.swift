@testable import X86

extension EncodingTable {
    mutating func cryptographyForms() {
        asm.aesenc(.xmm1, .xmm2); expect("66 0f 38 dc ca", "aesenc xmm1,xmm2")
        asm.aesenclast(.xmm9, .xmm2); expect("66 44 0f 38 dd ca", "aesenclast xmm9,xmm2")
        asm.aesdec(.xmm1, .xmm10); expect("66 41 0f 38 de ca", "aesdec xmm1,xmm10")
        asm.aesdeclast(.xmm9, .xmm10); expect("66 45 0f 38 df ca", "aesdeclast xmm9,xmm10")
        asm.vector(.aesenc, .x128, .xmm9, .xmm1, .xmm10); expect("c4 42 71 dc ca", "vaesenc xmm9,xmm1,xmm10")
        asm.vector(.aesdeclast, .x128, .xmm1, .xmm9, .xmm2); expect("c4 e2 31 df ca", "vaesdeclast xmm1,xmm9,xmm2")
        asm.aesimc(.xmm1, .xmm10); expect("66 41 0f 38 db ca", "aesimc xmm1,xmm10")
        asm.aeskeygenassist(.xmm9, .xmm2, imm: 0x1B); expect("66 44 0f 3a df ca 1b", "aeskeygenassist xmm9,xmm2,0x1b")
        asm.pclmulqdq(.xmm1, .xmm10, imm: 0x22); expect("66 41 0f 3a 44 ca 22", "pclmulqdq xmm1,xmm10,0x22")
        asm.vpclmulqdq(.xmm9, .xmm1, .xmm10, imm: 0x10); expect("c4 43 71 44 ca 10", "vpclmullqhqdq xmm9,xmm1,xmm10")
        asm.pinsrq(.xmm9, .rdi, imm: 1); expect("66 4c 0f 3a 22 cf 01", "pinsrq xmm9,rdi,0x1")
        asm.pinsrq(.xmm1, .r9, imm: 1); expect("66 49 0f 3a 22 c9 01", "pinsrq xmm1,r9,0x1")
        asm.pinsrq(.xmm2, .base(.rbp, 16), imm: 1); expect("66 48 0f 3a 22 55 10 01", "pinsrq xmm2,QWORD PTR [rbp+0x10],0x1")
        asm.pextrq(.r9, .xmm2, imm: 1); expect("66 49 0f 3a 16 d1 01", "pextrq r9,xmm2,0x1")
        asm.pextrq(.rcx, .xmm10, imm: 1); expect("66 4c 0f 3a 16 d1 01", "pextrq rcx,xmm10,0x1")
        asm.paddusb(.xmm3, .xmm12); expect("66 41 0f dc dc", "paddusb xmm3,xmm12")
    }
}

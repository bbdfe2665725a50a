// Expected encodings, from the GNU assembler: branch forms.

@testable import X86

extension EncodingTable {
    mutating func branchForms() {
        asm.jmp(.rax); expect("ff e0", "jmp rax")
        asm.call(.rax); expect("ff d0", "call rax")
        asm.jmp(.rsp); expect("ff e4", "jmp rsp")
        asm.call(.rsp); expect("ff d4", "call rsp")
        asm.jmp(.r11); expect("41 ff e3", "jmp r11")
        asm.call(.r11); expect("41 ff d3", "call r11")
        asm.jmp(.base(.r13, index: .r12, scale: 4)); expect("43 ff 64 a5 00", "jmp QWORD PTR [r13+r12*4+0x0]")
        asm.call(.absolute(-16)); expect("ff 14 25 f0 ff ff ff", "call QWORD PTR ds:0xfffffffffffffff0")
        asm.jmp(.base(.rsp, -128)); expect("ff 64 24 80", "jmp QWORD PTR [rsp-0x80]")
        asm.call(.base(.rsp, index: .rbp, scale: 8, 16)); expect("ff 54 ec 10", "call QWORD PTR [rsp+rbp*8+0x10]")
        asm.jmp(.base(.rbx)); expect("ff 23", "jmp QWORD PTR [rbx]")
        asm.call(.base(.r12, 128)); expect("41 ff 94 24 80 00 00 00", "call QWORD PTR [r12+0x80]")
        asm.ret(); expect("c3", "ret")
        asm.ret(dropping: 16); expect("c2 10 00", "ret 0x10")
        asm.int3(); expect("cc", "int3")
        asm.ud2(); expect("0f 0b", "ud2")
        asm.nop(); expect("90", "nop")
        asm.endbr64(); expect("f3 0f 1e fa", "endbr64")
    }
}

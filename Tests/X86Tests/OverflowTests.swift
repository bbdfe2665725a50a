// A region that is too small: nothing outside it is written, and `finish` says so.

import Testing

@testable import X86

@Suite struct OverflowTests {
    /// More code than fits, of every kind that stores.
    private func emitMuch(_ asm: inout Assembler) {
        let label = asm.makeLabel()
        let near = asm.makeLabel()
        for _ in 0..<40 {
            asm.movImmediate(.r15, 0x1234_5678_9ABC_DEF0)
            asm.mov(.quad, .base(.r12, index: .r13, scale: 8, 0x12345), imm: -1)
            asm.jmp(label)
            asm.jmp(to: CodeRegion.executable)
            asm.cmp(.long, .label(label), imm: 0x1234)
            asm.mov(.quad, .rax, asm.memory(at: CodeRegion.executable))
            asm.nop(bytes: 100)
            asm.align(to: 64)
            asm.emitQuad(0)
        }
        asm.jmpShort(near)
        asm.bind(near)
        asm.bind(label)
        asm.jmp(label)
    }

    @Test(arguments: [0, 1, 15, 31, 32, 33, 47, 64, 100, 256, 1000])
    func nothingIsWrittenOutsideTheRegion(capacity: Int) {
        let region = CodeRegion(capacity: capacity)
        var asm = Assembler()
        defer { asm.deallocate() }
        region.start(&asm)
        emitMuch(&asm)
        #expect(asm.overflowed)
        #expect(!asm.finish())
        #expect(asm.offset == capacity)
        #expect(region.isGuardIntact)
    }

    @Test func theLast32BytesAreOutOfReach() {
        let region = CodeRegion(capacity: 40)
        var asm = Assembler()
        defer { asm.deallocate() }
        region.start(&asm)
        for _ in 0..<8 { asm.ret() }
        #expect(!asm.overflowed && asm.finish() && asm.offset == 8)
        asm.ret()
        #expect(asm.overflowed && !asm.finish() && asm.offset == 40)
    }

    @Test func startingAgainForgetsTheOverflow() {
        let small = CodeRegion(capacity: 16)
        let large = CodeRegion(capacity: 1 << 16)
        var asm = Assembler()
        defer { asm.deallocate() }
        asm.ret()
        #expect(asm.overflowed)
        small.start(&asm)
        emitMuch(&asm)
        #expect(asm.overflowed)
        large.start(&asm)
        emitMuch(&asm)
        #expect(!asm.overflowed && asm.finish())
    }
}

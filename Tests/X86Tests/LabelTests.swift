// Labels and their references, displacements to absolute addresses, patchable jumps, padding.

import Testing

@testable import X86

@Suite struct LabelTests {
    private let region = CodeRegion(capacity: 1 << 12)

    /// Assembles with `body` and returns the bytes in hexadecimal.
    private func assemble(
        executable: UInt64 = CodeRegion.executable, labelCapacity: Int = 16, _ body: (inout Assembler) -> Void
    ) -> String {
        var asm = Assembler(labelCapacity: labelCapacity)
        defer { asm.deallocate() }
        region.start(&asm, executable: executable)
        body(&asm)
        #expect(asm.finish())
        return region.hex(0..<asm.offset)
    }

    @Test func backwardJumpsAreShortWhereTheyReach() {
        let code = assemble { asm in
            let loop = asm.makeBoundLabel()
            asm.jmp(loop)
            asm.jcc(.ne, loop)
            asm.call(loop)
        }
        #expect(code == "eb fe 75 fc e8 f7 ff ff ff")
    }

    @Test func theShortFormEndsAt128BytesBack() {
        for (filler, isShort) in [(126, true), (127, false)] {
            let code = assemble { asm in
                let loop = asm.makeBoundLabel()
                for _ in 0..<filler { asm.nop() }
                asm.jmp(loop)
            }
            #expect(code.hasSuffix(isShort ? "90 eb 80" : "90 e9 7c ff ff ff"))
        }
    }

    @Test func forwardReferencesAreChainedAndResolved() {
        let code = assemble { asm in
            let end = asm.makeLabel()
            asm.jmp(end)
            asm.jcc(.g, end)
            asm.call(end)
            asm.bind(end)
            asm.ret()
        }
        #expect(code == "e9 0b 00 00 00 0f 8f 05 00 00 00 e8 00 00 00 00 c3")
    }

    @Test func shortForwardReferencesAreChainedAndResolved() {
        let code = assemble { asm in
            let end = asm.makeLabel()
            asm.jccShort(.e, end)
            asm.jmpShort(end)
            asm.jmp(end)
            asm.jccShort(.b, end)
            asm.bind(end)
            asm.jmpShort(end)
        }
        #expect(code == "74 09 eb 07 e9 02 00 00 00 72 00 eb fe")
    }

    @Test func labelsInMemoryOperandsAllowForImmediates() {
        let code = assemble { asm in
            let data = asm.makeLabel()
            asm.mov(.quad, .r9, .label(data))
            asm.cmp(.byte, .label(data), imm: 1)
            asm.cmp(.long, .label(data), imm: 0x1234)
            asm.adds(.double, .xmm0, .label(data))
            asm.bind(data)
            asm.emitQuad(0x1122_3344_5566_7788)
            asm.lea(.quad, .rax, .label(data))
        }
        #expect(
            code == "4c 8b 0d 19 00 00 00 80 3d 12 00 00 00 01 81 3d 08 00 00 00 34 12 00 00 "
                + "f2 0f 58 05 00 00 00 00 88 77 66 55 44 33 22 11 48 8d 05 f1 ff ff ff")
    }

    @Test func labelStorageGrows() {
        let code = assemble(labelCapacity: 1) { asm in
            let labels = (0..<100).map { _ in asm.makeLabel() }
            for label in labels { asm.jmpShort(label); asm.bind(label) }
            #expect(asm.offset(of: labels[99]) == 200)
        }
        #expect(code.hasPrefix("eb 00 eb 00"))
    }

    @Test func finishReportsUnboundLabelsOnlyWhenUsed() {
        var asm = Assembler()
        defer { asm.deallocate() }
        region.start(&asm)
        let label = asm.makeLabel()
        #expect(asm.finish())
        asm.jmp(label)
        #expect(!asm.finish())
        asm.bind(label)
        #expect(asm.isBound(label) && asm.finish())
    }

    @Test func absoluteTargetsCountFromTheExecutableView() {
        let start = CodeRegion.executable
        let code = assemble { asm in
            asm.jmp(to: start + 0x105)
            asm.jcc(.l, to: start)
            asm.call(to: start + 0x7FFF_FFFF)
            #expect(asm.executableAddress == start + 16)
            #expect(asm.reaches(start) && !asm.reaches(start + 1 << 33))
        }
        #expect(code == "e9 00 01 00 00 0f 8c f5 ff ff ff e8 ef ff ff 7f")
    }

    @Test func memoryAtAnAddressIsRelativeToTheInstruction() {
        let start = CodeRegion.executable
        let code = assemble { asm in
            asm.mov(.long, .rax, asm.memory(at: start + 0x100))
            asm.mov(.word, asm.memory(at: start), imm: 7)
        }
        #expect(code == "8b 05 fa 00 00 00 66 c7 05 f1 ff ff ff 07 00")
    }

    @Test(arguments: 0..<8)
    func patchableDisplacementsAreWithinQuadwords(misalignment: Int) {
        let start = CodeRegion.executable + 1
        _ = assemble(executable: start) { asm in
            for _ in 0..<misalignment { asm.int3() }
            let fields = [
                asm.patchableJump(to: start), asm.patchableConditionalJump(.s, to: start), asm.patchableCall(to: start),
            ]
            for field in fields {
                #expect(asm.executableAddress(atOffset: field) & 7 <= 4)
                let displacement = region.bytes.loadUnaligned(fromByteOffset: field, as: Int32.self)
                #expect(Int(displacement) == -(field + 4))
            }
            let immediate = asm.alignedMovabs(.rcx, 0x1234_5678_9abc_def0)
            #expect(asm.executableAddress(atOffset: immediate) & 7 == 0)
            #expect(region.bytes.loadUnaligned(fromByteOffset: immediate, as: UInt64.self) == 0x1234_5678_9abc_def0)
            #expect(region.bytes[immediate - 2] == 0x48 && region.bytes[immediate - 1] == 0xB9)
            #expect(region.bytes[fields[0] - 1] == 0xE9)
            #expect(region.bytes[fields[1] - 1] == 0x88)
            #expect(region.bytes[fields[2] - 1] == 0xE8)
        }
    }

    @Test(arguments: 0..<8)
    func prefixesOfPatchableBranches(misalignment: Int) {
        var instructions: [HostInstruction] = []
        let code = assemble { asm in
            for _ in 0..<misalignment { asm.int3() }
            let target = asm.makeLabel(), comparison = asm.offset
            asm.cmp(.quad, .r9, imm: 5)
            let fields = [
                asm.patchableConditionalJump(.ne, target, behind: comparison), asm.patchableConditionalJump(.e, target),
                asm.patchableCall(target), asm.patchableJump(target),
            ]
            for field in fields { #expect(asm.executableAddress(atOffset: field) & 7 <= 4) }
            asm.bind(target)
            instructions = Disassembler().instructions((misalignment..<asm.offset).map { region.bytes[$0] }, at: 0)
        }
        // The comparison has the prefixes of its jump.
        let prefixes = code.split(separator: " ").dropFirst(misalignment).prefix { $0 == "26" }.count
        #expect(prefixes == [2, 1, 0, 0, 0, 0, 0, 3][misalignment])
        #expect(instructions[0].text == (prefixes > 0 ? "es " : "") + "cmp r9,0x5")
        #expect(instructions[0].byteCount == 4 + prefixes)
        #expect(instructions.map { $0.text.split(separator: " ").first { $0 != "es" } } == ["cmp", "jne", "je", "call", "jmp"])
    }

    @Test func paddingHasTheRecommendedForms() {
        let expected = [
            "90", "66 90", "0f 1f 00", "0f 1f 40 00", "0f 1f 44 00 00", "66 0f 1f 44 00 00",
            "0f 1f 80 00 00 00 00", "0f 1f 84 00 00 00 00 00", "66 0f 1f 84 00 00 00 00 00",
            "66 0f 1f 84 00 00 00 00 00 90",
        ]
        for (index, text) in expected.enumerated() {
            #expect(assemble { $0.nop(bytes: index + 1) } == text)
        }
        #expect(assemble { $0.nop(bytes: 0) } == "")
        #expect(assemble { asm in asm.ret(); asm.align(to: 4); asm.align(to: 4) } == "c3 0f 1f 00")
    }

    @Test func dataIsLittleEndian() {
        let code = assemble { asm in
            asm.emitByte(1)
            asm.emitLong(0x0403_0201)
            asm.emitQuad(0x0807_0605_0403_0201)
        }
        #expect(code == "01 01 02 03 04 01 02 03 04 05 06 07 08")
    }
}

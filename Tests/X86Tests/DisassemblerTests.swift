// The disassembler against the assembler's tables, whose text an outside disassembler confirmed.

import Testing

@testable import X86

@Suite struct DisassemblerTests {
    @Test func everyRowReadsAsItsText() {
        let table = EncodingTable.all(), disassembler = Disassembler()
        for row in table.rows {
            let instruction = disassembler.instruction(row.expected, 0, at: 0x1000)
            #expect(instruction.byteCount == row.expected.count, "\(hex(row.expected)): \(instruction.text)")
            if instruction.text != row.text {
                Issue.record("\(hex(row.expected)) reads '\(instruction.text)', expected '\(row.text)'")
            }
        }
    }

    @Test func transfersSayWhereTheyGo() {
        let code: [UInt8] = [0x0F, 0x85, 0x10, 0, 0, 0, 0xEB, 0xF8, 0xE8, 0xFB, 0xFF, 0xFF, 0xFF, 0x48, 0x8B, 0x05, 4, 0, 0, 0]
        let instructions = Disassembler().instructions(code, at: 0x1000)
        #expect(instructions.map(\.text) == ["jne 0x1016", "jmp 0x1000", "call 0x1008", "mov rax,QWORD PTR [rip+0x4]"])
        #expect(instructions.map(\.target) == [0x1016, 0x1000, 0x1008, nil])
        #expect(instructions[3].relativeOperand == 0x1018)
        let named = Disassembler { $0 == 0x1016 ? "cold" : $0 == 0x1018 ? "constant" : nil }.instructions(code, at: 0x1000)
        #expect(named.map(\.text) == ["jne cold", "jmp 0x1000", "call 0x1008", "mov rax,QWORD PTR [constant]"])
    }

    @Test func anyBytesAreRead() {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        for _ in 0 ..< 2000 {
            let code = (0 ..< 16).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(truncatingIfNeeded: state >> 56)
            }
            let instructions = Disassembler().instructions(code, at: 0)
            #expect(instructions.map(\.byteCount).reduce(0, +) == code.count)
        }
    }

    @Test func truncatedInstructionsAreBytes() {
        #expect(Disassembler().instructions([0x48, 0x8B], at: 0).map(\.text) == [".byte 0x48", ".byte 0x8b"])
        #expect(Disassembler().instructions([0xC5, 0xF2, 0x58], at: 0).first?.text == ".byte 0xc5")
    }

    /// Every form, also those that the assembler does not have, with operands in registers and in memory.
    @Test(.enabled(if: EncodingTests.hasDisassembler, "objdump is not at /usr/bin/objdump; install binutils to run this test"))
    func everyFormReadsAsTheOutsideDisassemblerHasIt() throws {
        var code: [UInt8] = [], texts: [Int: String] = [:]
        for (place, rows) in DisassemblyTable.rows.sorted(by: { "\($0.key)" < "\($1.key)" }) {
            // `endbr64` is four bytes for good: the tables have them.
            for row in rows where row.mnemonic != "endbr64" {
                for encoding in encodings(place, row) {
                    let instruction = Disassembler().instruction(
                        encoding + [UInt8](repeating: 1, count: 10), 0, at: UInt64(code.count))
                    #expect(instruction.text.hasPrefix(".byte") == false, "\(row.mnemonic) \(row.operands): \(hex(encoding))")
                    texts[code.count] = instruction.text
                    code += (encoding + [UInt8](repeating: 1, count: 10)).prefix(instruction.byteCount)
                    while code.count % 16 != 0 { code.append(0x90) }
                }
            }
        }
        #expect(texts.count > 1000)
        let lines = Dictionary(uniqueKeysWithValues: try EncodingTests.disassemble(code).map { ($0.offset, $0.text) })
        for (offset, text) in texts.sorted(by: { $0.key < $1.key }) where lines[offset] != text {
            Issue.record("\(hex(code[offset ..< offset + 16])) reads '\(text)', objdump has '\(lines[offset] ?? "nothing")'")
        }
    }

    /// Encodings of a form: narrow and wide, the vector length both ways where it tells, registers or memory.
    private func encodings(_ place: OpcodePlace, _ row: DisassemblyRow) -> [[UInt8]] {
        let prefix: [UInt8] = [[], [0x66], [0xF3], [0xF2]][Int(place.prefix)]
        let maps: [[UInt8]] = [[], [0x0F], [0x0F, 0x38], [0x0F, 0x3A]]
        var operands: [[UInt8]] = [[]]
        if row.hasModRM {
            let field = (row.digit ?? 3) << 3, isMemory = row.operands.contains { $0.hasPrefix("M") }
            let isRegister =
                row.operands.contains { $0.hasPrefix("U") } || (!row.operands.contains { "EW".contains($0.first!) } && !isMemory)
            operands =
                isMemory
                ? [[0x44 | field, 0x91, 0x40]]
                : isRegister ? [[(row.operands.isEmpty ? 0xC0 : 0xC1) | field]] : [[0xC1 | field], [0x44 | field, 0x91, 0x40]]
        }
        var result: [[UInt8]] = []
        for tail in operands {
            if place.isVEX {
                let usesSecond = row.operands.contains { "HB".contains($0.first!) }
                let hasLength = row.operands.contains { "xhfet".contains($0.last!) },
                    isLongOnly = row.operands.contains { $0.hasSuffix("t") }
                let onlyLong =
                    isLongOnly
                    || ["vpermd", "vpermq", "vperm2f128", "vperm2i128", "vbroadcastsd", "vinsertf128", "vinserti128"].contains(
                        row.mnemonic)
                for wide in row.mnemonic.contains("|") || row.operands.contains(where: { $0.hasSuffix("y") })
                    ? [false, true] : [row.mnemonic == "vpermq"]
                {
                    for long in onlyLong ? [true] : hasLength ? [false, true] : [false] {
                        let second: UInt8 = usesSecond ? ~5 & 15 : 15
                        let last = (wide ? 0x80 : 0) | second << 3 | (long ? 4 : 0) | place.prefix
                        result.append([0xC4, 0xE0 | place.map, last, place.opcode] + tail)
                    }
                }
            } else {
                result.append(prefix + maps[Int(place.map)] + [place.opcode] + tail)
                let isSized = row.mnemonic.contains("|") || row.operands.contains { "vyz".contains($0.last!) && $0 != "Jz" }
                if isSized { result.append(prefix + [0x48] + maps[Int(place.map)] + [place.opcode] + tail) }
            }
        }
        return result
    }
}

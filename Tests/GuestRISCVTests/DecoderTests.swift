import Foundation
import GuestRISCV
import Testing

/// A small generator with a seed, so that failures repeat.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let mixed = (state ^ (state >> 33)) &* 0xff51_afd7_ed55_8ccd
        return mixed ^ (mixed >> 29)
    }
}

@Suite struct DecoderTests {
    @Test func everyRowDecodesToItself() {
        var generator = SeededGenerator(state: 1)
        for (index, row) in RISCVInstructionTable.rows.enumerated() {
            for _ in 0 ..< 50 {
                let bits = RISCVInstructionTable.randomEncoding(row: index, using: &generator)
                #expect(row.matches(bits))
                #expect(RISCVDecoder.row(of: bits) == index, "\(row.mnemonic)")
                let decoded = RISCVDecoder.decode(bits)
                #expect(decoded.opcode == row.opcode && decoded.byteCount == row.byteCount, "\(row.mnemonic)")
            }
        }
    }

    @Test func everyOpcodeHasARow() {
        for opcode in RISCVOpcode.allCases where opcode != .illegal {
            #expect(RISCVInstructionTable.rowOfOpcode[Int(opcode.rawValue)] >= 0, "\(opcode)")
        }
    }

    /// Decoding by buckets agrees with a search through all rows, for every 16-bit encoding and many longer ones.
    @Test func bucketsHideNothing() {
        var generator = SeededGenerator(state: 2)
        var words: [UInt32] = (0 ... 0xffff).filter { $0 & 3 != 3 }
        for (index, row) in RISCVInstructionTable.rows.enumerated() where row.byteCount == 4 {
            for _ in 0 ..< 20 {
                let flipped = UInt32(1) << (UInt32(truncatingIfNeeded: generator.next()) % 30 + 2)
                words.append(RISCVInstructionTable.randomEncoding(row: index, using: &generator) ^ flipped)
            }
        }
        for bits in words {
            let first = RISCVInstructionTable.rows.firstIndex { row in
                row.byteCount == (bits & 3 == 3 ? 4 : 2) && row.matches(bits)
            }
            // A reserved rounding mode makes the encoding illegal even where a later row would match it.
            #expect(RISCVDecoder.row(of: bits) == first ?? -1, "0x\(String(bits, radix: 16))")
        }
    }

    @Test func disassemblyIsLLVMs() throws {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Vectors/disassembly.txt")
        let text = try String(contentsOf: url, encoding: .utf8)
        for (number, line) in text.split(separator: "\n").enumerated() {
            let encoding = try #require(UInt32(line.prefix { $0 != " " }, radix: 16))
            let expected = line.drop { $0 != " " }.dropFirst()
            #expect(
                RISCVDisassembler.text(of: encoding, at: 0x10000 + UInt64(number) * 4) == String(expected),
                "0x\(String(encoding, radix: 16))")
        }
    }

    /// Reserved encodings: the manual's lists for C, shift amounts beyond the width, rounding modes 5 and 6.
    @Test(
        arguments: [
            0x0000, 0x0004, 0x2001, 0x6101, 0x6201, 0x6881, 0x4002, 0x6002, 0x8002, 0x8c40, 0x9c79, 0x9c7d, 0xffff_ffff,
            0x0200_151b,
            0x0205_d51b, 0x02c5_d553, 0x00c5_e553, 0x0000_0000, 0x3020_0173, 0x1050_8073, 0x0000_700b, 0x5805_8553 | 1 << 20,
            0xf000_9053,
        ] as [UInt32])
    func reservedEncodingsAreIllegal(bits: UInt32) {
        let decoded = RISCVDecoder.decode(bits)
        #expect(decoded.opcode == .illegal, "0x\(String(bits, radix: 16)) is \(RISCVDisassembler.text(of: bits, at: 0))")
        #expect(decoded.byteCount == (bits & 3 == 3 ? 4 : 2))
    }

    @Test func decodedInstructionIsSmall() {
        #expect(MemoryLayout<DecodedInstruction>.size <= 16)
    }
}

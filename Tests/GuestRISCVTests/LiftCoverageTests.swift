// Random encodings of every instruction row: each lifts to a well-formed block, and only the instructions that have no lift on
// purpose go to the interpreter.

import Guest
import GuestRISCV
import IR
import TestSupport
import Testing

/// Numbers that are the same in every run.
extension InstructionRow {
    /// An encoding whose free bits are random; nil when the bits happen to belong to another row.
    func randomEncoding(_ random: inout SplitMix) -> UInt32? {
        let width: UInt32 = byteCount == 2 ? 0xffff : ~0
        let bits = (UInt32(truncatingIfNeeded: random.next()) & ~fixedMask & width) | fixedBits
        return matches(bits) && RISCVDecoder.decode(bits).opcode == opcode ? bits : nil
    }
}

@Suite struct LiftCoverageTests {
    static let interpreted: Set<RISCVOpcode> = [
        .lrW, .lrD, .scW, .scD, .fclassS, .fclassD, .fminmS, .fmaxmS, .fminmD, .fmaxmD, .fcvtmodWD,
        .cboInval, .cboClean, .cboFlush, .cboZero, .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci,
    ]

    @Test func everyRowLifts() {
        var random = SplitMix(seed: 1)
        for row in RISCVInstructionTable.rows {
            for _ in 0 ..< 100 {
                guard let bits = row.randomEncoding(&random) else { continue }
                let lifted = lift(ByteCode([bits], byteCount: Int(row.byteCount)))
                #expect(lifted.instructions.last?.opcode.effects.contains(.terminal) == true, "\(row.mnemonic)")
                #expect(lifted.function.blocks == [Block(start: 0, end: Int32(lifted.function.count), parameterCount: 0)])
                #expect(Verifier.messages(for: lifted.function) == [], "\(row.mnemonic)")
                #expect(lifted.code.instructionCount == 1)
                let instruction = RISCVDecoder.decode(bits)
                let isStatic = instruction.roundingMode != 7 && instruction.roundingMode != 0
                if lifted.opcodes.contains(.interpretOne) {
                    #expect(LiftCoverageTests.interpreted.contains(row.opcode) || isStatic, "\(row.mnemonic)")
                }
            }
        }
    }
}

// Random encodings of a row, for fuzzing: what the pattern leaves free is drawn; what decodes to another row is drawn again.

extension RISCVInstructionTable {
    /// An encoding of the row at `index`; that of a compressed one is in the low 16 bits.
    package static func randomEncoding(row index: Int, using generator: inout some RandomNumberGenerator) -> UInt32 {
        let row = rows[index]
        let width: UInt32 = row.byteCount == 4 ? .max : 0xffff
        while true {
            let random = UInt32(truncatingIfNeeded: generator.next())
            let bits = row.fixedBits | random & ~row.fixedMask & width
            if RISCVDecoder.row(of: bits) == index { return bits }
        }
    }
}

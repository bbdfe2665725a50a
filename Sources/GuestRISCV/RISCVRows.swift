// The table of instructions: one row each, from which decoder, disassembler and random instructions derive.
//
// A pattern has one character a bit, highest first: 0 and 1 are fixed, a letter names the field (d rd, s rs1, t rs2,
// u rs3, m rm, n number of a round, i immediate, a aq, r rl). A field written in capitals must not be all zero. Of two rows that
// match an encoding, the earlier one counts.

/// One instruction.
package struct InstructionRow: Sendable {
    package let mnemonic: StaticString
    package let opcode: RISCVOpcode
    package let format: RISCVFormat
    /// 2 or 4.
    package let byteCount: UInt8
    /// Bits that identify the instruction, and their values.
    package let fixedMask: UInt32
    package let fixedBits: UInt32
    /// At least one of these bits must be set; no bits when there is no such demand.
    package let nonzeroMask: UInt32
    /// The instruction has an `rm` field.
    package let isRounded: Bool
    /// Values of a field that are no instruction.
    let reserved: ReservedValues

    /// Whether `bits` is an encoding of this row, rows before it left aside.
    package func matches(_ bits: UInt32) -> Bool {
        bits & fixedMask == fixedBits && (nonzeroMask == 0 || bits & nonzeroMask != 0)
            && !reserved.contain(bits)
    }
}

/// Which encodings of a row are reserved beyond what its pattern says.
enum ReservedValues: UInt8, Sendable {
    case none
    /// 5 and 6 of the `rm` field.
    case roundingModes
    /// 11 to 15 of the number of a round of AES.
    case rounds

    @inline(__always) func contain(_ bits: UInt32) -> Bool {
        switch self {
        case .none: false
        case .roundingModes: bits >> 12 & 7 == 5 || bits >> 12 & 7 == 6
        case .rounds: bits >> 20 & 15 > 10
        }
    }
}

/// Collects rows.
struct InstructionRows {
    private(set) var rows: [InstructionRow] = []

    init() { rows.reserveCapacity(320) }

    mutating func insn(_ mnemonic: StaticString, _ pattern: StaticString, _ format: RISCVFormat, _ opcode: RISCVOpcode) {
        var bitCount = 0
        var mask: UInt32 = 0
        var bits: UInt32 = 0
        var nonzero: UInt32 = 0
        var reserved = ReservedValues.none
        var character = pattern.utf8Start
        let end = character + pattern.utf8CodeUnitCount
        while character < end {
            let code = character.pointee
            character += 1
            if code == 0x20 { continue }
            let isFixed: UInt32 = code == 0x30 || code == 0x31 ? 1 : 0
            let isOne: UInt32 = code == 0x31 ? 1 : 0
            let isCapital: UInt32 = code >= 0x41 && code <= 0x5a ? 1 : 0
            mask = mask << 1 | isFixed
            bits = bits << 1 | isOne
            nonzero = nonzero << 1 | isCapital
            if code == 0x6d { reserved = .roundingModes }
            if code == 0x6e { reserved = .rounds }
            bitCount += 1
        }
        precondition(bitCount == 16 || bitCount == 32, "pattern of the wrong length")
        rows.append(
            InstructionRow(
                mnemonic: mnemonic, opcode: opcode, format: format, byteCount: UInt8(bitCount / 8), fixedMask: mask,
                fixedBits: bits, nonzeroMask: nonzero, isRounded: reserved == .roundingModes,
                reserved: reserved))
    }
}

/// The finished table.
package enum RISCVInstructionTable {
    package static let rows: [InstructionRow] = {
        var table = InstructionRows()
        table.addBase()
        table.addSystem()
        table.addMultiplication()
        table.addAtomics()
        table.addSingleFloat()
        table.addDoubleFloat()
        table.addAdditionalFloat()
        table.addBitManipulation()
        table.addCryptography()
        table.addCompressed()
        return table.rows
    }()

    /// The row of an opcode's 32-bit form, indexed by raw value; -1 for `illegal`.
    package static let rowOfOpcode: [Int16] = {
        var result = [Int16](repeating: -1, count: RISCVOpcode.allCases.count)
        for (index, row) in rows.enumerated() where row.byteCount == 4 { result[Int(row.opcode.rawValue)] = Int16(index) }
        return result
    }()
}

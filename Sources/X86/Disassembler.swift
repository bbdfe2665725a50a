// The instruction forms of the assembler as text again: for pinned code, `inspect` and dumps, on any machine.
// Rows (Disassembler+Rows.swift) name operands as Intel's opcode maps do; this file finds the row of some bytes.
// Text is Intel syntax as GNU objdump writes it, which the assembler's tables check row by row.
// Intel 64 manual, volume 2, section 2.1 (prefixes, ModRM, SIB), 2.3 (VEX) and appendix A (opcode maps).

/// One x86-64 instruction as text.
package struct HostInstruction: Equatable, Sendable {
    package var address: UInt64
    package var byteCount: Int
    package var text: String
    /// The address that a direct transfer goes to.
    package var target: UInt64?
    /// The address of an operand that is relative to the instruction pointer.
    package var relativeOperand: UInt64?
}

package struct Disassembler {
    /// Writes the address that a transfer goes to, or that an operand is at; nil for the usual text.
    package var name: (UInt64) -> String? = { _ in nil }

    package init() {}
    package init(naming name: @escaping (UInt64) -> String?) { self.name = name }

    /// All instructions of the code, which is executed at `address`. Bytes that are no known instruction become `.byte`.
    package func instructions(_ code: [UInt8], at address: UInt64) -> [HostInstruction] {
        var result: [HostInstruction] = [], offset = 0
        while offset < code.count {
            result.append(instruction(code, offset, at: address &+ UInt64(offset)))
            offset += result[result.count - 1].byteCount
        }
        return result
    }

    /// The instruction at `offset`, which is executed at `address`.
    package func instruction(_ code: [UInt8], _ offset: Int, at address: UInt64) -> HostInstruction {
        var decoder = InstructionDecoder(code: code, start: offset, address: address)
        if let row = decoder.decode(), let text = decoder.text(of: row, name: name) {
            return HostInstruction(
                address: address, byteCount: decoder.position - offset, text: text, target: decoder.target,
                relativeOperand: decoder.relativeOperand)
        }
        return HostInstruction(address: address, byteCount: 1, text: ".byte 0x" + String(code[offset], radix: 16))
    }
}

/// Where an instruction form is in the opcode maps.
struct OpcodePlace: Hashable {
    /// 0 for the one-byte map, then as VEX numbers them.
    var map: UInt8
    /// Mandatory prefix, as VEX numbers them.
    var prefix: UInt8
    var opcode: UInt8
    var isVEX = false
}

/// An instruction form.
struct DisassemblyRow {
    /// `a|b`: b with REX.W or VEX.W. A `*` stands for the predicate of a comparison.
    var mnemonic: String
    /// As in the opcode maps, between commas; lower-case words are themselves.
    var operands: [String]
    /// The register field of ModRM, where that belongs to the opcode.
    var digit: UInt8?
    var hasModRM: Bool { digit != nil || operands.contains { "EGMUVW".contains($0.first ?? " ") } }
}

/// The state of decoding one instruction.
struct InstructionDecoder {
    let code: [UInt8]
    let start: Int
    let address: UInt64
    var position: Int
    var isTruncated = false
    var hasLock = false, hasOperandSize = false
    /// A segment override without effect, as it is shown.
    var segment = ""
    /// F3 or F2, the last that stood there; 0 for none.
    var repetition: UInt8 = 0
    var hasREX = false, isWide = false, isLong = false
    /// REX.R, X and B, as 8 or 0.
    var extendsRegister: UInt8 = 0, extendsIndex: UInt8 = 0, extendsBase: UInt8 = 0
    /// VEX.vvvv.
    var second: UInt8 = 0
    var opcode: UInt8 = 0
    var modRM: UInt8 = 0
    /// What ModRM says of memory, as text in brackets.
    var memory: String?
    var target: UInt64?
    var relativeOperand: UInt64?
    /// The displacement to add to the end of the instruction.
    var pendingRelative: Int64?

    init(code: [UInt8], start: Int, address: UInt64) {
        self.code = code
        self.start = start
        self.address = address
        position = start
    }

    mutating func byte() -> UInt8 {
        guard position < code.count, position - start < 15 else {
            isTruncated = true
            return 0
        }
        position += 1
        return code[position - 1]
    }

    /// A little-endian number, sign-extended.
    mutating func number(_ byteCount: Int) -> Int64 {
        var value: UInt64 = 0
        for index in 0 ..< byteCount { value |= UInt64(byte()) << UInt64(index * 8) }
        let unused = Int64(64 - byteCount * 8)
        return (Int64(bitPattern: value) << unused) >> unused
    }

    // MARK: Prefixes and opcode

    /// Consumes prefixes, opcode, ModRM, SIB and displacement.
    mutating func decode() -> DisassemblyRow? {
        var next = byte()
        prefixes: while true {
            switch next {
            case 0x66: hasOperandSize = true
            case 0x26, 0x2E: segment = next == 0x26 ? "es " : "cs "
            case 0xF0: hasLock = true
            case 0xF2, 0xF3: repetition = next
            default: break prefixes
            }
            next = byte()
        }
        if next == 0xC4 || next == 0xC5 { return decodeVEX(isShort: next == 0xC5) }
        if next & 0xF0 == 0x40 {
            hasREX = true
            isWide = next & 8 != 0
            extendsRegister = (next << 1) & 8
            extendsIndex = (next << 2) & 8
            extendsBase = (next << 3) & 8
            next = byte()
        }
        var map: UInt8 = 0
        if next == 0x0F {
            map = 1
            next = byte()
            if next == 0x38 || next == 0x3A {
                map = next == 0x38 ? 2 : 3
                next = byte()
            }
        }
        opcode = next
        // A prefix may belong to the opcode; where it does not, 66 selects the operand size.
        let prefix: UInt8 = repetition == 0xF3 ? 2 : repetition == 0xF2 ? 3 : hasOperandSize ? 1 : 0
        for candidate in [prefix, 0] {
            if let row = row(OpcodePlace(map: map, prefix: candidate, opcode: opcode)) { return row }
        }
        return nil
    }

    private mutating func decodeVEX(isShort: Bool) -> DisassemblyRow? {
        let first = byte()
        extendsRegister = ~first >> 4 & 8
        var map: UInt8 = 1, last = first
        if !isShort {
            extendsIndex = ~first >> 3 & 8
            extendsBase = ~first >> 2 & 8
            map = first & 31
            last = byte()
            isWide = last & 0x80 != 0
        }
        second = ~last >> 3 & 15
        isLong = last & 4 != 0
        opcode = byte()
        return row(OpcodePlace(map: map, prefix: last & 3, opcode: opcode, isVEX: true))
    }

    /// The form at the place that ModRM agrees with; ModRM is consumed then.
    private mutating func row(_ place: OpcodePlace) -> DisassemblyRow? {
        guard let rows = DisassemblyTable.rows[place], let first = rows.first else { return nil }
        guard first.hasModRM else { return isTruncated ? nil : first }
        let before = position
        modRM = byte()
        let isRegister = modRM >> 6 == 3
        let match = rows.first { row in
            if let digit = row.digit, digit != modRM >> 3 & 7 { return false }
            if row.operands.contains(where: { $0.hasPrefix("M") }) { return !isRegister }
            if row.operands.contains(where: { $0.hasPrefix("U") }) { return isRegister }
            return true
        }
        guard let match else {
            position = before
            return nil
        }
        if !isRegister { decodeMemory() }
        return isTruncated ? nil : match
    }

    // MARK: Memory operands

    private mutating func decodeMemory() {
        let mode = modRM >> 6, low = modRM & 7
        var base: String? = InstructionDecoder.quads[Int(low | extendsBase)], index: String?
        if low == 4 {
            let sib = byte()
            base = InstructionDecoder.quads[Int(sib & 7 | extendsBase)]
            let number = sib >> 3 & 7 | extendsIndex
            if number != 4 { index = "\(InstructionDecoder.quads[Int(number)])*\(1 << Int(sib >> 6))" }
            if sib & 7 == 5, mode == 0 { base = nil }
        } else if low == 5, mode == 0 {
            pendingRelative = number(4)
            return
        }
        let byteCount = mode == 1 ? 1 : mode == 2 || base == nil ? 4 : 0
        let displacement = number(byteCount)
        if base == nil, index == nil {
            memory = "ds:0x" + String(UInt64(bitPattern: displacement), radix: 16)
            return
        }
        var text = [base, index].compactMap { $0 }.joined(separator: "+")
        if byteCount > 0 { text += (displacement < 0 ? "-0x" : "+0x") + String(displacement.magnitude, radix: 16) }
        memory = "[\(text)]"
    }
}

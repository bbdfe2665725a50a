// Operands as text. A form names each by two letters, as the opcode maps of Intel's manual do (volume 2, appendix A.2):
// where it is, and how wide.

extension InstructionDecoder {
    static let quads = [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    ]
    private static let longs = [
        "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d",
    ]
    private static let bytes = [
        "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b",
    ]
    private static let oldBytes = ["al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"]
    private static let predicates = ["eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord"]

    /// The whole instruction; nil when bytes are missing.
    mutating func text(of row: DisassemblyRow, name: (UInt64) -> String?) -> String? {
        var mnemonic = row.mnemonic
        if let bar = mnemonic.firstIndex(of: "|") {
            mnemonic = String(isWide ? mnemonic[mnemonic.index(after: bar)...] : mnemonic[..<bar])
        }
        var operands: [String] = []
        for operand in row.operands {
            if operand == "P" {
                let predicate = byte()
                guard predicate < 8 else { return nil }
                mnemonic = mnemonic.split(separator: "*").joined(separator: InstructionDecoder.predicates[Int(predicate)])
            } else if operand == "Q" {
                // Which halves are multiplied is part of the name where objdump has one for it.
                let halves = byte(), name = [0x00: "lql", 0x01: "hql", 0x02: "lqh", 0x10: "lqh", 0x03: "hqh", 0x11: "hqh"][halves]
                mnemonic = mnemonic.split(separator: "*").joined(separator: name ?? "")
                if name == nil { operands.append("0x" + String(halves, radix: 16)) }
            } else {
                operands.append(text(ofOperand: operand))
            }
        }
        if isTruncated { return nil }
        let end = address &+ UInt64(position - start)
        if let pendingRelative {
            let place = end &+ UInt64(bitPattern: pendingRelative)
            relativeOperand = place
            let plain = "[rip\(pendingRelative < 0 ? "-" : "+")0x\(String(pendingRelative.magnitude, radix: 16))]"
            let text = name(place).map { "[\($0)]" } ?? plain
            operands = operands.map {
                $0.hasSuffix(InstructionDecoder.placeholder) ? $0.dropLast(InstructionDecoder.placeholder.count) + text : $0
            }
        }
        if let target { operands = [name(target) ?? "0x" + String(target, radix: 16)] }
        let prefix = (hasLock ? "lock " : "") + segment
        return prefix + mnemonic + (operands.isEmpty ? "" : " " + operands.joined(separator: ","))
    }

    /// Stands for the operand whose address is known when the instruction's end is.
    private static let placeholder = "[rip]"

    /// Bytes of an operand: v by REX.W and prefix 66, y by W; x by the vector length, h, f, e a half, a quarter, an eighth of it,
    /// and c the whole of the long one but half of the short one.
    private func byteCount(_ size: Character) -> Int {
        switch size {
        case "b": return 1
        case "w": return 2
        case "d": return 4
        case "q": return 8
        case "y": return isWide ? 8 : 4
        case "x": return isLong ? 32 : 16
        case "h": return isLong ? 16 : 8
        case "f": return isLong ? 8 : 4
        case "e": return isLong ? 4 : 2
        case "c": return isLong ? 32 : 8
        case "o": return 16
        case "t": return 32
        default: return isWide ? 8 : hasOperandSize ? 2 : 4
        }
    }

    private mutating func text(ofOperand operand: String) -> String {
        guard let kind = operand.first, kind.isUppercase, let size = operand.last else { return operand }
        let register = modRM >> 3 & 7 | extendsRegister, other = modRM & 7 | extendsBase
        switch kind {
        case "G": return general(register, byteCount(size))
        case "E", "M": return generalOrMemory(other, size)
        case "Z": return general(opcode & 7 | extendsBase, byteCount(size))
        case "A": return general(0, byteCount(size))
        case "B": return general(second, byteCount(size))
        case "V": return vector(register, size)
        case "H": return vector(second, size)
        case "U": return vector(other, size)
        case "W": return modRM >> 6 == 3 ? vector(other, size) : memoryText(byteCount(size))
        case "L": return vector(byte() >> 4, size)
        case "J":
            let distance = number(size == "b" ? 1 : 4)
            target = address &+ UInt64(position - start) &+ UInt64(bitPattern: distance)
            return ""
        default: return immediate(size)
        }
    }

    /// Ib a byte as it is; Is a byte, and Iz up to four bytes, sign-extended to the operand's size; Iq eight bytes or fewer; Ip
    /// pushed.
    private mutating func immediate(_ size: Character) -> String {
        let width = byteCount("v")
        let value: Int64, kept: Int
        switch size {
        case "b": (value, kept) = (number(1), 1)
        case "w": (value, kept) = (number(2), 2)
        case "s": (value, kept) = (number(1), width)
        case "z": (value, kept) = (number(min(width, 4)), width)
        case "p": (value, kept) = (number(4), 8)
        case "r": (value, kept) = (number(1), 8)
        default: (value, kept) = (number(width), width)
        }
        let mask: UInt64 = kept == 8 ? ~0 : 1 << UInt64(kept * 8) - 1
        return "0x" + String(UInt64(bitPattern: value) & mask, radix: 16)
    }

    private func general(_ number: UInt8, _ byteCount: Int) -> String {
        let index = Int(number)
        switch byteCount {
        case 1: return !hasREX && number < 8 ? InstructionDecoder.oldBytes[index] : InstructionDecoder.bytes[index]
        case 2: return number < 8 ? String(InstructionDecoder.quads[index].dropFirst()) : InstructionDecoder.quads[index] + "w"
        case 4: return InstructionDecoder.longs[index]
        default: return InstructionDecoder.quads[index]
        }
    }

    /// In capitals: a size in memory, of which a register is used as 32 bits; O one of two general registers. `n` has no size.
    private func generalOrMemory(_ number: UInt8, _ size: Character) -> String {
        let isRegister = modRM >> 6 == 3
        switch size {
        case "B": return isRegister ? general(number, 4) : memoryText(1)
        case "W": return isRegister ? general(number, 4) : memoryText(2)
        case "O": return (isWide ? "OWORD PTR " : "QWORD PTR ") + (memory ?? InstructionDecoder.placeholder)
        case "n": return memoryText(0)
        default: return isRegister ? general(number, byteCount(size)) : memoryText(byteCount(size))
        }
    }

    /// 128 bits, or 256 where the size says so.
    private func vector(_ number: UInt8, _ size: Character) -> String {
        (size == "x" && isLong || size == "t" ? "ymm" : "xmm") + String(number)
    }

    private func memoryText(_ byteCount: Int) -> String {
        let names = [
            0: "", 1: "BYTE PTR ", 2: "WORD PTR ", 4: "DWORD PTR ", 8: "QWORD PTR ", 16: "XMMWORD PTR ", 32: "YMMWORD PTR ",
        ]
        return (names[byteCount] ?? "") + (memory ?? InstructionDecoder.placeholder)
    }
}

// How the monitor shows memory: `8xg` is eight times, hexadecimal, giant words of eight bytes.

import Guest
import GuestRISCV

struct ExamineFormat: Equatable {
    var count = 1
    var kind: Character = "x"
    var size = 4

    /// Nil when the text is no format. Parts that are left out keep their defaults.
    init?(_ text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        if !digits.isEmpty {
            guard let number = Int(digits), (1...100_000).contains(number) else { return nil }
            count = number
        }
        let sizes: [Character: Int] = ["b": 1, "h": 2, "w": 4, "g": 8]
        for letter in text.dropFirst(digits.count) {
            if let bytes = sizes[letter] { size = bytes } else if "xduci".contains(letter) { kind = letter } else { return nil }
        }
        if kind == "c" { size = 1 }
    }

    /// - Parameters:
    ///   - read: the byte at an address; nil when there is none.
    ///   - instruction: text and size in bytes of the instruction at an address.
    func text(at start: UInt64, read: (UInt64) -> UInt8?, instruction: (UInt64) -> (String, Int)?) -> String {
        var text = "", address = start
        let perLine = kind == "c" ? 16 : max(1, 16 / size)
        for index in 0..<count {
            if kind == "i" {
                guard let (line, size) = instruction(address) else { return text + unreadable(address) }
                text += "\(hexadecimal(address)): \(line)\n"
                address &+= UInt64(size)
                continue
            }
            if index % perLine == 0 { text += (index > 0 ? "\n" : "") + "\(hexadecimal(address)):" }
            var value: UInt64 = 0
            for byte in 0..<size {
                guard let next = read(address &+ UInt64(byte)) else { return text + "\n" + unreadable(address) }
                value |= UInt64(next) << UInt64(8 * byte)
            }
            text += " " + shown(value)
            address &+= UInt64(size)
        }
        return kind == "i" ? text : text + "\n"
    }

    private func unreadable(_ address: UInt64) -> String { "cannot read \(hexadecimal(address)): no RAM there, or not mapped\n" }

    private func shown(_ value: UInt64) -> String {
        switch kind {
        case "d":
            let unused = UInt64(64 - 8 * size)
            return String(Int64(bitPattern: value << unused) >> Int64(unused))
        case "u": return String(value)
        case "c":
            return (0x20..<0x7f).contains(value)
                ? "'\(Character(UnicodeScalar(UInt8(value))))'" : "\\x" + String(value, radix: 16)
        default:
            let digits = String(value, radix: 16)
            return "0x" + String(repeating: "0", count: 2 * size - digits.count) + digits
        }
    }
}

extension RISCVHart {
    /// The instruction at an address, read byte by byte.
    func disassemble(at address: UInt64, _ read: (UInt64) -> UInt8?) -> (String, Int)? {
        var bytes: [UInt8] = []
        for offset in 0..<4 {
            guard let byte = read(address &+ UInt64(offset)) else { break }
            bytes.append(byte)
        }
        guard bytes.count >= 2 else { return nil }
        let isLong = bytes[0] & 3 == 3
        if isLong && bytes.count < 4 { return nil }
        let padded = bytes + [0, 0, 0, 0]
        return padded.withUnsafeBytes { buffer in
            let window = CodeWindow(start: address, end: address &+ UInt64(bytes.count), host: buffer.baseAddress!)
            let instruction = RISCV64Machine().disassemble(at: address, in: window)
            return (instruction.text, instruction.byteCount)
        }
    }
}

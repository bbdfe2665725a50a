// Host code as text, by objdump where it is installed; Mynah has an assembler but no x86 disassembler of its own.

import Glibc
import Mynah

enum HostDisassembler {
    /// The instructions of each row's host code; hexadecimal bytes where objdump is missing.
    static func lines(of view: TranslationView) -> [[String]] {
        let start = view.rows.map(\.hostAddress).filter { $0 != 0 }.min() ?? 0
        var code: [UInt8] = []
        // Rows are in the order of the code, without gaps.
        for row in view.rows where !row.host.isEmpty { code += row.host }
        guard let instructions = disassembled(code, at: start) else { return view.rows.map { hexadecimal($0.host) } }
        return view.rows.map { row in
            let range = row.hostAddress ..< row.hostAddress &+ UInt64(row.host.count)
            return instructions.filter { range.contains($0.address) }.map(\.text)
        }
    }

    private static func disassembled(_ code: [UInt8], at address: UInt64) -> [(address: UInt64, text: String)]? {
        guard !code.isEmpty, let objdump = Files.findProgram("objdump") else { return nil }
        let path = "\(Console.environmentVariable("TMPDIR") ?? "/tmp")/mynah-inspect-\(getpid()).bin"
        guard let file = fopen(path, "w") else { return nil }
        defer { unlink(path) }
        fwrite(code, 1, code.count, file)
        fclose(file)
        let command = [
            objdump, "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--no-show-raw-insn", "--adjust-vma=\(address)", path,
        ]
        guard let result = try? ChildProcess.run(command), result.status == 0 else { return nil }
        return String(decoding: result.output, as: UTF8.self).split(separator: "\n").compactMap { line in
            let parts = line.split(separator: "\t", maxSplits: 1)
            guard parts.count == 2, let place = parts[0].split(separator: ":").first,
                let address = UInt64(place.drop { $0 == " " }, radix: 16)
            else { return nil }
            return (address, parts[1].split(separator: " ", omittingEmptySubsequences: true).joined(separator: " "))
        }
    }

    static func hexadecimal(_ bytes: [UInt8]) -> [String] {
        stride(from: 0, to: bytes.count, by: 16).map { start in
            bytes[start ..< min(start + 16, bytes.count)].map { byte in
                String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
            }.joined(separator: " ")
        }
    }
}

// Every row of the tables, against the bytes an outside assembler made and the text an outside disassembler reads.

import Foundation
import Testing

@testable import X86

@Suite struct EncodingTests {
    @Test func everyRowEmitsTheExpectedBytes() {
        let table = EncodingTable.all()
        #expect(table.rows.count > 1500)
        for row in table.rows where row.emitted != row.expected {
            Issue.record("\(row.text): emitted \(hex(row.emitted)), expected \(hex(row.expected))")
        }
    }

    static let disassembler = "/usr/bin/objdump"
    static let hasDisassembler = FileManager.default.isExecutableFile(atPath: disassembler)

    @Test(.enabled(if: hasDisassembler, "objdump is not at /usr/bin/objdump; install binutils to run this test"))
    func everyRowDisassemblesToItsText() throws {
        let table = EncodingTable.all()
        let lines = try EncodingTests.disassemble(table.rows.flatMap(\.emitted))
        #expect(lines.count == table.rows.count)
        for ((_, line), row) in zip(lines, table.rows) where line != row.text {
            Issue.record("\(hex(row.emitted)) reads '\(line)', expected '\(row.text)'")
        }
    }

    /// One line of Intel syntax per instruction, blanks collapsed and comments dropped.
    static func disassemble(_ code: [UInt8]) throws -> [(offset: Int, text: String)] {
        let directory = FileManager.default.temporaryDirectory
        let file = directory.appendingPathComponent("x86-\(UUID().uuidString).bin")
        try Data(code).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: EncodingTests.disassembler)
        process.arguments = [
            "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--insn-width=16", file.path,
        ]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return text.split(separator: "\n").compactMap { line in
            let columns = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard columns.count == 3 else { return nil }
            let withoutComment = columns[2].prefix { $0 != "#" && $0 != "<" }
            guard let offset = Int(columns[0].drop { $0 == " " }.prefix { $0 != ":" }, radix: 16) else { return nil }
            return (offset, withoutComment.split(separator: " ").joined(separator: " "))
        }
    }
}

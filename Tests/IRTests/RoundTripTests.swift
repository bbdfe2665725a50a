import Foundation
import IR
import Testing

private func caseText(_ name: String) throws -> String {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases/\(name)")
    return try String(contentsOf: url, encoding: .utf8)
}

@Test func everySyntaxReadsBackAsItWasWritten() throws {
    let text = try caseText("every-operation.ir")
    let function = try Parser().parse(text)
    #expect(Verifier.messages(for: function) == [])
    #expect(Printer().text(of: function) == text)
}

@Test func slotNamesAreUsed() throws {
    let names = ["zero", "ra"]
    let text = "block0:\n  %0 = read.i64 ra\n  write.i64 s2, %0\n  exit 0x4\n"
    #expect(Printer(slotNames: names).text(of: try Parser(slotNames: names).parse(text)) == text)
}

@Test func handNumberedTextIsRenumbered() throws {
    let function = try Parser().parse("block0:\n  boundary 0x0 ; start\n  %0 = read.i64 s1\n  exitIndirect %0\n")
    #expect(Printer().text(of: function) == "block0:\n  boundary 0x0\n  %1 = read.i64 s1\n  exitIndirect %1\n")
}

@Test(arguments: [
    ("block0:\n  exit", 2, "expected a number but found the end of the line"),
    ("block0:\n  %1 = ad.i64 %0, %0\n", 2, "unknown operation 'ad.i64'"),
    ("block0:\n  %1 = add.i65 %0, %0\n", 2, "unknown type 'i65'"),
    ("block0:\n  exitIf %3, 0x4\n  exit 0x4", 2, "%3 has no definition"),
    ("  exit 0x4", 1, "an instruction before the first block"),
    ("block1:\n", 1, "block1 where block0 is next"),
    ("block0:\n  %1 = const.i64 1\n  %1 = const.i64 2", 3, "%1 is defined twice"),
    ("block0:\n  const.i64 1\n", 2, "the result of const.i64 has no name"),
    ("block0:\n  %1 = load.i64 [%0 + %0*3] u8\n", 2, "a scale is 1, 2, 4 or 8"),
    ("block0:\n  exit 0x4 0x5\n", 2, "unexpected '0x5'"),
])
func mistakesAreReported(text: String, line: Int, reason: String) {
    #expect(throws: ParseError(line: line, reason: reason)) { try Parser().parse(text) }
}

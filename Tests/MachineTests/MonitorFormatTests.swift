// The monitor's formats of memory.

import Testing

@testable import Machine

@Suite struct MonitorFormatTests {
    private let bytes: [UInt8] = [0x41, 0x42, 0xff, 0xff, 0x13, 0x05, 0xa0, 0x02, 0x82, 0x80]

    private func text(_ format: String) -> String? {
        ExamineFormat(format)?.text(at: 0x100) {
            $0 >= 0x100 && $0 < 0x10a ? bytes[Int($0 - 0x100)] : nil
        } instruction: { _ in
            ("nop", 4)
        }
    }

    @Test func numbers() {
        #expect(text("") == "0x100: 0xffff4241\n")
        #expect(text("2xh") == "0x100: 0x4241 0xffff\n")
        #expect(text("1dw") == "0x100: -48575\n")
        #expect(text("1uh") == "0x100: 16961\n")
        #expect(text("1xg") == "0x100: 0x02a00513ffff4241\n")
        #expect(text("4c") == "0x100: 'A' 'B' \\xff \\xff\n")
        #expect(text("2i") == "0x100: nop\n0x104: nop\n")
    }

    @Test func unreadable() { #expect(text("3xw")?.hasSuffix("cannot read 0x108: no RAM there, or not mapped\n") == true) }

    @Test func noFormats() {
        for format in ["0x", "q", "xz", "9999999999999999999999x", "-1"] { #expect(ExamineFormat(format) == nil) }
    }
}

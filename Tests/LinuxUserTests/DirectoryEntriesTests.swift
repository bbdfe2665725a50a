// Records of getdents64 without those of names that are not to be seen.

import Testing

@testable import LinuxUser

@Suite struct DirectoryEntriesTests {
    private func record(_ name: String, _ size: Int = 32) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: size)
        bytes[0] = 7
        bytes[16] = UInt8(size & 255)
        bytes[17] = UInt8(size >> 8)
        for (index, byte) in name.utf8.enumerated() { bytes[19 + index] = byte }
        return bytes
    }

    @Test func namesAreLeftOut() {
        let all = record(".", 24) + record("..", 24) + record("12") + record("123", 300) + record("13")
        #expect(DirectoryEntries.removing([], from: all) == all)
        #expect(
            DirectoryEntries.removing(["12", "4"], from: all) == record(".", 24) + record("..", 24) + record("123", 300)
                + record("13"))
        #expect(DirectoryEntries.removing(["12", "123", ".", "..", "13"], from: all) == [])
    }

    @Test func nonsenseEndsTheList() {
        #expect(DirectoryEntries.removing(["1"], from: record("2") + record("3", 24).dropLast(1)) == record("2"))
        #expect(DirectoryEntries.removing(["1"], from: [UInt8](repeating: 0, count: 100)) == [])
        #expect(DirectoryEntries.removing([], from: [1, 2, 3]) == [])
    }
}

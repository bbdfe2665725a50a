// /proc/self/smaps as the guest sees it, from what the host says.

import Testing

@testable import LinuxUser

@Suite struct ProcMappingsTests {
    /// One mapping of the host's that holds two regions of the guest's, one that is not the guest's, and the stack.
    private let host = """
        00010000-00014000 r--p 00001000 fe:00 77                         /bin/program
        Size:                 16 kB
        KernelPageSize:        4 kB
        Rss:                  16 kB
        THPeligible:           0
        VmFlags: rd mr mw me
        2000000000-2000001000 rw-p 00000000 00:00 0                      [heap]
        Size:                  4 kB
        KernelPageSize:        4 kB
        Rss:                   4 kB
        VmFlags: rd wr mr
        3ffff00000-3ffff10000 rw-p 00000000 00:00 0
        Size:                 64 kB
        KernelPageSize:        4 kB
        Rss:                   8 kB
        VmFlags: rd wr mr

        """
    private let regions = [
        MappingRegion(range: 0x10000..<0x13000, protection: 5), MappingRegion(range: 0x13000..<0x14000, protection: 1),
        MappingRegion(range: 0x3f_fff0_0000..<0x3f_fff1_0000, protection: 3),
    ]

    @Test func usage() throws {
        let text = ProcMappings.usageText(regions: regions, hostUsage: host, named: [("[stack]", 0x3f_fff0_0000)])
        let lines = text.split(separator: "\n").map(String.init)
        try #require(lines.count == 15 && !text.contains("[heap]"), "\(text)")
        #expect(lines[0].hasPrefix("00010000-00013000 r-xp 00001000 fe:00 77 ") && lines[0].hasSuffix(" /bin/program"))
        #expect(
            lines[1...4] == [
                "Size:                 12 kB", "KernelPageSize:        4 kB", "Rss:                  12 kB",
                "VmFlags: rd ex mr mw me",
            ])
        #expect(lines[5].hasPrefix("00013000-00014000 r--p 00004000 fe:00 77 "))
        #expect(
            lines[6...9] == [
                "Size:                  4 kB", "KernelPageSize:        4 kB", "Rss:                   4 kB",
                "VmFlags: rd mr mw me",
            ])
        #expect(lines[10].hasPrefix("3ffff00000-3ffff10000 rw-p ") && lines[10].hasSuffix("[stack]"))
        #expect(lines[13] == "Rss:                   8 kB")
    }

    @Test func summary() {
        let lines = ProcMappings.usageSummary(regions: regions, hostUsage: host).split(separator: "\n")
        #expect(lines.count == 2 && lines[0].hasPrefix("00010000-3ffff10000 ---p ") && lines[0].hasSuffix("[rollup]"))
        #expect(lines[1] == "Rss:                  24 kB")
    }
}

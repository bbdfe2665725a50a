// The first stack of a program, and the vDSO's image, read back the way a C library reads them.

import Testing

@testable import LinuxUser

@Suite struct InitialStackTests {
    private static let top: UInt64 = 0x3f_ffff_f000

    private func layout(_ arguments: [String], _ environment: [String]) -> InitialStack.Layout {
        InitialStack(
            arguments: arguments.map { Array($0.utf8) }, environment: environment.map { Array($0.utf8) },
            executablePath: Array("/bin/program".utf8), platform: "cpu", random: (0..<16).map { UInt8($0) },
            auxiliary: [(AuxiliaryType.pageBytes, 4096), (AuxiliaryType.entry, 0x1234)]
        ).layout(top: Self.top)
    }

    @Test func contents() {
        for arguments in [["program"], ["program", "two words", ""], []] {
            let layout = layout(arguments, ["A=1", "B="])
            #expect(layout.stackPointer % 16 == 0)
            #expect(layout.stackPointer + UInt64(layout.contents.count) == Self.top)
            func word(_ address: UInt64) -> UInt64 {
                layout.contents.withUnsafeBytes {
                    $0.loadUnaligned(fromByteOffset: Int(address - layout.stackPointer), as: UInt64.self)
                }
            }
            func text(_ address: UInt64) -> String {
                String(decoding: layout.contents[Int(address - layout.stackPointer)...].prefix { $0 != 0 }, as: UTF8.self)
            }
            var address = layout.stackPointer
            func next() -> UInt64 {
                defer { address += 8 }
                return word(address)
            }
            #expect(next() == UInt64(arguments.count))
            #expect(arguments.map { _ in text(next()) } == arguments)
            #expect(next() == 0)
            #expect([text(next()), text(next())] == ["A=1", "B="])
            #expect(next() == 0)
            #expect(address == layout.auxiliaryBytes.lowerBound)
            var vector: [UInt64: UInt64] = [:]
            while true {
                let type = next(), value = next()
                if type == 0 { break }
                vector[type] = value
            }
            #expect(address == layout.auxiliaryBytes.upperBound)
            #expect(vector[AuxiliaryType.pageBytes] == 4096 && vector[AuxiliaryType.entry] == 0x1234)
            #expect(
                text(vector[AuxiliaryType.executablePath]!) == "/bin/program" && text(vector[AuxiliaryType.platform]!) == "cpu")
            #expect(word(vector[AuxiliaryType.random]!) == 0x0706_0504_0302_0100)
        }
    }

    /// /proc/self/cmdline is the strings one after the other.
    @Test func strings() {
        let layout = layout(["a", "bc"], ["X=1"])
        let start = Int(layout.argumentBytes.lowerBound - layout.stackPointer)
        #expect(Array(layout.contents[start..<start + layout.argumentBytes.count]) == Array("a\0bc\0".utf8))
        let environment = Int(layout.environmentBytes.lowerBound - layout.stackPointer)
        #expect(Array(layout.contents[environment..<environment + layout.environmentBytes.count]) == Array("X=1\0".utf8))
    }

    @Test func vdso() throws {
        let abi = RISCVLinuxABI()
        let image = abi.vdso
        let file = try ELFBuilder.withFile(image) { try ELFFile(descriptor: $0, path: "vdso") }
        #expect(file.machine == abi.elfMachine && file.isPositionIndependent)
        func word<T: FixedWidthInteger>(_ offset: UInt64) -> T {
            image.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: Int(offset), as: T.self) }
        }
        // li a7, 139; ecall: unwinders look for these words.
        #expect(word(abi.signalReturnOffset) as UInt32 == 0x08b0_0893 && word(abi.signalReturnOffset + 4) as UInt32 == 0x73)
        let dynamic = try #require(file.programHeaders.first { $0.type == ProgramHeader.dynamic })
        var tags: [UInt64: UInt64] = [:]
        for offset in stride(from: dynamic.offset, to: dynamic.offset + dynamic.fileBytes, by: 16) {
            tags[word(offset)] = word(offset + 8)
        }
        let strings = tags[5]!, symbols = tags[6]!, hash = tags[4]!
        func text(_ offset: UInt64) -> String { String(decoding: image[Int(offset)...].prefix { $0 != 0 }, as: UTF8.self) }
        // Through the hash table's only chain.
        var names: [String: UInt64] = [:]
        var index: UInt32 = word(hash + 8)
        while index != 0 {
            let symbol = symbols + UInt64(index) * 24
            let name: UInt32 = word(symbol)
            names[text(strings + UInt64(name))] = word(symbol + 8)
            index = word(hash + 12 + UInt64(index) * 4)
        }
        #expect(names["__vdso_rt_sigreturn"] == abi.signalReturnOffset && names["__vdso_clock_gettime"] != nil)
    }
}

// The outside oracle: random instructions under qemu-riscv64, whose registers and memory must be ours in the end.
//
// One executable holds many sequences. Each loads all registers from a table, runs, and stores them back with fcsr; the table and
// the data are written to standard output at the end. MYNAH_FUZZ_QEMU=N: N sequences in a file (default 40), and as many files
// as MYNAH_FUZZ_QEMU_FILES says.

import CHost
import Engine
import Glibc
import GuestRISCV
import Testing

@Suite struct QemuTests {
    static let sequenceLength = 50
    /// Words of a table: x1...x31 as x, f0...f31, fcsr.
    static let tableWords = 65

    /// Rows that qemu 7.2 knows.
    static let instructions = RandomInstruction(
        rows: RISCVInstructionTable.rows.filter { row in
            switch row.opcode {
            // Of a zero low half, qemu 7.2 counts on into the high half.
            case .ctzw: false
            case .czeroEqz, .czeroNez, .mopR, .mopRR, .wrsNto, .wrsSto, .cboZero, .cboInval, .cboClean, .cboFlush, .pause: false
            default: !isAdditionalFloat("\(row.mnemonic)") && !isAdditionalCompressed("\(row.mnemonic)")
            }
        })

    private static func isAdditionalFloat(_ mnemonic: String) -> Bool {
        ["fli", "fminm", "fmaxm", "fround", "froundnx", "fcvtmod", "fleq", "fltq", "fmvh", "fmvp"].contains { mnemonic.hasPrefix($0 + ".") }
    }

    private static func isAdditionalCompressed(_ mnemonic: String) -> Bool {
        ["lbu", "lhu", "lh", "sb", "sh", "mop", "mul", "zext.b", "sext.b", "zext.h", "sext.h", "zext.w", "not"].contains { mnemonic == "c." + $0 }
    }

    @Test func registersAndMemoryAreQemus() throws {
        guard let qemu = QemuTests.find("qemu-riscv64") else {
            print("qemu-riscv64 is not on PATH: the comparison with it is left out. Debian: apt install qemu-user")
            return
        }
        let count = Int(environmentNumber("MYNAH_FUZZ_QEMU") ?? 40), files = environmentNumber("MYNAH_FUZZ_QEMU_FILES") ?? 1
        let first = environmentNumber("MYNAH_FUZZ_SEED") ?? 1
        for seed in first ..< first + files {
            let arena = GuestArena()
            let image = QemuTests.image(arena, seed: seed, count: count)
            let expected = try QemuTests.run(qemu, TinyELF.file(segment: image.bytes, at: image.start), seed)
            try #require(expected.count == image.outputRange.count, "qemu wrote \(expected.count) bytes")
            let actual = QemuTests.run(image, arena)
            guard let byte = expected.indices.first(where: { expected[$0] != actual[$0] }) else { continue }
            let sequence = byte / 8 / QemuTests.tableWords, word = byte / 8 % QemuTests.tableWords
            let place = sequence < count ? "sequence \(sequence), word \(word)" : "data byte \(byte - count * QemuTests.tableWords * 8)"
            func hexadecimal(_ bytes: [UInt8]) -> String {
                String(bytes[(byte & ~7) ..< (byte & ~7) + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }, radix: 16)
            }
            Issue.record(
                "file \(seed), \(place): \(hexadecimal(actual)), qemu says \(hexadecimal(expected))\n\(sequence < count ? image.listings[sequence] : "")")
        }
    }

    private static func find(_ name: String) -> String? {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        return path.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    // MARK: The program

    struct Image {
        var start: UInt64
        var bytes: [UInt8]
        /// Offsets of what is written out.
        var outputRange: Range<Int>
        var listings: [String]
    }

    /// Tables first, then data, then code, whose first instruction is at the start.
    private static func image(_ arena: GuestArena, seed: UInt64, count: Int) -> Image {
        var random = FuzzRandom(seed: seed &+ 0x9e00)
        let start: UInt64 = 0x12_0000_0000
        let tableBytes = count * tableWords * 8, dataBytes = 16 << 10
        let jumpBytes = 16, tables = jumpBytes, data = tables + tableBytes, code = (data + dataBytes + 15) & ~15
        var listings: [String] = []
        var assembler = GuestAssembler()
        var tableValues: [UInt64] = []
        let center = start + UInt64(data + dataBytes / 2)
        for sequence in 0 ..< count {
            var words = (0 ..< 32).map { _ in random.integer() } + (0 ..< 32).map { _ in random.float() } + [UInt64(random.below(5)) << 5]
            for (index, register) in PointerRegister.all.enumerated() { words[Int(register)] = center + UInt64(index) * 64 }
            words[0] = 0
            // The fuel register points to the table.
            let base = PointerRegister.fuel
            words[Int(base)] = start + UInt64(tables + sequence * tableWords * 8)
            tableValues += words
            func here() -> Int32 { Int32(code + assembler.bytes.count) }
            assembler.address(base, Int32(tables + sequence * tableWords * 8) - here())
            assembler.word(0x03 | 31 << 7 | 3 << 12 | base << 15 | UInt32(64 * 8) << 20)  // ld t6, fcsr
            assembler.word(0x73 | 1 << 12 | 31 << 15 | 3 << 20)  // csrw fcsr, t6
            for register in UInt32(0) ..< 32 { assembler.word(0x07 | register << 7 | 3 << 12 | base << 15 | ((32 + register) * 8) << 20) }
            for register in UInt32(1) ..< 32 where register != base { assembler.word(0x03 | register << 7 | 3 << 12 | base << 15 | register * 8 << 20) }
            let body = assembler.bytes.count
            var lines: [ProgramItem] = []
            for _ in 0 ..< sequenceLength {
                var plain = instructions
                plain.adjustsStack = false
                plain.reservesRounding = false
                let (bits, row) = plain.next(&random)
                lines.append(ProgramItem(content: .plain(bits, byteCount: Int(row.byteCount))))
                if row.byteCount == 2 { assembler.half(bits) } else { assembler.word(bits) }
            }
            listings.append(GuestProgram(seed: seed, items: lines, words: [], roundingMode: 0).listing(at: start + UInt64(code + body)))
            for register in UInt32(1) ..< 32 { assembler.word(store(0x23, register, base, register * 8)) }
            for register in UInt32(0) ..< 32 { assembler.word(store(0x27, register, base, (32 + register) * 8)) }
            assembler.word(0x73 | 31 << 7 | 2 << 12 | 3 << 20)  // csrr t6, fcsr
            assembler.word(store(0x23, 31, base, 64 * 8))
        }
        // write(1, tables, tables and data); exit(0)
        let outputBytes = tableBytes + dataBytes
        assembler.address(11, Int32(tables) - Int32(code + assembler.bytes.count))
        let upper = (UInt32(outputBytes) &+ 0x800) & 0xffff_f000
        assembler.word(0x37 | 12 << 7 | upper)
        assembler.word(0x1b | 12 << 7 | 12 << 15 | (UInt32(outputBytes) &- upper) << 20)
        for word: UInt32 in [0x13 | 10 << 7 | 1 << 20, 0x13 | 17 << 7 | 64 << 20, 0x73, 0x13 | 10 << 7, 0x13 | 17 << 7 | 93 << 20, 0x73] {
            assembler.word(word)
        }
        var entry = GuestAssembler()
        entry.word(0x6f | GuestAssembler.jumpOffset(Int32(code)))
        while entry.bytes.count < jumpBytes { entry.half(1) }
        var bytes = entry.bytes
        for value in tableValues { withUnsafeBytes(of: value) { bytes += $0 } }
        bytes += initialData.prefix(dataBytes)
        while bytes.count < code { bytes.append(0) }
        return Image(start: start, bytes: bytes + assembler.bytes, outputRange: tables ..< data + dataBytes, listings: listings)
    }

    private static func store(_ opcode: UInt32, _ register: UInt32, _ base: UInt32, _ offset: UInt32) -> UInt32 {
        opcode | 3 << 12 | (offset & 31) << 7 | base << 15 | register << 20 | (offset >> 5) << 25
    }

    // MARK: Running

    private static func run(_ qemu: String, _ file: [UInt8], _ seed: UInt64) throws -> [UInt8] {
        let path = "/tmp/mynah-oracle-\(getpid())-\(seed)"
        let handle = try #require(fopen(path, "wb"))
        fwrite(file, 1, file.count, handle)
        fclose(handle)
        chmod(path, 0o755)
        defer { unlink(path) }
        let pipe = try #require(popen("\(qemu) -cpu rv64,zba=true,zbb=true,zbs=true,zbc=true,zk=true,zks=true \(path)", "r"))
        defer { pclose(pipe) }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            if count == 0 { return output }
            output += buffer.prefix(count)
        }
    }

    /// The same program on our side, up to its first system call.
    private static func run(_ image: Image, _ arena: GuestArena) -> [UInt8] {
        let memory = PlainMemory(start: image.start, bytes: image.bytes)
        var configuration = EngineConfiguration()
        configuration.policy = .block
        let engine = try! Engine(isa: RISCV64(), memory: memory, configuration: configuration)
        let cpu = engine.makeCPU()
        defer { cpu.destroy() }
        RISCVState(cpu.state).programCounter = image.start
        let exit = cpu.run()
        mynah_set_current_cpu(nil)
        if exit != .systemCall { Issue.record("our side ended with \(exit) at \(RISCVState(cpu.state).programCounter - image.start)") }
        return Array(memory.bytes[image.outputRange])
    }
}

// `mynah boot --gdb`: the committed bare-metal programs and small ones made here, and a debugger that sends packets.

import GDBStub
import Glibc
import Mynah
import Testing

@testable import MynahCLI

/// A program of a few instructions as firmware: its words go to 0x80000000. Registers by number.
private enum Code {
    static let start: UInt64 = 0x8000_0000, data: UInt64 = 0x8000_1000
    static func i(_ opcode: UInt32, _ function: UInt32, _ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 {
        UInt32(bitPattern: value) << 20 | rs1 << 15 | function << 12 | rd << 7 | opcode
    }
    static func addi(_ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 { i(0x13, 0, rd, rs1, value) }
    static func ld(_ rd: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { i(3, 3, rd, rs1, offset) }
    static func lui(_ rd: UInt32, _ page: UInt32) -> UInt32 { page << 12 | rd << 7 | 0x37 }
    static func auipc(_ rd: UInt32, _ page: UInt32) -> UInt32 { page << 12 | rd << 7 | 0x17 }
    static func store(_ function: UInt32, _ rs2: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: offset)
        return (bits >> 5 & 127) << 25 | rs2 << 20 | rs1 << 15 | function << 12 | (bits & 31) << 7 | 0x23
    }
    static func sd(_ rs2: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { store(3, rs2, rs1, offset) }
    static func sw(_ rs2: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { store(2, rs2, rs1, offset) }
    static func bne(_ rs1: UInt32, _ rs2: UInt32, _ distance: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: distance), high = (bits >> 12 & 1) << 31 | (bits >> 5 & 63) << 25
        return high | rs2 << 20 | rs1 << 15 | 1 << 12 | (bits >> 1 & 15) << 8 | (bits >> 11 & 1) << 7 | 0x63
    }
    static func r(_ function7: UInt32, _ function: UInt32, _ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 {
        function7 << 25 | rs2 << 20 | rs1 << 15 | function << 12 | rd << 7 | 0x33
    }
    static let hang: UInt32 = 0x6f, wfi: UInt32 = 0x1050_0073, ecall: UInt32 = 0x73, ebreak: UInt32 = 0x0010_0073,
        nop = addi(0, 0, 0)
    static func csrrw(_ rd: UInt32, _ csr: UInt32, _ rs1: UInt32) -> UInt32 { csr << 20 | rs1 << 15 | 1 << 12 | rd << 7 | 0x73 }
    static func csrrs(_ rd: UInt32, _ csr: UInt32, _ rs1: UInt32) -> UInt32 { csr << 20 | rs1 << 15 | 2 << 12 | rd << 7 | 0x73 }

    /// Counts in x6 up to x8, which is `count`; each round stores it at `data` and 64 bytes behind, and loads it. Then status 7.
    static func loop(_ count: UInt32) -> [UInt32] {
        [
            auipc(5, 1), addi(6, 0, 0), lui(8, count >> 12), addi(6, 6, 1), sd(6, 5, 0), sd(6, 5, 64), ld(7, 5, 0),
            bne(6, 8, -16),
        ] + end(lui(10, 0x73), addi(10, 10, 0x333))
    }
    static let counts = start + 12, stores = start + 16, loads = start + 24, isDone = start + 32

    /// Writes x10, which the words make, to the test device.
    static func end(_ words: UInt32...) -> [UInt32] { [lui(9, 0x100)] + words + [sw(10, 9, 0), hang] }

    static func file(_ words: [UInt32]) -> String {
        let path = "/tmp/mynah-test-\(getpid())-firmware-\(UInt32.random(in: 0 ... .max))"
        let bytes = words.flatMap { word in (0 ..< 4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } }
        let file = fopen(path, "w")
        _ = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
        fclose(file)
        return path
    }
}

@Suite struct MachineDebuggerTests {
    private static let images = Files.parent(of: Files.parent(of: Files.parent(of: #filePath))) + "/GuestImages/riscv64"
    private typealias Register = DebuggerClient.Register

    private func debug(_ words: [UInt32], _ options: String...) throws -> DebuggerClient {
        let path = Code.file(words)
        defer { unlink(path) }
        return try DebuggerClient(machine: ["--firmware", path, "-m", "32M"] + options)
    }

    private func image(_ name: String, _ options: String...) throws -> DebuggerClient {
        try DebuggerClient(
            machine: [name.hasPrefix("machine") ? "--firmware" : "--kernel", Self.images + "/" + name, "-m", "64M"] + options)
    }

    /// Numbers of registers by name, as the description gives them.
    private func registers(_ client: DebuggerClient) throws -> [String: Int] {
        var text = ""
        while true {
            let part = try client.ask("qXfer:features:read:target.xml:\(String(text.utf8.count, radix: 16)),1000")
            text += part.dropFirst()
            if part.hasPrefix("l") { break }
            guard part.hasPrefix("m") else { throw DebuggerClientError(text: part) }
        }
        var result: [String: Int] = [:]
        for line in text.split(separator: "\n") where line.hasPrefix("<reg ") {
            let words = line.split(separator: "\"")
            result[String(words[1])] = result.count
        }
        #expect(
            text.contains("<feature name=\"org.gnu.gdb.riscv.csr\">")
                && text.contains("<feature name=\"org.gnu.gdb.riscv.virtual\">"))
        return result
    }

    // MARK: Going on and stopping

    @Test func nothingRunsBeforeTheDebuggerSaysSo() throws {
        let client = try image("machine/hello", "--cpus", "2")
        #expect(try client.ask("?").hasPrefix("T05thread:1;"))
        #expect(try client.ask("qfThreadInfo") == "m1,2" && client.ask("qsThreadInfo") == "l" && client.ask("qAttached") == "1")
        for step in 0 ..< 6 {
            #expect(try client.register(Register.pc) == 0x1000 + UInt64(step * 4))
            #expect(try client.ask("vCont;s:1").hasPrefix("T05thread:1;"))
        }
        #expect(try client.register(Register.pc) == Code.start && client.register(Register.pc, thread: "2") == 0x1000)
        #expect(client.printed == "")
        // A range, by the other one.
        #expect(try client.ask("vCont;r1000,1018:2").hasPrefix("T05thread:2;"))
        #expect(try client.register(Register.pc) == Code.start)
        #expect(try client.ask("vCont;c") == "W00")
        let end = try client.finish()
        #expect(end.status == 0 && end.output.hasPrefix("Hello from machine mode.\n2 harts"))
    }

    @Test(arguments: EngineChoice.allCases) func breakpointsStopEveryTime(engine: EngineChoice) throws {
        let client = try debug(Code.loop(0x1_0000), "--engine", engine.rawValue)
        try client.ask("qSupported:swbreak+;hwbreak+")
        let bytes = try client.ask("m80000000,40")
        for (kind, word) in [(0, "swbreak:;"), (1, "hwbreak:;")] {
            try client.insert(kind, Code.stores, 4)
            for _ in 0 ..< 5 {
                let before = try client.register(6)
                let stop = try client.ask("vCont;c")
                #expect(stop.hasPrefix("T05thread:1;\(word)"), "\(stop)")
                #expect(try client.register(Register.pc) == Code.stores && client.register(6) == before + 1)
                #expect(try client.ask("m80000000,40") == bytes, "the guest's memory is as it was")
                try client.stepOver(kind, Code.stores, thread: "1", 4)
                #expect(try client.register(Register.pc) == Code.stores + 4 && client.word(Code.data) == before + 1)
            }
            try client.remove(kind, Code.stores, 4)
        }
        // The end of the loop, which is hot by then.
        try client.insert(1, Code.isDone, 4)
        #expect(try client.ask("vCont;c").contains("hwbreak"))
        #expect(try client.register(6) == 0x1_0000)
        // And back into what is translated, with another one in it.
        try client.setRegister(6, 0)
        try client.setRegister(Register.pc, Code.counts)
        try client.insert(1, Code.loads, 4)
        #expect(try client.ask("vCont;c").contains("hwbreak") && client.register(6) == 1)
        try client.remove(1, Code.loads, 4)
        #expect(try client.ask("vCont;c").contains("hwbreak") && client.register(6) == 0x1_0000)
        try client.remove(1, Code.isDone, 4)
        #expect(try client.ask("vCont;c") == "W07")
        #expect(try client.finish().status == 7)
    }

    @Test(arguments: EngineChoice.allCases) func aRunningMachineIsInterrupted(engine: EngineChoice) throws {
        let client = try debug(Code.loop(0), "--engine", engine.rawValue) // around all of 64 bits
        #expect(try client.goOn { try client.register(6) > 10 }.hasPrefix("T02thread:1;"))
        let before = try client.register(6)
        // In the middle of translations that loop.
        try client.insert(1, Code.loads, 4)
        #expect(try client.ask("vCont;c").hasPrefix("T05") && client.register(Register.pc) == Code.loads)
        try client.remove(1, Code.loads, 4)
        try client.goOn { try client.register(6) > before }
        client.send("k")
        #expect(try client.finish().status == 0)
    }

    /// A guest's own traps are its own; steps go into handlers, past `wfi`, and take no interrupts.
    @Test(arguments: [EngineChoice.interpreter, .block]) func stepsAndTraps(engine: EngineChoice) throws {
        let client = try debug(
            [
                Code.auipc(5, 0), Code.addi(5, 5, 64), Code.csrrw(0, 0x305, 5), Code.ebreak, Code.ecall, Code.wfi, Code.nop,
                Code.hang,
            ] + [UInt32](repeating: Code.nop, count: 8) + [
                // The handler: counts, goes on behind the instruction.
                Code.addi(6, 6, 1), Code.csrrs(7, 0x341, 0), Code.addi(7, 7, 4), Code.csrrw(0, 0x341, 7), 0x3020_0073,
            ], "--engine", engine.rawValue)
        let names = try registers(client)
        try client.insert(1, Code.start + 12, 4)
        #expect(try client.ask("vCont;c").hasPrefix("T05"))
        // At an ebreak with a breakpoint on it: a step executes the guest's.
        #expect(try client.ask("vCont;s:1").hasPrefix("T05") && client.register(Register.pc) == Code.start + 64)
        #expect(try client.register(names["mcause"]!) == 3 && client.register(names["mepc"]!) == Code.start + 12)
        try client.remove(1, Code.start + 12, 4)
        for _ in 0 ..< 5 { #expect(try client.ask("vCont;s:1").hasPrefix("T05")) }
        #expect(try client.register(Register.pc) == Code.start + 16)
        try client.insert(1, Code.start + 20, 4)
        #expect(try client.ask("vCont;c").hasPrefix("T05") && client.register(6) == 2)
        #expect(try client.ask("vCont;s:1").hasPrefix("T05") && client.register(Register.pc) == Code.start + 24)
        // Pending, enabled and not taken by a step, unless that is asked for.
        try client.setRegister(names["mie"]!, 1 << 1)
        try client.setRegister(names["mip"]!, 1 << 1)
        try client.setRegister(names["mstatus"]!, 1 << 3)
        #expect(try client.ask("vCont;s:1").hasPrefix("T05") && client.register(Register.pc) == Code.start + 28)
        #expect(
            try client.ask("qqemu.sstep") == "0x7" && client.ask("Qqemu.sstep=5") == "OK" && client.ask("qqemu.sstep") == "0x5")
        #expect(try client.ask("vCont;s:1").hasPrefix("T05") && client.register(Register.pc) == Code.start + 64)
        #expect(try client.register(names["mcause"]!) == 1 << 63 | 1)
    }

    @Test(arguments: EngineChoice.allCases) func watchpointsStopBeforeTheAccess(engine: EngineChoice) throws {
        let client = try debug(Code.loop(0x1_0000), "--engine", engine.rawValue)
        // Hot first.
        try client.insert(1, Code.isDone, 4)
        #expect(try client.ask("vCont;c").hasPrefix("T05"))
        try client.remove(1, Code.isDone, 4)
        try client.setRegister(6, 0)
        try client.setRegister(Register.pc, Code.counts)
        try client.setWord(Code.data, 0)

        try client.insert(2, Code.data, 8)
        for round in 1 ... 5 as ClosedRange<UInt64> {
            let stop = try client.ask("vCont;c")
            #expect(stop.hasPrefix("T05thread:1;watch:80001000;"), "\(stop)")
            #expect(
                try client.register(Register.pc) == Code.stores && client.register(6) == round
                    && client.word(Code.data) == round - 1)
        }
        // A step makes the access that was told.
        #expect(try client.ask("vCont;s:1").hasPrefix("T05") && client.word(Code.data) == 5)
        try client.remove(2, Code.data, 8)
        try client.insert(3, Code.data + 4, 1)
        let read = try client.ask("vCont;c")
        #expect(try read.contains("rwatch:80001004;") && client.register(Register.pc) == Code.loads, "\(read)")
        try client.remove(3, Code.data + 4, 1)
        try client.insert(4, Code.data, 8)
        for place in [Code.stores, Code.loads, Code.stores] {
            #expect(try client.ask("vCont;c").contains("awatch:80001000;") && client.register(Register.pc) == place)
        }
        try client.remove(4, Code.data, 8)
        // Neighbours in the page are none of its business.
        try client.insert(4, Code.data + 8, 56)
        try client.insert(2, Code.data + 72, 0x1000)
        #expect(try client.ask("vCont;c") == "W07")
    }

    /// An `sc` that was watched succeeds all the same.
    @Test(arguments: [EngineChoice.interpreter, .block]) func atomicsAreWatched(engine: EngineChoice) throws {
        let lrD: UInt32 = 0x10 << 24 | 5 << 15 | 3 << 12 | 6 << 7 | 0x2f,
            scD: UInt32 = 0x18 << 24 | 6 << 20 | 5 << 15 | 3 << 12 | 7 << 7 | 0x2f
        let amoaddD: UInt32 = 6 << 20 | 5 << 15 | 3 << 12 | 0x2f
        let client = try debug(
            [Code.auipc(5, 1), lrD, Code.addi(6, 6, 1), scD, Code.bne(7, 0, -12), amoaddD, Code.hang], "--engine", engine.rawValue
        )
        try client.insert(4, Code.data, 4)
        for offset in [4, 12, 20] as [UInt64] {
            #expect(try client.ask("vCont;c").contains("awatch:") && client.register(Register.pc) == Code.start + offset)
        }
        try client.remove(4, Code.data, 4)
        try client.insert(3, Code.data, 4)
        #expect(try client.ask("vCont;s:1").hasPrefix("T05") && client.word(Code.data) == 2)
    }

    // MARK: Registers and memory

    @Test func registersHaveTheirEffects() throws {
        let client = try debug(Code.loop(0))
        let names = try registers(client)
        #expect(names["pc"] == 32 && names["ft0"] == 33 && names["fflags"] == 65)
        for name in ["satp", "mstatus", "pmpaddr15", "mhpmcounter31", "hpmcounter3", "stimecmp", "priv"] {
            #expect(names[name] != nil, "\(name)")
        }
        #expect(try client.register(names["mhartid"]!) == 0 && client.register(names["priv"]!) == 3)
        // Bits that are not there stay clear; read-only registers and registers that there are not refuse.
        try client.setRegister(names["mstatus"]!, .max)
        let status = try client.register(names["mstatus"]!)
        #expect(status & 1 << 3 != 0 && status >> 32 & 15 == 10)
        try client.setRegister(names["mepc"]!, 0x8000_0003)
        #expect(try client.register(names["mepc"]!) == 0x8000_0002)
        try client.setRegister(names["satp"]!, 8 << 60 | 0x8_0002)
        #expect(try client.register(names["satp"]!) == 8 << 60 | 0x8_0002)
        try client.setRegister(names["satp"]!, 7 << 60)
        #expect(try client.register(names["satp"]!) == 8 << 60 | 0x8_0002, "a mode that there is not")
        #expect(try client.ask("P\(String(names["mhartid"]!, radix: 16))=0100000000000000") == "E0e")
        #expect(try client.ask("P\(String(names["priv"]!, radix: 16))=0200000000000000") == "E0e")
        #expect(try client.ask("p1000") == "E0e" && client.ask("pffffffffffffffff") == "E0e" && client.ask("P1000=00") == "E0e")
        #expect(try client.ask("P\(String(names["fcsr"]!, radix: 16))=61000000") == "OK")
        #expect(try client.ask("p\(String(names["frm"]!, radix: 16))") == "03000000")
        let all = try client.ask("g")
        #expect(try client.ask("G" + all) == "OK")

        // A table of one page of a gigabyte: supervisor mode sees through it, in whatever mode the page may be used.
        try client.setWord(0x8000_2000 + 8, 0x8000_0000 >> 2 | 0x11) // 0x40000000, only the user's, not readable: V U
        try client.setWord(0x8000_2000 + 16, 0x8000_0000 >> 2 | 0xcf)
        #expect(try client.ask("m40000000,4") == "E0e", "no memory there in machine mode")
        try client.setRegister(names["priv"]!, 1)
        #expect(try client.ask("m40001000,8") == "E0e", "V U alone leads to another table")
        try client.setWord(0x8000_2000 + 8, 0x8000_0000 >> 2 | 0x19) // V U X
        try client.setWord(0x4000_1000, 0x1122_3344)
        #expect(try client.word(0x8000_1000) == 0x1122_3344 && client.word(0x4000_1000) == 0x1122_3344)
        #expect(try client.word(0x8000_2008) == 0x8000_0000 >> 2 | 0x19, "nothing is marked as accessed")
        #expect(try client.ask("m3ffffffc,8") == "E0e")
        #expect(
            try client.ask("Qqemu.PhyMemMode:1") == "OK" && client.ask("m40001000,8") == "E0e"
                && client.ask("qqemu.PhyMemMode") == "1")
        #expect(try client.word(0x8000_1000) == 0x1122_3344)
        #expect(try client.ask("Qqemu.PhyMemMode:0") == "OK" && client.word(0x4000_1000) == 0x1122_3344)
    }

    @Test func devicesAndTheMonitor() throws {
        let client = try image("machine/hello")
        #expect(try client.ask("m10000005,1") == "60", "the serial port's line status")
        #expect(try client.ask("m40000000,1") == "E0e")
        // To the edge of memory and not beyond: what there is, is told.
        #expect(try client.ask("m83fffff8,10").count == 16 && client.ask("M83fffff8,9:000000000000000000") == "E0e")
        func monitor(_ line: String) throws -> String {
            let answer = try client.ask("qRcmd," + Hexadecimal.encode(line))
            return Hexadecimal.decode(Array(answer.utf8)).map { String(decoding: $0, as: UTF8.self) } ?? answer
        }
        #expect(try monitor("info harts").hasPrefix("hart 0: started, machine mode"))
        #expect(try monitor("x/2i 0x1000").contains("auipc") && monitor("nonsense").hasPrefix("no command 'nonsense'"))
        #expect(try monitor("cont").contains("a debugger holds the machine") && monitor("step").contains("a debugger holds"))
        #expect(try client.ask("vCont;s:1").hasPrefix("T05") && client.register(Register.pc) == 0x1004)
        #expect(try monitor("system_reset") == "OK" && client.register(Register.pc) == 0x1000)
        #expect(try monitor("quit") == "OK")
        #expect(try client.finish().status == 0)
    }

    // MARK: Several harts and address spaces

    @Test(arguments: [EngineChoice.interpreter, .auto]) func hartsAreThreads(engine: EngineChoice) throws {
        let client = try image("machine/harts", "--cpus", "4", "--engine", engine.rawValue)
        #expect(try client.ask("qfThreadInfo") == "m1,2,3,4")
        #expect(try client.ask("vCont;s:3").hasPrefix("T05thread:3;") && client.register(Register.pc) == 0x1004)
        // One alone, for a while.
        try client.goOn("vCont;c:2") { try client.register(Register.pc, thread: "2") >= Code.start }
        for thread in ["1", "4"] { #expect(try client.register(Register.pc, thread: thread) == 0x1000) }
        // One steps, all others run meanwhile.
        #expect(try client.ask("vCont;s:1;c").hasPrefix("T05thread:1;"))
        #expect(try client.register(Register.pc, thread: "1") == 0x1004)
        #expect(try client.ask("vCont;c") == "W00")
        let end = try client.finish()
        #expect(end.status == 0 && !end.output.contains("FAILED"), "\(end.output)")
    }

    /// Each process of the kernel starts at the same address of its own space.
    @Test(arguments: EngineChoice.allCases) func virtualAddressesInEverySpace(engine: EngineChoice) throws {
        let client = try image("supervisor/kernel", "--cpus", "2", "--engine", engine.rawValue)
        let names = try registers(client), start: UInt64 = 0x20_0000_0000
        try client.insert(1, start)
        var roots: Set<UInt64> = [], stops = 0, stop = try client.ask("vCont;c")
        while stop.hasPrefix("T05") {
            stops += 1
            let thread = DebuggerClient.thread(stop)
            #expect(try client.register(Register.pc, thread: thread) == start && client.register(names["priv"]!) == 0)
            roots.insert(try client.register(names["satp"]!))
            #expect(try client.word(start) != 0)
            try client.stepOver(1, start, thread: thread)
            stop = try client.ask("vCont;c")
        }
        #expect(stop == "W00" && stops == 29 && roots.count > 3, "\(stop) \(stops) \(roots)")
        #expect(try client.finish().output.contains("29 processes"))
    }

    // MARK: The end

    @Test func resetsAndEnds() throws {
        let reboots = Code.end(Code.lui(10, 7), Code.addi(10, 10, 0x777))
        let client = try debug(reboots)
        try client.insert(1, Code.start, 4)
        for round in 0 ..< 3 {
            var packet = try client.ask("vCont;c")
            #expect(packet.hasPrefix("O") == (round > 0))
            if round > 0 { packet = String(decoding: try client.receive(), as: UTF8.self) }
            #expect(try packet.hasPrefix("T05") && client.register(Register.pc) == Code.start)
            try client.stepOver(1, Code.start, thread: "1", 4)
        }
        client.disconnect()
        let once = try debug(reboots, "--no-reboot")
        #expect(try once.ask("vCont;c") == "W00" && once.finish().status == 0)
        // A step that ends the machine.
        let last = try debug(Code.end(Code.lui(10, 0x73), Code.addi(10, 10, 0x333)))
        try last.insert(1, Code.start + 12, 4)
        #expect(try last.ask("vCont;c").hasPrefix("T05") && last.ask("vCont;s:1") == "W07" && last.finish().status == 7)
    }

    @Test func debuggersComeAndGo() throws {
        let path = Code.file(Code.loop(0))
        defer { unlink(path) }
        let client = try DebuggerClient(machine: ["--firmware", path, "-m", "32M"], waits: false)
        #expect(try client.ask("?").hasPrefix("T05"))
        try client.insert(1, Code.stores, 4)
        try client.insert(2, Code.data, 8)
        /// Leaves until the machine has counted on.
        func comeBack(from count: UInt64, leaving: () throws -> Void) throws -> UInt64 {
            for _ in 0 ..< 1000 {
                try leaving()
                usleep(50_000)
                try client.reconnect()
                let now = try client.register(6)
                if now > count { return now }
            }
            throw DebuggerClientError(text: "the machine stands still")
        }
        // With the points it would not come that far.
        let first = try comeBack(from: 10) {
            let answer = try client.ask("D")
            #expect(answer == "OK")
        }
        // Away without a word, while it runs.
        _ = try comeBack(from: first) {
            client.send("vCont;c")
            #expect(client.isSilent(milliseconds: 10))
        }
        #expect(try client.ask("?").hasPrefix("T05"))
        client.send("k")
        let end = try client.finish()
        #expect(end.status == 0 && end.errors.hasPrefix("mynah: gdb can connect: target remote /tmp/"))
    }

    /// Stopping changes nothing of a run in which harts take turns.
    @Test func deterministicRunsStayTheSame() throws {
        // Two harts count, and add what the other has reached: some bits of the sum are the status.
        let program: [UInt32] =
            [
                Code.auipc(5, 1), Code.i(0x13, 1, 12, 10, 3), Code.r(0, 0, 14, 5, 12), Code.r(0x20, 0, 15, 5, 12),
                Code.addi(15, 15, 8),
                Code.addi(6, 0, 0), Code.addi(13, 0, 0), Code.lui(8, 0x10),
                Code.addi(6, 6, 1), Code.sd(6, 14, 0), Code.ld(7, 15, 0), Code.r(0, 0, 13, 13, 7), Code.bne(6, 8, -16),
                Code.bne(10, 0, 0), Code.i(0x13, 7, 10, 13, 0x7f), Code.i(0x13, 1, 10, 10, 16), Code.lui(11, 3),
                Code.addi(11, 11, 0x333),
            ] + Code.end(Code.r(0, 6, 10, 10, 11))
        let place = Code.start + 40
        let statuses = try [0, 1, 7].map { stops -> Int32 in
            let client = try debug(program, "--deterministic", "--cpus", "2")
            try client.insert(1, place, 4)
            for _ in 0 ..< stops {
                let stop = try client.ask("vCont;c")
                #expect(stop.hasPrefix("T05"))
                try client.stepOver(1, place, thread: DebuggerClient.thread(stop), 4)
            }
            try client.remove(1, place, 4)
            #expect(try client.ask("vCont;c").hasPrefix("W"))
            return try client.finish().status
        }
        #expect(statuses[0] == statuses[1] && statuses[0] == statuses[2] && statuses[0] > 0, "\(statuses)")
    }

    @Test func nonsenseIsAnError() throws {
        let client = try image("supervisor/kernel", "--cpus", "2")
        for packet in [
            "m", "m,", "mzz,1", "m0,", "M0,1", "M0,2:00", "Z1", "Z1,", "Z1,80200001,2", "Z2,80000000,0", "Z2,ffffffffffffffff,2",
            "P", "P0", "P0=",
            "P0=zz", "pzz", "vCont;s:9", "vCont;x", "vCont;r1", "Hg9", "T9", "T0", "qXfer:features:read:none:0,10",
            "qXfer:features:read:target.xml:ffffffff,10",
            "Qqemu.sstep=99", "Qqemu.PhyMemMode:7", "qThreadExtraInfo,9", "qCRC:80200000,ffffffffffff",
            "M80200000,ffffffffffffffff:00",
            "mffffffffffffffff,10", "m8000000000000000,ffff", "Mffffffffffffffff,2:0000", "X0,1:", "G00", "c80200001z",
            "Z1,10000000000000000,2",
        ] {
            #expect(try client.ask(packet).hasPrefix("E"), "\(packet)")
        }
        for packet in ["Z9,80200000,2", "qqemu.nothing", "Qqemu.nothing:1", "vNothing", "qNothing", "QNothing"] {
            #expect(try client.ask(packet) == "", "\(packet)")
        }
        // As much as there is, or as fits.
        #expect(try client.ask("m80200000,ffffffffffffff").count == 65536)
        // Points where nothing is can be there: something may come.
        try client.insert(1, 0xffff_ffff_ffff_fffe)
        try client.insert(4, 0, 0x7fff_ffff)
        try client.insert(2, 0xffff_ffff_0000_0000, 0xffff_ffff)
        client.sendRaw(Array("$#$$}#7d\u{3}+-nonsense$m0,1#ff".utf8) + (0 ..< 300_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        client.sendRaw(Array("#00".utf8))
        try client.remove(4, 0, 0x7fff_ffff)
        var random = SystemRandomNumberGenerator()
        for _ in 0 ..< 300 {
            let letters = Array("mMXZzpPgGHTvqQsc?,;:=#0123456789abcdef".utf8).filter { $0 != UInt8(ascii: "#") }
            var body = (0 ..< Int.random(in: 1 ... 24, using: &random)).map { _ in letters.randomElement(using: &random)! }
            // What would run the guest, or end it.
            if ["c", "s", "v"].contains(Character(UnicodeScalar(body[0]))) { body[0] = UInt8(ascii: "q") }
            client.sendRaw(PacketEncoder.packet(body))
            _ = try client.receive()
        }
        #expect(try client.ask("?").hasPrefix("T05"))
        try client.setRegister(Register.pc, 0x8020_0000)
        client.send("k")
        #expect(try client.finish().status == 0)
    }
}

// Files of saved machines: what is in them, what is refused and with which words, and files that are wrong on purpose.

import CHost
import DeviceModel
import Devices
import Engine
import Glibc
import Guest
import TestSupport
import Testing

@testable import GuestRISCV
@testable import Machine

private let images = String(#filePath.dropLast("Tests/MachineTests/SavedMachineTests.swift".count)) + "GuestImages/riscv64/"

/// A directory that is removed at the end, and files in it.
final class Scratch {
    let path: String
    init() {
        var template = Array("/tmp/mynah-saved-XXXXXX\0".utf8CString)
        path = String(cString: mkdtemp(&template))
    }
    deinit {
        for name in names { unlink(path + "/" + name) }
        rmdir(path)
    }
    private var names: Set<String> = []
    func file(_ name: String) -> String {
        names.insert(name)
        return path + "/" + name
    }

    static func read(_ path: String) -> [UInt8] { (try? BootFile(reading: path, as: "file").bytes) ?? [] }
    static func write(_ path: String, _ bytes: [UInt8]) {
        guard let file = fopen(path, "w") else { return }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}

func smallBoard(
    _ program: String = "machine/hello", console: CharacterBackend? = nil, _ change: (inout BoardConfiguration) -> Void = { _ in }
) throws -> Board {
    var configuration = BoardConfiguration()
    configuration.memoryByteCount = 16 << 20
    configuration.processor.engine.codeCacheBytes = 4 << 20
    configuration.processor.engine.policy = .interpreter
    configuration.processor.isDeterministic = true
    configuration.seed = 1
    let file = try BootFile(reading: images + program, as: "program")
    if program.hasPrefix("supervisor") { configuration.files.kernel = file } else { configuration.files.firmware = file }
    change(&configuration)
    return try Board(configuration, console: console)
}

private func message(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "nothing"
}

@Suite struct HartStateTests {
    private final class FixedClock: HartClock {
        var deadline: UInt64 = 0
        func time() -> UInt64 { 7 }
        func timerChanged(hart: Int, deadline: UInt64) { self.deadline = deadline }
    }

    private func machine() throws -> BareMachine { try BareMachine(.interpreter, isDeterministic: true) }

    /// Every control register that can be written to, with random values: a register that is not part of the state is found here.
    @Test func controlRegisters() throws {
        var random = SplitMix(seed: 31)
        for _ in 0..<40 {
            let first = try machine(), second = try machine(), core = first.processor.harts[0].core
            for row in ControlRegisters.rows where row.number >> 10 & 3 != 3 {
                _ = row.write(core, random.next() & random.next())
            }
            core.setPending(random.next() & HartInterrupt.supervisor, clear: 0)
            let saved = core.savedState
            #expect(core.problem(with: saved) == nil, "\(core.problem(with: saved) ?? "")")
            let other = second.processor.harts[0].core
            try other.savedState = StateValue(encoded: StateValue(encoding: saved).encoded).decode(RISCVHartState.self)
            for (row, otherRow) in zip(core.controlRegisters, other.controlRegisters) { #expect(row == otherRow, "\(row.name)") }
            #expect(other.savedState == saved)
            #expect(
                other.pending == core.pending && other.interruptToTake == core.interruptToTake
                    && other.hasWakeup == core.hasWakeup)
        }
    }

    @Test func registersAndReservation() throws {
        let first = try machine(), second = try machine()
        let core = first.processor.harts[0].core, file = RISCVState(core.state)
        for index in 1..<64 { file.words[index] = UInt64(index) &* 0x9e37_79b9_7f4a_7c15 }
        file.programCounter = 0x8000_1234
        file.fcsr = 0x7f
        file.tail.pointee.reservationAddress = 0x8000_0040
        file.tail.pointee.reservationValue = 99
        core.privilege = .user
        second.processor.harts[0].core.savedState = core.savedState
        let other = RISCVState(second.processor.harts[0].core.state)
        #expect((0..<65).allSatisfy { other.words[$0] == file.words[$0] } && other.fcsr == 0x7f)
        #expect(other.tail.pointee.reservationAddress == 0x8000_0040 && other.tail.pointee.reservationValue == 99)
        #expect(
            second.processor.harts[0].core.privilege == .user
                && other.hart.pointee.dataTLB == second.processor.harts[0].core.table(.user))
    }

    @Test func valuesThatNoHartHas() throws {
        let core = try machine().processor.harts[0].core
        func problem(_ change: (inout RISCVHartState) -> Void) -> String? {
            var state = core.savedState
            change(&state)
            return core.problem(with: state)
        }
        #expect(problem { _ in } == nil)
        #expect(
            problem { $0.satp = 5 << 60 }?.contains("satp") == true
                && problem { $0.mstatus |= 1 << 62 }?.contains("mstatus") == true)
        #expect(
            problem { $0.mstatus |= 2 << 11 } != nil && problem { $0.mstatus = 0 } != nil && problem { $0.privilege = 2 } != nil)
        #expect(
            problem { $0.registers.removeLast() } != nil && problem { $0.registers[0] = 1 } != nil
                && problem { $0.programCounter = 1 } != nil)
        #expect(
            problem { $0.pmpAddresses.removeLast() } != nil && problem { $0.pmpConfigurations[3] = 2 } != nil
                && problem { $0.pmpAddresses[0] = .max } != nil)
        #expect(
            problem { $0.mideleg = .max } != nil && problem { $0.medeleg = .max } != nil && problem { $0.mepc = 3 } != nil
                && problem { $0.stvec = 2 } != nil)
        #expect(problem { $0.mseccfg = 1 } != nil)
        #expect(
            problem { $0.softwarePending = HartInterrupt.machineTimer } != nil && problem { $0.fcsr = 256 } != nil
                && problem { $0.menvcfg = 2 << 4 } != nil)
    }
}

@Suite(.serialized) struct SavedMachineFileTests {
    private let scratch = Scratch()

    private func saved(_ name: String = "machine") throws -> (path: String, bytes: [UInt8]) {
        let board = try smallBoard()
        try board.powerOn()
        let path = scratch.file(name)
        try board.save(to: path)
        return (path, Scratch.read(path))
    }

    @Test func theFileIsSmallAndItsOwners() throws {
        let (path, bytes) = try saved()
        #expect(bytes.count < 40_000 && bytes.prefix(8) == Array("MYNAHVM\u{1a}".utf8)[...])
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        let description = try Board.description(ofFile: path)
        #expect(
            description.memoryByteCount == 16 << 20 && description.hartCount == 1 && description.isDeterministic
                && !description.hasBuiltInFirmware)
        #expect(try saved("again").bytes == bytes, "the same machine makes the same file")
    }

    @Test func everyChangedByteIsFound() throws {
        let (_, bytes) = try saved(), path = scratch.file("changed")
        var kinds: [String: Int] = [:]
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 1 << UInt8(place % 8)
            Scratch.write(path, changed)
            let text = message { _ = try SavedMachineReader(path: path) }
            #expect(text != "nothing", "byte \(place)")
            kinds[String(text.drop { $0 != "(" }.prefix(12)), default: 0] += 1
        }
        #expect(kinds.count > 3)
        var older = bytes
        older[8] = 9
        Scratch.write(path, older)
        let text = message { _ = try SavedMachineReader(path: path) }
        #expect(text.contains("version 9 of the format, and this Mynah reads version \(SavedMachineFile.version)"))
        older[0] = 0
        Scratch.write(path, older)
        #expect(message { _ = try SavedMachineReader(path: path) }.contains("is no saved machine"))
    }

    @Test func everyEndIsFound() throws {
        let (_, bytes) = try saved(), path = scratch.file("cut")
        Scratch.write(path, bytes)
        for count in (0..<bytes.count).reversed() where count < 400 || count % 13 == 0 || count > bytes.count - 100 {
            #expect(truncate(path, off_t(count)) == 0)
            let text = message { _ = try SavedMachineReader(path: path) }
            #expect(text.contains("is damaged (it is cut off)"), "\(count) bytes: \(text)")
        }
        Scratch.write(path, bytes + [0])
        #expect(message { _ = try SavedMachineReader(path: path) }.contains("something behind its end"))
        Scratch.write(path, bytes + bytes)
        #expect(message { _ = try SavedMachineReader(path: path) }.contains("something behind its end"))
        #expect(message { _ = try SavedMachineReader(path: "/no/file") }.contains("there is no saved machine '/no/file'"))
        #expect(message { _ = try SavedMachineReader(path: "/tmp") }.contains("no regular file"))
    }

    @Test func whatCannotBeWritten() throws {
        let board = try smallBoard()
        try board.powerOn()
        #expect(
            message { try board.save(to: "/no/directory/file") }.contains(
                "cannot save the machine to '/no/directory/file': No such file"))
        if access("/dev/full", W_OK) == 0 { #expect(message { try board.save(to: "/dev/full/x") }.contains("cannot save")) }
        // What is no file keeps its name.
        let pipe = scratch.file("pipe")
        var status = stat()
        #expect(mkfifo(pipe, 0o600) == 0)
        for path in [pipe, scratch.path] {
            #expect(message { try board.save(to: path) }.contains("which is no regular file: save elsewhere"))
        }
        #expect(stat(pipe, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
        // The file that was there stays when a later one cannot be finished.
        let path = scratch.file("kept")
        try board.save(to: path)
        let before = Scratch.read(path)
        do {
            let writer = try SavedMachineWriter(path: path)
            try writer.section(.machine, [1, 2, 3])
        }
        #expect(Scratch.read(path) == before)
        var names: [String] = []
        if let directory = opendir(scratch.path) {
            while let entry = readdir(directory) {
                names.append(
                    withUnsafePointer(to: &entry.pointee.d_name) {
                        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                    })
            }
            closedir(directory)
        }
        #expect(names.filter { $0.hasPrefix("kept.") }.isEmpty, "no temporary file is left: \(names)")
    }

    // MARK: Another machine

    @Test func anotherShapeIsRefused() throws {
        let (path, _) = try saved()
        func refusal(_ change: (inout BoardConfiguration) -> Void, _ attach: (Board) throws -> Void = { _ in }) -> String {
            message {
                let board = try MachineTests.smallBoard("machine/hello", change)
                try attach(board)
                _ = try board.load(from: path)
            }
        }
        #expect(refusal { $0.memoryByteCount = 32 << 20 }.contains("16 MiB of memory, and this machine has 32 MiB: give -m 16M"))
        #expect(refusal { $0.hartCount = 2 }.contains("1 harts, and this machine has 2: give --cpus 1"))
        #expect(
            refusal({ _ in }) { try $0.attachVirtio(VirtioEntropy()) }.contains("no virtio devices; this machine has randomness"))
        #expect(
            refusal({ _ in }) { try $0.attachVirtio(VirtioBlock(backend: DiskImage.open(path))) }.contains(
                "no drive, and this machine has 1"))
        #expect(refusal { _ in } == "nothing")
    }

    private func disk(_ name: String, _ byteCount: Int) -> String {
        let path = scratch.file(name)
        Scratch.write(path, (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 / 512) })
        return path
    }

    @Test func namesThatWriteOnTerminals() {
        let drive = MachineDescription.Drive(
            path: "a\u{1b}[2Jb\nc\u{9b}ü", byteCount: 1, isReadOnly: false, isSnapshot: false, modified: 0)
        #expect(drive.name == "a?[2Jb?c?ü")
    }

    @Test func drivesAndTheirSnapshots() throws {
        // The last cluster is not whole.
        let image = disk("disk", 300_000), path = scratch.file("machine")
        func board(_ drives: (String, isReadOnly: Bool, isSnapshot: Bool)...) throws -> Board {
            let board = try MachineTests.smallBoard()
            for drive in drives {
                try board.attachVirtio(
                    VirtioBlock(backend: DiskImage.open(drive.0, isReadOnly: drive.isReadOnly, isSnapshot: drive.isSnapshot)))
            }
            return board
        }
        func content(_ board: Board) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: 300_000)
            try bytes.withUnsafeMutableBytes { try board.drives[0].backend.read(at: 0, into: $0) }
            return bytes
        }
        let first = try board((image, false, true))
        try first.powerOn()
        for (offset, count, byte) in [(10, 100, 1), (65530, 12, 2), (299_990, 10, 3), (131_072, 65536, 0)]
            as [(UInt64, Int, UInt8)]
        {
            try [UInt8](repeating: byte, count: count).withUnsafeBytes { try first.drives[0].backend.write(at: offset, from: $0) }
        }
        try first.save(to: path)
        let expected = try content(first)
        // What is written later is not in the file.
        try [9, 9, 9].withUnsafeBytes { try first.drives[0].backend.write(at: 200_000, from: $0) }
        #expect(try first.load(from: path) == [])
        #expect(try content(first) == expected)
        first.shutDown()
        let second = try board((image, false, true))
        #expect(try second.load(from: path) == [])
        #expect(try content(second) == expected && Scratch.read(image) != expected)
        second.shutDown()

        func refusal(_ drives: (String, isReadOnly: Bool, isSnapshot: Bool)...) -> String {
            message {
                let other = try MachineTests.smallBoard()
                for drive in drives {
                    try other.attachVirtio(
                        VirtioBlock(backend: DiskImage.open(drive.0, isReadOnly: drive.isReadOnly, isSnapshot: drive.isSnapshot)))
                }
                defer { other.shutDown() }
                _ = try other.load(from: path)
            }
        }
        #expect(refusal((image, false, false)).contains("add ',snapshot' to it"))
        #expect(refusal((image, true, false)).contains("writable, and here it is not"))
        #expect(refusal((disk("short", 299_000), false, true)).contains("of 300000 bytes, and") )
        #expect(refusal().contains("'\(image)' of 300000 bytes, and this machine has 0"))
        #expect(refusal((image, false, true), (disk("two", 512), false, true)).contains("1 drives"))

        // A drive that is written to after the machine was saved.
        let plain = try board((image, false, false))
        try plain.powerOn()
        try plain.save(to: path)
        #expect(try plain.load(from: path) == [])
        usleep(20000)
        try [1].withUnsafeBytes { try plain.drives[0].backend.write(at: 0, from: $0) }
        #expect(try plain.load(from: path).contains { $0.contains("was written to after the machine was saved") })
        plain.shutDown()
    }

    // MARK: Files that are wrong on purpose

    private func sections(_ path: String) throws -> [(SavedMachineFile.Section, [UInt8])] {
        let reader = try SavedMachineReader(path: path)
        var result: [(SavedMachineFile.Section, [UInt8])] = []
        while let section = try reader.next() { result.append(section) }
        return result
    }

    /// Random damage behind a right digest: refused, or a machine that runs.
    @Test func damageBehindARightDigest() throws {
        let image = disk("disk", 300_000), path = scratch.file("machine"), bad = scratch.file("bad")
        let board = try MachineTests.smallBoard("machine/interrupts") { $0.hartCount = 2 }
        try board.attachVirtio(VirtioBlock(backend: DiskImage.open(image, isSnapshot: true)))
        try board.powerOn()
        try [1, 2, 3].withUnsafeBytes { try board.drives[0].backend.write(at: 99, from: $0) }
        run(board, turns: 3)
        try board.save(to: path)
        let good = try sections(path)
        #expect(good.map(\.0).contains(.disk))
        var random = SplitMix(seed: fuzzSeed), refused: [String: Int] = [:], accepted = 0
        for _ in 0..<fuzzCount {
            var changed = good
            let index = random.below(changed.count)
            switch random.below(6) {
            case 0: changed.remove(at: index)
            case 1: changed.swapAt(index, random.below(changed.count))
            case 2 where !changed[index].1.isEmpty: changed[index].1.removeLast(1 + random.below(changed[index].1.count))
            case 3 where !changed[index].1.isEmpty:
                for _ in 0...random.below(4) {
                    changed[index].1[random.below(min(changed[index].1.count, 64))] = UInt8(truncatingIfNeeded: random.next())
                }
            case 4 where !changed[index].1.isEmpty:
                for _ in 0...random.below(8) {
                    changed[index].1[random.below(changed[index].1.count)] = UInt8(truncatingIfNeeded: random.next())
                }
            default:
                guard let state = changed.firstIndex(where: { $0.0 == .state }) else { continue }
                changed[state].1 = mutated(try StateValue(encoded: changed[state].1), &random).encoded
            }
            let writer = try SavedMachineWriter(path: bad)
            for (section, content) in changed { try writer.section(section, content) }
            try writer.finish()
            do {
                _ = try board.load(from: bad)
                accepted += 1
            } catch let error as BootError { refused[String("\(error)".prefix(60)), default: 0] += 1 }
            run(board, turns: 2)
        }
        #expect(accepted > fuzzCount / 20 && refused.values.reduce(0, +) > fuzzCount / 5 && refused.count > 1)
        // And the good one is as good as ever.
        _ = try board.load(from: path)
        try board.save(to: bad)
        #expect(Scratch.read(bad) == Scratch.read(path))
        board.shutDown()
    }

    private var fuzzSeed: UInt64 { getenv("MYNAH_FUZZ_SEED").flatMap { UInt64(String(cString: $0)) } ?? 41 }
    private var fuzzCount: Int { getenv("MYNAH_DEVICE_OPERATIONS") == nil ? 250 : 2500 }

    private func run(_ board: Board, turns: Int) {
        board.onEvent = { _ in }
        guard (try? board.processor.start()) != nil else { return }
        usleep(UInt32(turns) * 500)
        board.processor.stop()
        board.processor.wait()
    }
}

/// The same tree with a few leaves that are others.
private func mutated(_ value: StateValue, _ random: inout SplitMix) -> StateValue {
    switch value {
    case .list(var values):
        if values.isEmpty { return random.below(2) == 0 ? value : .list([.unsigned(1)]) }
        let index = random.below(values.count)
        if random.below(20) == 0 { values.remove(at: index) } else { values[index] = mutated(values[index], &random) }
        return .list(values)
    case .record(var fields):
        if fields.isEmpty { return value }
        let index = random.below(fields.count)
        if random.below(40) == 0 { fields.remove(at: index) } else { fields[index].value = mutated(fields[index].value, &random) }
        return .record(fields)
    case .bool(let flag): return random.below(6) == 0 ? .null : .bool(!flag)
    case .unsigned(let number):
        switch random.below(6) {
        case 0: return .unsigned(number ^ 1 << UInt64(random.below(64)))
        case 1: return .unsigned(random.next() >> UInt64(random.below(64)))
        case 2: return .unsigned(.max)
        case 3: return .negative(number)
        default: return .unsigned(number ^ 1 << UInt64(random.below(12)))
        }
    default:
        return random.below(3) == 0 ? .null : .bytes((0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }
}

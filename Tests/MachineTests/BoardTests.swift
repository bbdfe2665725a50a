// Placing files, the device tree, and whole boots of the committed bare-metal programs.

import DeviceModel
import Engine
import Glibc
import GuestRISCV
import TestSupport
import Testing

@testable import Machine

private let images = String(#filePath.dropLast("Tests/MachineTests/BoardTests.swift".count)) + "GuestImages/riscv64/"

@Suite struct BootPlanTests {
    private let memory: Range<UInt64> = 0x8000_0000 ..< 0x8800_0000

    private func plan(_ change: (inout BootFiles) -> Void) throws -> BootPlan {
        var files = BootFiles()
        change(&files)
        var plan = try BootPlan(files, memory: memory)
        try plan.placeDeviceTree(byteCount: 5000)
        if let disk = files.initialDisk { try plan.placeInitialDisk(disk) }
        try plan.addDeviceTree([UInt8](repeating: 1, count: 5000))
        return plan
    }

    private func raw(_ count: Int) -> BootFile { BootFile(path: "raw", bytes: [UInt8](repeating: 0x13, count: count)) }

    @Test func theUsualPlaces() throws {
        let plan = try plan {
            $0.firmware = raw(0x4_0000)
            $0.kernel = BootFile(path: "Image", bytes: linuxImage(size: 0x80_0000, byteCount: 0x1000))
            $0.initialDisk = raw(0x10_0000)
        }
        #expect(plan.firmware?.entry == 0x8000_0000 && plan.kernel?.entry == 0x8020_0000)
        #expect(plan.deviceTreeAddress == 0x87e0_0000)
        #expect(plan.initialDisk == 0x8420_0000 ..< 0x8430_0000)
    }

    @Test func aLargeFirmwareMovesTheKernel() throws {
        let plan = try plan {
            $0.firmware = raw(0x20_0001)
            $0.kernel = raw(64)
        }
        #expect(plan.kernel?.entry == 0x8040_0000)
    }

    @Test func theResetVectorSaysWhatComesNext() throws {
        let vector = try plan {
            $0.firmware = raw(64)
            $0.kernel = raw(64)
        }.resetVector
        let word = { vector.number(at: $0, as: UInt64.self) }
        #expect(word(24) == 0x8000_0000 && word(32) == 0x87e0_0000)
        #expect(word(40) == 0x4942_534f && word(48) == 2 && word(56) == 0x8020_0000 && word(64) == 1)
    }

    @Test func anEntryIsOnlyANumber() throws {
        for entry in [UInt64.max, 0, 1 << 63, 0x8020_0001] {
            let plan = try plan {
                $0.kernel = BootFile(
                    path: "k", bytes: elf(segments: [ELFSegment(physical: 0x8020_0000, bytes: [1], count: 0x1000)], entry: entry))
                $0.initialDisk = raw(100)
            }
            #expect(plan.kernel?.entry == entry & ~1 && plan.initialDisk?.lowerBound == 0x8420_0000)
        }
    }

    @Test func whatDoesNotFitIsRefused() {
        func message(_ change: (inout BootFiles) -> Void) -> String {
            do { _ = try plan(change) } catch { return "\(error)" }
            return "nothing"
        }
        #expect(message { _ in }.contains("nothing to boot"))
        #expect(message { $0.kernel = raw(64); $0.initialDisk = raw(0x800_0000) }.contains("-m"))
        #expect(message { $0.kernel = raw(64); $0.initialDisk = raw(0) }.contains("empty"))
        #expect(message { $0.kernel = raw(0x7e0_0000) }.contains("-m"))
        #expect(
            message {
                $0.firmware = BootFile(
                    path: "f",
                    bytes: elf(segments: [ELFSegment(physical: 0x8020_0000, bytes: [1], count: 0x1000)], entry: 0x8020_0000))
                $0.kernel = BootFile(path: "k", bytes: linuxImage(size: 0x1000, byteCount: 0x1000))
            }.contains("lies over the firmware"))
    }
}

@Suite struct BoardTests {
    private func board(
        _ change: (inout BoardConfiguration) -> Void = { _ in }, console: CharacterBackend? = nil
    ) throws -> Board {
        var configuration = BoardConfiguration()
        configuration.memoryByteCount = 64 << 20
        configuration.files.kernel = BootFile(path: "k", bytes: [0x73, 0x00, 0x50, 0x10]) // wfi
        change(&configuration)
        return try Board(configuration, console: console)
    }

    @Test func theTreeDescribesTheMachine() throws {
        let tree = try DeviceTree(flattened: board {
            $0.hartCount = 3
            $0.bootArguments = "console=ttyS0"
            $0.files.initialDisk = BootFile(path: "i", bytes: [1, 2, 3])
        }.deviceTreeBlob())
        let root = tree.root
        func bytes(_ path: String, _ name: String) -> [UInt8]? {
            switch (path.isEmpty ? root : root.find(path))?.property(name) {
            case .bytes(let bytes)?: return bytes
            case .cells(let cells)?:
                return cells.flatMap { cell in (0..<4).map { UInt8(truncatingIfNeeded: cell >> UInt32(24 - 8 * $0)) } }
            default: return nil
            }
        }
        let text = { (path: String, name: String) in bytes(path, name).map { String(decoding: $0, as: UTF8.self) } }
        #expect(text("", "compatible") == "riscv-virtio\0")
        #expect(text("chosen", "bootargs") == "console=ttyS0\0")
        #expect(text("chosen", "stdout-path") == "/soc/serial@10000000\0")
        #expect(bytes("chosen", "rng-seed")?.count == 32)
        #expect(bytes("chosen", "linux,initrd-start")?.count == 8)
        #expect(bytes("memory@80000000", "reg") == [0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0])
        #expect(bytes("cpus", "timebase-frequency") == [0, 0x98, 0x96, 0x80])
        for hart in 0..<3 {
            #expect(text("cpus/cpu@\(hart)", "riscv,isa") == RISCVProfile.isaString + "\0")
            #expect(text("cpus/cpu@\(hart)", "riscv,isa-base") == "rv64i\0")
            #expect(text("cpus/cpu@\(hart)", "riscv,isa-extensions")?.hasPrefix("i\0m\0a\0f\0d\0c\0") == true)
            #expect(bytes("cpus/cpu@\(hart)", "reg") == [0, 0, 0, UInt8(hart)])
            #expect(root.find("cpus/cpu@\(hart)/interrupt-controller") != nil)
        }
        #expect(root.find("cpus/cpu@3") == nil)
        #expect(bytes("soc/plic@c000000", "interrupts-extended")?.count == 3 * 2 * 8)
        #expect(bytes("soc/clint@2000000", "interrupts-extended")?.count == 3 * 2 * 8)
        #expect(bytes("soc/serial@10000000", "interrupts") == [0, 0, 0, 10])
        #expect(bytes("soc/rtc@101000", "interrupts") == [0, 0, 0, 11])
        #expect(bytes("soc/plic@c000000", "phandle")?.count == 4)
        #expect(bytes("soc/serial@10000000", "interrupt-parent") == bytes("soc/plic@c000000", "phandle"))
        #expect(
            bytes("poweroff", "regmap") == bytes("soc/test@100000", "phandle") && bytes("reboot", "value") == [0, 0, 0x77, 0x77])
    }

    @Test func aGivenTreeGetsTheCommandLine() throws {
        let own = try board { $0.bootArguments = "first" }.deviceTreeBlob()
        let tree = try DeviceTree(flattened: board {
            $0.bootArguments = "second"
            $0.files.deviceTree = BootFile(path: "t", bytes: own)
        }.deviceTreeBlob())
        #expect(tree.root.find("chosen")?.property("bootargs") == .bytes(Array("second\0".utf8)))
        var random = SplitMix(seed: 5)
        for _ in 0..<300 {
            var damaged = own
            for _ in 0...random.below(4) {
                damaged[random.below(random.below(2) == 0 ? 40 : damaged.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            let damagedBoard = try board { $0.files.deviceTree = BootFile(path: "t", bytes: damaged) }
            do { _ = try damagedBoard.deviceTreeBlob() } catch { #expect(error is BootError) }
        }
    }

    @Test func machinesThatCannotBe() {
        func message(_ change: (inout BoardConfiguration) -> Void) -> String {
            do { _ = try board(change) } catch { return "\(error)" }
            return "nothing"
        }
        #expect(message { $0.hartCount = 9 }.contains("1 to 8 harts"))
        #expect(message { $0.memoryByteCount = 1 << 20 }.contains("16 MiB"))
        #expect(message { $0.memoryByteCount = (64 << 20) + 4096 }.contains("2 MiB"))
        #expect(message { $0.files.kernel = nil }.contains("nothing to boot"))
    }
}

/// Boots of programs that check themselves; what they check is in their sources.
@Suite(.serialized) struct BootTests {
    private final class Transcript: @unchecked Sendable {
        private let monitor = Monitor()
        private var bytes: [UInt8] = []
        func append(_ more: UnsafeRawBufferPointer) { monitor.locked { bytes += more } }
        var text: String { monitor.locked { String(decoding: bytes, as: UTF8.self) } }
    }

    private func makeSession(
        _ program: String, harts: Int = 1, deterministic: Bool = false, policy: ExecutionPolicy = .auto, isPaused: Bool = false,
        _ transcript: Transcript
    ) throws -> (MachineSession, SerialConsole) {
        var configuration = BoardConfiguration()
        configuration.memoryByteCount = 64 << 20
        configuration.hartCount = harts
        configuration.processor.engine.codeCacheBytes = 16 << 20
        configuration.processor.isDeterministic = deterministic
        configuration.processor.engine.policy = policy
        if deterministic { configuration.seed = 1 }
        let file = try BootFile(reading: images + program, as: "program")
        if program.hasPrefix("supervisor") { configuration.files.kernel = file } else { configuration.files.firmware = file }
        let console = SerialConsole { transcript.append($0) }
        return (try MachineSession(board: try Board(configuration, console: console), startsPaused: isPaused), console)
    }

    private func watched<Result>(_ session: MachineSession, seconds: Int = 300, _ body: () throws -> Result) throws -> Result {
        let done = Monitor()
        var isDone = false
        let watch = try HostThread {
            let end = HostClock.monotonicNanoseconds + UInt64(seconds) * 1_000_000_000
            let isLate = done.locked { () -> Bool in
                while !isDone && HostClock.monotonicNanoseconds < end { done.wait(nanoseconds: 100_000_000) }
                return !isDone
            }
            if isLate { session.stop() }
        }
        defer {
            done.locked {
                isDone = true
                done.wake()
            }
            watch.join()
        }
        return try body()
    }

    @Test(arguments: [
        "machine/hello", "machine/traps", "machine/interrupts", "supervisor/paging", "supervisor/sbi", "supervisor/kernel",
    ])
    func programsOfOneHart(program: String) throws {
        let transcript = Transcript()
        let (session, _) = try makeSession(program, transcript)
        #expect(try watched(session) { try session.run() } == .poweredOff(code: 0), "\(transcript.text.suffix(2000))")
        #expect(!transcript.text.contains("FAILED"))
    }

    @Test(arguments: ["machine/harts", "supervisor/sbi", "supervisor/kernel"], [2, 3])
    func programsOfSeveralHarts(program: String, harts: Int) throws {
        let transcript = Transcript()
        let (session, _) = try makeSession(program, harts: harts, transcript)
        #expect(try watched(session) { try session.run() } == .poweredOff(code: 0), "\(transcript.text.suffix(2000))")
        #expect(!transcript.text.contains("FAILED"))
    }

    /// Console and time at the end are the same again, and whoever executes.
    @Test(
        arguments: [
            "supervisor/kernel", "supervisor/sbi", "supervisor/paging", "machine/timer", "machine/interrupts", "machine/harts",
        ], [1, 2])
    func deterministicRunsAreTheSame(program: String, harts: Int) throws {
        func run(_ policy: ExecutionPolicy) throws -> (String, UInt64) {
            let transcript = Transcript()
            let (session, _) = try makeSession(program, harts: harts, deterministic: true, policy: policy, transcript)
            #expect(
                try watched(session) { try session.run() } == .poweredOff(code: 0), "\(policy): \(transcript.text.suffix(2000))")
            return (transcript.text, session.board.processor.time())
        }
        let first = try run(.interpreter)
        for policy in ExecutionPolicy.allCases {
            let other = try run(policy)
            #expect(first.0 == other.0 && first.1 == other.1, "\(policy): time \(first.1) and \(other.1)")
        }
    }

    @Test func aMachineThatIsResetStartsAgain() throws {
        let transcript = Transcript()
        let (session, _) = try makeSession("machine/hello", isPaused: true, transcript)
        let end = try watched(session) { () throws -> MachineEnd in
            let helper = try HostThread {
                session.reset()
                session.resume()
            }
            defer { helper.join() }
            return try session.run()
        }
        #expect(end == .poweredOff(code: 0))
        #expect(transcript.text.components("Hello from machine mode") == 1)
    }

    @Test func theMonitorLooksAndSteps() throws {
        let transcript = Transcript()
        let (session, _) = try makeSession("machine/hello", isPaused: true, transcript)
        var answers: [String: String] = [:]
        _ = try watched(session) { () throws -> MachineEnd in
            let helper = try HostThread {
                let monitor = MachineMonitor(session: session)
                for line in [
                    "info status", "info registers", "info harts", "info csr", "info interrupts", "info tlb", "info mtree",
                    "xp/2xw 0x1000", "x/3i 0x1000",
                    "step 6", "x/1i 0x80000000", "info", "x/9q 0", "x", "nonsense", "help", "info registers 7",
                    "xp/4xb 0x40000000", "", "balloon 64", "info balloon",
                ] { answers[line] = monitor.execute(line) }
                session.stop()
            }
            defer { helper.join() }
            return try session.run()
        }
        #expect(answers["info status"] == "paused\n")
        #expect(answers["info registers"]?.contains("pc 0000000000001000") == true, "where it will start")
        #expect(answers["info csr"]?.contains("mstatus") == true && answers["info csr"]?.contains("satp") == true)
        #expect(answers["info mtree"]?.contains("0000000010000000-00000000100000ff serial") == true)
        #expect(answers["xp/2xw 0x1000"] == "0x1000: 0x00000297 0x02828613\n")
        #expect(answers["x/3i 0x1000"]?.contains("csrr") == true)
        #expect(answers["step 6"]?.contains("pc 0000000080000000") == true, "\(answers["step 6"] ?? "")")
        #expect(answers["nonsense"]?.contains("no command 'nonsense'") == true)
        #expect(answers["xp/4xb 0x40000000"]?.contains("cannot read 0x40000000") == true)
        #expect(answers["x/9q 0"]?.contains("a format is") == true)
        #expect(answers["info registers 7"]?.contains("harts 0 to 0") == true)
        #expect(answers[""] == "")
        #expect(
            answers["balloon 64"]?.contains("no balloon: start it with --balloon") == true
                && answers["info balloon"] == answers["balloon 64"])
    }
}

extension String {
    /// How often another text is in this one.
    fileprivate func components(_ text: String) -> Int {
        let own = Array(utf8), other = Array(text.utf8)
        guard own.count >= other.count else { return 0 }
        return (0...own.count - other.count).filter { own[$0..<$0 + other.count].elementsEqual(other) }.count
    }
}

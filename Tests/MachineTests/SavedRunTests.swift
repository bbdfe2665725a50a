// Runs that are saved, loaded into another machine, and go on: the guest must not notice.

import DeviceModel
import Devices
import Engine
import Glibc
import TestSupport
import Testing

@testable import Machine

@Suite(.serialized) struct SavedRunTests {
    private let scratch = Scratch()

    private final class Transcript: @unchecked Sendable {
        private let monitor = Monitor()
        private var bytes: [UInt8] = []
        var onOutput: ((String) -> Void)?
        func append(_ more: UnsafeRawBufferPointer) {
            monitor.locked { bytes += more }
            onOutput?(text)
        }
        var text: String { monitor.locked { String(decoding: bytes, as: UTF8.self) } }
    }

    private struct Machine {
        let session: MachineSession
        let console: SerialConsole
        let transcript: Transcript

        /// Registers of all harts, and the time.
        var registers: [UInt64] {
            session.board.processor.harts.flatMap { hart in
                (0..<65).map { hart.core.words[$0] } + hart.core.controlRegisters.map(\.value)
            }
                + [session.board.processor.time()]
        }

        /// - Throws: when it takes longer than `seconds`.
        func run(seconds: Int = 300) throws -> MachineEnd {
            let watchdog = TimerQueue(clock: HostClock()), timer = watchdog.makeTimer { [session] in session.stop() }
            timer.set(UInt64(seconds) * Timebase.hertz)
            try watchdog.start()
            defer { watchdog.stop() }
            return try session.run()
        }
    }

    private func machine(
        _ program: String, harts: Int = 1, policy: ExecutionPolicy = .interpreter, isDeterministic: Bool = true,
        disk: String? = nil, loading path: String? = nil,
        isPaused: Bool = false, keepsFiles: Bool = false
    ) throws -> Machine {
        let transcript = Transcript(), console = SerialConsole { transcript.append($0) }
        let board = try smallBoard(program, console: console) {
            $0.hartCount = harts
            $0.memoryByteCount = 32 << 20
            $0.processor.engine.policy = policy
            $0.processor.isDeterministic = isDeterministic
            $0.seed = 1
            if path != nil {
                $0.isLoaded = true
                if !keepsFiles { $0.files = BootFiles() }
            }
        }
        if let disk { try board.attachVirtio(VirtioBlock(backend: DiskImage.open(disk, isSnapshot: true))) }
        try board.attachVirtio(VirtioEntropy(backend: board.entropy))
        return Machine(
            session: try MachineSession(board: board, startsPaused: isPaused, loading: path), console: console,
            transcript: transcript)
    }

    private func diskImage() -> String {
        let path = scratch.file("disk")
        Scratch.write(path, (0..<8192).map { UInt8(truncatingIfNeeded: $0) })
        return path
    }

    /// At random times: what was shown before and after is what a run shows that nobody saves, and the registers and the time at
    /// the end are the same, also when it is saved twice.
    @Test(arguments: [
        ("machine/hello", 2), ("machine/traps", 1), ("machine/interrupts", 1), ("machine/timer", 1), ("machine/harts", 3),
        ("machine/virtio", 1), ("supervisor/paging", 1),
        ("supervisor/sbi", 2), ("supervisor/kernel", 2),
    ])
    func deterministicRunsGoOnExactly(program: String, harts: Int) throws {
        let disk = program == "machine/virtio" ? diskImage() : nil
        let whole = try machine(program, harts: harts, disk: disk)
        #expect(try whole.run() == .poweredOff(code: 0), "\(whole.transcript.text)")
        let end = whole.session.board.processor.time(), path = scratch.file("run")
        var random = SplitMix(seed: 51)
        for round in 0..<4 {
            var current = try machine(program, harts: harts, disk: disk), shown = ""
            let times = (0..<(round == 3 ? 3 : 1)).map { _ in UInt64(random.below(Int(end) + 1)) }.sorted()
            var isOver = false
            for time in times where !isOver {
                current.session.stop(at: time, savingTo: path) {}
                let result = try current.run()
                shown += current.transcript.text
                // The end may come in the turn in which it was to be saved.
                isOver = result != .saved
                if isOver { continue }
                let registers = current.registers
                current = try machine(program, harts: harts, disk: disk, loading: path)
                #expect(current.registers == registers)
            }
            if !isOver {
                #expect(try current.run() == .poweredOff(code: 0))
                shown += current.transcript.text
            }
            #expect(shown == whole.transcript.text, "saved at \(times) of \(end)")
            #expect(current.registers == whole.registers, "saved at \(times) of \(end)")
        }
    }

    /// Saved while it runs, a machine goes on as if nothing had happened, and so does what is loaded into it again.
    @Test func savedInPlace() throws {
        let whole = try machine("supervisor/kernel", harts: 2)
        #expect(try whole.run() == .poweredOff(code: 0))
        let path = scratch.file("run"), half = whole.session.board.processor.time() / 2
        let other = try machine("supervisor/kernel", harts: 2)
        var before = "", failure = ""
        var asks: HostThread?
        let due = other.session.board.processor.timers.makeTimer { [session = other.session, transcript = other.transcript] in
            asks = try? HostThread {
                do {
                    try session.save(to: path)
                    before = transcript.text
                } catch { failure = "\(error)" }
            }
        }
        due.set(half)
        #expect(try other.run() == .poweredOff(code: 0))
        asks?.join()
        #expect(other.transcript.text == whole.transcript.text && other.registers == whole.registers)
        guard failure.isEmpty else { return #expect(failure.contains("ended") || failure.contains("powered off")) }
        let loaded = try machine("supervisor/kernel", harts: 2, loading: path)
        #expect(try loaded.run() == .poweredOff(code: 0))
        #expect(loaded.registers == whole.registers && whole.transcript.text.hasSuffix(loaded.transcript.text))
        #expect(before.utf8.count + loaded.transcript.text.utf8.count >= whole.transcript.text.utf8.count)
    }

    /// With harts on threads and translated code: saved some dozens of times on its way, it comes to its end.
    @Test(arguments: [("machine/harts", 3), ("supervisor/sbi", 2), ("supervisor/kernel", 2)], [ExecutionPolicy.auto, .block])
    func runsOnThreads(program: (String, Int), policy: ExecutionPolicy) throws {
        let path = scratch.file("run")
        var random = SplitMix(seed: 61), saves = 0, shown = "", loads: String?
        while true {
            let current = try machine(program.0, harts: program.1, policy: policy, isDeterministic: false, loading: loads)
            let now = current.session.board.processor.time()
            if saves < 24 { current.session.stop(at: now + UInt64(random.below(30_000)), savingTo: path) {} }
            let end = try current.run()
            shown += current.transcript.text
            if end == .saved {
                saves += 1
                loads = path
                continue
            }
            #expect(end == .poweredOff(code: 0), "\(shown.suffix(3000))")
            break
        }
        #expect(!shown.contains("FAILED"))
        #expect(saves > 0)
    }

    /// A machine with translated code goes back to what it was some time ago, several times: code that was there in between is
    /// gone.
    @Test(arguments: [ExecutionPolicy.auto, .block]) func loadedInPlace(policy: ExecutionPolicy) throws {
        let path = scratch.file("run")
        let current = try machine("supervisor/kernel", harts: 2, policy: policy, isDeterministic: false)
        var failure = "", loads = 0
        // Held on its way, so that it does not come to its end before it is saved, however late the helper is.
        var isHeld = false
        current.transcript.onOutput = { [session = current.session] _ in
            if isHeld { return }
            isHeld = true
            session.board.processor.pause()
            session.hold()
        }
        let helper = try HostThread { [session = current.session] in
            do {
                for _ in 0..<1_000_000 where !session.isPaused { usleep(100) }
                try session.save(to: path)
                for round in 0..<8 {
                    _ = try session.load(from: path)
                    loads += 1
                    if round == 0 { session.release { true } }
                    usleep(UInt32(4000 * (round + 1)))
                }
            } catch { failure = "\(error)" }
        }
        let end = try current.run()
        helper.join()
        #expect(
            end == .poweredOff(code: 0) && !current.transcript.text.contains("FAILED"), "\(current.transcript.text.suffix(2000))")
        #expect(loads > 0 && (failure.isEmpty || failure.contains("has ended") || failure.contains("powered off")), "\(failure)")
    }

    /// Keys that the guest has not read yet, partly in the port's FIFO, partly before it.
    @Test func whatWasTypedIsKept() throws {
        let path = scratch.file("run")
        let first = try machine("machine/echo", isDeterministic: false)
        let text = String(repeating: "the quick brown fox jumps over the lazy dog ", count: 20)
        first.transcript.onOutput = { [session = first.session] in if $0.hasSuffix("QUICK") { session.stop(savingTo: path) } }
        first.console.send(Array(text.utf8))
        #expect(try first.run() == .saved)
        let second = try machine("machine/echo", isDeterministic: false, loading: path)
        second.console.send(Array("and then 5".utf8))
        #expect(try second.run() == .poweredOff(code: 5))
        #expect(first.transcript.text.utf8.count < 700 && second.transcript.text.utf8.count > 100)
        // What came before the guest emptied its FIFO is lost to it, as it would be without saving.
        var shown = Array((first.transcript.text + second.transcript.text).utf8), ready = Array("echo: ready\n".utf8)
        if let place = shown.indices.first(where: { shown[$0...].starts(with: ready) }) {
            shown.removeSubrange(place..<place + ready.count)
        }
        ready = Array((text + "and then 5").uppercased().utf8.drop { $0 != UInt8(ascii: "Q") })
        #expect(shown.drop { $0 != UInt8(ascii: "Q") }.starts(with: ready), "\(String(decoding: shown, as: UTF8.self))")
    }

    @Test func theMonitorSavesAndLoads() throws {
        let path = scratch.file("run")
        let current = try machine("machine/echo", isDeterministic: false)
        var answers: [String] = []
        let helper = try HostThread { [session = current.session, console = current.console, transcript = current.transcript] in
            let monitor = MachineMonitor(session: session)
            func wait(_ text: String) { for _ in 0..<24_000 where !transcript.text.hasSuffix(text) { usleep(5000) } }
            wait("ready\n")
            answers.append(monitor.execute("save \(path)"))
            console.send(Array("one".utf8))
            wait("ONE")
            answers.append(monitor.execute("load \(path)"))
            console.send(Array("two".utf8))
            wait("ONETWO")
            answers += ["save", "load /no/file", "load /etc/passwd", "savevm /no/directory/x"].map(monitor.execute)
            console.send(Array("7".utf8))
        }
        #expect(try current.run() == .poweredOff(code: 7))
        helper.join()
        #expect(answers[0] == "" && answers[1] == "" && answers[2] == "save FILE\n")
        #expect(
            answers[3].contains("there is no saved machine") && answers[4].contains("no saved machine")
                && answers[5].contains("cannot save"))
    }

    @Test func timeGoesOnWhereItWas() throws {
        let path = scratch.file("run")
        let first = try machine("machine/echo", isDeterministic: false, isPaused: true), board = first.session.board
        (board.processor.clock as? HostClock)?.set(ticks: 123_456_789_000)
        try board.save(to: path)
        usleep(50000)
        #expect(board.processor.time() < 123_456_789_000 + 60 * Timebase.hertz)
        let second = try machine("machine/echo", isDeterministic: false, loading: path),
            now = second.session.board.processor.time()
        #expect(now >= 123_456_789_000 && now < 123_456_789_000 + 120 * Timebase.hertz)
        // Counted time takes over from the host's, and the other way round.
        let counted = try machine("machine/echo", loading: path)
        #expect(counted.session.board.processor.time() >= 123_456_789_000)
        first.session.board.shutDown()
        second.session.board.shutDown()
        counted.session.board.shutDown()
    }

    @Test func aRestartNeedsTheFiles() throws {
        let path = scratch.file("run")
        let first = try machine("machine/hello", isPaused: true)
        try first.session.board.save(to: path)
        let second = try machine("machine/hello", loading: path)
        #expect(throws: BootError.self) { try second.session.board.reset() }
        do { try second.session.board.reset() } catch { #expect("\(error)".contains("give --kernel or --firmware")) }
        let third = try machine("machine/hello", loading: path, isPaused: true, keepsFiles: true)
        try third.session.board.reset()
        third.session.board.onEvent = { _ in }
        try third.session.board.processor.start()
        for _ in 0..<24_000 where !third.transcript.text.contains("Hello from machine mode") { usleep(5000) }
        third.session.board.processor.stop()
        third.session.board.processor.wait()
        #expect(third.transcript.text.contains("Hello from machine mode"))
        third.session.board.shutDown()
        first.session.board.shutDown()
        second.session.board.shutDown()
    }
}

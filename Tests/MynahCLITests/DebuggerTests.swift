// `mynah run --gdb`, with real guests and a debugger that sends packets.

import GDBStub
import Glibc
import Mynah
import Testing

@testable import MynahCLI

@Suite struct DebuggerTests {
    private static let images = Files.parent(of: Files.parent(of: Files.parent(of: #filePath))) + "/GuestImages/riscv64"
    private static let program = images + "/checks/debugging"
    private typealias Register = DebuggerClient.Register

    private func debug(_ mode: String...) throws -> DebuggerClient { try DebuggerClient(Self.program, mode) }

    @Test(arguments: [false, true]) func nothingRunsBeforeTheDebuggerSaysSo(byPort: Bool) throws {
        let client = try DebuggerClient(Self.images + "/hello", byPort: byPort)
        #expect(try client.ask("?").hasPrefix("T05thread:"))
        let start = try client.register(Register.pc)
        #expect(start > 0x10000 && start % 2 == 0)
        // Each step executes one instruction, which is two or four bytes here: nothing jumps.
        var pc = start
        for _ in 0 ..< 3 {
            let low = try client.word(pc) & 3
            #expect(try client.ask("vCont;s").hasPrefix("T05thread:"))
            let next = try client.register(Register.pc)
            #expect(next == pc + (low == 3 ? 4 : 2))
            pc = next
        }
        #expect(try client.ask("vCont;c") == "W00")
        let end = try client.finish()
        #expect(end.status == 0 && end.output == "Hello from a guest program\n")
        #expect(end.errors.hasPrefix("mynah: waiting for gdb: target remote "))
    }

    @Test(arguments: EngineChoice.allCases) func memoryIsWritten(engine: EngineChoice) throws {
        let client = try DebuggerClient(Self.images + "/hello", options: ["--engine", engine.rawValue])
        try client.ask("QCatchSyscalls:1;40")
        #expect(try client.ask("vCont;c").contains("syscall_entry:40;"))
        let text = try client.register(Register.a1)
        #expect(try client.ask("X\(String(text, radix: 16)),5:Howdy") == "OK")
        #expect(try client.ask("vCont;c").contains("syscall_return:40;"))
        #expect(try client.register(Register.a0) == 27)
        #expect(try client.ask("vCont;c") == "W00")
        #expect(try client.finish().output == "Howdy from a guest program\n")
    }

    @Test(arguments: EngineChoice.allCases) func breakpointsStopEveryTime(engine: EngineChoice) throws {
        let client = try DebuggerClient(Self.program, options: ["--engine", engine.rawValue])
        try client.ask("qSupported:swbreak+;hwbreak+")
        let places = try client.places()
        let code = try client.word(places.checkpoint)
        try client.insert(1, places.checkpoint)
        #expect(try client.word(places.checkpoint) == code, "the guest's memory is as it was")
        for call in 1 ... 10 {
            let stop = try client.ask("vCont;c")
            #expect(stop.contains("hwbreak:;") && stop.hasPrefix("T05"), "\(stop)")
            #expect(try client.register(Register.pc) == places.checkpoint && client.register(Register.a0) == UInt64(call))
            #expect(try client.word(places.counter) == UInt64(call * (call - 1) / 2))
            try client.stepOver(1, places.checkpoint, thread: DebuggerClient.thread(stop))
        }
        // The child of the fork comes here, too, and is not held up.
        #expect(try client.ask("QPassSignals:1e;14") == "OK")
        #expect(try client.ask("vCont;c") == "W00")
        let end = try client.finish()
        #expect(end.status == 0 && end.output.hasSuffix("ok all\n"), "\(end.output)")
    }

    /// The mask of before that rt_sigprocmask writes to the stack.
    @Test func writesOfSystemCallsAreWatched() throws {
        let client = try debug()
        try client.ask("QPassSignals:1e;14")
        try client.ask("QCatchSyscalls:1;87")
        var place: UInt64 = 0
        while place == 0 {
            guard try client.ask("vCont;c").contains("syscall_entry:87;") else {
                throw DebuggerClientError(text: "no call writes its mask")
            }
            place = try client.register(Register.a0 + 2)
            if place == 0 { #expect(try client.ask("vCont;c").contains("syscall_return:87;")) }
        }
        let pc = try client.register(Register.pc)
        try client.ask("QCatchSyscalls:0")
        try client.setWord(place, .max)
        try client.insert(2, place, 8)
        let stop = try client.ask("vCont;c")
        #expect(stop.contains("watch:\(String(place, radix: 16));"), "\(stop)")
        #expect(try client.word(place) != .max && client.register(Register.pc) == pc + 4)
        try client.remove(2, place, 8)
        #expect(try client.ask("vCont;c") == "W00")
    }

    @Test func registersAreWritten() throws {
        let client = try debug()
        let places = try client.places()
        try client.insert(0, places.checkpoint)
        let stop = try client.ask("vCont;c")
        #expect(!stop.contains("break"), "not to a debugger that does not know the word")
        let all = try client.ask("g")
        #expect(all.utf8.count == 65 * 16 + 3 * 8)
        #expect(try client.ask("G" + all) == "OK" && client.ask("g") == all)
        try client.setRegister(Register.a0, 46)  // 45 more than the program meant
        for (number, value) in [(33, 0x7ff0_0000_0000_0001), (64, 1)] as [(Int, UInt64)] {
            try client.setRegister(number, value)
            #expect(try client.register(number) == value)
        }
        // fflags and frm are parts of fcsr.
        #expect(try client.ask("P43=5f000000") == "OK")
        #expect(try client.ask("p41") == "1f000000" && client.ask("p42") == "02000000" && client.ask("p43") == "5f000000")
        #expect(try client.ask("P42=00000000") == "OK" && client.ask("p43") == "1f000000" && client.ask("P41=00000000") == "OK")
        #expect(try client.ask("P0=0100000000000000") == "OK" && client.ask("p0") == "0000000000000000")
        try client.remove(0, places.checkpoint)
        try client.ask("QPassSignals:1e;14")
        #expect(try client.ask("vCont;c") == "W01")
        #expect(try client.finish().output.contains("FAILED calls"))
    }

    @Test(arguments: [2, 3, 4]) func watchpoints(kind: Int) throws {
        let client = try debug()
        let places = try client.places()
        // Only a part of what is accessed.
        try client.insert(kind, places.watched + 1, 2)
        try client.ask("QPassSignals:1e;14")
        let word = ["watch", "rwatch", "awatch"][kind - 2] + ":" + String(places.watched + 1, radix: 16) + ";"
        // Five stores of 0 to 4 and an addition; each is told before it is made.
        let seen: [UInt64] = kind == 3 ? [4] : [0, 0, 1, 2, 3, 4]
        for value in seen {
            let stop = try client.ask("vCont;c")
            #expect(stop.contains(word), "\(stop)")
            #expect(try client.word(places.watched) == value)
        }
        try client.remove(kind, places.watched + 1, 2)
        #expect(try client.ask("vCont;c") == "W00")
        #expect(try client.finish().status == 0)
    }

    @Test(arguments: [EngineChoice.interpreter, .region, .auto]) func everyThreadStopsAtABreakpoint(engine: EngineChoice) throws {
        let client = try DebuggerClient(Self.program, options: ["--engine", engine.rawValue])
        let places = try client.places()
        try client.insert(0, places.visit)
        try client.ask("QPassSignals:1e;14")
        var hits: [String: Int] = [:]
        var stop = try client.ask("vCont;c")
        while stop.hasPrefix("T05") {
            let thread = DebuggerClient.thread(stop)
            hits[thread, default: 0] += 1
            // The others stand still: nothing changes while the debugger looks.
            let visits = try client.word(places.visits)
            #expect(try client.register(Register.pc, thread: thread) == places.visit)
            let list = try client.ask("qfThreadInfo")
            #expect(
                try list.dropFirst().split(separator: ",").map(String.init).contains(thread)
                    && client.word(places.visits) == visits)
            try client.stepOver(0, places.visit, thread: thread)
            stop = try client.ask("vCont;c")
        }
        #expect(stop == "W00" && hits.count == 3 && hits.values.allSatisfy { $0 == 50 }, "\(stop) \(hits)")
        #expect(try client.finish().status == 0)
    }

    @Test func threadsAreNamedAndHeld() throws {
        let client = try debug()
        let places = try client.places()
        try client.insert(0, places.visit)
        let stop = try client.ask("vCont;c")
        let thread = DebuggerClient.thread(stop)
        let document = try client.ask("qXfer:threads:read::0,4000")
        #expect(document.contains("<thread id=\"\(thread)\" name=\"debugging\"/>"), "\(document)")
        #expect(try client.ask("T\(thread)") == "OK" && client.ask("T1") == "E03")
        try client.remove(0, places.visit)
        // One thread alone runs to its end; nobody is left to run.
        try client.ask("qSupported:no-resumed+")
        #expect(try client.ask("vCont;c:\(thread)") == "N")
        #expect(try client.ask("T\(thread)") == "E03")
        try client.ask("QPassSignals:1e;14")
        #expect(try client.ask("vCont;c") == "W00")
    }

    @Test func signalsStopFirst() throws {
        for isDelivered in [true, false] {
            let client = try debug()
            let places = try client.places()
            try client.insert(0, places.handle)
            #expect(try client.ask("vCont;c").hasPrefix("T1ethread:"))
            let information = try client.ask("qXfer:siginfo:read::0,80")
            #expect(information.utf8.first == UInt8(ascii: "l") && information.utf8.dropFirst().first == 10)
            if isDelivered {
                #expect(try client.ask("vCont;C1e").hasPrefix("T05") && client.register(Register.pc) == places.handle)
                try client.remove(0, places.handle)
            }
            // The end of a child is told, too, unless the debugger passes it.
            var stop = try client.ask("vCont;c")
            while stop.hasPrefix("T14") { stop = try client.ask("vCont;C14") }
            #expect(stop == (isDelivered ? "W00" : "W01"))
            #expect(try client.finish().output.contains("FAILED a signal") == !isDelivered)
        }
    }

    @Test func aStepWithASignalStopsAtItsHandler() throws {
        let client = try debug()
        let places = try client.places()
        #expect(try client.ask("vCont;c").hasPrefix("T1e"))
        #expect(try client.ask("vCont;S1e").hasPrefix("T05") && client.register(Register.pc) == places.handle)
        #expect(try client.register(Register.a0) == 10)
    }

    @Test func faultsAndDeath() throws {
        let client = try debug("fault")
        #expect(try client.ask("vCont;c").hasPrefix("T0bthread:"))
        client.send("qXfer:siginfo:read::0,80")
        let information = try client.receive().dropFirst()
        #expect(information.count == 128 && Array(information)[16 ..< 24] == [16, 0, 0, 0, 0, 0, 0, 0], "si_addr")
        // Without the signal the instruction is tried again.
        #expect(try client.ask("vCont;c").hasPrefix("T0b"))
        #expect(try client.ask("vCont;C0b") == "X0b")
        #expect(try client.finish().status == 128 + 11)
        let killed = try debug("kill")
        #expect(try killed.ask("vCont;c").hasPrefix("T0f") && killed.ask("vCont;C0f") == "X0f")
        #expect(try killed.finish().status == 128 + 15)
        let ended = try debug("spin")
        ended.send("k")
        #expect(try ended.finish().status == 128 + 9)
    }

    @Test(arguments: EngineChoice.allCases) func aRunningProgramIsInterrupted(engine: EngineChoice) throws {
        let client = try DebuggerClient(Self.program, ["spin"], options: ["--engine", engine.rawValue])
        let places = try client.places()
        #expect(try client.goOn { try client.word(places.spins) > 0 }.hasPrefix("T02thread:"))
        let spins = try client.word(places.spins)
        usleep(50_000)
        #expect(try client.word(places.spins) == spins, "it stands still")
        try client.goOn { try client.word(places.spins) > spins }
        try client.setWord(places.released, 1)
        #expect(try client.ask("vCont;c") == "W00")
    }

    /// Times to sleep: the first that is long enough for what is done meanwhile, which the host says, is the one that counts.
    private static let sleeps = [600, 6000, 60_000]

    /// A program that is in the call that sleeps.
    private func asleep(milliseconds: Int) throws -> (client: DebuggerClient, places: DebuggerClient.Places) {
        let client = try debug("sleep", String(milliseconds)), places = try client.places()
        try client.ask("QCatchSyscalls:1;65;73")  // nanosleep, clock_nanosleep
        #expect(try client.ask("vCont;c").contains("syscall_entry:"))
        try client.ask("QCatchSyscalls:0")
        client.send("vCont;c")
        return (client, places)
    }

    @Test func aCallThatWaitsIsNotDisturbed() throws {
        for milliseconds in Self.sleeps {
            let client = try asleep(milliseconds: milliseconds).client
            var interrupts = 0, stop = ""
            for _ in 0 ..< 5 {
                usleep(20_000)
                stop = try client.interrupt()
                guard stop.hasPrefix("T02") else { break }
                interrupts += 1
                client.send("vCont;c")
            }
            if interrupts == 5 { stop = try String(decoding: client.receive(), as: UTF8.self) }
            #expect(stop == "W00")
            #expect(try client.finish().output == "ok a sleep that nothing shortens\nok all\n")
            if interrupts == 5 { return }
        }
        Issue.record("five interrupts take longer than the longest sleep")
    }

    @Test func aFunctionIsCalledWhileTheProgramWaits() throws {
        for milliseconds in Self.sleeps {
            let (client, places) = try asleep(milliseconds: milliseconds)
            let stop = try client.interrupt()
            guard stop.hasPrefix("T02") else { continue }
            return try callWhileItWaits(client, places, thread: DebuggerClient.thread(stop))
        }
        Issue.record("an interrupt takes longer than the longest sleep")
    }

    private func callWhileItWaits(_ client: DebuggerClient, _ places: DebuggerClient.Places, thread: String) throws {
        let before = try client.ask("g"), pc = try client.register(Register.pc)
        let stack = try client.register(Register.stackPointer)
        try client.setRegister(Register.returnAddress, pc)
        try client.setRegister(Register.stackPointer, stack - 256)
        try client.setRegister(Register.a0, 42)
        try client.setRegister(Register.pc, places.checkpoint)
        try client.insert(0, pc)
        #expect(try client.ask("vCont;c:\(thread)").hasPrefix("T05") && client.register(Register.pc) == pc)
        #expect(try client.register(Register.a0) == 42 && client.word(places.counter) == 42)
        try client.remove(0, pc)
        #expect(try client.ask("G" + before) == "OK")
        #expect(try client.ask("vCont;c") == "W00")
        #expect(try client.finish().output == "ok a sleep that nothing shortens\nok all\n")
    }

    @Test func anotherProgramIsDebuggedOn() throws {
        let client = try debug("execute")
        try client.ask("qSupported:exec-events+")
        _ = try client.places()
        let stop = try client.ask("vCont;c")
        #expect(stop.contains("exec:" + Hexadecimal.encode(Self.program) + ";"), "\(stop)")
        #expect(try client.ask("qXfer:exec-file:read::0,1000") == "l" + Self.program)
        #expect(try client.ask("vCont;s").hasPrefix("T05") && client.ask("vCont;c") == "W09")
        #expect(try client.finish().status == 9)
    }

    @Test(arguments: [true, false]) func theProgramGoesOnWithoutItsDebugger(isPolite: Bool) throws {
        let client = try debug()
        let places = try client.places()
        try client.insert(0, places.checkpoint)
        try client.insert(2, places.watched, 8)
        #expect(try client.ask("vCont;c").hasPrefix("T05"))
        if isPolite { #expect(try client.ask("D") == "OK") } else { client.disconnect() }
        let end = try client.finish()
        #expect(end.status == 0 && end.output.hasSuffix("ok all\n"))
    }

    @Test func aLostDebuggerLeavesARunningProgramRunning() throws {
        let client = try debug("spin")
        let places = try client.places()
        try client.insert(0, places.checkpoint)
        client.send("vCont;c")
        #expect(client.isSilent(milliseconds: 50))
        client.disconnect()
        usleep(100_000)
        #expect(kill(client.process, 0) == 0 && waitpid(client.process, nil, WNOHANG) == 0)
        kill(client.process, SIGTERM)
        #expect(try client.finish().status == 128 + 15, "signals have their own effect again")
    }

    /// Threads that lock, wait and exchange, stopped again and again, compute what they should.
    @Test func manyInterruptsChangeNothing() throws {
        var interrupts = 0
        // A busy host may not come to interrupt it often enough in one run.
        for _ in 0 ..< 20 where interrupts < 4 {
            let client = try DebuggerClient(Self.images + "/checks/threads")
            // Cancelling a thread takes one.
            try client.ask("QPassSignals:4d")
            client.send("vCont;c")
            while interrupts < 40 {
                guard client.isSilent(milliseconds: 10) else { break }
                let stop = try client.interrupt()
                if stop.hasPrefix("W") {
                    #expect(stop == "W00")
                    break
                }
                interrupts += 1
                let threads = try client.ask("qfThreadInfo").dropFirst().split(separator: ",")
                for thread in threads { #expect(try client.register(Register.pc, thread: String(thread)) != 0) }
                client.send("vCont;c")
            }
            let end = try client.finish()
            #expect(end.status == 0 && end.output.hasSuffix("ok all\n"), "\(end.output)")
        }
        #expect(interrupts > 3)
    }

    /// Programs do not notice a debugger that only looks on.
    @Test(arguments: ["kernel", "signals", "process", "code"]) func checksHoldUnderADebugger(check: String) throws {
        let client = try DebuggerClient(Self.images + "/checks/" + check)
        try client.ask(
            "QPassSignals:" + (1 ..< 79).filter { $0 != 9 && $0 != 17 }.map { String($0, radix: 16) }.joined(separator: ";"))
        #expect(try client.ask("vCont;c") == "W00")
        let end = try client.finish()
        #expect(end.status == 0, "\(end.output.split(separator: "\n").filter { $0.hasPrefix("FAILED") })")
    }

    @Test func filesOfTheTarget() throws {
        let client = try debug()
        let name = try client.ask("qXfer:exec-file:read::0,1000").dropFirst()
        #expect(try client.ask("vFile:open:\(Hexadecimal.encode(String(name))),0,0") == "F1")
        client.send("vFile:pread:1,4,1")
        #expect(try client.receive() == Array("F4;".utf8) + [0x45, 0x4c, 0x46, 2])
        #expect(try client.ask("vFile:close:1") == "F0")
        client.send("qXfer:auxv:read::0,1000")
        let vector = try client.receive().dropFirst()
        #expect(vector.count % 16 == 0 && vector.suffix(16).allSatisfy { $0 == 0 })
        #expect(try client.ask("qRcmd," + Hexadecimal.encode("maps")).utf8.count > 100)
        #expect(try client.ask("m0,8") == "E0e" && client.ask("m7fffffffffff,8") == "E0e" && client.ask("Z0,0,2") == "E0e")
    }

    private struct Repeatable: RandomNumberGenerator {
        private var state: UInt64 = 5
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    @Test func nonsenseDoesNoHarm() throws {
        let client = try debug()
        _ = try client.places()
        // The same bytes every time: one of some thousand others is a packet that ends the program, or the debugging of it.
        var random = Repeatable()
        for _ in 0 ..< 200 {
            client.sendRaw((0 ..< 40).map { _ in UInt8.random(in: 0 ... 255, using: &random) })
            let words = [
                "m", "M", "X", "g", "G", "P", "p", "Z0,", "z0,", "Z2,", "vFile:open:", "vFile:pread:", "qXfer:auxv:read::", "T",
                "H", "qRcmd,", "QPassSignals:",
            ]
            client.send("#00")
            let rest = (0 ..< 12).map { _ in "0123456789abcdef,:;=".randomElement(using: &random)! }
            client.send(words.randomElement(using: &random)! + String(rest))
        }
        client.sendRaw(Array("#00".utf8))
        // The answer to this one only can be this.
        client.send("qXfer:exec-file:read::0,1000")
        var answer: [UInt8] = []
        for _ in 0 ..< 2000 where answer != Array(("l" + Self.program).utf8) { answer = try client.receive() }
        #expect(answer == Array(("l" + Self.program).utf8))
        client.disconnect()
    }

    @Test func whatCannotBeWaitedFor() throws {
        let mynah = Files.parent(of: Files.ownExecutable) + "/mynah"
        for (arguments, words) in [
            (["--gdb", "99999"], "'--gdb': no port '99999'"), (["--gdb", "no.such.host:1"], "'no.such.host' is no address"),
            (["--gdb", "/no/such/directory/socket"], "cannot wait for gdb"), (["--gdb", "0", "--verify"], "do not go together"),
        ] {
            let result = try ChildProcess.run([mynah, "run"] + arguments + [Self.images + "/hello"], timeLimit: 600)
            #expect(result.status == 2 && result.errorText.contains(words), "\(arguments): \(result.errorText)")
        }
        let missing = try ChildProcess.run([mynah, "run", "--gdb", "0", "/no/such/program"], timeLimit: 600)
        #expect(missing.status == 127, "it is not waited for what cannot run")
    }
}

// The executable as its users meet it: statuses, messages, streams.

import Glibc
import Mynah
import Testing

@testable import MynahCLI

@Suite struct EndToEndTests {
    private static let directory = Files.parent(of: Files.ownExecutable)
    private static let mynah = directory + "/mynah"
    private static let images = Files.parent(of: Files.parent(of: Files.parent(of: #filePath))) + "/GuestImages/riscv64"

    init() { setenv("MYNAH_CACHE", "off", 0) }

    private func run(_ arguments: String...) throws -> (status: Int32, output: String, errors: String) {
        let result = try ChildProcess.run([Self.mynah] + arguments, timeLimit: 600)
        return (result.status, String(decoding: result.output, as: UTF8.self), result.errorText)
    }

    private let hello = images + "/hello"

    @Test(arguments: EngineChoice.allCases) func guestsRun(engine: EngineChoice) throws {
        let result = try run("run", "--engine", engine.rawValue, hello)
        #expect(result.status == 0 && result.output == "Hello from a guest program\n" && result.errors == "")
    }

    @Test(arguments: EngineChoice.allCases) func theGuestsStatusIsOurs(engine: EngineChoice) throws {
        let result = try run("run", "--engine", engine.rawValue, Self.images + "/sieve", "--help")
        #expect(result.status == 2 && result.output == "" && result.errors.hasPrefix("usage: "))
    }

    @Test func wrongCommandLines() throws {
        for arguments in [
            ["run"], ["run", "--bogus", hello], ["bench", "--bogus"], ["inspect"], ["nonsense"], ["verify", "--bogus", hello],
            ["run", "--disable-pass", "?", hello],
        ] {
            let result = try ChildProcess.run([Self.mynah] + arguments)
            #expect(result.status == 2, "\(arguments)")
            #expect(result.output.isEmpty && !result.errorText.isEmpty, "\(arguments)")
        }
    }

    @Test func whatCannotBeRun() throws {
        #expect(try run("run", "/no/such/program").status == 127)
        let foreign = try run("run", "/bin/sh")
        #expect(foreign.status == 126 && foreign.errors.contains("x86-64"))
        #expect(try run("run", "/etc/passwd").status == 126)
        #expect(try run("verify", "/no/such/program").status == 127)
        let unverified = try run("verify", "/bin/sh")
        #expect(unverified.status == 126 && unverified.errors.contains("x86-64"))
    }

    @Test func everyErrorNamesWhatIsWrong() throws {
        for (arguments, words) in [
            (["nonsense"], "no command 'nonsense'; there are run"),
            (["run", "--append", "/no/x", "--stats", hello], "'--append': cannot write"),
            (["run", "--strace=%bogus", hello], "'%bogus'"), (["run", "--strace=nosuchcall", hello], "'nosuchcall'"),
            (["bench", "--engines", "foo"], "'foo' is none of"),
            (["bench", "hello", "--svg", "/no/x.svg"], "'--svg': cannot write"),
            (["bench", "hello", "--json", "/no/x"], "'--json': cannot write"),
            (["bench", "hello", "--native", "/no/x"], "no directory '/no/x'"),
            (["bench", "--runs", "0"], "found '0'"), (["inspect", hello, "--html", "/no/x"], "'--html': cannot write"),
            (["inspect", hello, "--stage", "foo"], "'foo' is none of"), (["inspect", hello, "--at", "0xzz"], "neither a symbol"),
            (["isa", "--bogus"], "Unknown option '--bogus'"), (["verify", "--every", "x", hello], "'x'"),
        ] {
            let result = try ChildProcess.run([Self.mynah] + arguments, timeLimit: 600)
            #expect(result.status == 2 && result.output.isEmpty, "\(arguments): \(result.status)")
            #expect(
                result.errorText.hasPrefix("mynah: ") && result.errorText.contains(words), "\(arguments): \(result.errorText)")
            #expect(result.errorText.contains("Try 'mynah"), "\(arguments): \(result.errorText)")
        }
    }

    @Test func helpIsOutputAndSuccess() throws {
        for arguments in [
            ["--help"], ["run", "--help"], ["bench", "--help"], ["verify", "--help"], ["inspect", "-h"], ["isa", "--help"],
            ["--version"],
        ] {
            let result = try ChildProcess.run([Self.mynah] + arguments)
            #expect(result.status == 0 && !result.output.isEmpty && result.errorText.isEmpty, "\(arguments)")
        }
    }

    @Test func statisticsAndTracesGoToTheFile() throws {
        let path = "/tmp/mynah-test-\(getpid())-stats"
        defer { unlink(path) }
        let result = try run("run", "--engine", "interpreter", "--stats=json", "--strace", "-o", path, hello)
        #expect(result.errors == "" && result.output == "Hello from a guest program\n")
        let text = Files.readText(path) ?? ""
        #expect(text.contains("write(1, \"Hello"))
        #expect(number("instructions", in: text).map { $0 > 5 } == true)
    }

    @Test func dumpsShowEveryStage() throws {
        let result = try run("run", "--engine", "block", "--dump", "guest,ir,optimized,host", hello)
        for word in ["==== translation 1 at", "ecall", "    ir ", "    optimized ", "    host "] {
            #expect(result.errors.contains(word), "\(word)")
        }
    }

    @Test func inspectAlignsStages() throws {
        let text = try run("inspect", hello)
        #expect(text.status == 0 && text.output.contains("exitTrap systemCall"))
        let json = try run("inspect", hello, "--json", "--stage", "guest,ir")
        #expect(json.output.contains("\"ir\": [") && !json.output.contains("\"host\""))
        #expect(try run("inspect", hello, "--at", "0x1").status == 2)
        #expect(try run("inspect", hello, "--at", "main").errors.contains("stripped"))
    }

    @Test func verifyFindsNothingInARightTranslation() throws {
        let result = try run("verify", hello)
        #expect(result.status == 0 && result.output.contains("identical: status 0"))
        #expect(result.output.hasPrefix("verify: "), "blocks are compared in lockstep")
    }

    @Test func lockstepLetsTheGuestAlone() throws {
        let result = try run("run", "--verify", hello)
        #expect(result.status == 0 && result.output == "Hello from a guest program\n")
        #expect(result.errors.hasPrefix("mynah: verify: ") && result.errors.contains("0 disturbed"))
        #expect(try run("run", "--verify=0", hello).status == 2)
        #expect(try run("run", "--verify", "--engine", "interpreter", hello).status == 2)
        #expect(try run("verify", "--every", "0", hello).status == 2)
        #expect(try run("verify", "--replay", "/no/such/file").status == 127)
        #expect(try run("verify", "--replay", hello).status == 2)
    }

    /// A program of two instructions: li a0, 42 and a load from address 0.
    @Test func crashesAreExplainedOnRequest() throws {
        func words(_ value: UInt64, _ byteCount: Int) -> [UInt8] {
            (0 ..< byteCount).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
        }
        let address: UInt64 = 0x10000, code: [UInt64] = [0x02a0_0513, 0x0000_3583]
        var file: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        file += words(2, 2) + words(243, 2) + words(1, 4) + words(address + 120, 8) + words(64, 8) + words(0, 8) + words(0, 4)
        file += words(64, 2) + words(56, 2) + words(1, 2) + words(0, 6)
        file +=
            words(1, 4) + words(5, 4) + words(0, 8) + words(address, 8) + words(address, 8) + words(128, 8) + words(128, 8)
            + words(4096, 8)
        file += code.flatMap { words($0, 4) }
        let path = "/tmp/mynah-test-\(getpid())-crash"
        defer { unlink(path) }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o755)
        #expect(write(descriptor, file, file.count) == file.count)
        close(descriptor)
        let silent = try run("run", path)
        #expect(silent.status == 128 + 11 && silent.errors.isEmpty)
        let explained = try run("run", "--backtrace", path)
        #expect(explained.status == 128 + 11)
        #expect(explained.errors.contains("SIGSEGV at address 0x0, pc 0x1007c: ld a1,0(zero)"), "\(explained.errors)")
        #expect(explained.errors.contains("a0 000000000000002a") && explained.errors.contains("#0  0x1007c"))
    }

    @Test func reproducersAreReplayed() throws {
        let path = "/tmp/mynah-test-\(getpid())-reproducer"
        defer { unlink(path) }
        try Files.write("a report\nisa riscv64\nregister a0 0x5\ncode 0x10000 00150513  # addi a0,a0,1\n", to: path)
        let result = try run("verify", "--replay", path)
        #expect(result.status == 0 && result.output == "identical\n")
    }

    @Test func theQemuPersonality() throws {
        let directory = "/tmp/mynah-test-\(getpid())-qemu"
        mkdir(directory, 0o755)
        let link = directory + "/qemu-riscv64"
        symlink(Self.mynah, link)
        defer { unlink(link); rmdir(directory) }
        let result = try ChildProcess.run([link, "-strace", "-0", "name", hello])
        #expect(result.status == 0 && String(decoding: result.output, as: UTF8.self) == "Hello from a guest program\n")
        #expect(result.errorText.contains("write(1"))
        #expect(try ChildProcess.run([link, "-version"]).status == 0)
        #expect(try ChildProcess.run([link, "-bogus"]).status == 2)
    }

    @Test func isaListsInstructionsAndCalls() throws {
        let result = try run("isa", "--json")
        #expect(
            result.output.contains("\"fmadd.d\"") && result.output.contains("\"openat\"") && result.output.contains("\"Zbb\""))
    }

    @Test func microBenchmarksMeasureEveryStep() throws {
        let path = "/tmp/mynah-test-\(getpid())-micro.json"
        defer { unlink(path) }
        let result = try run("bench", "--micro", Self.images + "/sieve", "--scale", "1", "--runs", "1", "--json", path)
        #expect(result.status == 0, "\(result.errors)")
        let text = Files.readText(path) ?? ""
        for key in [
            "decode", "lift", "emit", "encode", "directJump", "callAndReturn", "indirectJump", "dispatcher", "systemCall",
            "interpretedInstruction",
        ] + Program.passNames {
            #expect(number(key, in: text).map { $0 > 0 } == true, "\(key)")
        }
        // What leaves the code cache cannot be as cheap as what stays in it.
        #expect(number("dispatcher", in: text)! > number("indirectJump", in: text)!)
    }

    @Test func benchComparesEngines() throws {
        let path = "/tmp/mynah-test-\(getpid())-bench.json"
        defer { unlink(path) }
        let result = try run("bench", "sieve", "hello", "--scale", "1", "--runs", "1", "--no-native", "--json", path)
        #expect(result.status == 0 && result.output.contains("all results identical across interpreter, block"))
        #expect(Files.readText(path)?.contains("\"identical\": true") == true)
    }
}

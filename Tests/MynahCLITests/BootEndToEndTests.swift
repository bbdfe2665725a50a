// `mynah boot` as its users meet it: statuses, streams, keys, and a terminal that is as it was before.

import Glibc
import Mynah
import Testing

@testable import MynahCLI

private let directory = Files.parent(of: Files.ownExecutable)
private let mynah = directory + "/mynah"
private let images = Files.parent(of: Files.parent(of: Files.parent(of: #filePath))) + "/GuestImages/riscv64"

@Suite struct BootEndToEndTests {
    private func run(_ arguments: String...) throws -> (status: Int32, output: String, errors: String) {
        let result = try ChildProcess.run([mynah] + arguments, timeLimit: 600)
        return (result.status, String(decoding: result.output, as: UTF8.self), result.errorText)
    }

    @Test func whatCannotBeBooted() throws {
        for (arguments, status, words) in [
            ([], 2, "nothing to boot"), (["stray"], 2, "what is 'stray'?"),
            (["--kernel", "/no/kernel"], 127, "there is no kernel '/no/kernel'"),
            (["--kernel", "/bin/sh"], 126, "x86-64"), (["--firmware", images + "/hello"], 126, "mynah run"),
            (["--kernel", "/tmp"], 126, "no regular file"),
            (["--kernel", images + "/supervisor/sbi", "-m", "8M"], 2, "16 MiB"),
            (["--initrd", "x", "--firmware", images + "/machine/hello"], 2, "--kernel"),
            (["--firmware", images + "/machine/hello", "--dtb", images + "/machine/hello"], 126, "no sound device tree"),
            (["--firmware", images + "/machine/hello", "--save", "/tmp"], 2, "'--save': '/tmp' is no regular file"),
            (["--load", "/no/file", "--dump-dtb", "-"], 2, "give what is booted"),
            (["--kernel", images + "/supervisor/sbi", "--drive", "/no/disk"], 126, "/no/disk"),
            (["--firmware", images + "/machine/hello", "--net", "x"], 2, "no network"),
        ] as [([String], Int32, String)] {
            let result = try ChildProcess.run([mynah, "boot"] + arguments, timeLimit: 600)
            #expect(
                result.status == status && result.output.isEmpty && result.errorText.contains(words),
                "\(arguments): \(result.status) \(result.errorText)")
        }
    }

    /// Neither read from nor written to, and nobody waits for them.
    @Test func pipesAreNoFiles() throws {
        let pipe = "/tmp/mynah-test-\(getpid())-pipe", echo = images + "/machine/echo"
        #expect(mkfifo(pipe, 0o600) == 0)
        defer { unlink(pipe) }
        for arguments in [
            ["--kernel", pipe], ["--firmware", echo, "--dtb", pipe], ["--firmware", echo, "--drive", pipe + ",readonly"],
            ["--load", pipe],
        ] {
            let result = try ChildProcess.run([mynah, "boot"] + arguments, timeLimit: 600)
            let says = ["no regular file", "neither a file nor"].contains { result.errorText.contains($0) }
            #expect(result.status == 126 && says, "\(arguments): \(result)")
        }
        #expect(
            try run("boot", "--firmware", echo, "--save", pipe, "--timeout", "500").errors.contains(
                "'\(pipe)' is no regular file"))
        #expect(try run("inspect", pipe).errors.contains("no regular file"))
    }

    @Test func theGuestsStatusIsOurs() throws {
        let result = try run("boot", "--firmware", images + "/machine/hello", "-m", "32M", "--cpus", "2")
        #expect(
            result.status == 0 && result.output == "Hello from machine mode.\n2 harts, 32 MiB at 80000000\n"
                && result.errors == "")
    }

    @Test func expectedTextEndsTheRun() throws {
        #expect(
            try run("boot", "--firmware", images + "/machine/echo", "-m", "32M", "--expect", "o: ready", "--timeout", "500")
                .status == 0)
        let missed = try run("boot", "--firmware", images + "/machine/hello", "-m", "32M", "--expect", "Goodbye")
        #expect(missed.status == 1 && missed.errors.contains("'Goodbye' was not shown"))
        let late = try run("boot", "--firmware", images + "/machine/echo", "-m", "32M", "--timeout", "0.5")
        #expect(late.status == 124 && late.errors.contains("did not end within 0.5 s"))
    }

    @Test func calledAsQemu() throws {
        let link = "/tmp/mynah-test-\(getpid())/qemu-system-riscv64"
        Files.makeDirectories(Files.parent(of: link))
        unlink(link)
        defer { unlink(link) }
        #expect(symlink(mynah, link) == 0)
        let result = try ChildProcess.run(
            [link, "-M", "virt", "-nographic", "-bios", "none", "-kernel", images + "/machine/hello", "-smp", "1"], timeLimit: 600
        )
        #expect(result.status == 0 && String(decoding: result.output, as: UTF8.self).contains("1 harts, 128 MiB"))
        #expect(try ChildProcess.run([link, "-M", "sifive_u"]).errorText.contains("there is virt"))
    }

    @Test func aTreeCanBeWritten() throws {
        let result = try ChildProcess.run([mynah, "boot", "--kernel", images + "/supervisor/sbi", "--dump-dtb", "-"])
        #expect(result.status == 0 && result.output.prefix(4) == [0xd0, 0x0d, 0xfe, 0xed])
    }

    @Test func savedMachines() throws {
        let directory = "/tmp/mynah-test-\(getpid())-load", file = directory + "/machine"
        Files.makeDirectories(directory)
        defer {
            for name in [file, directory + "/cut"] { unlink(name) }
            rmdir(directory)
        }
        let echo = ["boot", "--firmware", images + "/machine/echo", "-m", "32M"]
        let saved = try ChildProcess.run(
            [mynah] + echo + ["--expect", "echo: ready", "--save", file, "--timeout", "500"], timeLimit: 600)
        #expect(saved.status == 0 && saved.errorText.contains("it goes on with --load '\(file)'"))
        let byTime = try ChildProcess.run(
            [mynah] + echo + ["--deterministic", "--save-at", "0.01", "--save", file], timeLimit: 600)
        #expect(byTime.status == 0 && byTime.errorText.contains("was saved"))
        #expect(try run("boot", "--load", file, "--timeout", "0.2", "--save", file).status == 124)
        let tooLate = try run(
            "boot", "--firmware", images + "/machine/hello", "-m", "32M", "--save-at", "5", "--save", file + "2")
        #expect(
            tooLate.status == 1 && tooLate.errors.contains("ended before it was to be saved") && access(file + "2", F_OK) != 0)
        #expect(try ChildProcess.run(["/bin/sh", "-c", "head -c -9 '\(file)' > '\(directory)/cut'"]).status == 0)
        for (arguments, status, words) in [
            (["--load", file, "--cpus", "2"], 2, "give --cpus 1"), (["--load", file, "-m", "64M"], 2, "give -m 32M"),
            (["--load", "/no/file"], 127, "no saved machine"),
            (["--load", images + "/hello"], 126, "is no saved machine"), (["--load", directory + "/cut"], 126, "it is cut off"),
            (["--save-at", "3", "--firmware", "x"], 2, "--save FILE"),
            (["--load", file, "--drive", file], 2, "no drive, and this machine has 1"),
            (["--load", file, "--net", "none", "--share", "/tmp"], 2, "a shared directory"),
            (
                ["--firmware", images + "/machine/echo", "--save", "/no/directory/f", "--expect", "ready"], 2,
                "'--save': cannot write '/no/directory/f'"
            ),
        ] as [([String], Int32, String)] {
            let result = try ChildProcess.run([mynah, "boot"] + arguments, timeLimit: 600)
            #expect(
                result.status == status && result.errorText.contains(words), "\(arguments): \(result.status) \(result.errorText)")
        }
    }

    /// As timeout(1) does it.
    @Test func twoSignalsAtOnceSave() throws {
        let file = "/tmp/mynah-test-\(getpid())-twice"
        defer { unlink(file) }
        for _ in 0..<100 {
            let child = try TerminalChild([mynah, "boot", "--firmware", images + "/machine/echo", "-m", "32M", "--save", file])
            #expect(child.waits(for: "echo: ready"))
            let start = monotonicSeconds()
            for _ in 0..<3 {
                kill(child.identifier, SIGTERM)
                usleep(300)
            }
            // When something held this process up between them, they were not sent at once.
            let isAtOnce = monotonicSeconds() - start < 0.5
            #expect(child.waitForEnd() & 0x7f == SIGTERM)
            guard isAtOnce else { continue }
            return #expect(access(file, F_OK) == 0)
        }
        Issue.record("this host does not come to send two signals at once")
    }

    @Test func statisticsAreJSON() throws {
        let result = try run("boot", "--firmware", images + "/machine/hello", "--stats=json")
        #expect(result.status == 0 && result.errors.hasPrefix("{") && result.errors.contains("\"translations\""))
    }
}

/// A child on a terminal of its own.
private final class TerminalChild {
    private let master: Int32
    private let slave: Int32
    private(set) var identifier: pid_t = 0
    private(set) var shown: [UInt8] = []

    init(_ words: [String]) throws {
        // pts(4); the C library's functions for it are not in Glibc's module.
        let unlock: UInt = 0x4004_5431, number: UInt = 0x8004_5430 // TIOCSPTLCK, TIOCGPTN
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var isLocked: Int32 = 0, index: Int32 = 0
        _ = ioctl(master, unlock, &isLocked)
        _ = ioctl(master, number, &index)
        slave = open("/dev/pts/\(index)", O_RDWR | O_NOCTTY)
        try #require(master >= 0 && slave >= 0)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        for descriptor: Int32 in 0...2 { posix_spawn_file_actions_adddup2(&actions, slave, descriptor) }
        posix_spawn_file_actions_addclose(&actions, master)
        var arguments = words.map { strdup($0) } + [nil]
        let status = posix_spawn(&identifier, words[0], &actions, nil, &arguments, environ)
        for argument in arguments { free(argument) }
        posix_spawn_file_actions_destroy(&actions)
        try #require(status == 0)
    }

    deinit {
        close(master)
        close(slave)
    }

    var attributes: [UInt32] {
        var state = termios()
        tcgetattr(slave, &state)
        return [state.c_iflag, state.c_oflag, state.c_cflag, state.c_lflag]
    }

    func type(_ text: String) { _ = Array(text.utf8).withUnsafeBytes { write(master, $0.baseAddress, $0.count) } }

    /// Reads until the text is shown; false after two minutes without it.
    func waits(for text: String) -> Bool {
        let end = time(nil) + 120
        while time(nil) < end {
            if String(decoding: shown, as: UTF8.self).contains(text) { return true }
            var poll = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
            if Glibc.poll(&poll, 1, 200) <= 0 { continue }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(master, &buffer, buffer.count)
            if count > 0 { shown += buffer[..<count] }
        }
        return false
    }

    /// The status as waitpid(2) has it.
    func waitForEnd() -> Int32 {
        var status: Int32 = 0
        let end = time(nil) + 120
        while waitpid(identifier, &status, WNOHANG) == 0 {
            if time(nil) > end { kill(identifier, SIGKILL) }
            usleep(10000)
        }
        return status
    }
}

@Suite(.serialized) struct BootTerminalTests {
    private let words = [mynah, "boot", "--firmware", images + "/machine/echo", "-m", "32M"]

    @Test func everyKeyReachesTheGuestAndTheTerminalIsRestored() throws {
        let child = try TerminalChild(words)
        let before = child.attributes
        #expect(child.waits(for: "echo: ready"))
        child.type("hello\u{3}\u{1}\u{1}z")
        #expect(child.waits(for: "HELLO\u{3}\u{1}Z"))
        #expect(child.attributes != before)
        child.type("7")
        #expect(child.waitForEnd() == 7 << 8)
        #expect(child.attributes == before)
    }

    @Test func machinesAreSavedAndGoOn() throws {
        let directory = "/tmp/mynah-test-\(getpid())-saved", file = directory + "/machine"
        Files.makeDirectories(directory)
        defer {
            unlink(file)
            rmdir(directory)
        }
        let first = try TerminalChild(words + ["--save", file])
        #expect(first.waits(for: "echo: ready"))
        first.type("before")
        #expect(first.waits(for: "BEFORE"))
        first.type("\u{1}x")
        #expect(first.waits(for: "the machine was saved") && first.waitForEnd() == 0)
        // Memory and harts need not be said.
        let second = try TerminalChild([mynah, "boot", "--load", file])
        let before = second.attributes
        second.type("after")
        #expect(second.waits(for: "AFTER"))
        second.type("\u{1}csave \(file)\r\u{1}cmore")
        #expect(second.waits(for: "MORE"))
        second.type("\u{1}cload \(file)\rload /no/file\r\u{1}clate")
        #expect(second.waits(for: "there is no saved machine '/no/file'") && second.waits(for: "LATE"))
        second.type("3")
        #expect(second.waitForEnd() == 3 << 8 && second.attributes == before)
    }

    @Test func keysThatQuitAndLookInside() throws {
        let child = try TerminalChild(words)
        let before = child.attributes
        #expect(child.waits(for: "echo: ready"))
        child.type("\u{1}cinfo registers\r")
        #expect(child.waits(for: "hart 0: started, machine mode"))
        child.type("x/2i 0x80000000\r")
        #expect(child.waits(for: "0x80000000: csrw"))
        child.type("\u{1}ca")
        #expect(child.waits(for: "A"))
        child.type("\u{1}x")
        #expect(child.waitForEnd() == 0)
        #expect(child.attributes == before)
    }

    @Test(arguments: [SIGTERM, SIGHUP, SIGINT]) func signalsRestoreTheTerminal(number: Int32) throws {
        let child = try TerminalChild(words)
        let before = child.attributes
        #expect(child.waits(for: "echo: ready"))
        kill(child.identifier, number)
        #expect(child.waitForEnd() & 0x7f == number)
        #expect(child.attributes == before)
    }
}

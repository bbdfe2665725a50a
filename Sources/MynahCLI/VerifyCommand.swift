// `mynah verify`: a program by the interpreter and by the translator. First in lockstep (`run --verify`), which names the first
// block whose translation is wrong; then as whole runs, which covers what lockstep leaves out: links, regions, atomics, threads.
// When whole runs differ, finds the translation that is to blame by bisection on `--translation-limit`, and the optimisation by
// leaving out one after the other.

import ArgumentParser
import Glibc
import Mynah

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Run a program by interpreter and translator; find the translation that differs.",
        discussion: """
            First compares registers and memory behind each translated block, in one run, up to the program's first thread; then \
            status, output and the sequence of system calls of whole runs. Standard input is empty. A difference ends with \
            status 3 and names the translation that causes it. The program should do the same each time it is run.
            """)

    @Option(help: ArgumentHelp("Compare one of so many executions of each block.", valueName: "n"))
    var every = 1
    @Option(
        help: ArgumentHelp("Compare the block of a reproducer, as a difference printed it; run no program.", valueName: "file"))
    var replay: String?

    @Option(help: "The engine to compare with the interpreter.")
    var engine = "block"
    @Argument(parsing: .captureForPassthrough, help: "The guest program and its arguments.")
    var command: [String] = []

    func run() throws {
        if let word = command.first, word == "--help" || word == "-h" { throw CleanExit.helpRequest(self) }
        if let replay { return try self.replay(replay) }
        guard every > 0 else { throw CommandFailure.usage("'--every': expected a number of at least 1, found '\(every)'") }
        let guest = command.first == "--" ? Array(command.dropFirst()) : command
        guard let program = guest.first else { throw CommandFailure.usage("which program?") }
        if command.first != "--", program.hasPrefix("-") { throw CommandFailure.usage("unknown option '\(program)'") }
        let choice: EngineChoice
        do { choice = try parseEngine(engine) } catch { throw CommandFailure.usage("'--engine': \(error)") }
        guard Files.exists(program) else { throw CommandFailure(status: ExitStatus.notFound, "'\(program)': no such file") }
        let status = try Self.verify(guest, engine: choice, every: every)
        if status != ExitStatus.success { throw ExitCode(status) }
    }

    private func replay(_ path: String) throws {
        guard command.isEmpty else { throw CommandFailure.usage("'--replay' runs no program, so '\(command[0])' is too much") }
        guard let text = Files.readText(path) else { throw CommandFailure(status: ExitStatus.notFound, "cannot read '\(path)'") }
        let differences: [String]
        do { differences = try Program.replay(text, options: ProgramOptions(program: "")) } catch let error as ProgramError {
            throw CommandFailure(error)
        }
        if differences.isEmpty { return Console.writeOutput("identical\n") }
        Console.writeOutput("DIFFERENT:\n" + differences.map { "  \($0)\n" }.joined())
        throw ExitCode(ExitStatus.difference)
    }

    /// Compares and reports; returns the exit status.
    static func verify(_ guest: [String], engine: EngineChoice, every: Int) throws -> Int32 {
        let line = ProgressLine()
        defer { line.clear() }
        let verification = Verification(
            guest: guest, engine: engine == .interpreter ? .block : engine, every: every, note: line.note)
        let report = try verification.run()
        line.clear()
        Console.writeOutput(report.text)
        return report.differs ? ExitStatus.difference : ExitStatus.success
    }
}

/// What can be seen of a run from outside.
private struct Observation {
    var result: ChildResult
    /// Names of the system calls, in order.
    var calls: [String]
    var translations: Int
    var dump = ""
}

struct Verification {
    var guest: [String]
    var engine: EngineChoice
    var every = 1
    var note: (String) -> Void
    /// The `mynah` that runs the program.
    var executable = Files.ownExecutable
    /// Seconds that the translator may take beyond three times the interpreter's before it counts as hanging.
    var patience = 5.0

    func run() throws -> (text: String, differs: Bool) {
        note("in lockstep")
        let lines = try observe(engine, timeLimit: nil, ["--verify=\(every)"]).dump.split(separator: "\n")
        if let start = lines.firstIndex(where: { $0.hasPrefix("DIFFERENT: ") }) {
            return (lines[start...].map { $0 + "\n" }.joined(), true)
        }
        let compared = lines.filter { $0.hasPrefix("verify: ") }.map { $0 + "\n" }.joined()
        let whole = try compareRuns()
        return (whole.differs ? whole.text : compared + whole.text, whole.differs)
    }

    private func compareRuns() throws -> (text: String, differs: Bool) {
        note("interpreter")
        let reference = try observe(.interpreter)
        if reference.calls.isEmpty,
            reference.result.status == ExitStatus.notRunnable || reference.result.status == ExitStatus.notFound
        {
            throw CommandFailure(status: reference.result.status, Self.ownMessage(reference.result.errorText))
        }
        note("interpreter again")
        let again = try observe(.interpreter, timeLimit: limit(reference))
        guard reference.result.status == again.result.status, reference.result.output == again.result.output else {
            throw CommandFailure(
                status: ExitStatus.failed,
                "the program does not do the same twice, so there is nothing to compare; fix its seed or its time")
        }
        let comparesCalls = reference.calls == again.calls
        note(engine.rawValue)
        let translated = try observe(engine, timeLimit: limit(reference))
        guard let difference = difference(reference, translated, comparesCalls) else {
            let calls = comparesCalls ? ", \(reference.calls.count) system calls" : " (system calls vary from run to run)"
            return (
                "identical: status \(reference.result.status), \(reference.result.output.count) bytes of output\(calls)\n", false
            )
        }
        let culprit = try bisect(reference, translated.translations, comparesCalls)
        return ("DIFFERENT: \(difference)\n" + culprit, true)
    }

    /// What a child of ours said, without its name.
    static func ownMessage(_ text: String) -> String {
        let line = text.hasPrefix("mynah: ") ? text.dropFirst(7) : text[...]
        return line.last == "\n" ? String(line.dropLast()) : String(line)
    }

    private func limit(_ reference: Observation) -> Double { reference.result.wallSeconds * 3 + patience }

    private func observe(_ engine: EngineChoice, timeLimit: Double? = nil, _ options: [String] = []) throws -> Observation {
        let directory = try TemporaryDirectory(), path = directory.file("trace")
        defer { directory.remove() }
        let command =
            [executable, "run", "--cache", "off", "--background", "off", "--engine", engine.rawValue, "--strace", "--stats=json"]
            + ["-o", path] + options + ["--"] + guest
        let result = try ChildProcess.run(command, timeLimit: timeLimit)
        let text = Files.readText(path) ?? ""
        let calls = text.split(separator: "\n").compactMap { line -> String? in
            guard let parenthesis = line.firstIndex(of: "("), !line.hasPrefix(" ") else { return nil }
            return line[..<parenthesis].split(separator: " ").last.map(String.init)
        }
        return Observation(
            result: result, calls: calls, translations: Int(number("translations", in: text) ?? 100_000), dump: text)
    }

    private func difference(_ reference: Observation, _ other: Observation, _ comparesCalls: Bool) -> String? {
        if reference.result.status != other.result.status {
            return "status \(other.result.status) under \(engine.rawValue), \(reference.result.status) under the interpreter"
        }
        if reference.result.output != other.result.output {
            let common = zip(reference.result.output, other.result.output).prefix { $0 == $1 }.count
            return "output under \(engine.rawValue) differs from byte \(common) on"
        }
        if comparesCalls, let index = zip(reference.calls, other.calls).enumerated().first(where: { $1.0 != $1.1 })?.offset {
            return
                "system call \(index + 1) is \(other.calls[index]) under \(engine.rawValue), \(reference.calls[index]) under "
                    + "the interpreter"
        }
        return nil
    }

    /// The smallest number of translations that makes the difference, what the last of them is, and what cures it.
    private func bisect(_ reference: Observation, _ translations: Int, _ comparesCalls: Bool) throws -> String {
        func differs(_ options: [String]) throws -> Bool {
            difference(reference, try observe(engine, timeLimit: limit(reference), options), comparesCalls) != nil
        }
        if try differs(["--translation-limit", "0"]) {
            return "It differs even with no translation used: the interpreter alone is not repeatable here.\n"
        }
        var good = 0, bad = max(1, translations)
        while bad - good > 1 {
            let middle = good + (bad - good) / 2
            note("bisecting: translation \(good)...\(bad)")
            if try differs(["--translation-limit", String(middle)]) { bad = middle } else { good = middle }
        }
        var text = "The first \(good) translations are right; number \(bad) makes the difference:\n"
        let stages = TranslationStage.allCases.map(\.rawValue).joined(separator: ",")
        let dump = try observe(engine, timeLimit: limit(reference), ["--translation-limit", String(bad), "--dump", stages]).dump
        text += section(bad, of: dump)
        let cures = try Program.optimizationNames.filter { pass in
            note("without \(pass)")
            return try !differs(["--disable-pass", pass])
        }
        text +=
            cures.isEmpty ? "No single optimisation is to blame.\n" : "It goes away without: \(cures.joined(separator: ", "))\n"
        return text
            + "Repeat with: mynah run --engine \(engine.rawValue) --translation-limit \(bad) -- \(guest.joined(separator: " "))\n"
    }

    /// The lines of one translation in a dump.
    private func section(_ number: Int, of dump: String) -> String {
        let lines = dump.split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(where: { $0.hasPrefix("==== translation \(number) ") }) else { return "" }
        let end =
            lines[(start + 1)...].firstIndex { $0.hasPrefix("====") || !$0.hasPrefix(" ") && !$0.hasPrefix("0x") }
            ?? lines.endIndex
        return lines[start ..< end].map { $0 + "\n" }.joined()
    }
}

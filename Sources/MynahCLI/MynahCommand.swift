// The list of commands. ArgumentParser parses and documents all of them but `run`.

import ArgumentParser
import Mynah

struct MynahCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mynah",
        abstract: "Runs Linux programs that were built for another processor.",
        discussion: """
            mynah run ./program arguments...     run a riscv64 program
            mynah bench                          how fast is it?
            mynah inspect ./program --at main    what is it translated to?

            Called as qemu-riscv64 (a symbolic link), it takes the options of qemu's user mode.
            """,
        version: "mynah \(mynahVersion)",
        subcommands: [RunHelpCommand.self, BenchCommand.self, VerifyCommand.self, InspectCommand.self, ISACommand.self])

    /// Parses and runs a command; our own exit statuses instead of ArgumentParser's.
    static func runMain(_ arguments: [String]) -> Int32 {
        do {
            var command = try parseAsRoot(arguments)
            try command.run()
            return ExitStatus.success
        } catch let failure as CommandFailure {
            let command = arguments.first.map { "mynah \($0) --help" } ?? "mynah --help"
            return CommandLineTool.report(failure, as: "mynah", help: command)
        } catch {
            let code = exitCode(for: error)
            let text = fullMessage(for: error)
            if code.isSuccess {
                Console.writeOutput(text + "\n")
                return ExitStatus.success
            }
            if !text.isEmpty { Console.writeError(text + "\n") }
            return code == .validationFailure ? ExitStatus.usage : code.rawValue
        }
    }
}

/// Stands for `run` in the list of commands; `CommandLineTool` has dealt with `mynah run` before ArgumentParser sees it.
struct RunHelpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "run", abstract: "Run a Linux program of another processor.")
    @Argument(parsing: .captureForPassthrough, help: "Options, the program and its arguments; see 'mynah run --help'.")
    var arguments: [String] = []

    func run() throws {
        throw ExitCode(try runProgram(arguments[...]))
    }
}

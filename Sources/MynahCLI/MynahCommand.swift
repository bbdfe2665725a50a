// The list of commands. ArgumentParser parses and documents all of them but `run`.

import ArgumentParser
import Mynah

struct MynahCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mynah",
        abstract: "Runs programs and whole systems that were built for another processor.",
        discussion: """
            mynah run ./program arguments...     run a riscv64 program
            mynah boot --kernel Image            boot a riscv64 machine
            mynah bench                          how fast is it?
            mynah verify ./program arguments...  is it translated rightly?
            mynah inspect ./program --at main    what is it translated to?

            Called as qemu-riscv64 or qemu-system-riscv64 (a symbolic link), it takes the options of qemu.
            """,
        version: "mynah \(mynahVersion)",
        subcommands: [
            RunHelpCommand.self, BootHelpCommand.self, BenchCommand.self, VerifyCommand.self, InspectCommand.self,
            ISACommand.self, CacheCommand.self,
        ])

    /// Parses and runs a command; our own exit statuses instead of ArgumentParser's.
    static func runMain(_ arguments: [String]) -> Int32 {
        do {
            var command = try parseAsRoot(arguments)
            try command.run()
            return ExitStatus.success
        } catch let failure as CommandFailure {
            return CommandLineTool.report(failure, as: "mynah", help: helpCommand(arguments))
        } catch {
            let code = exitCode(for: error)
            if code.isSuccess {
                Console.writeOutput(fullMessage(for: error) + "\n")
                return ExitStatus.success
            }
            guard code == .validationFailure else { return code.rawValue }
            return CommandLineTool.report(.usage(usageMessage(error, arguments)), as: "mynah", help: helpCommand(arguments))
        }
    }
}

extension MynahCommand {
    private static var commandNames: [String] { configuration.subcommands.compactMap { $0.configuration.commandName } }

    private static func helpCommand(_ arguments: [String]) -> String {
        guard let name = arguments.first, commandNames.contains(name) else { return "mynah --help" }
        return "mynah \(name) --help"
    }

    private static func usageMessage(_ error: Error, _ arguments: [String]) -> String {
        if let name = arguments.first, !name.hasPrefix("-"), name != "help", !commandNames.contains(name) {
            return "no command '\(name)'; there are \(commandNames.joined(separator: ", "))"
        }
        return message(for: error)
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

/// The same for `boot`.
struct BootHelpCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "boot", abstract: "Boot a kernel or firmware of another processor.")
    @Argument(parsing: .captureForPassthrough, help: "Options; see 'mynah boot --help'.")
    var arguments: [String] = []

    func run() throws {
        throw ExitCode(try bootMachine(arguments[...]))
    }
}

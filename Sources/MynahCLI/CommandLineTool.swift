// Where a process of Mynah starts: decides by the name it was called with and by the first argument who parses the rest.
//
// `run`, `boot` and the qemu personalities go straight to their own scanner; every other command to ArgumentParser.

import Glibc
import Mynah

public enum CommandLineTool {
    public static func main() -> Never {
        exit(run(CommandLine.arguments))
    }

    /// - Returns: the status that the process ends with.
    package static func run(_ arguments: [String]) -> Int32 {
        let name = lastPathComponent(arguments.first ?? "mynah")
        let machine = qemuMachine(of: name)
        let command = arguments.count > 1 ? arguments[1] : ""
        do {
            if let machine, machine.hasPrefix("system-") {
                return try bootAsQemu(arguments, name: name, machine: String(machine.dropFirst(7)))
            }
            if let machine { return try runAsQemu(arguments, name: name, machine: machine) }
            if command == "run" { return try runProgram(arguments.dropFirst(2)) }
            if command == "boot" { return try bootMachine(arguments.dropFirst(2)) }
        } catch {
            let failure = error as? CommandFailure ?? CommandFailure(ProgramError.internalError("\(error)"))
            return report(failure, as: name, help: machine == nil ? "mynah \(command) --help" : "\(name) -h")
        }
        return MynahCommand.runMain(Array(arguments.dropFirst()))
    }

    /// - Parameter help: the command that explains the right command line.
    package static func report(_ failure: CommandFailure, as name: String, help: String) -> Int32 {
        var text = "\(name): \(failure.message)\n"
        if failure.status == ExitStatus.usage { text += "Try '\(help)'.\n" }
        Console.writeError(text)
        return failure.status
    }

    /// "riscv64" for "qemu-riscv64" and "qemu-riscv64-static", "system-riscv64" for "qemu-system-riscv64"; nil for any other
    /// name.
    package static func qemuMachine(of name: String) -> String? {
        guard name.hasPrefix("qemu-") else { return nil }
        let machine = name.dropFirst(5)
        return String(machine.hasSuffix("-static") ? machine.dropLast(7) : machine)
    }
}

func lastPathComponent(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
}

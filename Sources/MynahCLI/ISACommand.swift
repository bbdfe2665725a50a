// `mynah isa`: what is supported, from the tables that do the work.

import ArgumentParser
import Mynah

struct ISACommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "isa", abstract: "List supported instructions, extensions and system calls.")

    @Flag(help: "As JSON.")
    var json = false
    @Flag(help: "Only the names of extensions and counts.")
    var summary = false

    func run() {
        let isa = InstructionSetDescription.riscv64
        Console.writeOutput(json ? Self.json(isa).text() + "\n" : text(isa))
    }

    private func text(_ isa: InstructionSetDescription) -> String {
        let palette = Palette()
        let instructionCount = isa.extensions.map(\.mnemonics.count).reduce(0, +)
        var text = "\(palette.bold(isa.name)): \(instructionCount) instructions, \(isa.systemCalls.count) system calls\n\n"
        for set in isa.extensions {
            text += "\(palette.cyan(set.name)) (\(set.mnemonics.count))\n"
            if !summary { text += wrapped(set.mnemonics) }
        }
        text += "\n"
        for service in [InstructionSetDescription.SystemCall.Service.emulated, .forwarded] {
            let calls = isa.systemCalls.filter { $0.service == service }.map(\.name)
            text += "\(palette.cyan("system calls, \(service.rawValue)")) (\(calls.count))\n"
            if !summary { text += wrapped(calls) }
        }
        return text
    }

    private func wrapped(_ words: [String]) -> String {
        var lines = "", line = " "
        for word in words {
            if line.count + word.count > 98 {
                lines += line + "\n"
                line = " "
            }
            line += " " + word
        }
        return lines + line + "\n"
    }

    static func json(_ isa: InstructionSetDescription) -> JSONValue {
        .object([
            ("name", .string(isa.name)),
            (
                "extensions",
                .array(
                    isa.extensions.map { set in
                        .object([("name", .string(set.name)), ("instructions", .array(set.mnemonics.map { .string($0) }))])
                    })
            ),
            (
                "systemCalls",
                .array(
                    isa.systemCalls.map { call in
                        .object([
                            ("number", .integer(call.number)), ("name", .string(call.name)),
                            ("service", .string(call.service.rawValue)),
                        ])
                    })
            ),
        ])
    }
}

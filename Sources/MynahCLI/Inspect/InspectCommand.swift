// `mynah inspect`: guest code, IR, optimised IR and host code side by side. Nothing is executed.

import ArgumentParser
import Mynah

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show what guest code is translated to: guest, IR, optimised IR, host.",
        discussion: "Code that a program really executes can be shown with 'mynah run --dump STAGES PROGRAM'.")

    @Argument(help: "The guest program.", completion: .file())
    var program: String
    @Option(help: ArgumentHelp("Where to start (default: the entry point).", valueName: "address|symbol"))
    var at: String?
    @Option(help: "Stages, separated by commas: guest, ir, optimized, host.")
    var stage = "guest,ir,optimized,host"
    @Option(help: ArgumentHelp("Show so many translations, each where the one before ends.", valueName: "n"))
    var count = 1
    @Option(help: ArgumentHelp("Guest instructions in a translation, at most.", valueName: "n"))
    var instructions = 64
    @Option(help: ArgumentHelp("Leave out an optimisation (repeatable).", valueName: "name"))
    var disablePass: [String] = []
    @Option(help: ArgumentHelp("Write a page to this file.", valueName: "file"))
    var html: String?
    @Flag(help: "As JSON.")
    var json = false

    func validate() throws {
        guard (1...100_000).contains(count) else { throw ValidationError("'--count': expected 1 to 100000, found '\(count)'") }
        guard (1...512).contains(instructions) else { throw ValidationError("'--instructions': expected 1 to 512, found '\(instructions)'") }
    }

    func run() throws {
        do { try inspect() } catch let error as ProgramError { throw CommandFailure(error) }
    }

    private func inspect() throws {
        let image = try ELFImage(path: program)
        try Files.requireWritable(html, option: "--html")
        let stages: [TranslationStage]
        do { stages = try parseList(stage, as: TranslationStage.self) } catch let error as OptionValueError {
            throw CommandFailure.usage("'--stage': \(error.description)")
        }
        let inspector = try Inspector(image: image, options: optimizerOptions(without: disablePass))
        var address = try startAddress(image)
        var views: [TranslationView] = []
        while views.count < count {
            let view = try inspector.translation(at: address, instructionLimit: instructions)
            views.append(view)
            guard let last = view.rows.last, last.byteCount > 0 else { break }
            address = last.address &+ UInt64(last.byteCount)
            if views.count < count, !image.hasCode(at: address) { break }
        }
        let report = InspectReport(program: program, views: views, stages: stages) { address in
            image.symbol(containing: address).map { $0.offset == 0 ? $0.symbol.name : "\($0.symbol.name)+\(hexadecimal($0.offset))" }
        }
        if let html {
            try Files.write(report.html, to: html)
            Console.writeOutput("page: \(html)\n")
        } else {
            Console.writeOutput(json ? report.json.text() + "\n" : report.text)
        }
    }

    private func startAddress(_ image: ELFImage) throws -> UInt64 {
        guard let at else { return image.entry }
        if let symbol = image.symbols.first(where: { $0.name == at }) { return symbol.address }
        let digits = at.hasPrefix("0x") || at.hasPrefix("0X") ? at.dropFirst(2) : at[...]
        if let address = UInt64(digits, radix: 16) { return address }
        let hint = image.symbols.isEmpty ? "the file is stripped: give an address in hexadecimal" : "give an address or the name of a function"
        throw CommandFailure.usage("'--at': '\(at)' is neither a symbol of '\(program)' nor an address; \(hint)")
    }
}

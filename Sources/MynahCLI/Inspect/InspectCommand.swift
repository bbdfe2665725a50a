// `mynah inspect`: guest code, IR, optimised IR and host code side by side. Nothing is executed, but for `--region`, which runs
// the program, counts what its translations do, and shows what is hot.

import ArgumentParser
import Mynah

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show what guest code is translated to: guest, IR, optimised IR, host.",
        discussion: """
            With --region, runs the program and counts: a list of its hottest regions and blocks, and with --at the stages of one, \
            with executions, ways out, and what costs time in it. Options of the program stand behind '--'; its standard output \
            goes to standard error meanwhile.

              mynah inspect ./program --at main
              mynah inspect --region ./program arguments
              mynah inspect --region --at compute ./program -- --its-option
              mynah inspect --region --cfg graph.svg --html page.html ./program
            """)

    @Argument(help: "The guest program.", completion: .file())
    var program: String
    @Argument(help: "The program's arguments, with --region.")
    var arguments: [String] = []
    @Flag(help: "Run the program and show its hot code.")
    var region = false
    @Option(help: ArgumentHelp("With --region: stop the program after so many seconds.", valueName: "seconds"))
    var time: Double?
    @Option(help: ArgumentHelp("With --region: list so many translations.", valueName: "n"))
    var top = 20
    @Option(help: ArgumentHelp("With --region: draw the control-flow graph to this SVG file.", valueName: "file"))
    var cfg: String?
    @Option(help: "With --region: the engine, region or block or auto.")
    var engine = "auto"
    @Option(
        name: [.customShort("L"), .customLong("sysroot")],
        help: ArgumentHelp("With --region: where the guest's dynamic linker and libraries are.", valueName: "directory"))
    var sysroot: String?
    @Option(
        help: ArgumentHelp("Where to start (default: the entry point); with --region, what to show.", valueName: "address|symbol")
    )
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
        guard (1...512).contains(instructions) else {
            throw ValidationError("'--instructions': expected 1 to 512, found '\(instructions)'")
        }
        guard (1...10_000).contains(top) else { throw ValidationError("'--top': expected 1 to 10000, found '\(top)'") }
        if let time, !(time > 0 && time <= 1e6) {
            throw ValidationError("'--time': expected a number of seconds above 0, found '\(time)'")
        }
        guard !region else { return }
        let onlyRunning = [
            ("--time", time != nil), ("--cfg", cfg != nil), ("--engine", engine != "auto"), ("--sysroot", sysroot != nil),
        ]
        if let (option, _) = onlyRunning.first(where: \.1) {
            throw ValidationError("'\(option)' is about a program that runs: add '--region'")
        }
        if let word = arguments.first {
            throw ValidationError("'\(word)' is an argument of the program, which is not run: add '--region', or leave it out")
        }
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
        if region { return try inspectRunning(stages) }
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
            image.symbol(containing: address).map {
                $0.offset == 0 ? $0.symbol.name : "\($0.symbol.name)+\(hexadecimal($0.offset))"
            }
        }
        if let html {
            try Files.write(report.html, to: html)
            Console.writeOutput("page: \(html)\n")
        } else {
            Console.writeOutput(json ? report.json.text() + "\n" : report.text)
        }
    }

    private func inspectRunning(_ stages: [TranslationStage]) throws {
        try Files.requireWritable(cfg, option: "--cfg")
        var options = ProgramOptions(program: program, arguments: arguments)
        do { options.engine = try parseEngine(engine) } catch let error as OptionValueError {
            throw CommandFailure.usage("'--engine': \(error.description)")
        }
        guard options.engine != .interpreter else {
            throw CommandFailure.usage("'--region' counts what translations do, of which '--engine interpreter' makes none")
        }
        options.sysroot = sysroot ?? Console.environmentVariable("QEMU_LD_PREFIX")
        options.disabledPasses = disablePass
        let inspection = RegionInspection(
            options: options, stages: stages, place: at, listed: top, seconds: time, html: html, cfg: cfg, json: json)
        try inspection.run()
    }

    private func startAddress(_ image: ELFImage) throws -> UInt64 {
        guard let at else { return image.entry }
        if let symbol = image.symbols.first(where: { $0.name == at }) { return symbol.address }
        let digits = at.hasPrefix("0x") || at.hasPrefix("0X") ? at.dropFirst(2) : at[...]
        if let address = UInt64(digits, radix: 16) { return address }
        let hint =
            image.symbols.isEmpty
            ? "the file is stripped: give an address in hexadecimal" : "give an address or the name of a function"
        throw CommandFailure.usage("'--at': '\(at)' is neither a symbol of '\(program)' nor an address; \(hint)")
    }
}

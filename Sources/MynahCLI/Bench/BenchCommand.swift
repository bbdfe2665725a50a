// `mynah bench`: the same programs by every engine, natively and by other emulators.

import ArgumentParser
import Mynah

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure the engines against each other, native builds and other emulators.",
        discussion: """
            Every program is run by every executor in turns; its output must be the same everywhere. Times are processor time \
            (user and system) of the child, medians; ±% is half the distance from the fastest to the slowest run.
            """)

    @Argument(help: "Names of guest images, or paths of guest programs; all images when none is given.")
    var programs: [String] = []
    @Option(help: "Engines, separated by commas: \(EngineChoice.allCases.map(\.rawValue).joined(separator: ", ")).")
    var engines = "interpreter,block,auto"
    @Option(help: ArgumentHelp("A directory with native builds by the same names.", valueName: "dir"))
    var native: String?
    @Flag(help: "No native column.")
    var noNative = false
    @Flag(help: "Also measure other emulators found on PATH.")
    var peers = false
    @Option(help: "Runs of each program (default: 3, and 1 for the interpreter).")
    var runs: Int?
    @Option(help: "Percent of the full amount of work.")
    var scale = 100
    @Option(help: ArgumentHelp("Write the data to this file.", valueName: "file"))
    var json: String?
    @Option(help: ArgumentHelp("Write a chart to this file.", valueName: "file"))
    var svg: String?
    @Flag(help: "Measure the translator's stages and the dispatcher instead of programs.")
    var micro = false

    func validate() throws {
        guard runs ?? 1 >= 1 else { throw ValidationError("'--runs': expected a number of at least 1, found '\(runs ?? 0)'") }
        guard (1...100_000).contains(scale) else {
            throw ValidationError("'--scale': expected 1 to 100000 percent, found '\(scale)'")
        }
    }

    func run() throws {
        let choices = try listedEngines()
        try Files.requireWritable(json, option: "--json")
        try Files.requireWritable(svg, option: "--svg")
        if let native, !Files.isDirectory(native) { throw CommandFailure.usage("'--native': no directory '\(native)'") }
        let line = ProgressLine()
        defer { line.clear() }
        let guests = try benchGuests()
        if micro { return try runMicro(guests, line) }
        let executors = try self.executors(choices, line)
        let bench = BenchRun(
            executors: executors, guests: guests, runs: runs ?? 3, interpreterRuns: runs ?? 1, scalePercent: scale,
            progress: { line.show($0, of: $1, $2) })
        let results = try bench.measure()
        try present(results)
        if !results.complaints.isEmpty { throw ExitCode(ExitStatus.failed) }
    }

    private func present(_ results: BenchResults) throws {
        Console.writeOutput(results.tableText + results.summaryText)
        let host = HostDescription.current
        if let json {
            try Files.write(results.json(host: host).text() + "\n", to: json)
            Console.writeOutput("data: \(json)\n")
        }
        if let svg {
            try Files.write(BenchChart(results: results, host: host).svg, to: svg)
            Console.writeOutput("chart: \(svg)\n")
        }
    }

    private func listedEngines() throws -> [EngineChoice] {
        do { return try parseList(engines, as: EngineChoice.self) } catch let error as OptionValueError {
            throw CommandFailure.usage("'--engines': \(error.description)")
        }
    }

    private func benchGuests() throws -> [BenchGuest] {
        let images = GuestImages.locate()
        guard programs.isEmpty else { return try programs.map { try guest(named: $0, images) } }
        guard let images else {
            throw CommandFailure.usage(
                "no directory GuestImages above the working directory or this executable; name the programs to measure")
        }
        return images.names.map { image($0, images) }
    }

    private func guest(named name: String, _ images: GuestImages?) throws -> BenchGuest {
        if let images, !name.contains("/"), images.names.contains(name) { return image(name, images) }
        guard Files.isExecutable(name) else {
            throw CommandFailure(status: ExitStatus.notFound, "'\(name)' is neither a guest image nor an executable file")
        }
        return BenchGuest(
            name: lastPathComponent(name), path: name.contains("/") ? name : "./" + name, arguments: [], isStartUpProbe: false)
    }

    private func image(_ name: String, _ images: GuestImages) -> BenchGuest {
        let isProbe = name == GuestImages.startUpProbe
        let arguments = isProbe || scale == 100 ? [] : [String(scale)]
        return BenchGuest(name: name, path: images.path(of: name), arguments: arguments, isStartUpProbe: isProbe)
    }

    private func executors(_ engines: [EngineChoice], _ line: ProgressLine) throws -> [Executor] {
        var executors = engines.map(Executor.engine)
        if peers {
            if let path = Files.findProgram("qemu-\(GuestImages.machine)") {
                executors.append(.qemu(path: path))
            } else {
                Console.writeError(
                    "mynah: no qemu-\(GuestImages.machine) on PATH; leaving it out (Debian: apt-get install qemu-user)\n")
            }
        }
        if let native {
            executors.append(.native(directory: native))
        } else if !noNative, let directory = try GuestImages.locate()?.nativeDirectory(progress: line.note) {
            executors.append(.native(directory: directory))
        }
        return executors
    }
}

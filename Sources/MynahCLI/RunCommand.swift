// `mynah run PROGRAM ARGS...`, and the same as qemu-riscv64.

import Glibc
import Mynah

let runUsage = "USAGE: mynah run [options] [--] PROGRAM [ARGS...]\n"

/// Runs what stands behind `mynah run`.
func runProgram(_ arguments: ArraySlice<String>) throws -> Int32 {
    let table = OptionTable<RunSettings>.run
    var settings = RunSettings()
    let rest = try table.scan(arguments, environment: Console.environmentVariable, into: &settings)
    if settings.wantsHelp {
        Console.writeOutput(runHelp(table))
        return ExitStatus.success
    }
    guard !rest.isEmpty else { throw CommandFailure.usage("which program? \(runUsage.dropLast())") }
    if settings.options.verification != nil, settings.options.engine == .interpreter {
        throw CommandFailure.usage("'--verify' compares translations, of which '--engine interpreter' makes none")
    }
    let words = lastArguments(rest.count)
    settings.options.program = words[0]
    settings.options.arguments = Array(words.dropFirst())
    settings.options.reexecution = settings.options.commandLine
    try execute(settings.options)
}

private func runHelp(_ table: OptionTable<RunSettings>) -> String {
    """
    Runs a Linux program that was built for another processor, as if it were native.

    \(runUsage)
    Options end at PROGRAM; everything behind it is the program's own. The exit status is the program's; 2 is a wrong
    command line, 3 a difference found by --verify, 125 a defect of Mynah, 126 a file that cannot be run, 127 one that is missing.

    OPTIONS:
    \(table.helpText)
    """
}

/// Runs with the command line of qemu's user mode.
func runAsQemu(_ arguments: [String], name: String, machine: String) throws -> Int32 {
    let table = OptionTable<RunSettings>.qemu(command: name)
    var settings = RunSettings()
    var rest = try table.scan(arguments.dropFirst(), environment: Console.environmentVariable, into: &settings)
    if settings.wantsHelp {
        Console.writeOutput(
            "usage: \(name) [options] program [arguments...]\n\nMynah, with the options of qemu's user mode.\n\n\(table.helpText)"
        )
        return ExitStatus.success
    }
    if settings.wantsVersion {
        Console.writeOutput("\(name): Mynah version \(mynahVersion)\n")
        return ExitStatus.success
    }
    guard machine == "riscv64" else {
        throw CommandFailure(
            status: ExitStatus.notRunnable, "Mynah does not run \(machine) programs yet; it runs riscv64 programs")
    }
    guard !rest.isEmpty else { throw CommandFailure.usage("which program? usage: \(name) [options] program [arguments...]") }
    var words = lastArguments(rest.count)[...]
    settings.options.program = words.removeFirst()
    rest.removeFirst()
    if binaryFormatKeepsArgumentZero, let original = rest.popFirst() {
        settings.options.argumentZero = original
        words.removeFirst()
    }
    settings.options.arguments = Array(words)
    settings.options.reexecution = settings.options.commandLine
    try execute(settings.options)
}

/// The kernel started us for a binfmt_misc entry with the flag P: the program's own argument 0 follows its path.
private var binaryFormatKeepsArgumentZero: Bool {
    let flagsKey: UInt64 = 8, preserveArgumentZero: UInt64 = 1
    let descriptor = open("/proc/self/auxv", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var words = [UInt64](repeating: 0, count: 128)
    let byteCount = read(descriptor, &words, words.count * 8)
    for pair in stride(from: 0, to: byteCount / 16 * 2, by: 2) where words[pair] == flagsKey {
        return words[pair + 1] & preserveArgumentZero != 0
    }
    return false
}

/// Runs the guest in this process, which ends as the guest ends.
func execute(_ options: ProgramOptions) throws -> Never {
    try OwnOutput.prepare(options.outputPath, kept: options.appendsOutput)
    do {
        let path = options.outputPath
        let report: @Sendable (String, Bool) -> Void = { text, differs in
            OwnOutput.append(path == nil ? "mynah: " + text : text, to: path)
            if differs { _exit(ExitStatus.difference) }
        }
        try Program.run(options, onVerification: report) { statistics in
            switch options.statistics {
            case .text: OwnOutput.append(statistics.text, to: options.outputPath)
            case .json: OwnOutput.append(statistics.json.text() + "\n", to: options.outputPath)
            case nil: break
            }
        }
    } catch let error as ProgramError { throw CommandFailure(error) }
}

/// The last `count` words of this process's command line as they were given: arguments need not be valid text.
private func lastArguments(_ count: Int) -> [[UInt8]] {
    let total = Int(CommandLine.argc)
    return (max(0, total - count) ..< total).map { index in
        guard let text = CommandLine.unsafeArgv[index] else { return [] }
        return Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
}

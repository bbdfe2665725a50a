// Runs a guest program in this process: from options to the layers below.

import Engine
import GDBStub
import Glibc
import GuestRISCV
import Host
import LinuxUser
import Optimizer

public enum Program {
    /// Names of the optimiser's passes.
    public static var passNames: [String] { OptimizerOptions.passNames }
    /// Names of the optimisations that can be left out: the passes, and what the back end does.
    public static var optimizationNames: [String] { OptimizerOptions.names }

    /// Loads the program and runs it. This process becomes the guest: it ends when the guest ends, with the guest's status or
    /// by the guest's signal.
    /// - Parameters:
    ///   - beforeExit: called with the statistics when the program ends by itself.
    ///   - onVerification: called with what the comparison by `options.verification` has to say, and whether that is a
    ///     difference.
    /// - Throws: `ProgramError` when the program cannot be run.
    public static func run(
        _ options: ProgramOptions, onVerification: @escaping @Sendable (_ report: String, _ differs: Bool) -> Void = { _, _ in },
        beforeExit: @escaping (ProgramStatistics) -> Void = { _ in }
    ) throws -> Never {
        try run(options, onVerification, beforeExit, inspection: nil)
    }

    /// Runs the program and counts what its translations do: until it ends, or for so many seconds.
    /// - Parameter report: called once with what was counted, before this process ends.
    /// - Throws: `ProgramError` when the program cannot be run.
    package static func inspect(
        _ options: ProgramOptions, seconds: Double?, report: @escaping (RunningProgram) -> Void
    ) throws -> Never {
        try run(options, { _, _ in }, { _ in }, inspection: RunInspection(seconds: seconds, report: report))
    }

    private static func run(
        _ options: ProgramOptions, _ onVerification: @escaping @Sendable (_ report: String, _ differs: Bool) -> Void,
        _ beforeExit: @escaping (ProgramStatistics) -> Void, inspection: RunInspection?
    ) throws -> Never {
        var settings = RunOptions()
        settings.sysroot = options.sysroot
        settings.environment = changed(settings.environment, by: options.environment)
        settings.argv0 = options.argumentZero.map { Array($0.utf8) }
        settings.kernelRelease = options.kernelRelease
        settings.stackBytes = options.stackByteCount.map(UInt64.init)
        settings.engine = try engineConfiguration(options)
        settings.engine.countsExecutions = inspection != nil
        settings.beforeDeath = { inspection?.reportOnce() }
        if let every = options.verification {
            if settings.engine.policy == .auto { settings.engine.policy = .block }
            settings.engine.lockstep = LockstepOptions(
                every: every, onDifference: { onVerification($0.text(RISCV64()), true) },
                onEnd: { onVerification("verify: \($0): from here on nothing is compared\n", false) })
        }
        settings.reexecution = options.reexecution
        settings.showsBacktrace = options.showsBacktrace
        settings.symbol = { path, offset in (try? ELFImage(path: path))?.symbol(atFileOffset: offset) }
        if let set = options.trace {
            if let unknown = Strace.Filter(set).unknownItems(.riscv64()).first {
                throw ProgramError.badOption(
                    "'--strace': no system call or class '\(unknown)' on riscv64; 'mynah isa' lists the calls, classes are "
                        + "\(Strace.classNames.sorted().map { "%" + $0 }.joined(separator: ", "))")
            }
            guard let strace = Strace(path: options.outputPath, filter: Strace.Filter(set)) else {
                throw ProgramError.badOption("cannot write the trace to '\(options.outputPath ?? "standard error")'")
            }
            settings.strace = strace
        }
        do {
            settings.debugger = try options.debugger.map { try DebugEndpoint($0) }
        } catch let error as DebugServerError {
            throw ProgramError.badOption("'--gdb': \(error.description)")
        }
        // A debugger puts breakpoints into the code, and may stop anywhere in it.
        if settings.debugger != nil { settings.engine.translationCache = nil }
        if settings.debugger != nil, settings.engine.lockstep != nil {
            throw ProgramError.badOption("'--gdb' and '--verify' do not go together: a comparison must not be stopped in between")
        }
        try checkProcessor(options.processor)
        var process: LinuxProcess?
        let countsEverything = options.engine == .interpreter
        settings.beforeExit = { _ in
            guard let engine = process?.engine else { return }
            if let lockstep = engine.lockstep { onVerification(summary(lockstep), false) }
            inspection?.reportOnce()
            beforeExit(ProgramStatistics(engine.statistics, countsEverything: countsEverything))
        }
        let guest = LinuxProcess(options: settings)
        process = guest
        inspection?.process = guest
        inspection?.startClock()
        do {
            exit(try guest.start(program: options.program, arguments: [options.program] + options.arguments))
        } catch let error as ExecutableError {
            throw error.exitStatus == 127 ? ProgramError.notFound(error.description) : ProgramError.notRunnable(error.description)
        } catch let error as DebugServerError {
            throw ProgramError.badOption("'--gdb': \(error.description)")
        } catch let error as HostError where error.isOutOfMemory {
            throw ProgramError.notRunnable(
                "\(String(decoding: options.program, as: UTF8.self)): not enough memory beside the program's: "
                    + "\(error.description). "
                    + "Free some memory, or raise the limit of the address space (ulimit -v).")
        } catch let error as HostError {
            throw ProgramError.internalError(error.description)
        }
    }

    private static func summary(_ lockstep: Lockstep) -> String {
        let counts = lockstep.statistics
        return "verify: \(counts.comparedBlocks) blocks, \(counts.comparedInstructions) instructions compared; "
            + "\(counts.skippedBlocks) blocks not (atomics, clocks), \(counts.unstableBlocks) disturbed by others\n"
    }

    /// Translates the block of a reproducer and compares it with the interpreter, as `ProgramOptions.verification` does.
    /// - Parameter text: what a difference was reported with, from `isa` on; other lines before it are skipped.
    /// - Returns: what differs, a line each; empty when nothing does.
    /// - Throws: `ProgramError.badOption` when the text is no reproducer.
    public static func replay(_ text: String, options: ProgramOptions) throws -> [String] {
        let isa = RISCV64()
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = lines.firstIndex { $0.hasPrefix("isa ") } ?? lines.endIndex
        guard let reproducer = Reproducer(text: lines[start...].joined(separator: "\n"), isa: isa) else {
            throw ProgramError.badOption("no reproducer in it; it begins with the line 'isa \(isa.name)'")
        }
        do {
            let replayer = try Replayer(isa: isa, configuration: engineConfiguration(options))
            Replayer.mapMemory(of: reproducer)
            return replayer.differences(reproducer).map {
                "\($0.name): interpreter 0x\(String($0.interpreted, radix: 16)), translation "
                    + "0x\(String($0.translated, radix: 16))"
            }
        } catch let error as HostError {
            throw ProgramError.internalError(error.description)
        }
    }

    private static func engineConfiguration(_ options: ProgramOptions) throws -> EngineConfiguration {
        var configuration = EngineConfiguration()
        configuration.policy = ExecutionPolicy(rawValue: options.engine.rawValue) ?? .auto
        configuration.optimizations = try optimizerOptions(without: options.disabledPasses)
        configuration.translationLimit = options.translationLimit ?? .max
        configuration.writesPerfMap = options.writesPerfMap
        configuration.translationCache = options.cacheDirectory.map { TranslationCacheOptions(directory: $0) }
        configuration.backgroundTranslation = options.translatesInBackground ?? HostProcessors.areSeveral
        configuration.takesTimes = options.statistics != nil
        if !options.dumps.isEmpty { configuration.observer = try TranslationDump(options).observer }
        return configuration
    }

    /// The environment with settings replaced or added, and names removed, in order.
    static func changed(_ variables: [[UInt8]], by changes: [EnvironmentChange]) -> [[UInt8]] {
        var variables = variables
        for change in changes {
            switch change {
            case .set(let name, let value):
                variables.removeAll { $0.starts(with: Array("\(name)=".utf8)) }
                variables.append(Array("\(name)=\(value)".utf8))
            case .remove(let name):
                variables.removeAll { $0.starts(with: Array("\(name)=".utf8)) }
            }
        }
        return variables
    }

    /// There is one processor so far: everything that is implemented.
    private static func checkProcessor(_ name: String?) throws {
        let known = ["max", "rv64", "any"]
        guard let name, !known.contains(name) else { return }
        throw ProgramError.badOption(
            "no processor '\(name)'; there are \(known.joined(separator: ", ")), all with every extension that 'mynah isa' lists")
    }
}

/// - Throws: `ProgramError.badOption` for a name that no optimisation has.
package func optimizerOptions(without names: [String]) throws -> OptimizerOptions {
    var options = OptimizerOptions.all
    for name in names {
        guard let pass = OptimizerOptions(name: name) else {
            throw ProgramError.badOption("no optimisation '\(name)'; there are \(OptimizerOptions.names.joined(separator: ", "))")
        }
        options.subtract(pass)
    }
    return options
}

// A whole machine in this process: from options to the layers below.

import DeviceModel
import Engine
import GDBStub
import Host
import Machine

/// How a machine's run ended.
public enum VirtualMachineEnd: Equatable, Sendable {
    /// The guest powered off and gave a code; 0 for success.
    case poweredOff(code: Int)
    /// The guest restarted, and `MachineOptions.restarts` was off.
    case rebooted
    /// `stop` was called.
    case stopped
    /// The same, and the machine was saved before.
    case saved
}

/// A computer. `run` conducts it on the calling thread; everything else may be called from any other thread.
public final class VirtualMachine: @unchecked Sendable {
    let session: MachineSession
    let console: SerialConsole
    private let debugServer: MachineDebugServer?

    /// Reads the files, and makes the machine; nothing runs yet.
    /// - Parameter onOutput: called with what the guest writes to its serial port, by one thread at a time.
    /// - Throws: `ProgramError` when a file is missing or cannot be booted, or the machine cannot be made.
    public init(_ options: MachineOptions, onOutput: @escaping @Sendable (UnsafeRawBufferPointer) -> Void) throws {
        console = SerialConsole(output: onOutput)
        session = try VirtualMachine.translatingErrors { [console] in
            let board = try Board(VirtualMachine.configuration(options), console: console)
            try VirtualMachine.attachDevices(to: board, options)
            return try MachineSession(board: board, startsPaused: options.startsPaused, loading: options.savedMachine)
        }
        session.restarts = options.restarts
        debugServer = try VirtualMachine.translatingErrors { [session] in
            try options.debugger.map { try MachineDebugServer(session: session, DebugEndpoint($0)) }
        }
    }

    /// What gdb's `target remote` takes; nil when there is no place for it.
    public var debuggerAddress: String? { debugServer?.address }

    private static func configuration(_ options: MachineOptions) throws -> BoardConfiguration {
        var configuration = BoardConfiguration()
        configuration.memoryByteCount = options.memoryByteCount
        configuration.hartCount = options.hartCount
        configuration.bootArguments = options.commandLine
        configuration.files.kernel = try options.kernel.map { try BootFile(reading: $0, as: "kernel") }
        configuration.files.firmware = try options.firmware.map { try BootFile(reading: $0, as: "firmware") }
        configuration.files.initialDisk = try options.initialDisk.map { try BootFile(reading: $0, as: "initial RAM disk") }
        configuration.files.deviceTree = try options.deviceTree.map { try BootFile(reading: $0, as: "device tree") }
        configuration.processor.engine.policy = ExecutionPolicy(rawValue: options.engine.rawValue) ?? .auto
        configuration.processor.engine.backgroundTranslation = options.translatesInBackground ?? HostProcessors.areSeveral
        configuration.isLoaded = options.savedMachine != nil
        configuration.processor.isDeterministic = options.isDeterministic
        if options.isDeterministic { configuration.seed = 1 }
        return configuration
    }

    static func translatingErrors<Result>(_ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let error as BootError {
            switch error {
            case .notFound(let text): throw ProgramError.notFound(text)
            case .notBootable(let text): throw ProgramError.notRunnable(text)
            case .badMachine(let text): throw ProgramError.badOption(text)
            }
        } catch let error as BackendError {
            throw ProgramError.notRunnable(error.description)
        } catch let error as HostError {
            throw error.isOutOfMemory
                ? ProgramError.notRunnable(error.description) : ProgramError.internalError(error.description)
        } catch let error as DebugServerError {
            throw ProgramError.badOption("'--gdb': \(error.description)")
        } catch let error as ProgramError {
            throw error
        } catch {
            throw ProgramError.notRunnable("\(error)")
        }
    }

    // MARK: Life

    /// Boots, and returns when the machine has ended.
    /// - Throws: `ProgramError`.
    public func run() throws -> VirtualMachineEnd {
        try VirtualMachine.translatingErrors { try debugServer?.start() }
        defer { debugServer?.stop() }
        switch try VirtualMachine.translatingErrors({ try session.run() }) {
        case .poweredOff(let code): return .poweredOff(code: code)
        case .rebooted: return .rebooted
        case .stopped: return .stopped
        case .saved: return .saved
        }
    }

    /// Ends the run: `run` returns soon.
    public func stop() { session.stop() }
    /// No hart executes anything when this returns, until `resume`.
    public func pause() { session.pause() }
    /// Ends a pause. While a debugger has stopped the machine, that goes on when the debugger says so.
    public func resume() { session.resume() }
    /// As if the machine was switched off and on.
    public func reset() { session.reset() }
    public var isPaused: Bool { session.isPaused }

    /// Types on the serial console. Waits while much is under way.
    public func send(_ bytes: [UInt8]) { console.send(bytes) }

    // MARK: Saving

    /// Writes the whole machine to a file and lets it go on.
    /// - Throws: `ProgramError`.
    public func save(to path: String) throws { try VirtualMachine.translatingErrors { try session.save(to: path) } }

    /// Goes on from a file that `save` made of a machine with the same memory, harts and devices.
    /// - Returns: what may not be as it was.
    /// - Throws: `ProgramError`; then nothing has changed, unless the text says so.
    @discardableResult
    public func load(from path: String) throws -> [String] {
        try VirtualMachine.translatingErrors { try session.load(from: path) }
    }

    /// Ends the run after saving the machine; `run` throws when that fails. Also from `onOutput`.
    public func stop(savingTo path: String) { session.stop(savingTo: path) }

    /// The same when the guest has run for so many seconds of its time, counted from its power-on. Before `run`.
    /// - Parameter isDue: called at that time.
    public func stop(at seconds: Double, savingTo path: String, isDue: @escaping @Sendable () -> Void = {}) {
        session.stop(at: UInt64(max(0, min(seconds, 1e9)) * Double(Timebase.hertz)), savingTo: path, isDue)
    }

    /// What may not be as it was when `MachineOptions.savedMachine` was saved.
    public var notes: [String] { session.notes }

    // MARK: Looking inside

    /// Runs one line of the monitor's language ("help" lists it); the harts are stopped meanwhile.
    /// - Returns: the answer, lines with ends.
    public func monitor(_ line: String) -> String { MachineMonitor(session: session).execute(line) }

    /// One line a hart: mode, program counter, what it waits for.
    public var hartSummary: String { monitor("info harts") }

    /// The device tree that the guest gets, as a blob.
    public var deviceTree: [UInt8] {
        get throws { try VirtualMachine.translatingErrors { try session.board.deviceTreeBlob() } }
    }

    /// What the engine did so far.
    public var statistics: ProgramStatistics {
        let engine = session.board.processor.engine
        return ProgramStatistics(engine.statistics, countsEverything: engine.configuration.policy == .interpreter)
    }
}

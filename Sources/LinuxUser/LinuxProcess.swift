// A Linux program of another instruction set, running as this host process: its memory, threads, signals and files are the
// host's, with what differs kept here.

import CHost
import Engine
import GDBStub
import Glibc
import Guest

/// How a program is to be run.
package struct RunOptions {
    /// Where the guest's dynamic linker and libraries are.
    package var sysroot: String?
    /// NAME=VALUE, as bytes.
    package var environment: [[UInt8]] = RunOptions.hostEnvironment()
    /// Replaces the program's first argument.
    package var argv0: [UInt8]?
    /// What uname(2) reports as release; nil for the host's.
    package var kernelRelease: String?
    /// Bytes of stack; nil for the limit of the process.
    package var stackBytes: UInt64?
    package var strace: Strace?
    package var engine = EngineConfiguration()
    /// The words with which this executable runs a program like this one: they stand before `--argv0 NAME -- PROGRAM ARGUMENTS`
    /// when the guest executes another program of its kind.
    package var reexecution: [String] = ["run"]
    /// Print registers and calls when a signal ends the program.
    package var showsBacktrace = false
    /// The function that an offset in a file lies in, and the distance from its start, for those.
    package var symbol: ((_ path: String, _ offset: UInt64) -> (name: String, offset: UInt64)?)?
    /// Where to wait for a debugger before the first instruction.
    package var debugger: DebugEndpoint?
    /// Called with the exit status when the program ends by itself.
    package var beforeExit: ((Int32) -> Void)?
    /// Called when a fault is about to end it.
    package var beforeDeath: (() -> Void)?
    package init() {}

    /// The environment of this process.
    package static func hostEnvironment() -> [[UInt8]] {
        var variables: [[UInt8]] = []
        var pointer = environ
        while let variable = pointer.pointee {
            variables.append(Array(UnsafeRawBufferPointer(start: variable, count: strlen(variable))))
            pointer += 1
        }
        return variables
    }
}

package final class LinuxProcess {
    package let options: RunOptions
    package let paths: PathResolver
    package let memory = AddressSpace()
    package let strace: Strace?
    package private(set) var abi: LinuxABI
    package private(set) var table: SystemCallTable
    /// Set by `start` before the first instruction runs.
    package private(set) var engine: Engine!
    /// The program's file, an absolute path of the host.
    package private(set) var programPath = ""
    package var kernelRelease: String? { options.kernelRelease }
    package private(set) var argumentBytes: Range<UInt64> = 0..<0
    package private(set) var environmentBytes: Range<UInt64> = 0..<0
    package private(set) var auxiliaryVectorBytes: Range<UInt64> = 0..<0
    package private(set) var stackStart: UInt64 = 0
    /// Where signal handlers return to.
    package private(set) var signalReturnAddress: UInt64 = 0

    /// Set before the first instruction when there is one; nil in children, which run freely.
    var debugger: ProcessDebugger?

    let threadsLock = HostLock()
    var threads: [LinuxThread] = []

    package init(options: RunOptions) {
        self.options = options
        paths = PathResolver(sysroot: options.sysroot)
        strace = options.strace
        abi = LinuxABIs.all[0]
        table = SystemCallTable()
    }

    /// Loads the program and runs it. Returns its exit status only when the caller's thread outlives it, which does not happen at
    /// present: the process ends with the guest.
    /// - Throws: `ExecutableError` when it cannot be run, `HostError` when the host refuses memory, `DebugServerError` when a
    /// debugger was asked for and cannot connect.
    package func start(program: [UInt8], arguments: [[UInt8]]) throws -> Int32 {
        let listener = try options.debugger.map { try DebugListener($0) }
        let thread = try load(program: program, arguments: arguments)
        if let listener, let endpoint = options.debugger {
            try ProcessDebugger.attach(to: self, firstThread: thread, listener, endpoint)
        }
        thread.run()
        return 0
    }

    package func start(program: String, arguments: [String]) throws -> Int32 {
        try start(program: Array(program.utf8), arguments: arguments.map { Array($0.utf8) })
    }

    /// Everything up to the first instruction.
    package func load(program path: [UInt8], arguments: [[UInt8]]) throws -> LinuxThread {
        var first = arguments
        if let name = options.argv0, !first.isEmpty { first[0] = name }
        let program = try ELFProgram.find(path, arguments: first, paths: paths)
        defer { close(program.descriptor) }
        abi = try Self.abi(for: program)
        table = abi.makeTable()
        programPath = realpath(program.hostPath, nil).map { pointer in
            defer { free(pointer) }
            return String(cString: pointer)
        } ?? program.hostPath
        let entry = try mapProgram(program)
        engine = try Engine(isa: abi.makeISA(), memory: memory, configuration: options.engine)
        memory.invalidateTranslations = { [unowned engine = engine!] in engine.invalidate($0) }
        mynah_adopt_foreign_faults()
        let thread = LinuxThread(process: self, cpu: engine.makeCPU(), signals: SignalTable.inherited())
        abi.start(thread.state, entry: entry, stackPointer: stackStart)
        threads = [thread]
        // The mask is inherited, too; `run` unblocks.
        thread.mask = mynah_set_host_mask(~0) & ~SignalTable.unblockable
        let name = program.hostPath.split(separator: "/").last.map(String.init) ?? program.hostPath
        _ = name.withCString { mynah_syscall(157 /* prctl */, 15 /* PR_SET_NAME */, Int(bitPattern: $0), 0, 0, 0, 0) }
        return thread
    }

    private static func abi(for program: ELFProgram) throws -> LinuxABI {
        if let abi = LinuxABIs.abi(elfMachine: program.file.machine) { return abi }
        let machine = ELFFile.machineName(program.file.machine)
        let known = LinuxABIs.all.map(\.machineName).joined(separator: ", ")
        let advice = program.file.machine == 62 ? "Run it directly." : "Mynah runs programs for \(known)."
        throw ExecutableError(
            exitStatus: 126, errno: .ENOEXEC,
            description: "\(program.hostPath): a program for \(machine), not for \(known). \(advice)")
    }

    /// Maps program, dynamic linker, vDSO and stack; returns the address of the first instruction.
    private func mapProgram(_ program: ELFProgram) throws -> UInt64 {
        let file = program.file
        let loader = ELFLoader(memory: memory)
        let stackBytes = try mapStack()
        let image = try loader.load(
            file, descriptor: program.descriptor, base: file.isPositionIndependent ? AddressSpace.positionIndependentBase : nil)
        memory.breakStart = image.range.upperBound
        memory.breakEnd = image.range.upperBound
        let linker = try file.interpreterPath.map { try loadInterpreter($0, program, loader) }
        let vdso = try loader.load(vdso: abi.vdso)
        signalReturnAddress = vdso + abi.signalReturnOffset
        let stack = InitialStack(
            arguments: program.arguments, environment: options.environment, executablePath: program.guestPath,
            platform: abi.platform, random: (0..<16).map { _ in UInt8.random(in: 0...255) },
            auxiliary: auxiliary(image, linker: linker, vdso: vdso))
        let layout = stack.layout(top: AddressSpace.stackTop)
        guard layout.contents.count < Int(stackBytes) / 2 else {
            throw ExecutableError(
                exitStatus: 126, errno: .E2BIG,
                description:
                    "\(program.hostPath): arguments and environment need \(layout.contents.count) bytes, more than half of the "
                        + "stack. Use --stack SIZE for a larger one.")
        }
        layout.contents.withUnsafeBytes {
            // SAFETY: the stack was mapped writable just now and is larger.
            UnsafeMutableRawPointer(bitPattern: UInt(layout.stackPointer))!.copyMemory(from: $0.baseAddress!, byteCount: $0.count)
        }
        stackStart = layout.stackPointer
        argumentBytes = layout.argumentBytes
        environmentBytes = layout.environmentBytes
        auxiliaryVectorBytes = layout.auxiliaryBytes
        return (linker ?? image).entry
    }

    /// Maps the stack and keeps the guard below it free; returns its size.
    private func mapStack() throws -> UInt64 {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(3), &limit)  // RLIMIT_STACK
        let ofProcess = limit.rlim_cur == .max ? 64 << 20 : UInt64(limit.rlim_cur)
        let wanted = AddressSpace.roundedUp(min(max(options.stackBytes ?? ofProcess, 256 << 10), 16 << 30))
        let start = AddressSpace.stackTop - wanted
        let flags = UInt64(0x2 | 0x4000 | 0x20000 | AddressSpace.MapFlag.anonymous | AddressSpace.MapFlag.fixedNoReplace)
        let result = memory.map(start, wanted, protection: 3, flags: flags, descriptor: -1, offset: 0, named: "[stack]")
        guard result > 0 else {
            throw ExecutableError(
                exitStatus: 126, errno: .ENOMEM,
                description: "no memory for a stack of \(wanted >> 10) KiB. Use --stack SIZE for a smaller one.")
        }
        memory.stackRange = start..<AddressSpace.stackTop
        memory.mappingTop = start - AddressSpace.stackGuardBytes
        return wanted
    }

    private func loadInterpreter(_ path: String, _ program: ELFProgram, _ loader: ELFLoader) throws -> LoadedImage {
        let hostPath = paths.hostPath(of: path) ?? path
        // A pipe of that name must not make us wait; `ELFFile` refuses it.
        let descriptor = open(hostPath, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let advice = options.sysroot == nil
                ? "Give the directory of a \(abi.machineName) system with -L DIR (QEMU_LD_PREFIX), or link the program "
                    + "statically."
                : "The directory given with -L, \(options.sysroot!), has no such file: is it the root of a \(abi.machineName) "
                    + "system?"
            throw ExecutableError(
                exitStatus: 127, errno: .ENOENT,
                description: "\(program.hostPath): its dynamic linker \(path) is missing. \(advice)")
        }
        defer { close(descriptor) }
        let file = try ELFFile(descriptor: descriptor, path: hostPath)
        guard file.machine == abi.elfMachine else {
            throw ExecutableError(
                exitStatus: 126, errno: .ELIBBAD,
                description:
                    "\(program.hostPath): its dynamic linker \(hostPath) is for \(ELFFile.machineName(file.machine)), not for "
                        + "\(abi.machineName). Give the right system with -L DIR.")
        }
        return try loader.load(file, descriptor: descriptor, base: nil)
    }

    private func auxiliary(_ image: LoadedImage, linker: LoadedImage?, vdso: UInt64) -> [(type: UInt64, value: UInt64)] {
        [
            (AuxiliaryType.vdso, vdso), (AuxiliaryType.hardwareCapabilities, abi.hardwareCapabilities),
            (AuxiliaryType.pageBytes, AddressSpace.pageBytes), (AuxiliaryType.clockTicks, UInt64(sysconf(Int32(_SC_CLK_TCK)))),
            (AuxiliaryType.programHeaders, image.programHeaders),
            (AuxiliaryType.programHeaderBytes, UInt64(ProgramHeader.byteCount)),
            (AuxiliaryType.programHeaderCount, UInt64(image.programHeaderCount)),
            (AuxiliaryType.base, linker?.range.lowerBound ?? 0),
            (AuxiliaryType.flags, 0), (AuxiliaryType.entry, image.entry), (AuxiliaryType.uid, UInt64(getuid())),
            (AuxiliaryType.euid, UInt64(geteuid())), (AuxiliaryType.gid, UInt64(getgid())),
            (AuxiliaryType.egid, UInt64(getegid())),
            (AuxiliaryType.secure, 0), (AuxiliaryType.minimumSignalStack, abi.minimumSignalStackBytes),
        ]
    }
}

// What the areas of system calls ask for.
extension LinuxProcess {
    package func invalidateCode(_ range: Range<UInt64>) { memory.invalidateCode(range) }
    package func releaseAllWatches() -> Bool { memory.releaseAllWatches() }
    package func mappingsText() -> String { memory.mappingsText() }
    package func usageText() -> String { memory.usageText() }
    package func usageSummary() -> String { memory.usageSummary() }

    /// The host's numbers of threads of this process that are no guest threads.
    var ownThreadIDs: [Int32] {
        var result: [Int32] = []
        if let debugger, debugger.processNumber == getpid(), debugger.hasThread, let id = debugger.threadID { result.append(id) }
        if let id = engine?.ownThreadID { result.append(id) }
        return result
    }
    var ownThreadCount: Int { ownThreadIDs.count }

    /// Descriptors that belong to Mynah, and that the guest cannot close.
    package var internalDescriptors: [Int32] {
        [paths.internalDescriptor, strace?.internalDescriptor ?? -1].filter { $0 >= 0 } + (debugger?.descriptors ?? [])
    }
    package func isInternalDescriptor(_ descriptor: Int32) -> Bool {
        descriptor >= 0 && (descriptor == paths.internalDescriptor || descriptor == strace?.internalDescriptor
            || debugger?.descriptors.contains(descriptor) == true)
    }

    /// A copy of guest memory; empty when it is no longer there.
    package func guestBytes(_ range: Range<UInt64>) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        let copied = bytes.withUnsafeMutableBytes { buffer in
            buffer.isEmpty || copyFromGuest(buffer.baseAddress!, count: buffer.count, at: range.lowerBound)
        }
        return copied ? bytes : []
    }

    /// Ends the process as exit_group does.
    package func exit(status: Int32) -> Never {
        strace?.exited(status: Int(status))
        engine?.saveTranslations()
        debugger?.end(.exited(status: UInt8(truncatingIfNeeded: status)))
        options.beforeExit?(status)
        _exit(status)
    }
}

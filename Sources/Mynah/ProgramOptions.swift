// How a guest program is to be run: everything `mynah run` can be told, as plain data.

/// How guest code is executed.
public enum EngineChoice: String, CaseIterable, Sendable {
    /// Every instruction by the interpreter: slow, and the reference.
    case interpreter
    /// Every block is translated when it is reached first.
    case block
    /// The same, and hot loops are translated again as regions, which have registers of their own.
    case region
    /// Code that runs seldom is interpreted, the rest as with `region`.
    case auto
}

/// A stage of translation that can be shown.
public enum TranslationStage: String, CaseIterable, Sendable {
    case guest, ir, optimized, host
}

/// A change to the environment that the guest gets; applied in order to the environment of this process.
public enum EnvironmentChange: Equatable, Sendable {
    case set(name: String, value: String)
    case remove(name: String)
}

/// Where translations are kept from one run to the next.
public enum TranslationCacheChoice: Equatable, Sendable {
    /// `MYNAH_CACHE`, else the user's directory for caches, if there is one.
    case automatic
    case off
    /// An absolute path.
    case directory(String)
}

public enum StatisticsFormat: String, Sendable {
    case text, json
}

/// What to run and how.
public struct ProgramOptions: Sendable {
    /// Path of the guest's executable. Paths and arguments are bytes: they need not be valid text.
    public var program: [UInt8]
    /// The arguments behind the program's name.
    public var arguments: [[UInt8]]
    /// The name the guest sees as its argument 0; nil for `program`.
    public var argumentZero: String?
    /// Where absolute paths of the guest are looked up first: its dynamic linker and libraries.
    public var sysroot: String?
    public var environment: [EnvironmentChange] = []
    public var engine = EngineChoice.auto
    public var translationCache = TranslationCacheChoice.automatic
    /// Hot loops are translated again on a thread of their own; nil for where the host has several processors.
    public var translatesInBackground: Bool?
    /// Which system calls are traced: `all`, or names and classes as strace's -e takes them; nil for none.
    public var trace: String?
    /// File for traces, dumps and statistics; nil for standard error.
    public var outputPath: String?
    /// Keep what is in that file.
    public var appendsOutput = false
    public var statistics: StatisticsFormat?
    /// Write /tmp/perf-PID.map for perf(1).
    public var writesPerfMap = false
    public var dumps: [TranslationStage] = []
    /// Names of optimisations that are left out.
    public var disabledPasses: [String] = []
    /// Translate only so many blocks and interpret the others: halve it to find a bad translation.
    public var translationLimit: Int?
    /// Print registers and the calls that led there when a signal ends the program.
    public var showsBacktrace = false
    /// Compare one of so many executions of each translation with the interpreter, while the program runs; nil for none.
    /// Single-threaded programs only: comparing ends when a thread is started.
    public var verification: Int?
    /// Where to wait for gdb before the program starts: `PORT`, `HOST:PORT` or the path of a Unix socket; nil for not at all.
    public var debugger: String?
    /// The kernel release that uname(2) shows; nil for the default.
    public var kernelRelease: String?
    /// Bytes of the guest's main stack; nil for the host's limit.
    public var stackByteCount: Int?
    /// The name of a processor; nil for everything that is implemented.
    public var processor: String?
    /// The words with which this executable runs a program in the same way, for programs that the guest executes.
    public var reexecution = ["run"]

    public init(program: String, arguments: [String] = []) {
        self.program = Array(program.utf8)
        self.arguments = arguments.map { Array($0.utf8) }
    }
}

/// Why a guest program could not be run.
public enum ProgramError: Error, Sendable {
    /// The program, or a file that it needs, is missing.
    case notFound(String)
    /// The file is there but cannot be run: wrong machine, malformed, no permission.
    case notRunnable(String)
    /// An option asks for what does not exist.
    case badOption(String)
    /// Interpreter and translation disagree; the text is the report.
    case difference(String)
    /// A defect of Mynah or a refusal of the host.
    case internalError(String)
}

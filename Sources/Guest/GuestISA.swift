// The contract between the engine and an instruction set: everything the engine knows of a guest processor.
//
// A guest's state is one block behind the state pointer; `CHost.mynah_cpu` lies in front of it. The engine sees registers as
// numbered slots with an offset and a type; which of them live in host registers between translations is a table here.

import IR

/// A virtual address of the guest.
package struct GuestAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt64
    @inlinable package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    @inlinable package static func < (left: GuestAddress, right: GuestAddress) -> Bool { left.rawValue < right.rawValue }
    @inlinable package static func + (left: GuestAddress, bytes: UInt64) -> GuestAddress { GuestAddress(left.rawValue &+ bytes) }
    package var description: String { "0x" + String(rawValue, radix: 16) }
}

/// A guest register that translated code reads and writes.
package struct RegisterSlot: Sendable {
    package let name: String
    /// Bytes from the state pointer.
    package let offset: Int32
    package let type: Type
    package init(name: String, offset: Int32, type: Type) {
        self.name = name
        self.offset = offset
        self.type = type
    }
}

/// State outside the program counter on which a translation depends (RISC-V: the rounding mode). Translations of different
/// modes are never linked to each other.
package struct TranslationMode: Hashable, Sendable {
    package var rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// The state has no translation (e.g. a rounding mode that the host lacks): only the interpreter may run.
    package static let interpretOnly = TranslationMode(rawValue: .max)
    /// The same without groups of accesses: the engine's own, which guests do not look at.
    package var split: TranslationMode { TranslationMode(rawValue: rawValue | 0x8000_0000) }
    package var isSplit: Bool { rawValue & 0x8000_0000 != 0 }
}

/// Guest code that may be fetched: `start ..< end` is executable and can be read at `host` (the host address of `start`).
package struct CodeWindow {
    package var start: UInt64
    package var end: UInt64
    package var host: UnsafeRawPointer
    /// Where a debugger stops execution, a bit for each two bytes from `start` on; nil for nowhere.
    // SAFETY: as long as the window is looked at, and for all of it.
    package var stops: UnsafePointer<UInt64>?
    package init(start: UInt64, end: UInt64, host: UnsafeRawPointer, stops: UnsafePointer<UInt64>? = nil) {
        self.start = start
        self.end = end
        self.host = host
        self.stops = stops
    }

    /// Whether a trap is to be decoded instead of what is at an address in the window.
    @inline(__always)
    package func stopsExecution(at address: UInt64) -> Bool {
        guard let stops else { return false }
        let place = Int(truncatingIfNeeded: (address &- start) >> 1)
        return stops[place >> 6] >> UInt64(place & 63) & 1 != 0
    }
}

/// Where instructions are fetched from: the memory model's side of translation and interpretation.
package protocol CodeSource: AnyObject {
    /// The largest known executable range around `address`, or nil when fetching there faults.
    func codeWindow(at address: GuestAddress) -> CodeWindow?
    /// Changes whenever guest code may have changed: caches of decoded instructions compare it.
    var codeVersion: UInt64 { get }
    /// Code was translated or decoded from this range: a later write to it must be noticed.
    func watchCode(_ range: Range<UInt64>)
}

/// The file that executable guest memory shows, unchanged as far as is known.
package struct CodeOrigin: Equatable, Sendable {
    /// The guest addresses of the mapping.
    package var range: Range<UInt64>
    /// Guest address of the file's first byte, were it mapped, too.
    package var base: UInt64
    package var device: UInt64
    package var inode: UInt64
    package var byteCount: UInt64
    /// When the file was changed last, nanoseconds since 1970.
    package var modified: UInt64

    package init(range: Range<UInt64>, base: UInt64, device: UInt64, inode: UInt64, byteCount: UInt64, modified: UInt64) {
        self.range = range
        self.base = base
        self.device = device
        self.inode = inode
        self.byteCount = byteCount
        self.modified = modified
    }
}

/// Guest memory as the engine sees it.
package protocol GuestMemory: CodeSource {
    /// A store faulted at `address`. When the only reason is that its page is watched, stops watching, makes the page
    /// writable and returns its range, from which the caller drops all translations before it retries the store.
    func releaseWatch(at address: UInt64) -> Range<UInt64>?
    /// Runs `body`, which interprets one instruction, without watching what it decodes.
    func withoutWatching<Result>(_ body: () -> Result) -> Result
    /// The mapping of a file that `address` lies in, when the guest may execute it and may not write to it.
    func codeOrigin(at address: UInt64) -> CodeOrigin?
}

extension GuestMemory {
    package func withoutWatching<Result>(_ body: () -> Result) -> Result { body() }
    package func codeOrigin(at address: UInt64) -> CodeOrigin? { nil }
}

/// What a lifter made of guest code.
package struct LiftedCode {
    /// Guest bytes that the translation depends on, in order of appearance, without overlaps.
    package var ranges: [Range<UInt64>]
    package var instructionCount: Int
    /// Where forward branches that were followed go to when they are not taken; see `LiftLimits.loopEnds`.
    package var goesBy: [UInt64]
    package init(ranges: [Range<UInt64>], instructionCount: Int, goesBy: [UInt64] = []) {
        self.ranges = ranges
        self.instructionCount = instructionCount
        self.goesBy = goesBy
    }
}

/// How much code a lifter may take into one translation.
package struct LiftLimits: Sendable {
    package var instructions: Int
    /// Follow direct jumps, and go on behind conditional branches (a superblock).
    package var followsJumps: Bool
    /// Lift a single instruction and exit to the next.
    package var singleStep: Bool
    /// A loop that the superblock is the whole of is lifted so many times, one behind the other.
    package var iterations = 1
    /// Places to which a forward branch is followed when they lead straight back to the start of the superblock.
    package var loopEnds: [UInt64] = []
    /// Machine mode: a single instruction, which ends in the next page.
    package var crossesPage = false
    /// Instructions behind a branch may be executed, for nothing, when it is taken: then they cannot be counted.
    package var predicates = true
    package init(instructions: Int = 64, followsJumps: Bool = true, singleStep: Bool = false) {
        self.instructions = instructions
        self.followsJumps = followsJumps
        self.singleStep = singleStep
    }
}

/// Why an interpreter stopped. The program counter in the state is that of the next instruction to execute, or of the
/// instruction that trapped.
package enum InterpreterExit: UInt32, Sendable {
    /// The instruction budget is used up, or `interrupt_pending` was seen, at an instruction boundary.
    case budget
    case systemCall
    case breakpoint
    case illegalInstruction
    /// `fence.i` or the like was executed; the program counter is past it.
    case codeChanged
    /// The next instruction cannot be fetched; `fault_address` in the CPU header says where.
    case instructionFetch
    /// The translation mode changed; the program counter is past the instruction.
    case modeChanged
    /// A load or store faulted: only `runInterpreter` with recovery reports it; the program counter is that of the instruction.
    case memoryFault
    /// The next block has been executed `heatLimit` times: it is worth a translation.
    case hot
    /// Machine mode: the instruction at the program counter raised an exception that the privileged state describes.
    case trap
    /// Machine mode: the hart may sleep until an interrupt is pending; the program counter is past the instruction.
    case waitForInterrupt
}

/// A decoded-code interpreter of one virtual CPU, with its cache of decoded blocks.
package protocol GuestInterpreter: AnyObject {
    /// Executes at most about `budget` instructions from the state's program counter on (block granularity; at least one). Memory
    /// faults long-jump out (see `mynah_run_recoverable`): the program counter in the state is then that of the faulting
    /// instruction. The guest's MXCSR is loaded by the caller.
    /// - Returns: why it stopped, and how many instructions were executed.
    func run(state: UnsafeMutableRawPointer, budget: Int) -> InterpreterExit
    /// Executes exactly one instruction (a control transfer included).
    func step(state: UnsafeMutableRawPointer) -> InterpreterExit
    /// `run` executes exactly as many instructions as its budget allows, unless it ends before.
    var isExact: Bool { get set }
    /// Executions of a block, reached from another one, before `run` leaves at it with `hot`, each time it comes there.
    var heatLimit: Int32 { get set }
    /// Whether there is a translation of the code at an address. `run` leaves with `hot` where there is, instead of decoding the
    /// code.
    var hasTranslation: ((UInt64) -> Bool)? { get set }
    /// Instructions executed by `run` and `step` so far.
    var instructionsExecuted: UInt64 { get }
}

extension GuestInterpreter {
    /// It cannot be asked for.
    package var isExact: Bool {
        get { false }
        set {}
    }
    /// Nobody is asked.
    package var hasTranslation: ((UInt64) -> Bool)? {
        get { nil }
        set {}
    }
}

/// A disassembled instruction.
package struct DisassembledInstruction {
    package var address: UInt64
    package var byteCount: Int
    package var encoding: UInt32
    package var text: String
    package init(address: UInt64, byteCount: Int, encoding: UInt32, text: String) {
        self.address = address
        self.byteCount = byteCount
        self.encoding = encoding
        self.text = text
    }
}

/// An instruction set architecture as the engine sees it.
package protocol GuestISA: AnyObject, Sendable {
    /// As in the command line and in messages, e.g. "riscv64".
    var name: String { get }
    /// Bytes of state behind the state pointer.
    var stateByteCount: Int { get }
    var slots: [RegisterSlot] { get }
    /// Slots of integer type by falling heat; the engine pins as many as it has host registers for.
    var hotIntegerSlots: [Int] { get }
    /// Slots of type f64 by falling heat.
    var hotFloatSlots: [Int] { get }
    /// Byte offset of the 64-bit program counter.
    var programCounterOffset: Int32 { get }
    /// Fills the state of a CPU after reset; sets the CPU header's guest_mxcsr.
    func initialize(state: UnsafeMutableRawPointer)
    func mode(of state: UnsafeMutableRawPointer) -> TranslationMode
    /// Lifts the code at `address` into the builder's function. A first instruction that cannot be fetched becomes
    /// `exitTrap(instructionFetch)`, as does one behind it that the block would have to go on with.
    func lift(
        at address: GuestAddress, mode: TranslationMode, source: CodeSource, limits: LiftLimits, into builder: inout Builder
    )
        -> LiftedCode
    func makeInterpreter(source: CodeSource) -> GuestInterpreter
    func disassemble(at address: UInt64, in window: CodeWindow) -> DisassembledInstruction
    /// What the instruction does outside the registers, for comparing its executors.
    func footprint(of encoding: UInt32) -> InstructionFootprint
    /// The encoding of an instruction of `byteCount` bytes that does nothing; nil when there is none of that size.
    func noOperation(byteCount: Int) -> UInt32?

    // Machine mode, where a processor has its own view of memory.

    /// How translated code reaches memory; nil where guest addresses are host addresses.
    var softMemory: SoftMemoryLayout? { get }
    /// Brings the look-aside buffer to where an access of so many bytes hits; false when it cannot: then the interpreter executes
    /// the instruction.
    func fillBuffer(_ state: UnsafeMutableRawPointer, address: UInt64, byteCount: UInt64, isWrite: Bool, isSpeculative: Bool)
        -> Bool
    /// Whether regions in a mode look at ranges of addresses first, see `SoftRanges`. Their slots are for few pointers that are
    /// used much: in flat code they would only be one more thing that the host's caches have to hold.
    func hasRanges(_ mode: TranslationMode) -> Bool
    /// Puts the range around an address, which was just looked up, into a slot.
    func fillRange(_ state: UnsafeMutableRawPointer, address: UInt64, slot: Int)
    /// An access of translated code faulted at a host address, and was then executed by the interpreter.
    func mapFaulted(_ state: UnsafeMutableRawPointer, host: UInt64)
    /// The page of code at an address.
    func codePage(_ state: UnsafeMutableRawPointer, at address: UInt64) -> CodePageLookup
    /// After `codePage`: translated code may go to the address's page under this number until the processor forgets its
    /// translations.
    func admitCodePage(_ state: UnsafeMutableRawPointer, at address: UInt64, number: UInt32)
}

extension GuestISA {
    package var softMemory: SoftMemoryLayout? { nil }
    package func fillBuffer(
        _ state: UnsafeMutableRawPointer, address: UInt64, byteCount: UInt64, isWrite: Bool, isSpeculative: Bool
    ) -> Bool { false }
    package func hasRanges(_ mode: TranslationMode) -> Bool { false }
    package func fillRange(_ state: UnsafeMutableRawPointer, address: UInt64, slot: Int) {}
    package func mapFaulted(_ state: UnsafeMutableRawPointer, host: UInt64) {}
    package func codePage(_ state: UnsafeMutableRawPointer, at address: UInt64) -> CodePageLookup { .uncached }
    package func admitCodePage(_ state: UnsafeMutableRawPointer, at address: UInt64, number: UInt32) {}
}

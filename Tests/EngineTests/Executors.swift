// The executors that must agree: interpreter, IR evaluator, and the block translator in several configurations.

import CHost
import Engine
import Guest
import GuestRISCV
import Host
import IR
import Optimizer

/// Everything that a guest can see of the end of a program.
struct Outcome: Equatable {
    /// x0...x31, f0...f31, pc.
    var words: [UInt64] = []
    var control: UInt32 = 0
    var data: [UInt8] = []
    var exit = CPUExit.interrupted

    func differences(from other: Outcome) -> String {
        var lines: [String] = []
        for (index, pair) in zip(words, other.words).enumerated() where pair.0 != pair.1 {
            lines.append("\(Outcome.name(index)): \(String(pair.0, radix: 16)) instead of \(String(pair.1, radix: 16))")
        }
        if control != other.control { lines.append("fcsr: \(String(control, radix: 16)) instead of \(String(other.control, radix: 16))") }
        if exit != other.exit { lines.append("exit: \(exit) instead of \(other.exit)") }
        for index in data.indices where data[index] != other.data[index] {
            lines.append("memory from byte \(index) on: \(data[index]) instead of \(other.data[index])")
            break
        }
        return lines.joined(separator: "\n")
    }

    private static func name(_ index: Int) -> String { index < 32 ? "x\(index)" : index < 64 ? "f\(index - 32)" : "pc" }
}

/// The data that all programs start with.
let initialData: [UInt8] = {
    var random = FuzzRandom(seed: 3)
    return (0 ..< GuestArena.dataBytes / 8).flatMap { _ in
        withUnsafeBytes(of: random.chance(oneIn: 2) ? random.float() : random.integer()) { Array($0) }
    }
}()

extension GuestProgram {
    /// Puts the program into the arena and its start values into the state.
    func load(into arena: GuestArena, _ state: RISCVState) {
        arena.load(code: assemble(at: arena.start), data: initialData)
        state.reset()
        for (index, word) in words.enumerated() { state[index] = word }
        for (index, register) in PointerRegister.all.enumerated() { state[Int(register)] = arena.center + UInt64(index) * 64 }
        state.programCounter = arena.start
        state.fcsr = roundingMode << 5
    }
}

func outcome(_ state: RISCVState, _ arena: GuestArena, _ exit: CPUExit) -> Outcome {
    Outcome(words: (0 ..< 65).map { state[$0] }, control: state.fcsr, data: arena.data, exit: exit)
}

protocol Executor: AnyObject {
    var name: String { get }
    func run(_ program: GuestProgram, _ arena: GuestArena) -> Outcome
}

/// A virtual CPU in some configuration.
final class EngineExecutor: Executor {
    let name: String
    let engine: Engine
    let cpu: VirtualCPU
    private let change: (inout EngineConfiguration) -> Void

    init(_ name: String, _ arena: GuestArena, _ change: @escaping (inout EngineConfiguration) -> Void = { _ in }) {
        self.name = name
        self.change = change
        var configuration = EngineConfiguration()
        configuration.policy = .block
        configuration.codeCacheBytes = 4 << 20
        change(&configuration)
        engine = try! Engine(isa: RISCV64(), memory: arena, configuration: configuration)
        cpu = engine.makeCPU()
    }

    deinit { cpu.destroy() }

    func run(_ program: GuestProgram, _ arena: GuestArena) -> Outcome {
        engine.invalidate(arena.codeRange)
        program.load(into: arena, RISCVState(cpu.state))
        return finish(arena)
    }

    /// Runs until something else than an interrupt happens, or until time is up: then the exit stays `interrupted`.
    func finish(_ arena: GuestArena) -> Outcome {
        var exit = CPUExit.interrupted
        Watchdog.shared.run(cpu) {
            exit = cpu.run()
            return exit != .interrupted
        }
        mynah_set_current_cpu(nil)
        return outcome(RISCVState(cpu.state), arena, exit)
    }

    /// What the translator makes of the program: the IR that is emitted, and the host code.
    func translations(of program: GuestProgram, _ arena: GuestArena) -> String {
        let texts = TextCollector()
        let observed = EngineExecutor(name, arena) { configuration in
            self.change(&configuration)
            configuration.observer = { texts.add($0) }
        }
        _ = observed.run(program, arena)
        return texts.text
    }

    static func configurations(_ arena: GuestArena) -> [EngineExecutor] {
        [
            EngineExecutor("unoptimised", arena) { $0.optimizations = [] },
            EngineExecutor("optimised", arena),
            EngineExecutor("plain processor", arena) { $0.features = [] },
            EngineExecutor("single instructions", arena) { $0.limits.instructions = 1 },
            EngineExecutor("three translations", arena) { $0.translationLimit = 3 },
            EngineExecutor("regions", arena) {
                $0.policy = .region
                $0.samplePeriod = 1
                $0.regionSamples = 1
            },
            EngineExecutor("regions of an older processor", arena) {
                $0.policy = .region
                $0.samplePeriod = 1
                $0.regionSamples = 1
                $0.features.subtract([.avx2, .fma])
            },
            EngineExecutor("unoptimised regions", arena) {
                $0.policy = .region
                $0.samplePeriod = 1
                $0.regionSamples = 1
                $0.optimizations = []
            },
            EngineExecutor("regions in the background", arena) {
                $0.policy = .region
                $0.samplePeriod = 1
                $0.regionSamples = 1
                $0.backgroundTranslation = true
            },
            EngineExecutor("tiny cache", arena) { $0.codeCacheBytes = 128 << 10 },
            EngineExecutor("regions in the background for a tiny cache", arena) {
                $0.policy = .region
                $0.samplePeriod = 1
                $0.regionSamples = 1
                $0.backgroundTranslation = true
                $0.codeCacheBytes = 160 << 10
            },
        ]
    }
}

/// Collects what an observer hears.
private final class TextCollector: @unchecked Sendable {
    // One CPU translates at a time.
    private(set) var text = ""
    func add(_ report: TranslationReport) {
        let host = report.host.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
        text += report.optimized + "host " + host + "\n"
    }
}

/// Lifts block by block and evaluates the IR.
final class EvaluatorExecutor: Executor {
    /// No program of the generators runs longer.
    private static let blockLimit = 10_000_000
    let name: String
    private let optimizer: Pipeline?
    private let block: UnsafeMutableRawPointer
    private let state: RISCVState
    private let interpreter: RISCVInterpreter
    private let function = Function()
    private let isa = RISCV64()
    private var builder: Builder
    private let slotOffsets: [Int]

    init(_ name: String, _ arena: GuestArena, optimizations: OptimizerOptions? = nil) {
        self.name = name
        optimizer = optimizations.map { Pipeline(options: $0) }
        let bytes = Int(MYNAH_CPU_HEADER_BYTES) + RISCVState.byteCount
        block = .allocate(byteCount: bytes, alignment: 64)
        block.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        state = RISCVState(block + Int(MYNAH_CPU_HEADER_BYTES))
        interpreter = RISCVInterpreter(source: arena)
        slotOffsets = isa.slots.map { Int($0.offset) }
        builder = Builder(function: function, slotTypes: isa.slots.map(\.type))
    }

    deinit { block.deallocate() }

    func run(_ program: GuestProgram, _ arena: GuestArena) -> Outcome {
        arena.noticesWrites = false
        defer { arena.noticesWrites = true }
        program.load(into: arena, state)
        let host = mynah_get_mxcsr()
        mynah_set_mxcsr(state.header.pointee.guest_mxcsr)
        var exit: CPUExit?
        var blocks = 0
        while exit == nil, blocks < EvaluatorExecutor.blockLimit {
            exit = block(arena)
            blocks += 1
        }
        state.header.pointee.guest_mxcsr = mynah_get_mxcsr()
        mynah_set_mxcsr(host)
        return outcome(state, arena, exit ?? .interrupted)
    }

    private func block(_ arena: GuestArena) -> CPUExit? {
        let mode = state.mode, address = state.programCounter
        if mode == .interpretOnly {
            let result = interpreter.step(state: state.pointer)
            // Nothing is watched: the interpreter learns of a change by a `fence.i` alone.
            if result == .codeChanged { arena.unwatchAll() }
            return exit(result)
        }
        function.reset(entry: address)
        // What this raises is not the guest's: growing a set computes with floats, too.
        let guestControl = mynah_get_mxcsr()
        _ = isa.lift(at: GuestAddress(address), mode: mode, source: arena, limits: LiftLimits(), into: &builder)
        optimizer?.optimize(function)
        mynah_set_mxcsr(guestControl)
        let (state, interpreter) = (state, interpreter)
        var interpreted: CPUExit?
        let evaluator = Evaluator(state: state.pointer, slotOffsets: slotOffsets) { address in
            state.programCounter = address
            let result = interpreter.step(state: state.pointer)
            if result == .budget { return nil }
            interpreted = EvaluatorExecutor.exit(of: result, state)
            return .exit(target: state.programCounter)
        }
        switch evaluator.run(function) {
        case .exit(let target, _, _), .indirect(let target, _, _):
            state.programCounter = target
            return interpreted
        case .trap(let reason, let programCounter):
            state.programCounter = programCounter
            switch reason {
            case .systemCall: return .systemCall
            case .breakpoint: return .breakpoint
            case .illegalInstruction: return .illegalInstruction
            case .codeChanged:
                arena.unwatchAll()
                return nil
            case .modeChanged: return exit(interpreter.step(state: state.pointer))
            case .instructionFetch: return .instructionFault(address: programCounter)
            }
        default: preconditionFailure("a block without an end")
        }
    }

    private func exit(_ result: InterpreterExit) -> CPUExit? { EvaluatorExecutor.exit(of: result, state) }

    private static func exit(of result: InterpreterExit, _ state: RISCVState) -> CPUExit? {
        switch result {
        case .budget, .codeChanged, .modeChanged, .memoryFault, .hot, .trap, .waitForInterrupt: nil
        case .systemCall: .systemCall
        case .breakpoint: .breakpoint
        case .illegalInstruction: .illegalInstruction
        case .instructionFetch: .instructionFault(address: state.programCounter)
        }
    }
}

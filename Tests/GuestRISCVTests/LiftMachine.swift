// Runs guest code twice, in the interpreter and as lifted IR in the evaluator, and compares everything that the guest can see.

import CHost
import Guest
import GuestRISCV
import IR
import TestSupport

/// Lets one interpreter run one piece of code after the other.
private final class ChangingCode: CodeSource {
    private(set) var codeVersion: UInt64 = 0
    var current: CodeSource? { didSet { codeVersion += 1 } }
    func codeWindow(at address: GuestAddress) -> CodeWindow? { current?.codeWindow(at: address) }
    func watchCode(_ range: Range<UInt64>) {}
}

/// A state block with its header, and memory for the guest to access.
final class LiftMachine {
    static let scratchBytes = 8192

    let state: UnsafeMutableRawPointer
    let scratch: UnsafeMutableRawBufferPointer
    private let block: UnsafeMutableRawPointer
    private let code: ChangingCode
    private let interpreter: RISCVInterpreter
    private(set) var mxcsr: UInt32 = 0

    /// Registers x0...x31, f0...f31 and the program counter.
    typealias Words = [UInt64]

    init() {
        let bytes = Int(MYNAH_CPU_HEADER_BYTES) + RISCVState.byteCount
        block = .allocate(byteCount: bytes, alignment: 64)
        block.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        state = block + Int(MYNAH_CPU_HEADER_BYTES)
        scratch = .allocate(byteCount: LiftMachine.scratchBytes, alignment: 4096)
        code = ChangingCode()
        interpreter = RISCVInterpreter(source: code)
    }

    deinit {
        block.deallocate()
        scratch.deallocate()
    }

    /// The middle of the scratch memory: every 12-bit offset from it lies inside.
    var center: UInt64 { UInt64(UInt(bitPattern: scratch.baseAddress)) + UInt64(LiftMachine.scratchBytes / 2) }

    /// What execution starts from.
    struct Situation {
        var words: Words
        var memory: [UInt8]
        /// `frm`, 0 to 3.
        var rounding: UInt32
    }

    /// What execution leads to.
    struct Outcome: Equatable {
        var words: Words
        var memory: [UInt8]
        var flags: UInt32
        var trap: TrapReason?
    }

    func interpret(_ situation: Situation, _ source: CodeSource, steps: Int, until end: ClosedRange<UInt64>) -> Outcome {
        begin(situation)
        code.current = source
        var trap: TrapReason?
        for _ in 0 ..< steps {
            trap = withGuestFlags { LiftMachine.trap(interpreter.step(state: state)) }
            if trap != nil || !end.contains(words[64]) { break }
        }
        return outcome(trap)
    }

    func evaluate(_ situation: Situation, _ lifted: Lifted, _ source: CodeSource) -> Outcome {
        begin(situation)
        code.current = source
        let (state, interpreter) = (state, interpreter)
        let evaluator = Evaluator(state: state, slotOffsets: (0 ..< 64).map { $0 * 8 }) { address in
            RISCVState(state).programCounter = address
            let trap = LiftMachine.trap(interpreter.step(state: state))
            return trap.map { .trap($0, programCounter: RISCVState(state).programCounter) }
        }
        var trap: TrapReason?
        switch withGuestFlags({ evaluator.run(lifted.function) }) {
        case .exit(let target, _, _), .indirect(let target, _, _): RISCVState(state).programCounter = target
        case .trap(let reason, let programCounter):
            trap = reason
            RISCVState(state).programCounter = programCounter
        case .fault(_, let programCounter): RISCVState(state).programCounter = programCounter
        case .outOfFuel: break
        }
        return outcome(trap)
    }

    private var words: Words { (0 ..< 65).map { RISCVState(state)[$0] } }

    private func begin(_ situation: Situation) {
        scratch.copyBytes(from: situation.memory)
        RISCVState(state).reset()
        for (index, word) in situation.words.enumerated() { RISCVState(state)[index] = word }
        RISCVState(state).fcsr = situation.rounding << 5
        mxcsr = mynah_cpu_of(state).pointee.guest_mxcsr
    }

    private func outcome(_ trap: TrapReason?) -> Outcome {
        Outcome(words: words, memory: Array(scratch), flags: FloatControl.flags(ofMXCSR: mxcsr), trap: trap)
    }

    /// Runs `body` with the guest's MXCSR.
    private func withGuestFlags<Result>(_ body: () -> Result) -> Result {
        let host = mynah_get_mxcsr()
        mynah_set_mxcsr(mxcsr)
        let result = body()
        mxcsr = mynah_get_mxcsr()
        mynah_set_mxcsr(host)
        return result
    }

    private static func trap(_ exit: InterpreterExit) -> TrapReason? {
        switch exit {
        case .budget, .memoryFault, .hot, .trap, .waitForInterrupt: nil
        case .systemCall: .systemCall
        case .breakpoint: .breakpoint
        case .illegalInstruction: .illegalInstruction
        case .codeChanged: .codeChanged
        case .instructionFetch: .instructionFetch
        case .modeChanged: .modeChanged
        }
    }
}

extension LiftMachine.Situation {
    /// Registers and memory with a liking for the values where instructions differ.
    static func random(at programCounter: UInt64, _ random: inout SplitMix) -> LiftMachine.Situation {
        var words = (0 ..< 32).map { _ in integer(&random) } + (0 ..< 32).map { _ in float(&random) }
        words[0] = 0
        words.append(programCounter)
        return LiftMachine.Situation(words: words, memory: memory, rounding: UInt32(random.next() % 4))
    }

    /// The same in all situations: filling it would take most of a test's time.
    private static let memory: [UInt8] = {
        var random = SplitMix(seed: 3)
        return (0 ..< LiftMachine.scratchBytes / 8).flatMap { _ in
            withUnsafeBytes(of: random.next() % 2 == 0 ? float(&random) : integer(&random)) { Array($0) }
        }
    }()

    private static let integers: [UInt64] = [
        0, 1, ~0, 2, 63, 64, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_ffff_8000_0000, 1 << 63, ~0 >> 1,
    ]

    private static func integer(_ random: inout SplitMix) -> UInt64 {
        let bits = random.next()
        switch random.next() % 4 {
        case 0: return integers[Int(bits % UInt64(integers.count))]
        case 1: return UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: bits)))
        case 2: return bits >> (bits & 63)
        default: return bits
        }
    }

    private static let doubles: [UInt64] = [
        0, 1 << 63, 1, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000, 0x7ff8_0000_0000_0000, 0x7ff0_0000_0000_0001,
        0xfff8_dead_beef_0000, 0x3ff0_0000_0000_0000, 0xbff0_0000_0000_0000, 0x0010_0000_0000_0000, 0x43e0_0000_0000_0000,
        0xc3e0_0000_0000_0000, 0x41df_ffff_ffc0_0000, 0x41ef_ffff_ffe0_0000, 0x3fe0_0000_0000_0000, 0x7fef_ffff_ffff_ffff,
    ]
    private static let singles: [UInt64] = [
        0, 0x8000_0000, 1, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f80_0001, 0xffc1_2345, 0x3f80_0000, 0xbf80_0000, 0x0080_0000,
        0x5f00_0000, 0xdf00_0000, 0x4f00_0000, 0x4f80_0000, 0x3f00_0000, 0x7f7f_ffff,
    ]

    private static func float(_ random: inout SplitMix) -> UInt64 {
        let bits = random.next()
        let box: UInt64 = 0xffff_ffff_0000_0000
        switch random.next() % 7 {
        case 0: return doubles[Int(bits % UInt64(doubles.count))]
        case 1: return singles[Int(bits % UInt64(singles.count))] | box
        case 2: return Double(Int64(bitPattern: bits) >> (bits & 63)).bitPattern
        case 3: return UInt64(Float(Int32(truncatingIfNeeded: bits) >> Int32(bits >> 32 & 31)).bitPattern) | box
        case 4: return (Double(Int32(truncatingIfNeeded: bits)) / 4).bitPattern
        case 5: return bits | box
        default: return bits
        }
    }
}

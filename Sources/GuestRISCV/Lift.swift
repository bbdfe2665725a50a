// The lifter: from guest bytes to one superblock of IR.
//
// A superblock is entered at its first instruction only; it goes on behind forward branches and through a few direct jumps,
// and ends at the first transfer whose target is unknown, far, or already part of it. What has no lift here is executed by
// the interpreter from within the block (`interpretOne`). The extensions' lifts are in the other `Lift*.swift` files.

import Guest
import IR

package enum RISCVLifter {
    /// Lifts the code at `at`; see `GuestISA.lift`. Appends one block to the builder's function.
    package static func lift(
        at: GuestAddress, mode: TranslationMode, source: CodeSource, limits: LiftLimits, into builder: inout Builder
    ) -> LiftedCode {
        var lifter = SuperblockLifter(builder: builder, mode: mode, source: source, limits: limits, start: at.rawValue)
        let code = lifter.run(from: at.rawValue)
        builder = lifter.builder
        return code
    }
}

/// The state of one lift.
struct SuperblockLifter {
    /// Direct jumps that one superblock follows at most.
    static let followedJumpLimit = 4

    var builder: Builder
    /// The rounding mode that is current wherever this translation runs, as in `frm`.
    let currentRounding: UInt8
    let limits: LiftLimits
    /// Machine mode: instructions of the privileged architecture leave to the interpreter, as do those that it restricts.
    let isPrivileged: Bool
    /// `cbo.zero` is permitted.
    let zeroesBlocks: Bool
    /// Floating-point instructions leave to the interpreter.
    let floatIsNoticed: Bool
    /// Address of the instruction being lifted.
    var pc: UInt64 = 0
    /// Address behind it.
    var next: UInt64 = 0
    private var fetcher: CodeFetcher
    private var ranges: [Range<UInt64>] = []
    private var instructionCount = 0
    private var followedJumps = 0
    /// Where branches that were followed would have gone on.
    var goesBy: [UInt64] = []
    private(set) var entry: UInt64 = 0
    /// Iterations of the loop that the superblock is, and the code of those before this one.
    private var iterations = 1
    private var earlierRanges: [Range<UInt64>] = []

    init(builder: Builder, mode: TranslationMode, source: CodeSource, limits: LiftLimits, start: UInt64) {
        self.builder = builder
        self.limits = limits
        currentRounding = UInt8(truncatingIfNeeded: mode.rawValue)
        isPrivileged = mode.rawValue & MachineMode.machine != 0
        zeroesBlocks = mode.rawValue & MachineMode.zeroesBlocks != 0
        floatIsNoticed = mode.rawValue & MachineMode.floatIsNoticed != 0
        fetcher = CodeFetcher(source: source, onlyPage: isPrivileged && !limits.crossesPage ? start & ~4095 : nil)
    }

    /// What comes after a lifted instruction.
    enum Successor {
        case next
        /// The superblock goes on at this address.
        case follow(UInt64)
        /// A terminal has been emitted.
        case ended
    }

    mutating func run(from entry: UInt64) -> LiftedCode {
        builder.startBlock()
        self.entry = entry
        let limit = limits.singleStep || limits.crossesPage ? 1 : max(1, limits.instructions)
        var address = entry
        while true {
            if instructionCount == limit { builder.exit(to: address); break }
            guard let bits = fetcher.fetch(at: address) else { endWithoutInstruction(at: address); break }
            let instruction = RISCVDecoder.decode(bits)
            let end = address &+ UInt64(instruction.byteCount)
            if end < address || overlapsLifted(address, end) { builder.exit(to: address); break }
            begin(instruction, at: address)
            switch lift(instruction) {
            case .next: address = next
            case .follow(let target): address = target
            case .ended: return liftedCode
            }
        }
        return liftedCode
    }

    private var liftedCode: LiftedCode {
        let ranges = earlierRanges.isEmpty ? ranges : earlierRanges + ranges.filter { !earlierRanges.contains($0) }
        return LiftedCode(ranges: ranges, instructionCount: instructionCount, goesBy: goesBy)
    }

    /// Whether the superblock goes on with another iteration of the loop that it is.
    mutating func iterates(to target: UInt64) -> Bool {
        guard target == entry, iterations < limits.iterations else { return false }
        iterations += 1
        followedJumps = 0
        earlierRanges += ranges.filter { !earlierRanges.contains($0) }
        ranges.removeAll(keepingCapacity: true)
        return true
    }

    /// Makes the instruction at `address` the one being lifted.
    private mutating func begin(_ instruction: DecodedInstruction, at address: UInt64) {
        pc = address
        next = address &+ UInt64(instruction.byteCount)
        note(pc ..< next)
        builder.boundary(pc)
    }

    /// Goes on to the next instruction from within a lift that spans several (see `nextTwo`).
    mutating func advance(_ instruction: DecodedInstruction) { begin(instruction, at: next) }

    /// The two instructions behind the current one, when the superblock may take them in.
    mutating func nextTwo() -> (DecodedInstruction, DecodedInstruction)? {
        guard limits.followsJumps, !limits.singleStep, instructionCount + 2 <= limits.instructions,
            let firstBits = fetcher.fetch(at: next)
        else { return nil }
        let first = RISCVDecoder.decode(firstBits)
        let second = next &+ UInt64(first.byteCount)
        guard let secondBits = fetcher.fetch(at: second) else { return nil }
        let last = RISCVDecoder.decode(secondBits)
        let end = second &+ UInt64(last.byteCount)
        return end < next || overlapsLifted(next, end) ? nil : (first, last)
    }

    /// The instructions from the next one up to `end`, when they are at most `count`, all wanted, and may be in the superblock.
    mutating func instructions(
        upTo end: UInt64, atMost count: Int, where isWanted: (RISCVOpcode) -> Bool
    ) -> [DecodedInstruction]? {
        var found: [DecodedInstruction] = [], address = next
        while address < end {
            guard found.count < count, !limits.singleStep, let bits = fetcher.fetch(at: address) else { return nil }
            let instruction = RISCVDecoder.decode(bits)
            guard isWanted(instruction.opcode) else { return nil }
            found.append(instruction)
            address &+= UInt64(instruction.byteCount)
        }
        guard address == end, instructionCount + found.count <= limits.instructions, !overlapsLifted(next, end) else { return nil }
        return found
    }

    /// The code at `address` cannot be fetched. Behind other instructions the fault is left to a lookup of that address.
    private mutating func endWithoutInstruction(at address: UInt64) {
        if instructionCount == 0 {
            builder.exitTrap(.instructionFetch, at: address)
        } else {
            builder.exit(to: address)
        }
    }

    private func overlapsLifted(_ start: UInt64, _ end: UInt64) -> Bool {
        for range in ranges where start < range.upperBound && range.lowerBound < end { return true }
        return false
    }

    private mutating func note(_ range: Range<UInt64>) {
        instructionCount += 1
        if let last = ranges.last, last.upperBound == range.lowerBound {
            ranges[ranges.count - 1] = last.lowerBound ..< range.upperBound
        } else {
            ranges.append(range)
        }
    }

    /// Whether the superblock may go on at the target of a direct jump; counts the jump when it may.
    mutating func follows(to target: UInt64) -> Bool {
        guard limits.followsJumps, !limits.singleStep, followedJumps < SuperblockLifter.followedJumpLimit,
            !overlapsLifted(target, target &+ 2), fetcher.fetch(at: target) != nil, target > pc || !leadsToCall(from: target)
        else { return false }
        followedJumps += 1
        return true
    }

    /// Instructions that `leadsToCall` looks at.
    private static let wayToCall = 24

    /// Whether the superblock would end with a call soon behind a jump back to `target`: then the jump ends it, so that the loop
    /// that it closes has its start at the start of a superblock, and it is not the call that polls.
    private mutating func leadsToCall(from target: UInt64) -> Bool {
        var address = target
        for _ in 0 ..< SuperblockLifter.wayToCall {
            guard let bits = fetcher.fetch(at: address) else { return false }
            let instruction = RISCVDecoder.decode(bits)
            switch instruction.opcode {
            case .jal, .jalr: return instruction.rd == 1 || instruction.rd == 5
            case .ecall, .ebreak, .illegal, .fenceI: return false
            default: address &+= UInt64(instruction.byteCount)
            }
        }
        return false
    }

    /// Instructions in front of a jump back that `leadsBack` looks at.
    private static let wayBack = 12

    /// Whether the code at `address` is the end of the loop that the superblock starts: a few instructions and a jump back to there.
    mutating func leadsBack(from address: UInt64) -> Bool {
        guard limits.loopEnds.contains(address), !overlapsLifted(address, address &+ 2) else { return false }
        var address = address
        for _ in 0 ... SuperblockLifter.wayBack {
            guard let bits = fetcher.fetch(at: address) else { return false }
            let instruction = RISCVDecoder.decode(bits)
            switch instruction.opcode {
            case .jal, .beq, .bne, .blt, .bge, .bltu, .bgeu: return address &+ UInt64(bitPattern: Int64(instruction.immediate)) == entry
            case .jalr, .ecall, .ebreak, .illegal, .fenceI: return false
            default: address &+= UInt64(instruction.byteCount)
            }
        }
        return false
    }

    /// Leaves the instruction to the interpreter.
    mutating func interpret() -> Successor {
        builder.interpretOne(pc)
        return .next
    }

    mutating func trap(_ reason: TrapReason, at address: UInt64) -> Successor {
        builder.exitTrap(reason, at: address)
        return .ended
    }
}

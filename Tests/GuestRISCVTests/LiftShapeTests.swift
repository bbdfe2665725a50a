// The shape of what the lifter emits: where superblocks end and go on, what is folded, which exits are taken.

import Guest
import GuestRISCV
import IR
import Testing

@Suite struct LiftShapeTests {
    @Test func constantsFold() {
        let lifted = lift([Encode.lui(10, 0x12345), Encode.addi(10, 10, -1), Encode.ecall])
        #expect(lifted.lines == [
            "%1 = const.i64 305418240", "write.i64 x10, %1", "%4 = const.i64 305418239", "write.i64 x10, %4",
            "exitTrap systemCall, 0x1008",
        ])
    }

    @Test func zeroRegisterIsNotWritten() {
        let lifted = lift([Encode.addi(0, 10, 1), Encode.immediate(0x03, 3, 0, 10, 0), Encode.ecall])
        #expect(!lifted.opcodes.contains(.write))
        #expect(lifted.opcodes.contains(.load))
    }

    @Test func wordChainStaysNarrow() {
        let addw = Encode.register(0x3b, 0, 0, 10, 11, 12)
        let again = Encode.register(0x3b, 0, 0, 10, 10, 12)
        let truncations = lift([addw, again, Encode.ecall]).opcodes.filter { $0 == .truncate }
        #expect(truncations.count == 3)
    }

    @Test func forwardBranchContinues() {
        // A multiplication is too much to be executed either way.
        let lifted = lift([Encode.branch(0, 10, 11, 8), Encode.register(0x33, 0, 1, 10, 10, 11), Encode.ecall])
        #expect(lifted.lines.contains { $0.hasPrefix("exitIf") && $0.hasSuffix("0x1008") })
        #expect(lifted.lines.last == "exitTrap systemCall, 0x1008")
        #expect(lifted.code.ranges == [0x1000 ..< 0x100c])
        #expect(lifted.code.instructionCount == 3)
    }

    @Test func backwardBranchEndsTheBlock() {
        let lifted = lift([Encode.addi(10, 10, -1), Encode.branch(1, 10, 0, -4), Encode.ecall])
        #expect(lifted.lines.contains { $0.contains("compare.i64 equal") })
        #expect(lifted.lines.contains { $0.hasPrefix("exitIf") && $0.hasSuffix("0x1008") })
        #expect(lifted.lines.last == "exit 0x1000")
    }

    @Test func withoutFollowingABranchEndsTheBlock() {
        let limits = LiftLimits(followsJumps: false)
        let lifted = lift([Encode.branch(0, 10, 11, 8), Encode.addi(10, 10, 1), Encode.ecall], limits: limits)
        #expect(lifted.lines.last == "exit 0x1004")
        #expect(lift([Encode.jal(0, 4), Encode.ecall], limits: limits).lines == ["exit 0x1004"])
    }

    @Test func jumpIsFollowedOnce() {
        let words = [Encode.addi(10, 10, 1), Encode.jal(0, 8), Encode.ecall, Encode.jal(0, -8)]
        let lifted = lift(words)
        #expect(lifted.lines.last == "exit 0x1004")
        #expect(lifted.code.ranges == [0x1000 ..< 0x1008, 0x100c ..< 0x1010])
    }

    @Test func codeThatRunsIntoItselfEnds() {
        let words = [Encode.jal(0, 8), Encode.ecall, Encode.addi(10, 10, 1), Encode.jal(0, -4), Encode.ecall]
        let source = ByteCode(words)
        let lifted = lift(source, at: 0x1008)
        #expect(lifted.lines.last == "exitTrap systemCall, 0x1004" || lifted.lines.last == "exit 0x1008")
        let nops = ByteCode([Encode.addi(0, 0, 0), Encode.addi(0, 0, 0), Encode.jal(0, -8)])
        let wrapped = lift(nops, at: 0x1004)
        #expect(wrapped.lines.last == "exit 0x1004")
        #expect(wrapped.code.ranges == [0x1004 ..< 0x100c, 0x1000 ..< 0x1004])
    }

    @Test func callsAndReturnsAreHinted() {
        #expect(lift([Encode.jal(1, 0x100)]).instructions.last?.hint == .call)
        #expect(lift([Encode.jalr(0, 1, 0)]).instructions.last?.hint == .return)
        #expect(lift([Encode.jalr(0, 10, 0)]).instructions.last?.hint == TransferHint.none)
        #expect(lift([Encode.jalr(1, 10, 0)]).instructions.last?.hint == .call)
        let far = lift([Encode.auipc(1, 1), Encode.jalr(1, 1, 0x10)])
        #expect(far.lines.suffix(2) == ["write.i64 x1, %5", "exit 0x2010, call %5"])
    }

    @Test func linkRegisterIsReadBeforeItIsWritten() {
        let lifted = lift([Encode.jalr(1, 1, 0)])
        let read = lifted.opcodes.firstIndex(of: .read) ?? .max
        let write = lifted.opcodes.firstIndex(of: .write) ?? -1
        #expect(read < write)
    }

    @Test func limitEndsTheBlock() {
        let words = Array(repeating: Encode.addi(10, 10, 1), count: 8)
        #expect(lift(words, limits: LiftLimits(instructions: 3)).lines.last == "exit 0x100c")
        #expect(lift(words, limits: LiftLimits(singleStep: true)).lines.last == "exit 0x1004")
        #expect(lift(words).lines.last == "exit 0x1020")
    }

    @Test func whatCannotBeFetched() {
        #expect(lift(ByteCode([]), at: 0x1000).lines == ["exitTrap instructionFetch, 0x1000"])
        let half = ByteCode([Encode.addi(10, 10, 1)], byteCount: 2)
        #expect(lift(half).lines == ["exitTrap instructionFetch, 0x1000"])
    }

    @Test func instructionAcrossWindows() {
        let source = ByteCode([Encode.addi(10, 10, 1), Encode.ecall])
        source.seams = [0x1002, 0x1004]
        #expect(lift(source).lines.last == "exitTrap systemCall, 0x1004")
    }

    @Test func everyPageIsWatched() {
        let source = ByteCode(at: 0x1ff0, Array(repeating: Encode.addi(10, 10, 1), count: 16))
        let code = lift(source).code
        for range in code.ranges {
            for address in range { #expect(source.watched.contains { $0.contains(address) }) }
        }
    }

    @Test func trapsNameTheirInstruction() {
        #expect(lift([0x0010_0073]).lines == ["exitTrap breakpoint, 0x1000"])
        #expect(lift([0]).lines == ["exitTrap illegalInstruction, 0x1000"])
        #expect(lift([0x0000_100f]).lines == ["exitTrap codeChanged, 0x1004"])
    }

    @Test func roundingModeWritesLeave() {
        let writeMode = Encode.immediate(0x73, 1, 0, 10, 2)
        let readMode = Encode.immediate(0x73, 2, 10, 0, 2)
        #expect(lift([writeMode]).lines == ["exitTrap modeChanged, 0x1000"])
        #expect(lift([readMode, Encode.ecall]).lines.first == "interpretOne 0x1000")
    }

    @Test func staticRoundingModeMustBeCurrent() {
        func fadd(_ rounding: UInt32) -> UInt32 { Encode.register(0x53, rounding, 1, 10, 11, 12) }
        #expect(lift([fadd(7), Encode.ecall]).opcodes.contains(.floatAdd))
        #expect(lift([fadd(0), Encode.ecall]).opcodes.contains(.floatAdd))
        #expect(lift([fadd(1), Encode.ecall]).opcodes.contains(.interpretOne))
        #expect(lift(ByteCode([fadd(1), Encode.ecall]), mode: 1).opcodes.contains(.floatAdd))
    }

    @Test func boxedValuesStayUnboxed() {
        let multiply = Encode.register(0x53, 7, 8, 10, 11, 12)
        let add = Encode.register(0x53, 7, 0, 10, 10, 12)
        let store = Encode.store(0x27, 2, 10, 15, 0)
        let opcodes = lift([multiply, add, store, Encode.ecall]).opcodes
        #expect(opcodes.filter { $0 == .unbox }.count == 3)
        #expect(!opcodes.contains(.bitcast))
    }

    @Test func compareAndSwapIdiom() {
        let loadReserved = Encode.register(0x2f, 3, 0x08, 14, 10, 0)
        let conditional = Encode.register(0x2f, 3, 0x0c, 15, 10, 12)
        let loop = [loadReserved, Encode.branch(1, 14, 11, 12), conditional, Encode.branch(1, 15, 0, -12), Encode.ecall]
        let lifted = lift(loop)
        #expect(lifted.opcodes.contains(.compareExchange))
        #expect(!lifted.opcodes.contains(.interpretOne))
        #expect(lifted.opcodes.filter { $0 == .exitIf }.count == 1)
        #expect(lifted.code.instructionCount == 5)
        #expect(lift([loadReserved, conditional, Encode.ecall]).opcodes.filter { $0 == .interpretOne }.count == 2)
    }

    @Test func onlyStoreToLoadNeedsAFence() {
        #expect(lift([0x0330_000f, Encode.ecall]).opcodes.contains(.fence))
        #expect(!lift([0x0310_000f, Encode.ecall]).opcodes.contains(.fence))
        #expect(!lift([0x0230_000f, Encode.ecall]).opcodes.contains(.fence))
    }

    // MARK: Predication

    @Test func shortComputationsAreSelected() {
        // One destination, in up to three instructions.
        let one = lift([Encode.branch(0, 10, 11, 8), Encode.addi(12, 12, 1), Encode.ecall])
        let three = lift([
            Encode.branch(4, 10, 11, 16), Encode.addi(12, 12, 1), Encode.register(0x33, 0, 0, 12, 12, 13), Encode.addi(12, 12, 2),
            Encode.ecall,
        ])
        // Two, in as many.
        let two = lift([Encode.branch(1, 10, 11, 12), Encode.addi(12, 13, 0), Encode.addi(13, 12, 0), Encode.ecall])
        for (lifted, destinations) in [(one, 1), (three, 1), (two, 2)] {
            #expect(!lifted.opcodes.contains(.exitIf))
            #expect(lifted.opcodes.filter { $0 == .select }.count == destinations)
            #expect(lifted.code.ranges.count == 1)
            #expect(lifted.lines.last?.hasPrefix("exitTrap systemCall") == true)
        }
        #expect(one.code.instructionCount == 3 && three.code.instructionCount == 5 && two.code.instructionCount == 4)
    }

    @Test func whatElseIsSkippedStaysABranch() {
        let add = Encode.addi(12, 12, 1), ecall = Encode.ecall
        let bodies: [[UInt32]] = [
            [Encode.immediate(0x03, 3, 12, 10, 0)],  // ld may fault
            [Encode.store(0x23, 3, 12, 10, 0)],
            [Encode.register(0x33, 0, 1, 12, 12, 13)],  // mul
            [Encode.register(0x53, 7, 0, 10, 11, 12)],  // fadd.s
            [add, add, add, add],
            [add, Encode.addi(13, 13, 1), add],  // two destinations in three
            [Encode.addi(0, 12, 1)],  // none
            [Encode.jal(0, 8)],
        ]
        for body in bodies {
            let lifted = lift([Encode.branch(0, 10, 11, Int32(body.count + 1) * 4)] + body + [ecall, ecall])
            #expect(lifted.opcodes.filter { $0 == .exitIf }.count == 1 && !lifted.opcodes.contains(.select), "\(lifted.lines)")
        }
        // Nor where instructions are counted or looked at one by one.
        let words = [Encode.branch(0, 10, 11, 8), add, ecall]
        for limits in [LiftLimits(instructions: 1), LiftLimits(singleStep: true), LiftLimits(followsJumps: false)] {
            #expect(!lift(words, limits: limits).opcodes.contains(.select))
        }
    }

    // MARK: Unrolling

    @Test func loopsOfOneSuperblockIterate() {
        var limits = LiftLimits()
        limits.iterations = 4
        let words = [Encode.addi(10, 10, 1), Encode.branch(1, 10, 11, -4), Encode.ecall]
        let lifted = lift(words, limits: limits)
        #expect(lifted.opcodes.filter { $0 == .exitIf }.count == 4 && lifted.lines.last == "exit 0x1000")
        #expect(lifted.code.instructionCount == 8 && lifted.code.ranges == [0x1000 ..< 0x1008])
        // A loop that does not lead to the start of the superblock is none of it.
        let tail = lift([Encode.addi(12, 12, 1)] + words, limits: limits)
        #expect(tail.opcodes.filter { $0 == .exitIf }.count == 1 && tail.lines.last == "exit 0x1004")
    }
}

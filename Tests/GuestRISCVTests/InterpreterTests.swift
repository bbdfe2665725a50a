import CHost
import Guest
import GuestRISCV
import Testing

@Suite struct InterpreterTests {
    let bench = RISCVVectorBench()
    let isa = RISCV64()
    var state: RISCVState { RISCVState(bench.state) }

    /// Loads code, and sets the program counter to its start.
    func interpreter(_ code: [UInt32]) -> GuestInterpreter {
        isa.initialize(state: bench.state)
        bench.setCode(code)
        state.programCounter = bench.codeAddress
        return isa.makeInterpreter(source: bench)
    }

    func run(_ interpreter: GuestInterpreter, budget: Int = 1000) -> InterpreterExit {
        withGuestMXCSR(bench.state) { interpreter.run(state: bench.state, budget: budget) }
    }

    @Test func stateLayout() {
        #expect(RISCVState.tailOffset == 528)
        #expect(MemoryLayout<RISCVStateTail>.offset(of: \.reservationAddress) == 8)
        #expect(MemoryLayout<RISCVStateTail>.offset(of: \.reservationValue) == 16)
        #expect(isa.slots.count == 65 && isa.slots[64].offset == isa.programCounterOffset)
        #expect(Set(isa.hotIntegerSlots).count == 31 && Set(isa.hotFloatSlots) == Set(32 ..< 64))
    }

    @Test func fcsrIsKeptInMXCSR() {
        isa.initialize(state: bench.state)
        for value: UInt32 in 0 ..< 256 {
            state.fcsr = value
            #expect(state.fcsr == value)
            #expect(isa.mode(of: bench.state) == (value >> 5 < 4 ? TranslationMode(rawValue: value >> 5) : .interpretOnly))
        }
    }

    /// Traps leave the program counter at the instruction; transfers of `fence.i` and of `frm` go past it.
    @Test(arguments: [
        (0x0000_0073, InterpreterExit.systemCall, 4), (0x0010_0073, .breakpoint, 4), (0x9002, .breakpoint, 4),
        (0x0000, .illegalInstruction, 4), (0x3420_2573, .illegalInstruction, 4), (0xc000_1073, .illegalInstruction, 4),
        // The entropy source, which Linux leaves to machine and supervisor mode.
        (0x0150_1573, .illegalInstruction, 4),
        (0x0000_100f, .codeChanged, 8), (0x0020_d073, .modeChanged, 8),
    ] as [(UInt32, InterpreterExit, UInt64)])
    func exits(encoding: UInt32, exit: InterpreterExit, distance: UInt64) {
        let interpreter = interpreter([0x0010_0513, encoding])
        #expect(run(interpreter) == exit)
        #expect(state.programCounter == bench.codeAddress + distance)
        #expect(state[10] == 1)
        #expect(interpreter.instructionsExecuted >= 1)
    }

    @Test func loopRunsWithinItsBudget() {
        // 1: addi a0, a0, 1 · bne a0, a1, 1b · ecall
        let interpreter = interpreter([0x0015_0513, 0xfeb5_1ee3, 0x0000_0073])
        state[11] = 1000
        #expect(run(interpreter, budget: 100) == .budget)
        #expect(state[10] == 50)
        #expect(run(interpreter, budget: 100_000) == .systemCall)
        #expect(state[10] == 1000)
        #expect(interpreter.instructionsExecuted == 2001)
    }

    @Test func pendingInterruptStopsTheLoop() {
        let interpreter = interpreter([0x0000_006f])
        state.header.pointee.interrupt_pending = 1
        #expect(run(interpreter, budget: .max) == .budget)
        #expect(state.programCounter == bench.codeAddress)
        state.header.pointee.interrupt_pending = 0
    }

    @Test func stepExecutesOneInstruction() {
        let interpreter = interpreter([0x0015_0513, 0x0015_0513, 0x0000_0073])
        #expect(interpreter.step(state: bench.state) == .budget)
        #expect(state[10] == 1 && state.programCounter == bench.codeAddress + 4)
        #expect(interpreter.step(state: bench.state) == .budget)
        #expect(interpreter.step(state: bench.state) == .systemCall)
        #expect(interpreter.instructionsExecuted == 3)
    }

    @Test func changedCodeIsDecodedAnew() {
        let interpreter = interpreter([0x0010_0513, 0x0000_0073])
        #expect(run(interpreter) == .systemCall)
        bench.setCode([0x0070_0513])
        state.programCounter = bench.codeAddress
        #expect(run(interpreter) == .systemCall)
        #expect(state[10] == 7)
    }

    @Test func unfetchableCode() {
        let interpreter = interpreter([])
        state.programCounter = 0x10
        #expect(run(interpreter) == .instructionFetch)
        #expect(state.header.pointee.fault_address == 0x10 && state.programCounter == 0x10)
        // The second half of an instruction lies behind the last executable page.
        let last = bench.dataAddress - 2
        UnsafeMutablePointer<UInt16>(bitPattern: UInt(last))?.pointee = 0x0013
        bench.codeVersion += 1
        state.programCounter = last
        #expect(run(interpreter) == .instructionFetch)
        #expect(state.header.pointee.fault_address == bench.dataAddress && state.programCounter == last)
    }

    /// Reserved dynamic rounding modes make rounding instructions illegal, and only these.
    @Test func reservedRoundingMode() {
        let interpreter = interpreter([0x02b5_7553, 0x0000_0073])   // fadd.d fa0, fa0, fa1
        state.fcsr = 5 << 5
        #expect(run(interpreter) == .illegalInstruction)
        bench.setCode([0x22b5_0553, 0x0000_0073])   // fsgnj.d
        state.programCounter = bench.codeAddress
        #expect(run(interpreter) == .systemCall)
    }

    @Test func reservations() {
        // lr.d a0, (a1) · sc.d a2, a3, (a1) · sc.d a4, a3, (a1) · ecall
        let interpreter = interpreter([0x1005_b52f, 0x18d5_b62f, 0x18d5_b72f, 0x0000_0073])
        let data = UnsafeMutablePointer<UInt64>(bitPattern: UInt(bench.dataAddress))
        data?.pointee = 5
        state[11] = bench.dataAddress
        state[13] = 9
        #expect(run(interpreter) == .systemCall)
        #expect(state[10] == 5 && state[12] == 0 && state[14] == 1 && data?.pointee == 9)
        // Another writer in between.
        state.programCounter = bench.codeAddress
        #expect(interpreter.step(state: bench.state) == .budget)
        data?.pointee = 77
        #expect(interpreter.step(state: bench.state) == .budget)
        #expect(state[12] == 1 && data?.pointee == 77)
    }

    @Test func misalignedAtomicsAreBusErrors() {
        let interpreter = interpreter([0x00d5_a52f])   // amoadd.w a0, a3, (a1)
        state[11] = bench.dataAddress + 2
        #expect(run(interpreter) == .memoryFault)
        let header = state.header.pointee
        #expect(header.fault_signal == 7 && header.fault_code == 1 && header.fault_address == bench.dataAddress + 2)
        #expect(state.programCounter == bench.codeAddress)
    }

    @Test func cacheBlocksAndHints() {
        // cbo.zero (a1) · cbo.clean (a1) · cbo.flush (a1) · cbo.inval (a1) · pause · fence.tso · fence · prefetch.r 0(a1) · ecall
        let interpreter = interpreter([
            0x0045_a00f, 0x0015_a00f, 0x0025_a00f, 0x0005_a00f, 0x0100_000f, 0x8330_000f, 0x0ff0_000f, 0x0015_e013, 0x0000_0073,
        ])
        let data = UnsafeMutablePointer<UInt64>(bitPattern: UInt(bench.dataAddress))
        for index in 0 ..< 24 { data?[index] = .max }
        state[11] = bench.dataAddress + 64 + 13
        #expect(run(interpreter) == .systemCall)
        #expect((0 ..< 24).allSatisfy { data?[$0] == ($0 >= 8 && $0 < 16 ? 0 : .max) })
    }

    @Test func countersAdvance() {
        // rdcycle a0 · rdtime a1 · rdinstret a2 · rdcycle a3 · ecall
        let interpreter = interpreter([0xc000_2573, 0xc010_25f3, 0xc020_2673, 0xc000_26f3, 0x0000_0073])
        #expect(run(interpreter) == .systemCall)
        #expect(state[13] > state[10] && state[11] != 0 && state[12] != 0)
    }

    /// A fault in the middle of a block leaves the state of the instruction that faulted.
    @Test func memoryFaultsArePrecise() {
        mynah_install_fault_handlers()
        mynah_prepare_thread()
        // addi a0, a0, 1 · ld a1, 8(zero) · addi a0, a0, 1
        let interpreter = interpreter([0x0015_0513, 0x0080_3583, 0x0015_0513, 0x0000_0073])
        state[11] = 3
        mynah_set_current_cpu(state.header)
        defer { mynah_set_current_cpu(nil) }
        var job = InterpreterJob(interpreter: interpreter, state: bench.state)
        let faulted = withUnsafeMutablePointer(to: &job) { pointer in
            mynah_run_recoverable(state.header, { context in
                guard let job = context?.assumingMemoryBound(to: InterpreterJob.self) else { return }
                _ = job.pointee.interpreter.run(state: job.pointee.state, budget: 100)
            }, pointer)
        }
        #expect(faulted == 1)
        #expect(state.header.pointee.fault_address == 8)
        #expect(state.programCounter == bench.codeAddress + 4)
        #expect(state[10] == 1 && state[11] == 3)
    }
}

struct InterpreterJob {
    let interpreter: GuestInterpreter
    let state: UnsafeMutableRawPointer
}

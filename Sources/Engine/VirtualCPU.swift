// One guest processor: its state block, and the dispatcher that moves it between code cache, interpreter and the outside.

import CHost
import Glibc
import Guest
import IR
import X86Backend

/// Why `VirtualCPU.run` came back. The state is precise.
package enum CPUExit: Equatable, Sendable {
    /// The program counter is at the system call instruction.
    case systemCall
    case breakpoint
    case illegalInstruction
    /// A load or store faulted on the host: its address, SIGSEGV or SIGBUS, and si_code.
    case memoryFault(address: UInt64, signal: Int32, code: Int32)
    /// The program counter is not executable.
    case instructionFault(address: UInt64)
    /// Somebody asked for it, perhaps for reasons that are gone.
    case interrupted
    /// Machine mode: an exception that the guest's privileged state describes, at the program counter.
    case trap
    /// Machine mode: nothing to do until an interrupt is pending.
    case waitForInterrupt
}

package final class VirtualCPU {
    package let engine: Engine
    /// The guest's own state; the CPU header is in front of it.
    package let state: UnsafeMutableRawPointer
    package let header: UnsafeMutablePointer<mynah_cpu>
    package let interpreter: GuestInterpreter
    private let block: UnsafeMutableRawPointer
    // SAFETY: `CodeStubs.jumpTableSize` entries; translated code reads it, the dispatcher and invalidation write it.
    let jumpTable: UnsafeMutablePointer<JumpTableEntry>
    private let returnStack: UnsafeMutableRawPointer
    private static let returnStackBytes = 1 << 20
    private static let guardBytes = 4096
    private static let sentinelBytes = 64
    private(set) var mode: TranslationMode
    /// Of the last exit from the code cache: the target of its link, and the engine's generation.
    private(set) var exitTarget: UInt64 = 0
    private var generation = 0
    private var samplePeriod = 1
    let programCounter: UnsafeMutablePointer<UInt64>
    private var interpreterExit = InterpreterExit.budget
    private var interpreterBudget = 0
    /// Where instructions are counted: those executed when the budget is used up, and what the interpreter's count was when the budget was
    /// made up last.
    private(set) var instructionsAtEnd: UInt64 = 0
    private(set) var interpretedInBudget: UInt64 = 0
    private let countsInstructions: Bool
    /// For statistics: traps, calls from translated code for one instruction, time in the interpreter else.
    private(set) var traps = 0, interpreterCalls = 0
    private(set) var interpreterNanoseconds: UInt64 = 0
    /// Machine mode, and the number of the page of code that was entered last.
    let isMachine: Bool
    private var page: UInt32 = 0
    /// And of the page behind it, where an instruction may cross it.
    var secondPage: UInt32 = 0
    /// Numbers of pages that were looked up last, by address.
    var knownPages: [KnownPage] = []

    init(engine: Engine) {
        self.engine = engine
        let isa = engine.isa
        isMachine = isa.softMemory != nil
        countsInstructions = engine.configuration.countsInstructions
        if isMachine { knownPages = Array(repeating: KnownPage(), count: KnownPage.count) }
        let headerBytes = Int(MYNAH_CPU_HEADER_BYTES)
        let counting = engine.configuration.countsExecutions ? ExecutionCounts.wordCount * 8 : 0
        let byteCount = headerBytes + VirtualCPU.executionsOffset(isa) + VirtualCPU.executionsPlaces * 4 + counting
        block = .allocate(byteCount: byteCount, alignment: 64)
        block.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        state = block + headerBytes
        header = block.assumingMemoryBound(to: mynah_cpu.self)
        programCounter = (state + Int(isa.programCounterOffset)).assumingMemoryBound(to: UInt64.self)
        jumpTable = VirtualCPU.makeJumpTable()
        returnStack = VirtualCPU.makeReturnStack(engine.stubs.emptyReturn)
        interpreter = isa.makeInterpreter(source: engine.memory)
        if engine.configuration.policy == .auto { interpreter.heatLimit = Int32(engine.configuration.translationThreshold) }
        interpreter.isExact = countsInstructions
        isa.initialize(state: state)
        mode = isa.mode(of: state)
        header.pointee.jump_table_own = UnsafeMutableRawPointer(jumpTable)
        header.pointee.jump_table_empty = UnsafeMutableRawPointer(engine.emptyJumpTable)
        header.pointee.jump_table = header.pointee.jump_table_own
        let top = UInt64(UInt(bitPattern: returnStack)) + UInt64(VirtualCPU.returnStackBytes)
        header.pointee.return_stack_base = top - UInt64(VirtualCPU.sentinelBytes)
        header.pointee.return_stack = header.pointee.return_stack_base
        header.pointee.return_stack_guard = UInt64(UInt(bitPattern: returnStack))
        header.pointee.return_stack_guard_bytes = UInt64(VirtualCPU.guardBytes)
        header.pointee.code_start = engine.executableRange.lowerBound
        header.pointee.code_end = engine.executableRange.upperBound
        header.pointee.stubs_end = engine.executableRange.lowerBound + UInt64(engine.stubs.byteCount)
        header.pointee.fault_exit = engine.stubs.faultExit
        header.pointee.ticks = Int32(engine.configuration.samplePeriod - 1)
        header.pointee.call_exit = engine.stubs.callInterrupted
        header.pointee.owner = Unmanaged.passUnretained(self).toOpaque()
        if engine.cache != nil {
            interpreter.hasTranslation = { [unowned self] in engine.hasTranslation($0, isa.mode(of: state)) }
        }
    }

    /// How often blocks that are probed were entered, by a hash of their address.
    private var executions: UnsafeMutablePointer<Int32> {
        // SAFETY: `executionsPlaces` words behind the guest's state, allocated with it.
        (state + VirtualCPU.executionsOffset(engine.isa)).assumingMemoryBound(to: Int32.self)
    }
    static let executionsPlaces = 1 << 10
    static func executionsPlace(_ address: UInt64) -> Int { Int(truncatingIfNeeded: address >> 1) & (executionsPlaces - 1) }
    static func executionsOffset(_ isa: GuestISA) -> Int { (isa.stateByteCount + 63) & ~63 }

    static func makeJumpTable() -> UnsafeMutablePointer<JumpTableEntry> {
        let bytes = CodeStubs.jumpTableSize * MemoryLayout<JumpTableEntry>.stride
        // Zeroed lazily by the kernel: an untouched entry says guest address 0, whose look-up must fail, see `clearJumpTable`.
        let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(memory != MAP_FAILED, "no memory for a jump table")
        let table = memory!.bindMemory(to: JumpTableEntry.self, capacity: CodeStubs.jumpTableSize)
        table[0].guest = JumpTableEntry.emptyGuest  // only this entry could be mistaken for address 0
        return table
    }

    private static func makeReturnStack(_ emptyReturn: UInt64) -> UnsafeMutableRawPointer {
        let memory = mmap(nil, returnStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        precondition(memory != MAP_FAILED, "no memory for a return stack")
        mprotect(memory, guardBytes, PROT_NONE)
        let sentinels = (memory! + returnStackBytes - sentinelBytes).assumingMemoryBound(to: UInt64.self)
        for index in 0 ..< sentinelBytes / 8 { sentinels[index] = emptyReturn }
        return memory!
    }

    /// Gives the CPU's memory back. The CPU must not run any more.
    package func destroy() {
        engine.remove(self)
        munmap(jumpTable, CodeStubs.jumpTableSize * MemoryLayout<JumpTableEntry>.stride)
        munmap(returnStack, VirtualCPU.returnStackBytes)
        block.deallocate()
    }

    /// Has `run` return soon. From any thread; signal handlers use `mynah_request_interrupt`.
    package func requestInterrupt() { mynah_request_interrupt(header) }

    func clearJumpTable() {
        let bytes = CodeStubs.jumpTableSize * MemoryLayout<JumpTableEntry>.stride
        madvise(jumpTable, bytes, MADV_DONTNEED)
        jumpTable[0].guest = JumpTableEntry.emptyGuest
    }

    func resetPredictions() {
        clearJumpTable()
        header.pointee.return_stack = header.pointee.return_stack_base
    }

    @inline(__always)
    func tableEntry(_ address: UInt64) -> UnsafeMutablePointer<JumpTableEntry> {
        jumpTable + Int(truncatingIfNeeded: (address >> 1) & UInt64(CodeStubs.jumpTableSize - 1))
    }

    // MARK: Running

    func grant(_ instructions: Int) {
        let executed = instructionsExecuted
        header.pointee.budget = Int32(clamping: instructions)
        interpretedInBudget = interpreter.instructionsExecuted
        instructionsAtEnd = executed &+ UInt64(bitPattern: Int64(header.pointee.budget))
    }

    /// Takes off the budget what the interpreter has executed.
    func makeUpBudget() {
        guard countsInstructions else { return }
        let executed = interpreter.instructionsExecuted
        header.pointee.budget -= Int32(truncatingIfNeeded: executed &- interpretedInBudget)
        interpretedInBudget = executed
    }

    /// Runs on the calling thread until the guest needs the outside. One thread at a time.
    package func run() -> CPUExit {
        mynah_prepare_thread()
        mynah_set_current_cpu(header)
        while true {
            if header.pointee.interrupt_pending != 0 {
                mynah_clear_interrupt(header)
                return .interrupted
            }
            if let exit = runOnce() { return exit }
        }
    }

    /// By translations or the interpreter, whichever the state allows, until something but linking happens; nil when it may go on.
    func runOnce() -> CPUExit? {
        let mode = engine.isa.mode(of: state)
        if mode == .interpretOnly || engine.configuration.policy == .interpreter {
            return interpret(budget: countsInstructions ? Int(header.pointee.budget) : 1 << 20)
        }
        if mode != self.mode {
            self.mode = mode
            // In machine mode entries check the number of their page, in which the mode is.
            if !isMachine { resetPredictions() }
        }
        if let lockstep = engine.lockstep, lockstep.isActive { return runInLockstep(lockstep) }
        return runTranslated()
    }

    /// Enters the code cache at the program counter and stays until something but linking happens.
    private func runTranslated() -> CPUExit? {
        var pc = programCounter.pointee
        var pendingLink = -1
        // In machine mode what the jump table has checks itself whether it may be entered; if not, it says so.
        var asksTable = isMachine
        while true {
            if countsInstructions, header.pointee.budget <= 0 {
                programCounter.pointee = pc
                return nil
            }
            let target: UInt64
            let lookupGeneration = engine.generationBeforeLookup
            if asksTable, tableEntry(pc).pointee.guest == pc {
                target = tableEntry(pc).pointee.host
            } else {
                if isMachine {
                    switch admit(pc) {
                    case .page(let number): page = number
                    case .uncached:
                        programCounter.pointee = pc
                        return interpretOne()
                    case .fault:
                        programCounter.pointee = pc
                        return .trap
                    }
                }
                guard let found = codeAddress(pc, pendingLink) else {
                    programCounter.pointee = pc
                    return interpretUntranslated()
                }
                target = found
            }
            asksTable = false
            guard let word = enterCode(target, of: lookupGeneration) else {
                pendingLink = -1
                continue
            }
            let payload = Int(truncatingIfNeeded: word >> 3)
            switch ExitKind(rawValue: word & 7) {
            case .link:
                pc = exitTarget
                pendingLink = payload
                if header.pointee.interrupt_pending != 0 {
                    programCounter.pointee = pc
                    return nil
                }
                if header.pointee.ticks < 0, engine.configuration.policy.makesRegions { takeSample(pc, payload) }
            case .indirectMiss:
                pc = programCounter.pointee
                pendingLink = -1
                if header.pointee.interrupt_pending != 0 { return nil }
            case .cacheMiss:
                pc = programCounter.pointee
                pendingLink = -1
                if header.pointee.interrupt_pending != 0 { return nil }
                if isMachine {
                    guard case .page(let number) = admit(pc) else { continue }
                    page = number
                }
                guard codeAddress(pc, -1) != nil else { continue }
                let isFirst = engine.fill(cache: payload, pc, mode, page: page, secondPage: secondPage, generation)
                if !isFirst, header.pointee.ticks < 0 { takeSample(ofJump: payload, to: pc) }
            case .call:
                programCounter.pointee = exitTarget
                return nil
            case .budget: return interpret(budget: Int(header.pointee.budget))
            case .trap: return handleTrap(TrapReason(rawValue: UInt8(truncatingIfNeeded: payload)) ?? .illegalInstruction)
            case .fault: return memoryFault(isExact: false)
            case .interpreter: return outcome(of: InterpreterExit(rawValue: UInt32(truncatingIfNeeded: payload)) ?? .illegalInstruction)
            case nil: preconditionFailure("unknown exit word \(word)")
            }
        }
    }

    private func takeSample(_ target: UInt64, _ link: Int) {
        if isMachine {
            guard case .page(let number) = admit(target) else { return }
            page = number
        }
        startPeriod(engine.sample(target, mode, page: page, secondPage: secondPage, link: link, of: generation, executions))
    }

    private func takeSample(ofJump cache: Int, to target: UInt64) {
        startPeriod(engine.sample(jump: cache, to: target, generation))
    }

    /// Where everything is known already, samples are taken less often.
    private func startPeriod(_ areWanted: Bool) {
        let shortest = engine.configuration.samplePeriod, longest = shortest * engine.configuration.longestSamplePeriods
        samplePeriod = areWanted ? shortest : min(samplePeriod * 2, longest)
        header.pointee.ticks = Int32(samplePeriod - 1)
    }

    /// Runs translated code until it comes out; nil when the cache was being emptied instead, or has been since the target was looked up
    /// in `lookupGeneration`.
    @inline(__always)
    func enterCode(_ target: UInt64, of lookupGeneration: Int) -> UInt64? {
        header.pointee.in_code = 1
        mynah_fence()
        if engine.isFlushing || engine.generation != lookupGeneration {
            header.pointee.in_code = 0
            engine.waitForFlush()
            return nil
        }
        let word = mynah_enter(engine.stubs.enter, state, target)
        // Links, caches and places in the code mean something only while nobody can empty the code cache.
        generation = engine.generation
        switch ExitKind(rawValue: word & 7) {
        case .link: exitTarget = engine.target(ofLink: Int(truncatingIfNeeded: word >> 3))
        case .call: exitTarget = engine.target(ofCall: header.pointee.fault_host_pc) ?? programCounter.pointee
        case .fault: settleFault()
        default: break
        }
        header.pointee.in_code = 0
        return word
    }

    /// Code for the address, translated if need be; links the way here, or fills the jump table.
    @inline(__always)
    private func codeAddress(_ pc: UInt64, _ link: Int) -> UInt64? {
        if link < 0, !isMachine {
            let entry = tableEntry(pc)
            if entry.pointee.guest == pc { return entry.pointee.host }
        }
        return engine.codeAddress(
            pc, mode, page: page, secondPage: secondPage, link: link, generation, tableEntry: link < 0 ? tableEntry(pc) : nil)
    }

    func handleTrap(_ reason: TrapReason) -> CPUExit? {
        traps += 1
        switch reason {
        case .systemCall: return .systemCall
        case .breakpoint: return .breakpoint
        case .illegalInstruction: return .illegalInstruction
        case .codeChanged: return nil
        case .modeChanged: return interpretOne()
        case .instructionFetch:
            // In machine mode it may be the page that ends in the middle of the instruction.
            return isMachine ? interpretOne() : .instructionFault(address: programCounter.pointee)
        }
    }

    /// Makes the state that of the instruction that faulted in translated code.
    private func settleFault() {
        let position = engine.guestPosition(ofHost: header.pointee.fault_host_pc)
        programCounter.pointee = position.guest.address
        // SAFETY: register numbers are below 16, and slots lie in the state.
        withUnsafeBytes(of: &header.pointee.registers) { registers in
            // Before homes are stored: slots may hold what deferred writes are made from.
            let deferred = position.deferred.map { write in
                write.value(
                    register: { registers.load(fromByteOffset: Int($0) * 8, as: UInt64.self) },
                    memory: { (state + Int($0)).load(as: UInt64.self) })
            }
            withUnsafeBytes(of: &header.pointee.vectors) { vectors in
                for home in position.homes {
                    let saved = home.isVector ? vectors : registers
                    var word = saved.load(fromByteOffset: Int(home.register) * 8, as: UInt64.self)
                    if home.isVector { word = position.guest.pending.settled(word, register: home.register) }
                    (state + Int(home.offset)).storeBytes(of: word, as: UInt64.self)
                }
            }
            for (write, value) in zip(position.deferred, deferred) {
                (state + Int(write.offset)).storeBytes(of: value, as: UInt64.self)
            }
        }
    }

    /// A memory fault at the state's program counter: nil when it was only a write to watched code. A translated access may stand
    /// for several instructions, of which that one is the first: then the interpreter finds out whether it faults, and where.
    func memoryFault(isExact: Bool = true) -> CPUExit? {
        let address = header.pointee.fault_address, isHosts = header.pointee.fault_signal == SIGSEGV
        if header.pointee.fault_signal == SIGSEGV, let range = engine.memory.releaseWatch(at: address) {
            engine.invalidate(range)
            // The store itself is interpreted: translated again, it would find its own page watched again.
            return engine.memory.withoutWatching { interpretOne() }
        }
        if !isExact {
            let exit = interpretOne()
            if isMachine, isHosts, exit == nil { engine.isa.mapFaulted(state, host: address) }
            return exit
        }
        return .memoryFault(address: address, signal: header.pointee.fault_signal, code: header.pointee.fault_code)
    }

    // MARK: Interpreting

    /// About `budget` instructions by the interpreter; nil when it may simply go on.
    package func interpret(budget: Int = 1 << 20) -> CPUExit? {
        interpreterBudget = budget
        return runInterpreter { context in
            let cpu = Unmanaged<VirtualCPU>.fromOpaque(context!).takeUnretainedValue()
            cpu.interpreterExit = cpu.interpreter.run(state: cpu.state, budget: cpu.interpreterBudget)
        }
    }

    /// One instruction, wherever it leads.
    package func interpretOne() -> CPUExit? {
        runInterpreter { context in
            let cpu = Unmanaged<VirtualCPU>.fromOpaque(context!).takeUnretainedValue()
            cpu.interpreterExit = cpu.interpreter.step(state: cpu.state)
        }
    }

    func interpretUntranslated() -> CPUExit? {
        // On to whatever is hot, but for one block where nothing ever is.
        interpreterBudget = engine.configuration.policy == .auto ? 1 << 20 : 1
        if countsInstructions { interpreterBudget = min(interpreterBudget, Int(header.pointee.budget)) }
        return runInterpreter { context in
            let cpu = Unmanaged<VirtualCPU>.fromOpaque(context!).takeUnretainedValue()
            cpu.interpreterExit = cpu.interpreter.run(state: cpu.state, budget: cpu.interpreterBudget)
        }
    }

    private func runInterpreter(_ body: @convention(c) (UnsafeMutableRawPointer?) -> Void) -> CPUExit? {
        let start = engine.configuration.takesTimes ? engine.nanoseconds() : 0
        defer { if start != 0 { interpreterNanoseconds += engine.nanoseconds() - start } }
        let hostControl = mynah_get_mxcsr()
        mynah_set_mxcsr(header.pointee.guest_mxcsr)
        let faulted = mynah_run_recoverable(header, body, Unmanaged.passUnretained(self).toOpaque())
        header.pointee.guest_mxcsr = mynah_get_mxcsr()
        mynah_set_mxcsr(hostControl)
        makeUpBudget()
        if faulted != 0 { return memoryFault() }
        return outcome(of: interpreterExit)
    }

    func outcome(of exit: InterpreterExit) -> CPUExit? {
        switch exit {
        case .budget, .codeChanged, .modeChanged: return nil
        case .hot:
            engine.noteHot(programCounter.pointee)
            return nil
        case .systemCall: return .systemCall
        case .breakpoint: return .breakpoint
        case .illegalInstruction: return .illegalInstruction
        case .instructionFetch: return .instructionFault(address: programCounter.pointee)
        case .memoryFault: return memoryFault()
        case .trap: return .trap
        case .waitForInterrupt: return .waitForInterrupt
        }
    }

    /// What translated code calls for an instruction without a translation. The guest's MXCSR is live, and stays so.
    static let interpretOneFromCode: @convention(c) (UnsafeMutableRawPointer, UInt64) -> UInt64 = { state, address in
        let header = mynah_cpu_of(state)
        let owner = header.pointee.owner!
        let cpu = Unmanaged<VirtualCPU>.fromOpaque(owner).takeUnretainedValue()
        cpu.programCounter.pointee = address
        cpu.interpreterCalls += 1
        let faulted = mynah_run_recoverable(header, { context in
            let cpu = Unmanaged<VirtualCPU>.fromOpaque(context!).takeUnretainedValue()
            cpu.interpreterExit = cpu.interpreter.step(state: cpu.state)
        }, owner)
        cpu.makeUpBudget()
        let exit = faulted != 0 ? InterpreterExit.memoryFault : cpu.interpreterExit
        return exit == .budget ? 0 : ExitKind.interpreter.rawValue | UInt64(exit.rawValue) << 3
    }
}

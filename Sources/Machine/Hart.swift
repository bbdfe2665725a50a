// One hart of a machine: a virtual CPU that runs its instructions, and what happens between them, which are traps, interrupts,
// sleep and requests of other harts.

import CHost
import DeviceModel
import Engine
import Guest
import GuestRISCV

package final class Hart {
    package let id: Int
    package unowned let processor: Processor
    package let core: RISCVHart
    package let cpu: VirtualCPU
    /// Serves calls out of supervisor mode when no firmware of the guest's is there. Called on the hart's thread with the program
    /// counter at the `ecall`, behind which it goes on afterwards, unless the handler has set another.
    package var onSupervisorCall: ((Hart) -> Void)?
    /// What a debugger has the hart do; nil without one. Set while the processor is stopped.
    var debugging: HartDebugging?

    // MARK: Life

    /// What a hart is about, as SBI's HSM tells it.
    package enum Phase: String, Codable, Sendable { case stopped, started, suspended }
    struct Start: Codable, Equatable {
        var programCounter: UInt64
        var opaque: UInt64
        var isSupervisor: Bool
    }
    // Guarded by `monitor`.
    var currentPhase = Phase.stopped
    var pendingStart: Start?
    /// Work that others want done on the hart's thread, and what has been done of it.
    private(set) var requests = Requests()
    private var requestedFences: UInt64 = 0, finishedFences: UInt64 = 0
    let monitor = Monitor()

    /// What to forget before the next instruction.
    package struct Requests: OptionSet, Sendable {
        package let rawValue: Int
        package init(rawValue: Int) { self.rawValue = rawValue }
        package static let translations = Requests(rawValue: 1)
        package static let instructions = Requests(rawValue: 2)
    }

    init(id: Int, processor: Processor, engine: Engine) {
        self.id = id
        self.processor = processor
        core = RISCVHart(id: id, memory: processor.memory, clock: processor)
        cpu = engine.makeCPU()
        core.attach(cpu.state)
        if processor.isDeterministic { core.countedInstructions = { [unowned cpu] in cpu.instructionsExecuted } }
    }

    /// Frees what the hart runs on. It must not run any more.
    func destroy() { cpu.destroy() }

    // MARK: Registers

    /// An x or f register (32…63) by number; only on the hart's thread, or while it does not run.
    package subscript(register: Int) -> UInt64 {
        get { core.words[register] }
        set { if register != 0 { core.words[register] = newValue } }
    }
    package var programCounter: UInt64 {
        get { core.words[RISCVRegister.programCounter] }
        set { core.words[RISCVRegister.programCounter] = newValue }
    }

    /// Does what a start asks for, so that its registers can be seen. While the hart does not run.
    func beginPendingStart() { _ = beginIfStarted() }

    /// Goes on at another place, whatever it waits for. While it does not run.
    func goOn(at address: UInt64) {
        programCounter = address
        isWaiting = false
    }

    // MARK: Requests from any thread

    /// Raises interrupt lines, bits of `mip` (see `HartInterrupt`).
    package func raise(_ bits: UInt64) {
        core.raise(bits)
        wake()
    }

    package func lower(_ bits: UInt64) { core.lower(bits) }

    /// Has the hart look at its interrupts and requests.
    package func wake() {
        mynah_request_interrupt(cpu.header)
        monitor.locked { monitor.wake() }
    }

    package var phase: Phase { monitor.locked { currentPhase } }
    package var isStarted: Bool { phase == .started }

    /// Starts a stopped hart: in supervisor mode with its number in a0 and `opaque` in a1, or in machine mode as after a reset.
    /// - Returns: false when it is not stopped.
    package func start(at programCounter: UInt64, opaque: UInt64, isSupervisor: Bool) -> Bool {
        let isStopped = monitor.locked {
            guard currentPhase == .stopped, pendingStart == nil else { return false }
            pendingStart = Start(programCounter: programCounter, opaque: opaque, isSupervisor: isSupervisor)
            currentPhase = .started
            return true
        }
        if isStopped { wake() }
        return isStopped
    }

    /// The hart executes nothing more until it is started again. On its own thread.
    package func park() {
        monitor.locked { currentPhase = .stopped }
        mynah_request_interrupt(cpu.header)
    }

    /// Forgets everything that was asked of it, and waits to be started: for a reset of the machine, while the processor is
    /// stopped.
    package func halt() {
        monitor.locked {
            currentPhase = .stopped
            pendingStart = nil
            requests = []
        }
        isWaiting = false
        debugging?.toldAccess = nil
        core.lower(HartInterrupt.all)
    }

    /// Executes one instruction, or takes the interrupt or exception that comes instead. While the processor is stopped, on any
    /// thread. Does nothing when the hart is not started.
    package func step() {
        prepareThread()
        guard beginIfStarted() else { return }
        if isWaiting {
            if !core.hasWakeup { return }
            isWaiting = false
        }
        if let code = core.interruptToTake { return core.takeInterrupt(code) }
        isStepping = true
        if let exit = cpu.interpretOne() { handle(exit) }
        isStepping = false
    }

    /// Nobody sleeps then.
    private var isStepping = false

    /// The same, whatever it waits for and wherever a debugger stops it; interrupts come in between only if `takesInterrupts`.
    /// - Returns: false when the hart is not started.
    func stepDebugged(takesInterrupts: Bool) -> Bool {
        guard beginIfStarted() else { return false }
        serveRequests()
        // To wait for nothing is allowed.
        isWaiting = false
        if takesInterrupts, let code = core.interruptToTake {
            core.takeInterrupt(code)
            return true
        }
        isStepping = true
        core.passesBreakpoint = true
        if let exit = cpu.interpretOne() { handle(exit) }
        core.passesBreakpoint = false
        isStepping = false
        if isWaiting, !processor.isDeterministic { isWaiting = false }
        return true
    }

    /// Asks for a fence; `waitForFence` with the result waits until it is done.
    func request(_ fence: Requests) -> UInt64 {
        let ticket = monitor.locked {
            requests.formUnion(fence)
            requestedFences += 1
            return requestedFences
        }
        wake()
        return ticket
    }

    /// Whether the fence has been done, or the hart does not run: then it is done before it runs again.
    func isFenced(_ ticket: UInt64) -> Bool {
        monitor.locked { finishedFences >= ticket || currentPhase == .stopped || !processor.isRunning }
    }

    /// Does what others have asked for. On the hart's thread.
    func serveRequests() {
        let (wanted, ticket) = monitor.locked {
            defer { requests = [] }
            return (requests, requestedFences)
        }
        if wanted.contains(.translations) { core.flushTranslations() }
        if wanted.contains(.instructions) { core.memory.settleCode() }
        monitor.locked { finishedFences = ticket }
    }

    // MARK: Running

    /// Runs on the calling thread until the processor stops.
    func runUntilStopped() {
        prepareThread()
        while processor.isRunning {
            if let debugging, !debugging.letsGo(self) { continue }
            guard beginIfStarted() else {
                sleep { self.pendingStart == nil }
                continue
            }
            handle(cpu.run())
        }
    }

    /// Runs on the calling thread until it has executed `end` instructions in all: exactly, whichever way they are executed.
    /// - Returns: false when it has nothing to do until an interrupt comes.
    func run(until end: UInt64) -> Bool {
        prepareThread()
        if let debugging, !debugging.letsGo(self) { return debugging.hasStepped }
        guard beginIfStarted() else { return false }
        while processor.isRunning, isStarted {
            if isWaiting {
                if !core.hasWakeup { return false }
                isWaiting = false
            }
            if cpu.header.pointee.interrupt_pending == 1 { handle(.interrupted) }
            let left = Int64(bitPattern: end &- cpu.instructionsExecuted)
            if left <= 0 { return true }
            if let exit = cpu.run(instructions: Int(left)) { handle(exit) }
        }
        return false
    }

    /// `wfi` in a deterministic run, where nobody sleeps.
    var isWaiting = false

    /// It has something to do, in a deterministic run: it is started, or about to be, and waits for nothing that has not come.
    var isAwake: Bool {
        let (isStarting, phase) = monitor.locked { (pendingStart != nil, currentPhase) }
        return isStarting || (phase != .stopped && (!isWaiting || core.hasWakeup))
    }

    func prepareThread() {
        mynah_prepare_thread()
        mynah_set_current_cpu(cpu.header)
    }

    /// Whether the hart is started; what a start asks for is done.
    private func beginIfStarted() -> Bool {
        let (start, phase) = monitor.locked {
            defer { pendingStart = nil }
            return (pendingStart, currentPhase)
        }
        if let start {
            core.reset()
            if start.isSupervisor { core.enterSupervisor() }
            programCounter = start.programCounter
            self[10] = UInt64(id)
            self[11] = start.opaque
            isWaiting = false
            mynah_request_interrupt(cpu.header)
        }
        return phase != .stopped
    }

    /// Acts on why the virtual CPU came back.
    private func handle(_ exit: CPUExit) {
        switch exit {
        case .interrupted: interrupted()
        case .systemCall:
            if core.privilege == .supervisor, let serve = onSupervisorCall {
                let pc = programCounter
                serve(self)
                if programCounter == pc { programCounter = pc &+ 4 }
            } else {
                core.takeException(core.callCause, value: 0)
            }
        case .breakpoint:
            if debugging?.stopsAtBreakpoint(self) != true { core.takeException(TrapCause.breakpoint, value: programCounter) }
        case .illegalInstruction: core.takeException(TrapCause.illegalInstruction, value: core.encoding(at: programCounter) ?? 0)
        case .trap:
            if let place = core.takeWatchedPlace() { debugging?.stopsBeforeAccess(self, place) } else {
                core.takeException(core.trapCause, value: core.trapValue)
            }
        case .instructionFault(let address): core.takeException(TrapCause.instructionPageFault, value: address)
        case .memoryFault(let address, _, _):
            // The host has no memory to give to a page of RAM: to the guest it is broken.
            core.takeException(TrapCause.loadAccessFault, value: address)
        case .waitForInterrupt: waitForInterrupt()
        }
    }

    private func interrupted() {
        mynah_clear_interrupt(cpu.header)
        core.ranges.settle()
        serveRequests()
        if let code = core.interruptToTake { core.takeInterrupt(code) }
    }

    private func waitForInterrupt() {
        if processor.isDeterministic || isStepping {
            isWaiting = true
            return
        }
        sleep { !self.core.hasWakeup && self.requests.isEmpty }
        // Whatever woke it may be one to take.
        mynah_request_interrupt(cpu.header)
    }

    /// Sleeps while `isIdle` says so, which is asked with the lock held.
    func sleep(while isIdle: () -> Bool) {
        monitor.locked {
            while processor.isRunning && isIdle() { monitor.wait() }
        }
    }

    /// Waits for an interrupt as SBI's suspension does, then goes on behind the call, or starts anew. On the hart's thread.
    package func suspend(resume: (address: UInt64, opaque: UInt64)?) {
        monitor.locked { currentPhase = .suspended }
        if processor.isDeterministic || isStepping {
            isWaiting = true
        } else {
            sleep { !self.core.hasWakeup && self.requests.isEmpty }
            mynah_request_interrupt(cpu.header)
        }
        monitor.locked { currentPhase = .started }
        if let resume {
            core.enterSupervisor()
            programCounter = resume.address
            self[10] = UInt64(id)
            self[11] = resume.opaque
        }
    }
}

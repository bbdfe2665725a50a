// The privileged state of one hart: its control registers, its view of memory, and what traps do to them.
//
// Only the thread that runs the hart touches it, but for the interrupt lines, which anybody may raise. Volume II, chapters 3,
// "Machine-Level ISA", and 12, "Supervisor-Level ISA".

import CHost
import Guest

/// Where a hart's counters come from.
package protocol HartClock: AnyObject {
    /// `mtime`: ticks of 10 MHz.
    func time() -> UInt64
    /// `stimecmp` of the hart is another now: once the time comes, it has to look at its interrupts.
    func timerChanged(hart: Int, deadline: UInt64)
}

package final class RISCVHart {
    package let id: Int
    package let memory: MachineMemory
    package let clock: HartClock
    // SAFETY: the state block of the virtual CPU that runs the hart; `attach` sets it before anything runs.
    package private(set) var state: UnsafeMutableRawPointer
    /// Instructions executed, counted by the interpreter.
    var executed: UnsafeMutablePointer<UInt64>?
    /// The same by whoever counts all of them.
    package var countedInstructions: (() -> UInt64)?
    /// Accesses to devices do nothing but note that there was one, and end as if they faulted.
    var leavesDevices = false, hasLeftDevice = false
    /// Random bits for `seed`; nil where there is no such register. On the hart's thread.
    package var entropy: (() -> UInt16)?
    /// Translated code counts no instructions: then the counters follow the host's.
    package var countsHostCycles = false

    package var privilege = PrivilegeMode.machine
    /// Without SD, and with FS as it was written.
    var mstatus = Status.widths
    var mie: UInt64 = 0
    /// The bits of `mip` that only the hart's software sets: STIP, SEIP. SSIP is among the lines, as others raise it, too.
    var softwarePending: UInt64 = 0
    var medeleg: UInt64 = 0, mideleg: UInt64 = 0
    var mtvec: UInt64 = 0, mscratch: UInt64 = 0, mepc: UInt64 = 0, mcause: UInt64 = 0, mtval: UInt64 = 0
    var mcounteren: UInt64 = 0, menvcfg: UInt64 = 0, mseccfg: UInt64 = 0, mcountinhibit: UInt64 = 0
    var cycleOffset: UInt64 = 0, retiredOffset: UInt64 = 0
    var stvec: UInt64 = 0, sscratch: UInt64 = 0, sepc: UInt64 = 0, scause: UInt64 = 0, stval: UInt64 = 0
    var scounteren: UInt64 = 0, senvcfg: UInt64 = 0, satp: UInt64 = 0, stimecmp = UInt64.max
    var protection = PhysicalMemoryProtection()
    /// Of the exception that an instruction just raised.
    package var trapCause: UInt64 = 0
    package var trapValue: UInt64 = 0
    /// Of a debugger: where it stops execution, what it watches, and which place of that the instruction at the program counter
    /// was about to access. See `CodeBreakpoints`, `WatchedMemory`.
    package var breakpoints: CodeBreakpoints?
    package internal(set) var watched: WatchedMemory?
    var watchedPlace: Int?
    /// The next instruction is executed all the same.
    package var passesBreakpoint = false, passesWatched = false
    /// Interrupt lines: bits of `mip`. Atomic.
    private let lines: UnsafeMutablePointer<UInt64>

    /// What is looked up may not be accessed in the end: page tables stay as they are.
    var isSpeculative = false

    // MARK: Translation look-aside buffers

    /// Tables by what an access may do: machine mode or no translation, S, S that may touch pages of U, U.
    enum Context: Int, CaseIterable { case machine, supervisor, supervisorOfUser, user }
    /// One table a context.
    let buffers: SoftTables
    /// What translated code of user mode looks at before that.
    package let ranges = SoftRanges()
    var tables: UnsafeMutablePointer<SoftTLBEntry> { buffers.entries }
    /// By context: the table may have entries that are not of all address spaces.
    var hasLocalEntries = [Bool](repeating: false, count: Context.allCases.count)
    /// log2 of the size of the page that the entry is part of, when that is a superpage; parallel to `tables`.
    let superpages: UnsafeMutablePointer<UInt8>
    var superpageRanges = [SuperpageRange](repeating: SuperpageRange(), count: Context.allCases.count)
    static let tableEntries = SoftTLB.entryCount * Context.allCases.count
    var codePages = AdmittedCodePages()
    var leafTables = LeafTables()

    package init(id: Int, memory: MachineMemory, clock: HartClock) {
        self.id = id
        self.memory = memory
        self.clock = clock
        lines = .allocate(capacity: 1)
        lines.initialize(to: 0)
        buffers = SoftTables(count: Context.allCases.count)
        superpages = .allocate(capacity: RISCVHart.tableEntries)
        superpages.initialize(repeating: 0, count: RISCVHart.tableEntries)
        state = UnsafeMutableRawPointer(buffers.entries)
        memory.register(buffers, ranges)
    }

    deinit {
        memory.unregister(buffers, ranges)
        buffers.deallocate()
        superpages.deallocate()
        codePages.deallocate()
        leafTables.deallocate()
        lines.deallocate()
    }

    /// Connects the hart with the state block that its instructions run on, and resets it.
    package func attach(_ state: UnsafeMutableRawPointer) {
        self.state = state
        reset()
    }

    var header: UnsafeMutablePointer<mynah_cpu> { mynah_cpu_of(state) }
    package var words: UnsafeMutablePointer<UInt64> { RISCVState(state).words }

    /// The state of a hart after power on: machine mode, no translation, interrupts off. The program counter is 0.
    package func reset() {
        RISCVState(state).reset()
        privilege = .machine
        mstatus = Status.widths
        mie = 0
        softwarePending = 0
        medeleg = 0
        mideleg = 0
        (mtvec, mscratch, mepc, mcause, mtval) = (0, 0, 0, 0, 0)
        (mcounteren, menvcfg, mseccfg, mcountinhibit) = (0, 0, 0, 0)
        (stvec, sscratch, sepc, scause, stval) = (0, 0, 0, 0, 0)
        (scounteren, senvcfg, satp, stimecmp) = (0, 0, 0, .max)
        protection = PhysicalMemoryProtection()
        clock.timerChanged(hart: id, deadline: .max)
        RISCVState(state).hart.initialize(
            to: HartStateTail(
                dataTLB: tables, codeTLB: tables, codePages: codePages.numbers, owner: Unmanaged.passUnretained(self).toOpaque(),
                floatIsDirty: 0, zeroesBlocks: 0, isUser: 0, ranges: ranges.records, rangeEpoch: 0, rangeFills: 0))
        ranges.attach(
            slots: state + RISCVState.rangesOffset, epoch: RISCVState(state).rangeEpoch, fillsLeft: RISCVState(state).rangeFills)
        flushTranslations()
        contextChanged()
    }

    /// Supervisor mode as firmware that has delegated all it can leaves it, for a machine whose SBI is not guest code.
    package func enterSupervisor() {
        medeleg = ControlRegisterMask.delegableExceptions & ~(1 << TrapCause.supervisorCall)
        mideleg = HartInterrupt.supervisor
        mcounteren = 0xffff_ffff
        menvcfg = EnvironmentConfiguration.machineWritable & ~EnvironmentConfiguration.cbie | 1 << 4
        mseccfg = SecurityConfiguration.supervisorSeed
        // User mode reads the counters, as behind every firmware: clocks of C libraries do so without a system call.
        scounteren = 7
        satp = 0
        protection.allowEverything()
        privilege = .supervisor
        mstatus = Status.widths
        flushTranslations()
        contextChanged()
    }

    // MARK: Contexts

    /// The mode whose rights loads and stores have.
    var dataPrivilege: PrivilegeMode {
        if privilege == .machine, mstatus & Status.mprv != 0 {
            return PrivilegeMode(rawValue: UInt8(truncatingIfNeeded: mstatus >> Status.mppShift & 3)) ?? .user
        }
        return privilege
    }

    var dataContext: Context {
        switch dataPrivilege {
        case .machine: .machine
        case .supervisor: mstatus & Status.sum != 0 ? .supervisorOfUser : .supervisor
        case .user: .user
        }
    }

    var codeContext: Context { privilege == .machine ? .machine : privilege == .supervisor ? .supervisor : .user }

    func table(_ context: Context) -> UnsafeMutablePointer<SoftTLBEntry> { tables + context.rawValue * SoftTLB.entryCount }

    /// After a change of the mode or of `mstatus`: which tables are used, and whether floats need attention.
    func contextChanged() {
        let tail = RISCVState(state).hart
        tail.pointee.dataTLB = table(dataContext)
        tail.pointee.codeTLB = table(codeContext)
        tail.pointee.isUser = privilege == .user ? 1 : 0
        tail.pointee.floatIsDirty = mstatus & Status.fs == Status.fs ? 1 : 0
        tail.pointee.zeroesBlocks = permitsCacheBlock(EnvironmentConfiguration.cbze) ? 1 : 0
        tail.pointee.codePages = codePages.table(codeContext, floatIsDirty: tail.pointee.floatIsDirty != 0)
    }

    /// Whether `menvcfg` and `senvcfg` permit cache-block instructions of a kind in the present mode.
    func permitsCacheBlock(_ field: UInt64) -> Bool {
        switch privilege {
        case .machine: true
        case .supervisor: menvcfg & field != 0
        case .user: menvcfg & field != 0 && senvcfg & field != 0
        }
    }

    // MARK: Interrupts

    /// Sets and clears bits of `mip` by software.
    func setPending(_ set: UInt64, clear: UInt64) {
        softwarePending = softwarePending & ~clear | set & ~HartInterrupt.supervisorSoftware
        let place = UInt64(UInt(bitPattern: lines))
        // An interrupt that another hart raises meanwhile must not be lost.
        if set & HartInterrupt.supervisorSoftware != 0 {
            _ = mynah_atomic(Int32(MYNAH_OR), 8, place, HartInterrupt.supervisorSoftware)
        } else if clear & HartInterrupt.supervisorSoftware != 0 {
            _ = mynah_atomic(Int32(MYNAH_AND), 8, place, ~HartInterrupt.supervisorSoftware)
        }
    }

    /// Raises interrupt lines (bits of `mip`) and has the hart look at them. From any thread.
    package func raise(_ bits: UInt64) {
        _ = mynah_atomic(Int32(MYNAH_OR), 8, UInt64(UInt(bitPattern: lines)), bits & HartInterrupt.all)
        mynah_request_interrupt(header)
    }

    /// The interrupt lines that are high now.
    var linesRaised: UInt64 { mynah_load_word(UInt64(UInt(bitPattern: lines)), 8) }

    /// Lowers interrupt lines. From any thread.
    package func lower(_ bits: UInt64) {
        _ = mynah_atomic(Int32(MYNAH_AND), 8, UInt64(UInt(bitPattern: lines)), ~bits)
    }

    /// `mip`.
    package var pending: UInt64 {
        var result = mynah_load_word(UInt64(UInt(bitPattern: lines)), 8) | softwarePending
        if menvcfg & EnvironmentConfiguration.stce != 0 {
            result &= ~HartInterrupt.supervisorTimer
            if stimecmp != .max, clock.time() >= stimecmp { result |= HartInterrupt.supervisorTimer }
        }
        return result
    }

    /// Whether `wfi` goes on: an interrupt is pending that is enabled on its own, whatever the global enables say.
    package var hasWakeup: Bool { pending & mie != 0 }

    /// The code of the interrupt to take now.
    package var interruptToTake: UInt64? {
        let candidates = pending & mie
        if candidates == 0 { return nil }
        let forMachine = candidates & ~mideleg
        let machineTakes = privilege != .machine || mstatus & Status.mie != 0
        if forMachine != 0 && machineTakes { return RISCVHart.first(forMachine) }
        let forSupervisor = candidates & mideleg
        let supervisorTakes = privilege == .user || (privilege == .supervisor && mstatus & Status.sie != 0)
        if forSupervisor != 0 && supervisorTakes { return RISCVHart.first(forSupervisor) }
        return nil
    }

    private static func first(_ bits: UInt64) -> UInt64 { HartInterrupt.order.first { bits >> $0 & 1 != 0 } ?? 0 }

    /// After an instruction that may have enabled an interrupt: the loop comes out when there is one to take.
    @discardableResult
    func interruptsChanged() -> Bool {
        guard interruptToTake != nil else { return false }
        mynah_request_interrupt(header)
        return true
    }

    package func setTimer(_ deadline: UInt64) {
        stimecmp = deadline
        clock.timerChanged(hart: id, deadline: deadline)
    }
}

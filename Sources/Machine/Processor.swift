// All harts of a machine, the engine that they share, and their time.
//
// A hart runs on a host thread of its own and time is the host's; or, deterministically, all run in turns on one thread and time
// is counted in instructions, so that a run can be repeated exactly.

import CHost
import DeviceModel
import Engine
import Glibc
import Guest
import GuestRISCV

package struct ProcessorOptions: Sendable {
    package var engine = EngineConfiguration()
    package var isDeterministic = false
    /// Instructions of all harts together in a tick of 100 ns, in deterministic runs.
    package var instructionsPerTick: UInt64 = 20
    /// Instructions that a hart executes before it is the next one's turn, in deterministic runs.
    package var instructionsPerTurn = 20_000
    package init() {}
}

package final class Processor: HartClock {
    package let memory: MachineMemory
    package let options: ProcessorOptions
    package var isDeterministic: Bool { options.isDeterministic }
    package let engine: Engine
    package private(set) var harts: [Hart] = []
    /// The machine's clock, and what is to be done at a time of it: for devices, too.
    package private(set) var clock: Clock = HostClock()
    package private(set) var timers: TimerQueue
    private var hartTimers: [DeviceTimer] = []
    /// The time at which harts are to go on, whatever passes until then: after saving and loading.
    var ticksAtStart: UInt64?
    /// Ticks that passed while all harts slept, in deterministic runs.
    var skippedTicks: UInt64 = 0
    /// Instructions that count for the time though no hart here has executed them: those before the machine was loaded.
    var executedBefore: UInt64 = 0
    /// Whose turn it is in a deterministic run, and the count of its instructions at which that ends; nil before it begins.
    var turn: (hart: Int, end: UInt64?) = (0, nil)
    /// Some hart of the round has something to do.
    var isTurnBusy = false
    // SAFETY: one word that threads read and write whole.
    private let running: UnsafeMutablePointer<UInt32>
    private var pausing: UnsafeMutablePointer<UInt32> { running + 1 }
    private var threads: [HostThread] = []

    /// - Throws: `HostError` when the host refuses memory for code.
    package init(memory: MachineMemory, hartCount: Int, options: ProcessorOptions = ProcessorOptions()) throws {
        self.memory = memory
        self.options = options
        var configuration = options.engine
        configuration.countsInstructions = options.isDeterministic
        configuration.codeCacheBytes = max(configuration.codeCacheBytes, Processor.codeCacheBytes)
        engine = try Engine(isa: RISCV64Machine(), memory: MachineCode(memory), configuration: configuration)
        timers = TimerQueue(clock: clock)
        memory.onCodeWrite = { [unowned memory, unowned engine] address in
            if let host = memory.hostPointer(address, byteCount: 1) {
                engine.invalidatePage(host: UInt64(UInt(bitPattern: host)))
            }
        }
        running = .allocate(capacity: 2)
        running.initialize(repeating: 0, count: 2)
        if !options.isDeterministic {
            memory.onTagsDropped = { [unowned self] in for hart in harts { mynah_request_interrupt(hart.cpu.header) } }
        }
        if options.isDeterministic {
            clock = CountedClock { [unowned self] in countedTime }
            timers = TimerQueue(clock: clock)
        }
        for id in 0 ..< hartCount { harts.append(Hart(id: id, processor: self, engine: engine)) }
        let isCounted = options.isDeterministic || options.engine.policy == .interpreter
        for hart in harts { hart.core.countsHostCycles = !isCounted }
        for hart in harts { hartTimers.append(timers.makeTimer { [unowned hart] in hart.wake() }) }
    }

    deinit {
        for hart in harts { hart.destroy() }
        running.deallocate()
    }

    // MARK: Time

    /// A kernel and its programs have more code than one program: a compiler that runs once fills 64 MiB several times.
    private static let codeCacheBytes = 256 << 20

    /// `mtime`: ticks of 100 ns since the start.
    package func time() -> UInt64 { clock.ticks }

    /// Instructions of all harts, in deterministic runs.
    var executed: UInt64 {
        var executed = executedBefore
        for hart in harts { executed &+= hart.cpu.instructionsExecuted }
        return executed
    }

    private var countedTime: UInt64 {
        executed / options.instructionsPerTick &+ skippedTicks
    }

    package func timerChanged(hart: Int, deadline: UInt64) {
        if hart < hartTimers.count { hartTimers[hart].set(deadline == .max ? nil : deadline) }
    }

    // MARK: Running

    package var isRunning: Bool { mynah_load_word(UInt64(UInt(bitPattern: running)), 4) != 0 }

    /// Runs the harts on threads until `stop`. Those that were not started wait for it.
    /// - Throws: `BackendError` when the host has no threads for them.
    package func start() throws(BackendError) {
        mynah_store_word(UInt64(UInt(bitPattern: pausing)), 4, 0)
        if let ticks = ticksAtStart { (clock as? HostClock)?.set(ticks: ticks) }
        ticksAtStart = nil
        mynah_store_word(UInt64(UInt(bitPattern: running)), 4, 1)
        if isDeterministic {
            threads = [try HostThread { [self] in runInTurns() }]
        } else {
            (clock as? HostClock)?.go()
            try timers.start()
            for hart in harts { threads.append(try HostThread { hart.runUntilStopped() }) }
        }
    }

    /// Has all harts stop at the next instruction boundary that they look up at. From any thread, also from a hart's.
    package func stop() {
        mynah_store_word(UInt64(UInt(bitPattern: running)), 4, 0)
        for hart in harts { hart.wake() }
    }

    /// The same; when it is deterministic, at the end of a turn.
    package func pause() {
        if isDeterministic { mynah_store_word(UInt64(UInt(bitPattern: pausing)), 4, 1) } else { stop() }
    }

    /// Waits until all harts have stopped; time stands still then, so that a guest does not miss it. Not on a hart's thread.
    package func wait() {
        for thread in threads { thread.join() }
        threads = []
        if isDeterministic { return }
        timers.stop()
        (clock as? HostClock)?.stop()
    }

    /// All harts in turns, and the clock's jump to the next timer when all of them sleep. A turn that `stop` ended is
    /// finished first, so that being stopped changes nobody's turn.
    private func runInTurns() {
        while isRunning {
            while turn.hart < harts.count {
                let hart = harts[turn.hart]
                if turn.end == nil {
                    if mynah_load_word(UInt64(UInt(bitPattern: pausing)), 4) != 0 {
                        mynah_store_word(UInt64(UInt(bitPattern: running)), 4, 0)
                        return
                    }
                    timers.runDue()
                    if !isRunning { return }
                    turn.end = hart.cpu.instructionsExecuted &+ UInt64(options.instructionsPerTurn)
                }
                if hart.run(until: turn.end ?? 0) { isTurnBusy = true }
                if !isRunning { return }
                turn = (turn.hart + 1, nil)
            }
            let isBusy = isTurnBusy
            turn = (0, nil)
            isTurnBusy = false
            // One that went to sleep in its turn may have been woken since, by those whose turns came later.
            if isBusy || harts.contains(where: \.isAwake) { continue }
            if let next = timers.nextDeadline {
                let now = time()
                if next > now { skippedTicks &+= next &- now }
            } else {
                // Only the outside can wake it now, say a key.
                usleep(1000)
            }
        }
    }

    // MARK: Between harts

    /// What the harts have in buffers of translations, or of instructions, is gone when this returns.
    /// - Parameter caller: the hart that asks, on whose thread this runs; nil for another thread.
    package func fence(_ kind: Hart.Requests, harts targets: [Int], caller: Int?) {
        var tickets: [(hart: Hart, ticket: UInt64)] = []
        for target in targets where target < harts.count {
            let hart = harts[target]
            if target == caller || isDeterministic {
                _ = hart.request(kind)
                hart.serveRequests()
            } else if hart.phase != .stopped {
                tickets.append((hart, hart.request(kind)))
            }
        }
        for (hart, ticket) in tickets {
            while !hart.isFenced(ticket) {
                // The other may wait for this one.
                if let caller { harts[caller].serveRequests() }
                sched_yield()
            }
        }
    }

    /// A double word at a virtual address, with the rights of the hart's present mode. On the hart's thread.
    package func readVirtual(hart: Int, _ address: UInt64) -> UInt64? { harts[hart].core.readDoubleWord(address) }
}

// What of harts and of the machine's time is kept when it is saved.

import CHost
import DeviceModel
import GuestRISCV

extension Hart {
    struct State: Codable, Equatable {
        var core: RISCVHartState
        var phase: Phase
        /// A start that was asked for and has not happened.
        var start: Start?
        /// In `wfi`, in deterministic runs.
        var isWaiting: Bool
    }

    /// While the processor is stopped. Fences that were asked for are done by setting it: it forgets everything.
    var state: State {
        get { monitor.locked { State(core: core.savedState, phase: currentPhase, start: pendingStart, isWaiting: isWaiting) } }
        set {
            halt()
            core.savedState = newValue.core
            monitor.locked {
                currentPhase = newValue.phase
                pendingStart = newValue.start
            }
            isWaiting = newValue.isWaiting
            mynah_request_interrupt(cpu.header)
        }
    }

    func check(_ state: State) throws {
        if let problem = core.problem(with: state.core) { throw StateError("hart \(id): \(problem)") }
        if let start = state.start, start.programCounter & 1 != 0 { throw StateError("hart \(id): pc") }
    }
}

extension Processor {
    struct State: Codable, Equatable {
        /// The machine's time, 100 ns each.
        var ticks: UInt64
        /// How deterministic runs count it.
        var executed: UInt64
        var skippedTicks: UInt64
        var turn: Turn
        var isDeterministic: Bool
        var harts: [Hart.State]
    }

    /// Where a round of turns was left, in deterministic runs.
    struct Turn: Codable, Equatable {
        var next: Int
        /// Instructions of a turn that has begun.
        var left: UInt64?
        /// Some hart of the round has something to do.
        var isBusy: Bool
    }

    private func executed(by hart: Int) -> UInt64 { hart < harts.count ? harts[hart].cpu.instructionsExecuted : 0 }

    var state: State {
        State(
            ticks: time(), executed: executed, skippedTicks: skippedTicks,
            turn: Turn(next: turn.hart, left: turn.end.map { $0 - min($0, executed(by: turn.hart)) }, isBusy: isTurnBusy),
            isDeterministic: isDeterministic, harts: harts.map(\.state))
    }

    func check(_ state: State) throws {
        guard state.harts.count == harts.count else {
            throw StateError("there are \(state.harts.count) harts, not \(harts.count)")
        }
        guard (0...harts.count).contains(state.turn.next), state.turn.left ?? 0 <= UInt64(options.instructionsPerTurn) else {
            throw StateError("the turn of hart \(state.turn.next)")
        }
        for (hart, saved) in zip(harts, state.harts) { try hart.check(saved) }
    }

    /// From now on the time is that one. Before devices and harts are set, whose timers follow from it.
    func setTime(of state: State) {
        turn = (state.turn.next, state.turn.left.map { $0 &+ executed(by: state.turn.next) })
        isTurnBusy = state.turn.isBusy
        executedBefore = 0
        if let clock = clock as? HostClock {
            ticksAtStart = state.ticks
            return clock.set(ticks: state.ticks)
        }
        if state.isDeterministic {
            skippedTicks = state.skippedTicks
            executedBefore = state.executed &- executed
        } else {
            skippedTicks = 0
            skippedTicks = state.ticks &- time()
        }
    }
}

// What the session does to the gate: resuming, interrupting, changing threads and points, leaving. On the session's own thread.

import CHost
import GDBStub
import Glibc

extension ProcessDebugger {
    var stoppedEntries: [DebuggedThread] { gate.locked { entries } }

    package func resume(_ plan: ResumePlan) {
        gate.locked {
            self.plan = plan
            for entry in entries {
                entry.action = plan.action(for: entry.id)
                entry.signal = .none
                switch entry.action {
                case .go(let signal), .step(let signal): give(signal, to: entry)
                case .stepRange, .hold: break
                }
            }
            world = .running
            gate.broadcast()
        }
    }

    private func give(_ signal: GDBSignal, to entry: DebuggedThread) {
        guard let number = signal.linux, number != 0 else { return }
        if entry.phase == .inCall {
            // The host brings it out of the call; then nobody is asked again.
            entry.unquestioned |= SignalTable.bit(number)
            _ = mynah_syscall(234 /* tgkill */, Int(getpid()), Int(entry.thread.hostThreadID), Int(number), 0, 0, 0)
        } else {
            entry.signal = signal
        }
    }

    package func interrupt() {
        gate.locked {
            guard case .running = world else { return }
            let awake = entries.first { $0.phase == .running && $0.action != .hold }
            guard let entry = awake ?? entries.first(where: { $0.action != .hold }) ?? entries.first else { return }
            world = .stopping(DebugStop(thread: entry.id, signal: .interrupt))
            entry.signalInformation = nil
            for entry in entries { entry.thread.cpu.requestInterrupt() }
            noteStopped()
        }
    }

    /// Runs `body` with a thread whose registers nobody else changes: one that waits in a system call is brought out of it first.
    /// Nil when there is no such thread, or when it cannot be brought out.
    func withChangeableThread<Result>(_ id: DebugThreadID, _ body: (DebuggedThread) -> Result?) -> Result? {
        gate.locked {
            guard let entry = entries.first(where: { $0.id == id }) else { return nil }
            var attempts = 0
            while entry.phase == .inCall && attempts < 100 {
                entry.wasKicked = true
                mynah_kick(entry.thread.hostThreadID)
                gate.wait(milliseconds: 20)
                attempts += 1
            }
            return entry.phase == .stopped ? body(entry) : nil
        }
    }

    func observe(passing signals: UInt64) {
        let table = gate.locked { () -> SignalTable? in
            observation.passed = signals
            return entries.first?.thread.signals
        }
        table?.observe(gate.locked { observation })
    }

    package func catchSystemCalls(_ calls: CaughtSystemCalls) { gate.locked { self.calls = calls } }

    /// Points are there or not: inserting one twice, or removing what is not there, changes nothing.
    func change(_ point: DebugPoint, inserting: Bool) -> DebugPointResult {
        switch point.kind {
        case .softwareBreakpoint, .hardwareBreakpoint:
            let kind: BreakpointKinds = point.kind == .softwareBreakpoint ? .software : .hardware
            guard inserting else {
                process.memory.removeBreakpoint(kind, at: point.address)
                return .done
            }
            return process.memory.insertBreakpoint(kind, at: point.address, instruction: process.abi.breakpointInstruction)
                ? .done : .failed
        case .writeWatchpoint, .readWatchpoint, .accessWatchpoint:
            guard point.byteCount > 0, point.address &+ (point.byteCount - 1) >= point.address else { return .failed }
            gate.locked {
                watchpoints.removeAll { $0 == point }
                if inserting { watchpoints.append(point) }
            }
            return .done
        }
    }

    package func detach() {
        process.memory.removeAllBreakpoints()
        let table = gate.locked { () -> SignalTable? in
            // Watchpoints stay: a thread may be looking at them until it comes to the gate.
            isActive = false
            for entry in entries { entry.thread.cpu.requestInterrupt() }
            gate.broadcast()
            return entries.first?.thread.signals
        }
        table?.observe(nil)
    }
}

// Which of the guest's signals a debugger sees before they have an effect.

import Glibc

struct SignalObservation {
    /// Signals that are delivered without asking (bit n - 1 for signal n).
    var passed: UInt64 = 0

    /// Signals without effect where the guest has not said what to do with them.
    static let harmless: UInt64 = [SIGCHLD, SIGCONT, SIGURG, SIGWINCH].reduce(0) { $0 | SignalTable.bit($1) }
    /// Signals that stop the process where the guest has not said what to do with them.
    static let stopping: UInt64 = [SIGTSTP, SIGTTIN, SIGTTOU].reduce(0) { $0 | SignalTable.bit($1) }

    /// Whether the emulator has to catch a signal that the guest does not catch: the debugger is to know how the program ends,
    /// but what has no effect is only told on request.
    func catches(_ action: SignalAction, _ signal: Int32) -> Bool {
        let hasEffect = action.handler == SignalAction.defaultHandler && Self.harmless & SignalTable.bit(signal) == 0
        return hasEffect || passed & SignalTable.bit(signal) == 0
    }
}

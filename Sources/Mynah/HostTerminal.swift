// The terminal of this process as a machine's console, and the signals that end it.

import CHost
import Glibc

public enum HostTerminal {
    /// Sends every key to whoever reads standard input, until `restore` or the end of the process, whatever ends it.
    /// - Returns: false when standard input is no terminal, which then stays as it is.
    @discardableResult
    public static func makeRaw() -> Bool { isatty(STDIN_FILENO) == 1 && mynah_terminal_make_raw(STDIN_FILENO) == 0 }

    public static func restore() { mynah_terminal_restore() }

    /// From now on, threads that are started do not see the signals that end a process: `waitForSignal` gets them.
    public static func blockSignals() { mynah_block_ending_signals() }

    /// Waits for SIGTERM, SIGINT, SIGHUP or SIGQUIT; stops and goes on as SIGTSTP and SIGCONT ask.
    /// - Returns: the signal's number.
    public static func waitForSignal() -> Int32 {
        var wasRaw = false
        while true {
            let number = mynah_wait_for_signal()
            switch number {
            case SIGTSTP:
                wasRaw = isatty(STDIN_FILENO) == 1
                restore()
                mynah_stop_self()
            case SIGCONT:
                if wasRaw { makeRaw() }
                wasRaw = false
            default: return number
            }
        }
    }

    public static func die(bySignal number: Int32) -> Never {
        mynah_die_by_signal(number)
        _exit(128 + number)
    }
}

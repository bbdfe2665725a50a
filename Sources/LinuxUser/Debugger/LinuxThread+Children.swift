// Children of a process that is debugged run freely: the debugger follows the parent.

import Glibc

extension LinuxThread {
    /// In the child of a fork, before it executes anything.
    func leaveDebugger() {
        guard let debugger = process.debugger else { return }
        process.debugger = nil
        debugger.leaveInChild()
        signals.observe(nil)
        process.memory.removeAllBreakpoints()
    }

    /// In the child of a vfork, which runs in the memory of its parent, breakpoints and all. False when there is none here.
    func stepOverBreakpoint() -> Bool {
        guard !process.memory.breakpoints(at: process.abi.programCounter(state)).isEmpty else { return false }
        if let exit = process.memory.withoutBreakpoints({ cpu.interpretOne() }) { serve(exit) }
        return true
    }
}

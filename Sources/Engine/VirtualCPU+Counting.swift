// Running exactly so many instructions, whoever executes them: for machines whose time is counted in instructions.
//
// Translations and interpreter take what they execute off the budget in the CPU's header. When fewer are left than a superblock has,
// the interpreter executes them one by one.

import CHost

extension VirtualCPU {
    /// Instructions executed so far, the present one included when it asks.
    package var instructionsExecuted: UInt64 {
        let inFlight = interpreter.instructionsExecuted &- interpretedInBudget
        return instructionsAtEnd &- UInt64(bitPattern: Int64(header.pointee.budget)) &+ inFlight
    }

    /// Runs so many instructions on the calling thread, fewer when the guest needs the outside before. The engine counts instructions.
    /// - Returns: nil when all have been executed.
    package func run(instructions: Int) -> CPUExit? {
        grant(instructions)
        while header.pointee.budget > 0 {
            if header.pointee.interrupt_pending == 1 { return .interrupted }
            // Only translations were to be left.
            mynah_end_single_pass(header)
            if let exit = runOnce() { return exit }
        }
        return nil
    }
}

// Options back as the words of `mynah run`: how programs that the guest executes are run.

import Mynah

extension ProgramOptions {
    /// What stands between `mynah` and the program for the same treatment. Changes of the environment are not repeated: a child
    /// gets exactly what its parent passes on. Statistics and dumps are of the first program only.
    var commandLine: [String] {
        var words = ["run", "--engine", engine.rawValue]
        words += ["--cache", cacheDirectory ?? "off"]
        if let translatesInBackground { words += ["--background", translatesInBackground ? "on" : "off"] }
        if let sysroot { words += ["--sysroot", sysroot] }
        if let kernelRelease { words += ["--uname", kernelRelease] }
        if let stackByteCount { words += ["--stack", String(stackByteCount)] }
        if let processor { words += ["--cpu", processor] }
        if let trace { words.append("--strace=\(trace)") }
        if showsBacktrace { words.append("--backtrace") }
        if let verification { words.append("--verify=\(verification)") }
        if trace != nil || verification != nil, let outputPath { words += ["--append", outputPath] }
        if let translationLimit { words += ["--translation-limit", String(translationLimit)] }
        if debugger != nil { words += ["--gdb", "none"] }
        for pass in disabledPasses { words += ["--disable-pass", pass] }
        return words
    }
}

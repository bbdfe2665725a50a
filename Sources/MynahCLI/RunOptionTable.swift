// The options of `mynah run`, one row each.

import Mynah

/// What the front of a command line asks for.
package struct RunSettings {
    package var options = ProgramOptions(program: "")
    package var wantsHelp = false
    package var wantsVersion = false
    package init() {}
}

extension OptionTable where Settings == RunSettings {
    package static var run: OptionTable {
        var table = OptionTable(command: "mynah run")
        table.addGuestOptions()
        table.addObservationOptions()
        table.addEngineOptions()
        table.flag("h", "help", "show this text") { $0.wantsHelp = true }
        return table
    }

    private mutating func addGuestOptions() {
        option("L", "sysroot", "DIR", environment: "QEMU_LD_PREFIX", "where the guest's dynamic linker and libraries are") {
            $0.options.sysroot = $1
        }
        option("E", "env", "VAR=VALUE", "set a variable for the guest (repeatable)") {
            try $0.options.environment.append(parseEnvironmentSetting($1))
        }
        option("U", "unset", "VAR", "remove a variable for the guest (repeatable)") {
            $0.options.environment.append(.remove(name: $1))
        }
        option("0", "argv0", "NAME", "the name that the guest sees as its argument 0") { $0.options.argumentZero = $1 }
        option(nil, "cpu", "NAME", "the processor that the guest sees; there is one so far, max") { $0.options.processor = $1 }
        option(nil, "stack", "SIZE", "bytes of the guest's stack; K, M and G are understood") {
            $0.options.stackByteCount = try parseByteCount($1)
        }
        option(nil, "uname", "RELEASE", "the kernel release that the guest sees") { $0.options.kernelRelease = $1 }
    }

    private mutating func addObservationOptions() {
        option("g", "gdb", "PORT|SOCKET", environment: "QEMU_GDB", "wait for gdb's 'target remote' before the program starts") {
            $0.options.debugger = parseDebugger($1)
        }
        optionalValue("strace", "SET", "trace system calls as strace(1) does: all, NAME, %CLASS, !SET") {
            $0.options.trace = $1 ?? "all"
        }
        option("o", "output", "FILE", "where traces, statistics and dumps go instead of standard error") {
            $0.options.outputPath = $1
        }
        option(nil, "append", "FILE", "like --output, behind what is in the file") {
            $0.options.outputPath = $1
            $0.options.appendsOutput = true
        }
        optionalValue("stats", "json", "print what the engine did, at the end") {
            guard let format = StatisticsFormat(rawValue: $1 ?? "text") else {
                throw OptionValueError("expected 'text' or 'json', found '\($1 ?? "")'")
            }
            $0.options.statistics = format
        }
        flag(nil, "backtrace", "print registers and calls when a signal ends the program") { $0.options.showsBacktrace = true }
        flag(nil, "perf-map", "name translated code for perf(1)") { $0.options.writesPerfMap = true }
        option(nil, "dump", "STAGE[,STAGE]", "show every translation: guest, ir, optimized, host") {
            $0.options.dumps += try parseList($1, as: TranslationStage.self)
        }
    }

    private mutating func addEngineOptions() {
        option(nil, "engine", "NAME", "how to execute: \(EngineChoice.allCases.map(\.rawValue).joined(separator: ", "))") {
            $0.options.engine = try parseEngine($1)
        }
        option(
            nil, "background", "on|off",
            "translate hot loops on a thread of their own (default: where there are several processors)"
        ) {
            $0.options.translatesInBackground = try parseSwitch($1)
        }
        // The variable names a place only: unlike the option, it has no engine use the cache that is asked for by name.
        option(nil, "cache", "off|DIR", "where translations are kept between runs [MYNAH_CACHE]") {
            $0.options.translationCache = TranslationCacheChoice(text: $1)
        }
        optionalValue(
            "verify", "EVERY",
            "compare (one of EVERY executions of) each translation with the interpreter; status 3 at a difference"
        ) {
            $0.options.verification = try $1.map { try parseCount($0, atLeast: 1) } ?? 1
        }
        option(nil, "disable-pass", "NAME", "leave out one optimisation (repeatable)") {
            $0.options.disabledPasses.append($1)
        }
        option(nil, "translation-limit", "N", "translate only the first N blocks and interpret the others") {
            $0.options.translationLimit = try parseCount($1, atLeast: 0)
        }
    }
}

// MARK: - Values

func parseEnvironmentSetting(_ text: String) throws -> EnvironmentChange {
    guard let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")), equals != text.startIndex else {
        throw OptionValueError("expected VAR=VALUE, found '\(text)'")
    }
    return .set(name: String(text[..<equals]), value: String(text[text.utf8.index(after: equals)...]))
}

/// `none` is for the programs that the guest executes: the environment is theirs, too.
func parseDebugger(_ text: String) -> String? { text == "none" ? nil : text }

func parseEngine(_ text: String) throws -> EngineChoice {
    guard let engine = EngineChoice(rawValue: text) else {
        throw OptionValueError("no engine '\(text)'; there are \(EngineChoice.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return engine
}

func parseSwitch(_ text: String) throws -> Bool {
    guard ["on", "off"].contains(text) else { throw OptionValueError("expected 'on' or 'off', found '\(text)'") }
    return text == "on"
}

func parseList<Value: RawRepresentable & CaseIterable>(_ text: String, as type: Value.Type) throws -> [Value]
where Value.RawValue == String {
    if text.isEmpty { throw OptionValueError("expected some of \(Value.allCases.map(\.rawValue).joined(separator: ", "))") }
    return try text.split(separator: ",").map { word in
        guard let value = Value(rawValue: String(word)) else {
            throw OptionValueError("'\(word)' is none of \(Value.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return value
    }
}

func parseCount(_ text: String, atLeast minimum: Int) throws -> Int {
    guard let count = Int(text), count >= minimum else {
        throw OptionValueError("expected a number of at least \(minimum), found '\(text)'")
    }
    return count
}

/// A number of bytes; K, M and G are powers of 1024.
func parseByteCount(_ text: String) throws -> Int {
    let shifts: [Character: Int] = ["k": 10, "m": 20, "g": 30]
    let shift = text.lowercased().last.flatMap { shifts[$0] }
    let digits = shift == nil ? text[...] : text.dropLast()
    guard let number = Int(digits), number > 0, number <= Int.max >> (shift ?? 0) else {
        throw OptionValueError("expected a size such as 8M, found '\(text)'")
    }
    return number << (shift ?? 0)
}

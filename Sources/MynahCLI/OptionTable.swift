// Options as rows: spelling, value, help text, environment variable and effect in one place. The scanner, the help text and
// the spelling suggestions derive from them.
//
// `run` starts many short processes, so it is parsed by this scanner, which takes microseconds. Parsing the same options
// with ArgumentParser was measured at 1.3 ms a process, as long as starting the process takes.

/// What stands behind an option.
package enum OptionValue {
    case none
    /// `-L DIR`, `--sysroot DIR` or `--sysroot=DIR`.
    case required(String)
    /// `--strace` or `--strace=SET`.
    case optional(String)
}

/// One option of a command whose settings are `Settings`.
package struct OptionRow<Settings> {
    package var short: Character?
    package var long: String?
    package var value: OptionValue
    package var help: String
    /// Used when the option is not given.
    package var environment: String?
    /// Throws the reason when the value makes no sense; the text is nil when no value was given.
    package var apply: (inout Settings, String?) throws -> Void
}

/// How options are spelled.
package enum OptionGrammar {
    /// `-x`, `-xVALUE`, `--long`, `--long=VALUE`.
    case gnu
    /// `-long VALUE`, and `--long VALUE` for the same: qemu's user mode.
    case singleDash
}

/// All options of a command.
package struct OptionTable<Settings> {
    package let command: String
    package let grammar: OptionGrammar
    package private(set) var rows: [OptionRow<Settings>] = []

    package init(command: String, grammar: OptionGrammar = .gnu) {
        self.command = command
        self.grammar = grammar
    }

    package mutating func flag(
        _ short: Character?, _ long: String?, environment: String? = nil, _ help: String,
        _ apply: @escaping (inout Settings) throws -> Void
    ) {
        rows.append(OptionRow(short: short, long: long, value: .none, help: help, environment: environment) { settings, _ in
            try apply(&settings)
        })
    }

    package mutating func option(
        _ short: Character?, _ long: String?, _ value: String, environment: String? = nil, _ help: String,
        _ apply: @escaping (inout Settings, String) throws -> Void
    ) {
        let row = OptionRow<Settings>(
            short: short, long: long, value: .required(value), help: help, environment: environment
        ) { settings, text in try apply(&settings, text ?? "") }
        rows.append(row)
    }

    package mutating func optionalValue(
        _ long: String, _ value: String, _ help: String, _ apply: @escaping (inout Settings, String?) throws -> Void
    ) {
        rows.append(OptionRow(short: nil, long: long, value: .optional(value), help: help, environment: nil, apply: apply))
    }
}

// MARK: - Scanning

extension OptionTable {
    /// Applies the options at the front of `arguments`; environment variables first, so that options win.
    /// - Returns: what follows the options: the program and its own arguments, untouched.
    package func scan(
        _ arguments: ArraySlice<String>, environment: (String) -> String?, into settings: inout Settings
    ) throws -> ArraySlice<String> {
        for row in rows {
            if let name = row.environment, let text = environment(name) { try row.applied(to: &settings, text, name: name) }
        }
        var rest = arguments
        while let argument = rest.first, argument.utf8.first == UInt8(ascii: "-"), argument != "-" {
            rest.removeFirst()
            if argument == "--" { break }
            try applyOption(argument, rest: &rest, into: &settings)
        }
        return rest
    }

    private func applyOption(_ argument: String, rest: inout ArraySlice<String>, into settings: inout Settings) throws {
        let isLong = argument.hasPrefix("--") || grammar == .singleDash
        guard isLong else { return try applyCluster(argument, rest: &rest, into: &settings) }
        let body = argument.drop { $0 == "-" }
        let parts = grammar == .gnu ? body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false) : [body]
        guard let row = rows.first(where: { $0.matches(parts[0]) }) else { throw unknown(argument, long: String(parts[0])) }
        var text = parts.count > 1 ? String(parts[1]) : nil
        let name = row.spelling(as: argument.hasPrefix("--") ? "--" : "-", parts[0])
        switch row.value {
        case .none: if text != nil { throw failure("'\(name)' takes no value") }
        case .required(let value):
            if text == nil { text = rest.popFirst() }
            if text == nil { throw failure("'\(name)' needs a value: \(value)") }
        case .optional: break
        }
        try row.applied(to: &settings, text, name: name)
    }

    /// One-letter options: `-s VALUE`, `-sVALUE`, `-abc`.
    private func applyCluster(_ argument: String, rest: inout ArraySlice<String>, into settings: inout Settings) throws {
        var letters = argument.dropFirst()
        while let letter = letters.popFirst() {
            guard let row = rows.first(where: { $0.short == letter }) else { throw unknown("-\(letter)", long: "") }
            guard case .required(let value) = row.value else {
                try row.applied(to: &settings, nil, name: "-\(letter)")
                continue
            }
            guard let text = letters.isEmpty ? rest.popFirst() : String(letters) else {
                throw failure("'-\(letter)' needs a value: \(value)")
            }
            return try row.applied(to: &settings, text, name: "-\(letter)")
        }
    }

    private func unknown(_ argument: String, long: String) -> CommandFailure {
        let known = rows.compactMap(\.long)
        let nearest = known.min { editDistance($0, long) < editDistance($1, long) }
        if let nearest, !long.isEmpty, editDistance(nearest, long) <= max(1, long.count / 3) {
            return failure("unknown option '\(argument)'; did you mean '\(grammar == .gnu ? "--" : "-")\(nearest)'?")
        }
        return failure("unknown option '\(argument)'")
    }

    private func failure(_ message: String) -> CommandFailure { .usage(message) }
}

extension OptionRow {
    fileprivate func matches(_ name: Substring) -> Bool {
        if let long, name == long { return true }
        guard let short else { return false }
        return name.count == 1 && name.first == short
    }

    fileprivate func spelling(as dashes: String, _ name: Substring) -> String { dashes + name }

    fileprivate func applied(to settings: inout Settings, _ text: String?, name: String) throws {
        do { try apply(&settings, text) } catch let reason as OptionValueError {
            throw CommandFailure.usage("'\(name)': \(reason.description)")
        }
    }
}

/// Why an option's value makes no sense.
package struct OptionValueError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Insertions, deletions and replacements between two words.
func editDistance(_ left: String, _ right: String) -> Int {
    let left = Array(left.utf8), right = Array(right.utf8)
    var row = Array(0...right.count)
    for (i, byte) in left.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for j in right.indices {
            let replaced = diagonal + (byte == right[j] ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[right.count]
}

// MARK: - Help

extension OptionTable {
    /// The options in two columns.
    package var helpText: String {
        let lines = rows.map { ($0.usage(grammar), $0.help + ($0.environment.map { " [\($0)]" } ?? "")) }
        let width = min(26, lines.map(\.0.count).max() ?? 0)
        return lines.map { usage, help in
            let gap =
                usage.count > width
                ? "\n" + String(repeating: " ", count: width + 4) : String(repeating: " ", count: width - usage.count + 2)
            return "  \(usage)\(gap)\(help)\n"
        }.joined()
    }
}

extension OptionRow {
    fileprivate func usage(_ grammar: OptionGrammar) -> String {
        let dashes = grammar == .gnu ? "--" : "-"
        let names: String
        switch (short, long) {
        case (let short?, let long?): names = "-\(short), \(dashes)\(long)"
        case (let short?, nil): names = "-\(short)"
        default: names = (grammar == .gnu ? "    " : "") + dashes + (long ?? "")
        }
        switch value {
        case .none: return names
        case .required(let value): return names + " " + value
        case .optional(let value): return names + "[=\(value)]"
        }
    }
}

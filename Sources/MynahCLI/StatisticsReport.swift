// `--stats`: what the engine did, for people or as JSON.

import Glibc
import Mynah

extension ProgramStatistics {
    var json: JSONValue { .object(rows.map { ($0.key, .integer(Int(clamping: $0.value))) }) }

    /// One line a counter; those that stayed zero are left out.
    var text: String {
        let shown = rows.filter { $0.value != 0 }.map { (Self.value($0), $0.label) }
        let width = shown.map(\.0.count).max() ?? 0
        return shown.map { "\($0.paddedLeft(width))  \($1)\n" }.joined()
    }

    private static func value(_ row: Row) -> String {
        switch row.unit {
        case .count: return grouped(row.value)
        case .bytes: return withMagnitude(Double(row.value)) + "B"
        case .nanoseconds: return duration(Double(row.value) / 1e9)
        }
    }

    private static func grouped(_ value: UInt64) -> String {
        var digits = String(value), parts: [String] = []
        while digits.count > 3 {
            parts.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return ([digits] + parts).joined(separator: " ")
    }
}

/// Where Mynah's own output goes: the file of `-o`, or standard error.
enum OwnOutput {
    /// Makes sure that the file can be written, and empties it unless it is `kept`; whoever writes to it later appends.
    static func prepare(_ path: String?, kept: Bool) throws {
        guard let path else { return }
        let descriptor = open(path, O_WRONLY | O_CREAT | (kept ? O_APPEND : O_TRUNC) | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw CommandFailure(status: ExitStatus.usage, "'\(kept ? "--append" : "-o")': cannot write '\(path)': \(String(cString: strerror(errno)))")
        }
        close(descriptor)
    }

    static func append(_ text: String, to path: String?) {
        guard let path else { return Console.writeError(text) }
        guard let file = fopen(path, "a") else { return }
        fputs(text, file)
        fclose(file)
    }
}

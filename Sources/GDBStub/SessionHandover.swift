// A session that outlives its program: what the next program in the process must know to go on with the same connection.

extension DebugSession {
    /// What was agreed so far, as a word of letters, digits, `.` and `-`.
    package var agreement: String {
        var parts = ["f" + String(features.rawValue, radix: 16)]
        parts.append("p" + passedSignals.map { String($0.rawValue, radix: 16) }.sorted().joined(separator: "-"))
        switch caughtSystemCalls {
        case .none: break
        case .all: parts.append("c")
        case .some(let numbers): parts.append("c" + numbers.map { String($0, radix: 16) }.sorted().joined(separator: "-"))
        }
        return parts.joined(separator: ".")
    }

    /// Goes on where the session with this agreement stopped: its debugger waits for the target's next event. Parts that make no
    /// sense are skipped.
    package func adopt(agreement: String) {
        for part in agreement.split(separator: ".") {
            let numbers = part.dropFirst().split(separator: "-").compactMap { Int($0, radix: 16) }
            switch part.first {
            case "f": features = SessionFeatures(rawValue: numbers.first.flatMap { UInt32(exactly: $0) } ?? 0)
            case "p":
                passedSignals = Set(numbers.compactMap { UInt8(exactly: $0) }.map(GDBSignal.init(rawValue:)))
                target.pass(passedSignals)
            case "c":
                caughtSystemCalls = part.count == 1 ? .all : .some(Set(numbers))
                target.catchSystemCalls(caughtSystemCalls)
            default: break
            }
        }
        isRunning = true
    }
}

// The keys between a terminal and a machine's serial console: Ctrl-A and a letter are for us, everything else is the guest's.

/// What to do with typed bytes, in order.
package enum ConsoleAction: Equatable {
    case send([UInt8])
    case quit
    case toggleMonitor
    case reset
    case help
    /// A line for the monitor.
    case command(String)
    /// Text to show for what was typed at the monitor.
    case echo(String)
}

/// Takes typed bytes apart. While the monitor is open they make lines for it.
package struct ConsoleKeys {
    package static let escape: UInt8 = 1 // Ctrl-A
    private var isEscaped = false
    package private(set) var isMonitorOpen = false
    private var line: [UInt8] = []
    /// Whether there is an escape key: not when a file or pipe is read.
    private let hasEscapeKey: Bool

    package init(hasEscapeKey: Bool) { self.hasEscapeKey = hasEscapeKey }

    package mutating func actions(for bytes: ArraySlice<UInt8>) -> [ConsoleAction] {
        var result: [ConsoleAction] = []
        for byte in bytes {
            if isEscaped {
                isEscaped = false
                escaped(byte, &result)
            } else if hasEscapeKey && byte == Self.escape {
                isEscaped = true
            } else if isMonitorOpen {
                edit(byte, &result)
            } else if case .send(let before)? = result.last {
                result[result.count - 1] = .send(before + [byte])
            } else {
                result.append(.send([byte]))
            }
        }
        return result
    }

    private mutating func escaped(_ byte: UInt8, _ result: inout [ConsoleAction]) {
        switch byte {
        case UInt8(ascii: "x"), UInt8(ascii: "X"): result.append(.quit)
        case UInt8(ascii: "c"), UInt8(ascii: "C"):
            isMonitorOpen.toggle()
            line = []
            result.append(.toggleMonitor)
        case UInt8(ascii: "r"): result.append(.reset)
        case UInt8(ascii: "h"), UInt8(ascii: "?"): result.append(.help)
        case Self.escape: result.append(.send([Self.escape]))
        default: break
        }
    }

    private mutating func edit(_ byte: UInt8, _ result: inout [ConsoleAction]) {
        switch byte {
        case 10, 13:
            result.append(.echo("\n"))
            result.append(.command(String(decoding: line, as: UTF8.self)))
            line = []
        case 8, 127:
            if line.popLast() != nil { result.append(.echo("\u{8} \u{8}")) }
        case 21: // Ctrl-U
            result.append(.echo(String(repeating: "\u{8} \u{8}", count: line.count)))
            line = []
        case 32..<127:
            guard line.count < 1000 else { return }
            line.append(byte)
            result.append(.echo(String(UnicodeScalar(byte))))
        default: break
        }
    }
}

/// Finds a text in what comes piece by piece (Knuth, Morris, Pratt).
package struct TextMatcher {
    private let pattern: [UInt8]
    private var failure: [Int]
    private var matched = 0
    package private(set) var isFound = false

    package init(_ text: String) {
        pattern = Array(text.utf8)
        failure = [Int](repeating: 0, count: pattern.count)
        var length = 0
        for index in pattern.indices.dropFirst() {
            while length > 0 && pattern[index] != pattern[length] { length = failure[length - 1] }
            if pattern[index] == pattern[length] { length += 1 }
            failure[index] = length
        }
    }

    /// - Returns: whether the text has been seen, now or before.
    package mutating func feed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        if isFound || pattern.isEmpty { return isFound }
        for byte in bytes {
            while matched > 0 && byte != pattern[matched] { matched = failure[matched - 1] }
            if byte == pattern[matched] { matched += 1 }
            if matched == pattern.count {
                isFound = true
                return true
            }
        }
        return false
    }
}

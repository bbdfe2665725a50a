// Standard error, and whether it is a terminal. Standard output and input belong to the guest.

import Glibc

package enum Console {
    /// Colour and progress are for terminals only, and NO_COLOR turns colour off.
    package static let errorIsTerminal = isatty(STDERR_FILENO) == 1
    package static let outputIsTerminal = isatty(STDOUT_FILENO) == 1
    package static var usesColour: Bool { outputIsTerminal && environmentVariable("NO_COLOR") == nil }

    package static func writeError(_ text: String) {
        writeAll(text, to: STDERR_FILENO)
    }

    /// For reports that a command exists to print; never while a guest runs.
    package static func writeOutput(_ text: String) {
        writeAll(text, to: STDOUT_FILENO)
    }

    private static func writeAll(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)[...]
            while !rest.isEmpty {
                let written = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress!, rest.count)
                if written < 0 && errno == EINTR { continue }
                if written <= 0 { return }
                rest = rest.dropFirst(written)
            }
        }
    }

    package static func environmentVariable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}

/// Terminal attributes around text, where colour is wanted.
package struct Palette {
    package var enabled: Bool
    package init(enabled: Bool = Console.usesColour) { self.enabled = enabled }
    package func bold(_ text: String) -> String { paint("1", text) }
    package func dim(_ text: String) -> String { paint("2", text) }
    package func red(_ text: String) -> String { paint("31", text) }
    package func cyan(_ text: String) -> String { paint("36", text) }
    private func paint(_ code: String, _ text: String) -> String { enabled ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
}

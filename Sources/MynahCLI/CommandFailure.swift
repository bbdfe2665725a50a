// What a command tells its user when it cannot do what was asked: what happened, where, and what to do next.

import Mynah

/// Exit statuses of Mynah's own. The guest's statuses pass through `run` unchanged.
package enum ExitStatus {
    package static let success: Int32 = 0
    /// A benchmark's or check's results are not as they must be.
    package static let failed: Int32 = 1
    package static let usage: Int32 = 2
    /// `verify` found a difference.
    package static let difference: Int32 = 3
    package static let internalError: Int32 = 125
    package static let notRunnable: Int32 = 126
    package static let notFound: Int32 = 127
}

/// A failure with the status that the process ends with.
package struct CommandFailure: Error, Equatable {
    package var status: Int32
    package var message: String

    package init(status: Int32, _ message: String) {
        self.status = status
        self.message = message
    }

    package static func usage(_ message: String) -> CommandFailure {
        CommandFailure(status: ExitStatus.usage, message)
    }

    package init(_ error: ProgramError) {
        switch error {
        case .notFound(let text): self.init(status: ExitStatus.notFound, text)
        case .notRunnable(let text): self.init(status: ExitStatus.notRunnable, text)
        case .badOption(let text): self.init(status: ExitStatus.usage, text)
        case .difference(let text): self.init(status: ExitStatus.difference, text)
        case .internalError(let text):
            self.init(
                status: ExitStatus.internalError,
                "internal error: \(text)\nThis is a defect of Mynah, not of the program. Please report it with the command line "
                    + "and the "
                    + "output of the same command under '--engine interpreter'.")
        }
    }
}

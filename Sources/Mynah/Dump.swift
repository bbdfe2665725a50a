// Translations as text while a program runs: `--dump`.

import Engine
import Glibc
import Guest

/// Writes every translation to a file or to standard error.
final class TranslationDump: @unchecked Sendable {
    private let descriptor: Int32
    private let stages: [TranslationStage]
    private var count = 0

    /// - Throws: `ProgramError` when the file cannot be written.
    init(_ options: ProgramOptions) throws {
        stages = options.dumps
        let opened = options.outputPath.map { open($0, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644) } ?? dup(STDERR_FILENO)
        guard opened >= 0 else { throw ProgramError.badOption("cannot write to '\(options.outputPath ?? "standard error")'") }
        // Out of the way of the descriptors that a guest expects.
        let high = fcntl(opened, F_DUPFD_CLOEXEC, 910)
        if high >= 0 { close(opened) }
        descriptor = high >= 0 ? high : opened
    }

    /// The engine calls it while it holds its lock: one translation at a time.
    var observer: @Sendable (TranslationReport) -> Void {
        { [self] report in
            count += 1
            let view = TranslationView(
                entry: report.entry, guest: report.guest, lifted: report.lifted, optimized: report.optimized, host: report.host,
                hostAddress: report.hostAddress, positions: report.positions)
            var text = view.dumpText(number: count, stages: stages)
            text.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
        }
    }
}

extension TranslationView {
    /// One section, an indented line for each thing that became of an instruction.
    package func dumpText(number: Int, stages: [TranslationStage]) -> String {
        let bytes = rows.map(\.host.count).reduce(0, +)
        var text =
            "==== translation \(number) at \(GuestAddress(entry)): \(rows.count) guest instructions, \(bytes) bytes of host "
                + "code\n"
        for row in rows {
            text += "\(GuestAddress(row.address))  \(row.guest)\n"
            if stages.contains(.ir) { text += row.ir.map { "    ir         \($0)\n" }.joined() }
            if stages.contains(.optimized) { text += row.optimized.map { "    optimized  \($0)\n" }.joined() }
            if stages.contains(.host) { text += row.hostText.map { "    host       \($0)\n" }.joined() }
        }
        return text
    }
}

// `mynah inspect --region`: runs the program, counts, and reports when it ends or when its time is up. The program's output goes
// to standard error, as the report is what stands on standard output.

import Glibc
import Mynah

struct RegionInspection {
    var options: ProgramOptions
    var stages: [TranslationStage]
    /// A symbol or address; nil for the hottest.
    var place: String?
    var listed: Int
    var seconds: Double?
    var html: String?
    var cfg: String?
    var json: Bool

    /// - Throws: `CommandFailure` when the program cannot be run.
    func run() throws -> Never {
        let output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 911)
        dup2(STDERR_FILENO, STDOUT_FILENO)
        let command = ([options.program] + options.arguments).map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        do {
            var reached = false
            let start = RegionInspection.now
            try Program.inspect(options, seconds: seconds) { program in
                if let seconds, RegionInspection.now - start >= seconds { reached = true }
                dup2(output, STDOUT_FILENO)
                let report = self.report(program, command, reached ? seconds : nil)
                do { try write(report) } catch let failure as CommandFailure {
                    Console.writeError("mynah: \(failure.message)\n")
                    _exit(failure.status)
                } catch { _exit(ExitStatus.internalError) }
            }
        } catch let error as ProgramError {
            dup2(output, STDOUT_FILENO)
            throw CommandFailure(error)
        }
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    private func report(_ program: RunningProgram, _ command: String, _ seconds: Double?) -> HotReport {
        var chosen: [HotTranslation] = []
        if let place {
            guard let found = program.translation(at: place) else {
                let hot = program.translations.prefix(5).map { program.name(of: $0.address) ?? hexadecimal($0.address) }
                Console.writeError(
                    "mynah: '--at': no translation that ran is at '\(place)'; "
                        + (hot.isEmpty
                            ? "nothing was translated\n"
                            : "the hottest are \(hot.joined(separator: ", ")); without '--at' there is the list\n"))
                _exit(ExitStatus.usage)
            }
            chosen = [found]
        } else if html != nil {
            chosen = Array(program.translations.prefix(min(listed, 8)))
        } else if cfg != nil || json {
            chosen = Array(program.translations.prefix(1))
        }
        return HotReport(
            command: command, program: program, listed: Array(program.translations.prefix(listed)),
            details: chosen.compactMap { program.detail(of: $0) }, seconds: seconds)
    }

    private func write(_ report: HotReport) throws {
        if let cfg {
            guard let detail = report.details.first else {
                throw CommandFailure(
                    status: ExitStatus.failed, "nothing was translated, so there is no graph to draw; try '--engine region'")
            }
            let drawing = ControlFlowDrawing(detail.translation, total: report.total, name: report.program.name)
            try Files.write(drawing.svg, to: cfg)
            Console.writeOutput("graph of \(report.name(detail.translation.address)): \(cfg)\n")
        }
        if let html {
            try Files.write(report.html(stages), to: html)
            Console.writeOutput("page: \(html)\n")
        }
        if json {
            Console.writeOutput(report.json(stages).text() + "\n")
        } else if html == nil, cfg == nil {
            Console.writeOutput(report.text(stages))
            if place == nil, let hottest = report.listed.first {
                Console.writeOutput(
                    "\n'--at \(report.name(hottest.address))' shows what it is translated to, '--cfg FILE.svg' draws it\n")
            }
        }
    }
}

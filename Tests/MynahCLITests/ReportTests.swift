// Numbers, tables, JSON and charts of the reports.

import Glibc
import Mynah
import Testing

@testable import MynahCLI

@Suite struct FormattingTests {
    @Test func fixedPoint() {
        #expect(fixed(1.005, 1) == "1.0")
        #expect(fixed(-2.55, 1) == "-2.6")
        #expect(fixed(0.999, 2) == "1.00")
        #expect(fixed(12, 0) == "12")
        #expect(fixed(.nan, 1) == "–")
        #expect(fixed(-0.001, 2) == "0.00")
    }

    @Test func magnitudes() {
        #expect(withMagnitude(1_290_000_000) == "1.29 G")
        #expect(withMagnitude(187_300_000) == "187 M")
        #expect(duration(6.914) == "6.91 s")
        #expect(duration(0.0123) == "12.3 ms")
        #expect(duration(0.00044) == "440 µs")
        #expect(instructionRate(187e6) == "187 MIPS")
        #expect(instructionRate(2.9e9) == "2.90 GIPS")
    }

    @Test func meansAreGeometric() {
        #expect(abs(geometricMean([1, 4])! - 2) < 1e-12)
        #expect(geometricMean([]) == nil)
        #expect(geometricMean([1, 0]) == nil)
    }

    @Test func columnsAlign() {
        let table = TextTable(heading: ["a", "b"], rows: [["long name", "1"], ["x", "1000"]])
        #expect(table.text == "a              b\nlong name      1\nx           1000\n")
    }
}

@Suite struct JSONTests {
    @Test func strings() {
        #expect(JSONValue.string("a\"b\\c\n\u{1}é").text() == "\"a\\\"b\\\\c\\n\\u0001é\"")
    }

    @Test func nesting() {
        let value = JSONValue.object([
            ("a", .array([.integer(1), .number(0.5), .null])), ("b", .object([])), ("c", .number(.infinity)),
        ])
        #expect(value.text() == "{\n  \"a\": [1, 0.5, null],\n  \"b\": {},\n  \"c\": null\n}")
    }

    @Test func numbersOfOurOwnJSON() {
        #expect(number("instructions", in: "{\n \"instructions\": 1290,\n \"x\": 1}") == 1290)
        #expect(number("missing", in: "{}") == nil)
    }
}

@Suite struct BenchReportTests {
    private func results(native: Bool) -> BenchResults {
        let interpreter = Executor.engine(.interpreter), block = Executor.engine(.block), own = Executor.native(directory: "/n")
        var guests: [GuestResult] = []
        for (name, times) in [("sieve", [8.0, 2, 1]), ("hello", [0.003, 0.002, 0.001])] {
            var result = GuestResult(guest: BenchGuest(name: name, path: name, arguments: [], isStartUpProbe: name == "hello"))
            for (executor, time) in zip([interpreter, block, own], times) where native || executor != own {
                var measurement = Measurement()
                let child = ChildResult(
                    status: 0, output: [], errorText: "", processorSeconds: time, wallSeconds: time, peakMemoryKibibytes: 1)
                measurement.add(child)
                result.measurements[executor] = measurement
            }
            result.instructions = 1e9
            guests.append(result)
        }
        return BenchResults(
            executors: native ? [interpreter, block, own] : [interpreter, block], guests: guests, runs: 1, scalePercent: 100)
    }

    @Test func theStartUpProbeIsNotInTheMean() {
        let results = results(native: true)
        #expect(results.meanRatio(.engine(.block), to: .native(directory: "/n")) == 2)
        #expect(results.tableText.contains("2.00×"))
        #expect(results.tableText.contains("500 MIPS"))
        #expect(results.summaryText.contains("all results identical"))
    }

    @Test func withoutNativeTheFirstColumnIsTheBase() {
        #expect(results(native: false).tableText.contains("÷ interpreter"))
        #expect(results(native: false).tableText.contains("0.25×"))
    }

    @Test(arguments: [true, false]) func theChartIsWellFormed(native: Bool) {
        let host = HostDescription(processor: "A <&> B", processorCount: 2, kernel: "6", date: "today")
        let svg = BenchChart(results: results(native: native), host: host).svg
        #expect(svg.hasPrefix("<svg") && svg.hasSuffix("</svg>\n"))
        #expect(svg.contains("A &lt;&amp;&gt; B"))
        #expect(svg.contains("sieve"))
        #expect(!svg.contains("nan") && !svg.contains("inf"))
    }

    @Test func theAxisEndsNearTheValues() {
        let slower = BenchChart.Plot(left: 0, width: 100, values: [1.3, 42], origin: 1)
        #expect(slower.low == 1 && slower.high == 50 && slower.originX == 0 && slower.marks == [1, 2, 5, 10, 20, 50])
        // What is faster than native lies to the left of native.
        let faster = BenchChart.Plot(left: 0, width: 100, values: [0.7, 3], origin: 1)
        #expect(faster.low == 0.5 && faster.high == 5 && faster.x(0.7) < faster.originX)
        let none = BenchChart.Plot(left: 0, width: 100, values: [], origin: nil)
        #expect(none.low < none.high)
    }

    @Test func differencesAreNamed() {
        var results = results(native: true)
        results.guests[0].complaints = ["sieve: output under block differs from that under interpreter"]
        #expect(results.summaryText.contains("DIFFERENT: sieve"))
    }

    @Test func mediansAndSpread() {
        var measurement = Measurement()
        for time in [3.0, 1, 2, 10] {
            measurement.add(ChildResult(
                status: 0, output: [], errorText: "", processorSeconds: time, wallSeconds: time, peakMemoryKibibytes: 1))
        }
        #expect(measurement.median == 2.5 && measurement.fastest == 1 && measurement.slowest == 10)
    }
}

@Suite struct ChildProcessTests {
    @Test func outputStatusAndErrors() throws {
        let result = try ChildProcess.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 7"])
        #expect(result.status == 7 && String(decoding: result.output, as: UTF8.self) == "out\n" && result.errorText == "err\n")
    }

    @Test func signalsAreStatuses() throws {
        #expect(try ChildProcess.run(["/bin/sh", "-c", "kill -11 $$"]).status == 128 + 11)
    }

    @Test func timeLimits() throws {
        let result = try ChildProcess.run(["/bin/sleep", "600"], timeLimit: 0.05)
        #expect(result.status == 128 + 9 && result.wallSeconds < 300)
    }

    @Test func missingProgramsAreFailures() {
        #expect(throws: CommandFailure.self) { try ChildProcess.run(["/no/such/program"]) }
    }
}

@Suite struct TemporaryDirectoryTests {
    @Test func itIsItsOwnersAloneAndGoes() throws {
        let directory = try TemporaryDirectory()
        var status = stat()
        #expect(stat(directory.path, &status) == 0 && status.st_mode & 0o777 == 0o700)
        try Files.write("text", to: directory.file("file"))
        directory.remove()
        #expect(!Files.exists(directory.path))
    }
}

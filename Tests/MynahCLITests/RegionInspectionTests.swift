// `mynah inspect --region` as its users meet it, the layout of its graphs, and statistics by tier.

import Glibc
import Mynah
import Testing

@testable import MynahCLI

@Suite struct RegionInspectionTests {
    private static let directory = Files.parent(of: Files.ownExecutable)
    private static let mynah = directory + "/mynah"
    private static let images = Files.parent(of: Files.parent(of: Files.parent(of: #filePath))) + "/GuestImages/riscv64"
    private let sieve = images + "/sieve"

    private func run(_ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
        let result = try ChildProcess.run([Self.mynah] + arguments, timeLimit: 600)
        return (result.status, String(decoding: result.output, as: UTF8.self), result.errorText)
    }

    private func number(_ key: String, _ text: String) -> Double? {
        text.split(separator: "\n").first { $0.contains("\"\(key)\": ") }
            .flatMap { Double($0.split(separator: ":")[1].filter { !" ,".contains($0) }) }
    }

    @Test func hotCodeIsListed() throws {
        let result = try run(["inspect", "--region", "--top", "5", sieve])
        #expect(result.status == 0)
        #expect(result.errors.contains("checksum"), "the program's output is on standard error")
        #expect(!result.output.contains("checksum") && result.output.contains("to its end"))
        #expect(result.output.contains(" region ") && result.output.contains("'--at "))
    }

    @Test func countsAreTheProgramsInstructions() throws {
        let counted = try run(["inspect", "--region", "--json", sieve, "2"]), path = "/tmp/mynah-region-\(getpid()).json"
        defer { unlink(path) }
        #expect(try run(["run", "--engine", "interpreter", "--stats=json", "-o", path, sieve, "2"]).status == 0)
        let expected = try #require(number("instructions", Files.readText(path) ?? ""))
        let actual = try #require(number("instructions", counted.output))
        // What a loop's interrupt cut short, and instructions that the interpreter executes for translated code, count twice.
        #expect(abs(actual - expected) / expected < 1e-4, "\(actual) counted, \(expected) interpreted")
    }

    @Test func stagesOfTheHottestAreShown() throws {
        let list = try run(["inspect", "--region", "--json", sieve]).output
        let line = list.split(separator: "\n").first { $0.contains("\"address\": \"0x") }
        let address = try #require(line?.split(separator: "\"").last { $0.hasPrefix("0x") })
        let result = try run(["inspect", "--region", "--at", String(address), sieve])
        #expect(
            result.status == 0 && result.output.contains("executed │ guest")
                && result.output.contains("host instructions for each guest instruction"))
        #expect(result.output.contains("exits and slow paths") && result.output.contains("why slow"))
    }

    @Test func pagesAndGraphsAreWritten() throws {
        let base = "/tmp/mynah-region-\(getpid())"
        defer { unlink(base + ".html"); unlink(base + ".svg") }
        let result = try run(["inspect", "--region", "--html", base + ".html", "--cfg", base + ".svg", sieve])
        #expect(result.status == 0)
        let page = Files.readText(base + ".html") ?? "", graph = Files.readText(base + ".svg") ?? ""
        #expect(page.contains("<svg") && page.contains("why slow") && !page.contains("<script"))
        #expect(graph.hasPrefix("<svg") && graph.contains("entered") && graph.hasSuffix("</svg>\n"))
        #expect(graph.contains("class=\"back\""), "the loop's way back is drawn")
    }

    @Test func timeEndsAProgram() throws {
        // The first may be over before a slow host has started the program.
        for seconds in ["0.5", "5", "50"] {
            let result = try run(["inspect", "--region", "--time", seconds, sieve, "--", "100000"])
            #expect(result.status == 0)
            if result.output.contains("guest instructions") { return }
        }
        Issue.record("there is no report")
    }

    @Test func errorsSayWhatToDo() throws {
        for (arguments, words) in [
            (["inspect", "--cfg", "/tmp/x.svg", sieve], "add '--region'"), (["inspect", sieve, "argument"], "add '--region'"),
            (["inspect", "--region", "--engine", "interpreter", sieve], "makes none"),
            (["inspect", "--region", "--cfg", "/no/x.svg", sieve], "'--cfg': cannot write"),
            (["inspect", "--region", "--at", "nowhere", sieve], "the hottest are"),
            (["inspect", "--region", "--time", "0", sieve], "seconds above 0"),
        ] {
            let result = try run(arguments)
            #expect(result.status == 2 && result.errors.contains(words), "\(arguments): \(result.errors)")
        }
    }

    /// Of translations that are made here and now.
    @Test func statisticsAreByTier() throws {
        let text = try run(["run", "--cache", "off", "--background", "off", "--stats", sieve]).errors
        #expect(text.contains("ns for a guest instruction") && text.contains("\nregion ") && text.contains("processor time"))
        let json = try run(["run", "--cache", "off", "--background", "off", "--stats=json", sieve]).errors
        let found = json.firstRange(of: "\"region\": {")
        let regions = String(json[try #require(found).upperBound...])
        #expect((number("instructions", regions) ?? 0) > 0 && (number("nanosecondsPerInstruction", regions) ?? 0) > 0)
        #expect((number("interpreterNanoseconds", json) ?? 0) > 0 && (number("processorNanoseconds", json) ?? 0) > 0)
    }

    // MARK: Layout

    @Test func graphsAreLaidOutWithoutOverlaps() {
        let names = ["head", "left", "right", "join", "inner", "exit"]
        let nodes = names.map { GraphNode(lines: [$0, "0x10000 · 12 insns"], isOutside: $0 == "exit") }
        let pairs = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (4, 4), (4, 0), (3, 0), (0, 3), (3, 5)]
        let layout = ControlFlowLayout(
            nodes: nodes, edges: pairs.map { GraphEdge(from: $0.0, to: $0.1, count: 7, label: "1 234 567") })
        #expect(layout.edges.filter(\.isBackward).map { [$0.from, $0.to] } == [[4, 4], [4, 0], [3, 0]])
        for (index, one) in layout.nodes.enumerated() {
            #expect(
                one.x - one.width / 2 >= 0 && one.x + one.width / 2 <= layout.width && one.y + one.height / 2 <= layout.height)
            for other in layout.nodes[(index + 1)...] {
                let apart =
                    abs(one.x - other.x) >= (one.width + other.width) / 2
                    || abs(one.y - other.y) >= (one.height + other.height) / 2
                #expect(apart, "\(one.lines[0]) and \(other.lines[0])")
            }
        }
        for edge in layout.edges where !edge.isBackward { #expect(layout.nodes[edge.from].y < layout.nodes[edge.to].y) }
    }

    @Test func colourFollowsHeat() {
        #expect(
            ControlFlowDrawing.colour(0) == "#ffffff" && ControlFlowDrawing.colour(1) == "#ec6554"
                && ControlFlowDrawing.colour(9) == "#ec6554")
    }
}

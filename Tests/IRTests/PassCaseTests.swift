import Foundation
import IR
import Optimizer
import Testing

// Cases/NAME.ir holds examples for the pass NAME:
//
//     ; case what it shows
//     block0: …
//     ; becomes
//     block0: …
//
// `MYNAH_UPDATE_GOLDENS=1 swift test` writes what the passes now make of the inputs; review the difference.

struct PassCase {
    var title: String
    var input: String
    var expected: String
}

let casesDirectory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases")
let updatesGoldens = ProcessInfo.processInfo.environment["MYNAH_UPDATE_GOLDENS"] != nil

func readCases(_ url: URL) throws -> [PassCase] {
    var cases: [PassCase] = []
    var isInput = true
    for line in try String(contentsOf: url, encoding: .utf8).split(separator: "\n") {
        if line.hasPrefix("; case ") {
            cases.append(PassCase(title: String(line.dropFirst(7)), input: "", expected: ""))
            isInput = true
        } else if line == "; becomes" {
            isInput = false
        } else if isInput {
            cases[cases.count - 1].input += line + "\n"
        } else {
            cases[cases.count - 1].expected += line + "\n"
        }
    }
    return cases
}

@Test(arguments: OptimizerOptions.passNames)
func passMakesWhatItsCasesSay(_ name: String) throws {
    let options = try #require(OptimizerOptions(passName: name))
    try checkCases(name) { Pipeline(options: options).optimize($0) }
}

@Test func accessesAreGroupedAsTheirCasesSay() throws {
    try checkCases("host-addresses") { Pipeline(options: .all).groupAccesses($0) }
}

private func checkCases(_ name: String, _ run: (Function) -> Void) throws {
    let url = casesDirectory.appendingPathComponent("\(name).ir")
    var cases = try readCases(url)
    #expect(!cases.isEmpty)
    for index in cases.indices {
        let function = try Parser().parse(cases[index].input)
        #expect(Verifier.messages(for: function) == [], "\(name): \(cases[index].title)")
        let input = Printer().text(of: function)
        run(function)
        let messages = Verifier.messages(for: function)
        #expect(messages == [], "\(name): \(cases[index].title)")
        let result = Printer().text(of: function)
        if updatesGoldens {
            cases[index].input = input
            cases[index].expected = result
        } else {
            #expect(result == cases[index].expected, "\(name): \(cases[index].title)")
        }
    }
    if updatesGoldens { try write(cases, url) }
}

func write(_ cases: [PassCase], _ url: URL) throws {
    let text = cases.map { "; case \($0.title)\n\($0.input); becomes\n\($0.expected)" }.joined(separator: "\n")
    try text.write(to: url, atomically: true, encoding: .utf8)
}

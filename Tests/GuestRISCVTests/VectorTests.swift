import CHost
import Foundation
import Guest
import GuestRISCV
import Testing

/// Runs an interpreter's entry with the guest's MXCSR loaded.
func withGuestMXCSR(_ state: UnsafeMutableRawPointer, _ body: () -> InterpreterExit) -> InterpreterExit {
    let header = mynah_cpu_of(state)
    let host = mynah_get_mxcsr()
    mynah_set_mxcsr(header.pointee.guest_mxcsr)
    let exit = body()
    header.pointee.guest_mxcsr = mynah_get_mxcsr()
    mynah_set_mxcsr(host)
    return exit
}

enum VectorFile {
    static let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Vectors/vectors.txt")
    static func load() throws -> [(mnemonic: String, vector: RISCVVector)] {
        let path = ProcessInfo.processInfo.environment["MYNAH_RISCV_VECTORS"].map { URL(fileURLWithPath: $0) } ?? url
        let text = [UInt8](try Data(contentsOf: path))
        return try #require(RISCVVector.parse(text))
    }
}

@Suite struct VectorTests {
    @Test func everyVectorGivesItsResult() throws {
        let bench = RISCVVectorBench()
        let interpreter = RISCV64().makeInterpreter(source: bench)
        var failures: [String: Int] = [:]
        var shown = 0
        for (mnemonic, vector) in try VectorFile.load() {
            let problem = bench.run(vector) { state in _ = withGuestMXCSR(state) { interpreter.step(state: state) } }
            guard let problem else { continue }
            failures[mnemonic, default: 0] += 1
            if shown < 60 {
                shown += 1
                let text = RISCVDisassembler.text(of: vector.encoding, at: 0)
                let operands = [vector.a, vector.b, vector.c].map { String($0, radix: 16) }.joined(separator: " ")
                Issue.record("\(mnemonic) (\(text)), fcsr \(vector.fcsr), operands \(operands): \(problem)")
            }
        }
        #expect(failures.isEmpty, "failures by instruction: \(failures)")
    }

    /// The same instructions with the destination x0 change nothing but the flags.
    @Test func zeroRegisterStaysZero() throws {
        let bench = RISCVVectorBench()
        let interpreter = RISCV64().makeInterpreter(source: bench)
        let state = RISCVState(bench.state)
        for (mnemonic, original) in try VectorFile.load() where original.destination == 10 && original.encoding & 3 == 3 {
            var vector = original
            vector.encoding &= ~(31 << 7)
            vector.destination = 0
            vector.expected = 0
            let problem = bench.run(vector) { state in _ = withGuestMXCSR(state) { interpreter.step(state: state) } }
            #expect(problem == nil, "\(mnemonic): \(problem ?? "")")
            #expect(state[0] == 0 && state[1] == 0 && state[9] == 0, "\(mnemonic)")
        }
    }

    @Test func everyRowHasVectors() throws {
        let tested = Set(try VectorFile.load().map(\.mnemonic))
        // These have tests of their own.
        let others: Set = [
            "ecall", "ebreak", "c.ebreak", "fence.i", "fence.tso", "pause", "wrs.nto", "wrs.sto", "cbo.inval", "cbo.clean",
            "cbo.flush", "cbo.zero",
        ]
        for row in RISCVInstructionTable.rows where !others.contains(row.mnemonic.description) && !row.opcode.isPrivileged {
            #expect(tested.contains(row.mnemonic.description), "no vectors for \(row.mnemonic)")
        }
    }
}

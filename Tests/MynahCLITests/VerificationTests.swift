// Bisection, with a script in place of Mynah whose 37th translation is wrong.

import Glibc
import Mynah
import Testing

@testable import MynahCLI

@Suite struct VerificationTests {
    private func verify(_ behaviour: String, patience: Double = 120) throws -> (text: String, differs: Bool) {
        let path = "/tmp/mynah-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try Files.write(
            """
            #!/bin/sh
            limit=100 lockstep= engine= pass= output=/dev/null
            while [ $# -gt 0 ]; do
                case $1 in
                --engine) engine=$2; shift ;;
                -o) output=$2; shift ;;
                --verify=*) lockstep=$1 ;;
                --translation-limit) limit=$2; shift ;;
                --disable-pass) pass=$2; shift ;;
                --) break ;;
                esac
                shift
            done
            [ "$engine" = interpreter ] && limit=0
            { echo 'write(1, "x", 1) = 1'; echo '==== translation 36 at 0x1000:'; echo '0x1000  nop'
              echo '==== translation 37 at 0x2000:'; echo '0x2000  add a0,a0,a1'; echo '    host  90'; echo '{'; echo '  "translations": 100'; echo '}'; } > "$output"
            \(behaviour)
            """, to: path)
        chmod(path, 0o755)
        defer { unlink(path) }
        return try Verification(guest: ["p", "x"], engine: .block, note: { _ in }, executable: path, patience: patience).run()
    }

    @Test func theFirstWrongTranslationIsFound() throws {
        let report = try verify("[ \"$limit\" -ge 37 ] && echo wrong || echo right")
        #expect(report.differs)
        #expect(report.text.contains("The first 36 translations are right; number 37"))
        #expect(report.text.contains("0x2000  add a0,a0,a1\n    host  90"))
        #expect(!report.text.contains("0x1000") && !report.text.contains("\"translations\""))
        #expect(report.text.contains("--translation-limit 37 -- p x"))
        #expect(report.text.contains("No single optimisation"))
    }

    @Test func lockstepIsEnoughWhenItFindsADifference() throws {
        let report = try verify(
            "[ -n \"$lockstep\" ] && printf 'read(0) = 0\\nDIFFERENT: 0x1000\\n  a0\\n' > \"$output\"; echo same")
        #expect(report.differs && report.text == "DIFFERENT: 0x1000\n  a0\n")
    }

    @Test func theGuiltyPassIsNamed() throws {
        let pass = try #require(Program.passNames.first)
        let report = try verify("[ \"$limit\" -ge 37 ] && [ \"$pass\" != '\(pass)' ] && exit 139; exit 0")
        #expect(report.text.contains("status 139 under block, 0 under the interpreter"))
        #expect(report.text.contains("It goes away without: \(pass)\n"))
    }

    @Test func equalRunsAreIdentical() throws {
        let report = try verify("echo same")
        #expect(!report.differs && report.text == "identical: status 0, 5 bytes of output, 1 system calls\n")
    }

    @Test func hangsAreDifferences() throws {
        // Two of the runs hang, so that patience with the others can be great.
        let report = try verify(
            "[ -z \"$lockstep$pass\" ] && [ \"$limit\" -ge 100 ] && exec sleep 600; exit 0", patience: 10)
        #expect(report.differs && report.text.contains("status 137"))
    }

    @Test func programsThatVaryAreRefused() {
        #expect(throws: CommandFailure.self) { try verify("date +%N") }
    }
}

// The grammar of `mynah run` and of the qemu personality.

import Mynah
import Testing

@testable import MynahCLI

@Suite struct RunOptionTests {
    private func scan(_ arguments: String..., environment: [String: String] = [:]) throws -> (RunSettings, [String]) {
        var settings = RunSettings()
        let rest = try OptionTable.run.scan(arguments[...], environment: { environment[$0] }, into: &settings)
        return (settings, Array(rest))
    }

    private func message(_ arguments: String...) -> String? {
        var settings = RunSettings()
        do { _ = try OptionTable.run.scan(arguments[...], environment: { _ in nil }, into: &settings) } catch let failure
            as CommandFailure
        {
            return failure.status == ExitStatus.usage ? failure.message : "status \(failure.status)"
        } catch { return "\(error)" }
        return nil
    }

    @Test func optionsEndAtTheProgram() throws {
        let (settings, rest) = try scan("-L", "/sys", "prog", "-x", "--help", "--", "-L", "no")
        #expect(settings.options.sysroot == "/sys")
        #expect(!settings.wantsHelp)
        #expect(rest == ["prog", "-x", "--help", "--", "-L", "no"])
    }

    @Test func twoDashesEndTheOptions() throws {
        let (_, rest) = try scan("--stats", "--", "-odd-name", "--stats")
        #expect(rest == ["-odd-name", "--stats"])
    }

    @Test func aLoneDashIsAProgram() throws {
        #expect(try scan("-", "x").1 == ["-", "x"])
    }

    @Test func valuesInEverySpelling() throws {
        for arguments in [["-L", "/s"], ["-L/s"], ["--sysroot", "/s"], ["--sysroot=/s"]] {
            var settings = RunSettings()
            let rest = try OptionTable.run.scan((arguments + ["p"])[...], environment: { _ in nil }, into: &settings)
            #expect(settings.options.sysroot == "/s")
            #expect(rest == ["p"])
        }
    }

    @Test func optionalValuesNeedAnEqualsSign() throws {
        let (plain, rest) = try scan("--strace", "openat")
        #expect(plain.options.trace == "all" && rest == ["openat"])
        #expect(try scan("--strace=openat,close", "p").0.options.trace == "openat,close")
        #expect(try scan("--stats", "json").0.options.statistics == .text)
        #expect(try scan("--stats=json", "p").0.options.statistics == .json)
    }

    @Test func environmentChangesKeepTheirOrder() throws {
        let (settings, _) = try scan("-E", "A=1=2", "-UB", "--env=C=", "p")
        #expect(settings.options.environment == [.set(name: "A", value: "1=2"), .remove(name: "B"), .set(name: "C", value: "")])
    }

    @Test func theOptionWinsOverTheVariable() throws {
        #expect(try scan("p", environment: ["QEMU_LD_PREFIX": "/env"]).0.options.sysroot == "/env")
        #expect(try scan("-L", "/option", "p", environment: ["QEMU_LD_PREFIX": "/env"]).0.options.sysroot == "/option")
    }

    @Test func sizesAndLists() throws {
        #expect(try scan("--stack", "64k", "p").0.options.stackByteCount == 65536)
        #expect(try scan("--stack=8M", "p").0.options.stackByteCount == 8 << 20)
        #expect(try scan("--dump", "ir,host", "p").0.options.dumps == [.ir, .host])
        #expect(try scan("--disable-pass", "a", "--disable-pass=b", "p").0.options.disabledPasses == ["a", "b"])
        #expect(try scan("--translation-limit", "0", "p").0.options.translationLimit == 0)
    }

    @Test func mistakesSayWhatIsWrong() {
        #expect(message("--sysrot", "x") == "unknown option '--sysrot'; did you mean '--sysroot'?")
        #expect(message("-Z", "x") == "unknown option '-Z'")
        #expect(message("-L") == "'-L' needs a value: DIR")
        #expect(message("--perf-map=1", "x") == "'--perf-map' takes no value")
        #expect(message("--engine", "fast", "x") == "'--engine': no engine 'fast'; there are interpreter, block, region, auto")
        #expect(message("-E", "=x", "p") == "'-E': expected VAR=VALUE, found '=x'")
        #expect(message("--stack", "999999999999G", "p")?.contains("expected a size") == true)
        #expect(message("--translation-limit", "-1", "p")?.contains("at least 0") == true)
    }

    @Test func helpNamesEveryOption() {
        let text = OptionTable<RunSettings>.run.helpText
        for row in OptionTable<RunSettings>.run.rows { #expect(text.contains("--\(row.long!)")) }
    }
}

@Suite struct QemuOptionTests {
    private func scan(_ arguments: String..., environment: [String: String] = [:]) throws -> (RunSettings, [String]) {
        var settings = RunSettings()
        let table = OptionTable.qemu(command: "qemu-riscv64")
        let rest = try table.scan(arguments[...], environment: { environment[$0] }, into: &settings)
        return (settings, Array(rest))
    }

    @Test func singleDashOptions() throws {
        let (settings, rest) = try scan(
            "-strace", "-L", "/s", "-E", "A=1,B=2", "-cpu", "max", "-0", "name", "-s", "64k", "prog", "-strace")
        #expect(settings.options.trace == "all")
        #expect(settings.options.sysroot == "/s")
        #expect(settings.options.environment == [.set(name: "A", value: "1"), .set(name: "B", value: "2")])
        #expect(settings.options.processor == "max")
        #expect(settings.options.argumentZero == "name")
        #expect(settings.options.stackByteCount == 65536)
        #expect(rest == ["prog", "-strace"])
        #expect(try scan("-g", "1234", "prog").0.options.debugger == "1234")
        #expect(try scan("prog", environment: ["QEMU_GDB": "/socket"]).0.options.debugger == "/socket")
    }

    @Test func twoDashesMeanTheSame() throws {
        #expect(try scan("--version").0.wantsVersion)
        #expect(try scan("-version").0.wantsVersion)
    }

    @Test func variables() throws {
        let environment = [
            "QEMU_STRACE": "1", "QEMU_UNAME": "6.1", "QEMU_STACK_SIZE": "1M", "QEMU_SET_ENV": "X=y", "QEMU_CPU": "rv64",
        ]
        let options = try scan("p", environment: environment).0.options
        #expect(options.trace == "all" && options.kernelRelease == "6.1" && options.stackByteCount == 1 << 20)
        #expect(options.environment == [.set(name: "X", value: "y")] && options.processor == "rv64")
    }

    @Test func logItemsAreStages() throws {
        #expect(try scan("-d", "in_asm,op,op_opt,out_asm", "-D", "log", "p").0.options.dumps == [.guest, .ir, .optimized, .host])
    }

    @Test func namesOfTheExecutable() {
        #expect(CommandLineTool.qemuMachine(of: "qemu-riscv64") == "riscv64")
        #expect(CommandLineTool.qemuMachine(of: "qemu-riscv64-static") == "riscv64")
        #expect(CommandLineTool.qemuMachine(of: "mynah") == nil)
    }
}

@Suite struct ReexecutionTests {
    /// Children of the guest are started with words that mean the same.
    @Test func theWordsScanBackToTheOptions() throws {
        var settings = RunSettings()
        let words = [
            "-L", "/s", "-E", "A=1", "--strace=openat", "-o", "/tmp/x", "--stats", "--engine", "block", "--disable-pass", "fold",
            "p",
        ]
        _ = try OptionTable.run.scan(words[...], environment: { _ in nil }, into: &settings)
        var again = RunSettings()
        let rest = try OptionTable.run.scan(
            settings.options.commandLine.dropFirst() + ["--argv0", "name", "--", "child"], environment: { _ in nil }, into: &again
        )
        #expect(rest == ["child"])
        #expect(again.options.sysroot == "/s" && again.options.trace == "openat" && again.options.engine == .block)
        #expect(again.options.outputPath == "/tmp/x" && again.options.appendsOutput)
        #expect(again.options.disabledPasses == ["fold"])
        #expect(again.options.environment.isEmpty && again.options.statistics == nil)
        #expect(again.options.argumentZero == "name")
    }

    /// They do not wait for a debugger, whatever the environment says, unless they are told to go on with one.
    @Test func theDebuggerIsNotForChildren() throws {
        var settings = RunSettings(), child = RunSettings(), heir = RunSettings()
        _ = try OptionTable.run.scan(["p"], environment: { $0 == "QEMU_GDB" ? "1234" : nil }, into: &settings)
        #expect(settings.options.debugger == "1234")
        let words = settings.options.commandLine.dropFirst()
        _ = try OptionTable.run.scan(words + ["--", "c"], environment: { $0 == "QEMU_GDB" ? "1234" : nil }, into: &child)
        #expect(child.options.debugger == nil)
        _ = try OptionTable.run.scan(words + ["--gdb", "inherited:900:f1", "--", "c"], environment: { _ in nil }, into: &heir)
        #expect(heir.options.debugger == "inherited:900:f1" && heir.options.commandLine.contains("none"))
    }
}

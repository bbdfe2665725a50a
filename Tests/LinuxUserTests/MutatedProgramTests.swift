// Damaged programs run by the executable itself. Each must end with a clear message of Mynah's, with a status of the guest's,
// or by a signal that the trace shows to be the guest's. One that does not end is the guest's own loop if the interpreter
// does not end it either. qemu may end it nevertheless, because it gives the guest no vDSO or other addresses; more than a
// few of these are a defect.
//
// MYNAH_MUTANTS: how many (default 240). MYNAH_MUTANT_SEED: the first seed. MYNAH_EXECUTABLE: which mynah.
// A failure prints the seed and keeps the file; MYNAH_MUTANTS=1 with the seed repeats it.

import CConfinement
import Glibc
import Testing

@testable import LinuxUser

/// How a run of a damaged program ended.
private enum Ending: Hashable {
    case message, guestStatus, guestSignal(Int32), endless, endlessUnlikeQemu
    case defect(String)
}

@Suite struct MutatedProgramTests {
    private static func setting(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
    private static let count = setting("MYNAH_MUTANTS").flatMap(Int.init) ?? 240
    private static let firstSeed = setting("MYNAH_MUTANT_SEED").flatMap(UInt64.init) ?? 1
    private static let executable = setting("MYNAH_EXECUTABLE") ?? ownDirectory + "/mynah"
    private static let qemu: String? = ["/usr/bin/qemu-riscv64", "/usr/local/bin/qemu-riscv64"].first { (path: String) in
        access(path, X_OK) == 0
    }
    private static let images = ["hello", "maps", "hello", "compress"]
    private static let engines = ["auto", "block", "interpreter", "region"]
    private static let shards = 2
    /// Far above what the undamaged programs take, and what is far above that on a host with much else to do.
    private static let milliseconds: Int32 = 400, patience: Int32 = 15_000

    private static var ownDirectory: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, 4095)
        let runner = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // The tests' own bundle says where they were built when another program runs them.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? runner
        return String(bundle[..<(bundle.lastIndex(of: "/") ?? bundle.startIndex)])
    }

    private struct Run {
        var status: Int32
        var isTimedOut: Bool
        var errors: String
        var signal: Int32 { status & 0x7f }
        var exitStatus: Int32 { status >> 8 & 0xff }
    }

    private static func run(_ command: [String], in directory: String, milliseconds: Int32) throws -> Run {
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        var result = confined_result()
        var errors = [CChar](repeating: 0, count: 1 << 15)
        let failure = confined_run(command[0], &arguments, directory, milliseconds, &errors, errors.count, &result)
        try #require(failure == 0, "\(command[0]) cannot be started: \(String(cString: strerror(failure)))")
        let text = String(decoding: errors.prefix(result.error_count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return Run(status: result.status, isTimedOut: result.timed_out != 0, errors: text)
    }

    /// Runs the file by one engine and judges how it ended.
    private static func judge(_ path: String, engine: String, in directory: String) throws -> Ending {
        func mynah(_ options: [String], _ milliseconds: Int32) throws -> Run {
            try run(
                [executable, "run", "--cache", "off"] + options + ["--", path, "1"], in: directory, milliseconds: milliseconds)
        }
        let first = try mynah(["--engine", engine], milliseconds)
        for sign in ["Fatal error", "internal error", "Program crashed"] where first.errors.contains(sign) {
            return .defect(first.errors)
        }
        if first.isTimedOut {
            let reference = try mynah(["--engine", "interpreter"], milliseconds)
            let peer =
                try reference.isTimedOut ? qemu.map { try run([$0, path, "1"], in: directory, milliseconds: milliseconds) } : nil
            if reference.isTimedOut && peer?.isTimedOut != false { return .endless }
            // Slow is not endless.
            if try !mynah(["--engine", engine], patience).isTimedOut { return .guestStatus }
            return reference.isTimedOut ? .endlessUnlikeQemu : .defect("does not end; under the interpreter: \(reference)")
        }
        if first.signal == 0 { return judge(exit: first) }
        // No defect of Mynah's ends in another signal; of these the trace says which the guest caused or sent to itself.
        guard [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS].contains(first.signal) else {
            return .guestSignal(first.signal)
        }
        let traced = try mynah(["--engine", engine, "--strace=kill,tkill,tgkill"], patience)
        let isOwned =
            traced.signal == first.signal && traced.errors.contains("+++ killed by \(StraceNames.signal(Int(first.signal))) +++")
        return isOwned ? .guestSignal(first.signal) : .defect("signal \(first.signal) that is not the guest's: \(traced)")
    }

    private static func judge(exit run: Run) -> Ending {
        guard [125, 126, 127].contains(run.exitStatus), run.errors.hasPrefix("mynah: ") else { return .guestStatus }
        // One sentence or more, and one line.
        let isClear = run.exitStatus != 125 && run.errors.hasSuffix(".\n") && run.errors.split(separator: "\n").count == 1
        return isClear ? .message : .defect(run.errors)
    }

    @Test(arguments: 0..<shards) func noMutantBreaksTheEmulator(shard: Int) throws {
        try #require(
            access(Self.executable, X_OK) == 0, "no \(Self.executable): build the product mynah, or set MYNAH_EXECUTABLE")
        var name = Array("/tmp/mynah-mutants-XXXXXX".utf8CString)
        try #require(mkdtemp(&name) != nil)
        let directory = String(cString: name), path = directory + "/mutant"
        chmod(directory, 0o755)
        defer {
            unlink(path)
            rmdir(directory)
        }
        var originals: [String: [UInt8]] = [:]
        for image in Self.images { originals[image] = try MutatedELFTests.image(image) }
        var endings: [Ending: Int] = [:]
        for index in stride(from: shard, to: Self.count, by: Self.shards) {
            let seed = Self.firstSeed + UInt64(index)
            let image = Self.images[Int(seed / UInt64(Self.shards) % UInt64(Self.images.count))]
            let mutant = ELFMutator(originals[image]!, seed: seed)
            unlink(path)
            try write(mutant.bytes, to: path)
            let ending = try Self.judge(path, engine: Self.engines[Int(seed / 8 % UInt64(Self.engines.count))], in: directory)
            endings[ending, default: 0] += 1
            if ending == .endlessUnlikeQemu { print("seed \(seed), \(image): qemu ends it: \(mutant.description)") }
            if case .defect(let what) = ending {
                let kept = "/tmp/mynah-mutant-\(seed)"
                try write(mutant.bytes, to: kept)
                Issue.record("seed \(seed), \(image), kept as \(kept): \(mutant.description)\n\(what)")
            }
        }
        #expect(endings[.endlessUnlikeQemu, default: 0] <= 1 + Self.count / 1000)
        print("mutants, shard \(shard): " + endings.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", "))
        // The damage must neither be harmless throughout nor be refused throughout.
        if Self.count >= 100 {
            #expect(endings[.message] != nil && endings[.guestStatus] != nil && endings[.guestSignal(SIGSEGV)] != nil)
        }
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o755)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress!, $0.count) }
        try #require(count == bytes.count)
    }
}

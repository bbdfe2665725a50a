// Where the guest programs for measuring are, and their native builds.

import Glibc

struct GuestImages {
    /// The directory GuestImages of the package.
    var directory: String
    static let machine = "riscv64"
    /// The program that does nothing: measures start-up.
    static let startUpProbe = "hello"

    /// Looks above the working directory and above this executable.
    static func locate() -> GuestImages? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let working = getcwd(&buffer, buffer.count) == nil ? "." : String(cString: buffer)
        for start in [working, Files.parent(of: Files.ownExecutable)] {
            var directory = start
            while true {
                let candidate = directory == "/" ? "/GuestImages" : directory + "/GuestImages"
                if Files.isDirectory(candidate + "/" + machine) { return GuestImages(directory: candidate) }
                if directory == "/" || directory == "." { break }
                directory = Files.parent(of: directory)
            }
        }
        return nil
    }

    var names: [String] {
        Files.names(in: directory + "/" + Self.machine).filter { Files.isExecutable(path(of: $0)) }
    }

    func path(of name: String) -> String { "\(directory)/\(Self.machine)/\(name)" }

    /// A directory with native builds of the same programs, built when missing or older than the sources.
    /// - Returns: nil when this machine has no C compiler.
    func nativeDirectory(progress: (String) -> Void) throws -> String? {
        let target = Files.cacheDirectory + "/native"
        if isCurrent(target) { return target }
        guard Files.findProgram("cc") != nil else { return nil }
        progress("building the same programs for this machine")
        Files.makeDirectories(target)
        let result = try ChildProcess.run([directory + "/build", "--native", target])
        guard result.status == 0 else {
            throw CommandFailure(
                status: ExitStatus.failed,
                "the native builds failed; leave them out with --no-native, or give a directory with --native "
                    + "DIR:\n\(result.errorText)")
        }
        return target
    }

    private func isCurrent(_ target: String) -> Bool {
        let sources =
            ["/build", "/sources/benchmark.h"]
            + Files.names(in: directory + "/sources/benchmarks").map { "/sources/benchmarks/" + $0 }
        let newest = sources.compactMap { Files.modificationTime(directory + $0) }.max() ?? 0
        return names.allSatisfy { name in
            // dispatch needs a C++ compiler and may be missing.
            name == "dispatch" && Files.findProgram("c++") == nil || (Files.modificationTime("\(target)/\(name)") ?? -1) >= newest
        }
    }
}

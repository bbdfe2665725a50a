// Small files, directories and the search path.

import Glibc

enum Files {
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
    static func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 && !isDirectory(path) }

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Seconds of the last change; nil when there is no such file.
    static func modificationTime(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mtim.tv_sec : nil
    }

    /// Names in a directory, sorted; empty when it cannot be read.
    static func names(in directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return readAll(descriptor)
    }

    static func readText(_ path: String) -> String? {
        read(path).map { String(decoding: $0, as: UTF8.self) }
    }

    static func readAll(_ descriptor: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return bytes }
            bytes += chunk[..<count]
        }
    }

    static func write(_ text: String, to path: String) throws {
        let failure = { CommandFailure(status: ExitStatus.failed, "cannot write '\(path)': \(String(cString: strerror(errno)))") }
        guard let file = fopen(path, "w") else { throw failure() }
        let isWritten = fputs(text, file) >= 0
        // What is still buffered may find no room either.
        guard fclose(file) == 0, isWritten else { throw failure() }
    }

    static func isRegular(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Makes sure before long work that its result can be written.
    /// - Parameter replaces: a new file takes the place of what is there, which has to be a file, too.
    static func requireWritable(_ path: String?, option: String, replaces: Bool = false) throws {
        guard let path else { return }
        let existed = exists(path)
        if replaces {
            if existed, !isRegular(path) { throw CommandFailure.usage("'\(option)': '\(path)' is no regular file") }
            guard access(parent(of: path), W_OK) == 0 else {
                throw CommandFailure.usage("'\(option)': cannot write '\(path)': \(String(cString: strerror(errno)))")
            }
        }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o644)
        guard descriptor >= 0 else {
            throw CommandFailure.usage("'\(option)': cannot write '\(path)': \(String(cString: strerror(errno)))")
        }
        close(descriptor)
        if !existed { unlink(path) }
    }

    static func makeDirectories(_ path: String) {
        var prefix = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            prefix += "/" + part
            mkdir(prefix, 0o755)
        }
    }

    /// The path of a program on PATH.
    static func findProgram(_ name: String) -> String? {
        let directories = (Console.environmentVariable("PATH") ?? "/usr/bin:/bin").split(separator: ":")
        return directories.map { "\($0)/\(name)" }.first(where: isExecutable)
    }

    /// The path of this executable.
    static var ownExecutable: String {
        var buffer = [CChar](repeating: 0, count: 4097)
        let count = readlink("/proc/self/exe", &buffer, 4096)
        return count > 0
            ? String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : CommandLine.arguments[0]
    }

    /// Where things are kept that can be made again.
    static var cacheDirectory: String {
        if let cache = Console.environmentVariable("XDG_CACHE_HOME"), cache.hasPrefix("/") { return cache + "/mynah" }
        if let home = Console.environmentVariable("HOME"), home.hasPrefix("/") { return home + "/.cache/mynah" }
        return "/tmp/mynah-cache-\(getuid())"
    }

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

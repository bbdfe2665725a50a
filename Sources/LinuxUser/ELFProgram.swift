// Finding what a path runs: an ELF program of the guest, one of the host, or a script whose first line names another.

import Glibc

/// An executable that was found and opened.
package struct ELFProgram {
    /// The file as the host names it.
    package var hostPath: String
    /// As the guest named it; AT_EXECFN.
    package var guestPath: [UInt8]
    /// With the words of #! lines in front.
    package var arguments: [[UInt8]]
    package var file: ELFFile
    /// Open for reading; the caller closes it.
    package var descriptor: Int32

    /// Linux follows four #! lines.
    private static let scriptDepth = 5
    private static let lineBytes = 256

    /// Opens the program that the guest's path leads to.
    package static func find(_ path: [UInt8], arguments: [[UInt8]], paths: PathResolver) throws -> ELFProgram {
        var path = path, arguments = arguments
        for _ in 0...scriptDepth {
            let (descriptor, hostPath) = try openExecutable(path, paths)
            let line = ELFFile.read(descriptor, at: 0, count: lineBytes)
            if line.starts(with: Array("#!".utf8)) {
                close(descriptor)
                let (interpreter, argument) = try parse(line, script: hostPath)
                arguments = [interpreter] + (argument.map { [$0] } ?? []) + [path] + arguments.dropFirst()
                path = interpreter
                continue
            }
            do {
                let file = try ELFFile(descriptor: descriptor, path: hostPath)
                return ELFProgram(hostPath: hostPath, guestPath: path, arguments: arguments, file: file, descriptor: descriptor)
            } catch {
                close(descriptor)
                throw error
            }
        }
        throw ExecutableError(
            exitStatus: 126, errno: .ELOOP,
            description: "\(text(path)): its #! line leads through more than four scripts. Name a program there.")
    }

    /// Opens a regular file that may be executed.
    private static func openExecutable(_ path: [UInt8], _ paths: PathResolver) throws -> (Int32, String) {
        let name = text(path)
        let hostPath = paths.hostPath(of: name) ?? name
        // An unusual name keeps its bytes.
        let bytes = hostPath == name ? path : Array(hostPath.utf8)
        return try (bytes + [0]).withUnsafeBufferPointer { buffer in
            try buffer.withMemoryRebound(to: CChar.self) { pointer in
                let name = pointer.baseAddress!
                guard access(name, F_OK) == 0 else { throw failure(hostPath, errno) }
                var status = stat()
                guard stat(name, &status) == 0 else { throw failure(hostPath, errno) }
                guard status.st_mode & S_IFMT == S_IFREG else {
                    let kind = status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "not a regular file"
                    throw ExecutableError(exitStatus: 126, errno: .EACCES, description: "\(hostPath): \(kind), not a program.")
                }
                guard faccessat(AT_FDCWD, name, X_OK, 0x200 /* AT_EACCESS */) == 0 else {
                    throw ExecutableError(
                        exitStatus: 126, errno: .EACCES,
                        description: "\(hostPath): not marked as executable. Run `chmod +x \(hostPath)`.")
                }
                let descriptor = open(name, O_RDONLY | O_CLOEXEC)
                guard descriptor >= 0 else { throw failure(hostPath, errno) }
                return (descriptor, hostPath)
            }
        }
    }

    private static func failure(_ path: String, _ number: Int32) -> ExecutableError {
        let isMissing = number == ENOENT || number == ENOTDIR
        let advice =
            isMissing
            ? ". Check the path"
                + (path.contains("/") ? "." : "; programs are not searched for in PATH: write ./\(path) or a full path.") : "."
        return ExecutableError(
            exitStatus: isMissing ? 127 : 126, errno: Errno(rawValue: number) ?? .EACCES,
            description: "\(path): \(String(cString: strerror(number)))\(advice)")
    }

    /// The interpreter and the optional argument (everything behind it) of a #! line.
    private static func parse(_ bytes: [UInt8], script: String) throws -> (interpreter: [UInt8], argument: [UInt8]?) {
        let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        var line = bytes.dropFirst(2).prefix { $0 != 0x0a && $0 != 0 }
        line = line.drop(while: isBlank)
        while let last = line.last, isBlank(last) || last == 0x0d && line.count == 1 { line = line.dropLast() }
        let interpreter = line.prefix { !isBlank($0) }
        guard !interpreter.isEmpty else {
            throw ExecutableError(
                exitStatus: 126, errno: .ENOEXEC, description: "\(script): its #! line names no interpreter. Name one.")
        }
        let rest = line.dropFirst(interpreter.count).drop(while: isBlank)
        return (Array(interpreter), rest.isEmpty ? nil : Array(rest))
    }

    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}

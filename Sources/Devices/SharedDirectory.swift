// A directory of the host, from which nothing leads out. A file is named by the list of names below the directory; the directory
// that holds it is opened without following any link (openat2 with RESOLVE_BENEATH), then a call on that directory takes the last
// name and follows no link either. So a link means something only to the guest, which resolves it itself.

import CHost
import DeviceModel
import Glibc

/// A Linux errno, which the guest sees.
struct FileError: Error {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    static var last: FileError { FileError(errno) }
}

/// Whose ids and modes the guest sees.
package enum FileIdentities: String, CaseIterable {
    /// The host's; changing owners needs the rights to.
    case passthrough
    /// Kept in extended attributes (`user.virtfs.*`, as QEMU's mapped-xattr), so that the guest's root can own files. Links and
    /// devices are ordinary files to the host.
    case mapped
}

typealias FileName = [UInt8]

final class SharedDirectory {
    let root: Int32
    let identities: FileIdentities
    let isReadOnly: Bool

    private static let pathOnly: Int32 = 0o10000000
    static let noFollow = AT_SYMLINK_NOFOLLOW
    private static let depthLimit = 512

    init(path: String, identities: FileIdentities, isReadOnly: Bool) throws(BackendError) {
        root = open(path, SharedDirectory.pathOnly | O_DIRECTORY | O_CLOEXEC)
        guard root >= 0 else { throw BackendError("cannot share the directory \(path)", errorNumber: errno) }
        self.identities = identities
        self.isReadOnly = isReadOnly
    }

    deinit { close(root) }

    /// A name that a guest may use for an entry of a directory.
    static func check(_ name: FileName) throws(FileError) {
        guard !name.isEmpty, name.count <= 255 else { throw FileError(name.isEmpty ? ENOENT : ENAMETOOLONG) }
        if name.contains(UInt8(ascii: "/")) || name.contains(0) || name == [46] || name == [46, 46] { throw FileError(EINVAL) }
    }

    /// Calls `body` with a descriptor of the directory that holds the last name, and that name: "." for the shared directory
    /// itself.
    func withParent<Result>(
        _ path: [FileName], _ body: (Int32, UnsafePointer<CChar>) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        guard let last = path.last else {
            return try SharedDirectory.withName([46]) { (name) throws(FileError) in try body(root, name) }
        }
        for name in path { try SharedDirectory.check(name) }
        let directory = try openDirectory(Array(path.dropLast()))
        defer { if directory != root { close(directory) } }
        return try SharedDirectory.withName(last) { (name) throws(FileError) in try body(directory, name) }
    }

    static func withName<Result>(
        _ name: FileName, _ body: (UnsafePointer<CChar>) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        var text = name.map { CChar(bitPattern: $0) }
        text.append(0)
        var result: Swift.Result<Result, FileError>!
        text.withUnsafeBufferPointer { buffer in
            do throws(FileError) { result = .success(try body(buffer.baseAddress!)) } catch { result = .failure(error) }
        }
        return try result.get()
    }

    private func openDirectory(_ path: [FileName]) throws(FileError) -> Int32 {
        if path.isEmpty { return root }
        guard path.count < SharedDirectory.depthLimit else { throw FileError(ENAMETOOLONG) }
        let text = FileName(path.joined(separator: [UInt8(ascii: "/")]))
        // struct open_how: flags, mode, resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS.
        var how: (UInt64, UInt64, UInt64) = (UInt64(SharedDirectory.pathOnly | O_DIRECTORY | O_CLOEXEC), 0, 0xe)
        for _ in 0..<16 {
            let opened = try SharedDirectory.withName(text) { name in
                withUnsafeMutablePointer(to: &how) {
                    mynah_syscall(437, Int(root), Int(bitPattern: name), Int(bitPattern: $0), 24, 0, 0)
                }
            }
            if opened >= 0 { return Int32(opened) }
            if opened == -Int(ENOSYS) || opened == -Int(EPERM) { return try openStepwise(path) }
            if opened != -Int(EAGAIN) { throw FileError(Int32(-opened)) }
        }
        throw FileError(EAGAIN)
    }

    /// The same where the kernel has no openat2(2): directory by directory.
    private func openStepwise(_ path: [FileName]) throws(FileError) -> Int32 {
        var directory = root
        for name in path {
            let next = try SharedDirectory.withName(name) {
                openat(directory, $0, SharedDirectory.pathOnly | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            }
            let failure = FileError.last
            if directory != root { close(directory) }
            guard next >= 0 else { throw failure }
            directory = next
        }
        return directory
    }

    static func succeed(_ status: Int32) throws(FileError) { if status != 0 { throw FileError.last } }

    func checkWritable() throws(FileError) { if isReadOnly { throw FileError(EROFS) } }

    // MARK: Status

    func status(_ path: [FileName]) throws(FileError) -> stat {
        var result = stat()
        try withParent(path) { (parent, name) throws(FileError) in
            try SharedDirectory.succeed(fstatat(parent, name, &result, SharedDirectory.noFollow))
        }
        if identities == .mapped { try applyMapping(path, &result) }
        return result
    }

    /// Opens a regular file or a directory; nothing else has a meaning on both sides.
    func openFile(_ path: [FileName], flags: Int32) throws(FileError) -> Int32 {
        try withParent(path) { (parent, name) throws(FileError) in
            var status = stat()
            try SharedDirectory.succeed(fstatat(parent, name, &status, SharedDirectory.noFollow))
            let kind = status.st_mode & S_IFMT
            guard kind == S_IFREG || kind == S_IFDIR else { throw FileError(kind == S_IFLNK ? ELOOP : ENXIO) }
            let opened = openat(parent, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
            guard opened >= 0 else { throw FileError.last }
            return opened
        }
    }

    /// A path by which calls that know no descriptor of a directory reach the file itself, and not what it links to.
    func withProcPath<Result>(
        _ path: [FileName], _ body: (UnsafePointer<CChar>) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        try withParent(path) { (parent, name) throws(FileError) in
            var text = Array("/proc/self/fd/\(parent)/".utf8)
            text += UnsafeBufferPointer(start: name, count: strlen(name)).map { UInt8(bitPattern: $0) }
            return try SharedDirectory.withName(text, body)
        }
    }

    /// Changes the mode of anything but a link: through a descriptor, since chmod(2) follows links.
    func setHostMode(_ path: [FileName], _ mode: mode_t) throws(FileError) {
        try withParent(path) { (parent, name) throws(FileError) in
            let opened = openat(parent, name, SharedDirectory.pathOnly | O_NOFOLLOW | O_CLOEXEC)
            guard opened >= 0 else { throw FileError.last }
            defer { close(opened) }
            var status = stat()
            try SharedDirectory.succeed(fstat(opened, &status))
            guard status.st_mode & S_IFMT != S_IFLNK else { throw FileError(EOPNOTSUPP) }
            try SharedDirectory.succeed(chmod("/proc/self/fd/\(opened)", mode & 0o7777))
        }
    }

    // MARK: Extended attributes: getxattr and the like are 192, 189, 195 and 198 for the file itself

    func attribute(_ path: [FileName], _ name: FileName, limit: Int = 65536) throws(FileError) -> [UInt8] {
        try withProcPath(path) { (file) throws(FileError) in
            try SharedDirectory.withName(name) { (name) throws(FileError) in
                try SharedDirectory.collect(limit) {
                    mynah_syscall(192, Int(bitPattern: file), Int(bitPattern: name), $0, $1, 0, 0)
                }
            }
        }
    }

    func attributeNames(_ path: [FileName]) throws(FileError) -> [FileName] {
        let bytes = try withProcPath(path) { (file) throws(FileError) in
            try SharedDirectory.collect(65536) { mynah_syscall(195, Int(bitPattern: file), $0, $1, 0, 0, 0) }
        }
        return bytes.split(separator: 0).map { FileName($0) }
    }

    private static func collect(_ limit: Int, _ call: (Int, Int) -> Int) throws(FileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = bytes.withUnsafeMutableBytes { call(Int(bitPattern: $0.baseAddress!), limit) }
        guard count >= 0 else { throw FileError(Int32(-count)) }
        return Array(bytes.prefix(count))
    }

    func setAttribute(_ path: [FileName], _ name: FileName, _ value: [UInt8], flags: Int = 0) throws(FileError) {
        let result = try withProcPath(path) { (file) throws(FileError) in
            try SharedDirectory.withName(name) { name in
                value.withUnsafeBytes {
                    mynah_syscall(
                        189, Int(bitPattern: file), Int(bitPattern: name), Int(bitPattern: $0.baseAddress), value.count, flags, 0)
                }
            }
        }
        guard result >= 0 else { throw FileError(Int32(-result)) }
    }

    func removeAttribute(_ path: [FileName], _ name: FileName) throws(FileError) {
        let result = try withProcPath(path) { (file) throws(FileError) in
            try SharedDirectory.withName(name) { mynah_syscall(198, Int(bitPattern: file), Int(bitPattern: $0), 0, 0, 0, 0) }
        }
        guard result >= 0 else { throw FileError(Int32(-result)) }
    }
}

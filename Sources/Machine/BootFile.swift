// What can be loaded into a machine, recognised by its content: kernels, ELF programs, firmware. Everything here takes bytes that
// nobody vouches for and gives plain data or a message that names the file.

import Glibc

/// Why a file cannot be loaded into a machine.
package enum BootError: Error, Equatable, CustomStringConvertible {
    /// There is no such file.
    case notFound(String)
    /// The file is there, but no machine of ours can start it: wrong processor, damaged, cut off, too large.
    case notBootable(String)
    /// The machine that was asked for cannot be made: sizes and combinations of options.
    case badMachine(String)

    package var description: String {
        switch self {
        case .notFound(let text), .notBootable(let text), .badMachine(let text): text
        }
    }
}

/// A file's bytes and its name for messages.
package struct BootFile {
    package let path: String
    package let bytes: [UInt8]

    /// Files of more bytes are not read: they cannot be what is meant.
    package static let largestByteCount = 8 << 30

    package init(path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }

    /// - Parameter what: for messages, e.g. "kernel".
    package init(reading path: String, as what: String) throws {
        // A pipe without a writer is no reason to wait.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Self.openError(path, what) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw BootError.notBootable("the \(what) '\(path)' is no regular file")
        }
        guard Int(status.st_size) <= Self.largestByteCount else {
            throw BootError.notBootable("the \(what) '\(path)' has \(status.st_size >> 30) GiB, which is more than can be loaded")
        }
        let count = Int(status.st_size)
        let content = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while initialized < count {
                // SAFETY: `initialized` stays below `count`, the capacity that was asked for.
                let got = read(descriptor, buffer.baseAddress! + initialized, count - initialized)
                if got < 0 && errno == EINTR { continue }
                if got <= 0 { break }
                initialized += got
            }
        }
        guard content.count == count else { throw BootError.notBootable("the \(what) '\(path)' cannot be read to its end") }
        self.init(path: path, bytes: content)
    }

    private static func openError(_ path: String, _ what: String) -> BootError {
        let reason = String(cString: strerror(errno))
        return errno == ENOENT || errno == ENOTDIR
            ? .notFound("there is no \(what) '\(path)'") : .notBootable("cannot open the \(what) '\(path)': \(reason)")
    }

    /// The same, unpacked when it is a gzip file.
    package func unpacked(limit: Int) throws -> BootFile {
        guard Gzip.isGzip(bytes) else { return self }
        do { return BootFile(path: path, bytes: try Gzip.unpack(bytes, limit: limit)) } catch {
            throw BootError.notBootable("'\(path)': \(error)")
        }
    }
}

extension [UInt8] {
    /// The little-endian number at `offset`; nil when it is not all there.
    package func number<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type = Number.self) -> Number? {
        guard offset >= 0, offset <= count - MemoryLayout<Number>.size else { return nil }
        return withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self)) }
    }
}

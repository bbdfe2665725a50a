// The file that a machine is saved to. Little endian.
//
//     8 bytes    "MYNAHVM" and 0x1a, which ends a text
//     4          version of the format (`SavedMachineFile.version`)
//     4          0
//     sections: 4 bytes of name, 4 of zeroes, 8 with the count of bytes behind these sixteen
//       "MACH"   what the machine consists of: a `MachineDescription` in CBOR
//       "STAT"   the states of processor and devices: a `MachineState` in CBOR
//       "DISK"   pages that the guest wrote to drives that are snapshots (`SavedPages`); any number of them, in the order of the
//       drives "PAGE"   pages of memory (`SavedPages`); any number of them. What is in none of them is zero "DONE"   8 bytes: the
//       digest of everything before this section, each header and each content in turn (`mynah_digest`)
//
// Nothing is behind "DONE". The digest tells what was cut off or changed by accident; whoever reads a file trusts nothing in it
// anyway: a right digest says nothing about who has made it.

import CHost
import DeviceModel
import Glibc

package enum SavedMachineFile {
    package static let version: UInt32 = 2
    package static let magic: UInt64 = 0x1a4d_5648_414e_594d

    package enum Section: UInt32, Sendable {
        case machine = 0x4843_414d, state = 0x5441_5453, disk = 0x4b53_4944, pages = 0x4547_4150, done = 0x454e_4f44

        /// Longer ones are refused, before memory is taken for them.
        package var byteLimit: Int {
            switch self {
            case .machine: 1 << 20
            case .state: 16 << 20
            case .disk, .pages: SavedPages.sectionLimit
            case .done: 8
            }
        }
    }

    static let headerBytes = 16
    static let seed: UInt64 = 0x6d79_6e61_682d_766d

    static func header(_ first: UInt64, _ second: UInt64) -> [UInt8] {
        [first, second].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) } }
    }
}

/// Writes a file that appears under its name only when it is whole.
package final class SavedMachineWriter {
    private let path: String
    private var temporary: [CChar]
    private var descriptor: Int32
    private var digest: UInt64
    package private(set) var byteCount = 0

    /// - Throws: `BootError.notBootable` when the host refuses, or when something else than a file has that name.
    package init(path: String) throws(BootError) {
        var status = stat()
        guard stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG else {
            // A device or a directory would lose its name to the file.
            throw .notBootable("cannot save the machine to '\(path)', which is no regular file: save elsewhere")
        }
        self.path = path
        temporary = Array("\(path).XXXXXX".utf8CString)
        // A machine's memory is nobody else's business: mkstemp(3) makes the file for its owner alone.
        descriptor = mkstemp(&temporary)
        digest = SavedMachineFile.seed
        guard descriptor >= 0 else { throw SavedMachineWriter.failure(path, errno) }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        try write(SavedMachineFile.header(SavedMachineFile.magic, UInt64(SavedMachineFile.version)))
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        unlink(temporary)
    }

    private static func failure(_ path: String, _ number: Int32) -> BootError {
        let advice = number == ENOSPC ? ": make room there, or save elsewhere" : ""
        return .notBootable("cannot save the machine to '\(path)': \(String(cString: strerror(number)))\(advice)")
    }

    package func section(_ section: SavedMachineFile.Section, _ content: [UInt8]) throws(BootError) {
        var result: Result<Void, BootError> = .success(())
        content.withUnsafeBytes { bytes in
            do throws(BootError) { try self.section(section, bytes) } catch { result = .failure(error) }
        }
        try result.get()
    }

    package func section(_ section: SavedMachineFile.Section, _ content: UnsafeRawBufferPointer) throws(BootError) {
        guard content.count <= section.byteLimit else {
            throw .notBootable(
                "cannot save the machine to '\(path)': the state of its devices has \(content.count) bytes, which is too much")
        }
        try write(SavedMachineFile.header(UInt64(section.rawValue), UInt64(content.count)))
        try write(content)
    }

    /// Ends the file and gives it its name.
    package func finish() throws(BootError) {
        let end = digest
        try section(.done, (0..<8).map { UInt8(truncatingIfNeeded: end >> UInt64(8 * $0)) })
        // The name must not lead to a file whose content a crash of the host takes away.
        let isSafe = fdatasync(descriptor) == 0 || errno == EINVAL
        let failed = isSafe ? 0 : errno
        guard isSafe, rename(temporary, path) == 0 else { throw SavedMachineWriter.failure(path, failed != 0 ? failed : errno) }
        close(descriptor)
        descriptor = -1
    }

    private func write(_ bytes: [UInt8]) throws(BootError) {
        var result: Result<Void, BootError> = .success(())
        bytes.withUnsafeBytes { buffer in
            do throws(BootError) { try write(buffer) } catch { result = .failure(error) }
        }
        try result.get()
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(BootError) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        digest = mynah_digest(start, bytes.count, digest)
        var done = 0
        while done < bytes.count {
            let count = Glibc.write(descriptor, start + done, bytes.count - done)
            if count >= 0 { done += count } else if errno != EINTR { throw SavedMachineWriter.failure(path, errno) }
        }
        byteCount += bytes.count
    }
}

/// Reads a file, first all of it to see whether it is whole, then section by section.
package final class SavedMachineReader {
    private let path: String
    private let descriptor: Int32
    private let byteCount: Int
    private var position = SavedMachineFile.headerBytes
    private var digest = SavedMachineFile.seed, headerDigest = SavedMachineFile.seed

    /// Opens the file and looks at all of it.
    /// - Parameter verifies: false to leave out the latter.
    /// - Throws: `BootError`: missing, no saved machine, of another version, cut off, changed.
    package init(path: String, verifies: Bool = true) throws(BootError) {
        self.path = path
        // A pipe without a writer is no reason to wait.
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let reason = errno
            if reason == ENOENT || reason == ENOTDIR {
                throw .notFound("there is no saved machine '\(path)'; 'mynah boot --save FILE' makes one")
            }
            throw .notBootable("cannot open the saved machine '\(path)': \(String(cString: strerror(reason)))")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            byteCount = 0
            throw .notBootable("the saved machine '\(path)' is no regular file")
        }
        byteCount = Int(status.st_size)
        try checkHeader()
        if !verifies { return }
        while try next() != nil {}
        rewind()
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private func damaged(_ what: String) -> BootError {
        .notBootable(
            "the saved machine '\(path)' is damaged (\(what)): it cannot be loaded; take another copy, or save the machine again")
    }

    private func checkHeader() throws(BootError) {
        let header = try read(SavedMachineFile.headerBytes, at: 0)
        guard let magic: UInt64 = header.number(at: 0), magic == SavedMachineFile.magic else {
            throw .notBootable("'\(path)' is no saved machine; 'mynah boot --save FILE' makes one")
        }
        guard let version: UInt32 = header.number(at: 8), version == SavedMachineFile.version else {
            let found = header.number(at: 8, as: UInt32.self) ?? 0
            throw .notBootable(
                "the saved machine '\(path)' has version \(found) of the format, and this Mynah reads version "
                    + "\(SavedMachineFile.version): load it with "
                    + "the Mynah that saved it, or save the machine again")
        }
        guard header.number(at: 12, as: UInt32.self) == 0 else { throw damaged("its header") }
        headerDigest = header.withUnsafeBytes { mynah_digest($0.baseAddress!, $0.count, digest) }
        digest = headerDigest
    }

    /// Back to the first section.
    package func rewind() {
        position = SavedMachineFile.headerBytes
        digest = headerDigest
    }

    /// The next section and its content; nil at the end.
    package func next() throws(BootError) -> (section: SavedMachineFile.Section, content: [UInt8])? {
        guard byteCount - position >= SavedMachineFile.headerBytes else { throw damaged("it is cut off") }
        let header = try read(SavedMachineFile.headerBytes, at: position)
        guard let name: UInt64 = header.number(at: 0), let length: UInt64 = header.number(at: 8),
            let known = UInt32(exactly: name),
            let section = SavedMachineFile.Section(rawValue: known), length <= UInt64(section.byteLimit)
        else { throw damaged("an unknown section at \(position)") }
        position += SavedMachineFile.headerBytes
        guard byteCount - position >= Int(length) else { throw damaged("it is cut off") }
        let expected = digest
        let content = try read(Int(length), at: position)
        position += Int(length)
        if section == .done {
            guard content.number(at: 0, as: UInt64.self) == expected else { throw damaged("it was changed") }
            guard position == byteCount else { throw damaged("there is something behind its end") }
            return nil
        }
        digest = header.withUnsafeBytes { mynah_digest($0.baseAddress!, $0.count, digest) }
        if length > 0 { digest = content.withUnsafeBytes { mynah_digest($0.baseAddress!, $0.count, digest) } }
        return (section, content)
    }

    private func read(_ count: Int, at offset: Int) throws(BootError) -> [UInt8] {
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, done in
            while done < count {
                // SAFETY: `done` stays below `count`, the capacity that was asked for.
                let got = pread(descriptor, buffer.baseAddress! + done, count - done, off_t(offset + done))
                if got < 0 && errno == EINTR { continue }
                if got <= 0 { break }
                done += got
            }
        }
        guard bytes.count == count else { throw damaged("it is cut off") }
        return bytes
    }
}

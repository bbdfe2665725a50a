// Reading an ELF executable's headers, every field checked before it is used (System V ABI, chapters 4 and 5).

import Glibc

/// Why a program cannot be run. The message says what is wrong and what to do.
package struct ExecutableError: Error, CustomStringConvertible {
    /// 126: found but not runnable. 127: not found.
    package var exitStatus: Int32
    /// What execve(2) reports.
    package var errno: Errno
    package var description: String

    static func malformed(_ path: String, _ what: String) -> ExecutableError {
        ExecutableError(
            exitStatus: 126, errno: .ENOEXEC,
            description: "\(path): not a valid ELF program: \(what). Check that the file is complete.")
    }
}

/// A program header.
package struct ProgramHeader {
    package static let load: UInt32 = 1, dynamic: UInt32 = 2, interpreter: UInt32 = 3, headers: UInt32 = 6,
        stack: UInt32 = 0x6474_e551
    package static let byteCount = 56
    package var type: UInt32, flags: UInt32
    package var offset: UInt64, address: UInt64
    package var fileBytes: UInt64, memoryBytes: UInt64
    package var alignment: UInt64
}

package struct ELFFile {
    package var path: String
    package var machine: UInt16
    package var isPositionIndependent: Bool
    package var entry: UInt64
    package var programHeadersOffset: UInt64
    package var programHeaders: [ProgramHeader]
    package var interpreterPath: String?
    package var fileByteCount: UInt64

    package static let magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46]
    private static let headerBytes = 64

    /// Names for messages; others are shown by number.
    static func machineName(_ machine: UInt16) -> String {
        let names: [UInt16: String] = [
            3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC 64", 22: "IBM Z", 40: "Arm (32-bit)", 62: "x86-64", 183: "AArch64",
            243: "RISC-V", 258: "LoongArch",
        ]
        return names[machine] ?? "machine number \(machine)"
    }

    /// Reads the headers of an open file.
    package init(descriptor: Int32, path: String) throws {
        self.path = path
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw ExecutableError.malformed(path, "it cannot be examined") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw ExecutableError.malformed(path, "it is not a regular file") }
        fileByteCount = UInt64(max(0, status.st_size))
        let header = Self.read(descriptor, at: 0, count: Self.headerBytes)
        guard header.count >= 4, Array(header[0..<4]) == Self.magic else {
            throw ExecutableError(
                exitStatus: 126, errno: .ENOEXEC,
                description: "\(path): neither an ELF program nor a script that begins with #!. Check what it is with `file`.")
        }
        guard header.count == Self.headerBytes else {
            throw ExecutableError.malformed(path, "its header is cut off after \(header.count) bytes")
        }
        guard header[4] == 2 else {
            throw ExecutableError(
                exitStatus: 126, errno: .ENOEXEC,
                description: "\(path): a 32-bit program; only 64-bit programs can be run. Build it for a 64-bit processor.")
        }
        guard header[5] == 1 else {
            throw ExecutableError(
                exitStatus: 126, errno: .ENOEXEC,
                description: "\(path): a big-endian program; only little-endian programs can be run. Build it little-endian.")
        }
        let type: UInt16 = Self.field(header, 16)
        machine = Self.field(header, 18)
        entry = Self.field(header, 24)
        programHeadersOffset = Self.field(header, 32)
        let headerEntryBytes: UInt16 = Self.field(header, 54), headerCount: UInt16 = Self.field(header, 56)
        guard type == 2 || type == 3 else {
            let kind = type == 1 ? "an object file, not yet linked" : type == 4 ? "a core dump" : "of ELF type \(type)"
            throw ExecutableError(
                exitStatus: 126, errno: .ENOEXEC,
                description: "\(path): \(kind), not a program. Link it into an executable first.")
        }
        isPositionIndependent = type == 3
        guard headerCount != 0 else { throw ExecutableError.malformed(path, "it has no program headers") }
        guard Int(headerEntryBytes) == ProgramHeader.byteCount else {
            throw ExecutableError.malformed(path, "its program headers have \(headerEntryBytes) bytes instead of 56")
        }
        let tableBytes = Int(headerCount) * ProgramHeader.byteCount
        guard tableBytes <= 65536 else {
            throw ExecutableError.malformed(path, "it has too many program headers (\(headerCount))")
        }
        let table = Self.read(descriptor, at: programHeadersOffset, count: tableBytes)
        guard table.count == tableBytes else { throw ExecutableError.malformed(path, "its program headers lie beyond its end") }
        programHeaders = (0..<Int(headerCount)).map { index in
            let base = index * ProgramHeader.byteCount
            return ProgramHeader(
                type: Self.field(table, base), flags: Self.field(table, base + 4), offset: Self.field(table, base + 8),
                address: Self.field(table, base + 16), fileBytes: Self.field(table, base + 32),
                memoryBytes: Self.field(table, base + 40), alignment: Self.field(table, base + 48))
        }
        try checkSegments()
        try readInterpreter(descriptor)
    }

    /// The loadable segments, which `checkSegments` has found to be in order.
    package var segments: [ProgramHeader] { programHeaders.filter { $0.type == ProgramHeader.load && $0.memoryBytes != 0 } }

    /// The pages from the first segment's to the last one's end, relative to the load address.
    package var span: Range<UInt64> {
        let start = segments.first!.address & ~(AddressSpace.pageBytes - 1)
        return start..<segments.map { AddressSpace.roundedUp($0.address + $0.memoryBytes) }.max()!
    }

    private func checkSegments() throws {
        guard !segments.isEmpty else { throw ExecutableError.malformed(path, "it has nothing to load") }
        var reached: UInt64 = 0
        for (index, segment) in segments.enumerated() {
            let name = "segment \(index)"
            guard segment.fileBytes <= segment.memoryBytes else {
                throw ExecutableError.malformed(path, "\(name) has more bytes in the file than in memory")
            }
            guard segment.memoryBytes <= AddressSpace.limit, segment.address <= AddressSpace.limit - segment.memoryBytes else {
                throw ExecutableError.malformed(path, "\(name) lies beyond the guest's address space")
            }
            guard segment.offset & 4095 == segment.address & 4095 else {
                throw ExecutableError.malformed(path, "\(name)'s address and file offset differ within a page")
            }
            guard segment.offset <= fileByteCount, segment.fileBytes <= fileByteCount - segment.offset else {
                throw ExecutableError.malformed(path, "\(name) lies beyond the end of the file, which is cut off")
            }
            guard segment.address >= reached else { throw ExecutableError.malformed(path, "\(name) overlaps the one before it") }
            reached = segment.address + segment.memoryBytes
        }
        if !isPositionIndependent && segments[0].address < 4096 {
            throw ExecutableError.malformed(path, "it wants to be loaded at address 0")
        }
    }

    private mutating func readInterpreter(_ descriptor: Int32) throws {
        guard let header = programHeaders.first(where: { $0.type == ProgramHeader.interpreter }) else { return }
        guard (2...4096).contains(header.fileBytes) else {
            throw ExecutableError.malformed(path, "the name of its dynamic linker has \(header.fileBytes) bytes")
        }
        let bytes = Self.read(descriptor, at: header.offset, count: Int(header.fileBytes))
        guard bytes.count == Int(header.fileBytes), bytes.last == 0 else {
            throw ExecutableError.malformed(path, "the name of its dynamic linker is cut off")
        }
        interpreterPath = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// Reads up to `count` bytes; fewer at the end of the file or on an error.
    static func read(_ descriptor: Int32, at offset: UInt64, count: Int) -> [UInt8] {
        guard offset <= UInt64(Int64.max) - UInt64(count) else { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        let done = bytes.withUnsafeMutableBytes { buffer -> Int in
            var done = 0
            while done < count {
                let got = pread(descriptor, buffer.baseAddress! + done, count - done, Int(offset) + done)
                if got <= 0 { break }
                done += got
            }
            return done
        }
        return Array(bytes.prefix(done))
    }

    private static func field<T: FixedWidthInteger>(_ bytes: [UInt8], _ offset: Int) -> T {
        bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
    }
}

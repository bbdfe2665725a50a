// Every header check of the ELF reader: a sound file passes, each damage is named.

import Glibc
import Testing

@testable import LinuxUser

/// Builds small ELF files.
struct ELFBuilder {
    var machine: UInt16 = 243
    var type: UInt16 = 2
    var elfClass: UInt8 = 2
    var byteOrder: UInt8 = 1
    var headerEntryBytes: UInt16 = 56
    var headers: [ProgramHeader] = [ELFBuilder.segment(address: 0x10000, bytes: 0x200)]
    var declaredHeaderCount: UInt16?
    var tail: [UInt8] = [UInt8](repeating: 0x13, count: 0x1000)

    static func segment(
        address: UInt64, offset: UInt64 = 0, bytes: UInt64, memory: UInt64? = nil, flags: UInt32 = 5
    ) -> ProgramHeader {
        ProgramHeader(
            type: 1, flags: flags, offset: offset, address: address, fileBytes: bytes, memoryBytes: memory ?? bytes,
            alignment: 4096)
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, elfClass, byteOrder, 1] + [UInt8](repeating: 0, count: 9)
        func put<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }
        put(type)
        put(machine)
        put(UInt32(1))
        put(UInt64(0x10100))
        put(UInt64(64))
        put(UInt64(0))
        put(UInt32(5))
        for field in [64, headerEntryBytes, declaredHeaderCount ?? UInt16(headers.count), 64, 0, 0] as [UInt16] { put(field) }
        for header in headers {
            put(header.type)
            put(header.flags)
            for word in [header.offset, header.address, header.address, header.fileBytes, header.memoryBytes, header.alignment] {
                put(word)
            }
        }
        return bytes + tail
    }

    /// Calls `body` with a descriptor of the file.
    static func withFile<Result>(_ bytes: [UInt8], _ body: (Int32) throws -> Result) rethrows -> Result {
        var name = Array("/tmp/mynah-elf-XXXXXX".utf8CString)
        let descriptor = mkstemp(&name)
        defer { close(descriptor) }
        unlink(name)
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress!, $0.count) }
        return try body(descriptor)
    }

    static func message(_ bytes: [UInt8]) -> String {
        withFile(bytes) { descriptor in
            do {
                _ = try ELFFile(descriptor: descriptor, path: "program")
                return ""
            } catch {
                return "\(error)"
            }
        }
    }
}

@Suite struct ELFFileTests {
    @Test func soundFile() throws {
        let file = try ELFBuilder.withFile(ELFBuilder().bytes) { try ELFFile(descriptor: $0, path: "program") }
        #expect(file.machine == 243 && file.entry == 0x10100 && !file.isPositionIndependent)
        #expect(file.span == 0x10000..<0x11000 && file.interpreterPath == nil)
    }

    @Test func interpreter() throws {
        var builder = ELFBuilder()
        let name = Array("/lib/ld.so\0".utf8)
        builder.tail = [UInt8](repeating: 0, count: 0x1000)
        builder.tail.replaceSubrange(0..<name.count, with: name)
        let offset = UInt64(64 + 2 * 56)
        builder.headers.append(ProgramHeader(
            type: 3, flags: 4, offset: offset, address: 0, fileBytes: UInt64(name.count), memoryBytes: 11, alignment: 1))
        let file = try ELFBuilder.withFile(builder.bytes) { try ELFFile(descriptor: $0, path: "program") }
        #expect(file.interpreterPath == "/lib/ld.so")
    }

    @Test func damages() {
        func expect(_ part: String, sourceLocation: SourceLocation = #_sourceLocation, _ change: (inout ELFBuilder) -> Void) {
            var builder = ELFBuilder()
            change(&builder)
            let message = ELFBuilder.message(builder.bytes)
            #expect(message.contains(part), "\(message)", sourceLocation: sourceLocation)
        }
        expect("32-bit program") { $0.elfClass = 1 }
        expect("big-endian program") { $0.byteOrder = 2 }
        expect("object file") { $0.type = 1 }
        expect("core dump") { $0.type = 4 }
        expect("no program headers") { $0.headers = [] }
        expect("57 bytes instead of 56") { $0.headerEntryBytes = 57 }
        expect("too many program headers") { $0.declaredHeaderCount = 2000 }
        expect("lie beyond its end") { $0.declaredHeaderCount = 300 }
        expect("nothing to load") { $0.headers[0].type = 4 }
        expect("more bytes in the file than in memory") { $0.headers[0].memoryBytes = 1 }
        expect("beyond the guest's address space") { $0.headers[0].address = 0x40_0000_0000 }
        expect("beyond the guest's address space") { $0.headers[0].memoryBytes = .max }
        expect("differ within a page") { $0.headers[0].address = 0x10008 }
        expect("cut off") { $0.headers[0].offset = 0x10_0000 }
        expect("cut off") {
            $0.headers[0].fileBytes = 0x9000
            $0.headers[0].memoryBytes = 0x9000
        }
        expect("overlaps") { $0.headers.append(ELFBuilder.segment(address: 0x10000, bytes: 0x100)) }
        expect("at address 0") { $0.headers[0].address = 0 }
        expect("dynamic linker") {
            $0.headers.append(ProgramHeader(type: 3, flags: 4, offset: 0, address: 0, fileBytes: 1, memoryBytes: 1, alignment: 1))
        }
    }

    @Test func otherFiles() {
        #expect(ELFBuilder.message([]).contains("neither an ELF program nor a script"))
        #expect(ELFBuilder.message(Array("hello world".utf8)).contains("neither an ELF program nor a script"))
        #expect(ELFBuilder.message(Array(ELFBuilder().bytes.prefix(40))).contains("cut off after 40 bytes"))
    }

    @Test func pipesAndDirectories() {
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        let directory = open("/", O_RDONLY | O_CLOEXEC)
        for descriptor in ends + [directory] {
            #expect(throws: ExecutableError.self) { try ELFFile(descriptor: descriptor, path: "program") }
            close(descriptor)
        }
    }

    /// No prefix and no changed byte of the headers makes the reader trap.
    @Test func noDamageTraps() {
        let bytes = ELFBuilder().bytes
        for count in stride(from: 0, through: 130, by: 1) { _ = ELFBuilder.message(Array(bytes.prefix(count))) }
        for index in 0..<120 {
            for value in [0, 1, 0x7f, 0x80, 0xff] as [UInt8] {
                var changed = bytes
                changed[index] = value
                _ = ELFBuilder.message(changed)
            }
        }
    }

    @Test func foundPrograms() {
        func failure(_ path: String) -> ExecutableError? {
            do {
                let program = try ELFProgram.find(
                    Array(path.utf8), arguments: [Array(path.utf8)], paths: PathResolver(sysroot: nil))
                close(program.descriptor)
                return nil
            } catch {
                return error as? ExecutableError
            }
        }
        #expect(failure("/nowhere/at/all")?.exitStatus == 127)
        #expect(failure("/nowhere/at/all")?.errno == .ENOENT)
        #expect(failure("/tmp")?.exitStatus == 126 && failure("/tmp")?.errno == .EACCES)
        #expect(failure("/etc/passwd")?.description.contains("chmod +x") == true)
    }

    @Test func scripts() throws {
        let path = "/tmp/mynah-script-\(getpid())"
        let program = path + "-program"
        defer {
            unlink(path)
            unlink(program)
        }
        func write(_ bytes: [UInt8], to path: String) {
            let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o755)
            _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress!, $0.count) }
            close(descriptor)
        }
        write(ELFBuilder().bytes, to: program)
        write(Array("#! \(program)  one two \nrest".utf8), to: path)
        let found = try ELFProgram.find(
            Array(path.utf8), arguments: ["script", "x"].map { Array($0.utf8) }, paths: PathResolver(sysroot: nil))
        close(found.descriptor)
        #expect(found.arguments.map { String(decoding: $0, as: UTF8.self) } == [program, "one two", path, "x"])
        #expect(found.hostPath == program)
        write(Array("#! \(path)\n".utf8), to: path)
        #expect(throws: ExecutableError.self) {
            try ELFProgram.find(Array(path.utf8), arguments: [[]], paths: PathResolver(sysroot: nil))
        }
    }
}

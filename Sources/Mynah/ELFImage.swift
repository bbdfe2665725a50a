// A guest executable as a file: its code and its symbols, for looking at translations without running anything.

import Glibc
import Guest

/// A riscv64 ELF file whose code can be lifted and disassembled.
package final class ELFImage: CodeSource {
    package struct Symbol: Equatable {
        package var name: String
        package var address: UInt64
        package var byteCount: UInt64
    }

    private struct Segment {
        var addresses: Range<UInt64>
        var offset: Int
    }

    // SAFETY: the whole file, with eight zero bytes behind it; allocated once and freed in deinit. Segments are checked against
    // `byteCount`.
    private let bytes: UnsafeMutableRawPointer
    private let byteCount: Int
    private var segments: [Segment] = []
    package private(set) var entry: UInt64 = 0
    /// Functions by address; empty for a stripped file.
    package private(set) var symbols: [Symbol] = []

    private static let largestByteCount = 4 << 30

    /// - Throws: `ProgramError` when there is no such file or it is no riscv64 ELF file.
    package init(path: String) throws {
        // A pipe without a writer is no reason to wait.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let reason = errno, text = "'\(path)': \(String(cString: strerror(reason)))"
            throw reason == ENOENT || reason == ENOTDIR ? ProgramError.notFound(text) : ProgramError.notRunnable(text)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw ProgramError.notRunnable("'\(path)' is no regular file")
        }
        guard status.st_size <= Self.largestByteCount else {
            throw ProgramError.notRunnable("'\(path)' has \(status.st_size >> 30) GiB, which is more than a program has")
        }
        byteCount = Int(status.st_size)
        bytes = .allocate(byteCount: byteCount + 8, alignment: 16)
        bytes.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount + 8)
        var done = 0
        while done < byteCount {
            let count = read(descriptor, bytes + done, byteCount - done)
            if count <= 0 { break }
            done += count
        }
        try parseHeader(path)
        parseSymbols()
    }

    deinit { bytes.deallocate() }

    private func load<Integer: FixedWidthInteger>(_ type: Integer.Type, _ offset: Int) -> Integer {
        guard offset >= 0, offset <= byteCount - MemoryLayout<Integer>.size else { return 0 }
        return Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
    }

    private func offset(_ field: Int) -> Int { Int(truncatingIfNeeded: load(UInt64.self, field)) }

    private func parseHeader(_ path: String) throws {
        guard load(UInt32.self, 0) == 0x464c_457f else {
            throw ProgramError.notRunnable("'\(path)' is no ELF executable")
        }
        let machineRISCV: UInt16 = 243
        guard load(UInt8.self, 4) == 2, load(UInt16.self, 18) == machineRISCV else {
            throw ProgramError.notRunnable("'\(path)' is for another processor; Mynah reads 64-bit RISC-V programs")
        }
        entry = load(UInt64.self, 24)
        let table = offset(32), size = Int(load(UInt16.self, 54))
        for index in 0 ..< Int(load(UInt16.self, 56)) {
            let header = table &+ index &* size
            let loadable: UInt32 = 1, executable: UInt32 = 1
            guard load(UInt32.self, header) == loadable, load(UInt32.self, header &+ 4) & executable != 0 else { continue }
            let start = load(UInt64.self, header &+ 16), length = load(UInt64.self, header &+ 32), position = offset(header &+ 8)
            guard position >= 0, position <= byteCount, length <= UInt64(byteCount - position), start <= UInt64.max - length
            else {
                continue
            }
            segments.append(Segment(addresses: start ..< start + length, offset: position))
        }
        guard !segments.isEmpty else { throw ProgramError.notRunnable("'\(path)' has no code") }
    }

    /// A file has one table of each kind, and names of about as many bytes as it has itself; what claims more is not read to its
    /// end.
    private func parseSymbols() {
        let table = offset(40), size = Int(load(UInt16.self, 58))
        var kinds: Set<UInt32> = [], nameBytes = 4 * byteCount
        for index in 0 ..< Int(load(UInt16.self, 60)) {
            let header = table &+ index &* size
            let symbolTable: UInt32 = 2, dynamicSymbolTable: UInt32 = 11
            let kind = load(UInt32.self, header &+ 4)
            guard kind == symbolTable || kind == dynamicSymbolTable, kinds.insert(kind).inserted else { continue }
            let strings = offset(table &+ Int(load(UInt32.self, header &+ 40)) &* size &+ 24)
            let start = offset(header &+ 24), count = min(offset(header &+ 32), byteCount) / 24
            for number in 0 ..< max(0, count) where nameBytes > 0 {
                addSymbol(at: start &+ number &* 24, strings: strings, &nameBytes)
            }
        }
        symbols.sort { $0.address < $1.address }
    }

    private func addSymbol(at position: Int, strings: Int, _ nameBytes: inout Int) {
        let function: UInt8 = 2
        guard load(UInt8.self, position &+ 4) & 15 == function, load(UInt16.self, position &+ 6) != 0 else { return }
        var name: [UInt8] = []
        var place = strings &+ Int(load(UInt32.self, position))
        while case let byte = load(UInt8.self, place), byte != 0 {
            name.append(byte)
            place &+= 1
        }
        nameBytes -= name.count
        symbols.append(
            Symbol(
                name: String(decoding: name, as: UTF8.self), address: load(UInt64.self, position &+ 8),
                byteCount: load(UInt64.self, position &+ 16)))
    }

    /// The function that an address lies in, with the distance from its start.
    package func symbol(containing address: UInt64) -> (symbol: Symbol, offset: UInt64)? {
        guard let symbol = symbols.last(where: { $0.address <= address }), address - symbol.address < max(symbol.byteCount, 1)
        else {
            return nil
        }
        return (symbol, address - symbol.address)
    }

    /// The function, with the distance from its start, that a place in the file belongs to.
    package func symbol(atFileOffset position: UInt64) -> (name: String, offset: UInt64)? {
        for segment in segments {
            let start = UInt64(segment.offset), byteCount = segment.addresses.upperBound - segment.addresses.lowerBound
            guard position >= start, position - start < byteCount else { continue }
            return symbol(containing: segment.addresses.lowerBound + (position - start)).map { ($0.symbol.name, $0.offset) }
        }
        return nil
    }

    // MARK: CodeSource

    package func codeWindow(at address: GuestAddress) -> CodeWindow? {
        guard let segment = segments.first(where: { $0.addresses.contains(address.rawValue) }) else { return nil }
        return CodeWindow(
            start: segment.addresses.lowerBound, end: segment.addresses.upperBound, host: UnsafeRawPointer(bytes + segment.offset)
        )
    }

    package func hasCode(at address: UInt64) -> Bool { codeWindow(at: GuestAddress(address)) != nil }

    package var codeVersion: UInt64 { 0 }
    package func watchCode(_ range: Range<UInt64>) {}
}

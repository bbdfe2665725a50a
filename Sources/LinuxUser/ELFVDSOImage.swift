// Builds the vDSO: a one-segment ELF shared object whose functions programs find by name and version.

package struct VDSOImage {
    package struct Function {
        package var name: String
        package var code: [UInt8]
        package init(name: String, code: [UInt8]) {
            self.name = name
            self.code = code
        }
    }

    package private(set) var bytes: [UInt8] = []
    /// Offset of each function's code.
    package private(set) var offsets: [UInt64] = []

    package init(machine: UInt16, flags: UInt32, version: String, functions: [Function]) {
        let headerBytes = 64 + 2 * 56
        // Strings: an empty one, the names, the version and the object's own name.
        var strings: [UInt8] = [0]
        func string(_ text: String) -> UInt32 {
            defer { strings += Array(text.utf8) + [0] }
            return UInt32(strings.count)
        }
        let names = functions.map { string($0.name) }
        let versionName = string(version), objectName = string("linux-vdso.so.1")
        var writer = Bytes(padding: headerBytes)
        // Code first, then tables.
        for function in functions {
            writer.align(16)
            offsets.append(UInt64(writer.count))
            writer.bytes += function.code
        }
        writer.align(8)
        let symbolTable = writer.count
        writer.pad(24)
        for (index, function) in functions.enumerated() {
            writer.put(names[index])
            writer.put(UInt8(0x12))  // global function
            writer.put(UInt8(0))
            writer.put(UInt16(1))  // any defined section
            writer.put(offsets[index])
            writer.put(UInt64(function.code.count))
        }
        let hashTable = writer.count
        // One bucket: a chain through all symbols.
        writer.put(UInt32(1))
        writer.put(UInt32(functions.count + 1))
        writer.put(UInt32(functions.isEmpty ? 0 : 1))
        writer.put(UInt32(0))
        for index in functions.indices { writer.put(UInt32(index + 1 < functions.count ? index + 2 : 0)) }
        let versionTable = writer.count
        writer.put(UInt16(0))
        for _ in functions { writer.put(UInt16(2)) }
        writer.align(8)
        let versionDefinitions = writer.count
        for (index, name) in [(UInt16(1), objectName), (UInt16(2), versionName)] {
            let text = index == 1 ? "linux-vdso.so.1" : version
            writer.put(UInt16(1))
            writer.put(UInt16(index == 1 ? 1 : 0))  // the first names the object itself
            writer.put(index)
            writer.put(UInt16(1))
            writer.put(Self.hash(text))
            writer.put(UInt32(20))
            writer.put(UInt32(index == 1 ? 28 : 0))
            writer.put(name)
            writer.put(UInt32(0))
        }
        let stringTable = writer.count
        writer.bytes += strings
        writer.align(8)
        let dynamic = writer.count
        let entries: [(UInt64, Int)] = [
            (14, Int(objectName)), (4, hashTable), (5, stringTable), (10, strings.count), (6, symbolTable), (11, 24),
            (0x6fff_fff0, versionTable), (0x6fff_fffc, versionDefinitions), (0x6fff_fffd, 2), (0, 0),
        ]
        for (tag, value) in entries {
            writer.put(tag)
            writer.put(UInt64(value))
        }
        bytes = writer.bytes
        writeHeader(machine: machine, flags: flags, dynamic: dynamic, dynamicBytes: entries.count * 16)
    }

    private mutating func writeHeader(machine: UInt16, flags: UInt32, dynamic: Int, dynamicBytes: Int) {
        var header = Bytes(padding: 0)
        header.bytes = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        header.put(UInt16(3))
        header.put(machine)
        header.put(UInt32(1))
        header.put(offsets.first ?? 0)
        header.put(UInt64(64))
        header.put(UInt64(0))
        header.put(flags)
        for field in [64, 56, 2, 64, 0, 0] as [UInt16] { header.put(field) }
        for (type, rights, offset, count) in [(1, 5, 0, bytes.count), (2, 4, dynamic, dynamicBytes)]
            as [(UInt32, UInt32, Int, Int)]
        {
            header.put(type)
            header.put(rights)
            for _ in 0..<3 { header.put(UInt64(offset)) }
            for _ in 0..<2 { header.put(UInt64(count)) }
            header.put(UInt64(type == 1 ? 4096 : 8))
        }
        bytes.replaceSubrange(0..<header.count, with: header.bytes)
    }

    /// The hash of the System V ABI.
    private static func hash(_ text: String) -> UInt32 {
        var hash: UInt32 = 0
        for byte in text.utf8 {
            hash = (hash << 4) &+ UInt32(byte)
            let high = hash & 0xf000_0000
            if high != 0 { hash ^= high >> 24 }
            hash &= ~high
        }
        return hash
    }

    private struct Bytes {
        var bytes: [UInt8] = []
        var count: Int { bytes.count }
        init(padding: Int) { bytes = [UInt8](repeating: 0, count: padding) }
        mutating func pad(_ count: Int) { bytes += [UInt8](repeating: 0, count: count) }
        mutating func align(_ alignment: Int) { pad((alignment - count % alignment) % alignment) }
        mutating func put<T: FixedWidthInteger>(_ value: T) {
            withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
        }
    }
}

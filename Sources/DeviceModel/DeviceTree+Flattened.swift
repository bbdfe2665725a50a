// The flattened format, version 17 (Devicetree Specification 0.4, chapter 5): a header, the memory reservations, a structure
// block of big-endian tokens and a block of property names.

package enum DeviceTreeError: Error, CustomStringConvertible, Equatable {
    case notATree
    case version(UInt32)
    case damaged(at: Int)

    package var description: String {
        switch self {
        case .notATree: "it does not begin with d00dfeed"
        case .version(let version): "it has version \(version), and 16 and 17 can be read"
        case .damaged(let offset): "it is damaged at byte \(offset)"
        }
    }
}

private enum Flattened {
    static let magic: UInt32 = 0xd00d_feed
    static let beginNode: UInt32 = 1, endNode: UInt32 = 2, property: UInt32 = 3, nop: UInt32 = 4, end: UInt32 = 9
    static let headerBytes = 40
    static let depthLimit = 64
}

extension [UInt8] {
    fileprivate mutating func append32(_ value: UInt32) {
        for shift in [24, 16, 8, 0] as [UInt32] { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    fileprivate mutating func append64(_ value: UInt64) {
        append32(UInt32(truncatingIfNeeded: value >> 32))
        append32(UInt32(truncatingIfNeeded: value))
    }
    fileprivate mutating func pad4() { while count & 3 != 0 { append(0) } }
    fileprivate mutating func append(text: String) {
        append(contentsOf: text.utf8)
        append(0)
    }
}

extension DeviceTree {
    /// The blob that is handed to firmware and kernels.
    package func flattened() -> [UInt8] {
        let numbers = assignPhandles()
        var structure: [UInt8] = [], names = NameBlock()
        write(root, numbers, &structure, &names)
        structure.append32(Flattened.end)

        let reservationStart = Flattened.headerBytes
        let structureStart = reservationStart + 16 * (reservations.count + 1)
        let namesStart = structureStart + structure.count
        var result: [UInt8] = []
        for word in [
            Flattened.magic, UInt32(namesStart + names.bytes.count), UInt32(structureStart), UInt32(namesStart),
            UInt32(reservationStart), 17, 16, bootHart, UInt32(names.bytes.count), UInt32(structure.count),
        ] { result.append32(word) }
        for entry in reservations + [(0, 0)] {
            result.append64(entry.address)
            result.append64(entry.byteCount)
        }
        return result + structure + names.bytes
    }

    private struct NameBlock {
        var bytes: [UInt8] = []
        private var offsets: [String: UInt32] = [:]

        mutating func offset(_ name: String) -> UInt32 {
            if let known = offsets[name] { return known }
            let offset = UInt32(bytes.count)
            offsets[name] = offset
            bytes.append(text: name)
            return offset
        }
    }

    private func write(
        _ node: DeviceTreeNode, _ numbers: [ObjectIdentifier: UInt32], _ structure: inout [UInt8], _ names: inout NameBlock
    ) {
        structure.append32(Flattened.beginNode)
        structure.append(text: node.name)
        structure.pad4()
        for (name, value) in node.properties {
            let content = DeviceTree.bytes(of: value, numbers)
            structure.append32(Flattened.property)
            structure.append32(UInt32(content.count))
            structure.append32(names.offset(name))
            structure.append(contentsOf: content)
            structure.pad4()
        }
        for child in node.children { write(child, numbers, &structure, &names) }
        structure.append32(Flattened.endNode)
    }

    static func bytes(of value: DeviceTreeValue, _ numbers: [ObjectIdentifier: UInt32]) -> [UInt8] {
        var result: [UInt8] = []
        switch value {
        case .empty: break
        case .cells(let cells): for cell in cells { result.append32(cell) }
        case .cells64(let words): for word in words { result.append64(word) }
        case .strings(let texts): for text in texts { result.append(text: text) }
        case .bytes(let bytes): result = bytes
        case .phandle(let node): result.append32(numbers[ObjectIdentifier(node)] ?? 0)
        case .references(let list):
            for reference in list {
                result.append32(numbers[ObjectIdentifier(reference.node)] ?? 0)
                for cell in reference.cells { result.append32(cell) }
            }
        }
        return result
    }
}

// MARK: Reading

extension DeviceTree {
    /// Reads a blob. Values come as `.bytes`; numbers of nodes stay numbers, and `phandle` properties are kept as cells.
    /// - Throws: `DeviceTreeError` for anything else than a sound tree.
    package convenience init(flattened blob: [UInt8]) throws(DeviceTreeError) {
        var reader = FlattenedReader(blob)
        try reader.readHeader()
        self.init(root: try reader.readTree())
        reservations = reader.reservations
        bootHart = reader.bootHart
    }
}

private struct FlattenedReader {
    let blob: [UInt8]
    var structureStart = 0, structureEnd = 0, namesStart = 0, namesEnd = 0, position = 0
    var reservations: [(address: UInt64, byteCount: UInt64)] = []
    var bootHart: UInt32 = 0

    init(_ blob: [UInt8]) { self.blob = blob }

    func word(_ offset: Int) throws(DeviceTreeError) -> UInt32 {
        guard offset >= 0, offset <= blob.count - 4 else { throw .damaged(at: max(0, min(offset, blob.count))) }
        return (0..<4).reduce(0) { $0 << 8 | UInt32(blob[offset + $1]) }
    }

    func long(_ offset: Int) throws(DeviceTreeError) -> UInt64 {
        try UInt64(word(offset)) << 32 | UInt64(word(offset + 4))
    }

    mutating func readHeader() throws(DeviceTreeError) {
        guard blob.count >= Flattened.headerBytes, try word(0) == Flattened.magic else { throw .notATree }
        let version = try word(20), compatible = try word(24)
        guard version >= 16, compatible <= 17 else { throw .version(version) }
        let total = Int(try word(4))
        structureStart = Int(try word(8))
        namesStart = Int(try word(12))
        namesEnd = namesStart + Int(try word(32))
        structureEnd = version >= 17 ? structureStart + Int(try word(36)) : total
        bootHart = try word(28)
        guard total <= blob.count, structureStart & 3 == 0, structureEnd <= total, namesEnd <= total else {
            throw .damaged(at: 4)
        }
        var entry = Int(try word(16))
        while true {
            let address = try long(entry), byteCount = try long(entry + 8)
            if address == 0 && byteCount == 0 { break }
            reservations.append((address, byteCount))
            entry += 16
        }
        position = structureStart
    }

    mutating func readTree() throws(DeviceTreeError) -> DeviceTreeNode {
        while try word(position) == Flattened.nop { position += 4 }
        guard try word(position) == Flattened.beginNode else { throw .damaged(at: position) }
        return try readNode(depth: 0)
    }

    private func text(_ start: Int, end: Int) throws(DeviceTreeError) -> String {
        guard start >= 0, start < end, let length = blob[start..<end].firstIndex(of: 0) else { throw .damaged(at: start) }
        return String(decoding: blob[start..<length], as: UTF8.self)
    }

    private mutating func readNode(depth: Int) throws(DeviceTreeError) -> DeviceTreeNode {
        guard depth < Flattened.depthLimit else { throw .damaged(at: position) }
        let name = try text(position + 4, end: structureEnd)
        guard let end = blob[(position + 4)..<structureEnd].firstIndex(of: 0) else { throw .damaged(at: position) }
        position = (end + 4) & ~3
        let node = DeviceTreeNode(name)
        while true {
            guard position < structureEnd else { throw .damaged(at: position) }
            switch try word(position) {
            case Flattened.nop: position += 4
            case Flattened.beginNode: node.addChild(try readNode(depth: depth + 1))
            case Flattened.property: try readProperty(node)
            case Flattened.endNode:
                position += 4
                return node
            default: throw .damaged(at: position)
            }
        }
    }

    private mutating func readProperty(_ node: DeviceTreeNode) throws(DeviceTreeError) {
        let length = Int(try word(position + 4)), nameOffset = Int(try word(position + 8)), start = position + 12
        guard length <= structureEnd - start else { throw .damaged(at: position) }
        let name = try text(namesStart + nameOffset, end: namesEnd), content = Array(blob[start..<start + length])
        if name == "phandle" && length == 4 {
            node.set(name, .cell(try word(start)))
        } else {
            node.set(name, content.isEmpty ? .empty : .bytes(content))
        }
        position = (start + length + 3) & ~3
    }
}

// The tree as text that `dtc` reads. Bytes from a blob are printed as strings when they look so, as dtc does.

extension DeviceTree {
    package var source: String {
        let numbers = assignPhandles()
        var text = "/dts-v1/;\n"
        for entry in reservations { text += "/memreserve/ \(hexadecimal(entry.address)) \(hexadecimal(entry.byteCount));\n" }
        text += "\n"
        append(root, numbers, "", &text)
        return text
    }

    private func hexadecimal(_ value: some BinaryInteger) -> String { "0x" + String(value, radix: 16) }

    private func append(_ node: DeviceTreeNode, _ numbers: [ObjectIdentifier: UInt32], _ indent: String, _ text: inout String) {
        text += "\(indent)\(node.name.isEmpty ? "/" : node.name) {\n"
        for (name, value) in node.properties {
            let content = sourceText(of: value, numbers)
            text += "\(indent)\t\(name)\(content.isEmpty ? "" : " = \(content)");\n"
        }
        for child in node.children {
            text += "\n"
            append(child, numbers, indent + "\t", &text)
        }
        text += "\(indent)};\n"
    }

    private func sourceText(of value: DeviceTreeValue, _ numbers: [ObjectIdentifier: UInt32]) -> String {
        let bytes = DeviceTree.bytes(of: value, numbers)
        switch value {
        case .empty: return ""
        case .strings(let texts): return texts.map(quoted).joined(separator: ", ")
        case .cells, .cells64, .phandle, .references: return cells(bytes)
        case .bytes:
            if let texts = printable(bytes) { return texts.map(quoted).joined(separator: ", ") }
            if bytes.count & 3 == 0 { return cells(bytes) }
            return "[" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ") + "]"
        }
    }

    private func quoted(_ text: String) -> String {
        "\"" + text.unicodeScalars.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : $0 == "\n" ? "\\n" : String($0) }.joined() + "\""
    }

    private func cells(_ bytes: [UInt8]) -> String {
        let words = stride(from: 0, to: bytes.count & ~3, by: 4).map { start in
            hexadecimal((0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[start + $1]) })
        }
        return "<" + words.joined(separator: " ") + ">"
    }

    /// The strings that the bytes are; nil when they are none.
    private func printable(_ bytes: [UInt8]) -> [String]? {
        guard bytes.last == 0 else { return nil }
        let parts = bytes.dropLast().split(separator: 0, omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy { (32...126).contains($0) } }) else { return nil }
        return parts.map { String(decoding: $0, as: UTF8.self) }
    }
}

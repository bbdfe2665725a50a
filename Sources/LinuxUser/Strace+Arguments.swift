// How strace output shows one argument.

extension Strace {
    /// Characters of a string that are shown; more are cut off with "...".
    static let stringLimit = 32
    private static let currentDirectory: Int32 = -100

    /// The text of argument `index` of kind `kind`, nil when it has no meaning. `result` is nil before the call has returned.
    static func text(of kind: ArgumentKind, index: Int, _ a: SystemCallArguments, result: Int64?) -> String? {
        let value = a[index]
        switch kind {
        case .int: return String(Int64(bitPattern: value) >= -1 << 31 && Int64(bitPattern: value) < 1 << 31
            ? Int64(Int32(truncatingIfNeeded: value)) : Int64(bitPattern: value))
        case .unsigned: return String(value)
        case .hex: return StraceNames.hex(value)
        case .mode: return octal(UInt32(truncatingIfNeeded: value))
        case .creationMode:
            let creating: UInt64 = 0x40 | 0x40_0000  // O_CREAT, the bit of O_TMPFILE
            return a[index - 1] & creating == 0 ? nil : octal(UInt32(truncatingIfNeeded: value))
        case .commandArgument: return controlArgument(command: a[index - 1], value)
        case .fd: return String(Int32(truncatingIfNeeded: value))
        case .directoryFD:
            let descriptor = Int32(truncatingIfNeeded: value)
            return descriptor == currentDirectory ? "AT_FDCWD" : String(descriptor)
        case .path: return string(at: value, limit: 4096)
        case .string: return string(at: value, limit: stringLimit)
        case .buffer(let lengthArgument):
            return bytes(at: value, count: a[lengthArgument])
        case .outputBuffer:
            guard let result, result >= 0 else { return pointer(value) }
            return bytes(at: value, count: UInt64(result))
        case .outputString:
            guard let result, result >= 0 else { return pointer(value) }
            return string(at: value, limit: 4096, count: Int(truncatingIfNeeded: result))
        case .pointer: return pointer(value)
        case .signal: return StraceNames.signal(Int(Int32(truncatingIfNeeded: value)))
        case .flags(let set): return StraceNames.text(set, value)
        case .structure(let kind): return structure(kind, at: value, index: index, a, result: result)
        }
    }

    /// fcntl's third argument; nil for commands that have none.
    private static func controlArgument(command: UInt64, _ value: UInt64) -> String? {
        switch command & 0xffff_ffff {
        case 1, 3, 9, 11, 1025, 1032, 1034: nil  // F_GETFD, F_GETFL, F_GETOWN, F_GETSIG, F_GETLEASE, F_GETPIPE_SZ, F_GET_SEALS
        case 2: StraceNames.text(.descriptor, value)
        case 4: StraceNames.text(.open, value)
        case 5, 6, 7, 15, 16, 36, 37, 38: pointer(value)  // locks and F_…OWN_EX
        default: String(Int32(truncatingIfNeeded: value))
        }
    }

    static func pointer(_ value: UInt64) -> String {
        value == 0 ? "NULL" : StraceNames.hex(value)
    }

    static func octal(_ value: UInt32) -> String {
        value == 0 ? "000" : "0" + String(value, radix: 8)
    }

    /// A NUL-terminated string of the guest, in quotes. `count` limits what belongs to it (readlink writes no NUL).
    static func string(at address: UInt64, limit: Int, count: Int = .max) -> String {
        guard address != 0 else { return "NULL" }
        if let text = readGuestBytes(at: address, limit: min(limit, count == .max ? limit : count) &+ 1) {
            return quoted(text)
        }
        // Longer than the limit, or a bad address.
        let shown = min(limit, count)
        guard let start = readBytes(at: address, count: shown) else { return pointer(address) }
        return count <= limit ? quoted(start) : quoted(start) + "..."
    }

    /// Bytes of the guest in quotes, cut off at the limit.
    static func bytes(at address: UInt64, count: UInt64) -> String {
        guard address != 0 else { return "NULL" }
        let shown = Int(min(count, UInt64(stringLimit)))
        guard let start = readBytes(at: address, count: shown) else { return pointer(address) }
        return count > UInt64(shown) ? quoted(start) + "..." : quoted(start)
    }

    static func readBytes(at address: UInt64, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: max(0, count))
        return bytes.withUnsafeMutableBytes { buffer in
            buffer.isEmpty || copyFromGuest(buffer.baseAddress!, count: buffer.count, at: address)
        } ? bytes : nil
    }

    /// C-style quotes and escapes; other bytes in octal, as short as the next character allows.
    static func quoted(_ bytes: [UInt8]) -> String {
        var text = "\""
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "\""): text += "\\\""
            case UInt8(ascii: "\\"): text += "\\\\"
            case UInt8(ascii: "\n"): text += "\\n"
            case UInt8(ascii: "\t"): text += "\\t"
            case UInt8(ascii: "\r"): text += "\\r"
            case 0x0b: text += "\\v"
            case 0x0c: text += "\\f"
            case 0x20...0x7e: text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 8)
                let isFollowedByDigit = index + 1 < bytes.count && (0x30...0x37).contains(bytes[index + 1])
                text += "\\" + (isFollowedByDigit ? String(repeating: "0", count: 3 - digits.count) : "") + digits
            }
        }
        return text + "\""
    }
}

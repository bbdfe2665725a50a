// What a directory of /proc shows that the guest is not to see: threads that are the emulator's own.

import CHost
import Glibc

enum DirectoryEntries {
    /// Offsets in linux_dirent64 (getdents64(2)): the record's size, and the name.
    private static let sizeOffset = 16, nameOffset = 19

    /// The records without those of the names; what makes no sense ends the list.
    static func removing(_ names: Set<String>, from bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = [], rest = bytes[...]
        while rest.count > nameOffset {
            let start = rest.startIndex
            let size = Int(rest[start + sizeOffset]) | Int(rest[start + sizeOffset + 1]) << 8
            guard size > nameOffset, size <= rest.count else { break }
            let name = rest[start + nameOffset ..< start + size].prefix { $0 != 0 }
            if !names.contains(String(decoding: name, as: UTF8.self)) { result += rest.prefix(size) }
            rest = rest.dropFirst(size)
        }
        return result
    }

    /// getdents64: in a directory of threads, without the emulator's.
    static func read(_ thread: LinuxThread, _ arguments: SystemCallArguments) -> Int64 {
        let host: UInt64 = 217
        while true {
            let result = thread.hostCall(Int(host), arguments)
            guard result > 0 else { return result }
            let own = Set(thread.process.ownThreadIDs.map { "\($0)" })
            guard !own.isEmpty, isThreadList(Int32(truncatingIfNeeded: arguments[0])) else { return result }
            var bytes = [UInt8](repeating: 0, count: Int(result))
            guard bytes.withUnsafeMutableBytes({ copyFromGuest($0.baseAddress!, count: $0.count, at: arguments[1]) }) else {
                return result
            }
            let shown = removing(own, from: bytes)
            // Nothing would mean that there is nothing more.
            if shown.isEmpty { continue }
            guard shown.withUnsafeBytes({ copyToGuest($0.baseAddress!, count: $0.count, at: arguments[1]) }) else {
                return Errno.EFAULT.result
            }
            return Int64(shown.count)
        }
    }

    private static func isThreadList(_ descriptor: Int32) -> Bool {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink("/proc/self/fd/\(descriptor)", &buffer, buffer.count - 1)
        guard count > 0 else { return false }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) == "/proc/\(getpid())/task"
    }
}

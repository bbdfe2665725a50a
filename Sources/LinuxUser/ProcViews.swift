// The guest's view of /proc: files that would show the emulator instead of the guest.
//
// /proc/self (also by number, as thread-self, and below task/) exe, maps, smaps, smaps_rollup, cmdline, environ, auxv and stat,
// status while the emulator has threads of its own, and /proc/cpuinfo. A view is text in a memfd, made when the file is opened.
// Everything else of /proc passes through.

import CHost
import Glibc

/// A file of /proc that is the guest's own.
package struct ProcView {
    package enum Kind {
        case executable, maps, usage, usageSummary, commandLine, environment, auxiliaryVector, status, summary, processors
    }

    package let kind: Kind

    /// The view that a path in guest memory names; nil (quickly) for nearly all paths.
    init?(guestPath address: UInt64, process: LinuxProcess) {
        // Six bytes decide for nearly every path.
        guard let start = readGuest((UInt32, UInt16).self, at: address), start.0 == 0x6f72_702f, start.1 == 0x2f63,
            let path = readGuestString(at: address)
        else { return nil }
        self.init(path: path, process: Int(getpid()))
        if kind == .summary && process.ownThreadCount == 0 { return nil }
    }

    /// The view that `path` names in the process with number `process`.
    package init?(path: String, process: Int) {
        var parts = path.split(separator: "/", omittingEmptySubsequences: true).filter { $0 != "." }
        guard parts.count >= 2, parts.removeFirst() == "proc" else { return nil }
        if parts == ["cpuinfo"] {
            kind = .processors
            return
        }
        let owner = parts.removeFirst()
        guard owner == "self" || owner == "thread-self" || Int(owner) == process else { return nil }
        if parts.count == 3 && parts[0] == "task" && Int(parts[1]) != nil { parts.removeFirst(2) }
        guard parts.count == 1 else { return nil }
        switch parts[0] {
        case "exe": kind = .executable
        case "maps": kind = .maps
        case "smaps": kind = .usage
        case "smaps_rollup": kind = .usageSummary
        case "cmdline": kind = .commandLine
        case "environ": kind = .environment
        case "auxv": kind = .auxiliaryVector
        case "stat": kind = .status
        case "status": kind = .summary
        default: return nil
        }
    }

    /// Opens the view for reading; returns a descriptor or minus an errno.
    func open(_ thread: LinuxThread, flags: UInt64) -> Int64 {
        if kind == .executable {
            return thread.process.programPath.withCString {
                thread.hostCall(HostCall.openat, UInt64(bitPattern: -100), UInt64(UInt(bitPattern: $0)), flags, 0)
            }
        }
        let accessMode = flags & 3
        guard accessMode == 0 else { return Errno.EACCES.result }
        let descriptor = mynah_memfd("proc")
        guard descriptor >= 0 else { return -Int64(errno) }
        let bytes = contents(thread.process)
        bytes.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = write(descriptor, buffer.baseAddress! + done, buffer.count - done)
                guard count > 0 else { break }
                done += count
            }
        }
        lseek(descriptor, 0, SEEK_SET)
        let closeOnExec: UInt64 = 0o2000000
        _ = fcntl(descriptor, F_SETFD, flags & closeOnExec != 0 ? FD_CLOEXEC : 0)
        return Int64(descriptor)
    }

    private func contents(_ process: LinuxProcess) -> [UInt8] {
        switch kind {
        case .executable: []
        case .maps: Array(process.mappingsText().utf8)
        case .usage: Array(process.usageText().utf8)
        case .usageSummary: Array(process.usageSummary().utf8)
        case .commandLine: process.guestBytes(process.argumentBytes)
        case .environment: process.guestBytes(process.environmentBytes)
        case .auxiliaryVector: process.guestBytes(process.auxiliaryVectorBytes)
        case .status: Array(Self.status(process).utf8)
        case .summary: Array(Self.summary(process).utf8)
        case .processors: Array(Self.processors.utf8)
        }
    }

    /// /proc/self/stat with the guest's number of threads (field 20) and start of the stack (field 28), which conservative
    /// collectors read.
    private static func status(_ process: LinuxProcess) -> String {
        let text = readHostFile("/proc/self/stat")
        // The command, in brackets, may hold blanks.
        guard let bracket = text.lastIndex(of: ")") else { return text }
        var fields = text[text.index(after: bracket)...].split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        let threadsField = 20 - 3, stackField = 28 - 3
        guard fields.count > stackField else { return text }
        if let count = Int(fields[threadsField]) { fields[threadsField] = String(count - process.ownThreadCount) }
        fields[stackField] = String(process.stackStart)
        return text[...bracket] + " " + fields.joined(separator: " ")
    }

    /// /proc/self/status with the guest's number of threads.
    private static func summary(_ process: LinuxProcess) -> String {
        readHostFile("/proc/self/status").split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let name = "Threads:\t"
            guard line.hasPrefix(name), let count = Int(line.dropFirst(name.count)) else { return String(line) }
            return name + String(count - process.ownThreadCount)
        }.joined(separator: "\n")
    }

    /// /proc/cpuinfo in riscv's form, one record a processor of the host.
    package static var processors: String {
        let count = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let isa = RISCVFeatures.isaString
        return (0..<count).map { index in
            "processor\t: \(index)\nhart\t\t: \(index)\nisa\t\t: \(isa)\nmmu\t\t: sv39\n"
                + "mvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0\nhart isa\t: \(isa)\n\n"
        }.joined()
    }
}

/// The text of a small host file; empty when it cannot be read.
func readHostFile(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    while true {
        let before = bytes.count
        bytes.append(contentsOf: [UInt8](repeating: 0, count: 65536))
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + before, 65536) }
        bytes.removeLast(65536 - max(0, count))
        if count <= 0 { break }
    }
    return String(decoding: bytes, as: UTF8.self)
}

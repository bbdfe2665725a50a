// Tracing of system calls in the form of strace(1): one line a call, printed after it has returned.
//
// What is printed derives from the table's rows: see `Strace+Arguments.swift` for values, `Strace+Structures.swift` for what
// lies behind pointers and `StraceNames.swift` for flags. A line is written with one write, so that lines of several threads
// and processes do not mix.

import CHost
import Glibc

/// Prints the calls of one guest process.
package final class Strace {
    /// Which calls to print.
    package struct Filter {
        var names: Set<String> = []
        var classes: Set<String> = []
        var inverted = false
        var all = true

        /// Parses SET of --strace=SET: names and classes (%file, %desc, %network, %process, %memory, %signal) with commas
        /// between, a leading `!` for all but those. Nil, "" and "all" are everything.
        package init(_ text: String?) {
            guard var rest = text?[...], !rest.isEmpty, rest != "all" else { return }
            all = false
            if rest.hasPrefix("trace=") { rest = rest.dropFirst(6) }
            if rest.hasPrefix("!") {
                inverted = true
                rest = rest.dropFirst()
            }
            for item in rest.split(separator: ",") {
                let isClass = item.hasPrefix("%") || Strace.classNames.contains(String(item))
                if isClass {
                    classes.insert(item.hasPrefix("%") ? String(item.dropFirst()) : String(item))
                } else {
                    names.insert(String(item))
                }
            }
        }

        /// Items that are neither a class nor a call of the table.
        package func unknownItems(_ table: SystemCallTable) -> [String] {
            let calls = Set((0 ..< SystemCallTable.capacity).compactMap { number in table[number].map { "\($0.name)" } })
            return names.subtracting(calls).sorted() + classes.subtracting(Strace.classNames).sorted().map { "%" + $0 }
        }

        func shows(_ row: SystemCallRow?) -> Bool {
            if all { return true }
            guard let row else { return inverted }
            let named = names.contains("\(row.name)") || classes.contains { Strace.isMember(row, of: $0) }
            return named != inverted
        }
    }

    package static let classNames: Set<String> = ["file", "desc", "network", "net", "process", "memory", "signal"]

    private let descriptor: Int32
    private let filter: Filter
    private let firstThread = currentThread()
    private var hasSeveralThreads = false

    /// Traces to `descriptor`, which is the emulator's own: keep it from the guest.
    package init(descriptor: Int32, filter: Filter) {
        self.descriptor = descriptor
        self.filter = filter
    }

    /// Traces to a file that is made or appended to, or to standard error; nil when the file cannot be opened.
    package convenience init?(path: String?, filter: Filter) {
        let opened = path.map { open($0, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644) } ?? dup(2)
        guard opened >= 0 else { return nil }
        let high = fcntl(opened, F_DUPFD_CLOEXEC, 901)
        if high >= 0 { close(opened) }
        self.init(descriptor: high >= 0 ? high : opened, filter: filter)
    }

    /// The descriptor that the guest must not close.
    package var internalDescriptor: Int32 { descriptor }

    /// Makes a call and prints it.
    package func call(_ thread: LinuxThread, _ arguments: SystemCallArguments, _ table: SystemCallTable) -> Int64 {
        let row = table[arguments.number]
        guard filter.shows(row) else { return table.dispatch(thread, arguments) }
        let caller = currentThread()
        if row?.result == .never {
            write(line: Self.line(row, arguments, result: nil))
            let result = table.dispatch(thread, arguments)
            // It came back: the call failed, or a mere thread ended.
            if caller == currentThread() && result < 0 { write(line: Self.line(row, arguments, result: result)) }
            return result
        }
        if let fatal = thread.fatalSignal(ofCall: arguments) {
            write(line: Self.line(row, arguments, result: 0))
            signal(Int(fatal.number), code: Int(fatal.code))
            killed(by: fatal.number)
        }
        let result = table.dispatch(thread, arguments)
        // The child of a fork does not print its parent's call.
        if caller == currentThread() { write(line: Self.line(row, arguments, result: result)) }
        return result
    }

    /// Prints the delivery of a signal.
    package func signal(_ number: Int, code: Int) {
        let name = StraceNames.signal(number)
        write(line: "--- \(name) {si_signo=\(name), si_code=\(StraceNames.signalCode(code))} ---")
    }

    /// Prints how the process ended.
    package func exited(status: Int) {
        write(line: "+++ exited with \(status) +++")
    }

    /// Prints that the process is about to end by a signal.
    package func killed(by signal: Int32) {
        write(line: "+++ killed by \(StraceNames.signal(Int(signal))) +++")
    }

    /// A call as strace(1) prints it. `result` nil: not known (yet).
    package static func line(_ row: SystemCallRow?, _ arguments: SystemCallArguments, result: Int64?) -> String {
        guard let row else { return unknownLine(arguments, result: result) }
        let values = row.arguments.enumerated().compactMap { text(of: $1, index: $0, arguments, result: result) }
        return padded("\(row.name)(\(values.joined(separator: ", ")))") + " = " + resultText(result, row.result)
    }

    private static func unknownLine(_ a: SystemCallArguments, result: Int64?) -> String {
        let values = (0..<6).map { StraceNames.hex(a[$0]) }.joined(separator: ", ")
        let number = String(UInt(bitPattern: a.number), radix: 16)
        return padded("syscall_0x\(number)(\(values))") + " = " + resultText(result, .int)
    }

    /// Results stand in column 40.
    private static func padded(_ call: String) -> String {
        let missing = 39 - call.utf8.count
        return missing > 0 ? call + String(repeating: " ", count: missing) : call
    }

    static func resultText(_ result: Int64?, _ kind: ResultKind) -> String {
        guard let result else { return "?" }
        if result < 0 && result > -4096 {
            let number = Int32(-result)
            if let text = StraceNames.restart(Int(number)) { return "? " + text }
            let name = Errno(rawValue: number).map { "\($0)" } ?? "errno \(number)"
            return "-1 \(name) (\(String(cString: strerror(number))))"
        }
        switch kind {
        case .int, .never: return String(result)
        case .hex, .pointer: return StraceNames.hex(UInt64(bitPattern: result))
        }
    }

    private func write(line: String) {
        let thread = currentThread()
        if thread != firstThread { hasSeveralThreads = true }
        let prefix = hasSeveralThreads ? "[pid \(String(repeating: " ", count: max(0, 5 - String(thread).count)))\(thread)] " : ""
        var text = prefix + line + "\n"
        text.withUTF8 { _ = Glibc.write(descriptor, $0.baseAddress!, $0.count) }
    }

    /// Whether a call belongs to a class of strace(1), judged by its arguments where possible.
    static func isMember(_ row: SystemCallRow, of name: String) -> Bool {
        let number = Int(row.number)
        switch name {
        case "file": return row.arguments.contains(.path)
        case "desc": return row.arguments.contains(.fd) || row.arguments.contains(.directoryFD)
        case "network", "net": return (198...212).contains(number) || [242, 243, 269, 71].contains(number)
        case "process": return [93, 94, 95, 129, 220, 221, 260, 281, 424, 434, 435].contains(number)
        case "memory":
            return (214...216).contains(number) || (222...239).contains(number) || [196, 197, 284, 288].contains(number)
        case "signal": return (129...139).contains(number) || [74, 240].contains(number)
        default: return false
        }
    }
}

/// The host's number of the calling thread, which is the guest's too.
private func currentThread() -> Int32 {
    Int32(truncatingIfNeeded: mynah_syscall(186, 0, 0, 0, 0, 0, 0))
}

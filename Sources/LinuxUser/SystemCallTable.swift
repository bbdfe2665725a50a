// The table of Linux system calls: one row a call, by the guest's number (asm-generic, used by riscv64).
//
// A row says what the call is named, what its arguments are and how it is served: forwarded to the host's call
// (guest pointers are host pointers, and the kernel checks them), or handled by a function. The output of --strace
// derives from the rows. Rows are added by area, one `add…Calls` function per `SystemCalls+….swift` file.

/// The words of one system call: the guest's number and six arguments.
package struct SystemCallArguments {
    package var number: Int
    package var a0, a1, a2, a3, a4, a5: UInt64

    package init(
        number: Int, _ a0: UInt64 = 0, _ a1: UInt64 = 0, _ a2: UInt64 = 0, _ a3: UInt64 = 0, _ a4: UInt64 = 0,
        _ a5: UInt64 = 0
    ) {
        self.number = number
        (self.a0, self.a1, self.a2, self.a3, self.a4, self.a5) = (a0, a1, a2, a3, a4, a5)
    }

    package subscript(index: Int) -> UInt64 {
        get {
            switch index {
            case 0: a0
            case 1: a1
            case 2: a2
            case 3: a3
            case 4: a4
            default: a5
            }
        }
        set {
            switch index {
            case 0: a0 = newValue
            case 1: a1 = newValue
            case 2: a2 = newValue
            case 3: a3 = newValue
            case 4: a4 = newValue
            default: a5 = newValue
            }
        }
    }
}

/// What an argument means, so that a trace can print it.
package enum ArgumentKind: Equatable {
    case int, unsigned, hex
    /// A 32-bit file mode, printed in octal.
    case mode
    /// A mode that matters only when the flags before it create a file.
    case creationMode
    /// fcntl's third argument: its meaning, or that there is none, depends on the command before it.
    case commandArgument
    case fd
    /// A descriptor or AT_FDCWD.
    case directoryFD
    /// A path: a NUL-terminated string, printed whole.
    case path
    /// A NUL-terminated string, shortened.
    case string
    /// Bytes that the call reads; the argument with that index is their number.
    case buffer(lengthArgument: Int)
    /// Bytes that the call writes; the result is their number.
    case outputBuffer
    /// A string that the call writes.
    case outputString
    case pointer
    case signal
    case flags(FlagSet)
    case structure(StructureKind)
}

/// What a call returns.
package enum ResultKind {
    case int, hex
    /// An address; printed in hexadecimal.
    case pointer
    /// Does not return when it succeeds (exit, execve): traced before it is made.
    case never
}

/// Serves a call: returns the result, or minus an errno.
package typealias SystemCallHandler = (LinuxThread, SystemCallArguments) -> Int64

/// One system call.
package struct SystemCallRow {
    package var name: StaticString
    package var number: Int16
    /// The host's number of a call that is forwarded as it is; -1 when `handler` serves it.
    package var hostNumber: Int16
    package var result: ResultKind
    package var handler: SystemCallHandler?
    fileprivate var makeArguments: () -> [ArgumentKind]

    /// What the arguments are. Made when a trace asks: the table is filled at each start of a program.
    package var arguments: [ArgumentKind] { makeArguments() }
}

/// All system calls, dense by number.
package final class SystemCallTable {
    package static let capacity = 512

    // SAFETY: `capacity` rows, initialised in `init`, indexed only after a bounds check; the table lives as long as the process.
    private let rows: UnsafeMutablePointer<SystemCallRow?>

    package init() {
        rows = .allocate(capacity: Self.capacity)
        rows.initialize(repeating: nil, count: Self.capacity)
    }

    deinit {
        rows.deinitialize(count: Self.capacity)
        rows.deallocate()
    }

    /// The row of a number; nil when there is no such call.
    package subscript(number: Int) -> SystemCallRow? {
        guard number >= 0 && number < Self.capacity else { return nil }
        return rows[number]
    }

    /// Adds a call that `handler` serves.
    package func call(
        _ number: Int, _ name: StaticString, _ arguments: @escaping @autoclosure () -> [ArgumentKind],
        returns result: ResultKind = .int, _ handler: @escaping SystemCallHandler
    ) {
        add(number, name, arguments, result, host: -1, handler)
    }

    /// Adds a call that is the host's call `host` with the same arguments.
    package func forward(
        _ number: Int, _ name: StaticString, host: Int, _ arguments: @escaping @autoclosure () -> [ArgumentKind],
        returns result: ResultKind = .int
    ) {
        add(number, name, arguments, result, host: host, nil)
    }

    /// Where a call writes what it reads: argument 1 is its address, and argument 2, for the first two, how much there is.
    package enum Destination { case buffer, vector, message }

    /// Adds a call that is the host's, and that fills memory of the guest. A count that is too small has a meaning, so no page
    /// may be in the way that is write-protected because code was translated from it.
    package func fill(
        _ number: Int, _ name: StaticString, host: Int, _ destination: Destination,
        _ arguments: @escaping @autoclosure () -> [ArgumentKind]
    ) {
        call(number, name, arguments()) { thread, a in
            if thread.process.memory.watchCount != 0 { thread.releaseWatches(destination, a) }
            return thread.hostCall(host, a)
        }
    }

    /// Adds a call that is deliberately not there: it always fails with `error`.
    package func refuse(
        _ number: Int, _ name: StaticString, _ error: Errno = .ENOSYS,
        _ arguments: @escaping @autoclosure () -> [ArgumentKind] = []
    ) {
        let result = error.result
        add(number, name, arguments, .int, host: -1) { _, _ in result }
    }

    private func add(
        _ number: Int, _ name: StaticString, _ arguments: @escaping () -> [ArgumentKind], _ result: ResultKind, host: Int,
        _ handler: SystemCallHandler?
    ) {
        precondition(rows[number] == nil, "system call \(number) has two rows")
        rows[number] = SystemCallRow(
            name: name, number: Int16(number), hostNumber: Int16(host), result: result, handler: handler,
            makeArguments: arguments)
    }

    /// Makes a call for the guest. Unknown numbers give ENOSYS, as from an older kernel.
    @inline(__always)
    package func dispatch(_ thread: LinuxThread, _ arguments: SystemCallArguments) -> Int64 {
        let result = make(thread, arguments)
        // The kernel could not write to a page that is write-protected because code was translated from it.
        if result == Errno.EFAULT.result && thread.process.releaseAllWatches() { return make(thread, arguments) }
        return result
    }

    @inline(__always)
    private func make(_ thread: LinuxThread, _ arguments: SystemCallArguments) -> Int64 {
        let number = arguments.number
        guard number >= 0 && number < Self.capacity, let host = rows[number]?.hostNumber else { return Errno.ENOSYS.result }
        if host >= 0 { return thread.hostCall(Int(host), arguments) }
        return rows[number]!.handler!(thread, arguments)
    }
}

extension SystemCallTable {
    /// The calls of riscv64 Linux.
    package static func riscv64() -> SystemCallTable {
        let table = SystemCallTable()
        table.addFileCalls()
        table.addDirectoryCalls()
        table.addSocketCalls()
        table.addPollingCalls()
        table.addTimeCalls()
        table.addTerminalCalls()
        table.addSystemInformationCalls()
        table.addAdministrationCalls()
        table.addProcessCalls()
        table.addMemoryCalls()
        table.addSignalCalls()
        table.addThreadCalls()
        return table
    }
}

extension LinuxThread {
    fileprivate func releaseWatches(_ destination: SystemCallTable.Destination, _ a: SystemCallArguments) {
        switch destination {
        case .buffer: releaseWatches(a.a1, a.a2)
        case .vector: releaseWatches(vector: a.a1, count: a.a2)
        case .message:
            // struct msghdr: name, namelen, iov, iovlen.
            if let header = readGuest((UInt64, UInt64, UInt64, UInt64).self, at: a.a1) {
                releaseWatches(vector: header.2, count: header.3)
            }
        }
    }

    private func releaseWatches(_ address: UInt64, _ byteCount: UInt64) {
        guard address < AddressSpace.limit else { return }
        process.memory.releaseWatches(in: address ..< address + min(byteCount, AddressSpace.limit - address))
    }

    private func releaseWatches(vector: UInt64, count: UInt64) {
        let mostParts: UInt64 = 1024  // UIO_MAXIOV
        for index in 0 ..< min(count, mostParts) {
            guard let part = readGuest((UInt64, UInt64).self, at: vector &+ index &* 16) else { return }
            releaseWatches(part.0, part.1)
        }
    }
}

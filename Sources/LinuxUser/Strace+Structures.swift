// How strace output shows what lies behind a pointer. A structure that cannot be read, or that a failed call has not
// written, is shown as its address.

extension Strace {
    /// The text of the structure at `address`, argument `index` of the call.
    static func structure(
        _ kind: StructureKind, at address: UInt64, index: Int, _ a: SystemCallArguments, result: Int64?
    ) -> String {
        guard address != 0 else { return "NULL" }
        if isOutput(kind) && (result == nil || result! < 0) { return pointer(address) }
        return body(kind, at: address, index: index, a, result: result) ?? pointer(address)
    }

    /// Whether the call writes the structure.
    private static func isOutput(_ kind: StructureKind) -> Bool {
        switch kind {
        case .timespecOut, .timevalOut, .stat, .statx, .statfs, .sockaddrOut, .epollEvents, .resourceLimitOut, .resourceUsage,
            .uname, .sysinfo, .waitStatus, .descriptorPair, .hwprobe, .signalInformation:
            true
        default: false
        }
    }

    private static func body(
        _ kind: StructureKind, at address: UInt64, index: Int, _ a: SystemCallArguments, result: Int64?
    ) -> String? {
        switch kind {
        case .timespec, .timespecOut: return time(at: address, fraction: "tv_nsec")
        case .timeval, .timevalOut: return time(at: address, fraction: "tv_usec")
        case .itimerval: return interval(at: address, fraction: "tv_usec")
        case .itimerspec: return interval(at: address, fraction: "tv_nsec")
        case .stat: return status(at: address)
        case .statx: return extendedStatus(at: address)
        case .statfs: return fileSystem(at: address)
        case .sockaddr: return socketAddress(at: address, count: a[index + 1])
        case .sockaddrOut: return writtenSocketAddress(at: address, lengthAddress: a[index + 1])
        case .iovec: return vectors(at: address, count: a[index + 1], limit: result)
        case .message: return message(at: address, result: result)
        case .pollDescriptors: return pollDescriptors(at: address, count: a[index + 1])
        case .descriptorSet: return descriptorSet(at: address, count: a.a0)
        case .epollEvent: return readGuest(GuestEpollEvent.self, at: address).map(text)
        case .epollEvents: return epollEvents(at: address, count: result ?? 0)
        case .signalSet: return readGuest(UInt64.self, at: address).map(StraceNames.signalSet)
        case .signalAction: return signalAction(at: address)
        case .signalStack: return signalStack(at: address)
        case .signalInformation: return signalInformation(at: address)
        case .resourceLimit, .resourceLimitOut: return resourceLimit(at: address)
        case .resourceUsage: return resourceUsage(at: address)
        case .uname: return systemName(at: address)
        case .sysinfo: return systemInformation(at: address)
        case .waitStatus: return readGuest(UInt32.self, at: address).map { "[\(waitStatus($0))]" }
        case .descriptorPair: return readGuest((Int32, Int32).self, at: address).map { "[\($0.0), \($0.1)]" }
        case .stringVector: return strings(at: address)
        case .cloneArguments: return cloneArguments(at: address)
        case .openHow: return openHow(at: address)
        case .hwprobe: return probe(at: address, count: a[index + 1])
        case .intPointer: return readGuest(Int32.self, at: address).map { "[\($0)]" }
        case .robustList: return nil
        }
    }

    // MARK: Time

    private static func time(at address: UInt64, fraction: String) -> String? {
        readGuest((Int64, Int64).self, at: address).map { "{tv_sec=\($0.0), \(fraction)=\($0.1)}" }
    }

    private static func interval(at address: UInt64, fraction: String) -> String? {
        guard let interval = time(at: address, fraction: fraction), let value = time(at: address &+ 16, fraction: fraction) else {
            return nil
        }
        return "{it_interval=\(interval), it_value=\(value)}"
    }

    // MARK: Files

    private static func status(at address: UInt64) -> String? {
        guard let status = readGuest(GuestStatus.self, at: address) else { return nil }
        return fileText(mode: status.mode, size: UInt64(bitPattern: status.size), device: status.specialDevice)
    }

    private static func fileText(mode: UInt32, size: UInt64, device: UInt64) -> String {
        let type = StraceNames.fileType(mode)
        let isDevice = mode & 0o170000 == 0o020000 || mode & 0o170000 == 0o060000
        let last = isDevice ? "st_rdev=\(StraceNames.hex(device))" : "st_size=\(size)"
        return "{st_mode=\(type)|\(octal(mode & 0o7777)), \(last), ...}"
    }

    private static func extendedStatus(at address: UInt64) -> String? {
        guard let mask = readGuest(UInt32.self, at: address), let mode = readGuest(UInt16.self, at: address &+ 28),
            let size = readGuest(UInt64.self, at: address &+ 40)
        else { return nil }
        let type = StraceNames.fileType(UInt32(mode))
        return
            "{stx_mask=\(StraceNames.hex(UInt64(mask))), stx_mode=\(type)|\(octal(UInt32(mode) & 0o7777)), stx_size=\(size), ...}"
    }

    private static func fileSystem(at address: UInt64) -> String? {
        guard let words = readGuest((UInt64, UInt64, UInt64, UInt64, UInt64).self, at: address) else { return nil }
        return "{f_type=\(StraceNames.hex(words.0)), f_bsize=\(words.1), f_blocks=\(words.2), f_bfree=\(words.3), "
            + "f_bavail=\(words.4), ...}"
    }

    private static func openHow(at address: UInt64) -> String? {
        guard let how = readGuest((UInt64, UInt64, UInt64).self, at: address) else { return nil }
        return "{flags=\(StraceNames.text(.open, how.0)), mode=\(octal(UInt32(truncatingIfNeeded: how.1))), "
            + "resolve=\(StraceNames.hex(how.2))}"
    }

    private static func vectors(at address: UInt64, count: UInt64, limit: Int64?) -> String? {
        let shown = min(count, 16)
        var parts: [String] = []
        var remaining = limit.map { UInt64(max(0, $0)) } ?? .max
        for index in 0..<shown {
            guard let vector = readGuest((UInt64, UInt64).self, at: address &+ index &* 16) else { return nil }
            let filled = min(vector.1, remaining)
            remaining -= filled
            parts.append("{iov_base=\(bytes(at: vector.0, count: filled)), iov_len=\(vector.1)}")
        }
        return "[" + parts.joined(separator: ", ") + (count > shown ? ", ..." : "") + "]"
    }

    // MARK: Sockets

    private static func writtenSocketAddress(at address: UInt64, lengthAddress: UInt64) -> String? {
        guard let length = readGuest(UInt32.self, at: lengthAddress) else { return nil }
        return socketAddress(at: address, count: UInt64(length))
    }

    private static func socketAddress(at address: UInt64, count: UInt64) -> String? {
        guard let bytes = readBytes(at: address, count: Int(min(count, 128))), bytes.count >= 2 else { return nil }
        let family = UInt64(bytes[0]) | UInt64(bytes[1]) << 8
        let name = StraceNames.text(.addressFamily, family)
        let port = bytes.count >= 4 ? UInt(bytes[2]) << 8 | UInt(bytes[3]) : 0
        switch family {
        case 1:
            let path = Array(bytes[2...])
            let text = path.first == 0 ? "@" + quoted(Array(path.dropFirst())) : quoted(Array(path.prefix { $0 != 0 }))
            return bytes.count == 2 ? "{sa_family=\(name)}" : "{sa_family=\(name), sun_path=\(text)}"
        case 2 where bytes.count >= 8:
            let host = bytes[4..<8].map(String.init).joined(separator: ".")
            return "{sa_family=\(name), sin_port=htons(\(port)), sin_addr=inet_addr(\"\(host)\")}"
        case 10 where bytes.count >= 24:
            let groups = stride(from: 8, to: 24, by: 2).map { String(UInt(bytes[$0]) << 8 | UInt(bytes[$0 + 1]), radix: 16) }
            return "{sa_family=\(name), sin6_port=htons(\(port)), inet_pton(AF_INET6, \"\(groups.joined(separator: ":"))\")}"
        default:
            return "{sa_family=\(name), sa_data=\(quoted(Array(bytes[2...])))}"
        }
    }

    private static func message(at address: UInt64, result: Int64?) -> String? {
        // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags.
        guard let words = readGuest((UInt64, UInt64, UInt64, UInt64, UInt64, UInt64).self, at: address) else { return nil }
        let name = words.0 == 0 ? "NULL" : socketAddress(at: words.0, count: words.1 & 0xffff_ffff) ?? pointer(words.0)
        let iov = words.2 == 0 ? "NULL" : vectors(at: words.2, count: words.3, limit: result) ?? pointer(words.2)
        return "{msg_name=\(name), msg_namelen=\(words.1 & 0xffff_ffff), msg_iov=\(iov), msg_iovlen=\(words.3), "
            + "msg_controllen=\(words.5)}"
    }

    // MARK: Waiting

    private static func pollDescriptors(at address: UInt64, count: UInt64) -> String? {
        var parts: [String] = []
        for index in 0..<min(count, 16) {
            guard let entry = readGuest((Int32, UInt16, UInt16).self, at: address &+ index &* 8) else { return nil }
            let returned = entry.2 == 0 ? "" : ", revents=\(StraceNames.pollEvents(UInt64(entry.2)))"
            parts.append("{fd=\(entry.0), events=\(StraceNames.pollEvents(UInt64(entry.1)))\(returned)}")
        }
        return "[" + parts.joined(separator: ", ") + (count > 16 ? ", ..." : "") + "]"
    }

    private static func descriptorSet(at address: UInt64, count: UInt64) -> String? {
        var members: [String] = []
        for word in 0..<(min(count, 1024) &+ 63) / 64 {
            guard var bits = readGuest(UInt64.self, at: address &+ word &* 8) else { return nil }
            while bits != 0 {
                members.append(String(word * 64 + UInt64(bits.trailingZeroBitCount)))
                bits &= bits &- 1
            }
        }
        return "[" + members.joined(separator: " ") + "]"
    }

    private static func text(_ event: GuestEpollEvent) -> String {
        "{events=\(StraceNames.epollEvents(UInt64(event.events))), data=\(StraceNames.hex(event.data))}"
    }

    private static func epollEvents(at address: UInt64, count: Int64) -> String? {
        var parts: [String] = []
        for index in 0..<UInt64(min(max(0, count), 16)) {
            guard let event = readGuest(GuestEpollEvent.self, at: address &+ index &* 16) else { return nil }
            parts.append(text(event))
        }
        return "[" + parts.joined(separator: ", ") + (count > 16 ? ", ..." : "") + "]"
    }

    // MARK: Signals

    private static func signalAction(at address: UInt64) -> String? {
        // riscv64 has no restorer: handler, flags, mask.
        guard let action = readGuest((UInt64, UInt64, UInt64).self, at: address) else { return nil }
        let handler = action.0 == 0 ? "SIG_DFL" : action.0 == 1 ? "SIG_IGN" : StraceNames.hex(action.0)
        return "{sa_handler=\(handler), sa_mask=\(StraceNames.signalSet(action.2)), "
            + "sa_flags=\(StraceNames.text(.signalAction, action.1))}"
    }

    private static func signalStack(at address: UInt64) -> String? {
        guard let stack = readGuest((UInt64, UInt64, UInt64).self, at: address) else { return nil }
        let flags = stack.1 & 0xffff_ffff
        let name = flags == 0 ? "0" : flags == 1 ? "SS_ONSTACK" : flags == 2 ? "SS_DISABLE" : StraceNames.hex(flags)
        return "{ss_sp=\(pointer(stack.0)), ss_flags=\(name), ss_size=\(stack.2)}"
    }

    private static func signalInformation(at address: UInt64) -> String? {
        guard let fields = readGuest((Int32, Int32, Int32).self, at: address) else { return nil }
        return "{si_signo=\(StraceNames.signal(Int(fields.0))), si_code=\(StraceNames.signalCode(Int(fields.2))), ...}"
    }

    // MARK: Processes

    static func waitStatus(_ status: UInt32) -> String {
        let signal = Int(status & 0x7f)
        if status == 0xffff { return "{WIFCONTINUED(s)}" }
        if signal == 0 { return "{WIFEXITED(s) && WEXITSTATUS(s) == \(status >> 8 & 0xff)}" }
        if signal == 0x7f { return "{WIFSTOPPED(s) && WSTOPSIG(s) == \(StraceNames.signal(Int(status >> 8 & 0xff)))}" }
        let core = status & 0x80 != 0 ? " && WCOREDUMP(s)" : ""
        return "{WIFSIGNALED(s) && WTERMSIG(s) == \(StraceNames.signal(signal))\(core)}"
    }

    private static func resourceLimit(at address: UInt64) -> String? {
        func text(_ value: UInt64) -> String {
            if value == ~0 { return "RLIM64_INFINITY" }
            return value > 1024 && value & 1023 == 0 ? "\(value >> 10)*1024" : String(value)
        }
        return readGuest((UInt64, UInt64).self, at: address).map { "{rlim_cur=\(text($0.0)), rlim_max=\(text($0.1))}" }
    }

    private static func resourceUsage(at address: UInt64) -> String? {
        guard let user = time(at: address, fraction: "tv_usec"), let system = time(at: address &+ 16, fraction: "tv_usec") else {
            return nil
        }
        return "{ru_utime=\(user), ru_stime=\(system), ...}"
    }

    private static func strings(at address: UInt64) -> String? {
        var parts: [String] = []
        for index in 0..<UInt64(32) {
            guard let element = readGuest(UInt64.self, at: address &+ index &* 8) else { return nil }
            if element == 0 { return "[" + parts.joined(separator: ", ") + "]" }
            parts.append(string(at: element, limit: stringLimit))
        }
        return "[" + parts.joined(separator: ", ") + ", ...]"
    }

    private static func cloneArguments(at address: UInt64) -> String? {
        // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
        guard let words = readGuest((UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64).self, at: address) else {
            return nil
        }
        return "{flags=\(StraceNames.text(.clone, words.0)), child_tid=\(pointer(words.2)), parent_tid=\(pointer(words.3)), "
            + "exit_signal=\(words.4 == 0 ? "0" : StraceNames.signal(Int(words.4 & 0xff))), stack=\(pointer(words.5)), "
            + "stack_size=\(StraceNames.hex(words.6)), tls=\(pointer(words.7))}"
    }

    // MARK: System

    private static func systemName(at address: UInt64) -> String? {
        func field(_ index: UInt64) -> String { string(at: address &+ index &* 65, limit: 64) }
        return "{sysname=\(field(0)), nodename=\(field(1)), release=\(field(2)), version=\(field(3)), machine=\(field(4)), ...}"
    }

    private static func systemInformation(at address: UInt64) -> String? {
        guard let words = readGuest((Int64, UInt64, UInt64, UInt64, UInt64, UInt64).self, at: address) else { return nil }
        return "{uptime=\(words.0), loads=[\(words.1), \(words.2), \(words.3)], totalram=\(words.4), freeram=\(words.5), ...}"
    }

    private static func probe(at address: UInt64, count: UInt64) -> String? {
        var parts: [String] = []
        for index in 0..<min(count, 16) {
            guard let pair = readGuest((Int64, UInt64).self, at: address &+ index &* 16) else { return nil }
            parts.append("{key=\(pair.0), value=\(StraceNames.hex(pair.1))}")
        }
        return "[" + parts.joined(separator: ", ") + (count > 16 ? ", ..." : "") + "]"
    }
}

// Where a debugger connects: a TCP port of this machine, or a Unix socket.

import Glibc

/// Why there is no connection to a debugger; the text is for the user.
package struct DebugServerError: Error, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

package enum DebugEndpoint: Equatable, Sendable {
    /// Port 0 is one that is free.
    case port(host: String, number: UInt16)
    case path(String)
    /// A connection that the program before this one in the process had, and what was agreed on it.
    case inherited(descriptor: Int32, state: String)

    /// `PORT`, `:PORT`, `HOST:PORT`, or the path of a socket; `tcp:` and `unix:` in front say which it is.
    /// - Throws: `DebugServerError` when it is none of them.
    package init(_ text: String) throws {
        let inherited = "inherited:"
        if text.hasPrefix(inherited) {
            let parts = text.dropFirst(inherited.count).split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let descriptor = Int32(parts[0]), descriptor >= 0 else {
                throw DebugServerError("'\(text)' names no connection")
            }
            self = .inherited(descriptor: descriptor, state: String(parts[1]))
            return
        }
        guard !text.isEmpty else { throw DebugServerError("expected a port or the path of a socket, found ''") }
        if text.hasPrefix("unix:") {
            guard text.count > 5 else { throw DebugServerError("which socket? unix:PATH") }
            self = .path(String(text.dropFirst(5)))
            return
        }
        let isPort = text.hasPrefix("tcp:"), text = isPort ? String(text.dropFirst(4)) : text
        let colon = text.contains("/") ? nil : text.lastIndex(of: ":")
        let digits = colon.map { text[text.index(after: $0)...] } ?? text[...]
        let looksLikePort = colon != nil || (digits.allSatisfy { $0.isNumber }) || isPort
        guard looksLikePort else {
            self = .path(text)
            return
        }
        guard let number = UInt16(digits) else { throw DebugServerError("no port '\(digits)': they go from 0 to 65535") }
        let host = colon.map { String(text[..<$0]) } ?? ""
        self = .port(host: host, number: number)
    }

    /// The words on a command line that mean the same.
    package var text: String {
        switch self {
        case .port(let host, let number): host.isEmpty ? "\(number)" : "\(host):\(number)"
        case .path(let path): path
        case .inherited(let descriptor, let state): "inherited:\(descriptor):\(state)"
        }
    }
}

/// A socket that waits for debuggers, one after the other.
package final class DebugListener {
    private let descriptor: Int32
    private let endpoint: DebugEndpoint
    /// What a debugger is told to connect to.
    package let address: String

    /// - Throws: `DebugServerError` when the host refuses.
    package init(_ endpoint: DebugEndpoint) throws {
        self.endpoint = endpoint
        switch endpoint {
        case .port(let host, let number): (descriptor, address) = try Self.listen(host: host, number: number)
        case .path(let path):
            descriptor = try Self.listen(path: path)
            address = path
        case .inherited(let inherited, _):
            descriptor = inherited
            address = ""
        }
    }

    private static func listen(host: String, number: UInt16) throws -> (Int32, String) {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = number.bigEndian
        // Whoever reaches the port rules the program: nobody outside unless that is said.
        let name = host.isEmpty || host == "localhost" ? "127.0.0.1" : host
        guard inet_pton(AF_INET, name, &address.sin_addr) == 1 else {
            throw DebugServerError("'\(host)' is no address of this machine: give PORT, or an IPv4 address as in 127.0.0.1:1234")
        }
        let descriptor = outOfTheWay(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && Glibc.listen(descriptor, 1) == 0
                    && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard bound else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw DebugServerError(
                "cannot wait for gdb on \(name):\(number): \(reason). Choose another port, or 0 for one that is free")
        }
        return (descriptor, "\(name):\(UInt16(bigEndian: address.sin_port))")
    }

    private static func listen(path: String) throws -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < capacity, !path.utf8.contains(0) else {
            throw DebugServerError("the path of a socket has less than \(capacity) bytes: '\(path)'. Choose a shorter one")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        if isLeftBehind(path, address) { unlink(path) }
        let descriptor = outOfTheWay(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 && Glibc.listen(descriptor, 1) == 0
            }
        }
        guard bound else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw DebugServerError("cannot wait for gdb at the socket '\(path)': \(reason). Choose another path, or a port")
        }
        return descriptor
    }

    /// Whether the path is a socket that nobody listens at any more. A connection of the other kind is refused for that reason,
    /// and with another one by who listens, who does not notice.
    private static func isLeftBehind(_ path: String, _ address: sockaddr_un) -> Bool {
        var status = stat(), address = address
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return false }
        let probe = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(probe) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(probe, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) != 0 && errno == ECONNREFUSED
            }
        }
    }

    /// Waits for a debugger and stops listening. Returns its connection's descriptor.
    /// - Throws: `DebugServerError` when the host refuses.
    package func accept() throws -> Int32 {
        if case .inherited = endpoint {
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            var type: Int32 = 0, length = socklen_t(MemoryLayout<Int32>.size)
            guard getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &length) == 0 else {
                throw DebugServerError("the debugger's connection was not passed on")
            }
            return descriptor
        }
        defer { stop() }
        return try acceptNext()
    }

    /// Waits for a debugger and goes on listening. Returns its connection's descriptor.
    /// - Throws: `DebugServerError` when the host refuses.
    package func acceptNext() throws -> Int32 {
        while true {
            let connection = Glibc.accept(descriptor, nil, nil)
            if connection >= 0 {
                var immediately: Int32 = 1
                setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &immediately, socklen_t(MemoryLayout<Int32>.size))
                return outOfTheWay(connection)
            }
            guard errno == EINTR || errno == ECONNABORTED else {
                throw DebugServerError("cannot take gdb's connection: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Listens no more, and takes the socket's path away.
    package func stop() {
        // Who waits for a connection would not notice that its socket is closed.
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
        if case .path(let path) = endpoint { unlink(path) }
    }
}

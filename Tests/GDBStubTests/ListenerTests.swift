// Sockets by path: whose they are, and what becomes of them.

import Glibc
import Testing

@testable import GDBStub

@Suite struct ListenerTests {
    private let path = "/tmp/mynah-socket-\(getpid())"

    private func withAddress(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) } == 0
        }
    }

    /// Where somebody listens, the path is not taken away, and who listens notices nothing; what an earlier run left behind is
    /// replaced.
    @Test func socketsInUse() throws {
        defer { unlink(path) }
        let first = try DebugListener(.path(path))
        #expect(throws: DebugServerError.self) { try DebugListener(.path(path)) }
        let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        #expect(withAddress { connect(client, $0, $1) })
        let connection = try first.acceptNext()
        var byte = UInt8(ascii: "x")
        #expect(write(client, &byte, 1) == 1)
        byte = 0
        #expect(read(connection, &byte, 1) == 1 && byte == UInt8(ascii: "x"))
        close(connection)
        first.stop()
        #expect(access(path, F_OK) != 0)

        let left = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #expect(withAddress { bind(left, $0, $1) } && close(left) == 0 && access(path, F_OK) == 0)
        try DebugListener(.path(path)).stop()

        // What is no socket stays.
        let file = fopen(path, "w")
        #expect(file != nil && fclose(file!) == 0)
        #expect(throws: DebugServerError.self) { try DebugListener(.path(path)) }
        #expect(access(path, F_OK) == 0)
    }
}

// A descriptor that ends a thread's wait in poll(2).

import Glibc

package final class WakeUp: @unchecked Sendable {
    package let descriptor: Int32
    private let writer: Int32

    package init() throws(BackendError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw BackendError("cannot make a pipe for a device", errorNumber: errno) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        descriptor = ends[0]
        writer = ends[1]
    }

    deinit {
        close(descriptor)
        close(writer)
    }

    /// From any thread.
    package func wake() { withUnsafeBytes(of: 0 as UInt8) { _ = write(writer, $0.baseAddress!, 1) } }

    /// After the wait: takes what `wake` left.
    package func clear() {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { buffer in
            while read(descriptor, buffer.baseAddress!, 256) > 0 {}
        }
    }
}

// A session at a socket: one thread reads what the debugger sends and what the target tells, and writes the answers.

import Glibc

package final class DebugServer: @unchecked Sendable {
    package let session: DebugSession
    /// The debugger's connection.
    package let descriptor: Int32
    /// A pipe: a byte is written to it when there is an event.
    private let wakeUp: (reading: Int32, writing: Int32)
    // SAFETY: allocated for the life of the server; never moved.
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let isIdle: UnsafeMutablePointer<pthread_cond_t>
    /// Held by the serving thread but while it waits.
    private let activity: UnsafeMutablePointer<pthread_mutex_t>
    private var events: [DebugEvent] = []
    private var isHandlingEvents = false
    private var isFinished = false

    /// - Parameter descriptor: a connected socket, which the server closes at the end.
    package init(session: DebugSession, descriptor: Int32) {
        self.session = session
        self.descriptor = descriptor
        var ends: [Int32] = [-1, -1]
        pipe(&ends)
        wakeUp = (outOfTheWay(ends[0]), outOfTheWay(ends[1]))
        lock = .allocate(capacity: 1)
        isIdle = .allocate(capacity: 1)
        activity = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        pthread_mutex_init(activity, nil)
        pthread_cond_init(isIdle, nil)
    }

    deinit {
        close(wakeUp.reading)
        close(wakeUp.writing)
        pthread_mutex_destroy(lock)
        pthread_mutex_destroy(activity)
        pthread_cond_destroy(isIdle)
        lock.deallocate()
        activity.deallocate()
        isIdle.deallocate()
    }

    /// Descriptors that belong to the connection.
    package var descriptors: [Int32] { [descriptor, wakeUp.reading, wakeUp.writing] }

    /// The host's number of the thread that serves, once that has said it.
    package var threadID: Int32? {
        get { locked { servingThread } }
        set { locked { servingThread = newValue } }
    }
    private var servingThread: Int32?

    /// The connection is closed, and `serve` about to return.
    package var hasEnded: Bool { locked { isFinished } }

    /// Hands the session an event, from any thread.
    package func post(_ event: DebugEvent) {
        locked { events.append(event) }
        var byte: UInt8 = 1
        _ = write(wakeUp.writing, &byte, 1)
    }

    /// Waits until all events are told to the debugger, at most for some seconds. Not on the server's thread.
    package func drain(seconds: Int) {
        var end = timespec()
        clock_gettime(CLOCK_REALTIME, &end)
        end.tv_sec += seconds
        locked {
            while !isFinished && (!events.isEmpty || isHandlingEvents) {
                if pthread_cond_timedwait(isIdle, lock, &end) != 0 { break }
            }
        }
    }

    /// Serves until debugging is over, on the calling thread.
    package func serve() {
        whileQuiet { _ = send(session.takeOutput()) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var polls = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakeUp.reading, events: Int16(POLLIN), revents: 0),
        ]
        while !session.isOver {
            guard poll(&polls, 2, -1) > 0 || errno == EINTR else { break }
            guard whileQuiet({ serve(polls, &buffer) }) else { break }
        }
        whileQuiet {
            session.connectionLost()
            end()
        }
        if session.endsTarget { session.target.kill() }
    }

    /// Takes what there is. False when the connection is over.
    private func serve(_ polls: [pollfd], _ buffer: inout [UInt8]) -> Bool {
        if polls[1].revents != 0 { takeEvents() }
        guard polls[0].revents != 0, !session.isOver else { return true }
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        if count < 0 && (errno == EINTR || errno == EAGAIN) { return true }
        guard count > 0 else { return false }
        session.receive(buffer[0 ..< count])
        return send(session.takeOutput())
    }

    /// Does something while the serving thread waits for the debugger or for an event, and holds no lock of anybody's.
    package func whileQuiet<Result>(_ body: () throws -> Result) rethrows -> Result {
        pthread_mutex_lock(activity)
        defer { pthread_mutex_unlock(activity) }
        return try body()
    }

    /// Ends the connection as if the debugger had, from any thread.
    package func disconnect() { locked { _ = isFinished ? 0 : shutdown(descriptor, Int32(SHUT_RDWR)) } }

    private func takeEvents() {
        var byte: UInt8 = 0
        _ = read(wakeUp.reading, &byte, 1)
        let taken = locked { () -> [DebugEvent] in
            defer { events = [] }
            isHandlingEvents = true
            return events
        }
        for event in taken { session.target(event) }
        send(session.takeOutput())
        locked {
            isHandlingEvents = false
            pthread_cond_broadcast(isIdle)
        }
    }

    /// What the debugger has sent and nobody read would make the host reset the connection, and lose our last words.
    private func end() {
        shutdown(descriptor, Int32(SHUT_WR))
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var buffer = [UInt8](repeating: 0, count: 4096)
        while poll(&poller, 1, 200) > 0 {
            guard buffer.withUnsafeMutableBytes({ recv(descriptor, $0.baseAddress, $0.count, 0) }) > 0 else { break }
        }
        locked {
            isFinished = true
            pthread_cond_broadcast(isIdle)
            close(descriptor)
        }
    }

    @discardableResult
    private func send(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + done, $0.count - done, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            done += count
        }
        return true
    }

    private func locked<Result>(_ body: () -> Result) -> Result {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }
}

// System calls on sockets and on System V and POSIX queues.
//
// Constants and structures are the same on riscv64 and x86-64 (both 64-bit and asm-generic), except `struct semid_ds`.

extension SystemCallTable {
    package func addSocketCalls() {
        addConnectionCalls()
        addMessageCalls()
        addSystemVCalls()
        addMessageQueueCalls()
    }

    private func addConnectionCalls() {
        forward(198, "socket", host: 41, [.flags(.addressFamily), .flags(.socketType), .int])
        forward(199, "socketpair", host: 53, [
            .flags(.addressFamily), .flags(.socketType), .int, .structure(.descriptorPair),
        ])
        forward(200, "bind", host: 49, [.fd, .structure(.sockaddr), .unsigned])
        forward(201, "listen", host: 50, [.fd, .int])
        forward(202, "accept", host: 43, [.fd, .structure(.sockaddrOut), .structure(.intPointer)])
        forward(242, "accept4", host: 288, [
            .fd, .structure(.sockaddrOut), .structure(.intPointer), .flags(.socketType),
        ])
        forward(203, "connect", host: 42, [.fd, .structure(.sockaddr), .unsigned])
        forward(204, "getsockname", host: 51, [.fd, .structure(.sockaddrOut), .structure(.intPointer)])
        forward(205, "getpeername", host: 52, [.fd, .structure(.sockaddrOut), .structure(.intPointer)])
        forward(208, "setsockopt", host: 54, [
            .fd, .flags(.socketLevel), .flags(.socketOption), .pointer, .unsigned,
        ])
        forward(209, "getsockopt", host: 55, [
            .fd, .flags(.socketLevel), .flags(.socketOption), .pointer, .structure(.intPointer),
        ])
        forward(210, "shutdown", host: 48, [.fd, .flags(.shutdown)])
    }

    private func addMessageCalls() {
        forward(206, "sendto", host: 44, [
            .fd, .buffer(lengthArgument: 2), .unsigned, .flags(.message), .structure(.sockaddr), .unsigned,
        ])
        fill(207, "recvfrom", host: 45, .buffer, [
            .fd, .outputBuffer, .unsigned, .flags(.message), .structure(.sockaddrOut), .structure(.intPointer),
        ])
        forward(211, "sendmsg", host: 46, [.fd, .structure(.message), .flags(.message)])
        fill(212, "recvmsg", host: 47, .message, [.fd, .structure(.message), .flags(.message)])
        forward(269, "sendmmsg", host: 307, [.fd, .pointer, .unsigned, .flags(.message)])
        forward(243, "recvmmsg", host: 299, [.fd, .pointer, .unsigned, .flags(.message), .structure(.timespec)])
    }

    private func addSystemVCalls() {
        forward(186, "msgget", host: 68, [.hex, .hex])
        forward(187, "msgctl", host: 71, [.int, .int, .pointer])
        forward(188, "msgrcv", host: 70, [.int, .pointer, .unsigned, .int, .hex])
        forward(189, "msgsnd", host: 69, [.int, .pointer, .unsigned, .hex])
        forward(190, "semget", host: 64, [.hex, .int, .hex])
        call(191, "semctl", [.int, .int, .int, .hex]) { thread, a in controlSemaphore(thread, a) }
        forward(192, "semtimedop", host: 220, [.int, .pointer, .unsigned, .structure(.timespec)])
        forward(193, "semop", host: 65, [.int, .pointer, .unsigned])
        forward(194, "shmget", host: 29, [.hex, .unsigned, .hex])
        forward(195, "shmctl", host: 31, [.int, .int, .pointer])
    }

    private func addMessageQueueCalls() {
        forward(180, "mq_open", host: 240, [.string, .flags(.open), .mode, .pointer])
        forward(181, "mq_unlink", host: 241, [.string])
        forward(182, "mq_timedsend", host: 242, [
            .fd, .buffer(lengthArgument: 2), .unsigned, .unsigned, .structure(.timespec),
        ])
        forward(183, "mq_timedreceive", host: 243, [
            .fd, .outputBuffer, .unsigned, .structure(.intPointer), .structure(.timespec),
        ])
        forward(184, "mq_notify", host: 244, [.fd, .pointer])
        forward(185, "mq_getsetattr", host: 245, [.fd, .pointer, .pointer])
    }
}

/// semctl: the commands that carry a `struct semid_ds` convert it; the others are the host's.
private func controlSemaphore(_ thread: LinuxThread, _ a: SystemCallArguments) -> Int64 {
    let ipcSet: UInt64 = 1, ipcStat: UInt64 = 2, semStat: UInt64 = 18, semStatAny: UInt64 = 20
    var status = HostSemaphoreStatus()
    func callHost() -> Int64 {
        withUnsafeMutablePointer(to: &status) {
            thread.hostCall(HostCall.semctl, a.a0, a.a1, a.a2, UInt64(UInt(bitPattern: $0)))
        }
    }
    switch a.a2 & 0xffff_ffff {
    case ipcSet:
        guard let guest = readGuest(GuestSemaphoreStatus.self, at: a.a3) else { return Errno.EFAULT.result }
        status = HostSemaphoreStatus(guest)
        return callHost()
    case ipcStat, semStat, semStatAny:
        let result = callHost()
        guard result >= 0 else { return result }
        return writeGuest(GuestSemaphoreStatus(status), at: a.a3) ? result : Errno.EFAULT.result
    default:
        return thread.hostCall(HostCall.semctl, a)
    }
}

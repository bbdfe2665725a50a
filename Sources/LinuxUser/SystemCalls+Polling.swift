// System calls that wait for descriptors: epoll, poll, select; and descriptors that stand for events, signals and timers.
//
// `struct epoll_event` is packed on x86-64 and aligned everywhere else; the rest is the host's. A temporary signal mask
// is the guest's business: `withTemporarySignalMask` puts it in place around the wait.

extension SystemCallTable {
    package func addPollingCalls() {
        addEpollCalls()
        addPollCalls()
        addEventDescriptorCalls()
    }

    private func addEpollCalls() {
        forward(20, "epoll_create1", host: 291, [.flags(.epollCreate)])
        call(21, "epoll_ctl", [.fd, .flags(.epollControl), .fd, .structure(.epollEvent)]) { thread, a in
            // EPOLL_CTL_DEL takes no event, and a null pointer is the kernel's to judge.
            guard a.a3 != 0 && a.a1 != 2 else { return thread.hostCall(HostCall.epollCtl, a.a0, a.a1, a.a2, 0) }
            guard let guest = readGuest(GuestEpollEvent.self, at: a.a3) else { return Errno.EFAULT.result }
            var event = HostEpollEvent(guest)
            return withUnsafeMutablePointer(to: &event) {
                thread.hostCall(HostCall.epollCtl, a.a0, a.a1, a.a2, UInt64(UInt(bitPattern: $0)))
            }
        }
        call(22, "epoll_pwait", [
            .fd, .structure(.epollEvents), .int, .int, .structure(.signalSet), .unsigned,
        ]) { thread, a in
            thread.waitForEvents(a, mask: a.a4, maskSize: a.a5) { events, count in
                thread.hostCall(HostCall.epollPwait, a.a0, events, count, a.a3, 0, 0)
            }
        }
        call(441, "epoll_pwait2", [
            .fd, .structure(.epollEvents), .int, .structure(.timespec), .structure(.signalSet), .unsigned,
        ]) { thread, a in
            thread.waitForEvents(a, mask: a.a4, maskSize: a.a5) { events, count in
                thread.hostCall(HostCall.epollPwait2, a.a0, events, count, a.a3, 0, 0)
            }
        }
    }

    private func addPollCalls() {
        call(73, "ppoll", [
            .structure(.pollDescriptors), .unsigned, .structure(.timespec), .structure(.signalSet), .unsigned,
        ]) { thread, a in
            thread.withTemporarySignalMask(a.a3, size: a.a4) {
                thread.hostCall(HostCall.ppoll, a.a0, a.a1, a.a2, 0, 0)
            }
        }
        call(72, "pselect6", [
            .int, .structure(.descriptorSet), .structure(.descriptorSet), .structure(.descriptorSet), .structure(.timespec),
            .pointer,
        ]) { thread, a in
            // The sixth argument points to a mask's address and size.
            var mask = GuestMaskReference()
            if a.a5 != 0 {
                guard let reference = readGuest(GuestMaskReference.self, at: a.a5) else { return Errno.EFAULT.result }
                mask = reference
            }
            return thread.withTemporarySignalMask(mask.address, size: mask.size) {
                thread.hostCall(HostCall.pselect6, a.a0, a.a1, a.a2, a.a3, a.a4, 0)
            }
        }
    }

    private func addEventDescriptorCalls() {
        forward(19, "eventfd2", host: 290, [.unsigned, .flags(.eventFD)])
        forward(85, "timerfd_create", host: 283, [.flags(.clock), .flags(.timerFD)])
        forward(86, "timerfd_settime", host: 286, [.fd, .flags(.timerSet), .structure(.itimerspec), .pointer])
        forward(87, "timerfd_gettime", host: 287, [.fd, .pointer])
        call(74, "signalfd4", [.fd, .structure(.signalSet), .unsigned, .flags(.signalFD)]) { thread, a in
            thread.createSignalDescriptor(a)
        }
    }
}

extension LinuxThread {
    /// The most events that one epoll_wait returns; a guest that asks for more gets the rest from its next call.
    private static let eventLimit = 1024

    /// epoll_wait: lets the host fill packed events, and gives the guest aligned ones.
    fileprivate func waitForEvents(
        _ a: SystemCallArguments, mask: UInt64, maskSize: UInt64, _ wait: (UInt64, UInt64) -> Int64
    ) -> Int64 {
        let wanted = Int32(truncatingIfNeeded: a.a2)
        guard wanted > 0 && wanted <= Int32.max / 12 else { return Errno.EINVAL.result }
        let capacity = min(Int(wanted), Self.eventLimit)
        return withTemporarySignalMask(mask, size: maskSize) {
            withUnsafeTemporaryAllocation(byteCount: capacity * 12, alignment: 8) { packed in
                let result = wait(UInt64(UInt(bitPattern: packed.baseAddress!)), UInt64(capacity))
                guard result > 0 else { return result }
                return withUnsafeTemporaryAllocation(of: GuestEpollEvent.self, capacity: capacity) { events in
                    for index in 0..<Int(result) {
                        let host = packed.baseAddress! + index * 12
                        events[index] = GuestEpollEvent(
                            events: host.loadUnaligned(as: UInt32.self), padding: 0,
                            data: host.loadUnaligned(fromByteOffset: 4, as: UInt64.self))
                    }
                    let bytes = Int(result) * MemoryLayout<GuestEpollEvent>.stride
                    return copyToGuest(events.baseAddress!, count: bytes, at: a.a1) ? result : Errno.EFAULT.result
                }
            }
        }
    }
}

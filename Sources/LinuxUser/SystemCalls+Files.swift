// System calls on open files: open, read, write, seek, duplicate, copy, attributes by descriptor.
//
// Flags, fcntl commands and structures are the same on riscv64 and x86-64, with the exception of `struct stat`.

extension SystemCallTable {
    package func addFileCalls() {
        addOpeningCalls()
        addTransferCalls()
        addDescriptorCalls()
        addDescriptorAttributeCalls()
        addAsynchronousCalls()
    }

    private func addOpeningCalls() {
        call(56, "openat", [.directoryFD, .path, .flags(.open), .creationMode]) { thread, a in
            thread.openFile(path: a.a1, flags: a.a2) { path in
                thread.hostCall(HostCall.openat, a.a0, path, a.a2, a.a3)
            }
        }
        call(437, "openat2", [.directoryFD, .path, .structure(.openHow), .unsigned]) { thread, a in
            // The first word of struct open_how is the flags.
            guard let flags = readGuest(UInt64.self, at: a.a2) else { return Errno.EFAULT.result }
            return thread.openFile(path: a.a1, flags: flags) { path in
                thread.hostCall(HostCall.openat2, a.a0, path, a.a2, a.a3)
            }
        }
        call(57, "close", [.fd]) { thread, a in
            if thread.process.isInternalDescriptor(Int32(truncatingIfNeeded: a.a0)) { return Errno.EBADF.result }
            return thread.hostCall(HostCall.close, a.a0)
        }
        call(436, "close_range", [.unsigned, .unsigned, .flags(.closeRange)]) { thread, a in
            closeRange(thread, first: UInt32(truncatingIfNeeded: a.a0), last: UInt32(truncatingIfNeeded: a.a1), flags: a.a2)
        }
        call(264, "name_to_handle_at", [.directoryFD, .path, .pointer, .pointer, .hex]) { thread, a in
            thread.withPath(a.a1) { thread.hostCall(HostCall.nameToHandleAt, a.a0, $0, a.a2, a.a3, a.a4) }
        }
        forward(265, "open_by_handle_at", host: 304, [.directoryFD, .pointer, .flags(.open)])
        forward(279, "memfd_create", host: 319, [.string, .flags(.memfd)])
        forward(447, "memfd_secret", host: 447, [.hex])
        forward(59, "pipe2", host: 293, [.structure(.descriptorPair), .flags(.pipe)])
    }

    private func addTransferCalls() {
        forward(62, "lseek", host: 8, [.fd, .int, .flags(.seek)])
        fill(63, "read", host: 0, .buffer, [.fd, .outputBuffer, .unsigned])
        forward(64, "write", host: 1, [.fd, .buffer(lengthArgument: 2), .unsigned])
        fill(65, "readv", host: 19, .vector, [.fd, .structure(.iovec), .unsigned])
        forward(66, "writev", host: 20, [.fd, .structure(.iovec), .unsigned])
        fill(67, "pread64", host: 17, .buffer, [.fd, .outputBuffer, .unsigned, .int])
        forward(68, "pwrite64", host: 18, [.fd, .buffer(lengthArgument: 2), .unsigned, .int])
        fill(69, "preadv", host: 295, .vector, [.fd, .structure(.iovec), .unsigned, .int, .int])
        forward(70, "pwritev", host: 296, [.fd, .structure(.iovec), .unsigned, .int, .int])
        fill(286, "preadv2", host: 327, .vector, [.fd, .structure(.iovec), .unsigned, .int, .int, .hex])
        forward(287, "pwritev2", host: 328, [.fd, .structure(.iovec), .unsigned, .int, .int, .hex])
        forward(71, "sendfile", host: 40, [.fd, .fd, .structure(.intPointer), .unsigned])
        forward(75, "vmsplice", host: 278, [.fd, .structure(.iovec), .unsigned, .flags(.splice)])
        forward(76, "splice", host: 275, [.fd, .structure(.intPointer), .fd, .structure(.intPointer), .unsigned, .flags(.splice)])
        forward(77, "tee", host: 276, [.fd, .fd, .unsigned, .flags(.splice)])
        forward(285, "copy_file_range", host: 326, [
            .fd, .structure(.intPointer), .fd, .structure(.intPointer), .unsigned, .hex,
        ])
    }

    private func addDescriptorCalls() {
        forward(23, "dup", host: 32, [.fd], returns: .int)
        call(24, "dup3", [.fd, .fd, .flags(.pipe)]) { thread, a in
            let process = thread.process
            // The number belongs to the emulator: the guest sees it as beyond its limit.
            if process.isInternalDescriptor(Int32(truncatingIfNeeded: a.a0)) { return Errno.EBADF.result }
            if process.isInternalDescriptor(Int32(truncatingIfNeeded: a.a1)) { return Errno.EBADF.result }
            return thread.hostCall(HostCall.dup3, a)
        }
        forward(25, "fcntl", host: 72, [.fd, .flags(.fcntl), .commandArgument])
        forward(32, "flock", host: 73, [.fd, .flags(.flock)])
        forward(81, "sync", host: 162, [])
        forward(82, "fsync", host: 74, [.fd])
        forward(83, "fdatasync", host: 75, [.fd])
        forward(84, "sync_file_range", host: 277, [.fd, .int, .int, .hex])
        forward(267, "syncfs", host: 306, [.fd])
        forward(46, "ftruncate", host: 77, [.fd, .int])
        forward(47, "fallocate", host: 285, [.fd, .flags(.fallocate), .int, .int])
        forward(213, "readahead", host: 187, [.fd, .int, .unsigned])
        forward(223, "fadvise64", host: 221, [.fd, .int, .unsigned, .int])
        forward(451, "cachestat", host: 451, [.fd, .pointer, .pointer, .hex])
    }

    private func addDescriptorAttributeCalls() {
        call(80, "fstat", [.fd, .structure(.stat)]) { thread, a in
            thread.writeStatus(to: a.a1) { thread.hostCall(HostCall.fstat, a.a0, $0) }
        }
        forward(44, "fstatfs", host: 138, [.fd, .structure(.statfs)])
        forward(52, "fchmod", host: 91, [.fd, .mode])
        forward(55, "fchown", host: 93, [.fd, .int, .int])
        forward(7, "fsetxattr", host: 190, [.fd, .string, .buffer(lengthArgument: 3), .unsigned, .hex])
        forward(10, "fgetxattr", host: 193, [.fd, .string, .outputBuffer, .unsigned])
        forward(13, "flistxattr", host: 196, [.fd, .outputBuffer, .unsigned])
        forward(16, "fremovexattr", host: 199, [.fd, .string])
    }

    /// Kernel asynchronous I/O. Its context is a mapping that the host kernel places: outside the guest's address space, but
    /// the guest only passes the handle back. io_uring needs mappings at guest addresses, so it is not offered.
    private func addAsynchronousCalls() {
        forward(0, "io_setup", host: 206, [.unsigned, .pointer])
        forward(1, "io_destroy", host: 207, [.hex])
        forward(2, "io_submit", host: 209, [.hex, .int, .pointer])
        forward(3, "io_cancel", host: 210, [.hex, .pointer, .pointer])
        forward(4, "io_getevents", host: 208, [.hex, .int, .int, .pointer, .structure(.timespec)])
        forward(292, "io_pgetevents", host: 333, [.hex, .int, .int, .pointer, .structure(.timespec), .pointer])
        refuse(425, "io_uring_setup", .ENOSYS, [.unsigned, .pointer])
        refuse(426, "io_uring_enter", .ENOSYS, [.fd, .unsigned, .unsigned, .hex])
        refuse(427, "io_uring_register", .ENOSYS, [.fd, .unsigned, .pointer, .unsigned])
    }
}

/// close_range that spares the emulator's own descriptors.
private func closeRange(_ thread: LinuxThread, first: UInt32, last: UInt32, flags: UInt64) -> Int64 {
    guard first <= last else { return Errno.EINVAL.result }
    var start = UInt64(first)
    let end = UInt64(last) + 1
    for descriptor in thread.process.internalDescriptors.sorted() {
        let spared = UInt64(UInt32(bitPattern: descriptor))
        guard spared >= start && spared < end else { continue }
        if spared > start {
            let result = thread.hostCall(HostCall.closeRange, start, spared - 1, flags)
            if result < 0 { return result }
        }
        start = spared + 1
    }
    return start < end ? thread.hostCall(HostCall.closeRange, start, end - 1, flags) : 0
}

extension LinuxThread {
    /// Opens the file at the guest's path with `open`, or the guest's own view of a /proc file.
    func openFile(path: UInt64, flags: UInt64, _ open: (UInt64) -> Int64) -> Int64 {
        if let view = ProcView(guestPath: path, process: process) { return view.open(self, flags: flags) }
        let noFollow: UInt64 = 0o400000
        return withPath(path, following: flags & noFollow == 0, open)
    }

    /// Makes a host call that fills a `struct stat` and gives the guest its own layout of it.
    func writeStatus(to address: UInt64, _ call: (UInt64) -> Int64) -> Int64 {
        var status = HostStatus()
        let result = withUnsafeMutablePointer(to: &status) { call(UInt64(UInt(bitPattern: $0))) }
        guard result == 0 else { return result }
        return writeGuest(GuestStatus(status), at: address) ? 0 : Errno.EFAULT.result
    }
}

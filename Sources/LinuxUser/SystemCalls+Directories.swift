// System calls on names: directories, links, permissions, times and extended attributes by path.
//
// Every path goes through `withPath`, which looks into the sysroot first.

extension SystemCallTable {
    package func addDirectoryCalls() {
        addNameCalls()
        addLinkCalls()
        addPermissionCalls()
        addStatusCalls()
        addExtendedAttributeCalls()
        addWatchCalls()
        addMountCalls()
    }

    /// Adds a call with one path, at argument `path`, that is otherwise the host's call.
    private func pathCall(
        _ number: Int, _ name: StaticString, host: Int, path index: Int = 0, following: Bool = true,
        _ arguments: @escaping @autoclosure () -> [ArgumentKind]
    ) {
        call(number, name, arguments()) { thread, a in
            thread.withPath(a[index], following: following) { path in
                var forwarded = a
                forwarded[index] = path
                return thread.hostCall(host, forwarded)
            }
        }
    }

    /// Adds a call with two paths.
    private func twoPathCall(
        _ number: Int, _ name: StaticString, host: Int, paths first: Int, _ second: Int,
        _ arguments: @escaping @autoclosure () -> [ArgumentKind]
    ) {
        call(number, name, arguments()) { thread, a in
            thread.withPath(a[first], following: false) { firstPath in
                thread.withPath(a[second], following: false) { secondPath in
                    var forwarded = a
                    forwarded[first] = firstPath
                    forwarded[second] = secondPath
                    return thread.hostCall(host, forwarded)
                }
            }
        }
    }

    private func addNameCalls() {
        forward(17, "getcwd", host: 79, [.outputString, .unsigned])
        pathCall(49, "chdir", host: 80, [.path])
        forward(50, "fchdir", host: 81, [.fd])
        pathCall(51, "chroot", host: 161, [.path])
        call(61, "getdents64", [.fd, .pointer, .unsigned]) { DirectoryEntries.read($0, $1) }
        pathCall(33, "mknodat", host: 259, path: 1, following: false, [.directoryFD, .path, .mode, .hex])
        pathCall(34, "mkdirat", host: 258, path: 1, following: false, [.directoryFD, .path, .mode])
        pathCall(35, "unlinkat", host: 263, path: 1, following: false, [.directoryFD, .path, .flags(.unlink)])
        pathCall(45, "truncate", host: 76, [.path, .int])
        pathCall(43, "statfs", host: 137, [.path, .structure(.statfs)])
    }

    private func addLinkCalls() {
        pathCall(36, "symlinkat", host: 266, path: 2, following: false, [.path, .directoryFD, .path])
        twoPathCall(37, "linkat", host: 265, paths: 1, 3, [.directoryFD, .path, .directoryFD, .path, .flags(.at)])
        twoPathCall(38, "renameat", host: 264, paths: 1, 3, [.directoryFD, .path, .directoryFD, .path])
        twoPathCall(276, "renameat2", host: 316, paths: 1, 3, [
            .directoryFD, .path, .directoryFD, .path, .flags(.rename),
        ])
        call(78, "readlinkat", [.directoryFD, .path, .outputString, .unsigned]) { thread, a in
            if let target = thread.linkTarget(path: a.a1) { return thread.writeLink(target, to: a.a2, size: a.a3) }
            return thread.withPath(a.a1, following: false) { thread.hostCall(HostCall.readlinkat, a.a0, $0, a.a2, a.a3) }
        }
    }

    private func addPermissionCalls() {
        pathCall(48, "faccessat", host: 269, path: 1, [.directoryFD, .path, .flags(.access)])
        pathCall(439, "faccessat2", host: 439, path: 1, [.directoryFD, .path, .flags(.access), .flags(.at)])
        pathCall(53, "fchmodat", host: 268, path: 1, [.directoryFD, .path, .mode])
        pathCall(452, "fchmodat2", host: 452, path: 1, [.directoryFD, .path, .mode, .flags(.at)])
        pathCall(54, "fchownat", host: 260, path: 1, following: false, [.directoryFD, .path, .int, .int, .flags(.at)])
        pathCall(88, "utimensat", host: 280, path: 1, following: false, [.directoryFD, .path, .pointer, .flags(.at)])
        forward(166, "umask", host: 95, [.mode], returns: .int)
    }

    private func addStatusCalls() {
        call(79, "newfstatat", [.directoryFD, .path, .structure(.stat), .flags(.statAt)]) { thread, a in
            thread.withStatusPath(a.a1, flags: a.a3) { path in
                thread.writeStatus(to: a.a2) { thread.hostCall(HostCall.newfstatat, a.a0, path, $0, a.a3) }
            }
        }
        call(291, "statx", [.directoryFD, .path, .flags(.statAt), .hex, .structure(.statx)]) { thread, a in
            thread.withStatusPath(a.a1, flags: a.a2) { path in
                thread.hostCall(HostCall.statx, a.a0, path, a.a2, a.a3, a.a4)
            }
        }
        pathCall(468, "file_getattr", host: 468, path: 1, [.directoryFD, .path, .pointer, .unsigned, .flags(.at)])
        pathCall(469, "file_setattr", host: 469, path: 1, [.directoryFD, .path, .pointer, .unsigned, .flags(.at)])
    }

    private func addExtendedAttributeCalls() {
        pathCall(5, "setxattr", host: 188, [.path, .string, .buffer(lengthArgument: 3), .unsigned, .hex])
        pathCall(6, "lsetxattr", host: 189, following: false, [.path, .string, .buffer(lengthArgument: 3), .unsigned, .hex])
        pathCall(8, "getxattr", host: 191, [.path, .string, .outputBuffer, .unsigned])
        pathCall(9, "lgetxattr", host: 192, following: false, [.path, .string, .outputBuffer, .unsigned])
        pathCall(11, "listxattr", host: 194, [.path, .outputBuffer, .unsigned])
        pathCall(12, "llistxattr", host: 195, following: false, [.path, .outputBuffer, .unsigned])
        pathCall(14, "removexattr", host: 197, [.path, .string])
        pathCall(15, "lremovexattr", host: 198, following: false, [.path, .string])
        pathCall(463, "setxattrat", host: 463, path: 1, [.directoryFD, .path, .flags(.at), .string, .pointer, .unsigned])
        pathCall(464, "getxattrat", host: 464, path: 1, [.directoryFD, .path, .flags(.at), .string, .pointer, .unsigned])
        pathCall(465, "listxattrat", host: 465, path: 1, [.directoryFD, .path, .flags(.at), .outputBuffer, .unsigned])
        pathCall(466, "removexattrat", host: 466, path: 1, [.directoryFD, .path, .flags(.at), .string])
    }

    private func addWatchCalls() {
        forward(26, "inotify_init1", host: 294, [.flags(.inotifyInit)])
        pathCall(27, "inotify_add_watch", host: 254, path: 1, [.fd, .path, .hex])
        forward(28, "inotify_rm_watch", host: 255, [.fd, .int])
        forward(262, "fanotify_init", host: 300, [.hex, .flags(.open)])
        pathCall(263, "fanotify_mark", host: 301, path: 4, [.fd, .hex, .hex, .directoryFD, .path])
    }

    private func addMountCalls() {
        twoPathCall(40, "mount", host: 165, paths: 0, 1, [.path, .path, .string, .flags(.mount), .pointer])
        pathCall(39, "umount2", host: 166, [.path, .flags(.umount)])
        twoPathCall(41, "pivot_root", host: 155, paths: 0, 1, [.path, .path])
        pathCall(428, "open_tree", host: 428, path: 1, [.directoryFD, .path, .hex])
        twoPathCall(429, "move_mount", host: 429, paths: 1, 3, [.directoryFD, .path, .directoryFD, .path, .hex])
        forward(430, "fsopen", host: 430, [.string, .hex])
        forward(431, "fsconfig", host: 431, [.fd, .unsigned, .string, .pointer, .int])
        forward(432, "fsmount", host: 432, [.fd, .hex, .hex])
        pathCall(433, "fspick", host: 433, path: 1, [.directoryFD, .path, .hex])
        pathCall(442, "mount_setattr", host: 442, path: 1, [.directoryFD, .path, .hex, .pointer, .unsigned])
        pathCall(467, "open_tree_attr", host: 467, path: 1, [.directoryFD, .path, .hex, .pointer, .unsigned])
        forward(457, "statmount", host: 457, [.pointer, .pointer, .unsigned, .hex])
        forward(458, "listmount", host: 458, [.pointer, .pointer, .unsigned, .hex])
        pathCall(60, "quotactl", host: 179, path: 1, [.hex, .path, .int, .pointer])
        forward(443, "quotactl_fd", host: 443, [.fd, .hex, .int, .pointer])
        pathCall(224, "swapon", host: 167, [.path, .hex])
        pathCall(225, "swapoff", host: 168, [.path])
        pathCall(89, "acct", host: 163, [.path])
    }
}

extension LinuxThread {
    private static let symlinkNoFollow: UInt64 = 0x100

    /// The host's path for a status call. /proc/self/exe, when followed, is the guest's program.
    func withStatusPath(_ path: UInt64, flags: UInt64, _ body: (UInt64) -> Int64) -> Int64 {
        if flags & Self.symlinkNoFollow == 0, let target = linkTarget(path: path) {
            return target.withCString { body(UInt64(UInt(bitPattern: $0))) }
        }
        return withPath(path, following: flags & Self.symlinkNoFollow == 0, body)
    }

    /// What readlink gives for a link of /proc that means the guest's own; nil for any other path.
    func linkTarget(path: UInt64) -> String? {
        guard let view = ProcView(guestPath: path, process: process), view.kind == .executable else { return nil }
        return process.programPath
    }

    /// Copies the text of a link to the guest as readlink does: cut off at `size`, with no NUL.
    func writeLink(_ target: String, to address: UInt64, size: UInt64) -> Int64 {
        guard Int64(bitPattern: size) > 0 else { return Errno.EINVAL.result }
        var text = target
        return text.withUTF8 { bytes in
            let count = min(bytes.count, Int(truncatingIfNeeded: min(size, 4096)))
            guard count > 0 else { return 0 }
            return copyToGuest(bytes.baseAddress!, count: count, at: address) ? Int64(count) : Errno.EFAULT.result
        }
    }
}

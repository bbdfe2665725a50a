// Names of flags and constants, by the kind of argument. Values are those of riscv64 (asm-generic).

/// The names that a kind of argument knows: constants in the bits of `mask`, flags in the others.
struct FlagNames {
    typealias List = [(name: String, value: UInt64)]
    /// Bits that hold one constant; 0 when there are flags only (`constants` then name the value without any flag).
    let mask: UInt64
    let constants: List
    let flags: List

    init(mask: UInt64 = 0, constants: List = [], flags: List = []) {
        self.mask = mask
        self.constants = constants
        self.flags = flags
    }
}

extension FlagSet {
    /// The names of this kind of argument.
    var names: FlagNames {
        switch self {
        case .open:
            return FlagNames(mask: 0x3, constants: [("O_RDONLY", 0), ("O_WRONLY", 0x1), ("O_RDWR", 0x2)], flags: [
                ("O_TMPFILE", 0x410000), ("O_SYNC", 0x101000), ("O_CREAT", 0x40), ("O_EXCL", 0x80), ("O_NOCTTY", 0x100),
                ("O_TRUNC", 0x200), ("O_APPEND", 0x400), ("O_NONBLOCK", 0x800), ("O_DSYNC", 0x1000), ("O_ASYNC", 0x2000),
                ("O_DIRECT", 0x4000), ("O_LARGEFILE", 0x8000), ("O_DIRECTORY", 0x10000), ("O_NOFOLLOW", 0x20000),
                ("O_NOATIME", 0x40000), ("O_CLOEXEC", 0x80000), ("O_PATH", 0x200000),
            ])
        case .access:
            return FlagNames(constants: [("F_OK", 0)], flags: [("R_OK", 0x4), ("W_OK", 0x2), ("X_OK", 0x1)])
        case .at:
            return FlagNames(flags: [
                ("AT_SYMLINK_NOFOLLOW", 0x100), ("AT_EACCESS", 0x200), ("AT_SYMLINK_FOLLOW", 0x400),
                ("AT_NO_AUTOMOUNT", 0x800), ("AT_EMPTY_PATH", 0x1000),
            ])
        case .statAt:
            return FlagNames(flags: [
                ("AT_SYMLINK_NOFOLLOW", 0x100), ("AT_NO_AUTOMOUNT", 0x800), ("AT_EMPTY_PATH", 0x1000),
                ("AT_STATX_FORCE_SYNC", 0x2000), ("AT_STATX_DONT_SYNC", 0x4000),
            ])
        case .unlink:
            return FlagNames(flags: [("AT_REMOVEDIR", 0x200)])
        case .rename:
            return FlagNames(flags: [("RENAME_NOREPLACE", 0x1), ("RENAME_EXCHANGE", 0x2), ("RENAME_WHITEOUT", 0x4)])
        case .mask: return FlagNames()
        case .protection:
            return FlagNames(constants: [("PROT_NONE", 0)], flags: [
                ("PROT_READ", 0x1), ("PROT_WRITE", 0x2), ("PROT_EXEC", 0x4), ("PROT_GROWSDOWN", 0x1000000),
                ("PROT_GROWSUP", 0x2000000),
            ])
        case .mapping:
            return FlagNames(
                mask: 0xf, constants: [("MAP_SHARED", 0x1), ("MAP_PRIVATE", 0x2), ("MAP_SHARED_VALIDATE", 0x3)],
                flags: [
                    ("MAP_FIXED", 0x10), ("MAP_ANONYMOUS", 0x20), ("MAP_GROWSDOWN", 0x100), ("MAP_DENYWRITE", 0x800),
                    ("MAP_EXECUTABLE", 0x1000), ("MAP_LOCKED", 0x2000), ("MAP_NORESERVE", 0x4000), ("MAP_POPULATE", 0x8000),
                    ("MAP_NONBLOCK", 0x10000), ("MAP_STACK", 0x20000), ("MAP_HUGETLB", 0x40000), ("MAP_SYNC", 0x80000),
                    ("MAP_FIXED_NOREPLACE", 0x100000),
                ])
        case .madvise:
            return FlagNames(mask: ~0, constants: [
                ("MADV_NORMAL", 0), ("MADV_RANDOM", 0x1), ("MADV_SEQUENTIAL", 0x2), ("MADV_WILLNEED", 0x3),
                ("MADV_DONTNEED", 0x4), ("MADV_FREE", 0x8), ("MADV_REMOVE", 0x9), ("MADV_DONTFORK", 0xa),
                ("MADV_DOFORK", 0xb), ("MADV_MERGEABLE", 0xc), ("MADV_UNMERGEABLE", 0xd), ("MADV_HUGEPAGE", 0xe),
                ("MADV_NOHUGEPAGE", 0xf), ("MADV_DONTDUMP", 0x10), ("MADV_DODUMP", 0x11), ("MADV_WIPEONFORK", 0x12),
                ("MADV_KEEPONFORK", 0x13), ("MADV_COLD", 0x14), ("MADV_PAGEOUT", 0x15), ("MADV_POPULATE_READ", 0x16),
                ("MADV_POPULATE_WRITE", 0x17),
            ])
        case .msync:
            return FlagNames(flags: [("MS_ASYNC", 0x1), ("MS_INVALIDATE", 0x2), ("MS_SYNC", 0x4)])
        case .mremap:
            return FlagNames(flags: [("MREMAP_MAYMOVE", 0x1), ("MREMAP_FIXED", 0x2), ("MREMAP_DONTUNMAP", 0x4)])
        case .mlock:
            return FlagNames(flags: [("MCL_CURRENT", 0x1), ("MCL_FUTURE", 0x2), ("MCL_ONFAULT", 0x4)])
        case .clone:
            return FlagNames(mask: 0xff, flags: [
                ("CLONE_VM", 0x100), ("CLONE_FS", 0x200), ("CLONE_FILES", 0x400), ("CLONE_SIGHAND", 0x800),
                ("CLONE_PIDFD", 0x1000), ("CLONE_PTRACE", 0x2000), ("CLONE_VFORK", 0x4000), ("CLONE_PARENT", 0x8000),
                ("CLONE_THREAD", 0x10000), ("CLONE_NEWNS", 0x20000), ("CLONE_SYSVSEM", 0x40000), ("CLONE_SETTLS", 0x80000),
                ("CLONE_PARENT_SETTID", 0x100000), ("CLONE_CHILD_CLEARTID", 0x200000), ("CLONE_DETACHED", 0x400000),
                ("CLONE_UNTRACED", 0x800000), ("CLONE_CHILD_SETTID", 0x1000000), ("CLONE_NEWCGROUP", 0x2000000),
                ("CLONE_NEWUTS", 0x4000000), ("CLONE_NEWIPC", 0x8000000), ("CLONE_NEWUSER", 0x10000000),
                ("CLONE_NEWPID", 0x20000000), ("CLONE_NEWNET", 0x40000000), ("CLONE_IO", 0x80000000),
                ("CLONE_CLEAR_SIGHAND", 0x100000000), ("CLONE_INTO_CGROUP", 0x200000000),
            ])
        case .waitOptions:
            return FlagNames(flags: [
                ("WNOHANG", 0x1), ("WUNTRACED", 0x2), ("WEXITED", 0x4), ("WCONTINUED", 0x8), ("WNOWAIT", 0x1000000),
                ("__WNOTHREAD", 0x20000000), ("__WALL", 0x40000000), ("__WCLONE", 0x80000000),
            ])
        case .waitKind:
            return FlagNames(mask: ~0, constants: [("P_ALL", 0), ("P_PID", 0x1), ("P_PGID", 0x2), ("P_PIDFD", 0x3)])
        case .resource:
            return FlagNames(mask: ~0, constants: [
                ("RLIMIT_CPU", 0), ("RLIMIT_FSIZE", 0x1), ("RLIMIT_DATA", 0x2), ("RLIMIT_STACK", 0x3),
                ("RLIMIT_CORE", 0x4), ("RLIMIT_RSS", 0x5), ("RLIMIT_NPROC", 0x6), ("RLIMIT_NOFILE", 0x7),
                ("RLIMIT_MEMLOCK", 0x8), ("RLIMIT_AS", 0x9), ("RLIMIT_LOCKS", 0xa), ("RLIMIT_SIGPENDING", 0xb),
                ("RLIMIT_MSGQUEUE", 0xc), ("RLIMIT_NICE", 0xd), ("RLIMIT_RTPRIO", 0xe), ("RLIMIT_RTTIME", 0xf),
            ])
        case .prctl:
            return FlagNames(mask: ~0, constants: [
                ("PR_SET_PDEATHSIG", 0x1), ("PR_GET_PDEATHSIG", 0x2), ("PR_GET_DUMPABLE", 0x3), ("PR_SET_DUMPABLE", 0x4),
                ("PR_GET_KEEPCAPS", 0x7), ("PR_SET_KEEPCAPS", 0x8), ("PR_SET_NAME", 0xf), ("PR_GET_NAME", 0x10),
                ("PR_GET_SECCOMP", 0x15), ("PR_SET_SECCOMP", 0x16), ("PR_CAPBSET_READ", 0x17), ("PR_CAPBSET_DROP", 0x18),
                ("PR_SET_TIMERSLACK", 0x1d), ("PR_GET_TIMERSLACK", 0x1e), ("PR_SET_CHILD_SUBREAPER", 0x24),
                ("PR_GET_CHILD_SUBREAPER", 0x25), ("PR_SET_NO_NEW_PRIVS", 0x26), ("PR_GET_NO_NEW_PRIVS", 0x27),
                ("PR_GET_TID_ADDRESS", 0x28), ("PR_SET_THP_DISABLE", 0x29), ("PR_GET_THP_DISABLE", 0x2a),
                ("PR_CAP_AMBIENT", 0x2f), ("PR_SET_MM", 0x23), ("PR_SET_PTRACER", 0x59616d61), ("PR_SET_VMA", 0x53564d41),
                ("PR_SET_TAGGED_ADDR_CTRL", 0x37), ("PR_GET_TAGGED_ADDR_CTRL", 0x38), ("PR_SET_SPECULATION_CTRL", 0x35),
                ("PR_GET_SPECULATION_CTRL", 0x34),
            ])
        case .futex:
            return FlagNames(mask: 0x7f, constants: [
                ("FUTEX_WAIT", 0), ("FUTEX_WAKE", 0x1), ("FUTEX_FD", 0x2), ("FUTEX_REQUEUE", 0x3),
                ("FUTEX_CMP_REQUEUE", 0x4), ("FUTEX_WAKE_OP", 0x5), ("FUTEX_LOCK_PI", 0x6), ("FUTEX_UNLOCK_PI", 0x7),
                ("FUTEX_TRYLOCK_PI", 0x8), ("FUTEX_WAIT_BITSET", 0x9), ("FUTEX_WAKE_BITSET", 0xa),
                ("FUTEX_WAIT_REQUEUE_PI", 0xb), ("FUTEX_CMP_REQUEUE_PI", 0xc), ("FUTEX_LOCK_PI2", 0xd),
            ], flags: [("FUTEX_PRIVATE_FLAG", 0x80), ("FUTEX_CLOCK_REALTIME", 0x100)])
        case .schedulingPolicy:
            return FlagNames(mask: 0xff, constants: [
                ("SCHED_OTHER", 0), ("SCHED_FIFO", 0x1), ("SCHED_RR", 0x2), ("SCHED_BATCH", 0x3), ("SCHED_IDLE", 0x5),
                ("SCHED_DEADLINE", 0x6),
            ], flags: [("SCHED_RESET_ON_FORK", 0x40000000)])
        case .signalAction:
            return FlagNames(flags: [
                ("SA_NOCLDSTOP", 0x1), ("SA_NOCLDWAIT", 0x2), ("SA_SIGINFO", 0x4), ("SA_ONSTACK", 0x8000000),
                ("SA_RESTART", 0x10000000), ("SA_NODEFER", 0x40000000), ("SA_RESETHAND", 0x80000000),
            ])
        case .signalHow:
            return FlagNames(mask: ~0, constants: [("SIG_BLOCK", 0), ("SIG_UNBLOCK", 0x1), ("SIG_SETMASK", 0x2)])
        case .addressFamily:
            return FlagNames(mask: ~0, constants: [
                ("AF_UNSPEC", 0), ("AF_UNIX", 0x1), ("AF_INET", 0x2), ("AF_AX25", 0x3), ("AF_IPX", 0x4), ("AF_INET6", 0xa),
                ("AF_NETLINK", 0x10), ("AF_PACKET", 0x11), ("AF_ALG", 0x26), ("AF_VSOCK", 0x28), ("AF_BLUETOOTH", 0x1f),
                ("AF_CAN", 0x1d), ("AF_XDP", 0x2c),
            ])
        case .socketType:
            return FlagNames(mask: 0xf, constants: [
                ("SOCK_STREAM", 0x1), ("SOCK_DGRAM", 0x2), ("SOCK_RAW", 0x3), ("SOCK_RDM", 0x4), ("SOCK_SEQPACKET", 0x5),
                ("SOCK_PACKET", 0xa),
            ], flags: [("SOCK_NONBLOCK", 0x800), ("SOCK_CLOEXEC", 0x80000)])
        case .message:
            return FlagNames(flags: [
                ("MSG_OOB", 0x1), ("MSG_PEEK", 0x2), ("MSG_DONTROUTE", 0x4), ("MSG_CTRUNC", 0x8), ("MSG_PROXY", 0x10),
                ("MSG_TRUNC", 0x20), ("MSG_DONTWAIT", 0x40), ("MSG_EOR", 0x80), ("MSG_WAITALL", 0x100),
                ("MSG_CONFIRM", 0x800), ("MSG_ERRQUEUE", 0x2000), ("MSG_NOSIGNAL", 0x4000), ("MSG_MORE", 0x8000),
                ("MSG_WAITFORONE", 0x10000), ("MSG_FASTOPEN", 0x20000000), ("MSG_CMSG_CLOEXEC", 0x40000000),
            ])
        case .shutdown:
            return FlagNames(mask: ~0, constants: [("SHUT_RD", 0), ("SHUT_WR", 0x1), ("SHUT_RDWR", 0x2)])
        case .socketLevel:
            return FlagNames(mask: ~0, constants: [
                ("SOL_IP", 0), ("SOL_SOCKET", 0x1), ("SOL_TCP", 0x6), ("SOL_UDP", 0x11), ("SOL_IPV6", 0x29),
                ("SOL_RAW", 0xff), ("SOL_NETLINK", 0x10e),
            ])
        case .socketOption:
            return FlagNames(mask: ~0, constants: [
                ("SO_DEBUG", 0x1), ("SO_REUSEADDR", 0x2), ("SO_TYPE", 0x3), ("SO_ERROR", 0x4), ("SO_DONTROUTE", 0x5),
                ("SO_BROADCAST", 0x6), ("SO_SNDBUF", 0x7), ("SO_RCVBUF", 0x8), ("SO_KEEPALIVE", 0x9),
                ("SO_OOBINLINE", 0xa), ("SO_PRIORITY", 0xc), ("SO_LINGER", 0xd), ("SO_REUSEPORT", 0xf),
                ("SO_PASSCRED", 0x10), ("SO_PEERCRED", 0x11), ("SO_RCVLOWAT", 0x12), ("SO_SNDLOWAT", 0x13),
                ("SO_RCVTIMEO", 0x14), ("SO_SNDTIMEO", 0x15), ("SO_BINDTODEVICE", 0x19), ("SO_TIMESTAMP", 0x1d),
                ("SO_ACCEPTCONN", 0x1e), ("SO_PEERSEC", 0x1f), ("SO_SNDBUFFORCE", 0x20), ("SO_RCVBUFFORCE", 0x21),
                ("SO_MARK", 0x24), ("SO_PROTOCOL", 0x26), ("SO_DOMAIN", 0x27), ("SO_PEERGROUPS", 0x3b),
            ])
        case .epollControl:
            return FlagNames(mask: ~0, constants: [("EPOLL_CTL_ADD", 0x1), ("EPOLL_CTL_DEL", 0x2), ("EPOLL_CTL_MOD", 0x3)])
        case .epollCreate:
            return FlagNames(flags: [("EPOLL_CLOEXEC", 0x80000)])
        case .eventFD:
            return FlagNames(flags: [("EFD_CLOEXEC", 0x80000), ("EFD_NONBLOCK", 0x800), ("EFD_SEMAPHORE", 0x1)])
        case .signalFD:
            return FlagNames(flags: [("SFD_CLOEXEC", 0x80000), ("SFD_NONBLOCK", 0x800)])
        case .timerFD:
            return FlagNames(flags: [("TFD_CLOEXEC", 0x80000), ("TFD_NONBLOCK", 0x800)])
        case .inotifyInit:
            return FlagNames(flags: [("IN_CLOEXEC", 0x80000), ("IN_NONBLOCK", 0x800)])
        case .fcntl:
            return FlagNames(mask: ~0, constants: [
                ("F_DUPFD", 0), ("F_GETFD", 0x1), ("F_SETFD", 0x2), ("F_GETFL", 0x3), ("F_SETFL", 0x4), ("F_GETLK", 0x5),
                ("F_SETLK", 0x6), ("F_SETLKW", 0x7), ("F_SETOWN", 0x8), ("F_GETOWN", 0x9), ("F_SETSIG", 0xa),
                ("F_GETSIG", 0xb), ("F_SETOWN_EX", 0xf), ("F_GETOWN_EX", 0x10), ("F_OFD_GETLK", 0x24),
                ("F_OFD_SETLK", 0x25), ("F_OFD_SETLKW", 0x26), ("F_SETLEASE", 0x400), ("F_GETLEASE", 0x401),
                ("F_NOTIFY", 0x402), ("F_DUPFD_CLOEXEC", 0x406), ("F_SETPIPE_SZ", 0x407), ("F_GETPIPE_SZ", 0x408),
                ("F_ADD_SEALS", 0x409), ("F_GET_SEALS", 0x40a), ("F_GET_RW_HINT", 0x40b), ("F_SET_RW_HINT", 0x40c),
            ])
        case .ioctl:
            return FlagNames(mask: ~0, constants: [
                ("TCGETS", 0x5401), ("TCSETS", 0x5402), ("TCSETSW", 0x5403), ("TCSETSF", 0x5404), ("TCSBRK", 0x5409),
                ("TCXONC", 0x540a), ("TCFLSH", 0x540b), ("TIOCEXCL", 0x540c), ("TIOCNXCL", 0x540d), ("TIOCSCTTY", 0x540e),
                ("TIOCGPGRP", 0x540f), ("TIOCSPGRP", 0x5410), ("TIOCOUTQ", 0x5411), ("TIOCSTI", 0x5412),
                ("TIOCGWINSZ", 0x5413), ("TIOCSWINSZ", 0x5414), ("FIONREAD", 0x541b), ("TIOCNOTTY", 0x5422),
                ("FIONBIO", 0x5421), ("FIOASYNC", 0x5452), ("TIOCGSID", 0x5429), ("TIOCGPTN", 0x80045430),
                ("TIOCSPTLCK", 0x40045431), ("TIOCGPTPEER", 0x5441), ("FIOCLEX", 0x5451), ("FIONCLEX", 0x5450),
                ("FICLONE", 0x40049409), ("FICLONERANGE", 0x4020940d), ("FS_IOC_GETFLAGS", 0x80086601),
                ("FS_IOC_SETFLAGS", 0x40086602), ("FS_IOC_FIEMAP", 0xc020660b), ("FITRIM", 0xc0185879),
                ("BLKGETSIZE64", 0x80081272), ("BLKSSZGET", 0x1268), ("SIOCGIFCONF", 0x8912), ("SIOCGIFNAME", 0x8910),
                ("SIOCGIFINDEX", 0x8933), ("SIOCGIFADDR", 0x8915), ("SIOCGIFFLAGS", 0x8913), ("SIOCGIFHWADDR", 0x8927),
                ("SIOCGIFMTU", 0x8921), ("KDGKBTYPE", 0x4b33), ("VT_GETSTATE", 0x5603),
            ])
        case .seek:
            return FlagNames(mask: ~0, constants: [
                ("SEEK_SET", 0), ("SEEK_CUR", 0x1), ("SEEK_END", 0x2), ("SEEK_DATA", 0x3), ("SEEK_HOLE", 0x4),
            ])
        case .flock:
            return FlagNames(flags: [("LOCK_SH", 0x1), ("LOCK_EX", 0x2), ("LOCK_NB", 0x4), ("LOCK_UN", 0x8)])
        case .fallocate:
            return FlagNames(flags: [
                ("FALLOC_FL_KEEP_SIZE", 0x1), ("FALLOC_FL_PUNCH_HOLE", 0x2), ("FALLOC_FL_COLLAPSE_RANGE", 0x8),
                ("FALLOC_FL_ZERO_RANGE", 0x10), ("FALLOC_FL_INSERT_RANGE", 0x20),
            ])
        case .splice:
            return FlagNames(flags: [
                ("SPLICE_F_MOVE", 0x1), ("SPLICE_F_NONBLOCK", 0x2), ("SPLICE_F_MORE", 0x4), ("SPLICE_F_GIFT", 0x8),
            ])
        case .clock:
            return FlagNames(mask: ~0, constants: [
                ("CLOCK_REALTIME", 0), ("CLOCK_MONOTONIC", 0x1), ("CLOCK_PROCESS_CPUTIME_ID", 0x2),
                ("CLOCK_THREAD_CPUTIME_ID", 0x3), ("CLOCK_MONOTONIC_RAW", 0x4), ("CLOCK_REALTIME_COARSE", 0x5),
                ("CLOCK_MONOTONIC_COARSE", 0x6), ("CLOCK_BOOTTIME", 0x7), ("CLOCK_REALTIME_ALARM", 0x8),
                ("CLOCK_BOOTTIME_ALARM", 0x9), ("CLOCK_TAI", 0xb),
            ])
        case .timer: return FlagNames()
        case .timerSet:
            return FlagNames(flags: [("TIMER_ABSTIME", 0x1), ("TFD_TIMER_CANCEL_ON_SET", 0x2)])
        case .interval:
            return FlagNames(mask: ~0, constants: [("ITIMER_REAL", 0), ("ITIMER_VIRTUAL", 0x1), ("ITIMER_PROF", 0x2)])
        case .getrandom:
            return FlagNames(flags: [("GRND_NONBLOCK", 0x1), ("GRND_RANDOM", 0x2), ("GRND_INSECURE", 0x4)])
        case .memfd:
            return FlagNames(flags: [("MFD_CLOEXEC", 0x1), ("MFD_ALLOW_SEALING", 0x2), ("MFD_HUGETLB", 0x4)])
        case .membarrier:
            return FlagNames(mask: ~0, constants: [
                ("MEMBARRIER_CMD_QUERY", 0), ("MEMBARRIER_CMD_GLOBAL", 0x1), ("MEMBARRIER_CMD_GLOBAL_EXPEDITED", 0x2),
                ("MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED", 0x4), ("MEMBARRIER_CMD_PRIVATE_EXPEDITED", 0x8),
                ("MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED", 0x10), ("MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE", 0x20),
                ("MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE", 0x40),
            ])
        case .mount:
            return FlagNames(flags: [
                ("MS_RDONLY", 0x1), ("MS_NOSUID", 0x2), ("MS_NODEV", 0x4), ("MS_NOEXEC", 0x8), ("MS_REMOUNT", 0x20),
                ("MS_BIND", 0x1000), ("MS_MOVE", 0x2000), ("MS_REC", 0x4000), ("MS_SILENT", 0x8000),
                ("MS_UNBINDABLE", 0x20000), ("MS_PRIVATE", 0x40000), ("MS_SLAVE", 0x80000), ("MS_SHARED", 0x100000),
                ("MS_RELATIME", 0x200000), ("MS_STRICTATIME", 0x1000000),
            ])
        case .umount:
            return FlagNames(flags: [("MNT_FORCE", 0x1), ("MNT_DETACH", 0x2), ("MNT_EXPIRE", 0x4), ("UMOUNT_NOFOLLOW", 0x8)])
        case .closeRange:
            return FlagNames(flags: [("CLOSE_RANGE_UNSHARE", 0x2), ("CLOSE_RANGE_CLOEXEC", 0x4)])
        case .pipe:
            return FlagNames(flags: [("O_CLOEXEC", 0x80000), ("O_NONBLOCK", 0x800), ("O_DIRECT", 0x4000)])
        case .descriptor:
            return FlagNames(flags: [("FD_CLOEXEC", 0x1)])
        }
    }
}

extension StraceNames {
    static let pollNames: FlagNames.List = [
        ("POLLIN", 0x1), ("POLLPRI", 0x2), ("POLLOUT", 0x4), ("POLLERR", 0x8), ("POLLHUP", 0x10), ("POLLNVAL", 0x20),
        ("POLLRDNORM", 0x40), ("POLLRDBAND", 0x80), ("POLLWRNORM", 0x100), ("POLLWRBAND", 0x200), ("POLLRDHUP", 0x2000),
    ]
    static let epollNames: FlagNames.List = [
        ("EPOLLIN", 0x1), ("EPOLLPRI", 0x2), ("EPOLLOUT", 0x4), ("EPOLLERR", 0x8), ("EPOLLHUP", 0x10),
        ("EPOLLRDNORM", 0x40), ("EPOLLRDBAND", 0x80), ("EPOLLWRNORM", 0x100), ("EPOLLWRBAND", 0x200), ("EPOLLMSG", 0x400),
        ("EPOLLRDHUP", 0x2000), ("EPOLLEXCLUSIVE", 0x10000000), ("EPOLLWAKEUP", 0x20000000), ("EPOLLONESHOT", 0x40000000),
        ("EPOLLET", 0x80000000),
    ]
}

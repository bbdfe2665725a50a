// System calls that tell about the system and the caller: names, identities, limits, scheduling, random numbers, and what
// riscv64 adds (hwprobe, flush_icache).

extension SystemCallTable {
    package func addSystemInformationCalls() {
        addMachineCalls()
        addIdentityCalls()
        addIdentityChangeCalls()
        addSchedulingCalls()
    }

    private func addMachineCalls() {
        call(160, "uname", [.structure(.uname)]) { thread, a in thread.writeSystemName(to: a.a0) }
        forward(161, "sethostname", host: 170, [.string, .unsigned])
        forward(162, "setdomainname", host: 171, [.string, .unsigned])
        forward(179, "sysinfo", host: 99, [.structure(.sysinfo)])
        forward(278, "getrandom", host: 318, [.outputBuffer, .unsigned, .flags(.getrandom)])
        forward(168, "getcpu", host: 309, [.structure(.intPointer), .structure(.intPointer), .pointer])
        forward(116, "syslog", host: 103, [.int, .outputBuffer, .int])
        call(258, "riscv_hwprobe", [.structure(.hwprobe), .unsigned, .unsigned, .pointer, .hex]) { thread, a in
            HardwareProbe.call(thread, a)
        }
        call(259, "riscv_flush_icache", [.pointer, .pointer, .hex]) { thread, a in
            // The only flag is SYS_RISCV_FLUSH_ICACHE_LOCAL.
            guard a.a2 & ~1 == 0 else { return Errno.EINVAL.result }
            if a.a0 < a.a1 { thread.process.invalidateCode(a.a0..<a.a1) }
            return 0
        }
    }

    private func addIdentityCalls() {
        forward(172, "getpid", host: 39, [])
        forward(173, "getppid", host: 110, [])
        forward(174, "getuid", host: 102, [])
        forward(175, "geteuid", host: 107, [])
        forward(176, "getgid", host: 104, [])
        forward(177, "getegid", host: 108, [])
        forward(178, "gettid", host: 186, [])
        forward(148, "getresuid", host: 118, [.structure(.intPointer), .structure(.intPointer), .structure(.intPointer)])
        forward(150, "getresgid", host: 120, [.structure(.intPointer), .structure(.intPointer), .structure(.intPointer)])
        forward(155, "getpgid", host: 121, [.int])
        forward(156, "getsid", host: 124, [.int])
        forward(158, "getgroups", host: 115, [.int, .pointer])
        forward(165, "getrusage", host: 98, [.int, .structure(.resourceUsage)])
    }

    private func addIdentityChangeCalls() {
        forward(143, "setregid", host: 114, [.int, .int])
        forward(144, "setgid", host: 106, [.int])
        forward(145, "setreuid", host: 113, [.int, .int])
        forward(146, "setuid", host: 105, [.int])
        forward(147, "setresuid", host: 117, [.int, .int, .int])
        forward(149, "setresgid", host: 119, [.int, .int, .int])
        forward(151, "setfsuid", host: 122, [.int])
        forward(152, "setfsgid", host: 123, [.int])
        forward(154, "setpgid", host: 109, [.int, .int])
        forward(157, "setsid", host: 112, [])
        forward(159, "setgroups", host: 116, [.int, .pointer])
        forward(90, "capget", host: 125, [.pointer, .pointer])
        forward(91, "capset", host: 126, [.pointer, .pointer])
    }

    private func addSchedulingCalls() {
        forward(30, "ioprio_set", host: 251, [.int, .int, .int])
        forward(31, "ioprio_get", host: 252, [.int, .int])
        forward(118, "sched_setparam", host: 142, [.int, .pointer])
        forward(119, "sched_setscheduler", host: 144, [.int, .flags(.schedulingPolicy), .pointer])
        forward(120, "sched_getscheduler", host: 145, [.int])
        forward(121, "sched_getparam", host: 143, [.int, .pointer])
        forward(122, "sched_setaffinity", host: 203, [.int, .unsigned, .pointer])
        forward(123, "sched_getaffinity", host: 204, [.int, .unsigned, .pointer])
        forward(124, "sched_yield", host: 24, [])
        forward(125, "sched_get_priority_max", host: 146, [.flags(.schedulingPolicy)])
        forward(126, "sched_get_priority_min", host: 147, [.flags(.schedulingPolicy)])
        forward(127, "sched_rr_get_interval", host: 148, [.int, .structure(.timespecOut)])
        forward(274, "sched_setattr", host: 314, [.int, .pointer, .hex])
        forward(275, "sched_getattr", host: 315, [.int, .pointer, .unsigned, .hex])
        forward(140, "setpriority", host: 141, [.int, .int, .int])
        forward(141, "getpriority", host: 140, [.int, .int])
        forward(235, "mbind", host: 237, [.pointer, .unsigned, .int, .pointer, .unsigned, .hex])
        forward(236, "get_mempolicy", host: 239, [.structure(.intPointer), .pointer, .unsigned, .pointer, .hex])
        forward(237, "set_mempolicy", host: 238, [.int, .pointer, .unsigned])
        forward(238, "migrate_pages", host: 256, [.int, .unsigned, .pointer, .pointer])
        forward(239, "move_pages", host: 279, [.int, .unsigned, .pointer, .pointer, .pointer, .hex])
        forward(450, "set_mempolicy_home_node", host: 450, [.pointer, .unsigned, .unsigned, .hex])
    }
}

extension LinuxThread {
    /// uname: the host's answer with the guest's machine, and with the release that the user chose.
    fileprivate func writeSystemName(to address: UInt64) -> Int64 {
        withUnsafeTemporaryAllocation(byteCount: SystemName.byteCount, alignment: 8) { bytes in
            let result = hostCall(HostCall.uname, UInt64(UInt(bitPattern: bytes.baseAddress!)))
            guard result == 0 else { return result }
            SystemName.setField(SystemName.machineField, "riscv64", in: bytes)
            if let release = process.kernelRelease { SystemName.setField(SystemName.releaseField, release, in: bytes) }
            let copied = copyToGuest(bytes.baseAddress!, count: SystemName.byteCount, at: address)
            return copied ? 0 : Errno.EFAULT.result
        }
    }
}

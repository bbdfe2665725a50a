// System calls for administrators, debuggers and sandboxes, and those that are deliberately not there.
//
// What would act on the emulator instead of the guest is refused with the error that a kernel built without it gives, so that
// programs take their fallback: ptrace, seccomp filters (they would see the emulator's calls), userfaultfd, bpf.

extension SystemCallTable {
    package func addAdministrationCalls() {
        addKeyCalls()
        addKernelCalls()
        addProcessInspectionCalls()
        addSandboxCalls()
        addAbsentCalls()
    }

    private func addKeyCalls() {
        forward(217, "add_key", host: 248, [.string, .string, .pointer, .unsigned, .int])
        forward(218, "request_key", host: 249, [.string, .string, .string, .int])
        forward(219, "keyctl", host: 250, [.int, .hex, .hex, .hex, .hex])
    }

    private func addKernelCalls() {
        forward(142, "reboot", host: 169, [.hex, .hex, .hex, .pointer])
        forward(104, "kexec_load", host: 246, [.pointer, .unsigned, .pointer, .hex])
        forward(294, "kexec_file_load", host: 320, [.fd, .fd, .unsigned, .string, .hex])
        // Modules of the guest's instruction set cannot be loaded into this host's kernel.
        refuse(105, "init_module", .EPERM, [.pointer, .unsigned, .string])
        refuse(106, "delete_module", .EPERM, [.string, .hex])
        refuse(273, "finit_module", .EPERM, [.fd, .string, .hex])
        call(268, "setns", [.fd, .hex]) { thread, a in
            thread.process.engine.endOwnThread()
            return thread.hostCall(308, a)
        }
    }

    private func addProcessInspectionCalls() {
        refuse(117, "ptrace", .EPERM, [.int, .int, .pointer, .pointer])
        forward(270, "process_vm_readv", host: 310, [.int, .structure(.iovec), .unsigned, .pointer, .unsigned, .hex])
        forward(271, "process_vm_writev", host: 311, [.int, .structure(.iovec), .unsigned, .pointer, .unsigned, .hex])
        forward(272, "kcmp", host: 312, [.int, .int, .int, .hex, .hex])
        forward(434, "pidfd_open", host: 434, [.int, .hex])
        forward(438, "pidfd_getfd", host: 438, [.fd, .fd, .hex])
        forward(448, "process_mrelease", host: 448, [.fd, .hex])
        // Counters would count the emulator's work, and their mapping is for the host.
        refuse(241, "perf_event_open", .ENOSYS, [.pointer, .int, .int, .fd, .hex])
    }

    private func addSandboxCalls() {
        refuse(277, "seccomp", .ENOSYS, [.unsigned, .hex, .pointer])
        refuse(280, "bpf", .EPERM, [.int, .pointer, .unsigned])
        refuse(282, "userfaultfd", .ENOSYS, [.hex])
        refuse(444, "landlock_create_ruleset", .ENOSYS, [.pointer, .unsigned, .hex])
        refuse(445, "landlock_add_rule", .ENOSYS, [.fd, .int, .pointer, .hex])
        refuse(446, "landlock_restrict_self", .ENOSYS, [.fd, .hex])
        forward(459, "lsm_get_self_attr", host: 459, [.unsigned, .pointer, .pointer, .hex])
        forward(460, "lsm_set_self_attr", host: 460, [.unsigned, .pointer, .unsigned, .hex])
        forward(461, "lsm_list_modules", host: 461, [.pointer, .pointer, .hex])
    }

    /// Numbers that the generic table assigns and riscv64 does not implement, or no kernel implements any more.
    private func addAbsentCalls() {
        refuse(18, "lookup_dcookie")
        refuse(42, "nfsservctl")
    }
}

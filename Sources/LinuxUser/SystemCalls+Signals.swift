// System calls on signals.

import CHost
import Glibc

extension SystemCallTable {
    package func addSignalCalls() {
        addSendingCalls()
        addActionCalls()
        addWaitingCalls()
    }

    private func addSendingCalls() {
        forward(129, "kill", host: 62, [.int, .signal])
        forward(130, "tkill", host: 200, [.int, .signal])
        forward(131, "tgkill", host: 234, [.int, .int, .signal])
        forward(138, "rt_sigqueueinfo", host: 129, [.int, .signal, .pointer])
        forward(240, "rt_tgsigqueueinfo", host: 297, [.int, .int, .signal, .pointer])
        forward(424, "pidfd_send_signal", host: 424, [.fd, .signal, .pointer, .hex])
    }

    private func addActionCalls() {
        call(134, "rt_sigaction", [.signal, .structure(.signalAction), .pointer, .unsigned]) { thread, a in
            thread.changeAction(Int32(truncatingIfNeeded: a.a0), new: a.a1, old: a.a2, size: a.a3)
        }
        call(132, "sigaltstack", [.structure(.signalStack), .pointer]) { thread, a in
            thread.changeAlternateStack(new: a.a0, old: a.a1)
        }
        call(139, "rt_sigreturn", [], returns: .never) { thread, _ in thread.returnFromSignal() }
        // The host kernel restarts its own calls; a guest has nothing to go on with.
        refuse(128, "restart_syscall", .EINTR)
    }

    private func addWaitingCalls() {
        call(135, "rt_sigprocmask", [.flags(.signalHow), .structure(.signalSet), .pointer, .unsigned]) { thread, a in
            thread.changeMask(how: Int32(truncatingIfNeeded: a.a0), new: a.a1, old: a.a2, size: a.a3)
        }
        call(136, "rt_sigpending", [.pointer, .unsigned]) { thread, a in
            guard a.a1 <= 8 else { return Errno.EINVAL.result }
            var set: UInt64 = 0
            let result = withUnsafeMutablePointer(to: &set) { thread.hostCall(127, UInt64(UInt(bitPattern: $0)), 8) }
            guard result >= 0 else { return result }
            set |= mynah_queued_signals(thread.record) & thread.mask
            return withUnsafePointer(to: &set) { copyToGuest($0, count: Int(a.a1), at: a.a0) } ? 0 : Errno.EFAULT.result
        }
        call(133, "rt_sigsuspend", [.structure(.signalSet), .unsigned]) { thread, a in
            guard a.a0 != 0 else { return Errno.EFAULT.result }
            return thread.withTemporarySignalMask(a.a0, size: a.a1) { thread.hostCall(34 /* pause */) }
        }
        call(137, "rt_sigtimedwait", [.structure(.signalSet), .pointer, .structure(.timespec), .unsigned]) { thread, a in
            guard a.a3 == 8 else { return Errno.EINVAL.result }
            guard let set = readGuest(UInt64.self, at: a.a0) else { return Errno.EFAULT.result }
            if let signal = thread.takeQueued(set, info: a.a1) { return signal }
            return thread.hostCall(128, a.a0, a.a1, a.a2, 8)
        }
    }
}

extension LinuxThread {
    private static func isSignal(_ number: Int32) -> Bool { number >= 1 && number <= Int32(SignalTable.count) }

    func changeAction(_ signal: Int32, new: UInt64, old: UInt64, size: UInt64) -> Int64 {
        guard size == 8, Self.isSignal(signal) else { return Errno.EINVAL.result }
        guard new == 0 || (signal != SIGKILL && signal != SIGSTOP) else { return Errno.EINVAL.result }
        var action: SignalAction?
        if new != 0 {
            guard var words = readGuest(SignalAction.self, at: new) else { return Errno.EFAULT.result }
            words.mask &= ~SignalTable.unblockable
            words.flags &= SignalAction.knownFlags
            action = words
        }
        let before = signals[signal]
        // Before the change, so that a fault changes nothing.
        if old != 0 && !writeGuest(before, at: old) { return Errno.EFAULT.result }
        if let action { signals.set(action, for: signal) }
        return 0
    }

    func changeAlternateStack(new: UInt64, old: UInt64) -> Int64 {
        var before = alternateStack
        before.flags = alternateStack.byteCount == 0 ? AlternateStack.disabled : alternateStack.flags & AlternateStack.autoDisarm
        if alternateStack.contains(process.abi.stackPointer(state)) { before.flags |= AlternateStack.onStack }
        if new != 0 {
            guard var stack = readGuest(AlternateStack.self, at: new) else { return Errno.EFAULT.result }
            // ss_flags is an int; padding follows it.
            stack.flags &= 0xffff_ffff
            let result = setAlternateStack(stack)
            if result != 0 { return result }
        }
        // The padding of the guest's structure is left alone.
        if old != 0 {
            let written =
                writeGuest(before.address, at: old) && writeGuest(UInt32(truncatingIfNeeded: before.flags), at: old &+ 8)
                && writeGuest(before.byteCount, at: old &+ 16)
            if !written { return Errno.EFAULT.result }
        }
        return 0
    }

    func changeMask(how: Int32, new: UInt64, old: UInt64, size: UInt64) -> Int64 {
        guard size == 8 else { return Errno.EINVAL.result }
        let before = mask
        if new != 0 {
            guard let set = readGuest(UInt64.self, at: new) else { return Errno.EFAULT.result }
            let wanted: UInt64
            switch how {
            case SIG_BLOCK: wanted = before | set
            case SIG_UNBLOCK: wanted = before & ~set
            case SIG_SETMASK: wanted = set
            default: return Errno.EINVAL.result
            }
            // By a call that a signal can stop: one that came before the change is delivered before it.
            var hostMask = wanted & ~SignalTable.unblockable & ~SignalTable.faults
            let result = withUnsafeMutablePointer(to: &hostMask) {
                hostCall(14, UInt64(SIG_SETMASK), UInt64(UInt(bitPattern: $0)), 0, 8)
            }
            guard result >= 0 else { return result }
            mask = wanted & ~SignalTable.unblockable
            if mynah_queued_signals(record) & ~mask != 0 { record.pointee.pending = 1 }
        }
        return old == 0 || writeGuest(before, at: old) ? 0 : Errno.EFAULT.result
    }

    /// A signal of `set` that was queued for this thread already; nil for none.
    func takeQueued(_ set: UInt64, info address: UInt64) -> Int64? {
        guard mynah_queued_signals(record) & set != 0 else { return nil }
        _ = mynah_set_host_mask(~0)
        defer { if record.pointee.pending == 0 { _ = mynah_set_host_mask(mask) } }
        var info = SignalInfo()
        let signal = mynah_take_signal(record, ~set, &info)
        guard signal != 0 else { return nil }
        if address != 0 && !store(info, at: address) { return Errno.EFAULT.result }
        return Int64(signal)
    }

    /// Runs a waiting call with the signal mask at `address` in place of the thread's own (0: unchanged). A signal that
    /// the temporary mask lets in is delivered behind the call, and the own mask is back when its handler returns.
    package func withTemporarySignalMask(_ address: UInt64, size: UInt64, _ body: () -> Int64) -> Int64 {
        guard address != 0 else { return body() }
        guard size == 8 else { return Errno.EINVAL.result }
        guard let set = readGuest(UInt64.self, at: address) else { return Errno.EFAULT.result }
        if record.pointee.pending != 0 { return Self.restart }
        let own = mask
        setMask(set)
        let result = body()
        let wasInterrupted = result == Self.restart || result == Errno.EINTR.result
        if wasInterrupted && record.pointee.pending != 0 {
            // The host's signals are blocked since it came; `deliverSignals` goes on.
            maskToRestore = own
        } else {
            setMask(own)
        }
        return wasInterrupted ? Errno.EINTR.result : result
    }

    /// signalfd4(2). Blocked signals are pending on the host, which is where the descriptor looks.
    package func createSignalDescriptor(_ a: SystemCallArguments) -> Int64 {
        hostCall(HostCall.signalfd4, a.a0, a.a1, a.a2, a.a3)
    }
}

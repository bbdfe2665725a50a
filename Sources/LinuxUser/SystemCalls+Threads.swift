// System calls of threads: futexes, what is done when a thread ends, and making threads and processes.

import CHost
import Glibc

extension SystemCallTable {
    package func addThreadCalls() {
        call(96, "set_tid_address", [.pointer]) { thread, a in
            thread.clearedThreadID = a.a0
            return Int64(thread.hostThreadID)
        }
        forward(98, "futex", host: 202, [.pointer, .flags(.futex), .unsigned, .structure(.timespec), .pointer, .unsigned])
        forward(449, "futex_waitv", host: 449, [.pointer, .unsigned, .hex, .structure(.timespec), .int])
        forward(454, "futex_wake", host: 454, [.pointer, .hex, .int, .hex])
        forward(455, "futex_wait", host: 455, [.pointer, .hex, .hex, .hex, .structure(.timespec), .int])
        forward(456, "futex_requeue", host: 456, [.pointer, .hex, .int, .int])
        // The host kernel walks the guest's list if the process is killed; `LinuxThread.finish` does when a thread ends.
        call(99, "set_robust_list", [.structure(.robustList), .unsigned]) { thread, a in
            guard a.a1 == 24 else { return Errno.EINVAL.result }
            let result = thread.hostCall(273, a.a0, a.a1)
            if result == 0 { thread.robustList = a.a0 }
            return result
        }
        forward(100, "get_robust_list", host: 274, [.int, .pointer, .pointer])
        forward(283, "membarrier", host: 324, [.flags(.membarrier), .hex, .int])
        // Restartable sequences name host instructions.
        refuse(293, "rseq")
        call(220, "clone", [.flags(.clone), .pointer, .pointer, .pointer, .pointer]) { thread, a in
            thread.clone(thread.process.abi.cloneArguments(a))
        }
        call(435, "clone3", [.structure(.cloneArguments), .unsigned]) { thread, a in
            var arguments = CloneArguments()
            let result = thread.readClone3(a.a0, size: a.a1, into: &arguments)
            return result < 0 ? result : thread.clone(arguments)
        }
    }
}

enum CloneFlag {
    static let sharesMemory: UInt64 = 0x100, sharesHandlers: UInt64 = 0x800, pidfd: UInt64 = 0x1000, vfork: UInt64 = 0x4000
    static let sharesParent: UInt64 = 0x8000, thread: UInt64 = 0x1_0000, setsThreadPointer: UInt64 = 0x8_0000
    static let parentSetsID: UInt64 = 0x10_0000, childClearsID: UInt64 = 0x20_0000, childSetsID: UInt64 = 0x100_0000
    static let newTimeNamespace: UInt64 = 0x80, newNamespaces: UInt64 = 0x7e02_0000 | newTimeNamespace
    static let clearsHandlers: UInt64 = 0x1_0000_0000, intoCgroup: UInt64 = 0x2_0000_0000
}

extension LinuxThread {
    /// `struct clone_args`, version 0 (64 bytes) to 2 (88 bytes).
    fileprivate func readClone3(_ address: UInt64, size: UInt64, into result: inout CloneArguments) -> Int64 {
        guard size >= 64 else { return Errno.EINVAL.result }
        guard size <= 4096 else { return Errno.E2BIG.result }
        guard let words = readGuest(
            (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64).self, at: address)
        else { return Errno.EFAULT.result }
        var extra: [UInt64] = [0, 0, 0]
        for index in extra.indices where size >= UInt64(72 + index * 8) {
            guard let word = readGuest(UInt64.self, at: address &+ UInt64(64 + index * 8)) else { return Errno.EFAULT.result }
            extra[index] = word
        }
        // A chosen process number needs a privilege that the emulator does not pass on, and libc's fork starts in no other
        // cgroup.
        if extra[1] != 0 || words.0 & CloneFlag.intoCgroup != 0 { return Errno.EPERM.result }
        // An exit signal among the flags is of the older call.
        if words.0 & 0xff & ~CloneFlag.newTimeNamespace != 0 || words.4 > 64 { return Errno.EINVAL.result }
        // Threads have none, and a sibling has its parent's.
        if words.0 & (CloneFlag.thread | CloneFlag.sharesParent) != 0 && words.4 != 0 { return Errno.EINVAL.result }
        if (words.5 == 0) != (words.6 == 0) { return Errno.EINVAL.result }
        result = CloneArguments(
            flags: words.0, exitSignal: words.4, stackPointer: words.5 == 0 ? 0 : words.5 &+ words.6, threadPointer: words.7,
            parentThreadID: words.3, childThreadID: words.2, pidfd: words.1)
        return 0
    }

    func clone(_ arguments: CloneArguments) -> Int64 {
        let flags = arguments.flags
        if flags & CloneFlag.sharesHandlers != 0
            && flags & (CloneFlag.sharesMemory | CloneFlag.clearsHandlers) != CloneFlag.sharesMemory
        {
            return Errno.EINVAL.result
        }
        if flags & CloneFlag.thread != 0 {
            guard flags & CloneFlag.sharesHandlers != 0 else { return Errno.EINVAL.result }
            return startThread(arguments)
        }
        if flags & CloneFlag.newNamespaces != 0 { return Errno.EPERM.result }
        if flags & CloneFlag.vfork != 0 && flags & CloneFlag.sharesMemory != 0 { return vfork(arguments) }
        return fork(arguments)
    }

    /// The registers of the child; its thread pointer only when the flags say so.
    private func prepare(_ state: UnsafeMutableRawPointer, _ arguments: CloneArguments) {
        process.abi.prepareChild(
            state, stackPointer: arguments.stackPointer == 0 ? nil : arguments.stackPointer,
            threadPointer: arguments.flags & CloneFlag.setsThreadPointer == 0 ? nil : arguments.threadPointer)
    }

    // MARK: Threads

    private func startThread(_ arguments: CloneArguments) -> Int64 {
        process.engine.lockstep?.end(because: "the program started a thread")
        let cpu = process.engine.makeCPU()
        cpu.state.copyMemory(from: state, byteCount: process.engine.isa.stateByteCount)
        cpu.header.pointee.guest_mxcsr = self.cpu.header.pointee.guest_mxcsr
        prepare(cpu.state, arguments)
        process.abi.finishSystemCall(cpu.state, result: 0)
        let child = LinuxThread(process: process, cpu: cpu, signals: signals)
        child.mask = mask
        if arguments.flags & CloneFlag.childClearsID != 0 { child.clearedThreadID = arguments.childThreadID }
        let start = ThreadStart(child, arguments)
        process.threadsLock.locked { process.threads.append(child) }
        process.debugger?.add(child)
        let error = mynah_start_thread(
            { Unmanaged<ThreadStart>.fromOpaque($0!).takeRetainedValue().run() }, Unmanaged.passRetained(start).toOpaque(),
            2 << 20)
        guard error == 0 else {
            Unmanaged.passUnretained(start).release()
            process.threadsLock.locked { process.threads.removeAll { $0 === child } }
            process.debugger?.remove(child)
            cpu.destroy()
            return -Int64(error)
        }
        start.waitUntilStarted()
        return Int64(child.hostThreadID)
    }

    // MARK: Processes

    private func fork(_ arguments: CloneArguments) -> Int64 {
        let exitSignal = exitSignal(arguments)
        if exitSignal == SIGCHLD { return fork(arguments, exitSignal) }
        // Threads of the emulator's own hold none of the C library's locks meanwhile.
        process.engine.endOwnThread()
        guard let server = process.debugger?.server else { return fork(arguments, exitSignal) }
        return server.whileQuiet { fork(arguments, exitSignal) }
    }

    private func fork(_ arguments: CloneArguments, _ exitSignal: Int32) -> Int64 {
        let engine = process.engine!
        let before = mynah_set_host_mask(~0)
        // The engine's lock comes before ours everywhere.
        engine.prepareForFork()
        process.memory.lock.lock()
        process.threadsLock.lock()
        signals.lock.lock()
        let handover = ForkHandover()
        let child = mynah_fork(exitSignal)
        signals.lock.unlock()
        process.threadsLock.unlock()
        process.memory.lock.unlock()
        guard child == 0 else {
            handover.waitForChild()
            engine.parentAfterFork()
            _ = mynah_set_host_mask(before)
            return child < 0 ? Int64(child) : finishForkInParent(child, arguments)
        }
        do {
            try engine.childAfterFork(keeping: cpu)
        } catch {
            _exit(125)
        }
        handover.finishInChild()
        process.threads = [self]
        isVforkedProcess = false
        leaveDebugger()
        becomeChild(arguments)
        prepare(state, arguments)
        return 0
    }

    /// The signal that tells the end of a child. Where other threads may hold the C library's locks, which only its own fork
    /// takes, that is SIGCHLD: such a child must be able to allocate memory.
    private func exitSignal(_ arguments: CloneArguments) -> Int32 {
        let isAlone = process.threadsLock.locked { process.threads.count == 1 }
        return isAlone ? Int32(truncatingIfNeeded: arguments.exitSignal) : SIGCHLD
    }

    private func finishForkInParent(_ child: Int32, _ arguments: CloneArguments) -> Int64 {
        if arguments.flags & CloneFlag.parentSetsID != 0 { _ = store(child, at: arguments.parentThreadID) }
        if arguments.flags & CloneFlag.pidfd != 0 {
            let descriptor = mynah_syscall(434, Int(child), 0, 0, 0, 0, 0)
            let address = arguments.pidfd == 0 ? arguments.parentThreadID : arguments.pidfd
            if descriptor >= 0 { _ = store(Int32(descriptor), at: address) }
        }
        return Int64(child)
    }

    /// What a new process begins with: no signals, its own number.
    fileprivate func becomeChild(_ arguments: CloneArguments) {
        record.pointee.count = 0
        record.pointee.pending = 0
        hostThreadID = mynah_thread_id()
        robustList = 0
        clearedThreadID = arguments.flags & CloneFlag.childClearsID != 0 ? arguments.childThreadID : 0
        if arguments.flags & CloneFlag.childSetsID != 0 { _ = store(hostThreadID, at: arguments.childThreadID) }
        if arguments.flags & CloneFlag.clearsHandlers != 0 { signals.clearHandlers() }
        _ = mynah_set_host_mask(mask)
    }

    /// The child runs in this process's memory, on this thread's CPU, while this thread waits: what it writes is seen here, as
    /// posix_spawn relies on. Its signal actions are its own.
    private func vfork(_ arguments: CloneArguments) -> Int64 {
        let stateBytes = process.engine.isa.stateByteCount
        let saved = UnsafeMutableRawPointer.allocate(byteCount: stateBytes, alignment: 16)
        defer { saved.deallocate() }
        saved.copyMemory(from: state, byteCount: stateBytes)
        let savedControl = cpu.header.pointee.guest_mxcsr
        let child = LinuxThread(process: process, cpu: cpu, signals: signals.copy())
        child.mask = mask
        child.alternateStack = alternateStack
        let start = ThreadStart(child, arguments)
        prepare(state, arguments)
        process.abi.finishSystemCall(state, result: 0)
        let before = mynah_set_host_mask(~0)
        let number = mynah_vfork(
            { Unmanaged<ThreadStart>.fromOpaque($0!).takeUnretainedValue().runVforked() },
            Unmanaged.passUnretained(start).toOpaque(), Int32(truncatingIfNeeded: arguments.exitSignal))
        mynah_set_signal_record(record)
        mynah_set_current_cpu(cpu.header)
        state.copyMemory(from: saved, byteCount: stateBytes)
        cpu.header.pointee.guest_mxcsr = savedControl
        signals.mirrorFaultSignals()
        _ = mynah_set_host_mask(before)
        return number < 0 ? Int64(number) : finishForkInParent(number, arguments)
    }

    // MARK: The end of a thread

    /// exit(2): ends this thread, and the process with the last one.
    func finish(status: Int32) -> Int64 {
        if isVforkedProcess { _exit(status) }
        _ = mynah_set_host_mask(~0)
        let isLast = process.threadsLock.locked {
            process.threads.removeAll { $0 === self }
            return process.threads.isEmpty
        }
        if isLast {
            process.exit(status: status)
        }
        process.debugger?.remove(self)
        mynah_return_signals(record)
        mynah_set_signal_record(nil)
        mynah_set_current_cpu(nil)
        cpu.destroy()
        RobustList(head: robustList, threadID: UInt32(bitPattern: hostThreadID)).release()
        // The guest may free the list's memory from now on.
        _ = mynah_syscall(273, 0, 24, 0, 0, 0, 0)
        if clearedThreadID != 0 && store(Int32(0), at: clearedThreadID) {
            _ = mynah_syscall(202, Int(bitPattern: UInt(clearedThreadID)), 1 /* FUTEX_WAKE */, 1, 0, 0, 0)
        }
        if hostThreadID == getpid() {
            // The first thread: its host thread must not return, that would end the process.
            _ = mynah_syscall(60, Int(status), 0, 0, 0, 0, 0)
        }
        isFinished = true
        keepsRegisters = true
        return 0
    }
}

/// The code cache is shared memory until the child of a fork has made its own copy: the parent changes nothing before.
private struct ForkHandover {
    private var reading: Int32 = -1
    private var writing: Int32 = -1

    init() {
        var ends: (Int32, Int32) = (-1, -1)
        let made = withUnsafeMutablePointer(to: &ends) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) {
                mynah_syscall(293, Int(bitPattern: $0), Int(O_CLOEXEC), 0, 0, 0, 0)
            }
        }
        if made == 0 { (reading, writing) = ends }
    }

    /// Returns when the child has finished, or died.
    func waitForChild() {
        close(writing)
        var byte: UInt8 = 0
        while read(reading, &byte, 1) < 0 && errno == EINTR {}
        close(reading)
    }

    func finishInChild() {
        close(reading)
        close(writing)
    }
}

/// Hands a new thread over to its host thread.
private final class ThreadStart {
    private let thread: LinuxThread
    private let arguments: CloneArguments
    // SAFETY: lives until both sides have released this object.
    private let started: UnsafeMutablePointer<sem_t>

    init(_ thread: LinuxThread, _ arguments: CloneArguments) {
        self.thread = thread
        self.arguments = arguments
        started = .allocate(capacity: 1)
        sem_init(started, 0, 0)
    }

    deinit {
        sem_destroy(started)
        started.deallocate()
    }

    func waitUntilStarted() {
        while sem_wait(started) != 0 {}
    }

    func run() {
        thread.hostThreadID = mynah_thread_id()
        if arguments.flags & CloneFlag.parentSetsID != 0 { _ = thread.store(thread.hostThreadID, at: arguments.parentThreadID) }
        if arguments.flags & CloneFlag.childSetsID != 0 { _ = thread.store(thread.hostThreadID, at: arguments.childThreadID) }
        sem_post(started)
        thread.run()
        mynah_release_alternate_stack()
    }

    func runVforked() {
        mynah_set_signal_record(thread.record)
        thread.isVforkedProcess = true
        // The parent's are inherited, a debugger's wishes among them.
        if thread.process.debugger != nil { thread.signals.mirrorAll() }
        thread.becomeChild(arguments)
        thread.run()
        _exit(127)
    }
}

/// The list of robust futexes that a thread holds (kernel/futex/core.c).
private struct RobustList {
    var head: UInt64
    var threadID: UInt32
    private static let limit = 2048
    private static let waiters: UInt32 = 0x8000_0000, ownerDied: UInt32 = 0x4000_0000, ownerMask: UInt32 = 0x3fff_ffff

    func release() {
        guard head != 0, var entry = readGuest(UInt64.self, at: head), let offset = readGuest(UInt64.self, at: head &+ 8),
            let pending = readGuest(UInt64.self, at: head &+ 16)
        else { return }
        var count = 0
        // The lowest bit marks a priority-inheriting futex.
        while entry & ~1 != head && count < Self.limit {
            guard let next = readGuest(UInt64.self, at: entry & ~1) else { return }
            if entry & ~1 != pending & ~1 { release(entry & ~1 &+ offset) }
            entry = next
            count += 1
        }
        if pending != 0 { release(pending & ~1 &+ offset) }
    }

    private func release(_ address: UInt64) {
        guard address & 3 == 0, let word = readGuest(UInt32.self, at: address), word & Self.ownerMask == threadID else { return }
        let replacement = (word & Self.waiters) | Self.ownerDied
        // SAFETY: readable just now, and the guest keeps its lock words writable; another thread only sets the waiters' bit.
        let before = mynah_compare_exchange(4, address, UInt64(word), UInt64(replacement))
        if before != UInt64(word) { return release(address) }
        if word & Self.waiters != 0 { _ = mynah_syscall(202, Int(bitPattern: UInt(address)), 1, 1, 0, 0, 0) }
    }
}

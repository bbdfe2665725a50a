// What a guest does with signals, and their delivery at an instruction boundary.
//
// The host's dispositions mirror the guest's: default and ignored signals are the host kernel's business entirely, caught ones
// are queued by the C handler (linux_signals.c), which leaves the host's signals blocked until `deliverSignals` has built
// the guest's frames. The host's mask mirrors the guest's, so that the kernel chooses the thread and keeps what is pending.

import CHost
import Glibc

/// `struct sigaction` of the guest.
struct SignalAction: Equatable {
    var handler: UInt64 = 0
    var flags: UInt64 = 0
    var mask: UInt64 = 0

    static let defaultHandler: UInt64 = 0, ignoreHandler: UInt64 = 1
    static let noChildStop: UInt64 = 1, noChildWait: UInt64 = 2, information: UInt64 = 4, onStack: UInt64 = 0x0800_0000
    static let restart: UInt64 = 0x1000_0000, noDefer: UInt64 = 0x4000_0000, resetHandler: UInt64 = 0x8000_0000
    static let exposesTagBits: UInt64 = 0x800
    /// The flags that riscv's kernel knows; the others do not stay, by which programs find out.
    static let knownFlags = noChildStop | noChildWait | information | onStack | restart | noDefer | resetHandler | exposesTagBits

    var isCaught: Bool { handler > Self.ignoreHandler }
}

final class SignalTable {
    static let count = 64
    static let unblockable: UInt64 = 1 << UInt64(SIGKILL - 1) | 1 << UInt64(SIGSTOP - 1)

    /// Never blocked on the host.
    static let faults: UInt64 = 1 << UInt64(SIGSEGV - 1) | 1 << UInt64(SIGBUS - 1)

    static func bit(_ signal: Int32) -> UInt64 { 1 << UInt64(signal - 1) }

    let lock = HostLock()
    /// What a debugger wants to see first; nil without one.
    private var observation: SignalObservation?
    private var actions = [SignalAction](repeating: SignalAction(), count: SignalTable.count)

    /// The table of a new program: what its parent ignored stays ignored. Handlers of this process's own runtime, as for crash
    /// reports, give way to the defaults, since these signals are the guest's now.
    static func inherited() -> SignalTable {
        let table = SignalTable()
        for signal in 1...Int32(count) {
            switch mynah_get_disposition(signal) {
            case Int32(MYNAH_SIGNAL_IGNORE): table.actions[Int(signal) - 1].handler = SignalAction.ignoreHandler
            case Int32(MYNAH_SIGNAL_CATCH): table.mirror(SignalAction(), for: signal)
            default: break
            }
        }
        return table
    }

    func copy() -> SignalTable {
        let copy = SignalTable()
        copy.actions = lock.locked { actions }
        return copy
    }

    subscript(signal: Int32) -> SignalAction {
        lock.locked { actions[Int(signal) - 1] }
    }

    /// Sets an action and the host's disposition with it; returns the former.
    @discardableResult
    func set(_ action: SignalAction, for signal: Int32) -> SignalAction {
        lock.locked {
            let before = actions[Int(signal) - 1]
            actions[Int(signal) - 1] = action
            mirror(action, for: signal)
            return before
        }
    }

    /// Takes the action for a delivery; SA_RESETHAND takes effect.
    func takeAction(for signal: Int32) -> SignalAction {
        let action = self[signal]
        if action.isCaught && action.flags & SignalAction.resetHandler != 0 {
            var reset = action
            reset.handler = SignalAction.defaultHandler
            set(reset, for: signal)
        }
        return action
    }

    /// After a vfork child changed what both share on the host.
    func mirrorFaultSignals() {
        for signal in [SIGSEGV, SIGBUS] { mirror(self[signal], for: signal) }
    }

    /// A debugger is to see signals before the guest, from now on or (nil) no longer.
    func observe(_ observation: SignalObservation?) {
        lock.locked {
            self.observation = observation
            mirrorAll()
        }
    }

    /// Brings the host's dispositions in line, in a process that inherited others.
    func mirrorAll() {
        for signal in 1...Int32(Self.count) where Self.unblockable & Self.bit(signal) == 0 {
            mirror(actions[Int(signal) - 1], for: signal)
        }
    }

    /// CLONE_CLEAR_SIGHAND: caught signals become default.
    func clearHandlers() {
        for signal in 1...Int32(Self.count) where self[signal].isCaught { set(SignalAction(), for: signal) }
    }

    private func mirror(_ action: SignalAction, for signal: Int32) {
        if let observation, !action.isCaught, observation.catches(action, signal) {
            // Nobody but the debugger notices: calls go on, and children that nobody waits for vanish, as they would without it.
            let vanish = signal == SIGCHLD && action.handler == SignalAction.ignoreHandler ? SignalAction.noChildWait : 0
            let kept = action.flags & (SignalAction.noChildStop | SignalAction.noChildWait)
            _ = mynah_set_disposition(signal, Int32(MYNAH_SIGNAL_CATCH), kept | vanish | SignalAction.restart)
            return
        }
        let disposition: Int
        switch action.handler {
        case SignalAction.defaultHandler: disposition = Int(MYNAH_SIGNAL_DEFAULT)
        case SignalAction.ignoreHandler: disposition = Int(MYNAH_SIGNAL_IGNORE)
        default: disposition = Int(MYNAH_SIGNAL_CATCH)
        }
        let flags = action.flags & (SignalAction.restart | SignalAction.noChildStop | SignalAction.noChildWait)
        _ = mynah_set_disposition(signal, Int32(disposition), flags)
    }
}

/// `siginfo_t`, 128 bytes, the same on all 64-bit architectures.
struct SignalInfo {
    private var words:
        (
            UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64,
            UInt64, UInt64
        ) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    /// `si_code`: SI_KERNEL, SEGV_MAPERR, SEGV_ACCERR.
    static let fromKernel: Int32 = 0x80, notMapped: Int32 = 1, notPermitted: Int32 = 2

    init() {}

    /// A signal that this process sent to itself.
    init(ownSignal signal: Int32) {
        self.init(signal: signal, code: 0, address: UInt64(UInt32(bitPattern: getpid())) | UInt64(getuid()) << 32)
    }

    /// All of it.
    var bytes: [UInt8] {
        get { withUnsafeBytes(of: words) { Array($0) } }
        set { withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: newValue.prefix($0.count)) } }
    }

    /// A fault: si_addr is the third word.
    init(signal: Int32, code: Int32, address: UInt64) {
        words.0 = UInt64(UInt32(bitPattern: signal))
        words.1 = UInt64(UInt32(bitPattern: code))
        words.2 = address
    }

    var signal: Int32 { Int32(truncatingIfNeeded: words.0) }
    var code: Int32 { Int32(truncatingIfNeeded: words.1) }
}

extension LinuxThread {
    /// Builds the frames of queued signals that are not blocked. At an instruction boundary, on this thread.
    func deliverSignals() {
        _ = mynah_set_host_mask(~0)
        record.pointee.pending = 0
        var info = SignalInfo()
        while true {
            let signal = mynah_take_signal(record, mask, &info)
            if signal == 0 { break }
            deliver(signal, info)
        }
        if let restored = maskToRestore {
            // Nothing was delivered that would restore it on return.
            mask = restored
            maskToRestore = nil
        }
        if mynah_queued_signals(record) & ~mask != 0 { record.pointee.pending = 1 }
        _ = mynah_set_host_mask(mask)
    }

    /// Sets the guest's mask and the host's with it.
    func setMask(_ newMask: UInt64) {
        mask = newMask & ~SignalTable.unblockable
        if mynah_queued_signals(record) & ~mask != 0 { record.pointee.pending = 1 }
        // With a signal queued the host's stay blocked until it is delivered.
        if record.pointee.pending == 0 { _ = mynah_set_host_mask(mask) }
    }

    func deliver(_ signal: Int32, _ info: SignalInfo) {
        let action = signals.takeAction(for: signal)
        process.strace?.signal(Int(signal), code: Int(info.code))
        switch action.handler {
        case SignalAction.ignoreHandler: return
        case SignalAction.defaultHandler:
            // It was caught when it came: now the host has the default action.
            if isDebugged { return performDefaultAction(of: signal) }
            _ = mynah_syscall(234, Int(getpid()), Int(hostThreadID), Int(signal), 0, 0, 0)
        default: enter(action, signal: signal, info: info)
        }
    }

    /// Builds the frame of a handler and enters it.
    func enter(_ action: SignalAction, signal: Int32, info: SignalInfo) {
        let abi = process.abi
        let frameBytes = abi.signalFrameBytes
        let stackPointer = abi.stackPointer(state)
        var top = stackPointer
        let isOnStack = alternateStack.contains(stackPointer)
        if action.flags & SignalAction.onStack != 0 && !isOnStack && alternateStack.flags & AlternateStack.disabled == 0 {
            top = alternateStack.address &+ alternateStack.byteCount
        } else if isOnStack && alternateStack.contains(stackPointer) && !alternateStack.contains(stackPointer &- frameBytes) {
            return refuseFrame(of: signal)  // the alternate stack is full
        }
        let frame = (top &- frameBytes) & ~15
        var stack = alternateStack
        stack.flags = alternateStack.byteCount == 0 ? AlternateStack.disabled
            : (alternateStack.flags & AlternateStack.autoDisarm) | (isOnStack ? AlternateStack.onStack : 0)
        let savedMask = maskToRestore ?? mask
        maskToRestore = nil
        let written = withUnsafeTemporaryAllocation(byteCount: Int(frameBytes), alignment: 16) { buffer in
            withUnsafeBytes(of: info) {
                abi.fillSignalFrame(buffer.baseAddress!, state, info: $0.baseAddress!, stack: stack, mask: savedMask)
            }
            return storeBytes(buffer, at: frame)
        }
        guard written else { return refuseFrame(of: signal) }
        if alternateStack.flags & AlternateStack.autoDisarm != 0 { alternateStack = .none }
        mask |= action.mask & ~SignalTable.unblockable
        if action.flags & SignalAction.noDefer == 0 { mask |= SignalTable.bit(signal) }
        abi.enterHandler(
            state, signal: signal, handler: action.handler, frame: frame, returnAddress: process.signalReturnAddress)
    }

    private func storeBytes(_ bytes: UnsafeMutableRawBufferPointer, at address: UInt64) -> Bool {
        guard address < AddressSpace.limit else { return false }
        return copyToGuest(bytes.baseAddress!, count: bytes.count, at: address)
            || (process.releaseAllWatches() && copyToGuest(bytes.baseAddress!, count: bytes.count, at: address))
    }

    /// No room for a signal frame: a SIGSEGV takes its place, which a handler with a stack of its own can catch, but for its own
    /// frame.
    private func refuseFrame(of signal: Int32) {
        let action = signals[SIGSEGV]
        guard signal != SIGSEGV, action.isCaught, mask & SignalTable.bit(SIGSEGV) == 0 else {
            let address = process.abi.stackPointer(state)
            return die(
                of: SIGSEGV, code: SignalInfo.fromKernel, address: address, reason: "no room for a signal frame on the stack")
        }
        deliver(SIGSEGV, SignalInfo(signal: SIGSEGV, code: SignalInfo.fromKernel, address: 0))
    }

    /// rt_sigreturn(2).
    func returnFromSignal() -> Int64 {
        let abi = process.abi
        let restored = withUnsafeTemporaryAllocation(byteCount: Int(abi.signalFrameBytes), alignment: 16) { buffer -> Bool in
            guard copyFromGuest(buffer.baseAddress!, count: buffer.count, at: abi.stackPointer(state)) else { return false }
            let (mask, stack) = abi.restore(state, fromFrame: buffer.baseAddress!)
            setMask(mask)
            // As in the kernel, errors of the stack are ignored.
            _ = setAlternateStack(stack)
            return true
        }
        keepsRegisters = true
        if !restored { raiseFault(signal: SIGSEGV, code: 1, address: abi.stackPointer(state)) }
        return 0
    }

    /// Makes `stack` the alternate stack; 0 or minus an errno.
    func setAlternateStack(_ stack: AlternateStack) -> Int64 {
        if alternateStack.contains(process.abi.stackPointer(state)) { return Errno.EPERM.result }
        let mode = stack.flags & ~AlternateStack.autoDisarm
        guard mode == 0 || mode == AlternateStack.disabled || mode == AlternateStack.onStack else { return Errno.EINVAL.result }
        if mode == AlternateStack.disabled {
            alternateStack = .none
            return 0
        }
        guard stack.byteCount >= process.abi.minimumSignalStackBytes else { return Errno.ENOMEM.result }
        alternateStack = AlternateStack(
            address: stack.address, flags: stack.flags & AlternateStack.autoDisarm, byteCount: stack.byteCount)
        return 0
    }
}

// System calls of processes: ending, waiting, limits, attributes, executing.

import CHost
import Glibc

extension SystemCallTable {
    package func addProcessCalls() {
        call(93, "exit", [.int], returns: .never) { thread, a in thread.finish(status: Int32(truncatingIfNeeded: a.a0)) }
        call(94, "exit_group", [.int], returns: .never) { thread, a in
            let status = Int32(truncatingIfNeeded: a.a0)
            if thread.isVforkedProcess { _exit(status) }
            thread.process.exit(status: status)
        }
        forward(95, "waitid", host: 247, [.flags(.waitKind), .int, .pointer, .flags(.waitOptions), .structure(.resourceUsage)])
        forward(260, "wait4", host: 61, [.int, .structure(.waitStatus), .flags(.waitOptions), .structure(.resourceUsage)])
        call(221, "execve", [.path, .structure(.stringVector), .pointer], returns: .never) { thread, a in
            thread.execute(directory: -100, path: a.a0, arguments: a.a1, environment: a.a2, flags: 0)
        }
        call(281, "execveat", [.directoryFD, .path, .structure(.stringVector), .pointer, .flags(.at)], returns: .never) {
            thread, a in
            thread.execute(
                directory: Int32(truncatingIfNeeded: a.a0), path: a.a1, arguments: a.a2, environment: a.a3, flags: a.a4)
        }
        call(97, "unshare", [.flags(.clone)]) { thread, a in
            // Some namespaces are for processes of one thread only.
            thread.process.engine.endOwnThread()
            return thread.hostCall(272, a)
        }
        call(92, "personality", [.hex]) { _, a in
            // Linux, the only one there is.
            a.a0 & 0xffff_ffff == 0xffff_ffff || a.a0 & 0xff == 0 ? 0 : Errno.EINVAL.result
        }
        addLimitCalls()
        call(167, "prctl", [.flags(.prctl), .hex, .hex, .hex, .hex]) { thread, a in thread.control(a) }
    }

    private func addLimitCalls() {
        forward(163, "getrlimit", host: 97, [.flags(.resource), .structure(.resourceLimitOut)])
        call(164, "setrlimit", [.flags(.resource), .structure(.resourceLimit)]) { thread, a in
            LinuxThread.limitsEmulator(a.a0) ? 0 : thread.hostCall(160, a.a0, a.a1)
        }
        call(261, "prlimit64", [.int, .flags(.resource), .structure(.resourceLimit), .structure(.resourceLimitOut)]) {
            thread, a in
            if a.a2 != 0 && (a.a0 == 0 || a.a0 == UInt64(getpid())) && LinuxThread.limitsEmulator(a.a1) {
                // The old limit is told, the new one not set.
                return thread.hostCall(302, a.a0, a.a1, 0, a.a3)
            }
            return thread.hostCall(302, a.a0, a.a1, a.a2, a.a3)
        }
    }
}

extension LinuxThread {
    /// Limits on memory that would hit the emulator's own: RLIMIT_AS and RLIMIT_DATA.
    fileprivate static func limitsEmulator(_ resource: UInt64) -> Bool {
        resource & 0xffff_ffff == 9 || resource & 0xffff_ffff == 2
    }

    fileprivate enum Control {
        static let setSeccomp: UInt64 = 22, setMemory: UInt64 = 35, getThreadIDAddress: UInt64 = 40
        static let getAuxiliaryVector: UInt64 = 0x4155_5856
        static let setVector: UInt64 = 69, getVector: UInt64 = 70
        static let getTimeStampCounter: UInt64 = 25, setTimeStampCounter: UInt64 = 26, setCallDispatch: UInt64 = 59
        static let setWriteOrExecute: UInt64 = 65, getWriteOrExecute: UInt64 = 66
    }

    fileprivate func control(_ a: SystemCallArguments) -> Int64 {
        // The kernel takes an int.
        switch a.a0 & 0xffff_ffff {
        // A filter would judge the host's system calls by the host's numbers.
        case Control.setSeccomp: Errno.EINVAL.result
        // What the host knows is of its own C library, which clears the number of this host thread at its end.
        case Control.getThreadIDAddress: writeGuest(clearedThreadID, at: a.a1) ? 0 : Errno.EFAULT.result
        case Control.getAuxiliaryVector: copyAuxiliaryVector(a)
        // These would change what the kernel knows of the emulator's memory.
        case Control.setMemory: Errno.EPERM.result
        case Control.setVector, Control.getVector: Errno.EINVAL.result
        // The host processor's own, of which the emulator would die, and no riscv kernel knows them.
        case Control.getTimeStampCounter, Control.setTimeStampCounter: Errno.EINVAL.result
        // The addresses, numbers and rights that these judge would be the emulator's.
        case Control.setCallDispatch, Control.setWriteOrExecute, Control.getWriteOrExecute: Errno.EINVAL.result
        default: hostCall(157, a.a0, a.a1, a.a2, a.a3, a.a4)
        }
    }

    /// PR_GET_AUXV: what the program was started with, as much as fits; returns the size of all of it.
    private func copyAuxiliaryVector(_ a: SystemCallArguments) -> Int64 {
        guard a.a3 == 0 && a.a4 == 0 else { return Errno.EINVAL.result }
        let vector = process.guestBytes(process.auxiliaryVectorBytes)
        let count = Int(min(UInt64(vector.count), a.a2))
        let copied = vector.withUnsafeBytes { copyToGuest($0.baseAddress!, count: count, at: a.a1) }
        return copied ? Int64(vector.count) : Errno.EFAULT.result
    }
}

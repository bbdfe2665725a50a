// Linux on riscv64: registers of system calls, the signal frame (arch/riscv/kernel/signal.c), the capabilities, the vDSO.

import CHost
import Guest
import GuestRISCV

package final class RISCVLinuxABI: LinuxABI {
    package init() {}

    package var machineName: String { "riscv64" }
    package var elfMachine: UInt16 { 243 }
    package var platform: String? { nil }
    package var minimumSignalStackBytes: UInt64 { 2048 }

    /// One bit for each single-letter extension.
    package var hardwareCapabilities: UInt64 {
        RISCVFeatures.singleLetters.utf8.reduce(0) { $0 | 1 << UInt64($1 &- UInt8(ascii: "a")) }
    }

    package func makeISA() -> GuestISA { RISCV64() }
    package func makeTable() -> SystemCallTable { .riscv64() }

    package func systemCallArguments(_ state: UnsafeMutableRawPointer) -> SystemCallArguments {
        let words = RISCVState(state).words + RISCVRegister.a0
        return SystemCallArguments(
            number: Int(bitPattern: UInt(words[7])), words[0], words[1], words[2], words[3], words[4], words[5])
    }

    package func finishSystemCall(_ state: UnsafeMutableRawPointer, result: Int64) {
        let view = RISCVState(state)
        view[RISCVRegister.a0] = UInt64(bitPattern: result)
        view.programCounter &+= 4
    }

    package func programCounter(_ state: UnsafeMutableRawPointer) -> UInt64 { RISCVState(state).programCounter }
    package func stackPointer(_ state: UnsafeMutableRawPointer) -> UInt64 { RISCVState(state)[RISCVRegister.stackPointer] }

    package func start(_ state: UnsafeMutableRawPointer, entry: UInt64, stackPointer: UInt64) {
        let view = RISCVState(state)
        view.reset()
        view.programCounter = entry
        view[RISCVRegister.stackPointer] = stackPointer
    }

    package func prepareChild(_ state: UnsafeMutableRawPointer, stackPointer: UInt64?, threadPointer: UInt64?) {
        let view = RISCVState(state)
        view.tail.pointee.reservationAddress = RISCVState.noReservation
        if let stackPointer { view[RISCVRegister.stackPointer] = stackPointer }
        if let threadPointer { view[RISCVRegister.threadPointer] = threadPointer }
    }

    package func cloneArguments(_ a: SystemCallArguments) -> CloneArguments {
        // CONFIG_CLONE_BACKWARDS: the thread pointer comes before the child's number.
        CloneArguments(
            flags: a.a0 & 0xffff_ff00, exitSignal: a.a0 & 0xff, stackPointer: a.a1, threadPointer: a.a3, parentThreadID: a.a2,
            childThreadID: a.a4)
    }

    // MARK: Signal frames

    /// Byte offsets in `struct rt_sigframe`: siginfo_t, then ucontext with its sigcontext aligned to 16.
    private enum Frame {
        static let context = 128
        static let stack = context + 16
        static let mask = context + 40
        static let registers = context + 176
        static let floats = registers + 256
        static let control = floats + 256
        static let byteCount = floats + 528
    }

    package var signalFrameBytes: UInt64 { UInt64(Frame.byteCount) }

    package func fillSignalFrame(
        _ frame: UnsafeMutableRawPointer, _ state: UnsafeMutableRawPointer, info: UnsafeRawPointer, stack: AlternateStack,
        mask: UInt64
    ) {
        frame.initializeMemory(as: UInt8.self, repeating: 0, count: Frame.byteCount)
        frame.copyMemory(from: info, byteCount: 128)
        frame.storeBytes(of: stack.address, toByteOffset: Frame.stack, as: UInt64.self)
        frame.storeBytes(of: stack.flags, toByteOffset: Frame.stack + 8, as: UInt64.self)
        frame.storeBytes(of: stack.byteCount, toByteOffset: Frame.stack + 16, as: UInt64.self)
        frame.storeBytes(of: mask, toByteOffset: Frame.mask, as: UInt64.self)
        let view = RISCVState(state)
        frame.storeBytes(of: view.programCounter, toByteOffset: Frame.registers, as: UInt64.self)
        for index in 1..<32 { frame.storeBytes(of: view[index], toByteOffset: Frame.registers + index * 8, as: UInt64.self) }
        for index in 0..<32 { frame.storeBytes(of: view[32 + index], toByteOffset: Frame.floats + index * 8, as: UInt64.self) }
        frame.storeBytes(of: view.fcsr, toByteOffset: Frame.control, as: UInt32.self)
    }

    package func enterHandler(
        _ state: UnsafeMutableRawPointer, signal: Int32, handler: UInt64, frame: UInt64, returnAddress: UInt64
    ) {
        let view = RISCVState(state)
        view.programCounter = handler
        view[RISCVRegister.returnAddress] = returnAddress
        view[RISCVRegister.stackPointer] = frame
        view[RISCVRegister.a0] = UInt64(signal)
        view[RISCVRegister.a0 + 1] = frame
        view[RISCVRegister.a0 + 2] = frame &+ UInt64(Frame.context)
        view.tail.pointee.reservationAddress = RISCVState.noReservation
    }

    package func restore(
        _ state: UnsafeMutableRawPointer, fromFrame frame: UnsafeRawPointer
    ) -> (mask: UInt64, stack: AlternateStack) {
        let view = RISCVState(state)
        // Instructions are two-byte aligned; jalr drops the lowest bit as well.
        view.programCounter = frame.load(fromByteOffset: Frame.registers, as: UInt64.self) & ~1
        for index in 1..<32 { view[index] = frame.load(fromByteOffset: Frame.registers + index * 8, as: UInt64.self) }
        for index in 0..<32 { view[32 + index] = frame.load(fromByteOffset: Frame.floats + index * 8, as: UInt64.self) }
        view.fcsr = frame.load(fromByteOffset: Frame.control, as: UInt32.self)
        view.tail.pointee.reservationAddress = RISCVState.noReservation
        let stack = AlternateStack(
            address: frame.load(fromByteOffset: Frame.stack, as: UInt64.self),
            flags: frame.load(fromByteOffset: Frame.stack + 8, as: UInt64.self) & 0xffff_ffff,
            byteCount: frame.load(fromByteOffset: Frame.stack + 16, as: UInt64.self))
        return (frame.load(fromByteOffset: Frame.mask, as: UInt64.self), stack)
    }

    package func registerSummary(_ state: UnsafeMutableRawPointer) -> String {
        let view = RISCVState(state)
        return [("ra", 1), ("sp", 2), ("gp", 3), ("tp", 4), ("a0", 10), ("a1", 11), ("a2", 12), ("a7", 17)]
            .map { "\($0.0) 0x" + String(view[$0.1], radix: 16) }.joined(separator: ", ")
    }

    // MARK: vDSO

    private static let image = VDSOImage(machine: 243, flags: 0x5, version: "LINUX_4.15", functions: RISCVVDSO.functions)

    package var vdso: [UInt8] { Self.image.bytes }
    package var signalReturnOffset: UInt64 { Self.image.offsets[0] }
}

// What differs between instruction sets in Linux's user interface. One conforming type per guest architecture.

import GDBStub
import Guest
import GuestRISCV

/// The registers that a new program or thread starts with, or that a system call touches, are reached through the state pointer
/// of a CPU that is not running.
package protocol LinuxABI: AnyObject {
    /// As uname(2) reports it.
    var machineName: String { get }
    /// `e_machine` of programs.
    var elfMachine: UInt16 { get }
    /// AT_HWCAP.
    var hardwareCapabilities: UInt64 { get }
    /// AT_PLATFORM; nil for none.
    var platform: String? { get }
    /// The guest image that the kernel would map into every process: an ELF shared object.
    var vdso: [UInt8] { get }
    /// Offset of the code in `vdso` that ends a signal handler.
    var signalReturnOffset: UInt64 { get }
    /// Bytes that an alternate signal stack must have.
    var minimumSignalStackBytes: UInt64 { get }

    func makeISA() -> GuestISA
    func makeTable() -> SystemCallTable
    func systemCallArguments(_ state: UnsafeMutableRawPointer) -> SystemCallArguments
    /// Stores the result and steps over the system call instruction.
    func finishSystemCall(_ state: UnsafeMutableRawPointer, result: Int64)
    func programCounter(_ state: UnsafeMutableRawPointer) -> UInt64
    func stackPointer(_ state: UnsafeMutableRawPointer) -> UInt64
    /// The state of a program at its first instruction.
    func start(_ state: UnsafeMutableRawPointer, entry: UInt64, stackPointer: UInt64)
    /// Replaces what clone gives to a child whose registers are a copy of the parent's.
    func prepareChild(_ state: UnsafeMutableRawPointer, stackPointer: UInt64?, threadPointer: UInt64?)
    /// clone's arguments in the order flags, stack, parent_tid, tls, child_tid.
    func cloneArguments(_ arguments: SystemCallArguments) -> CloneArguments
    /// Bytes of the frame that a handler returns through.
    var signalFrameBytes: UInt64 { get }
    /// Fills a signal frame, which will be at `address` in guest memory, from the state.
    func fillSignalFrame(
        _ frame: UnsafeMutableRawPointer, _ state: UnsafeMutableRawPointer, info: UnsafeRawPointer, stack: AlternateStack,
        mask: UInt64)
    /// Points the state at the handler.
    func enterHandler(_ state: UnsafeMutableRawPointer, signal: Int32, handler: UInt64, frame: UInt64, returnAddress: UInt64)
    /// Takes the state back from a frame; returns the mask and the stack in it.
    func restore(_ state: UnsafeMutableRawPointer, fromFrame frame: UnsafeRawPointer) -> (mask: UInt64, stack: AlternateStack)
    /// Whether an instruction is a call, which leaves a return address.
    func isCall(_ encoding: UInt32) -> Bool
    /// All general registers, four a line.
    func registerDump(_ state: UnsafeMutableRawPointer) -> String
    /// The program counter and the return addresses of the calls that led there, the innermost first.
    func backtrace(_ state: UnsafeMutableRawPointer, _ reader: StackReader, limit: Int) -> [BacktraceFrame]
    /// The registers as a debugger sees them.
    var debugDescription: TargetDescription { get }
    /// A register by its number in `debugDescription`; nil when there is none.
    func debugRegister(_ number: Int, _ state: UnsafeMutableRawPointer) -> UInt64?
    func setDebugRegister(_ number: Int, _ state: UnsafeMutableRawPointer, to value: UInt64) -> Bool
    /// The instruction that traps, short enough to stand in place of any other.
    var breakpointInstruction: [UInt8] { get }
    /// Whether the guest's own code traps at `address`.
    func isBreakpointInstruction(at address: UInt64) -> Bool
    /// The memory that the instruction at the program counter is about to access; nil for none.
    func memoryAccess(_ state: UnsafeMutableRawPointer) -> AccessedMemory?
    /// One line on the registers, for crash reports.
    func registerSummary(_ state: UnsafeMutableRawPointer) -> String
}

/// `stack_t`.
package struct AlternateStack: Equatable {
    package var address: UInt64 = 0
    package var flags: UInt64 = 0
    package var byteCount: UInt64 = 0
    package static let onStack: UInt64 = 1, disabled: UInt64 = 2, autoDisarm: UInt64 = 1 << 31
    package static let none = AlternateStack(address: 0, flags: disabled, byteCount: 0)

    func contains(_ stackPointer: UInt64) -> Bool {
        byteCount != 0 && stackPointer > address && stackPointer &- address <= byteCount
    }
}

package struct CloneArguments {
    package var flags: UInt64 = 0
    package var exitSignal: UInt64 = 0
    /// The child's stack pointer; 0 to keep the parent's.
    package var stackPointer: UInt64 = 0
    package var threadPointer: UInt64 = 0
    package var parentThreadID: UInt64 = 0
    package var childThreadID: UInt64 = 0
    package var pidfd: UInt64 = 0
}

/// The guest architectures with a Linux interface.
package enum LinuxABIs {
    package static let all: [LinuxABI] = [RISCVLinuxABI()]
    package static func abi(elfMachine: UInt16) -> LinuxABI? { all.first { $0.elfMachine == elfMachine } }
}

// How the interpreter reaches guest memory: one loop, two instances of it, each with its accesses inlined.

import CHost
import Guest

protocol InterpreterMemory {
    /// Whether the privileged architecture is there.
    static var isPrivileged: Bool { get }
    /// Loads; nil when it faults, and the hart knows why.
    static func load<T: FixedWidthInteger & BitwiseCopyable>(_ address: UInt64, _ type: T.Type, _ state: UnsafeMutableRawPointer)
        -> T?
    /// Stores; false when it faults, and the hart knows why.
    static func store<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ address: UInt64, _ value: T, _ state: UnsafeMutableRawPointer
    ) -> Bool
    /// The host address of an atomic access; nil when it faults or is misaligned: then the instruction ends with `atomicFault`.
    static func atomicPlace(_ address: UInt64, _ byteCount: UInt64, _ access: MemoryAccess, _ state: UnsafeMutableRawPointer)
        -> UInt64?
    static var atomicFault: UInt32 { get }
    /// Whether a link between blocks still leads to code that is there and may be executed.
    static func mayEnter(
        _ next: UnsafeMutablePointer<InterpreterBlock>, from block: UnsafeMutablePointer<InterpreterBlock>,
        _ state: UnsafeMutableRawPointer
    ) -> Bool
}

/// User mode: guest addresses are host addresses, and a fault abandons the loop.
enum DirectMemory: InterpreterMemory {
    static var isPrivileged: Bool { @inline(__always) get { false } }
    @inline(__always)
    static func load<T: FixedWidthInteger & BitwiseCopyable>(
        _ address: UInt64, _ type: T.Type, _ state: UnsafeMutableRawPointer
    ) -> T? {
        RISCVInterpreter.host(address).loadUnaligned(as: type)
    }
    @inline(__always)
    static func store<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ address: UInt64, _ value: T, _ state: UnsafeMutableRawPointer
    ) -> Bool {
        RISCVInterpreter.host(address).storeBytes(of: value, as: T.self)
        return true
    }

    /// A misaligned address is a bus error, as the manual permits.
    @inline(__always)
    static func atomicPlace(
        _ address: UInt64, _ byteCount: UInt64, _ access: MemoryAccess, _ state: UnsafeMutableRawPointer
    ) -> UInt64? {
        if address & (byteCount - 1) == 0 { return address }
        let busError: Int32 = 7, misalignedAddress: Int32 = 1
        let header = mynah_cpu_of(state)
        header.pointee.fault_address = address
        header.pointee.fault_signal = busError
        header.pointee.fault_code = misalignedAddress
        return nil
    }
    static var atomicFault: UInt32 { InterpreterExit.memoryFault.rawValue }
    @inline(__always)
    static func mayEnter(
        _ next: UnsafeMutablePointer<InterpreterBlock>, from block: UnsafeMutablePointer<InterpreterBlock>,
        _ state: UnsafeMutableRawPointer
    ) -> Bool { true }
}

/// Machine mode: through the hart's look-aside buffer.
enum SoftMemory: InterpreterMemory {
    static var isPrivileged: Bool { @inline(__always) get { true } }
    static var atomicFault: UInt32 { InterpreterExit.trap.rawValue }

    @inline(__always)
    static func load<T: FixedWidthInteger & BitwiseCopyable>(
        _ address: UInt64, _ type: T.Type, _ state: UnsafeMutableRawPointer
    ) -> T? {
        let byteCount = UInt64(MemoryLayout<T>.size)
        let entry = SoftTLB.entry(RISCVState(state).hart.pointee.dataTLB, address)
        // An access across pages misses.
        let offset = address &- entry.pointee.readTag
        if offset <= SoftTLB.pageBytes &- byteCount {
            return RISCVInterpreter.host(entry.pointee.host &+ offset).loadUnaligned(as: type)
        }
        guard let word = RISCVHart.of(state).load(address, byteCount) else { return nil }
        return T(truncatingIfNeeded: word)
    }

    @inline(__always)
    static func store<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(
        _ address: UInt64, _ value: T, _ state: UnsafeMutableRawPointer
    ) -> Bool {
        let byteCount = UInt64(MemoryLayout<T>.size)
        let entry = SoftTLB.entry(RISCVState(state).hart.pointee.dataTLB, address)
        let offset = address &- entry.pointee.writeTag
        if offset <= SoftTLB.pageBytes &- byteCount {
            RISCVInterpreter.host(entry.pointee.host &+ offset).storeBytes(of: value, as: T.self)
            return true
        }
        return RISCVHart.of(state).store(address, byteCount, UInt64(value))
    }

    @inline(__always)
    static func atomicPlace(
        _ address: UInt64, _ byteCount: UInt64, _ access: MemoryAccess, _ state: UnsafeMutableRawPointer
    ) -> UInt64? {
        let entry = SoftTLB.entry(RISCVState(state).hart.pointee.dataTLB, address)
        let offset = address &- (access == .read ? entry.pointee.readTag : entry.pointee.writeTag)
        if offset <= SoftTLB.pageBytes &- byteCount && offset & (byteCount &- 1) == 0 { return entry.pointee.host &+ offset }
        return RISCVHart.of(state).hostOfAtomic(address, byteCount, access)
    }

    /// Within a page nothing changes but by instructions that leave the loop, or that `fence.i` must follow.
    @inline(__always)
    static func mayEnter(
        _ next: UnsafeMutablePointer<InterpreterBlock>, from block: UnsafeMutablePointer<InterpreterBlock>,
        _ state: UnsafeMutableRawPointer
    ) -> Bool {
        let origin = MachineBlock.of(next)
        if (next.pointee.address ^ block.pointee.address) & SoftTLB.pageMask == 0 && origin.pointee.secondHost == 0 {
            return true
        }
        return origin.pointee.isCurrent(next.pointee.address, state)
    }
}

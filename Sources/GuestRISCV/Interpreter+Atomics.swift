// A, and the control registers of user mode.

import CHost
import Guest
import Glibc

extension RISCVInterpreter {
    /// - Returns: `next`, or what the memory model says of an access that faults.
    static func executeAtomic<Memory: InterpreterMemory>(
        _ memory: Memory.Type, _ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer
    ) -> UInt32 {
        let i = record.pointee
        let x = state.assumingMemoryBound(to: UInt64.self)
        let address = x[Int(i.rs1)]
        let operand = x[Int(i.rs2)]
        let isDouble = i.opcode.rawValue >= RISCVOpcode.lrD.rawValue
        let width: UInt64 = isDouble ? 8 : 4
        let tail = RISCVState(state).tail
        switch i.opcode {
        case .lrW, .lrD:
            guard let place = Memory.atomicPlace(address, width, .read, state) else { return Memory.atomicFault }
            let value = isDouble ? load(place, UInt64.self) : UInt64(load(place, UInt32.self))
            tail.pointee.reservationAddress = address
            tail.pointee.reservationValue = value
            x[Int(i.rd)] = isDouble ? value : extended(low(value))
        case .scW, .scD:
            let isReserved = tail.pointee.reservationAddress == address
            let expected = isDouble ? tail.pointee.reservationValue : UInt64(low(tail.pointee.reservationValue))
            guard let place = Memory.atomicPlace(address, width, .write, state) else { return Memory.atomicFault }
            tail.pointee.reservationAddress = RISCVState.noReservation
            let isStored = isReserved && mynah_compare_exchange(Int32(width), place, expected, operand) == expected
            x[Int(i.rd)] = isStored ? 0 : 1
        default:
            let kind = atomicKind(i.opcode)
            guard let place = Memory.atomicPlace(address, width, .write, state) else { return Memory.atomicFault }
            let old = mynah_atomic(kind, Int32(width), place, operand)
            x[Int(i.rd)] = isDouble ? old : extended(low(old))
        }
        return InterpreterStatus.next
    }

    private static func atomicKind(_ opcode: RISCVOpcode) -> Int32 {
        let kind =
            switch opcode {
            case .amoswapW, .amoswapD: MYNAH_EXCHANGE
            case .amoaddW, .amoaddD: MYNAH_ADD
            case .amoandW, .amoandD: MYNAH_AND
            case .amoorW, .amoorD: MYNAH_OR
            case .amoxorW, .amoxorD: MYNAH_XOR
            case .amominW, .amominD: MYNAH_MIN_S
            case .amomaxW, .amomaxD: MYNAH_MAX_S
            case .amominuW, .amominuD: MYNAH_MIN_U
            default: MYNAH_MAX_U
            }
        return Int32(bitPattern: UInt32(truncatingIfNeeded: kind))
    }

    // MARK: Control registers

    /// `time` advances at 10 MHz.
    private static let nanosecondsPerTick: UInt64 = 100

    static func executeControlRegister(
        _ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer
    ) -> UInt32 {
        let i = record.pointee
        let x = state.assumingMemoryBound(to: UInt64.self)
        let takesImmediate = i.opcode == .csrrwi || i.opcode == .csrrsi || i.opcode == .csrrci
        let operand = takesImmediate ? UInt64(i.rs1) : x[Int(i.rs1)]
        let alwaysWrites = i.opcode == .csrrw || i.opcode == .csrrwi
        let writes = alwaysWrites || i.rs1 != 0
        let tail = RISCVState(state).tail
        let old: UInt64
        switch i.immediate {
        case ControlRegister.flags: old = UInt64(FloatControl.flags(ofMXCSR: mynah_get_mxcsr()))
        case ControlRegister.roundingMode: old = UInt64(tail.pointee.fcsrRoundingMode)
        case ControlRegister.floatControl:
            old = UInt64(FloatControl.flags(ofMXCSR: mynah_get_mxcsr()) | tail.pointee.fcsrRoundingMode << 5)
        case ControlRegister.cycle where !writes, ControlRegister.retired where !writes: old = mynah_cycle_counter()
        case ControlRegister.time where !writes: old = nanoseconds(CLOCK_MONOTONIC) / nanosecondsPerTick
        case ControlRegister.realTime where !writes: old = nanoseconds(CLOCK_REALTIME)
        case ControlRegister.monotonic where !writes: old = nanoseconds(CLOCK_MONOTONIC)
        default: return InterpreterExit.illegalInstruction.rawValue
        }
        var isModeChanged = false
        if writes {
            let new: UInt64
            switch i.opcode {
            case .csrrw, .csrrwi: new = operand
            case .csrrs, .csrrsi: new = old | operand
            default: new = old & ~operand
            }
            isModeChanged = writeFloatControl(i.immediate, low(new), state)
        }
        x[Int(i.rd)] = old
        if !isModeChanged { return InterpreterStatus.next }
        x[RISCVRegister.programCounter] &+= UInt64(i.byteCount)
        return InterpreterExit.modeChanged.rawValue
    }

    /// - Returns: whether the rounding mode is another one now.
    private static func writeFloatControl(_ number: Int32, _ value: UInt32, _ state: UnsafeMutableRawPointer) -> Bool {
        let tail = RISCVState(state).tail
        let oldMode = tail.pointee.fcsrRoundingMode
        var flags = FloatControl.flags(ofMXCSR: mynah_get_mxcsr())
        var mode = oldMode
        switch number {
        case ControlRegister.flags: flags = value & 31
        case ControlRegister.roundingMode: mode = value & 7
        default:
            flags = value & 31
            mode = value >> 5 & 7
        }
        tail.pointee.fcsrRoundingMode = mode
        mynah_set_mxcsr(FloatControl.mxcsr(flags: flags, roundingMode: mode))
        return mode != oldMode
    }
}

/// The host's clocks in nanoseconds as read-only registers, in the range that the privileged architecture leaves to
/// implementations (Volume II, "CSR Address Mapping Conventions": 0xCC0 to 0xCFF). The vDSO's functions read them: the value is
/// that of the host's own vDSO at that moment, so it agrees with the system calls and follows every step of the clock.
package enum HostClockRegister {
    package static let realTime: Int32 = 0xcc0
    package static let monotonic: Int32 = 0xcc1
}

private func nanoseconds(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return UInt64(bitPattern: Int64(time.tv_sec)) &* 1_000_000_000 &+ UInt64(bitPattern: Int64(time.tv_nsec))
}

// The architectural state of a RISC-V hart in user mode: what lies behind the state pointer.
//
// x, f, the program counter and a sink form one file of 66 words, so that a decoded operand is one index. A destination x0
// becomes the sink. The sticky floating-point flags live in MXCSR: in `guest_mxcsr` of the CPU header while the guest is not
// running, in the host's register while it is; its rounding mode follows `fcsrRoundingMode`.

import CHost
import Guest
import IR

/// Indices into the file of 66 words.
package enum RISCVRegister {
    package static let zero = 0
    package static let returnAddress = 1
    package static let stackPointer = 2
    package static let threadPointer = 4
    package static let a0 = 10
    package static let a7 = 17
    package static let firstFloat = 32
    package static let programCounter = 64
    /// Takes the results that nobody may see.
    package static let sink = 65
}

/// What follows the file of 66 words.
package struct RISCVStateTail {
    /// `frm`: 0...7.
    package var fcsrRoundingMode: UInt32
    package var reserved: UInt32
    /// Address of the last `lr`; all ones for none.
    package var reservationAddress: UInt64
    /// What that `lr` loaded, zero-extended.
    package var reservationValue: UInt64
}

/// A view of the state behind a state pointer.
package struct RISCVState {
    // SAFETY: the owner of the state pointer keeps `byteCount` bytes behind it and the CPU header before it alive.
    package let pointer: UnsafeMutableRawPointer
    package init(_ pointer: UnsafeMutableRawPointer) { self.pointer = pointer }

    package static let tailOffset = 66 * 8
    package static let byteCount = tailOffset + MemoryLayout<RISCVStateTail>.size
    package static let programCounterOffset = RISCVRegister.programCounter * 8
    package static let noReservation = UInt64.max

    /// Words 0...65.
    package var words: UnsafeMutablePointer<UInt64> { pointer.assumingMemoryBound(to: UInt64.self) }
    package var tail: UnsafeMutablePointer<RISCVStateTail> {
        (pointer + RISCVState.tailOffset).assumingMemoryBound(to: RISCVStateTail.self)
    }
    package var header: UnsafeMutablePointer<mynah_cpu> { mynah_cpu_of(pointer) }
    package var programCounter: UInt64 {
        get { words[RISCVRegister.programCounter] }
        nonmutating set { words[RISCVRegister.programCounter] = newValue }
    }
    /// x and f registers by register-file index.
    package subscript(register: Int) -> UInt64 {
        get { words[register] }
        nonmutating set { words[register] = newValue }
    }

    /// The state after reset: zeros, round to nearest, no flags.
    package func reset() {
        (pointer).initializeMemory(as: UInt8.self, repeating: 0, count: RISCVState.byteCount)
        tail.pointee.reservationAddress = RISCVState.noReservation
        header.pointee.guest_mxcsr = FloatControl.defaultMXCSR
    }

    /// The control and status register `fcsr` of a hart that is not running.
    package var fcsr: UInt32 {
        get { FloatControl.flags(ofMXCSR: header.pointee.guest_mxcsr) | tail.pointee.fcsrRoundingMode << 5 }
        nonmutating set {
            tail.pointee.fcsrRoundingMode = newValue >> 5 & 7
            header.pointee.guest_mxcsr = FloatControl.mxcsr(flags: newValue & 31, roundingMode: newValue >> 5 & 7)
        }
    }

    /// The rounding mode is the mode of translations; what the host lacks is left to the interpreter.
    package var mode: TranslationMode {
        let roundingMode = tail.pointee.fcsrRoundingMode
        return roundingMode < 4 ? TranslationMode(rawValue: roundingMode) : .interpretOnly
    }
}

/// Numbers of the control registers of user mode.
enum ControlRegister {
    static let flags: Int32 = 0x001
    static let roundingMode: Int32 = 0x002
    static let floatControl: Int32 = 0x003
    static let seed: Int32 = 0x015
    static let cycle: Int32 = 0xc00
    static let time: Int32 = 0xc01
    static let retired: Int32 = 0xc02
    static let realTime = HostClockRegister.realTime, monotonic = HostClockRegister.monotonic
}

/// `fflags` and `frm` against MXCSR.
package enum FloatControl {
    /// All exceptions masked, round to nearest.
    package static let defaultMXCSR: UInt32 = 0x1f80
    static let roundingMask: UInt32 = 0x6000

    // MXCSR's sticky bits.
    static let invalid: UInt32 = 1
    static let overflow: UInt32 = 8
    static let underflow: UInt32 = 16
    static let inexact: UInt32 = 32

    /// `fflags` (NX 1, UF 2, OF 4, DZ 8, NV 16) from MXCSR's sticky bits.
    package static func flags(ofMXCSR mxcsr: UInt32) -> UInt32 {
        let invalidFlag = (mxcsr & 1) << 4
        let divideFlag = (mxcsr & 4) << 1
        let overflowFlag = (mxcsr & 8) >> 1
        let underflowFlag = (mxcsr & 16) >> 3
        return invalidFlag | divideFlag | overflowFlag | underflowFlag | (mxcsr & 32) >> 5
    }

    /// MXCSR for `fflags` and `frm`. Modes that the host lacks run as round to nearest: none of them is executed by it.
    package static func mxcsr(flags: UInt32, roundingMode: UInt32) -> UInt32 {
        let invalidBit = flags >> 4 & 1
        let divideBit = flags >> 1 & 4
        let overflowBit = flags << 1 & 8
        let underflowBit = flags << 3 & 16
        let sticky = invalidBit | divideBit | overflowBit | underflowBit | (flags << 5 & 32)
        return defaultMXCSR | sticky | roundingControl(roundingMode)
    }

    /// MXCSR's rounding control for RNE, RTZ, RDN, RUP.
    static func roundingControl(_ roundingMode: UInt32) -> UInt32 {
        switch roundingMode {
        case 1: 0x6000
        case 2: 0x2000
        case 3: 0x4000
        default: 0
        }
    }

    /// Raises sticky bits in the host's MXCSR, which is the guest's while it runs.
    @inline(__always)
    static func raise(_ bits: UInt32) { mynah_set_mxcsr(mynah_get_mxcsr() | bits) }
}

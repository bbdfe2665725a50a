// Signal numbers as GDB counts them, whatever the target's system: include/gdb/signals.def in its sources, GDB manual E.13.

package struct GDBSignal: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let none = GDBSignal(rawValue: 0)
    package static let interrupt = GDBSignal(rawValue: 2)
    package static let illegalInstruction = GDBSignal(rawValue: 4)
    package static let trap = GDBSignal(rawValue: 5)
    package static let kill = GDBSignal(rawValue: 9)
    package static let segmentationFault = GDBSignal(rawValue: 11)
    package static let unknown = GDBSignal(rawValue: 143)

    /// Numbers of Linux 1 to 31, as on x86, Arm, RISC-V and most others.
    private static let ofLinux: [UInt8] = [
        0, 1, 2, 3, 4, 5, 6, 10 /* BUS */, 8, 9, 30 /* USR1 */, 11, 31 /* USR2 */, 13, 14, 15, 143 /* STKFLT */, 20 /* CHLD */,
        19 /* CONT */, 17 /* STOP */, 18 /* TSTP */, 21, 22, 16 /* URG */, 24, 25, 26, 27, 28, 23 /* IO */, 32 /* PWR */,
        12 /* SYS */,
    ]

    /// The signal with this number on Linux; `unknown` when there is none.
    package init(linux number: Int32) {
        switch number {
        case 0 ... 31: rawValue = Self.ofLinux[Int(number)]
        case 32: rawValue = 77
        case 33 ... 63: rawValue = UInt8(number - 33 + 45)
        case 64: rawValue = 78
        default: rawValue = Self.unknown.rawValue
        }
    }

    /// The number on Linux; nil when Linux has no such signal.
    package var linux: Int32? {
        switch rawValue {
        case 77: return 32
        case 45 ... 75: return Int32(rawValue) - 45 + 33
        case 78: return 64
        case 33: return 29  // POLL, which is IO
        case Self.unknown.rawValue: return nil
        default: return Self.ofLinux.firstIndex(of: rawValue).map(Int32.init)
        }
    }
}

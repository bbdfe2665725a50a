// Names of constants in strace output that are no arguments' flags, and how flags are put together.

import CHost
import Glibc

enum StraceNames {
    static func hex(_ value: UInt64) -> String {
        value == 0 ? "0" : "0x" + String(value, radix: 16)
    }

    /// Flags and constants joined with `|`; what has no name in hexadecimal.
    static func text(_ set: FlagSet, _ value: UInt64) -> String {
        // All of these are 32-bit in the kernel but mmap's and clone's, which the guest zero- or sign-extends.
        let word = set == .clone ? value : value & 0xffff_ffff
        let names = set.names
        let mask = names.mask == ~0 ? 0xffff_ffff : names.mask
        var parts: [String] = []
        var rest = word & ~mask
        if mask != 0 {
            let constant = word & mask
            if let name = names.constants.first(where: { $0.value == constant })?.name {
                parts.append(name)
            } else if set == .clone {
                if constant != 0 { parts.append(signal(Int(constant))) }
            } else {
                parts.append(hex(constant))
            }
        }
        for flag in names.flags where flag.value != 0 && rest & flag.value == flag.value {
            parts.append(flag.name)
            rest &= ~flag.value
        }
        if rest != 0 { parts.append(hex(rest)) }
        if set == .clone, mask != 0, word & mask != 0, parts.count > 1 { parts.append(parts.removeFirst()) }
        if parts.isEmpty { return names.constants.first { $0.value == 0 }?.name ?? "0" }
        return parts.joined(separator: "|")
    }

    static func join(_ list: FlagNames.List, _ value: UInt64) -> String {
        var rest = value
        var parts: [String] = []
        for flag in list where rest & flag.value != 0 {
            parts.append(flag.name)
            rest &= ~flag.value
        }
        if rest != 0 { parts.append(hex(rest)) }
        return parts.isEmpty ? "0" : parts.joined(separator: "|")
    }

    static func pollEvents(_ value: UInt64) -> String { join(pollNames, value) }
    static func epollEvents(_ value: UInt64) -> String { join(epollNames, value) }

    // MARK: Signals

    private static let signals = [
        "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
        "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR",
        "SYS",
    ]

    /// The name of a signal without SIG: INT, RT_3.
    private static func shortSignal(_ number: Int) -> String {
        if signals.indices.contains(number) { return signals[number] }
        return number >= 32 && number <= 64 ? (number == 32 ? "RTMIN" : "RT_\(number - 32)") : String(number)
    }

    static func signal(_ number: Int) -> String {
        number > 0 && number <= 64 ? "SIG" + shortSignal(number) : String(number)
    }

    /// A signal set: [INT TERM], or ~[…] when most are in it.
    static func signalSet(_ set: UInt64) -> String {
        let inverted = set.nonzeroBitCount > 32
        let members = (1...64).filter { (set >> UInt64($0 - 1) & 1 == 1) != inverted }.map(shortSignal)
        return (inverted ? "~[" : "[") + members.joined(separator: " ") + "]"
    }

    static func signalCode(_ code: Int) -> String {
        switch code {
        case 0: "SI_USER"
        case 0x80: "SI_KERNEL"
        case -1: "SI_QUEUE"
        case -2: "SI_TIMER"
        case -6: "SI_TKILL"
        default: String(code)
        }
    }

    /// The kernel's internal results that ask for a restart; a program never sees them.
    static func restart(_ number: Int) -> String? {
        switch number {
        case 512: "ERESTARTSYS (To be restarted if SA_RESTART is set)"
        case 513: "ERESTARTNOINTR (To be restarted)"
        case 514: "ERESTARTNOHAND (To be restarted if no handler)"
        case 516: "ERESTART_RESTARTBLOCK (Interrupted by signal)"
        default: nil
        }
    }

    // MARK: Files

    static func fileType(_ mode: UInt32) -> String {
        switch mode & 0o170000 {
        case 0o140000: "S_IFSOCK"
        case 0o120000: "S_IFLNK"
        case 0o100000: "S_IFREG"
        case 0o060000: "S_IFBLK"
        case 0o040000: "S_IFDIR"
        case 0o020000: "S_IFCHR"
        case 0o010000: "S_IFIFO"
        default: "0"
        }
    }
}

// What the emulated processor offers, told to programs: the isa string of /proc/cpuinfo and riscv_hwprobe.
//
// riscv_hwprobe (Documentation/arch/riscv/hwprobe.rst): pairs of key and value; an unknown key becomes -1. All harts are
// alike, so a set of harts either has a value or not.

import Glibc

/// The extensions of user mode, in the canonical order of an isa string.
package enum RISCVFeatures {
    package struct Extension {
        package let name: String
        /// Bit of RISCV_HWPROBE_KEY_IMA_EXT_0; -1 for none.
        package let probeBit: Int
    }

    package static let singleLetters = "imafdc"
    package static let cacheBlockBytes: UInt64 = 64

    package static let extensions: [Extension] = [
        Extension(name: "zicbom", probeBit: 55), Extension(name: "zicboz", probeBit: 6),
        Extension(name: "zicntr", probeBit: 50), Extension(name: "zicond", probeBit: 35),
        Extension(name: "zicsr", probeBit: -1), Extension(name: "zifencei", probeBit: -1),
        Extension(name: "zihintpause", probeBit: 36), Extension(name: "zimop", probeBit: 42),
        Extension(name: "zaamo", probeBit: 56), Extension(name: "zalrsc", probeBit: 57), Extension(name: "zawrs", probeBit: 48),
        Extension(name: "zfa", probeBit: 32), Extension(name: "zca", probeBit: 43), Extension(name: "zcb", probeBit: 44),
        Extension(name: "zcd", probeBit: 45), Extension(name: "zcmop", probeBit: 47),
        Extension(name: "zba", probeBit: 3), Extension(name: "zbb", probeBit: 4), Extension(name: "zbc", probeBit: 7),
        Extension(name: "zbkb", probeBit: 8), Extension(name: "zbkc", probeBit: 9), Extension(name: "zbkx", probeBit: 10),
        Extension(name: "zbs", probeBit: 5), Extension(name: "zknd", probeBit: 11), Extension(name: "zkne", probeBit: 12),
        Extension(name: "zknh", probeBit: 13), Extension(name: "zksed", probeBit: 14), Extension(name: "zksh", probeBit: 15),
    ]

    /// As the kernel prints it: rv64imafdc_zicbom_….
    package static var isaString: String {
        extensions.reduce("rv64" + singleLetters) { $0 + "_" + $1.name }
    }

    /// The value of RISCV_HWPROBE_KEY_IMA_EXT_0. Bits 0 and 1 are FD and C.
    package static var probeMask: UInt64 {
        extensions.reduce(0b11) { $1.probeBit < 0 ? $0 : $0 | 1 << UInt64($1.probeBit) }
    }
}

/// The system call riscv_hwprobe(pairs, pair_count, cpuset_bytes, cpus, flags).
enum HardwareProbe {
    struct Pair {
        var key: Int64
        var value: UInt64
    }

    private static let whichCPUs: UInt64 = 1
    /// The highest address of user space with three-level page tables.
    private static let highestAddress: UInt64 = 0x3f_ffff_ffff
    private static let misalignedFast: UInt64 = 3, misalignedVectorUnsupported: UInt64 = 4
    /// Rate of the `time` CSR.
    static let timeFrequency: UInt64 = 10_000_000

    /// The value of a key, and whether it is a set of bits; nil for an unknown key.
    static func value(of key: Int64) -> (value: UInt64, isMask: Bool)? {
        switch key {
        case 0, 1, 2: (0, false)  // mvendorid, marchid, mimpid
        case 3: (1, true)  // base behaviour: IMA
        case 4: (RISCVFeatures.probeMask, true)
        case 5: (misalignedFast, true)
        case 6, 12: (RISCVFeatures.cacheBlockBytes, false)  // Zicboz, Zicbom
        case 7: (highestAddress, false)
        case 8: (timeFrequency, false)
        case 9: (misalignedFast, false)
        case 10: (misalignedVectorUnsupported, false)
        case 11, 13: (0, true)  // vendors' extensions
        default: nil
        }
    }

    static func call(_ thread: LinuxThread, _ a: SystemCallArguments) -> Int64 {
        switch a.a4 & 0xffff_ffff {
        case 0: fillValues(pairs: a.a0, count: a.a1, cpuBytes: a.a2, cpus: a.a3)
        case whichCPUs: reduceCPUs(pairs: a.a0, count: a.a1, cpuBytes: a.a2, cpus: a.a3)
        default: Errno.EINVAL.result
        }
    }

    private static func fillValues(pairs: UInt64, count: UInt64, cpuBytes: UInt64, cpus: UInt64) -> Int64 {
        if cpuBytes != 0 || cpus != 0 {
            guard let set = readSet(cpus, bytes: cpuBytes) else { return Errno.EFAULT.result }
            if set & onlineCPUs == 0 { return Errno.EINVAL.result }
        }
        return forEachPair(pairs, count) { pair in
            let known = value(of: pair.key)
            pair = Pair(key: known == nil ? -1 : pair.key, value: known?.value ?? 0)
            return true
        }
    }

    private static func reduceCPUs(pairs: UInt64, count: UInt64, cpuBytes: UInt64, cpus: UInt64) -> Int64 {
        guard cpuBytes != 0 && cpus != 0 else { return Errno.EINVAL.result }
        guard var set = readSet(cpus, bytes: cpuBytes) else { return Errno.EFAULT.result }
        set = set == 0 ? onlineCPUs : set & onlineCPUs
        let result = forEachPair(pairs, count) { pair in
            guard let known = value(of: pair.key) else {
                pair = Pair(key: -1, value: 0)
                set = 0
                return true
            }
            let matches = known.isMask ? known.value & pair.value == pair.value : known.value == pair.value
            if !matches { set = 0 }
            return false
        }
        guard result == 0 else { return result }
        let written = withUnsafePointer(to: &set) { copyToGuest($0, count: Int(min(cpuBytes, 8)), at: cpus) }
        return written ? 0 : Errno.EFAULT.result
    }

    /// Calls `body` with each pair, and writes it back when it returns true.
    private static func forEachPair(_ pairs: UInt64, _ count: UInt64, _ body: (inout Pair) -> Bool) -> Int64 {
        var address = pairs
        var remaining = count
        while remaining > 0 {
            guard var pair = readGuest(Pair.self, at: address) else { return Errno.EFAULT.result }
            if body(&pair), !writeGuest(pair, at: address) { return Errno.EFAULT.result }
            address &+= 16
            remaining -= 1
        }
        return 0
    }

    /// The first 64 harts of a set.
    private static func readSet(_ address: UInt64, bytes: UInt64) -> UInt64? {
        var set: UInt64 = 0
        let read = withUnsafeMutablePointer(to: &set) { copyFromGuest($0, count: Int(min(bytes, 8)), at: address) }
        return read ? set : nil
    }

    private static var onlineCPUs: UInt64 {
        let count = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        return count >= 64 ? ~0 : (1 << UInt64(count)) - 1
    }
}

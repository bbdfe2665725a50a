// Floating-point values as bits: NaN boxing, canonical NaNs, classes, sign injection (manual, chapters "F" and "D").

enum FloatBits {
    static let canonicalDouble: UInt64 = 0x7ff8_0000_0000_0000
    static let canonicalSingle: UInt32 = 0x7fc0_0000
    private static let box: UInt64 = 0xffff_ffff_0000_0000
    static let signDouble: UInt64 = 1 << 63
    static let signSingle: UInt32 = 1 << 31

    @inline(__always) static func boxed(_ single: UInt32) -> UInt64 { box | UInt64(single) }
    /// A single that is not properly boxed is the canonical NaN.
    @inline(__always)
    static func unboxed(_ word: UInt64) -> UInt32 {
        word >= box ? UInt32(truncatingIfNeeded: word) : canonicalSingle
    }

    @inline(__always) static func isNaN(_ bits: UInt64) -> Bool { bits & ~signDouble > 0x7ff0_0000_0000_0000 }
    @inline(__always) static func isNaN(_ bits: UInt32) -> Bool { bits & ~signSingle > 0x7f80_0000 }
    @inline(__always) static func canonical(_ bits: UInt64) -> UInt64 { isNaN(bits) ? canonicalDouble : bits }
    @inline(__always) static func canonical(_ bits: UInt32) -> UInt32 { isNaN(bits) ? canonicalSingle : bits }
    static func isSignalling(_ bits: UInt64) -> Bool { isNaN(bits) && bits & 1 << 51 == 0 }
    static func isSignalling(_ bits: UInt32) -> Bool { isNaN(bits) && bits & 1 << 22 == 0 }
    static func isInfinite(_ bits: UInt64) -> Bool { bits & ~signDouble == 0x7ff0_0000_0000_0000 }
    static func isInfinite(_ bits: UInt32) -> Bool { bits & ~signSingle == 0x7f80_0000 }
    static func isZero(_ bits: UInt64) -> Bool { bits & ~signDouble == 0 }
    static func isZero(_ bits: UInt32) -> Bool { bits & ~signSingle == 0 }

    /// The mask of `fclass`.
    static func classMask(_ bits: UInt64) -> UInt64 {
        if isNaN(bits) { return isSignalling(bits) ? 1 << 8 : 1 << 9 }
        let isNegative = bits & signDouble != 0
        if isInfinite(bits) { return isNegative ? 1 << 0 : 1 << 7 }
        if isZero(bits) { return isNegative ? 1 << 3 : 1 << 4 }
        let isSubnormal = bits & 0x7ff0_0000_0000_0000 == 0
        return isNegative ? (isSubnormal ? 1 << 2 : 1 << 1) : (isSubnormal ? 1 << 5 : 1 << 6)
    }

    static func classMask(_ bits: UInt32) -> UInt64 {
        if isNaN(bits) { return isSignalling(bits) ? 1 << 8 : 1 << 9 }
        let isNegative = bits & signSingle != 0
        if isInfinite(bits) { return isNegative ? 1 << 0 : 1 << 7 }
        if isZero(bits) { return isNegative ? 1 << 3 : 1 << 4 }
        let isSubnormal = bits & 0x7f80_0000 == 0
        return isNegative ? (isSubnormal ? 1 << 2 : 1 << 1) : (isSubnormal ? 1 << 5 : 1 << 6)
    }
}

// Numbers that are the same in every run, and the values at which instructions tend to go wrong.

import TestSupport

struct FuzzRandom: RandomNumberGenerator {
    private var numbers: SplitMix
    init(seed: UInt64) { numbers = SplitMix(seed: seed) }
    mutating func next() -> UInt64 { numbers.next() }

    private static let integers: [UInt64] = [
        0, 1, ~0, 2, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
        0xffff_ffff_7fff_ffff, 0xffff_ffff_8000_0000, 1 << 63, ~0 >> 1, 0x0123_4567_89ab_cdef,
    ]

    /// An integer register's content.
    mutating func integer() -> UInt64 {
        let bits = next()
        switch below(4) {
        case 0: return pick(FuzzRandom.integers)
        case 1: return UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: bits)))
        case 2: return bits >> (bits & 63)
        default: return bits
        }
    }

    private static let doubles: [UInt64] = [
        0, 1 << 63, 1, 0x7ff0_0000_0000_0000, 0xfff0_0000_0000_0000, 0x7ff8_0000_0000_0000, 0x7ff0_0000_0000_0001,
        0xfff8_dead_beef_0000, 0x3ff0_0000_0000_0000, 0xbff0_0000_0000_0000, 0x0010_0000_0000_0000, 0x000f_ffff_ffff_ffff,
        0x43e0_0000_0000_0000, 0xc3e0_0000_0000_0000, 0x43f0_0000_0000_0000, 0x41df_ffff_ffc0_0000, 0x41ef_ffff_ffe0_0000,
        0x3fe0_0000_0000_0000, 0x7fef_ffff_ffff_ffff, 0x36a0_0000_0000_0000, 0x47ef_ffff_f000_0000, 0x3810_0000_0000_0000,
    ]
    private static let singles: [UInt64] = [
        0, 0x8000_0000, 1, 0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f80_0001, 0xffc1_2345, 0x3f80_0000, 0xbf80_0000, 0x0080_0000,
        0x007f_ffff, 0x5f00_0000, 0xdf00_0000, 0x5f80_0000, 0x4f00_0000, 0xcf00_0000, 0x4f80_0000, 0x3f00_0000, 0x7f7f_ffff,
    ]

    /// A floating-point register's content: f64, boxed f32, or an f32 that is boxed wrongly.
    mutating func float() -> UInt64 {
        let bits = next()
        let box: UInt64 = 0xffff_ffff_0000_0000
        switch below(8) {
        case 0: return pick(FuzzRandom.doubles)
        case 1: return pick(FuzzRandom.singles) | box
        case 2: return Double(Int64(bitPattern: bits) >> (bits & 63)).bitPattern
        case 3: return UInt64(Float(Int32(truncatingIfNeeded: bits) >> Int32(bits >> 32 & 31)).bitPattern) | box
        case 4: return (Double(Int32(truncatingIfNeeded: bits)) / 4).bitPattern
        case 5: return bits | box
        case 6: return UInt64((Float(Int16(truncatingIfNeeded: bits)) / 8).bitPattern) | box
        default: return bits
        }
    }
}

// The constants of `fli` (manual, chapter "Zfa", table of encodings).

enum FloatConstants {
    static let names = [
        "-1.0", "min", "1.52587890625e-05", "3.0517578125e-05", "0.00390625", "0.0078125", "0.0625", "0.125", "0.25", "0.3125",
        "0.375", "0.4375", "0.5", "0.625", "0.75", "0.875", "1.0", "1.25", "1.5", "1.75", "2.0", "2.5", "3.0", "4.0", "8.0",
        "16.0",
        "128.0", "256.0", "32768.0", "65536.0", "inf", "nan",
    ]

    /// Bits of the constant as binary64.
    static func double(_ index: UInt8) -> UInt64 {
        switch index & 31 {
        case 0: return (-1.0).bitPattern
        case 1: return Double.leastNormalMagnitude.bitPattern
        case 31: return FloatBits.canonicalDouble
        default: return UInt64(single(index) & 0x7f80_0000) == 0x7f80_0000 ? Double.infinity.bitPattern : finite(index)
        }
    }

    /// All other constants have a short significand, so that the format's width does not matter.
    private static func finite(_ index: UInt8) -> UInt64 {
        let bits = single(index)
        let exponent = UInt64(bits >> 23 & 0xff) &+ 1023 &- 127
        return exponent << 52 | UInt64(bits & 0x7f_ffff) << 29
    }

    /// Bits of the constant as binary32.
    static func single(_ index: UInt8) -> UInt32 {
        let value: Float
        switch index & 31 {
        case 0: value = -1
        case 1: value = Float.leastNormalMagnitude
        case 2: value = 0x1p-16
        case 3: value = 0x1p-15
        case 4: value = 0x1p-8
        case 5: value = 0x1p-7
        case 6: value = 0.0625
        case 7: value = 0.125
        case 8 ... 22: value = quarter(index)
        case 23: value = 4
        case 24: value = 8
        case 25: value = 16
        case 26: value = 128
        case 27: value = 256
        case 28: value = 0x1p15
        case 29: value = 0x1p16
        case 30: value = Float.infinity
        default: return FloatBits.canonicalSingle
        }
        return value.bitPattern
    }

    /// 0.25, 0.3125, … 3: two bits behind the leading one.
    private static func quarter(_ index: UInt8) -> Float {
        let step = UInt32(index) &- 8
        return Float(bitPattern: (125 + step / 4) << 23 | (step & 3) << 21)
    }
}

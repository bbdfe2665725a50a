// The optional instructions that the back end may use.

import CHost

package struct CPUFeatures: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let sse41 = CPUFeatures(rawValue: UInt32(MYNAH_SSE41))
    package static let popcnt = CPUFeatures(rawValue: UInt32(MYNAH_POPCNT))
    package static let avx = CPUFeatures(rawValue: UInt32(MYNAH_AVX))
    package static let fma = CPUFeatures(rawValue: UInt32(MYNAH_FMA))
    package static let bmi1 = CPUFeatures(rawValue: UInt32(MYNAH_BMI1))
    package static let bmi2 = CPUFeatures(rawValue: UInt32(MYNAH_BMI2))
    package static let avx2 = CPUFeatures(rawValue: UInt32(MYNAH_AVX2))
    package static let ssse3 = CPUFeatures(rawValue: UInt32(MYNAH_SSSE3))
    package static let aes = CPUFeatures(rawValue: UInt32(MYNAH_AES))
    package static let pclmul = CPUFeatures(rawValue: UInt32(MYNAH_PCLMUL))
    package static let lzcnt = CPUFeatures(rawValue: UInt32(MYNAH_LZCNT))

    /// What this host has.
    package static var host: CPUFeatures { CPUFeatures(rawValue: mynah_cpu_features()) }
}

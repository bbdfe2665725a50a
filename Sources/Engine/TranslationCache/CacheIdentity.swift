// What a translation depends on beside the guest's code: the build of Mynah, the processor, and how it was told to translate.

import CHost
import Glibc
import Guest
import IR

/// Where translations are kept between runs, and how much of them.
package struct TranslationCacheOptions: Sendable {
    /// An absolute path; it is made when it is missing.
    package var directory: String
    /// Files beyond it, those used longest ago, are removed.
    package var byteLimit: Int
    /// Translations that must be new for a file to be written again: one of so many that it has, and at least `leastNew`.
    package var growth = 50
    package var leastNew = 4
    /// Bytes of regions that are kept for one file of the guest.
    package var regionByteLimit = 32 << 20

    package init(directory: String, byteLimit: Int = TranslationCacheOptions.defaultByteLimit) {
        self.directory = directory
        self.byteLimit = byteLimit
    }

    package static let defaultByteLimit = 512 << 20
}

/// Equal only where translations may be exchanged.
struct CacheIdentity: Equatable {
    var low: UInt64 = 0
    var high: UInt64 = 0

    init() {}

    init(_ words: [UInt64], _ bytes: UnsafeRawBufferPointer) {
        func digest(_ seed: UInt64) -> UInt64 {
            let first = words.withUnsafeBytes { mynah_digest($0.baseAddress!, $0.count, seed) }
            return bytes.baseAddress.map { mynah_digest($0, bytes.count, first) } ?? first
        }
        low = digest(0x6d79)
        high = digest(0x6e61_68)
    }

    /// Of this program: what the linker identified it by, else its file.
    static let build: [UInt64]? = {
        var identity = [UInt8](repeating: 0, count: 64)
        let count = Int(identity.withUnsafeMutableBufferPointer { mynah_build_identity($0.baseAddress!) })
        if count >= 16 { return identity.withUnsafeBytes { Array($0.bindMemory(to: UInt64.self)) } + [UInt64(count)] }
        var status = stat()
        guard stat("/proc/self/exe", &status) == 0 else { return nil }
        return [
            UInt64(status.st_dev), UInt64(status.st_ino), UInt64(bitPattern: Int64(status.st_size)),
            UInt64(bitPattern: Int64(status.st_mtim.tv_sec)), UInt64(bitPattern: Int64(status.st_mtim.tv_nsec)),
        ]
    }()
}

extension EngineConfiguration {
    /// What of the configuration makes other translations.
    fileprivate var words: [UInt64] {
        [
            UInt64(features.rawValue), UInt64(optimizations.rawValue), policy.makesRegions ? 1 : 0, UInt64(limits.instructions),
            limits.followsJumps ? 1 : 0, limits.singleStep ? 1 : 0, UInt64(limits.iterations),
        ]
    }
}

extension Engine {
    /// nil when this program cannot be told from other builds of it.
    func cacheIdentity() -> CacheIdentity? {
        guard let build = CacheIdentity.build else { return nil }
        let slots = isa.slots.flatMap { [UInt64(bitPattern: Int64($0.offset)), UInt64($0.type.rawValue)] }
        let sizes = [UInt64(isa.stateByteCount), UInt64(stubs.byteCount), UInt64(slots.count)]
        let words = build + configuration.words + sizes + slots
        return CacheIdentity(words, UnsafeRawBufferPointer(start: nil, count: 0))
    }
}

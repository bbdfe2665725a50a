// Where the translation cache is: the choice, the variable MYNAH_CACHE, the user's directory for caches, in this order.

import Engine
import Glibc

extension TranslationCacheChoice {
    /// What `--cache` and `MYNAH_CACHE` say; a relative path counts from the current directory.
    public init(text: String) {
        switch text {
        case "off", "no", "0": self = .off
        case "", "on", "auto": self = .automatic
        default: self = .directory(text.utf8.first == UInt8(ascii: "/") ? text : Self.absolute(text))
        }
    }

    private static func absolute(_ path: String) -> String {
        guard let current = getcwd(nil, 0) else { return path }
        defer { free(current) }
        return String(cString: current) + "/" + path
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The directory that is meant; nil for none.
    public var directory: String? {
        switch self {
        case .off: return nil
        case .directory(let path): return path
        case .automatic:
            if let text = Self.variable("MYNAH_CACHE") {
                let choice = TranslationCacheChoice(text: text)
                if choice != .automatic { return choice.directory }
            }
            // The specification of base directories has relative paths ignored.
            if let base = Self.variable("XDG_CACHE_HOME"), base.hasPrefix("/") { return base + "/mynah" }
            return Self.variable("HOME").flatMap { $0.hasPrefix("/") ? $0 + "/.cache/mynah" : nil }
        }
    }
}

extension ProgramOptions {
    /// Where translations are kept; nil for nowhere. Engines that are asked for by name translate all themselves, unless a
    /// directory is named, too.
    public var cacheDirectory: String? { translationCache == .automatic && engine != .auto ? nil : translationCache.directory }
}

// The translation cache for those who look after it.

import Engine

/// What is kept of translations in a directory.
public struct TranslationCacheStore: Sendable {
    public struct File: Sendable {
        public var name: String
        public var byteCount: Int
        /// Seconds since 1970, exact to the hour.
        public var lastUse: Int
        /// nil when the file is damaged, or of another version.
        public var translations: Int?
        /// Its translations are regions; of the same guest file another one has the blocks.
        public var hasRegions: Bool
    }

    public let path: String
    private let directory: CacheDirectory

    /// Bytes that programs let the files have, in all.
    public static var byteLimit: Int { TranslationCacheOptions.defaultByteLimit }

    /// nil when there is no place for a cache: it is off, or there is no home directory.
    public init?(_ choice: TranslationCacheChoice) {
        guard let path = choice.directory else { return nil }
        self.path = path
        directory = CacheDirectory(path: path)
    }

    /// Why programs leave the directory alone; nil when they use it, or make it.
    public var objection: String? { directory.objection }

    /// The files, those used longest ago first.
    public var files: [File] { files { directory.describe($0) } }

    private func files(_ describe: (String) -> CacheDirectory.Description?) -> [File] {
        directory.entries.filter(\.isFile).map {
            File(
                name: $0.name, byteCount: $0.byteCount, lastUse: $0.lastUse, translations: describe($0.name)?.blocks,
                hasRegions: $0.hasRegions)
        }
    }

    /// Reads all of every file; those without `translations` are damaged.
    public func verify() -> [File] { files { directory.verify($0) } }

    public func remove(_ file: File) -> Bool { directory.remove(file.name) }

    /// Removes what was used longest ago until `byteLimit` is kept; returns how much.
    public func prune(to byteLimit: Int) -> (files: Int, bytes: Int) { directory.prune(to: byteLimit) }

    /// Removes all files; returns how much that was.
    public func clear() -> (files: Int, bytes: Int) { directory.clear() }
}

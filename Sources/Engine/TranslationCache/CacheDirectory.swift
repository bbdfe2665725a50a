// The directory of the translation cache. Whoever can write there can have code run as this user: the directory and its files
// must belong to the user, and nobody else may write to them. Files appear by renaming, so that readers see whole ones only.

import CHost
import Glibc

package struct CacheDirectory {
    package let path: String
    private static let temporaryPrefix = ".new-"
    /// Temporary files older than this are left from processes that died.
    private static let abandonedSeconds = 3600

    package init(path: String) { self.path = path }

    /// Open, or -1 when it is missing or not safe.
    private func open(makesIt: Bool) -> Int32 {
        guard path.utf8.first == UInt8(ascii: "/") else { return -1 }
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        var descriptor = Glibc.open(path, flags)
        if descriptor < 0, makesIt, errno == ENOENT, make() { descriptor = Glibc.open(path, flags) }
        guard descriptor >= 0 else { return -1 }
        if Self.isSafe(descriptor, S_IFDIR) { return descriptor }
        close(descriptor)
        return -1
    }

    private func make() -> Bool {
        var end = path.utf8.startIndex
        while let slash = path.utf8[path.utf8.index(after: end)...].firstIndex(of: UInt8(ascii: "/")) {
            end = slash
            mkdir(String(path[..<end]), 0o700)
            if path.utf8.index(after: end) == path.utf8.endIndex { break }
        }
        return mkdir(path, 0o700) == 0 || errno == EEXIST
    }

    private static func isSafe(_ descriptor: Int32, _ kind: mode_t) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && isSafe(status, kind)
    }

    private static func isSafe(_ status: stat, _ kind: mode_t) -> Bool {
        status.st_mode & S_IFMT == kind && status.st_uid == geteuid() && status.st_mode & 0o022 == 0
    }

    /// Runs `body` with the directory open; nil when it cannot be used.
    private func withDescriptor<Result>(makesIt: Bool = false, _ body: (Int32) -> Result?) -> Result? {
        let descriptor = open(makesIt: makesIt)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return body(descriptor)
    }

    // MARK: Files

    /// The file, mapped; nil when there is none that can be used. Marks it as used now.
    func file(named name: String) -> CacheFile? {
        withDescriptor { Self.file(in: $0, named: name) }
    }

    private static func file(in directory: Int32, named name: String) -> CacheFile? {
        let descriptor = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard let content = CacheContent(ofFile: name), fstat(descriptor, &status) == 0, isSafe(status, S_IFREG),
            let file = CacheFile(descriptor, Int(status.st_size), content)
        else { return nil }
        // The time of change is that of the last use, within an hour.
        if time(nil) - status.st_mtim.tv_sec > 3600 { futimens(descriptor, nil) }
        return file
    }

    /// Writes a file in the place of an older one; false when that was not possible.
    func write(_ bytes: UnsafeRawBufferPointer, named name: String) -> Bool {
        // Beyond the limit that the guest may have set, writing is answered by a signal.
        var limit = rlimit()
        let isKnown = getrlimit(__rlimit_resource_t(1), &limit) == 0  // RLIMIT_FSIZE
        guard isKnown, UInt64(bytes.count) <= UInt64(limit.rlim_cur) else { return false }
        return withDescriptor(makesIt: true) { directory -> Bool in
            let temporary = "\(Self.temporaryPrefix)\(getpid())-\(name)"
            unlinkat(directory, temporary, 0)
            let descriptor = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { return false }
            let isComplete = Self.writeAll(bytes, to: descriptor)
            close(descriptor)
            if isComplete, renameat(directory, temporary, directory, name) == 0 { return true }
            unlinkat(directory, temporary, 0)
            return false
        } ?? false
    }

    private static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let written = Glibc.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { return false }
            offset += written
        }
        return true
    }

    // MARK: The whole

    package struct Entry: Sendable {
        package var name: String
        package var byteCount: Int
        /// Seconds since 1970.
        package var lastUse: Int
        /// Of the files in the cache; a temporary one is none of them.
        package var isFile: Bool
        /// Its translations are regions.
        package var hasRegions: Bool
    }

    /// Why the directory is not used; nil when it is, or may be made.
    package var objection: String? {
        var status = stat()
        if path.utf8.first != UInt8(ascii: "/") { return "'\(path)' is no absolute path" }
        guard lstat(path, &status) == 0 else { return errno == ENOENT ? nil : "\(path): \(String(cString: strerror(errno)))" }
        if status.st_mode & S_IFMT != S_IFDIR { return "\(path) is no directory" }
        if status.st_uid != geteuid() { return "\(path) belongs to another user" }
        if status.st_mode & 0o022 != 0 { return "others may write to \(path); run 'chmod go-w' on it" }
        return nil
    }

    /// What is in the directory and is of the cache, those used longest ago first.
    package var entries: [Entry] {
        withDescriptor { Self.entries(in: $0) } ?? []
    }

    private static func entries(in directory: Int32) -> [Entry] {
        let second = dup(directory)
        guard second >= 0 else { return [] }
        guard let stream = fdopendir(second) else {
            close(second)
            return []
        }
        defer { closedir(stream) }
        rewinddir(stream)
        var entries: [Entry] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            let isTemporary = name.hasPrefix(temporaryPrefix)
            guard let content = CacheContent(ofFile: name), isTemporary || !name.hasPrefix(".") else { continue }
            var status = stat()
            guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFREG else {
                continue
            }
            entries.append(
                Entry(
                    name: name, byteCount: Int(status.st_size), lastUse: Int(status.st_mtim.tv_sec), isFile: !isTemporary,
                    hasRegions: content == .regions))
        }
        return entries.sorted { $0.lastUse < $1.lastUse }
    }

    /// Removes files that were used longest ago until what is left has at most `byteLimit` bytes; when there is too much, an
    /// eighth less, so that not every program has to do it. Removes what dead processes left, too.
    /// - Returns: how many files, and bytes, are gone.
    @discardableResult
    package func prune(to byteLimit: Int) -> (files: Int, bytes: Int) {
        withDescriptor { directory in
            var entries = Self.entries(in: directory), removed = (files: 0, bytes: 0)
            func remove(_ entry: Entry) {
                guard unlinkat(directory, entry.name, 0) == 0 else { return }
                removed.files += 1
                removed.bytes += entry.byteCount
            }
            let now = time(nil)
            for entry in entries where !entry.isFile && now - entry.lastUse > Self.abandonedSeconds { remove(entry) }
            entries.removeAll { !$0.isFile }
            var total = entries.reduce(0) { $0 + $1.byteCount }
            guard total > byteLimit else { return removed }
            for entry in entries where total > byteLimit - byteLimit / 8 {
                remove(entry)
                total -= entry.byteCount
            }
            return removed
        } ?? (0, 0)
    }

    /// Removes everything of the cache.
    /// - Returns: how many files, and bytes, are gone.
    package func clear() -> (files: Int, bytes: Int) {
        withDescriptor { directory in
            var removed = (files: 0, bytes: 0)
            for entry in Self.entries(in: directory) where unlinkat(directory, entry.name, 0) == 0 {
                removed.files += 1
                removed.bytes += entry.byteCount
            }
            return removed
        } ?? (0, 0)
    }

    /// Removes one file.
    package func remove(_ name: String) -> Bool {
        withDescriptor { unlinkat($0, name, 0) == 0 } ?? false
    }

    package struct Description: Sendable {
        package var blocks: Int
        package var units: Int
    }

    /// What a file has; nil when it is damaged. Reads all of it.
    package func verify(_ name: String) -> Description? {
        guard let file = file(named: name) else { return nil }
        var scratch = CacheScratch()
        defer { scratch.deallocate() }
        for unit in 0 ..< file.unitCount where file.read(unit, into: &scratch) == nil { return nil }
        return Description(blocks: Int(file.header.blockCount), units: file.unitCount)
    }

    /// What the head of a file says it has; nil when it is damaged.
    package func describe(_ name: String) -> Description? {
        file(named: name).map { Description(blocks: Int($0.header.blockCount), units: $0.unitCount) }
    }
}

// Owners, modes and kinds of files: the host's own, or mapped to extended attributes named as QEMU's, so that a directory can be
// shared by either.

import Glibc

extension SharedDirectory {
    private static let prefix = Array("user.virtfs.".utf8)
    private static let uid = Array("user.virtfs.uid".utf8), gid = Array("user.virtfs.gid".utf8)
    private static let mode = Array("user.virtfs.mode".utf8), device = Array("user.virtfs.rdev".utf8)

    /// Attributes of the mapping itself are not the guest's.
    func isHidden(_ attribute: FileName) -> Bool { identities == .mapped && attribute.starts(with: SharedDirectory.prefix) }

    private func number(_ path: [FileName], _ name: FileName, _ count: Int) -> UInt64? {
        guard let bytes = try? attribute(path, name, limit: 16), bytes.count == count else { return nil }
        return bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func setNumber(_ path: [FileName], _ name: FileName, _ value: UInt64, _ count: Int) throws(FileError) {
        try setAttribute(path, name, (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) })
    }

    func applyMapping(_ path: [FileName], _ status: inout stat) throws(FileError) {
        if let value = number(path, SharedDirectory.uid, 4) { status.st_uid = uid_t(value) }
        if let value = number(path, SharedDirectory.gid, 4) { status.st_gid = gid_t(value) }
        if let value = number(path, SharedDirectory.mode, 4) { status.st_mode = mode_t(value) }
        if let value = number(path, SharedDirectory.device, 8) { status.st_rdev = dev_t(value) }
    }

    /// After a file was made: gives it the guest's ids, mode and kind.
    func own(_ path: [FileName], mode: mode_t, uid: UInt32, gid: UInt32, device: UInt64? = nil) throws(FileError) {
        if identities == .mapped {
            try setNumber(path, SharedDirectory.uid, UInt64(uid), 4)
            try setNumber(path, SharedDirectory.gid, UInt64(gid), 4)
            try setNumber(path, SharedDirectory.mode, UInt64(mode), 4)
            if let device { try setNumber(path, SharedDirectory.device, device, 8) }
        } else {
            // Without the rights the file is ours; the guest sees it.
            try withParent(path) { (parent, name) throws(FileError) in
                _ = fchownat(parent, name, uid, gid, SharedDirectory.noFollow)
            }
            if mode & S_IFMT != S_IFLNK { try setHostMode(path, mode) }
        }
    }

    func setOwner(_ path: [FileName], uid: UInt32?, gid: UInt32?) throws(FileError) {
        if identities == .mapped {
            if let uid { try setNumber(path, SharedDirectory.uid, UInt64(uid), 4) }
            if let gid { try setNumber(path, SharedDirectory.gid, UInt64(gid), 4) }
        } else {
            try withParent(path) { (parent, name) throws(FileError) in
                try SharedDirectory.succeed(fchownat(parent, name, uid ?? .max, gid ?? .max, SharedDirectory.noFollow))
            }
        }
    }

    func setMode(_ path: [FileName], _ mode: mode_t) throws(FileError) {
        guard identities == .mapped else { return try setHostMode(path, mode) }
        let kind = try status(path).st_mode & S_IFMT
        try setNumber(path, SharedDirectory.mode, UInt64(kind | mode & 0o7777), 4)
    }

    // MARK: Links and special files

    func makeLink(_ path: [FileName], target: [UInt8], uid: UInt32, gid: UInt32) throws(FileError) {
        guard !target.isEmpty, !target.contains(0) else { throw FileError(EINVAL) }
        if identities == .mapped {
            let file = try createHostFile(path, mode: 0o600)
            let count = write(file, target, target.count)
            close(file)
            guard count == target.count else { throw FileError(EIO) }
        } else {
            try withParent(path) { (parent, name) throws(FileError) in
                try SharedDirectory.withName(target) { (target) throws(FileError) in
                    try SharedDirectory.succeed(symlinkat(target, parent, name))
                }
            }
        }
        try own(path, mode: S_IFLNK | 0o777, uid: uid, gid: gid)
    }

    func linkTarget(_ path: [FileName]) throws(FileError) -> [UInt8] {
        if identities == .mapped {
            guard try status(path).st_mode & S_IFMT == S_IFLNK else { throw FileError(EINVAL) }
            if let file = try? openFile(path, flags: O_RDONLY) {
                defer { close(file) }
                var bytes = [UInt8](repeating: 0, count: 4096)
                let count = read(file, &bytes, bytes.count)
                guard count >= 0 else { throw FileError.last }
                return Array(bytes.prefix(count))
            }
        }
        return try withParent(path) { (parent, name) throws(FileError) in
            var bytes = [CChar](repeating: 0, count: 4096)
            let count = readlinkat(parent, name, &bytes, bytes.count)
            guard count >= 0 else { throw FileError.last }
            return bytes.prefix(count).map { UInt8(bitPattern: $0) }
        }
    }

    /// A descriptor for reading and writing of a new file.
    func createHostFile(_ path: [FileName], mode: mode_t, flags: Int32 = 0) throws(FileError) -> Int32 {
        try withParent(path) { (parent, name) throws(FileError) in
            let opened = openat(parent, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | flags, mode)
            guard opened >= 0 else { throw FileError.last }
            return opened
        }
    }

    func makeSpecial(_ path: [FileName], mode: mode_t, device: UInt64, uid: UInt32, gid: UInt32) throws(FileError) {
        if identities == .mapped {
            close(try createHostFile(path, mode: 0o600))
            try own(path, mode: mode, uid: uid, gid: gid, device: device)
        } else {
            try withParent(path) { (parent, name) throws(FileError) in
                try SharedDirectory.succeed(mknodat(parent, name, mode, dev_t(device)))
            }
            try own(path, mode: mode, uid: uid, gid: gid)
        }
    }

    func makeDirectory(_ path: [FileName], mode: mode_t, uid: UInt32, gid: UInt32) throws(FileError) {
        try withParent(path) { (parent, name) throws(FileError) in
            try SharedDirectory.succeed(mkdirat(parent, name, identities == .mapped ? 0o700 : mode & 0o7777))
        }
        try own(path, mode: S_IFDIR | mode & 0o7777, uid: uid, gid: gid)
    }
}

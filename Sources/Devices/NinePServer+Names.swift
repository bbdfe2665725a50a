// What changes directories: new entries, renaming, removal.

import Glibc

extension NinePServer {
    /// The directory is writable here.
    func changeNames(_ type: UInt8, _ message: inout NinePReader) throws(FileError) -> [UInt8] {
        switch type {
        case NinePType.symlink: return try symlink(&message)
        case NinePType.mknod: return try makeNode(&message)
        case NinePType.mkdir: return try makeDirectory(&message)
        case NinePType.link: return try link(&message)
        case NinePType.rename: return try rename(&message)
        case NinePType.renameat: return try renameAt(&message)
        case NinePType.unlinkat: return try unlinkAt(&message)
        case NinePType.remove: return try remove(&message)
        default: throw FileError(EOPNOTSUPP)
        }
    }

    private func symlink(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let parent = try fid(&message), path = parent.path + [try message.name()]
        let target = try message.string(), gid: UInt32 = try message.word()
        try directory.makeLink(path, target: target, uid: parent.uid, gid: gid)
        return qid(try directory.status(path))
    }

    private func makeNode(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let parent = try fid(&message), path = parent.path + [try message.name()]
        let mode: UInt32 = try message.word(), major: UInt32 = try message.word(), minor: UInt32 = try message.word()
        let gid: UInt32 = try message.word()
        let device =
            UInt64(major & 0xfff) << 8 | UInt64(minor & 0xff) | UInt64(minor & ~0xff) << 12 | UInt64(major & ~0xfff) << 32
        try directory.makeSpecial(path, mode: mode_t(mode & 0o177777), device: device, uid: parent.uid, gid: gid)
        return qid(try directory.status(path))
    }

    private func makeDirectory(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let parent = try fid(&message), path = parent.path + [try message.name()]
        let mode: UInt32 = try message.word(), gid: UInt32 = try message.word()
        try directory.makeDirectory(path, mode: mode_t(mode & 0o7777), uid: parent.uid, gid: gid)
        return qid(try directory.status(path))
    }

    private func link(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let parent = try fid(&message), file = try fid(&message), path = parent.path + [try message.name()]
        try directory.withParent(file.path) { (oldParent, oldName) throws(FileError) in
            try directory.withParent(path) { (newParent, newName) throws(FileError) in
                try SharedDirectory.succeed(linkat(oldParent, oldName, newParent, newName, 0))
            }
        }
        return []
    }

    private func move(_ old: [FileName], to new: [FileName]) throws(FileError) {
        guard !old.isEmpty else { throw FileError(EBUSY) }
        if new.starts(with: old) && new.count > old.count { throw FileError(EINVAL) }
        try directory.withParent(old) { (oldParent, oldName) throws(FileError) in
            try directory.withParent(new) { (newParent, newName) throws(FileError) in
                try SharedDirectory.succeed(Glibc.renameat(oldParent, oldName, newParent, newName))
            }
        }
        renamed(old, to: new)
    }

    private func rename(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let file = try fid(&message), parent = try fid(&message)
        try move(file.path, to: parent.path + [try message.name()])
        return []
    }

    private func renameAt(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let oldParent = try fid(&message), oldName = try message.name()
        let newParent = try fid(&message), newName = try message.name()
        try move(oldParent.path + [oldName], to: newParent.path + [newName])
        return []
    }

    private func unlink(_ path: [FileName], flags: Int32) throws(FileError) {
        guard !path.isEmpty else { throw FileError(EBUSY) }
        try directory.withParent(path) { (parent, name) throws(FileError) in
            try SharedDirectory.succeed(unlinkat(parent, name, flags))
        }
    }

    private func unlinkAt(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let parent = try fid(&message), name = try message.name(), flags: UInt32 = try message.word()
        // AT_REMOVEDIR has the host's value.
        try unlink(parent.path + [name], flags: Int32(flags & 0x200))
        return []
    }

    /// The fid is gone in any case.
    private func remove(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        guard let fid = fids.removeValue(forKey: try message.word()) else { throw FileError(EBADF) }
        if fid.descriptor >= 0 { close(fid.descriptor) }
        let isDirectory = try directory.status(fid.path).st_mode & S_IFMT == S_IFDIR
        try unlink(fid.path, flags: isDirectory ? 0x200 : 0)
        return []
    }
}

// Status, sizes, times, owners, links and extended attributes.

import CHost
import Glibc

extension NinePServer {
    /// An open file may have no name any more.
    private func status(_ fid: Fid) throws(FileError) -> stat {
        do throws(FileError) { return try directory.status(fid.path) } catch {
            var result = stat()
            guard fid.descriptor >= 0, fstat(fid.descriptor, &result) == 0 else { throw error }
            return result
        }
    }

    func attributes(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let status = try status(try fid(&message))
        var result: [UInt8] = []
        result.append(word: 0x7ff as UInt64)  // the basic ones
        result += qid(status)
        for value in [UInt32(status.st_mode), status.st_uid, status.st_gid] { result.append(word: value) }
        for value in [
            UInt64(status.st_nlink), UInt64(status.st_rdev), UInt64(status.st_size), UInt64(status.st_blksize),
            UInt64(status.st_blocks),
        ] {
            result.append(word: value)
        }
        for time in [status.st_atim, status.st_mtim, status.st_ctim, timespec()] {
            result.append(word: UInt64(bitPattern: Int64(time.tv_sec)))
            result.append(word: UInt64(time.tv_nsec))
        }
        result.append(word: 0 as UInt64)
        result.append(word: 0 as UInt64)
        return result
    }

    func setAttributes(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let fid = try fid(&message), valid: UInt32 = try message.word()
        let mode: UInt32 = try message.word(), uid: UInt32 = try message.word(), gid: UInt32 = try message.word()
        let size: UInt64 = try message.word()
        var times: [timespec] = []
        for (isWanted, isGiven) in [(valid & 0x10 != 0, valid & 0x80 != 0), (valid & 0x20 != 0, valid & 0x100 != 0)] {
            let seconds: UInt64 = try message.word(), nanoseconds: UInt64 = try message.word()
            // UTIME_NOW and UTIME_OMIT.
            let special = isWanted ? 0x3fff_ffff : 0x3fff_fffe
            guard !isGiven || nanoseconds < 1_000_000_000 else { throw FileError(EINVAL) }
            times.append(
                timespec(tv_sec: Int(truncatingIfNeeded: seconds), tv_nsec: isWanted && isGiven ? Int(nanoseconds) : special))
        }
        try directory.checkWritable()
        if valid & 1 != 0 { try directory.setMode(fid.path, mode_t(mode & 0o7777)) }
        if valid & 6 != 0 { try directory.setOwner(fid.path, uid: valid & 2 != 0 ? uid : nil, gid: valid & 4 != 0 ? gid : nil) }
        if valid & 8 != 0 { try truncate(fid, size) }
        if valid & 0x30 != 0 {
            try directory.withParent(fid.path) { (parent, name) throws(FileError) in
                try SharedDirectory.succeed(utimensat(parent, name, times, SharedDirectory.noFollow))
            }
        }
        return []
    }

    private func truncate(_ fid: Fid, _ size: UInt64) throws(FileError) {
        guard size < 1 << 62 else { throw FileError(EFBIG) }
        if fid.descriptor >= 0 && ftruncate(fid.descriptor, off_t(size)) == 0 { return }
        guard try directory.status(fid.path).st_mode & S_IFMT == S_IFREG else { throw FileError(EINVAL) }
        let descriptor = try directory.openFile(fid.path, flags: O_WRONLY)
        defer { close(descriptor) }
        try SharedDirectory.succeed(ftruncate(descriptor, off_t(size)))
    }

    func readLink(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        var result: [UInt8] = []
        result.append(string: try directory.linkTarget(try fid(&message).path))
        return result
    }

    func statistics(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        _ = try fid(&message)
        // fstatfs(2): f_type, f_bsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree as words.
        var status = [UInt64](repeating: 0, count: 15)
        let failure = status.withUnsafeMutableBytes {
            mynah_syscall(138, Int(directory.root), Int(bitPattern: $0.baseAddress!), 0, 0, 0, 0)
        }
        guard failure == 0 else { throw FileError(Int32(-failure)) }
        var result: [UInt8] = []
        result.append(word: 0x0102_1997 as UInt32)  // V9FS_MAGIC
        result.append(word: UInt32(truncatingIfNeeded: status[1]))
        for value in status[2...6] { result.append(word: value) }
        result.append(word: 0 as UInt64)
        result.append(word: UInt32(255))
        return result
    }

    // MARK: Extended attributes

    /// A fid for reading an attribute, or the list of them when the name is empty.
    func walkAttribute(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let fid = try fid(&message), number: UInt32 = try message.word(), name = try message.string()
        guard !name.contains(0) else { throw FileError(EINVAL) }
        try checkAttributeLimit()
        let content: [UInt8]
        if name.isEmpty {
            content = try directory.attributeNames(fid.path).filter { !directory.isHidden($0) }.flatMap { $0 + [0] }
        } else {
            if directory.isHidden(name) { throw FileError(ENODATA) }
            content = try directory.attribute(fid.path, name)
        }
        try add(number, Fid(path: fid.path, uid: fid.uid, attribute: content))
        var result: [UInt8] = []
        result.append(word: UInt64(content.count))
        return result
    }

    /// The fid becomes one for writing an attribute; a size of zero removes it.
    func createAttribute(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let number: UInt32 = try message.word(), name = try message.string(), size: UInt64 = try message.word(),
            flags: UInt32 = try message.word()
        guard let fid = fids[number], fid.descriptor < 0, fid.attribute == nil else { throw FileError(EBADF) }
        try directory.checkWritable()
        guard !name.isEmpty, name.count <= 255, !name.contains(0), !directory.isHidden(name) else { throw FileError(EACCES) }
        guard size <= 65536 else { throw FileError(E2BIG) }
        try checkAttributeLimit()
        fids[number]!.attribute = []
        fids[number]!.attributeToSet = (name, Int(size), Int(flags & 3))
        return []
    }
}

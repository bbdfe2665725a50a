// Opening, reading and writing files and directories.

import CHost
import Glibc

extension NinePServer {
    /// Flags that mean the same on both sides: access mode, O_TRUNC, O_APPEND, O_DSYNC, O_SYNC.
    static let openFlags: UInt32 = 0o4011003 | 0o2000

    private func openResult(_ status: stat) -> [UInt8] {
        var result = qid(status)
        result.append(word: UInt32(messageSize - NinePServer.ioHeaderBytes))
        return result
    }

    func open(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let number: UInt32 = try message.word(), flags: UInt32 = try message.word()
        guard var fid = fids[number], fid.descriptor < 0, fid.attribute == nil else { throw FileError(EBADF) }
        try checkOpenLimit()
        let kept = Int32(flags & NinePServer.openFlags)
        if kept & (O_ACCMODE | O_TRUNC) != O_RDONLY { try directory.checkWritable() }
        let status = try directory.status(fid.path)
        if status.st_mode & S_IFMT == S_IFDIR {
            fid.descriptor = try directory.openFile(fid.path, flags: O_RDONLY | O_DIRECTORY)
        } else {
            guard status.st_mode & S_IFMT == S_IFREG else { throw FileError(ENXIO) }
            fid.descriptor = try directory.openFile(fid.path, flags: kept)
            fid.openFlags = kept
        }
        fids[number] = fid
        return openResult(status)
    }

    /// The fid of the directory becomes that of the new file.
    func create(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let number: UInt32 = try message.word(), name = try message.name()
        let flags: UInt32 = try message.word(), mode: UInt32 = try message.word(), gid: UInt32 = try message.word()
        guard var fid = fids[number], fid.descriptor < 0, fid.attribute == nil else { throw FileError(EBADF) }
        try directory.checkWritable()
        try checkOpenLimit()
        let path = fid.path + [name]
        let kept = Int32(flags & NinePServer.openFlags) & ~(O_ACCMODE | O_TRUNC)
        let hostMode = directory.identities == .mapped ? 0o600 : mode_t(mode & 0o7777)
        let descriptor = try directory.createHostFile(path, mode: hostMode, flags: kept)
        do throws(FileError) {
            try directory.own(path, mode: S_IFREG | mode_t(mode & 0o7777), uid: fid.uid, gid: gid)
            let status = try directory.status(path)
            fid.path = path
            fid.descriptor = descriptor
            fid.openFlags = kept | O_RDWR
            fids[number] = fid
            return openResult(status)
        } catch {
            close(descriptor)
            throw error
        }
    }

    private func count(_ message: inout NinePReader, _ limit: Int) throws(FileError) -> Int {
        min(Int(try message.word(UInt32.self)), max(0, limit - 11))
    }

    func read(_ message: inout NinePReader, _ limit: Int) throws(FileError) -> [UInt8] {
        let fid = try fid(&message), offset: UInt64 = try message.word(), count = try count(&message, limit)
        var result: [UInt8] = []
        if let content = fid.attribute {
            let start = Int(min(offset, UInt64(content.count)))
            let part = content[start...].prefix(count)
            result.append(word: UInt32(part.count))
            return result + part
        }
        guard fid.descriptor >= 0, offset < 1 << 62 else { throw FileError(fid.descriptor < 0 ? EBADF : EINVAL) }
        var done = -1
        result = [UInt8](unsafeUninitializedCapacity: count + 4) { buffer, initialized in
            while true {
                done = pread(fid.descriptor, buffer.baseAddress! + 4, count, off_t(offset))
                if done >= 0 || errno != EINTR { break }
            }
            for index in 0..<4 { buffer[index] = UInt8(truncatingIfNeeded: max(0, done) >> (8 * index)) }
            initialized = 4 + max(0, done)
        }
        guard done >= 0 else { throw FileError.last }
        return result
    }

    func write(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let number: UInt32 = try message.word(), offset: UInt64 = try message.word(), count: UInt32 = try message.word()
        let content = try message.data(Int(count))
        guard let fid = fids[number] else { throw FileError(EBADF) }
        var result: [UInt8] = []
        if let attribute = fid.attribute, let target = fid.attributeToSet {
            guard offset == UInt64(attribute.count), attribute.count + content.count <= target.byteCount else {
                throw FileError(ENOSPC)
            }
            fids[number]!.attribute = attribute + content
            result.append(word: count)
            return result
        }
        guard fid.descriptor >= 0, offset < 1 << 62 else { throw FileError(fid.descriptor < 0 ? EBADF : EFBIG) }
        try directory.checkWritable()
        var done = 0
        while true {
            done = pwrite(fid.descriptor, content, content.count, off_t(offset))
            if done >= 0 || errno != EINTR { break }
        }
        guard done >= 0 else { throw FileError.last }
        result.append(word: UInt32(done))
        return result
    }

    func sync(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let fid = try fid(&message)
        if fid.descriptor >= 0 { guard fsync(fid.descriptor) == 0 || errno == EINVAL else { throw FileError.last } }
        return []
    }

    /// Nobody else holds a lock.
    func getLock(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        _ = try fid(&message)
        _ = try message.word(UInt8.self)
        let rest = try message.data(20), client = try message.string(), unlocked: UInt8 = 2
        var result = [unlocked] + rest
        result.append(string: client)
        return result
    }

    /// Entries of qid, offset of the next, kind and name. Offsets are the host's.
    func readDirectory(_ message: inout NinePReader, _ limit: Int) throws(FileError) -> [UInt8] {
        let fid = try fid(&message), offset: UInt64 = try message.word(), count = try count(&message, limit)
        guard fid.descriptor >= 0, fid.attribute == nil else { throw FileError(EBADF) }
        guard lseek(fid.descriptor, off_t(truncatingIfNeeded: offset), SEEK_SET) >= 0 else { throw FileError.last }
        let root = try directory.status([])
        var entries: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 32768)
        reading: while true {
            // getdents64(2)
            let size = buffer.withUnsafeMutableBytes {
                mynah_syscall(217, Int(fid.descriptor), Int(bitPattern: $0.baseAddress!), $0.count, 0, 0, 0)
            }
            guard size >= 0 else { throw FileError(Int32(-size)) }
            if size == 0 { break }
            var place = 0
            while place < size {
                // d_ino[8] d_off[8] d_reclen[2] d_type[1] d_name
                let next: UInt64 = buffer.word(place + 8), length = Int(buffer.word(place + 16, as: UInt16.self)),
                    kind = buffer[place + 18]
                let name = Array(buffer[(place + 19)..<(place + length)].prefix { $0 != 0 })
                if entries.count + 24 + name.count > count {
                    if entries.isEmpty { throw FileError(EINVAL) }
                    break reading
                }
                entries += entryQid(fid, name, root, buffer.word(place), kind)
                entries.append(word: next)
                entries.append(kind)
                entries.append(string: name)
                place += length
            }
        }
        var result: [UInt8] = []
        result.append(word: UInt32(entries.count))
        return result + entries
    }

    /// Above the shared directory there is nothing to see.
    private func entryQid(_ fid: Fid, _ name: FileName, _ root: stat, _ inode: UInt64, _ kind: UInt8) -> [UInt8] {
        if fid.path.isEmpty && (name == [46] || name == [46, 46]) { return qid(root) }
        var status = root
        status.st_ino = ino_t(inode)
        status.st_mode = kind == 4 ? S_IFDIR : kind == 10 ? S_IFLNK : S_IFREG
        return qid(status)
    }
}

// A 9P2000.L server for a shared directory. Requests come one at a time. A fid is a path of names, and a descriptor once it is
// open; when something is renamed, the paths of the fids below it are changed too.

import DeviceModel
import Glibc

final class NinePServer {
    struct Fid {
        var path: [FileName]
        var uid: UInt32
        var descriptor: Int32 = -1
        /// With which it was opened.
        var openFlags: Int32 = 0
        /// Content of an extended attribute or of their list; written when the fid is clunked if `attributeToSet` is there.
        var attribute: [UInt8]?
        var attributeToSet: (name: FileName, byteCount: Int, flags: Int)?
    }

    static let messageLimit = 512 << 10
    static let fidLimit = 1 << 16
    private static let headerBytes = 7
    /// What the header of a reply to `read` and of a request to `write` needs at most.
    static let ioHeaderBytes = 24

    let directory: SharedDirectory
    /// Of the descriptors that this process may have, the guest gets half.
    let openLimit: Int
    var fids: [UInt32: Fid] = [:]
    var messageSize = 8192
    /// Numbers of the host's file systems in the order in which they were seen, for qids.
    var devices: [UInt64: UInt64] = [:]

    init(_ directory: SharedDirectory) {
        self.directory = directory
        var limit = rlimit()
        let isKnown = getrlimit(__rlimit_resource_t(7), &limit) == 0  // RLIMIT_NOFILE
        openLimit = isKnown ? Int(min(limit.rlim_cur, 1 << 20)) / 2 : 512
    }

    func checkOpenLimit() throws(FileError) {
        guard fids.values.lazy.filter({ $0.descriptor >= 0 }).count < openLimit else { throw FileError(EMFILE) }
    }

    /// Each holds up to 64 KiB; a guest needs one at a time.
    static let attributeFidLimit = 1024

    func checkAttributeLimit() throws(FileError) {
        guard fids.values.lazy.filter({ $0.attribute != nil }).count < NinePServer.attributeFidLimit else {
            throw FileError(EMFILE)
        }
    }

    deinit { reset() }

    /// Forgets all fids.
    func reset() {
        for fid in fids.values where fid.descriptor >= 0 { close(fid.descriptor) }
        fids = [:]
        messageSize = 8192
    }

    /// The reply to a message; nil for one that is too short to answer.
    func reply(to message: [UInt8], limit: Int) -> [UInt8]? {
        guard message.count >= NinePServer.headerBytes else { return nil }
        let type = message[4], tag: UInt16 = message.word(5)
        var result: [UInt8], replyType = type &+ 1
        do throws(FileError) {
            let size: UInt32 = message.word(0)
            guard size >= 7, size <= message.count else { throw FileError(EINVAL) }
            var reader = NinePReader(Array(message.prefix(Int(size))))
            result = try answer(type, &reader, min(limit, messageSize))
            if result.count + NinePServer.headerBytes > limit { throw FileError(EMSGSIZE) }
        } catch {
            replyType = NinePType.lerror
            result = []
            result.append(word: UInt32(error.number))
        }
        var bytes: [UInt8] = []
        bytes.append(word: UInt32(result.count + NinePServer.headerBytes))
        bytes.append(replyType)
        bytes.append(word: tag)
        return bytes + result
    }

    private func answer(_ type: UInt8, _ message: inout NinePReader, _ limit: Int) throws(FileError) -> [UInt8] {
        switch type {
        case NinePType.version: return try version(&message)
        case NinePType.attach: return try attach(&message)
        case NinePType.auth: throw FileError(EOPNOTSUPP)
        case NinePType.flush: return []  // what it is about was answered before
        case NinePType.walk: return try walk(&message)
        case NinePType.clunk: return try clunk(&message)
        case NinePType.lopen: return try open(&message)
        case NinePType.lcreate: return try create(&message)
        case NinePType.read: return try read(&message, limit)
        case NinePType.write: return try write(&message)
        case NinePType.readdir: return try readDirectory(&message, limit)
        case NinePType.fsync: return try sync(&message)
        case NinePType.lock: return [0]  // the guest's kernel arbitrates among its own
        case NinePType.getlock: return try getLock(&message)
        case NinePType.statfs: return try statistics(&message)
        case NinePType.getattr: return try attributes(&message)
        case NinePType.setattr: return try setAttributes(&message)
        case NinePType.readlink: return try readLink(&message)
        case NinePType.xattrwalk: return try walkAttribute(&message)
        case NinePType.xattrcreate: return try createAttribute(&message)
        default:
            try directory.checkWritable()
            return try changeNames(type, &message)
        }
    }

    // MARK: Fids

    func fid(_ message: inout NinePReader) throws(FileError) -> Fid { try fids[message.word()].orThrow(EBADF) }

    func add(_ number: UInt32, _ fid: Fid) throws(FileError) {
        guard fids[number] == nil, fids.count < NinePServer.fidLimit else { throw FileError(EBADF) }
        fids[number] = fid
    }

    /// type[1] version[4] path[8]. Inodes of another device than the first get its number in the high bits.
    func qid(_ status: stat) -> [UInt8] {
        let device = UInt64(status.st_dev), index = devices[device] ?? UInt64(devices.count)
        devices[device] = index
        let kind = status.st_mode & S_IFMT
        var bytes: [UInt8] = [kind == S_IFDIR ? 0x80 : kind == S_IFLNK ? 0x02 : 0]
        bytes.append(word: UInt32(truncatingIfNeeded: status.st_mtim.tv_sec ^ status.st_size << 8))
        bytes.append(word: UInt64(status.st_ino) ^ index << 56)
        return bytes
    }

    private func version(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let size: UInt32 = try message.word(), name = try message.string()
        reset()
        guard size >= 4096 else { throw FileError(EMSGSIZE) }
        messageSize = min(Int(size), NinePServer.messageLimit)
        let known = Array("9P2000.L".utf8)
        var result: [UInt8] = []
        result.append(word: UInt32(messageSize))
        result.append(string: name == known ? known : Array("unknown".utf8))
        return result
    }

    private func attach(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let number: UInt32 = try message.word()
        _ = try message.word(UInt32.self)
        _ = try message.string()
        _ = try message.string()
        let uid: UInt32 = try message.word()
        let status = try directory.status([])
        try add(number, Fid(path: [], uid: uid == .max ? 0 : uid))
        return qid(status)
    }

    /// Names that do not exist end the walk; ".." at the top stays there.
    private func walk(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        let from: UInt32 = try message.word(), to: UInt32 = try message.word(), count: UInt16 = try message.word()
        guard let start = fids[from], start.attribute == nil else { throw FileError(EBADF) }
        guard count <= 16, to == from || fids[to] == nil, to != from || start.descriptor < 0 else { throw FileError(EINVAL) }
        var path = start.path, qids: [UInt8] = [], found: UInt16 = 0
        for _ in 0..<count {
            let name = try message.string()
            do throws(FileError) {
                if name == [46, 46] {
                    _ = path.popLast()
                } else if name != [46] {
                    try SharedDirectory.check(name)
                    path.append(name)
                }
                qids += qid(try directory.status(path))
            } catch {
                if found == 0 { throw error }
                break
            }
            found += 1
        }
        if found == count {
            if to == from { fids[to] = nil }
            try add(to, Fid(path: path, uid: start.uid))
        }
        var result: [UInt8] = []
        result.append(word: found)
        return result + qids
    }

    private func clunk(_ message: inout NinePReader) throws(FileError) -> [UInt8] {
        guard let fid = fids.removeValue(forKey: try message.word()) else { throw FileError(EBADF) }
        try end(fid)
        return []
    }

    /// Closes, and writes an extended attribute that was waiting for its content.
    func end(_ fid: Fid) throws(FileError) {
        if fid.descriptor >= 0 { close(fid.descriptor) }
        guard let target = fid.attributeToSet, let content = fid.attribute else { return }
        if target.byteCount == 0 { return try directory.removeAttribute(fid.path, target.name) }
        guard content.count == target.byteCount else { throw FileError(EIO) }
        try directory.setAttribute(fid.path, target.name, content, flags: target.flags)
    }

    /// What has moved, in the paths of all fids.
    func renamed(_ old: [FileName], to new: [FileName]) {
        for (number, fid) in fids where fid.path.starts(with: old) {
            fids[number]!.path = new + fid.path.dropFirst(old.count)
        }
    }
}

extension Optional {
    func orThrow(_ number: Int32) throws(FileError) -> Wrapped {
        guard let self else { throw FileError(number) }
        return self
    }
}

// Files that the debugger reads through the target: `vFile` packets, for `set sysroot target:` and the program itself. They are
// only read. GDB manual E.7 "Host I/O Packets", E.13 for the numbers of errors and the form of `struct stat`.

import Glibc

/// Descriptors that are open for the debugger. They are the host's, out of the way of the guest's own numbers.
struct RemoteFiles {
    private var descriptors: [Int: Int32] = [:]
    private static let openFileLimit = 64

    mutating func closeAll() {
        for descriptor in descriptors.values { close(descriptor) }
        descriptors = [:]
    }

    /// Opens a file for reading: its number, or minus an errno.
    mutating func open(_ path: String) -> Int {
        guard descriptors.count < Self.openFileLimit else { return -Int(EMFILE) }
        // A pipe of that name must not make us wait.
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return -Int(errno) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG || status.st_mode & S_IFMT == S_IFDIR else {
            close(descriptor)
            return -Int(EACCES)
        }
        let number = (1...).first { descriptors[$0] == nil }!
        descriptors[number] = outOfTheWay(descriptor)
        return number
    }

    mutating func close(_ number: Int) -> Int {
        guard let descriptor = descriptors.removeValue(forKey: number) else { return -Int(EBADF) }
        Glibc.close(descriptor)
        return 0
    }

    func read(_ number: Int, count: Int, offset: Int) -> (result: Int, bytes: [UInt8]) {
        guard let descriptor = descriptors[number] else { return (-Int(EBADF), []) }
        var bytes = [UInt8](repeating: 0, count: count)
        let done = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
        guard done >= 0 else { return (-Int(errno), []) }
        return (done, Array(bytes.prefix(done)))
    }

    func status(_ number: Int) -> stat? {
        var status = stat()
        guard let descriptor = descriptors[number], fstat(descriptor, &status) == 0 else { return nil }
        return status
    }

    private func close(_ descriptor: Int32) { Glibc.close(descriptor) }

    /// The 64 bytes of the protocol's `struct stat`, big-endian.
    static func wireForm(_ status: stat) -> [UInt8] {
        func word(_ value: UInt64, _ count: Int) -> [UInt8] {
            (0 ..< count).reversed().map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
        }
        func low(_ value: some BinaryInteger) -> UInt64 { UInt64(truncatingIfNeeded: value) }
        return word(low(status.st_dev), 4) + word(low(status.st_ino), 4) + word(low(status.st_mode), 4)
            + word(low(status.st_nlink), 4)
            + word(low(status.st_uid), 4) + word(low(status.st_gid), 4) + word(low(status.st_rdev), 4)
            + word(low(status.st_size), 8)
            + word(low(status.st_blksize), 8) + word(low(status.st_blocks), 8) + word(low(status.st_atim.tv_sec), 4)
            + word(low(status.st_mtim.tv_sec), 4) + word(low(status.st_ctim.tv_sec), 4)
    }

    /// The protocol's number of an error of Linux.
    static func wireError(_ number: Int) -> Int {
        switch Int32(number) {
        case ENOSYS: 88
        case ENAMETOOLONG: 91
        case EPERM, ENOENT, EINTR, EBADF, EACCES, EFAULT, EBUSY, EEXIST, ENODEV, ENOTDIR, EISDIR, EINVAL, ENFILE, EMFILE, EFBIG,
            ENOSPC,
            ESPIPE, EROFS:
            number
        default: 9999
        }
    }
}

/// The descriptor moved to where guests do not look for theirs; the same one when that fails.
func outOfTheWay(_ descriptor: Int32) -> Int32 {
    let high = fcntl(descriptor, F_DUPFD_CLOEXEC, 900)
    guard high >= 0 else { return descriptor }
    Glibc.close(descriptor)
    return high
}

extension DebugSession {
    func handleFile(_ packet: inout PacketReader) {
        let operation = String(decoding: packet.word(upTo: ":"), as: UTF8.self)
        switch operation {
        case "setfs": replyFile(packet.lastNumber() == nil ? -Int(EINVAL) : 0)
        case "open": openFile(&packet)
        case "close": replyFile(packet.lastSize().map { files.close($0) } ?? -Int(EINVAL))
        case "pread": readFile(&packet)
        case "fstat":
            guard let number = packet.lastSize(), let status = files.status(number) else { return replyFile(-Int(EBADF)) }
            let bytes = RemoteFiles.wireForm(status)
            replyFile(bytes.count, bytes)
        case "stat":
            guard let path = hostPath(packet) else { return replyFile(-Int(ENOENT)) }
            var status = stat()
            guard stat(path, &status) == 0 else { return replyFile(-Int(errno)) }
            let bytes = RemoteFiles.wireForm(status)
            replyFile(bytes.count, bytes)
        case "readlink": readLink(packet)
        case "pwrite", "unlink": replyFile(-Int(EROFS))
        default: replyUnsupported()
        }
    }

    /// `Fresult[,errno][;attachment]`
    private func replyFile(_ result: Int, _ attachment: [UInt8]? = nil) {
        if result < 0 { return reply("F-1,\(String(RemoteFiles.wireError(-result), radix: 16))") }
        let head = Array("F\(String(result, radix: 16))".utf8)
        reply(attachment.map { head + [UInt8(ascii: ";")] + $0 } ?? head)
    }

    /// The host's path of the one that the rest of the packet gives.
    private func hostPath(_ packet: PacketReader) -> String? {
        guard let bytes = Hexadecimal.decode(packet.rest), !bytes.contains(0), bytes.count < 4096 else { return nil }
        return target.hostPath(ofFile: String(decoding: bytes, as: UTF8.self))
    }

    private func openFile(_ packet: inout PacketReader) {
        let path = PacketReader(packet.word(upTo: ","))
        let accessMode: UInt64 = 3
        guard let flags = packet.number(before: ","), packet.lastNumber() != nil else { return replyFile(-Int(EINVAL)) }
        guard flags & accessMode == 0 else { return replyFile(-Int(EROFS)) }
        guard let hostPath = hostPath(path) else { return replyFile(-Int(ENOENT)) }
        replyFile(files.open(hostPath))
    }

    private func readFile(_ packet: inout PacketReader) {
        guard let number = packet.size(before: ","), let count = packet.size(before: ","), let offset = packet.lastSize() else {
            return replyFile(-Int(EINVAL))
        }
        let (result, bytes) = files.read(number, count: min(count, PacketEncoder.packetSize / 2), offset: offset)
        replyFile(result, result < 0 ? nil : bytes)
    }

    private func readLink(_ packet: PacketReader) {
        guard let path = hostPath(packet) else { return replyFile(-Int(ENOENT)) }
        var target = [UInt8](repeating: 0, count: 4096)
        let count = target.withUnsafeMutableBytes {
            readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        count < 0 ? replyFile(-Int(errno)) : replyFile(count, Array(target.prefix(count)))
    }
}

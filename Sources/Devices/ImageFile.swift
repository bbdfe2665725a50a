// A file of the host that holds a disk or a part of one: exact reads and writes, space given back, a lock against a second
// writer.

import CHost
import DeviceModel
import Glibc

package final class ImageFile: @unchecked Sendable {
    package let path: String
    package let isWritable: Bool
    private(set) var descriptor: Int32
    /// Which file it is, under any name.
    let identity: [UInt64]

    /// - Throws: `BackendError` that says what to do.
    package init(path: String, isWritable: Bool) throws(BackendError) {
        // A pipe without a writer is no reason to wait.
        let flags = (isWritable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK
        let opened = open(path, flags)
        guard opened >= 0 else {
            let reason = errno
            if isWritable && (reason == EACCES || reason == EROFS) {
                throw BackendError(
                    "cannot write to the disk image \(path) (use it read-only, or as a snapshot)", errorNumber: reason)
            }
            throw BackendError("cannot open the disk image \(path)", errorNumber: reason)
        }
        if flock(opened, (isWritable ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 && errno == EWOULDBLOCK {
            Glibc.close(opened)
            throw BackendError(
                "the disk image \(path) is in use, by another process or as another drive: end that first, or use a copy")
        }
        var status = stat()
        guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG || status.st_mode & S_IFMT == S_IFBLK else {
            Glibc.close(opened)
            throw BackendError("\(path) is neither a file nor a block device, so it cannot be a disk image")
        }
        self.path = path
        self.isWritable = isWritable
        descriptor = opened
        identity = [UInt64(status.st_dev), UInt64(status.st_ino)]
    }

    /// A file without a name, for what need not survive.
    init(temporaryIn directory: String) throws(BackendError) {
        var template = Array("\(directory)/mynah-disk-XXXXXX\0".utf8CString)
        let opened = mkstemp(&template)
        guard opened >= 0, fcntl(opened, F_SETFD, FD_CLOEXEC) == 0 else {
            throw BackendError("cannot make a temporary file in \(directory)", errorNumber: errno)
        }
        unlink(template)
        path = "a temporary file in \(directory)"
        isWritable = true
        descriptor = opened
        identity = []
    }

    deinit { close() }

    package var origin: BlockOrigin {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return BlockOrigin(path: path) }
        let time = status.st_mtim
        return BlockOrigin(path: path, modified: UInt64(max(0, time.tv_sec)) &* 1_000_000_000 &+ UInt64(max(0, time.tv_nsec)))
    }

    /// Also gives up the lock.
    func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    /// Bytes, of a block device too.
    package var byteCount: UInt64 {
        let end = lseek(descriptor, 0, SEEK_END)
        return end < 0 ? 0 : UInt64(end)
    }

    /// Fills all of `bytes`; what lies behind the end of the file is zero.
    /// - Returns: how many bytes there were.
    @discardableResult
    func read(at offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) -> Int {
        var done = 0
        while done < bytes.count {
            let count = pread(
                descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(truncatingIfNeeded: offset) + off_t(done))
            if count > 0 {
                done += count
            } else if count == 0 {
                memset(bytes.baseAddress! + done, 0, bytes.count - done)
                return done
            } else if errno != EINTR {
                throw BackendError("cannot read \(path) at \(offset)", errorNumber: errno)
            }
        }
        return done
    }

    func write(at offset: UInt64, from bytes: UnsafeRawBufferPointer) throws(BackendError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(truncatingIfNeeded: offset) + off_t(done))
            if count >= 0 {
                done += count
            } else if errno != EINTR {
                throw BackendError("cannot write \(path) at \(offset)", errorNumber: errno)
            }
        }
    }

    func read(at offset: UInt64, byteCount: Int) throws(BackendError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: byteCount), failure: BackendError?
        result.withUnsafeMutableBytes { buffer in
            do throws(BackendError) { try read(at: offset, into: buffer) } catch { failure = error }
        }
        if let failure { throw failure }
        return result
    }

    func write(at offset: UInt64, _ bytes: [UInt8]) throws(BackendError) {
        var failure: BackendError?
        bytes.withUnsafeBytes { buffer in
            do throws(BackendError) { try write(at: offset, from: buffer) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    func flush() throws(BackendError) {
        guard fdatasync(descriptor) == 0 || errno == EINVAL else {
            throw BackendError("cannot flush \(path)", errorNumber: errno)
        }
    }

    /// Gives the space back where the host can; the range reads as zeroes when the result is true.
    @discardableResult
    func punch(at offset: UInt64, byteCount: UInt64) -> Bool {
        // FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE; fallocate(2) is 285.
        mynah_syscall(285, Int(descriptor), 3, Int(truncatingIfNeeded: offset), Int(truncatingIfNeeded: byteCount), 0, 0) == 0
    }

    func writeZeroes(at offset: UInt64, byteCount: UInt64) throws(BackendError) {
        let zeroes = [UInt8](repeating: 0, count: Int(min(byteCount, 1 << 18)))
        var done: UInt64 = 0
        while done < byteCount {
            let count = min(byteCount - done, UInt64(zeroes.count))
            try write(at: offset + done, count == UInt64(zeroes.count) ? zeroes : Array(zeroes.prefix(Int(count))))
            done += count
        }
    }
}

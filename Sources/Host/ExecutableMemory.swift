// Memory for code: one file, mapped twice. The writable view and the executable view lie at unrelated addresses, so no page is
// ever writable and executable at one address.

import CHost
import Glibc

/// What the host refused to give.
package struct HostError: Error, CustomStringConvertible {
    package let description: String
    package init(_ what: String, errorNumber: Int32 = errno) {
        description = "\(what): \(String(cString: strerror(errorNumber)))"
    }
}

/// A dual-mapped region for machine code.
package struct ExecutableMemory: ~Copyable {
    // SAFETY: both views are mappings of `byteCount` bytes, unmapped only in deinit; writers bound themselves by byteCount.
    package let writable: UnsafeMutableRawPointer
    /// Address at which the first byte runs.
    package let executable: UInt64
    package let byteCount: Int

    /// - Throws: `HostError` when the kernel refuses memory or executable mappings.
    package init(byteCount: Int) throws {
        let descriptor = mynah_memfd("mynah-code")
        guard descriptor >= 0 else { throw HostError("cannot create memory for translated code") }
        defer { close(descriptor) }
        guard ftruncate(descriptor, byteCount) == 0 else { throw HostError("cannot size the code cache") }
        guard let write = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), write != MAP_FAILED else {
            throw HostError("cannot map the code cache for writing")
        }
        guard let run = mmap(nil, byteCount, PROT_READ | PROT_EXEC, MAP_SHARED, descriptor, 0), run != MAP_FAILED else {
            munmap(write, byteCount)
            throw HostError("cannot map the code cache for execution (is /dev/shm or memfd mounted noexec?)")
        }
        writable = write
        executable = UInt64(UInt(bitPattern: run))
        self.byteCount = byteCount
    }

    deinit {
        munmap(writable, byteCount)
        munmap(UnsafeMutableRawPointer(bitPattern: UInt(executable)), byteCount)
    }

    /// After a fork both processes share the pages of the file: gives this process its own copy of the first `usedByteCount`
    /// bytes at the same addresses.
    package func becomePrivate(usedByteCount: Int) throws {
        let descriptor = mynah_memfd("mynah-code")
        guard descriptor >= 0, ftruncate(descriptor, byteCount) == 0 else { throw HostError("cannot copy the code cache") }
        defer { close(descriptor) }
        var written = 0
        while written < usedByteCount {
            let count = pwrite(descriptor, writable + written, usedByteCount - written, written)
            guard count > 0 else { throw HostError("cannot copy the code cache") }
            written += count
        }
        let run = UnsafeMutableRawPointer(bitPattern: UInt(executable))
        guard mmap(writable, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0) != MAP_FAILED,
            mmap(run, byteCount, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, descriptor, 0) != MAP_FAILED
        else { throw HostError("cannot remap the code cache") }
    }
}

// Memory for code: the same pages mapped twice. The writable view and the executable view lie at unrelated addresses, so no page
// is ever writable and executable at one address.

import CHost
import Glibc

/// What the host refused to give.
package struct HostError: Error, CustomStringConvertible {
    package let description: String
    /// The machine's shortage, or a limit of the user's; no defect.
    package let isOutOfMemory: Bool
    package init(_ what: String, errorNumber: Int32 = errno) {
        isOutOfMemory = errorNumber == ENOMEM
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
        let write = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
        guard let write, write != MAP_FAILED else { throw HostError("cannot get memory for translated code") }
        do {
            executable = try ExecutableMemory.map(write, byteCount, at: 0)
        } catch {
            munmap(write, byteCount)
            throw error
        }
        writable = write
        self.byteCount = byteCount
    }

    /// Maps the shared pages at `view` a second time, executable: at a fixed address, or anywhere when that is 0. A memfd would
    /// do as well, but `perf` takes it for a file and does not look into its map of symbols.
    private static func map(_ view: UnsafeMutableRawPointer, _ byteCount: Int, at address: UInt64) throws -> UInt64 {
        // An old size of 0 leaves the first mapping of shared pages where it is (mremap(2)).
        guard let second = mynah_remap(view, 0, byteCount, UnsafeMutableRawPointer(bitPattern: UInt(address))) else {
            throw HostError("cannot map the code cache twice")
        }
        guard mprotect(second, byteCount, PROT_READ | PROT_EXEC) == 0 else {
            throw HostError("cannot make the code cache executable")
        }
        return UInt64(UInt(bitPattern: second))
    }

    deinit {
        munmap(writable, byteCount)
        munmap(UnsafeMutableRawPointer(bitPattern: UInt(executable)), byteCount)
    }

    /// After a fork both processes share the pages of the file: gives this process its own copy of the first `usedByteCount`
    /// bytes at the same addresses.
    package func becomePrivate(usedByteCount: Int) throws {
        let copy = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
        guard let copy, copy != MAP_FAILED else { throw HostError("cannot copy the code cache") }
        copy.copyMemory(from: writable, byteCount: usedByteCount)
        guard mynah_remap(copy, byteCount, byteCount, writable) != nil else { throw HostError("cannot remap the code cache") }
        _ = try ExecutableMemory.map(writable, byteCount, at: executable)
    }
}

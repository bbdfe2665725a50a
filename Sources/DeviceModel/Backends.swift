// What devices need from the host: characters, blocks, frames and random bytes, as protocols, so that tests can play the host.

import CHost
import Glibc

/// What the host refused, or an image that cannot be used.
package struct BackendError: Error, CustomStringConvertible, Equatable {
    package let description: String
    /// The host's errno; 0 when there was none.
    package let errorNumber: Int32

    package init(_ description: String) {
        self.description = description
        errorNumber = 0
    }

    package init(_ what: String, errorNumber: Int32) {
        description = "\(what): \(String(cString: strerror(errorNumber)))"
        self.errorNumber = errorNumber
    }
}

/// The host's end of a serial line or console.
package protocol CharacterBackend: AnyObject {
    /// Bytes that the guest sent. Called by one thread at a time; should not wait for long.
    func write(_ bytes: UnsafeRawBufferPointer)
    /// Gives the device that takes the input. The backend calls `receive` from any thread with what comes.
    func connect(_ receiver: CharacterReceiver)
    func disconnect()
}

/// A device's end of a serial line or console. Any thread.
package protocol CharacterReceiver: AnyObject {
    /// Takes a prefix of the bytes and says how many; the rest should be offered again after `whenReady`.
    func receive(_ bytes: UnsafeRawBufferPointer) -> Int
    /// Calls `body` once, from any thread, when there is room for input again.
    func whenReady(_ body: @escaping () -> Void)
}

/// Where a disk's content lies on the host.
package struct BlockOrigin: Equatable, Sendable {
    package var path = ""
    /// When it was written to last, in nanoseconds since 1970; 0 when that is not known.
    package var modified: UInt64 = 0
    package init(path: String = "", modified: UInt64 = 0) {
        self.path = path
        self.modified = modified
    }
}

/// A disk's content. Requests of one device come one at a time, from its worker thread.
package protocol BlockBackend: AnyObject {
    /// Size of the disk in bytes.
    var byteCount: UInt64 { get }
    var isReadOnly: Bool { get }
    /// Fills `bytes` from the disk at `offset`. The range lies within the disk.
    func read(at offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError)
    func write(at offset: UInt64, from bytes: UnsafeRawBufferPointer) throws(BackendError)
    /// Returns when all that was written survives a crash of the host.
    func flush() throws(BackendError)
    /// The content of the range may become anything that was there once, or zeroes: it is no longer needed.
    func discard(at offset: UInt64, byteCount: UInt64) throws(BackendError)
    /// The range reads as zeroes afterwards; `mayDiscard` allows to give the space back.
    func writeZeroes(at offset: UInt64, byteCount: UInt64, mayDiscard: Bool) throws(BackendError)
    /// Flushes and closes.
    func close()
    var origin: BlockOrigin { get }
}

extension BlockBackend {
    package var origin: BlockOrigin { BlockOrigin() }
}

/// The host's end of an Ethernet link.
package protocol NetworkBackend: AnyObject {
    /// Sends a frame without its checksum. Called by one thread at a time.
    func send(_ frame: UnsafeRawBufferPointer)
    /// Starts to hand over frames from the host to `receive`, from any thread, one at a time. It returns false when the guest has
    /// no room: the frame is dropped, or offered again after `receiverReady`.
    func start(receive: @escaping (UnsafeRawBufferPointer) -> Bool) throws(BackendError)
    /// The guest has room again.
    func receiverReady()
    func stop()
}

/// A source of random bytes.
package protocol EntropyBackend: AnyObject {
    func fill(_ bytes: UnsafeMutableRawBufferPointer)
}

/// The host kernel's random bytes.
package final class HostEntropy: EntropyBackend {
    package init() {}

    package func fill(_ bytes: UnsafeMutableRawBufferPointer) {
        var done = 0
        while done < bytes.count {
            // getrandom(2), which Glibc's module does not have.
            let count = mynah_syscall(318, Int(bitPattern: bytes.baseAddress! + done), bytes.count - done, 0, 0, 0, 0)
            if count > 0 { done += count } else if count != -Int(EINTR) { break }
        }
        for index in done..<bytes.count { bytes[index] = UInt8.random(in: 0...255) }
    }
}

/// Random bytes from a seed, for runs that can be repeated.
package final class SeededEntropy: EntropyBackend {
    // Harts and devices ask for them.
    private let monitor = Monitor()
    private var next: UInt64
    /// What the next bytes follow from.
    package var state: UInt64 {
        get { monitor.locked { next } }
        set { monitor.locked { next = newValue } }
    }

    package init(seed: UInt64) { next = seed }

    package func fill(_ bytes: UnsafeMutableRawBufferPointer) {
        monitor.locked { fillLocked(bytes) }
    }

    private func fillLocked(_ bytes: UnsafeMutableRawBufferPointer) {
        for index in bytes.indices {
            // SplitMix64, its highest byte.
            next &+= 0x9e37_79b9_7f4a_7c15
            var word = next
            word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
            word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
            bytes[index] = UInt8(truncatingIfNeeded: (word ^ (word >> 31)) >> 56)
        }
    }
}

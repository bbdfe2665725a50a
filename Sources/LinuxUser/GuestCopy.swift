// Guarded access to guest memory by system calls: a bad pointer is EFAULT, never a fault of the emulator.

import CHost

/// Copies bytes to the guest; false when the memory is not writable.
package func copyToGuest(_ source: UnsafeRawPointer, count: Int, at address: UInt64) -> Bool {
    guard count > 0 else { return true }
    // SAFETY: mynah_copy reports an inaccessible destination instead of faulting.
    guard let destination = UnsafeMutableRawPointer(bitPattern: UInt(address)) else { return false }
    return mynah_copy(destination, source, count) == 0
}

/// Copies bytes from the guest; false when the memory is not readable.
package func copyFromGuest(_ destination: UnsafeMutableRawPointer, count: Int, at address: UInt64) -> Bool {
    guard count > 0 else { return true }
    // SAFETY: mynah_copy reports an inaccessible source instead of faulting.
    guard let source = UnsafeRawPointer(bitPattern: UInt(address)) else { return false }
    return mynah_copy(destination, source, count) == 0
}

/// Reads a trivial value; nil when the memory is not readable.
package func readGuest<T>(_ type: T.Type, at address: UInt64) -> T? {
    withUnsafeTemporaryAllocation(of: T.self, capacity: 1) { buffer in
        guard copyFromGuest(buffer.baseAddress!, count: MemoryLayout<T>.size, at: address) else { return nil }
        return buffer[0]
    }
}

/// Writes a trivial value; false when the memory is not writable.
package func writeGuest<T>(_ value: T, at address: UInt64) -> Bool {
    withUnsafePointer(to: value) { copyToGuest($0, count: MemoryLayout<T>.size, at: address) }
}

/// Reads a NUL-terminated string shorter than `limit` bytes; nil on a fault or when it is longer.
package func readGuestBytes(at address: UInt64, limit: Int) -> [UInt8]? {
    guard let start = UnsafePointer<CChar>(bitPattern: UInt(address)) else { return nil }
    // SAFETY: mynah_string_length reports an inaccessible string instead of faulting.
    let length = mynah_string_length(start, limit)
    guard length >= 0 else { return nil }
    var bytes = [UInt8](repeating: 0, count: Int(length))
    let copied = bytes.withUnsafeMutableBytes { buffer in
        length == 0 || copyFromGuest(buffer.baseAddress!, count: Int(length), at: address)
    }
    return copied ? bytes : nil
}

/// Reads a path as the kernel does (at most 4095 bytes); nil on a fault, when it is too long or no UTF-8.
package func readGuestString(at address: UInt64, limit: Int = 4096) -> String? {
    guard let bytes = readGuestBytes(at: address, limit: limit) else { return nil }
    return String(validating: bytes, as: UTF8.self)
}

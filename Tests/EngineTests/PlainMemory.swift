// Guest memory at an exact address, whose code nobody changes.

import Glibc
import Guest

final class PlainMemory: GuestMemory {
    private let start: UInt64
    private let buffer: UnsafeRawBufferPointer
    var codeVersion: UInt64 { 0 }
    var bytes: UnsafeRawBufferPointer { buffer }

    init(start: UInt64, bytes: [UInt8]) {
        self.start = start
        let noReplace: Int32 = 0x10_0000
        let memory = mmap(
            UnsafeMutableRawPointer(bitPattern: UInt(start)), bytes.count, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | noReplace, -1, 0)
        precondition(memory == UnsafeMutableRawPointer(bitPattern: UInt(start)), "the guest's address is taken")
        memory!.copyMemory(from: bytes, byteCount: bytes.count)
        buffer = UnsafeRawBufferPointer(start: memory, count: bytes.count)
    }

    deinit { munmap(UnsafeMutableRawPointer(mutating: buffer.baseAddress), buffer.count) }

    func codeWindow(at address: GuestAddress) -> CodeWindow? {
        guard address.rawValue >= start, address.rawValue < start + UInt64(buffer.count) else { return nil }
        return CodeWindow(start: start, end: start + UInt64(buffer.count), host: buffer.baseAddress!)
    }
    func watchCode(_ range: Range<UInt64>) {}
    func releaseWatch(at address: UInt64) -> Range<UInt64>? { nil }
}

// A disk that is the bytes of a file or of a block device.

import DeviceModel

package final class RawDisk: BlockBackend {
    package let file: ImageFile
    package let byteCount: UInt64
    package var isReadOnly: Bool { !file.isWritable }
    package var origin: BlockOrigin { file.origin }

    package init(_ file: ImageFile) {
        self.file = file
        byteCount = file.byteCount
    }

    package func read(at offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        try file.read(at: offset, into: bytes)
    }
    package func write(at offset: UInt64, from bytes: UnsafeRawBufferPointer) throws(BackendError) {
        try file.write(at: offset, from: bytes)
    }
    package func flush() throws(BackendError) { if file.isWritable { try file.flush() } }
    package func discard(at offset: UInt64, byteCount: UInt64) throws(BackendError) {
        file.punch(at: offset, byteCount: byteCount)
    }

    package func writeZeroes(at offset: UInt64, byteCount: UInt64, mayDiscard: Bool) throws(BackendError) {
        if byteCount > 0 && !(mayDiscard && file.punch(at: offset, byteCount: byteCount)) {
            try file.writeZeroes(at: offset, byteCount: byteCount)
        }
    }
    package func close() {
        try? flush()
        file.close()
    }
}

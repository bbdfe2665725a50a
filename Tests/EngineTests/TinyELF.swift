// A static riscv64 executable of one segment, for the outside oracle.

enum TinyELF {
    /// - Parameter segment: what is loaded, readable, writable and executable, at `address`, which is also the entry.
    static func file(segment: [UInt8], at address: UInt64) -> [UInt8] {
        let headerBytes = 64 + 56, offset = 4096
        var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
        func add<Number: FixedWidthInteger>(_ number: Number) { withUnsafeBytes(of: number.littleEndian) { bytes += $0 } }
        add(UInt16(2)); add(UInt16(243)); add(UInt32(1))  // executable, RISC-V
        add(address); add(UInt64(64)); add(UInt64(0))
        add(UInt32(5))  // compressed instructions, doubles in registers
        add(UInt16(64)); add(UInt16(56)); add(UInt16(1)); add(UInt16(64)); add(UInt16(0)); add(UInt16(0))
        add(UInt32(1)); add(UInt32(7)); add(UInt64(offset)); add(address); add(address)
        add(UInt64(segment.count)); add(UInt64(segment.count)); add(UInt64(4096))
        return bytes + [UInt8](repeating: 0, count: offset - headerBytes) + segment
    }
}

// The table that the `Table+*.swift` rows fill: what was emitted, the bytes expected, and the text that a
// disassembler makes of them. A row is one call and one `expect`, so that it reads and compiles fast.

import Foundation

@testable import X86

/// Collects rows; each `expect` takes the bytes emitted since the one before it.
struct EncodingTable {
    struct Row {
        let emitted: [UInt8]
        let expected: [UInt8]
        let text: String
    }

    var asm = Assembler()
    private(set) var rows: [Row] = []
    private let region = CodeRegion(capacity: 1 << 16)
    private var start = 0

    init() {
        region.start(&asm)
    }

    /// `hex` is bytes in hexadecimal with spaces; `text` is Intel syntax as objdump writes it, blanks collapsed.
    mutating func expect(_ hex: String, _ text: String) {
        let bytes = hex.split(separator: " ").map { UInt8($0, radix: 16)! }
        rows.append(Row(emitted: Array(region.bytes[start..<asm.offset]), expected: bytes, text: text))
        start = asm.offset
    }

    /// Every table.
    static func all() -> EncodingTable {
        var table = EncodingTable()
        table.arithmeticForms1()
        table.arithmeticForms2()
        table.memoryOperandForms()
        table.integerForms()
        table.moveForms1()
        table.moveForms2()
        table.branchForms()
        table.shiftForms1()
        table.shiftForms2()
        table.bitManipulationForms1()
        table.bitManipulationForms2()
        table.atomicForms()
        table.scalarSSEForms1()
        table.scalarSSEForms2()
        table.vectorMoveForms()
        table.packedIntegerForms()
        table.cryptographyForms()
        table.avxForms1()
        table.avxForms2()
        table.fmaForms()
        table.packedForms1()
        table.packedForms2()
        return table
    }
}

/// Memory to assemble into, written here and pretended to run at `executable`.
final class CodeRegion {
    static let executable: UInt64 = 0x7000_0000_0000

    let capacity: Int
    private let memory: UnsafeMutableRawPointer
    private static let guardLength = 64

    /// `capacity` bytes, and some behind them that nothing may write to.
    init(capacity: Int) {
        self.capacity = capacity
        memory = .allocate(byteCount: capacity + CodeRegion.guardLength, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0xA5, count: capacity + CodeRegion.guardLength)
    }

    deinit { memory.deallocate() }

    func start(_ asm: inout Assembler, executable: UInt64 = CodeRegion.executable) {
        asm.start(writable: memory, executable: executable, capacity: capacity)
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: capacity) }

    var isGuardIntact: Bool {
        (capacity..<capacity + CodeRegion.guardLength).allSatisfy { memory.load(fromByteOffset: $0, as: UInt8.self) == 0xA5 }
    }

    func hex(_ range: Range<Int>) -> String { X86Tests.hex(bytes[range]) }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined(separator: " ")
}

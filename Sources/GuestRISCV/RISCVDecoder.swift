// Decoding: from bits to `DecodedInstruction`, driven by the instruction rows.
//
// Rows are spread over buckets: 32-bit ones by major opcode and funct3, those of OP-FP, where funct3 is mostly the rounding
// mode, by funct7, and compressed ones by quadrant and their top three bits. A bucket is searched from front to back.

package enum RISCVDecoder {
    /// Decodes the instruction in the low bits of `bits`; of a compressed one only the low 16 bits matter. An encoding
    /// that is no instruction gives `illegal` with the byte count that its low bits announce.
    package static func decode(_ bits: UInt32) -> DecodedInstruction {
        let index = find(bits)
        guard index >= 0 else { return DecodedInstruction(.illegal, byteCount: bits & 3 == 3 ? 4 : 2) }
        let entry = DecoderTables.shared.entries[index]
        return bits & 3 == 3 ? operands(bits, entry) : compressedOperands(bits & 0xffff, entry)
    }

    /// Index in `RISCVInstructionTable.rows` of the row that `bits` is an encoding of, or -1.
    package static func row(of bits: UInt32) -> Int {
        let index = find(bits)
        return index < 0 ? -1 : Int(DecoderTables.shared.entries[index].row)
    }

    private static func find(_ word: UInt32) -> Int {
        let tables = DecoderTables.shared
        let bits = word & 3 == 3 ? word : word & 0xffff
        let bucket = DecoderTables.bucket(of: bits)
        var index = Int(tables.starts[bucket])
        let end = Int(tables.starts[bucket + 1])
        while index < end {
            let entry = tables.entries[index]
            if bits & entry.mask == entry.bits && (entry.nonzero == 0 || bits & entry.nonzero != 0) {
                return entry.reserved.contain(bits) ? -1 : index
            }
            index += 1
        }
        return -1
    }
}

/// What the decoder reads of a row.
struct DecoderEntry {
    var mask: UInt32
    var bits: UInt32
    var nonzero: UInt32
    var opcode: RISCVOpcode
    var row: UInt16
    var format: RISCVFormat
    var isRounded: Bool
    var reserved: ReservedValues
}

/// The rows by bucket.
struct DecoderTables: @unchecked Sendable {
    // SAFETY: both arrays are filled once, below, and live as long as the process. `starts` has one element more than there
    // are buckets, its values are bounds in `entries`, and `bucket(of:)` is below `bucketCount` for all bits.
    let starts: UnsafeMutablePointer<UInt16>
    let entries: UnsafeMutablePointer<DecoderEntry>

    static let shared = DecoderTables(RISCVInstructionTable.rows)

    private static let floatBuckets = 256
    private static let compressedBuckets = floatBuckets + 128
    private static let bucketCount = compressedBuckets + 32
    private static let floatMajor: UInt32 = 0b1010011

    @inline(__always)
    static func bucket(of bits: UInt32) -> Int {
        let key: UInt32
        if bits & 3 != 3 {
            key = UInt32(compressedBuckets) + (bits & 3) * 8 + (bits >> 13 & 7)
        } else if bits & 0x7f == floatMajor {
            key = UInt32(floatBuckets) + bits >> 25
        } else {
            key = (bits >> 2 & 31) * 8 + (bits >> 12 & 7)
        }
        return Int(key)
    }

    private init(_ rows: [InstructionRow]) {
        starts = .allocate(capacity: DecoderTables.bucketCount + 1)
        starts.initialize(repeating: 0, count: DecoderTables.bucketCount + 1)
        // Each row lands in one bucket, or in all eight of its major opcode when funct3 is free.
        var counts = [UInt16](repeating: 0, count: DecoderTables.bucketCount)
        var total = 0
        for row in rows {
            DecoderTables.forEachBucket(of: row) { bucket in
                counts[bucket] += 1
                total += 1
            }
        }
        for bucket in 0 ..< DecoderTables.bucketCount { starts[bucket + 1] = starts[bucket] + counts[bucket] }
        entries = .allocate(capacity: total)
        for bucket in counts.indices { counts[bucket] = starts[bucket] }
        for (index, row) in rows.enumerated() {
            let entry = DecoderEntry(
                mask: row.fixedMask, bits: row.fixedBits, nonzero: row.nonzeroMask, opcode: row.opcode, row: UInt16(index),
                format: row.format, isRounded: row.isRounded, reserved: row.reserved)
            let entries = entries
            DecoderTables.forEachBucket(of: row) { bucket in
                (entries + Int(counts[bucket])).initialize(to: entry)
                counts[bucket] += 1
            }
        }
    }

    private static func forEachBucket(of row: InstructionRow, _ body: (Int) -> Void) {
        let first = bucket(of: row.fixedBits)
        let hasFreeFunction = row.byteCount == 4 && row.fixedMask & 0x7000 == 0 && row.fixedBits & 0x7f != floatMajor
        for bucket in first ..< first + (hasFreeFunction ? 8 : 1) { body(bucket) }
    }
}

// What a hart in machine mode has behind the state of user mode: the little of it that translated code and the interpreter's
// loop look at. The rest is in `RISCVHart`.

import CHost
import Guest

/// Behind `RISCVStateTail`.
package struct HartStateTail {
    /// The table for loads and stores in the present context.
    package var dataTLB: UnsafeMutablePointer<SoftTLBEntry>
    /// The table for fetching.
    package var codeTLB: UnsafeMutablePointer<SoftTLBEntry>
    /// The numbers of code pages that may be executed now.
    package var codePages: UnsafeMutablePointer<UInt32>
    /// The `RISCVHart`, unmanaged.
    package var owner: UnsafeMutableRawPointer
    /// Nonzero while floating-point instructions may run without anybody taking note: `mstatus.FS` is dirty.
    package var floatIsDirty: UInt64
    /// Nonzero while `cbo.zero` is permitted.
    package var zeroesBlocks: UInt64
    /// Nonzero in user mode.
    package var isUser: UInt64
    /// Records of ranges of user addresses, and the epoch of those that hold.
    package var ranges: UnsafeMutablePointer<SoftRange>
    package var rangeEpoch: UInt32
    /// How often slots may be filled before that is noticed.
    package var rangeFills: Int32
}

extension RISCVState {
    package static let hartOffset = (byteCount + 15) & ~15
    /// Slots of ranges, see `SoftRanges`; in whole cache lines.
    package static let rangesOffset = (hartOffset + MemoryLayout<HartStateTail>.size + 63) & ~63
    package static let hartByteCount = rangesOffset + SoftRanges.slotBytes

    static let rangeEpochOffset = hartOffset + MemoryLayout<HartStateTail>.offset(of: \.rangeEpoch)!
    static let rangeFillsOffset = hartOffset + MemoryLayout<HartStateTail>.offset(of: \.rangeFills)!
    var rangeFills: UnsafeMutablePointer<Int32> { (pointer + RISCVState.rangeFillsOffset).assumingMemoryBound(to: Int32.self) }
    var rangeEpoch: UnsafeMutablePointer<UInt32> { (pointer + RISCVState.rangeEpochOffset).assumingMemoryBound(to: UInt32.self) }

    // SAFETY: only for states of machine mode, which are allocated with `hartByteCount` bytes.
    package var hart: UnsafeMutablePointer<HartStateTail> {
        (pointer + RISCVState.hartOffset).assumingMemoryBound(to: HartStateTail.self)
    }
}

extension RISCVHart {
    /// The hart that a state of machine mode belongs to.
    @inline(__always)
    package static func of(_ state: UnsafeMutableRawPointer) -> RISCVHart {
        // SAFETY: the hart outlives its state block, see `Machine.Hart`.
        Unmanaged<RISCVHart>.fromOpaque(RISCVState(state).hart.pointee.owner).takeUnretainedValue()
    }
}

// The assembler's buffer: where bytes go, and what happens when there is no more room.
// One idea: at least 32 bytes always follow the cursor, so that an instruction is stored without checks. Once they do
// not, the cursor moves to a small scratch area, where it goes round until the next `start`; nothing is ever written
// out of bounds, call sites need no error paths, and `finish` reports it once.

/// Emits x86-64 instructions into a region that is written at one address and runs at another.
///
/// A fixed-size handle: copies share the label storage, so use one copy at a time, and call `deallocate` at the end.
/// Instruction methods read like the Intel manual: width first, then destination, then source.
@usableFromInline
package struct Assembler {
    // SAFETY: `advance`, which alone moves `cursor`, keeps at least `slack` bytes behind it, either in the caller's
    // region (`base ..< base + capacity`, which the caller keeps mapped until `finish`) or in `scratch`. No
    // instruction is longer than 15 bytes, and the widest store reaches 8 bytes past its start.
    @usableFromInline var cursor: UnsafeMutableRawPointer
    var limit: UnsafeMutableRawPointer
    @usableFromInline var base: UnsafeMutableRawPointer
    /// Add to a writable address to get the executable one.
    var executableOffset: UInt64 = 0
    @usableFromInline package private(set) var capacity = 0
    /// Fewer than 32 bytes of the region are left: it is too small, and what is emitted from now on is lost.
    @usableFromInline package private(set) var overflowed = true

    let scratch: UnsafeMutableRawPointer
    var labels: UnsafeMutablePointer<LabelState>
    var labelCapacity: Int
    var labelCount: UInt32 = 0
    /// Labels that are referred to and not yet bound.
    var unresolvedLabels = 0
    /// Offsets of the 32-bit displacements to what is known by its address, outside of the region.
    var externals: UnsafeMutablePointer<UInt32>
    var externalCount = 0
    var externalCapacity = 256

    static let slack = 32
    static let scratchSize = 256
    /// Offsets share 32 bits with a 3-bit count in the chains of label references.
    package static let maximumCapacity = 1 << 28

    /// An assembler with storage for `labelCapacity` labels (it grows when more are made). `start` comes next.
    package init(labelCapacity: Int = 1024) {
        scratch = .allocate(byteCount: Assembler.scratchSize, alignment: 16)
        self.labelCapacity = max(labelCapacity, 1)
        labels = .allocate(capacity: self.labelCapacity)
        externals = .allocate(capacity: externalCapacity)
        cursor = scratch
        base = scratch
        limit = scratch + (Assembler.scratchSize - Assembler.slack)
    }

    /// Frees the storage. The handle and its copies must not be used afterwards.
    package func deallocate() {
        scratch.deallocate()
        labels.deallocate()
        externals.deallocate()
    }

    /// Starts afresh: `capacity` bytes, written at `writable`, executed at `executable`. Earlier labels are gone.
    package mutating func start(writable: UnsafeMutableRawPointer, executable: UInt64, capacity: Int) {
        precondition(capacity >= 0 && capacity <= Assembler.maximumCapacity, "code region of \(capacity) bytes")
        base = writable
        cursor = writable
        limit = writable + (capacity - Assembler.slack)
        self.capacity = capacity
        executableOffset = executable &- UInt64(UInt(bitPattern: writable))
        overflowed = false
        labelCount = 0
        unresolvedLabels = 0
        externalCount = 0
        advance(to: writable)
    }

    /// Ends the code. False when the region was too small or a label was used and never bound: discard the code then.
    package func finish() -> Bool { !overflowed && unresolvedLabels == 0 }

    /// Bytes emitted so far; the capacity once the region has overflowed.
    @inlinable package var offset: Int { overflowed ? capacity : cursor - base }

    /// Where the next instruction will run.
    package var executableAddress: UInt64 { executableAddress(atOffset: offset) }

    /// Where the byte at `offset` will run.
    package func executableAddress(atOffset offset: Int) -> UInt64 {
        executableOffset &+ UInt64(UInt(bitPattern: base)) &+ UInt64(truncatingIfNeeded: offset)
    }

    /// `[rip + …]`: a place known by the address at which the code will see it, within 2 GiB of the code.
    package func memory(at address: UInt64) -> Memory {
        let distance = Int64(bitPattern: address &- executableAddress(atOffset: 0))
        guard let displacement = Int32(exactly: distance) else {
            precondition(overflowed, "address \(String(address, radix: 16)) is out of reach of the code")
            return .absolute(0)
        }
        return .relative(Memory.regionForm, displacement)
    }

    /// Where the code, were it moved, would have to be changed: offsets of displacements to places outside of the region.
    package var externalReferences: UnsafeBufferPointer<UInt32> { UnsafeBufferPointer(start: externals, count: externalCount) }

    @inline(__always)
    mutating func noteExternal() {
        if externalCount == externalCapacity { growExternals() }
        externals[externalCount] = UInt32(truncatingIfNeeded: cursor - base)
        externalCount &+= 1
    }

    @inline(never)
    private mutating func growExternals() {
        let larger = UnsafeMutablePointer<UInt32>.allocate(capacity: externalCapacity * 2)
        larger.moveInitialize(from: externals, count: externalCapacity)
        externals.deallocate()
        externals = larger
        externalCapacity *= 2
    }

    // MARK: Raw stores

    /// Moves the cursor past what was stored. The check comes last so that it keeps no operand alive.
    @inline(__always)
    mutating func advance(to end: UnsafeMutableRawPointer) {
        cursor = end
        if end > limit { leaveRegion() }
    }

    @inline(never)
    private mutating func leaveRegion() {
        overflowed = true
        cursor = scratch
        limit = scratch + (Assembler.scratchSize - Assembler.slack)
    }

    @inline(__always)
    mutating func store<Value: FixedWidthInteger>(_ value: Value, length: Int) {
        var place = Place(start: cursor)
        place.store(value, length: length)
        advance(to: place.end)
    }

    @inline(__always)
    mutating func store<Value: FixedWidthInteger>(_ value: Value) {
        store(value, length: MemoryLayout<Value>.size)
    }

    // MARK: Data

    /// One byte of data.
    package mutating func emitByte(_ value: UInt8) {
        store(value)
    }

    /// Four bytes of data, little-endian.
    package mutating func emitLong(_ value: UInt32) {
        store(value)
    }

    /// Eight bytes of data, little-endian.
    package mutating func emitQuad(_ value: UInt64) {
        store(value)
    }

    /// Fills with `nop` until the executable address is a multiple of `alignment`, a power of two.
    package mutating func align(to alignment: Int) {
        precondition(alignment > 0 && alignment & (alignment - 1) == 0, "alignment \(alignment)")
        nop(bytes: Int(truncatingIfNeeded: 0 &- executableAddress) & (alignment - 1))
    }
}

/// One instruction on its way to memory: where it starts and how long it is so far. Both stay in host registers,
/// whereas the assembler's cursor would be read back from memory after every store, which might have changed it for
/// all the compiler knows. The length does not depend on the cursor, so the next instruction need not wait for it.
struct Place {
    // SAFETY: made from the cursor, behind which `advance` keeps room, and used for at most one instruction.
    let start: UnsafeMutableRawPointer
    var length = 0

    @inline(__always) init(start: UnsafeMutableRawPointer) { self.start = start }

    @inline(__always) var end: UnsafeMutableRawPointer { start + length }

    /// Stores the whole of `value` and keeps its low `length` bytes; what lies behind them is overwritten next.
    @inline(__always)
    mutating func store<Value: FixedWidthInteger>(_ value: Value, length kept: Int) {
        start.storeBytes(of: value, toByteOffset: length, as: Value.self)
        length &+= kept
    }

    @inline(__always)
    mutating func store<Value: FixedWidthInteger>(_ value: Value) {
        store(value, length: MemoryLayout<Value>.size)
    }
}

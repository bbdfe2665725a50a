// Which pages of code translated code may go to: a number for each place of the look-aside buffer, which the engine gives to a
// page of memory at a virtual address. A translation that is entered from elsewhere compares it with its own.
//
// Unlike entries of the buffer, numbers are not replaced by pages that are only read; only what changes translations forgets
// them.

import Guest

struct AdmittedCodePages {
    // SAFETY: tables of `SoftTLB.codePageCount` elements each, for three modes, with and without floats that are noticed.
    let numbers: UnsafeMutablePointer<UInt32>
    /// Of the page admitted at a place: its virtual address, and log2 of the size of the page of the page table.
    private let addresses: UnsafeMutablePointer<UInt64>
    private let sizes: UnsafeMutablePointer<UInt8>
    private static let tableCount = 6
    private static let count = SoftTLB.codePageCount * tableCount
    /// The addresses of superpages that were admitted.
    private var superpages = SuperpageRange()
    private var isEmpty = true
    /// `frm` that the numbers are for: translations differ by it.
    private(set) var roundingMode: UInt32 = 0

    init() {
        numbers = .allocate(capacity: AdmittedCodePages.count)
        numbers.initialize(repeating: 0, count: AdmittedCodePages.count)
        addresses = .allocate(capacity: AdmittedCodePages.count)
        addresses.initialize(repeating: 0, count: AdmittedCodePages.count)
        sizes = .allocate(capacity: AdmittedCodePages.count)
        sizes.initialize(repeating: 0, count: AdmittedCodePages.count)
    }

    func deallocate() {
        numbers.deallocate()
        addresses.deallocate()
        sizes.deallocate()
    }

    func table(_ context: RISCVHart.Context, floatIsDirty: Bool) -> UnsafeMutablePointer<UInt32> {
        let mode = context == .machine ? 0 : context == .user ? 2 : 1
        return numbers + (mode * 2 + (floatIsDirty ? 1 : 0)) * SoftTLB.codePageCount
    }

    mutating func admit(
        _ address: UInt64, _ number: UInt32, in table: UnsafeMutablePointer<UInt32>, size: UInt8, roundingMode: UInt32
    ) {
        if roundingMode != self.roundingMode {
            forgetAll()
            self.roundingMode = roundingMode
        }
        let place = (table - numbers) + Int(truncatingIfNeeded: address >> 12 & UInt64(SoftTLB.codePageCount - 1))
        numbers[place] = number
        addresses[place] = address
        sizes[place] = size
        isEmpty = false
        if size > 12 { superpages.include(address, bits: size) }
    }

    mutating func forgetAll() {
        if isEmpty { return }
        numbers.update(repeating: 0, count: AdmittedCodePages.count)
        superpages = SuperpageRange()
        isEmpty = true
    }

    /// The same for the modes of one context.
    func forgetAll(_ context: RISCVHart.Context) {
        if isEmpty { return }
        table(context, floatIsDirty: false).update(repeating: 0, count: SoftTLB.codePageCount * 2)
    }

    mutating func forget(_ address: UInt64) {
        if isEmpty { return }
        let place = Int(truncatingIfNeeded: address >> 12 & UInt64(SoftTLB.codePageCount - 1))
        for table in 0 ..< AdmittedCodePages.tableCount { numbers[table * SoftTLB.codePageCount + place] = 0 }
        guard superpages.contains(address) else { return }
        for index in 0 ..< AdmittedCodePages.count where numbers[index] != 0 {
            if (addresses[index] ^ address) >> UInt64(sizes[index]) == 0 { numbers[index] = 0 }
        }
    }
}

/// From the lowest to the highest address of some superpages: most addresses that are flushed lie elsewhere.
struct SuperpageRange {
    private var low = UInt64.max, high: UInt64 = 0
    var isEmpty: Bool { low > high }

    mutating func include(_ address: UInt64, bits: UInt8) {
        let mask: UInt64 = 1 << UInt64(bits) - 1
        low = min(low, address & ~mask)
        high = max(high, address | mask)
    }

    func contains(_ address: UInt64) -> Bool { address >= low && address <= high }
}

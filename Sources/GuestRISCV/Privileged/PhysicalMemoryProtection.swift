// Physical memory protection: sixteen entries without a larger grain. Volume II, 3.7.

/// Rights as in `pmpcfg`: R 1, W 2, X 4.
package struct MemoryRights: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    static let read = MemoryRights(rawValue: 1)
    static let write = MemoryRights(rawValue: 2)
    static let execute = MemoryRights(rawValue: 4)
}

struct PhysicalMemoryProtection {
    static let entryCount = 16
    private static let lock: UInt8 = 0x80
    private static let addressMask: UInt64 = 1 << 54 - 1

    private(set) var configurations = [UInt8](repeating: 0, count: entryCount)
    private(set) var addresses = [UInt64](repeating: 0, count: entryCount)

    /// An entry that is not off.
    private struct Active {
        var first: UInt64
        /// Inclusive.
        var last: UInt64
        var rights: MemoryRights
        var isLocked: Bool
    }
    private var active: [Active] = []
    /// Everything is allowed to everybody.
    private(set) var isOpen = false

    init() {}

    /// Sixteen of each, as the registers show them.
    init(addresses saved: [UInt64], configurations: [UInt8]) {
        for index in addresses.indices { addresses[index] = saved[index] & PhysicalMemoryProtection.addressMask }
        for first in [0, 8] {
            setConfiguration(from: first, (0 ..< 8).reduce(0) { $0 | UInt64(configurations[first + $1]) << UInt64($1 * 8) })
        }
    }

    // MARK: Registers

    /// `pmpcfg0` or `pmpcfg2`: eight entries from `first` on.
    func configuration(from first: Int) -> UInt64 {
        (0 ..< 8).reduce(0) { $0 | UInt64(configurations[first + $1]) << UInt64($1 * 8) }
    }

    mutating func setConfiguration(from first: Int, _ value: UInt64) {
        for index in 0 ..< 8 where configurations[first + index] & PhysicalMemoryProtection.lock == 0 {
            var new = UInt8(truncatingIfNeeded: value >> UInt64(index * 8)) & 0x9f
            // W without R is reserved.
            if new & 3 == 2 { new &= ~2 }
            configurations[first + index] = new
        }
        update()
    }

    mutating func setAddress(_ index: Int, _ value: UInt64) {
        if configurations[index] & PhysicalMemoryProtection.lock != 0 { return }
        if index + 1 < PhysicalMemoryProtection.entryCount {
            let next = configurations[index + 1]
            if next & PhysicalMemoryProtection.lock != 0 && next >> 3 & 3 == 1 { return }
        }
        addresses[index] = value & PhysicalMemoryProtection.addressMask
        update()
    }

    mutating func allowEverything() {
        addresses[0] = PhysicalMemoryProtection.addressMask
        configurations[0] = 3 << 3 | 7
        update()
    }

    private mutating func update() {
        active.removeAll(keepingCapacity: true)
        for index in 0 ..< PhysicalMemoryProtection.entryCount {
            let configuration = configurations[index], address = addresses[index]
            let first: UInt64, last: UInt64
            switch configuration >> 3 & 3 {
            case 1:
                let low = index == 0 ? 0 : addresses[index - 1]
                if low >= address { continue }
                first = low << 2
                last = address << 2 &- 1
            case 2:
                first = address << 2
                last = first + 3
            case 3:
                // Trailing ones say the size.
                let ones = UInt64((~address).trailingZeroBitCount)
                let low: UInt64 = ones >= 61 ? 0 : address & ~(1 << ones - 1)
                first = low << 2
                last = ones >= 58 ? .max : first &+ (8 << ones - 1)
            default: continue
            }
            active.append(
                Active(
                    first: first, last: last, rights: MemoryRights(rawValue: configuration & 7),
                    isLocked: configuration & 0x80 != 0))
        }
        isOpen = active.first.map { $0.first == 0 && $0.last >> 56 != 0 && $0.rights.rawValue == 7 } ?? false
    }

    // MARK: Checks

    /// Whether the mode may access the range so.
    func allows(_ address: UInt64, _ byteCount: UInt64, _ right: MemoryRights, _ mode: PrivilegeMode) -> Bool {
        if isOpen { return true }
        let last = address &+ (byteCount - 1)
        for entry in active where address <= entry.last && last >= entry.first {
            guard address >= entry.first && last <= entry.last else { return false }
            return (mode == .machine && !entry.isLocked) || entry.rights.contains(right)
        }
        return mode == .machine
    }

    /// Whether one answer holds for the whole page at `page`.
    func isUniform(page: UInt64) -> Bool {
        if isOpen { return true }
        for entry in active where page <= entry.last && page | 4095 >= entry.first {
            return page >= entry.first && page | 4095 <= entry.last
        }
        return true
    }
}

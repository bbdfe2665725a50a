// SBI functions about harts: the base extension (chapter 4), timer (6), interrupts between processors (7), remote fences (8), and
// hart states (9).

/// What the base extension tells about this firmware.
package enum SBIIdentity {
    package static let specification: UInt64 = 2 << 24
    /// Not among the numbers that the specification gives to known firmware.
    package static let implementation: UInt64 = 0x4d_594e
    package static let version: UInt64 = 1
}

extension SBITable {
    mutating func addBase() {
        let base = SBIExtension.base
        function(base, 0, "get_spec_version") { _, _, _ in SBIIdentity.specification }
        function(base, 1, "get_impl_id") { _, _, _ in SBIIdentity.implementation }
        function(base, 2, "get_impl_version") { _, _, _ in SBIIdentity.version }
        function(base, 3, "probe_extension") { sbi, _, arguments in sbi.has(extensionID: arguments[0]) ? 1 : 0 }
        // As the machine's own registers say: all three are zero, "not implemented".
        function(base, 4, "get_mvendorid") { _, _, _ in 0 }
        function(base, 5, "get_marchid") { _, _, _ in 0 }
        function(base, 6, "get_mimpid") { _, _, _ in 0 }
    }

    mutating func addTimerAndInterrupts() {
        function(SBIExtension.time, 0, "set_timer") { sbi, hart, arguments in
            sbi.platform.setTimer(hart: hart, deadline: arguments[0])
            return 0
        }
        function(SBIExtension.interProcessorInterrupt, 0, "send_ipi") { sbi, _, arguments in
            for hart in try sbi.harts(mask: arguments[0], base: arguments[1]) {
                sbi.platform.setSoftwareInterrupt(hart: hart, pending: true)
            }
            return 0
        }
        let fence = SBIExtension.remoteFence
        function(fence, 0, "remote_fence_i") { sbi, hart, arguments in
            sbi.platform.fence(.instructions, harts: try sbi.harts(mask: arguments[0], base: arguments[1]), caller: hart)
            return 0
        }
        function(fence, 1, "remote_sfence_vma") { sbi, hart, arguments in
            let harts = try sbi.harts(mask: arguments[0], base: arguments[1])
            sbi.platform.fence(.addresses(SBI.range(arguments[2], arguments[3]), addressSpace: nil), harts: harts, caller: hart)
            return 0
        }
        function(fence, 2, "remote_sfence_vma_asid") { sbi, hart, arguments in
            let harts = try sbi.harts(mask: arguments[0], base: arguments[1])
            let range = SBI.range(arguments[2], arguments[3])
            sbi.platform.fence(.addresses(range, addressSpace: arguments[4] & 0xffff), harts: harts, caller: hart)
            return 0
        }
        // 3…6 are of hypervisors: there is no H extension, so they are not supported.
    }

    mutating func addHarts() {
        let state = SBIExtension.hartState
        function(state, 0, "hart_start") { sbi, _, arguments in
            let hart = try sbi.hart(arguments[0])
            guard sbi.platform.read(arguments[1], count: 2) != nil else { throw SBIError.invalidAddress }
            guard sbi.platform.start(hart: hart, at: arguments[1], opaque: arguments[2]) else { throw SBIError.alreadyAvailable }
            return 0
        }
        departure(state, 1, "hart_stop") { sbi, hart, _ in
            sbi.platform.stop(hart: hart)
            return nil
        }
        function(state, 2, "hart_get_status") { sbi, _, arguments in sbi.platform.state(of: try sbi.hart(arguments[0])).rawValue }
        departure(state, 3, "hart_suspend") { sbi, hart, arguments in
            let retentive: UInt64 = 0, nonRetentive: UInt64 = 0x8000_0000
            switch arguments[0] & 0xffff_ffff {
            case retentive:
                sbi.platform.suspend(hart: hart, resume: nil)
                return 0
            case nonRetentive:
                guard sbi.platform.read(arguments[1], count: 2) != nil else { throw SBIError.invalidAddress }
                sbi.platform.suspend(hart: hart, resume: (arguments[1], arguments[2]))
                return nil
            case 1...0x0fff_ffff, 0x8000_0001...0x8fff_ffff: throw SBIError.invalidParameter
            case 0x1000_0000...0x7fff_ffff, 0x9000_0000...0xffff_ffff: throw SBIError.notSupported
            default: throw SBIError.invalidParameter
            }
        }
    }
}

extension SBI {
    func hart(_ number: UInt64) throws -> Int {
        guard number < UInt64(platform.hartCount) else { throw SBIError.invalidParameter }
        return Int(number)
    }

    /// The harts that a mask names (3.1): bit n is hart `base` + n; a base of -1 means all of them.
    func harts(mask: UInt64, base: UInt64) throws -> [Int] {
        if base == .max { return Array(0..<platform.hartCount) }
        guard base < UInt64(platform.hartCount) else { throw SBIError.invalidParameter }
        let named = (0..<64).filter { mask >> UInt64($0) & 1 != 0 }.map { Int(base) + $0 }
        guard named.allSatisfy({ $0 < platform.hartCount }) else { throw SBIError.invalidParameter }
        return named
    }

    /// Start and size as remote fences take them: everything when both are 0 or the size is -1.
    static func range(_ start: UInt64, _ size: UInt64) -> Range<UInt64>? {
        if size == .max || size == 0 && start == 0 { return nil }
        let (end, overflow) = start.addingReportingOverflow(size)
        return overflow ? nil : start ..< end
    }
}

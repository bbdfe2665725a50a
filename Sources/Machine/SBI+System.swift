// SBI functions about the whole machine: reset (chapter 10), debug console (12), and the calls of before version 0.2 (5).

extension SBITable {
    mutating func addConsoleAndReset() {
        departure(SBIExtension.systemReset, 0, "system_reset") { sbi, _, arguments in
            let kinds: [UInt64: SBIReset] = [0: .shutdown, 1: .coldReboot, 2: .warmReboot]
            let systemFailure: UInt64 = 1
            let reason = arguments[1] & 0xffff_ffff
            guard let kind = kinds[arguments[0] & 0xffff_ffff], reason <= systemFailure || reason >= 0xe000_0000 else {
                throw SBIError.invalidParameter
            }
            sbi.platform.reset(kind, isFailure: reason == systemFailure)
            return nil
        }
        let console = SBIExtension.debugConsole
        let largest = 1 << 20 // bytes that are taken or given at once; the answer says how many it were
        function(console, 0, "console_write") { sbi, _, arguments in
            guard arguments[2] == 0 else { throw SBIError.invalidParameter }
            let count = Int(min(arguments[0], UInt64(largest)))
            guard count > 0 else { return 0 }
            guard let bytes = sbi.platform.read(arguments[1], count: count) else { throw SBIError.invalidParameter }
            sbi.platform.writeConsole(bytes)
            return UInt64(count)
        }
        function(console, 1, "console_read") { sbi, _, arguments in
            guard arguments[2] == 0 else { throw SBIError.invalidParameter }
            let count = Int(min(arguments[0], UInt64(largest)))
            guard count > 0 else { return 0 }
            // What was typed must not be lost to a bad address.
            guard sbi.platform.read(arguments[1], count: count) != nil else { throw SBIError.invalidParameter }
            let bytes = sbi.platform.readConsole(limit: count)
            guard sbi.platform.write(arguments[1], bytes) else { throw SBIError.invalidParameter }
            return UInt64(bytes.count)
        }
        function(console, 2, "console_write_byte") { sbi, _, arguments in
            sbi.platform.writeConsole([UInt8(truncatingIfNeeded: arguments[0])])
            return 0
        }
    }

    /// Hart masks of these calls lie in the caller's virtual memory; address 0 means all harts.
    static let legacy: [UInt64: SBI.Body] = [
        0: { sbi, hart, arguments in
            sbi.platform.setTimer(hart: hart, deadline: arguments[0])
            return 0
        },
        1: { sbi, _, arguments in
            sbi.platform.writeConsole([UInt8(truncatingIfNeeded: arguments[0])])
            return 0
        },
        2: { sbi, _, _ in sbi.platform.readConsole(limit: 1).first.map(UInt64.init) ?? .max },
        3: { sbi, hart, _ in
            sbi.platform.setSoftwareInterrupt(hart: hart, pending: false)
            return 0
        },
        4: { sbi, hart, arguments in
            for target in try sbi.harts(maskAt: arguments[0], hart: hart) {
                sbi.platform.setSoftwareInterrupt(hart: target, pending: true)
            }
            return 0
        },
        5: { sbi, hart, arguments in
            sbi.platform.fence(.instructions, harts: try sbi.harts(maskAt: arguments[0], hart: hart), caller: hart)
            return 0
        },
        6: { sbi, hart, arguments in
            let range = SBI.range(arguments[1], arguments[2])
            sbi.platform.fence(
                .addresses(range, addressSpace: nil), harts: try sbi.harts(maskAt: arguments[0], hart: hart), caller: hart)
            return 0
        },
        7: { sbi, hart, arguments in
            let range = SBI.range(arguments[1], arguments[2])
            let harts = try sbi.harts(maskAt: arguments[0], hart: hart)
            sbi.platform.fence(.addresses(range, addressSpace: arguments[3] & 0xffff), harts: harts, caller: hart)
            return 0
        },
        8: { sbi, _, _ in
            sbi.platform.reset(.shutdown, isFailure: false)
            return 0
        },
    ]
}

extension SBI {
    fileprivate func harts(maskAt address: UInt64, hart: Int) throws -> [Int] {
        guard address != 0 else { return Array(0..<platform.hartCount) }
        guard let mask = platform.readVirtual(hart: hart, address) else { throw SBIError.invalidAddress }
        return (0..<min(64, platform.hartCount)).filter { mask >> UInt64($0) & 1 != 0 }
    }
}

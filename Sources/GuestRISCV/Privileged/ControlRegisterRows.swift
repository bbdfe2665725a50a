// The control and status registers of machine mode, one row each. A number without a row raises an illegal instruction
// exception, which is how software finds out what there is. Volume II, chapter 2.
//
// The number says who may access it (bits 9 and 8) and whether it is read-only (bits 11 and 10 set).

import Guest

/// What a write to a control register may change.
enum ControlRegisterEffect {
    case none
    /// Which interrupts are taken.
    case interrupts
    /// How memory is accessed, or what instructions do: the loop comes out.
    case context
}

struct ControlRegisterRow {
    let number: Int
    let name: StaticString
    let read: (RISCVHart) -> UInt64
    /// Keeps what the register can hold of the value.
    let write: (RISCVHart, UInt64) -> ControlRegisterEffect
    /// Whether the present mode may access it, where the number does not say all.
    let isAccessible: (RISCVHart) -> Bool
}

enum ControlRegisterMask {
    static let delegableExceptions: UInt64 = 0xb3ff
    static let counters: UInt64 = 0xffff_ffff
}

/// Collects rows.
struct ControlRegisterRows {
    private(set) var rows: [ControlRegisterRow] = []

    /// A register that ignores writes.
    mutating func csr(_ number: Int, _ name: StaticString, _ read: @escaping (RISCVHart) -> UInt64) {
        rows.append(
            ControlRegisterRow(number: number, name: name, read: read, write: { _, _ in .none }, isAccessible: { _ in true }))
    }

    mutating func csr(
        _ number: Int, _ name: StaticString, _ read: @escaping (RISCVHart) -> UInt64,
        write: @escaping (RISCVHart, UInt64) -> ControlRegisterEffect
    ) {
        rows.append(ControlRegisterRow(number: number, name: name, read: read, write: write, isAccessible: { _ in true }))
    }

    mutating func csr(
        _ number: Int, _ name: StaticString, accessible: @escaping (RISCVHart) -> Bool, _ read: @escaping (RISCVHart) -> UInt64,
        write: @escaping (RISCVHart, UInt64) -> ControlRegisterEffect
    ) {
        rows.append(ControlRegisterRow(number: number, name: name, read: read, write: write, isAccessible: accessible))
    }

    /// A register that holds the bits of `mask` and nothing else.
    mutating func word(
        _ number: Int, _ name: StaticString, _ path: ReferenceWritableKeyPath<RISCVHart, UInt64>, mask: UInt64 = .max,
        effect: ControlRegisterEffect = .none
    ) {
        csr(number, name, { $0[keyPath: path] }) { hart, value in
            hart[keyPath: path] = value & mask
            return effect
        }
    }

    mutating func zero(_ number: Int, _ name: StaticString) { csr(number, name, { _ in 0 }) }
}

enum ControlRegisters {
    static let rows: [ControlRegisterRow] = {
        var table = ControlRegisterRows()
        table.addMachineInformation()
        table.addMachineTraps()
        table.addMachineConfiguration()
        table.addProtection()
        table.addMachineCounters()
        table.addSupervisor()
        table.addUserCounters()
        table.addEntropySource()
        return table.rows
    }()

    /// Index of the row of a number; -1 for none.
    private static let places: [Int16] = {
        var result = [Int16](repeating: -1, count: 4096)
        for (index, row) in rows.enumerated() { result[row.number] = Int16(index) }
        return result
    }()

    static func row(_ number: Int) -> ControlRegisterRow? {
        let place = places[number & 4095]
        return place < 0 ? nil : rows[Int(place)]
    }

    /// The row, when the hart may access the register so in its present mode.
    static func row(_ number: Int, for hart: RISCVHart, writes: Bool) -> ControlRegisterRow? {
        guard let row = row(number) else { return nil }
        let lowest = UInt8(truncatingIfNeeded: number >> 8 & 3)
        if hart.privilege.rawValue < lowest { return nil }
        if writes && number >> 10 & 3 == 3 { return nil }
        // What is read is used up.
        if !writes && number == ControlRegister.seed { return nil }
        return row.isAccessible(hart) ? row : nil
    }
}

// The columns of the operations as tables, for what goes over many instructions: a switch over operations is an indirect jump,
// which nobody can predict.

@usableFromInline package struct OpcodeColumns: @unchecked Sendable {
    // SAFETY: an element for each value of a byte, never changed and never freed.
    @usableFromInline let effects: UnsafeMutablePointer<Effects>

    private static let shared: UnsafeMutablePointer<Effects> = {
        let table = UnsafeMutablePointer<Effects>.allocate(capacity: 256)
        table.initialize(repeating: [], count: 256)
        for opcode in Opcode.allCases { table[Int(opcode.rawValue)] = opcode.effects }
        return table
    }()

    package init() { effects = OpcodeColumns.shared }

    /// See `Opcode.effects`.
    @inlinable package func effects(of opcode: Opcode) -> Effects { effects[Int(opcode.rawValue)] }
}

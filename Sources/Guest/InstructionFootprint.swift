// What an instruction does outside the registers, as far as its encoding tells: enough to execute it twice.

package struct InstructionFootprint: Sendable {
    package enum Kind: UInt8, Sendable {
        /// Registers and memory only: when both are put back, it can be executed again.
        case repeatable
        /// Control goes to the outside at this instruction, before it has any effect: a system call, a trap.
        case leaves
        /// What it does depends on more than registers and memory, or others may see it: a clock, an atomic access.
        case outside
    }
    package var kind: Kind
    /// Bytes that it loads from, and stores to, its one address; 0 for none, at most 8.
    package var loadedBytes: UInt8
    package var storedBytes: UInt8
    /// The address is the 64-bit register at this offset in the state plus the displacement.
    package var baseOffset: Int32
    package var displacement: Int32

    package init(_ kind: Kind, loadedBytes: UInt8 = 0, storedBytes: UInt8 = 0, baseOffset: Int32 = 0, displacement: Int32 = 0) {
        self.kind = kind
        self.loadedBytes = loadedBytes
        self.storedBytes = storedBytes
        self.baseOffset = baseOffset
        self.displacement = displacement
    }

    /// The address that the instruction accesses in this state.
    package func address(_ state: UnsafeMutableRawPointer) -> UInt64 {
        state.load(fromByteOffset: Int(baseOffset), as: UInt64.self) &+ UInt64(bitPattern: Int64(displacement))
    }
}

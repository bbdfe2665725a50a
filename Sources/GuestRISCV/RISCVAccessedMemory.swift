// Which memory an instruction is about to access, for watchpoints: loads, stores and atomics.

import Guest

/// What an instruction does with memory, beside being fetched.
package struct AccessedMemory: Equatable, Sendable {
    package var address: UInt64
    package var byteCount: UInt64
    package var isLoad: Bool
    package var isStore: Bool
}

extension DecodedInstruction {
    private static let cacheBlockBytes: UInt64 = 64

    /// The access that executing the instruction in this state makes; nil for none. A store-conditional counts as a store,
    /// whether it will succeed or not.
    package func memoryAccess(_ state: UnsafeMutableRawPointer) -> AccessedMemory? {
        let base = RISCVState(state)[Int(rs1)]
        switch opcode {
        case .lrW: return AccessedMemory(address: base, byteCount: 4, isLoad: true, isStore: false)
        case .lrD: return AccessedMemory(address: base, byteCount: 8, isLoad: true, isStore: false)
        case .scW: return AccessedMemory(address: base, byteCount: 4, isLoad: false, isStore: true)
        case .scD: return AccessedMemory(address: base, byteCount: 8, isLoad: false, isStore: true)
        case .amoswapW, .amoaddW, .amoxorW, .amoandW, .amoorW, .amominW, .amomaxW, .amominuW, .amomaxuW:
            return AccessedMemory(address: base, byteCount: 4, isLoad: true, isStore: true)
        case .amoswapD, .amoaddD, .amoxorD, .amoandD, .amoorD, .amominD, .amomaxD, .amominuD, .amomaxuD:
            return AccessedMemory(address: base, byteCount: 8, isLoad: true, isStore: true)
        case .cboZero:
            return AccessedMemory(
                address: base & ~(Self.cacheBlockBytes - 1), byteCount: Self.cacheBlockBytes, isLoad: false, isStore: true)
        default:
            let footprint = self.footprint
            let byteCount = UInt64(max(footprint.loadedBytes, footprint.storedBytes))
            guard byteCount != 0 else { return nil }
            return AccessedMemory(
                address: footprint.address(state), byteCount: byteCount, isLoad: footprint.loadedBytes != 0,
                isStore: footprint.storedBytes != 0)
        }
    }
}

// A deferred write as plain data, for translations that are kept on disk. Addresses of the guest count from that of the translation.

import IR

package struct StoredDeferredWrite: Sendable {
    private static let constant: UInt8 = 0, guestAddress: UInt8 = 1, register: UInt8 = 2, memory: UInt8 = 3

    private var origin: Int64
    private var offset: Int32
    private var slot: Int16
    private var kind: UInt8
    private var reserved: UInt8 = 0
    private var operands: (Int32, Int32, Int32)
    private var opcodes: (UInt8, UInt8, UInt8)
    private var types: (UInt8, UInt8, UInt8)
    private var details: (UInt8, UInt8, UInt8)
    private var stepCount: UInt8
    private var unused: UInt16 = 0

    package init(_ write: DeferredWrite, of address: UInt64) {
        offset = write.offset
        slot = write.slot
        stepCount = UInt8(write.stepCount)
        let steps = write.steps
        operands = (steps.0.operand, steps.1.operand, steps.2.operand)
        opcodes = (steps.0.opcode.rawValue, steps.1.opcode.rawValue, steps.2.opcode.rawValue)
        types = (steps.0.type.rawValue, steps.1.type.rawValue, steps.2.type.rawValue)
        details = (steps.0.detail, steps.1.detail, steps.2.detail)
        switch write.origin {
        case .constant(let number): (kind, origin) = (StoredDeferredWrite.constant, number)
        case .guestAddress(let number): (kind, origin) = (StoredDeferredWrite.guestAddress, number &- Int64(bitPattern: address))
        case .register(let number): (kind, origin) = (StoredDeferredWrite.register, Int64(number))
        case .memory(let offset): (kind, origin) = (StoredDeferredWrite.memory, Int64(offset))
        }
    }

    /// nil when it makes no sense.
    package func write(of address: UInt64) -> DeferredWrite? {
        let place: DeferredWrite.Place
        switch kind {
        case StoredDeferredWrite.constant: place = .constant(origin)
        case StoredDeferredWrite.guestAddress: place = .guestAddress(origin &+ Int64(bitPattern: address))
        case StoredDeferredWrite.register: place = .register(UInt8(truncatingIfNeeded: origin) & 15)
        case StoredDeferredWrite.memory: place = .memory(Int32(truncatingIfNeeded: origin))
        default: return nil
        }
        guard let first = step(opcodes.0, types.0, details.0, operands.0),
            let second = step(opcodes.1, types.1, details.1, operands.1), let third = step(opcodes.2, types.2, details.2, operands.2),
            Int(stepCount) <= DeferredWrite.longest
        else { return nil }
        return DeferredWrite(
            slot: slot, offset: offset, origin: place, steps: (first, second, third), stepCount: Int(stepCount))
    }

    private func step(_ opcode: UInt8, _ type: UInt8, _ detail: UInt8, _ operand: Int32) -> DeferredWrite.Step? {
        guard let opcode = Opcode(rawValue: opcode), let type = Type(rawValue: type) else { return nil }
        return DeferredWrite.Step(opcode: opcode, type: type, detail: detail, operand: operand)
    }
}

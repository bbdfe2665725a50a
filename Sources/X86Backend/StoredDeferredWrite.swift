// A deferred write as plain data, for translations that are kept on disk. Addresses of the guest count from that of the translation.

import IR

package struct StoredDeferredWrite: Sendable {
    private static let none: UInt8 = 0, constant: UInt8 = 1, guestAddress: UInt8 = 2, register: UInt8 = 3, memory: UInt8 = 4

    private var first: Int64
    private var second: Int64
    /// From the lowest byte: opcode, type, detail, operands; the constant in the upper half.
    private var steps: (UInt64, UInt64, UInt64, UInt64, UInt64)
    private var offset: Int32
    private var slot: Int16
    private var stepCount: UInt8
    /// Of the places: that of the first in the low half, that of the second in the high one.
    private var kinds: UInt8

    package init(_ write: DeferredWrite, of address: UInt64) {
        offset = write.offset
        slot = write.slot
        stepCount = UInt8(write.stepCount)
        let all = write.steps
        steps = (
            StoredDeferredWrite.word(all.0), StoredDeferredWrite.word(all.1), StoredDeferredWrite.word(all.2),
            StoredDeferredWrite.word(all.3), StoredDeferredWrite.word(all.4)
        )
        let firstKind: UInt8, secondKind: UInt8
        (firstKind, first) = StoredDeferredWrite.stored(write.first, address)
        (secondKind, second) = StoredDeferredWrite.stored(write.second, address)
        kinds = firstKind | secondKind << 4
    }

    /// nil when it makes no sense.
    package func write(of address: UInt64) -> DeferredWrite? {
        var write = DeferredWrite(slot: slot, offset: offset)
        guard stepCount <= DeferredWrite.longest, let first = StoredDeferredWrite.place(kinds & 15, first, address),
            let second = StoredDeferredWrite.place(kinds >> 4, second, address)
        else { return nil }
        write.first = first
        write.second = second
        for (index, word) in [steps.0, steps.1, steps.2, steps.3, steps.4].enumerated() where index < stepCount {
            guard let step = StoredDeferredWrite.step(word) else { return nil }
            write.append(step)
        }
        return write
    }

    private static func stored(_ place: DeferredWrite.Place, _ address: UInt64) -> (kind: UInt8, number: Int64) {
        switch place {
        case .none: (none, 0)
        case .constant(let number): (constant, number)
        case .guestAddress(let number): (guestAddress, number &- Int64(bitPattern: address))
        case .register(let number): (register, Int64(number))
        case .memory(let offset): (memory, Int64(offset))
        }
    }

    private static func place(_ kind: UInt8, _ number: Int64, _ address: UInt64) -> DeferredWrite.Place? {
        switch kind {
        case none: DeferredWrite.Place.none
        case constant: .constant(number)
        case guestAddress: .guestAddress(number &+ Int64(bitPattern: address))
        case register: .register(UInt8(truncatingIfNeeded: number) & 15)
        case memory: .memory(Int32(truncatingIfNeeded: number))
        default: nil
        }
    }

    private static func word(_ step: DeferredWrite.Step) -> UInt64 {
        let operation = UInt64(step.opcode.rawValue) | UInt64(step.type.rawValue) << 8
        let operands = UInt64(step.detail) << 16 | UInt64(step.operands.rawValue) << 24
        return operation | operands | UInt64(UInt32(bitPattern: step.constant)) << 32
    }

    private static func step(_ word: UInt64) -> DeferredWrite.Step? {
        guard let opcode = Opcode(rawValue: UInt8(truncatingIfNeeded: word)),
            let type = Type(rawValue: UInt8(truncatingIfNeeded: word >> 8)),
            let operands = DeferredWrite.Step.Operands(rawValue: UInt8(truncatingIfNeeded: word >> 24)),
            DeferredWrite.Step.isBinary(opcode) || DeferredWrite.Step.isUnary(opcode)
        else { return nil }
        return DeferredWrite.Step(
            opcode: opcode, type: type, detail: UInt8(truncatingIfNeeded: word >> 16), operands: operands,
            constant: Int32(truncatingIfNeeded: Int64(bitPattern: word) >> 32))
    }
}

// What the state lacks at a place in the code, and how to make it whole.
//
// A guest register that is written again before the superblock ends need not be written for those who only might look
// meanwhile: a side exit and a fault. The exit does it in its cold code; for a fault the translation keeps a list. Either
// makes the value from where its origin is at that place, by a few steps that the main path then need not take.

import IR

/// A guest register whose value is not in its home or slot yet.
package struct DeferredWrite: Equatable, Sendable {
    /// One pure integer operation on what came before it, with a constant as its second operand.
    struct Step: Equatable, Sendable {
        var opcode = Opcode.nop
        var type = Type.none
        var detail: UInt8 = 0
        var operand: Int32 = 0
    }

    enum Place: Equatable, Sendable {
        case constant(Int64)
        case register(UInt8)
        /// Bytes from the state pointer.
        case memory(Int32)
    }

    static let longest = 3

    var slot: Int16
    /// Of the slot, in bytes from the state pointer.
    package var offset: Int32
    /// What the steps start from.
    var origin: Place
    var steps = (Step(), Step(), Step())
    var stepCount = 0

    package static func == (left: DeferredWrite, right: DeferredWrite) -> Bool {
        left.slot == right.slot && left.origin == right.origin
            && left.stepCount == right.stepCount && left.steps.0 == right.steps.0 && left.steps.1 == right.steps.1
            && left.steps.2 == right.steps.2
    }

    func step(_ index: Int) -> Step { index == 0 ? steps.0 : index == 1 ? steps.1 : steps.2 }

    mutating func append(_ step: Step) {
        switch stepCount {
        case 0: steps.0 = step
        case 1: steps.1 = step
        default: steps.2 = step
        }
        stepCount += 1
    }

    /// The register's value.
    /// - Parameters:
    ///   - register: content of a general register, by number.
    ///   - memory: the 64-bit word at an offset from the state pointer.
    package func value(register: (UInt8) -> UInt64, memory: (Int32) -> UInt64) -> UInt64 {
        var result: UInt64
        switch origin {
        case .constant(let number): result = UInt64(bitPattern: number)
        case .register(let number): result = register(number)
        case .memory(let offset): result = memory(offset)
        }
        for index in 0 ..< stepCount {
            let step = step(index)
            // Words are the low halves of what they are taken from.
            if step.type == .i32 { result &= 0xffff_ffff }
            let operand = UInt64(bitPattern: Int64(step.operand)) & step.type.mask
            result = IntegerEvaluation.result(of: step.opcode, step.type, detail: step.detail, result, operand)
        }
        return result
    }
}

/// Code in which a fault finds writes deferred.
package struct DeferringCode: Sendable {
    /// Bytes from the start of the translation.
    package var code: Range<UInt32>
    /// Indices into the deferred writes.
    package var writes: Range<Int>

    package init(code: Range<UInt32>, writes: Range<Int>) {
        self.code = code
        self.writes = writes
    }
}

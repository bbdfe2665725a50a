// What the state lacks at a place in the code, and how to make it whole.
//
// A guest register that is written again before the superblock ends need not be written for those who only might look
// meanwhile: a side exit and a fault. The exit does it in its cold code; for a fault the translation keeps a list. Either
// makes the value from where its origins are at that place, by a few steps that the main path then need not take.

import IR

/// A guest register whose value is not in its home or slot yet: a small expression of one or two origins.
package struct DeferredWrite: Equatable, Sendable {
    /// One pure integer operation.
    struct Step: Equatable, Sendable {
        enum Operands: UInt8 {
            /// On what came of the first origin, and a constant.
            case first
            /// The same of the second.
            case second
            /// On what came of the first and of the second; the result is in place of the first.
            case both
        }

        var opcode = Opcode.nop
        var type = Type.none
        var detail: UInt8 = 0
        var operands = Operands.first
        var constant: Int32 = 0

        /// Operations that are done later: on two operands, and on one.
        static func isBinary(_ opcode: Opcode) -> Bool {
            switch opcode {
            case .add, .subtract, .and, .or, .xor, .shiftLeft, .shiftRightLogical, .shiftRightArithmetic: true
            default: false
            }
        }
        static func isUnary(_ opcode: Opcode) -> Bool { opcode == .truncate || opcode == .zeroExtend || opcode == .signExtend }
    }

    enum Place: Equatable, Sendable {
        /// There is no such origin.
        case none
        case constant(Int64)
        /// An address that moves with the guest's code.
        case guestAddress(Int64)
        case register(UInt8)
        /// Bytes from the state pointer.
        case memory(Int32)
    }

    static let longest = 5

    var slot: Int16
    /// Of the slot, in bytes from the state pointer.
    package var offset: Int32
    /// What the steps start from.
    var first = Place.none
    var second = Place.none
    private(set) var steps = (Step(), Step(), Step(), Step(), Step())
    private(set) var stepCount = 0

    init(slot: Int16, offset: Int32, first: Place = .none) {
        self.slot = slot
        self.offset = offset
        self.first = first
    }

    package static func == (left: DeferredWrite, right: DeferredWrite) -> Bool {
        left.slot == right.slot && left.first == right.first && left.second == right.second && left.stepCount == right.stepCount
            && left.steps == right.steps
    }

    func step(_ index: Int) -> Step {
        switch index {
        case 0: steps.0
        case 1: steps.1
        case 2: steps.2
        case 3: steps.3
        default: steps.4
        }
    }

    mutating func append(_ step: Step) {
        precondition(stepCount < DeferredWrite.longest, "too many steps")
        switch stepCount {
        case 0: steps.0 = step
        case 1: steps.1 = step
        case 2: steps.2 = step
        case 3: steps.3 = step
        default: steps.4 = step
        }
        stepCount += 1
    }

    /// The register's value.
    /// - Parameters:
    ///   - register: content of a general register, by number.
    ///   - memory: the 64-bit word at an offset from the state pointer.
    package func value(register: (UInt8) -> UInt64, memory: (Int32) -> UInt64) -> UInt64 {
        func content(_ place: Place) -> UInt64 {
            switch place {
            case .none: 0
            case .constant(let number), .guestAddress(let number): UInt64(bitPattern: number)
            case .register(let number): register(number)
            case .memory(let offset): memory(offset)
            }
        }
        var first = content(first), second = content(second)
        for index in 0 ..< stepCount {
            let step = step(index), constant = UInt64(bitPattern: Int64(step.constant))
            switch step.operands {
            case .first: first = DeferredWrite.result(of: step, first, constant)
            case .second: second = DeferredWrite.result(of: step, second, constant)
            case .both: first = DeferredWrite.result(of: step, first, second)
            }
        }
        return first
    }

    /// Words are the low halves of what they are taken from.
    private static func result(of step: Step, _ a: UInt64, _ b: UInt64) -> UInt64 {
        let mask = step.type.mask
        return IntegerEvaluation.result(of: step.opcode, step.type, detail: step.detail, a & mask, b & mask)
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

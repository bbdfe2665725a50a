// How many of a value's low bits say all of it: what is known of its upper ones.

import IR

/// Bounds of a value: its bits from `unsigned` on are zero, and those from `signed` - 1 on are alike.
struct SignificantBits: Equatable {
    /// 0 for a value that is zero, up to the width of its type.
    var unsigned: UInt8
    /// 1 up to the width of its type.
    var signed: UInt8

    init(unsigned: UInt8, signed: UInt8) {
        self.unsigned = unsigned
        self.signed = signed
    }

    /// Of a value of which nothing is known.
    init(_ type: Type) { self.init(width: SignificantBits.width(type)) }

    private init(width: UInt8) { self.init(unsigned: width, signed: width) }

    /// Of an integer that fits so many bits without a sign.
    private init(unsigned: UInt8, _ width: UInt8) {
        self.init(unsigned: min(unsigned, width), signed: min(unsigned &+ 1, width))
    }

    /// Of an integer that fits so many bits with its sign.
    private init(signed: UInt8, _ width: UInt8) { self.init(unsigned: width, signed: max(min(signed, width), 1)) }

    /// Of a constant of an integer type, whose upper bits may be anything.
    init(constant: Int64, _ type: Type) {
        let width = SignificantBits.width(type), shift = 64 - Int64(width)
        let number = (constant << shift) >> shift
        unsigned = number < 0 ? width : UInt8(truncatingIfNeeded: 64 - number.leadingZeroBitCount)
        signed = UInt8(truncatingIfNeeded: 65 - (number < 0 ? ~number : number).leadingZeroBitCount)
    }

    static func width(_ type: Type) -> UInt8 { type.byteCount == 4 ? 32 : 64 }

    /// What holds of either value.
    func union(_ other: SignificantBits) -> SignificantBits {
        SignificantBits(unsigned: max(unsigned, other.unsigned), signed: max(signed, other.signed))
    }

    /// Of the result of an operation, from what is known of its operands; those that it has not do not matter.
    /// - Parameter amount: the second operand, when it is constant.
    init(of i: Instruction, _ a: SignificantBits, _ b: SignificantBits, _ c: SignificantBits, amount: Int64?) {
        let width = SignificantBits.width(i.type)
        self.init(width: width)
        guard i.type.isInteger else { return }
        switch i.opcode {
        case .read: if i.detail2 != 0 { self.init(unsigned: i.detail, signed: i.detail2) }
        case .constant: self.init(constant: i.immediate, i.type)
        case .compare, .floatCompare: self.init(unsigned: 1, width)
        case .countLeadingZeros, .countTrailingZeros, .populationCount: self.init(unsigned: 7, width)
        case .load:
            let bits = UInt8(truncatingIfNeeded: i.access.bytes * 8)
            if i.access.isSigned { self.init(signed: bits, width) } else { self.init(unsigned: bits, width) }
        case .truncate: self = a.reduced(to: 32)
        case .zeroExtend: self.init(unsigned: min(i.detail, a.unsigned), width)
        case .signExtend:
            self.init(signed: min(i.detail, a.signed), width)
            if a.unsigned < i.detail { self.init(unsigned: a.unsigned, width) }
        case .and:
            self.init(unsigned: min(a.unsigned, b.unsigned), width)
            signed = min(signed, max(a.signed, b.signed))
        case .or, .xor, .select: self = i.opcode == .select ? b.union(c) : a.union(b)
        case .add:
            let most = a.union(b)
            self.init(unsigned: min(most.unsigned &+ 1, width), signed: min(most.signed &+ 1, width))
        case .subtract: self.init(signed: max(a.signed, b.signed) &+ 1, width)
        case .multiply: self.init(unsigned: min(a.unsigned &+ b.unsigned, width), signed: min(a.signed &+ b.signed, width))
        case .remainderUnsigned: self.init(unsigned: a.unsigned, width)
        case .divideUnsigned: if let amount, amount != 0 { self.init(unsigned: a.unsigned, width) }
        case .shiftLeft, .shiftRightLogical, .shiftRightArithmetic:
            guard let amount else { return }
            shift(i.opcode, a, by: UInt8(truncatingIfNeeded: amount) & (width &- 1), width)
        default: break
        }
        tighten(width)
    }

    /// What one of the bounds says of the other one.
    private mutating func tighten(_ width: UInt8) {
        if unsigned < width { signed = min(signed, unsigned &+ 1) }
    }

    private mutating func shift(_ opcode: Opcode, _ a: SignificantBits, by amount: UInt8, _ width: UInt8) {
        let rest = a.unsigned > amount ? a.unsigned &- amount : 0
        switch opcode {
        case .shiftLeft:
            self = SignificantBits(unsigned: min(a.unsigned &+ amount, width), signed: min(a.signed &+ amount, width))
        case .shiftRightLogical: self = amount > 0 || a.unsigned < width ? SignificantBits(unsigned: rest, width) : a
        default:
            self = SignificantBits(signed: a.signed > amount ? a.signed &- amount : 1, width)
            if a.unsigned < width { unsigned = rest }
        }
    }

    /// Of the low half.
    func reduced(to width: UInt8) -> SignificantBits {
        SignificantBits(unsigned: min(unsigned, width), signed: min(signed, width))
    }

    /// Whether anything of the operands matters for the bounds of the result.
    static func dependsOnOperands(_ opcode: Opcode) -> Bool {
        switch opcode {
        case .truncate, .zeroExtend, .signExtend, .and, .or, .xor, .select, .add, .subtract, .multiply, .remainderUnsigned,
            .divideUnsigned, .shiftLeft, .shiftRightLogical, .shiftRightArithmetic:
            true
        default: false
        }
    }

    // MARK: Ranges

    /// Whether a comparison of two values of a type holds; nil when their bounds do not tell.
    /// - Parameter right: the second one, when it is constant.
    static func compare(
        _ condition: Condition, _ a: SignificantBits, _ b: SignificantBits, right: Int64?, _ type: Type
    ) -> Bool? {
        let width = width(type)
        func signed(_ condition: Condition) -> Bool? {
            decide(condition, a.signedRange(width), right.map { $0 ... $0 } ?? b.signedRange(width))
        }
        func unsigned(_ condition: Condition) -> Bool? {
            let number = right.map { UInt64(bitPattern: $0) & type.mask }
            return decide(condition, a.unsignedRange(width), number.map { $0 ... $0 } ?? b.unsignedRange(width))
        }
        switch condition {
        case .equal, .notEqual: return nil
        case .lessSigned, .greaterOrEqualSigned, .lessOrEqualSigned, .greaterSigned: return signed(condition)
        case .lessUnsigned: return unsigned(.lessSigned)
        case .greaterOrEqualUnsigned: return unsigned(.greaterOrEqualSigned)
        case .lessOrEqualUnsigned: return unsigned(.lessOrEqualSigned)
        case .greaterUnsigned: return unsigned(.greaterSigned)
        }
    }

    /// Whether it holds for all of the one range and all of the other one.
    private static func decide<Number>(_ condition: Condition, _ a: ClosedRange<Number>, _ b: ClosedRange<Number>) -> Bool? {
        switch condition {
        case .lessSigned: a.upperBound < b.lowerBound ? true : a.lowerBound >= b.upperBound ? false : nil
        case .greaterOrEqualSigned: decide(.lessSigned, a, b).map { !$0 }
        case .greaterSigned: decide(.lessSigned, b, a)
        default: decide(.lessSigned, b, a).map { !$0 }
        }
    }

    private func signedRange(_ width: UInt8) -> ClosedRange<Int64> {
        if unsigned < width { return 0 ... Int64.max >> Int64(63 - unsigned) }
        let greatest = Int64.max >> Int64(64 - signed)
        return ~greatest ... greatest
    }

    private func unsignedRange(_ width: UInt8) -> ClosedRange<UInt64> { 0 ... ~(unsigned < 64 ? ~0 << UInt64(unsigned) : 0) }
}

extension Folder {
    /// Operations that are looked through for what is known of a value.
    private static let depth = 4

    func significantBits(_ value: Value) -> SignificantBits { significantBits(value, Folder.depth) }

    private func significantBits(_ value: Value, _ depth: Int) -> SignificantBits {
        let i = definition(value)
        let count = depth > 0 && SignificantBits.dependsOnOperands(i.opcode) ? i.opcode.operandCount : 0
        let none = SignificantBits(.i64)
        return SignificantBits(
            of: i, count > 0 ? significantBits(i.a, depth - 1) : unknown(i.a), count > 1 ? significantBits(i.b, depth - 1) : none,
            count > 2 ? significantBits(i.c, depth - 1) : none, amount: count > 1 ? constant(i.b) : nil)
    }

    private func unknown(_ value: Value) -> SignificantBits { SignificantBits(value.isNone ? .i64 : type(value)) }
}

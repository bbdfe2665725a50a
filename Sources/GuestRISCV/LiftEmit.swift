// The builder's operations as methods of the lifter.
//
// A call on `builder` itself whose arguments change it (`builder.binary(…, x(1), x(2))`) copies the builder first, and with
// it the table of known registers; a mutating method of the lifter evaluates its arguments before its access begins.

import IR

extension SuperblockLifter {
    mutating func binary(_ opcode: Opcode, _ type: Type, _ a: Value, _ b: Value) -> Value { builder.binary(opcode, type, a, b) }
    mutating func unary(_ opcode: Opcode, _ type: Type, _ a: Value) -> Value { builder.unary(opcode, type, a) }
    mutating func signExtend(_ a: Value, bits: UInt8) -> Value { builder.signExtend(a, bits: bits) }
    mutating func zeroExtend(_ a: Value, bits: UInt8) -> Value { builder.zeroExtend(a, bits: bits) }
    mutating func comparison(_ condition: Condition, _ a: Value, _ b: Value) -> Value { builder.compare(condition, a, b) }
    mutating func select(_ type: Type, _ condition: Value, _ a: Value, _ b: Value) -> Value {
        builder.select(type, condition, a, b)
    }
    mutating func exitIf(_ condition: Value, to target: UInt64) { builder.exitIf(condition, to: target) }

    // MARK: Memory

    mutating func loadValue(_ type: Type, _ access: Access, _ base: Value, offset: Int64) -> Value {
        builder.load(type, access, base, offset: offset)
    }
    mutating func storeValue(_ type: Type, _ access: Access, _ base: Value, offset: Int64, _ value: Value) {
        builder.store(type, access, base, offset: offset, value)
    }
    mutating func atomicValue(_ kind: AtomicKind, _ access: Access, _ address: Value, _ operand: Value) -> Value {
        builder.atomic(kind, .i64, access, address, operand)
    }
    mutating func compareExchange(_ access: Access, _ address: Value, _ expected: Value, _ new: Value) -> Value {
        builder.compareExchange(.i64, access, address, expected, new)
    }

    // MARK: Floating point

    mutating func fused(_ opcode: Opcode, _ type: Type, _ a: Value, _ b: Value, _ c: Value) -> Value {
        builder.fused(opcode, type, a, b, c)
    }
    mutating func floatComparison(_ detail: UInt8, _ a: Value, _ b: Value) -> Value { builder.floatCompare(detail, a, b) }
    mutating func convertToFloat(_ type: Type, _ a: Value, signed: Bool) -> Value {
        builder.integerToFloat(type, a, signed: signed)
    }
    mutating func convertToInteger(_ type: Type, _ a: Value, signed: Bool, _ rounding: Rounding) -> Value {
        builder.floatToInteger(type, a, signed: signed, rounding)
    }
    mutating func roundedToIntegral(_ type: Type, _ a: Value, raisingInexact: Bool, _ rounding: Rounding) -> Value {
        builder.roundToIntegral(type, a, raisingInexact: raisingInexact, rounding)
    }
}

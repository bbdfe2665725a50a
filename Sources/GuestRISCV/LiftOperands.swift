// What all lifts share: register access, constants, and operations that fold constants at once.
//
// Only the folding that address formation needs is done here (`lui`+`addi`, `auipc`+`load`); the rest is the optimiser's.

import IR

extension SuperblockLifter {
    // MARK: Integer registers

    /// The value of an x register.
    mutating func x(_ register: UInt8) -> Value { register == 0 ? builder.i64(0) : builder.read(Int(register)) }

    /// Sets an x register; x0 stays 0.
    mutating func set(_ register: UInt8, _ value: Value) {
        if register != 0 { builder.write(Int(register), value) }
    }

    /// The low 32 bits of an x register, as i32.
    mutating func word(_ register: UInt8) -> Value { low32(x(register)) }

    /// Sets an x register to an i32, sign-extended.
    mutating func setWord(_ register: UInt8, _ value: Value) { set(register, signExtend(value, bits: 32)) }

    // MARK: Constants

    func constantValue(of value: Value) -> Int64? {
        let instruction = builder.function[value]
        return instruction.opcode == .constant ? instruction.immediate : nil
    }

    /// An address that follows from that of the code; constants do not, unless the code is where it is for good.
    func addressValue(of value: Value) -> UInt64? {
        let instruction = builder.function[value]
        let expected: Opcode = builder.function.isMovable ? .guestAddress : .constant
        return instruction.opcode == expected ? UInt64(bitPattern: instruction.immediate) : nil
    }

    mutating func immediate(_ instruction: DecodedInstruction) -> Value { builder.i64(Int64(instruction.immediate)) }

    // MARK: Folding operations

    mutating func low32(_ value: Value) -> Value {
        let definition = builder.function[value]
        if definition.opcode == .constant { return builder.i32(Int32(truncatingIfNeeded: definition.immediate)) }
        let extends = definition.opcode == .signExtend || definition.opcode == .zeroExtend
        if extends && definition.detail == 32 && builder.function[definition.a].type == .i32 { return definition.a }
        return builder.truncate(value)
    }

    mutating func add(_ a: Value, _ b: Value) -> Value {
        let left = constantValue(of: a)
        let right = constantValue(of: b)
        if let left, let right { return builder.i64(left &+ right) }
        if left == 0 { return b }
        if right == 0 { return a }
        if let right, let address = addressValue(of: a) { return builder.guestAddress(address &+ UInt64(bitPattern: right)) }
        if let left, let address = addressValue(of: b) { return builder.guestAddress(address &+ UInt64(bitPattern: left)) }
        return binary(.add, .i64, a, b)
    }

    mutating func add(_ a: Value, _ amount: Int64) -> Value {
        if amount == 0 { return a }
        if let constant = constantValue(of: a) { return builder.i64(constant &+ amount) }
        if let address = addressValue(of: a) { return builder.guestAddress(address &+ UInt64(bitPattern: amount)) }
        return binary(.add, .i64, a, builder.i64(amount))
    }

    mutating func shiftLeft(_ a: Value, by amount: Int64) -> Value {
        if amount == 0 { return a }
        if let constant = constantValue(of: a) { return builder.i64(constant &<< amount) }
        return binary(.shiftLeft, .i64, a, builder.i64(amount))
    }

    /// `and`, `or`, `xor`. Of sign-extended words it is the sign extension of the words' own, which later words then use.
    mutating func logic(_ opcode: Opcode, _ a: Value, _ b: Value) -> Value {
        guard let left = extendedWord(a), let right = extendedWord(b) else { return logic(opcode, .i64, a, b) }
        let word = logic(opcode, .i32, left.isNone ? low32(a) : left, right.isNone ? low32(b) : right)
        return signExtend(word, bits: 32)
    }

    private mutating func logic(_ opcode: Opcode, _ type: Type, _ a: Value, _ b: Value) -> Value {
        if opcode != .and, let amount = rotation(type, a, b) {
            let amount = type == .i32 ? builder.i32(Int32(amount)) : builder.i64(amount)
            return binary(.rotateRight, type, builder.function[a].a, amount)
        }
        return binary(opcode, type, a, b)
    }

    /// The word that a value is the sign extension of; none for a constant that fits, nil for anything else.
    private func extendedWord(_ value: Value) -> Value? {
        let definition = builder.function[value]
        if definition.opcode == .constant { return Int32(exactly: definition.immediate) == nil ? nil : Value.none }
        let isWord = definition.opcode == .signExtend && definition.detail == 32 && builder.function[definition.a].type == .i32
        return isWord ? definition.a : nil
    }

    /// How far to the right something is rotated whose parts, shifted left and right, are `a` and `b`.
    private func rotation(_ type: Type, _ a: Value, _ b: Value) -> Int64? {
        let left = builder.function[a], right = builder.function[b], width = Int64(type.byteCount * 8)
        if left.opcode == .shiftRightLogical, right.opcode == .shiftLeft { return rotation(type, b, a) }
        guard left.opcode == .shiftLeft, right.opcode == .shiftRightLogical, isSame(left.a, right.a),
            let up = constantValue(of: left.b), let down = constantValue(of: right.b), up > 0, up < width, up + down == width
        else { return nil }
        return down
    }

    /// Whether two values are known to be one, or the low words of one.
    private func isSame(_ a: Value, _ b: Value) -> Bool {
        let left = builder.function[a], right = builder.function[b]
        return a == b || (left.opcode == .truncate && right.opcode == .truncate && left.type == right.type && left.a == right.a)
    }

    mutating func zeroExtend32(_ a: Value) -> Value {
        if let constant = constantValue(of: a) { return builder.i64(Int64(UInt32(truncatingIfNeeded: constant))) }
        return zeroExtend(a, bits: 32)
    }

    mutating func not(_ a: Value) -> Value { binary(.xor, .i64, a, builder.i64(-1)) }
}

// Appends instructions to a function, with one method an operation: what lifters write with.
//
// The builder forwards guest registers within a block: a `read` after a `write` or `read` of the same slot gives the known
// value, so that lifters need no bookkeeping; it also keeps one constant per value and type where that is cheap.

@usableFromInline package struct Builder {
    @usableFromInline package let function: Function
    // SAFETY: owned by `function`, which the builder retains; has an element for each of `slotTypes`.
    /// Last known value of each slot in the current block; `Value.none` when unknown.
    @usableFromInline let known: UnsafeMutablePointer<Value>
    @usableFromInline let slotTypes: [Type]
    @usableFromInline var recentConstants: (Value, Value, Value, Value) = (.none, .none, .none, .none)
    private var recentAddress = Value.none

    /// - Parameter slotTypes: the type of each guest register slot.
    package init(function: Function, slotTypes: [Type]) {
        self.function = function
        self.slotTypes = slotTypes
        known = function.slotValues(count: slotTypes.count)
        forgetState()
    }

    // MARK: Blocks

    /// Starts a block at the end of the function and returns its index and its parameters.
    @discardableResult
    package mutating func startBlock(parameters: [Type] = []) -> (index: Int, parameters: [Value]) {
        forgetState()
        recentConstants = (.none, .none, .none, .none)
        recentAddress = .none
        let start = Int32(function.count)
        let values = parameters.map { function.append(Instruction(.parameter, $0)) }
        function.blocks.append(Block(start: start, end: start, parameterCount: Int32(parameters.count)))
        return (function.blocks.count - 1, values)
    }

    private func endBlock(_ terminal: Instruction) {
        function.append(terminal)
        function.blocks[function.blocks.count - 1].end = Int32(function.count)
    }

    private mutating func forgetState() {
        known.update(repeating: .none, count: slotTypes.count)
    }

    @discardableResult
    @inlinable package func emit(_ instruction: Instruction) -> Value { function.append(instruction) }

    // MARK: Structure and state

    /// Marks the start of the guest instruction at `address`.
    @inlinable package func boundary(_ address: UInt64) { emit(Instruction(.boundary, immediate: Int64(bitPattern: address))) }

    @inlinable package mutating func constant(_ type: Type, _ value: Int64) -> Value {
        let masked = type == .i32 ? Int64(Int32(truncatingIfNeeded: value)) : value
        if isConstant(recentConstants.0, type, masked) { return recentConstants.0 }
        if isConstant(recentConstants.1, type, masked) { return recentConstants.1 }
        if isConstant(recentConstants.2, type, masked) { return recentConstants.2 }
        if isConstant(recentConstants.3, type, masked) { return recentConstants.3 }
        let result = emit(Instruction(.constant, type, immediate: masked))
        recentConstants = (result, recentConstants.0, recentConstants.1, recentConstants.2)
        return result
    }
    @inlinable func isConstant(_ candidate: Value, _ type: Type, _ value: Int64) -> Bool {
        if candidate.isNone { return false }
        let instruction = function[candidate]
        return instruction.immediate == value && instruction.type == type
    }
    @inlinable package mutating func i64(_ value: Int64) -> Value { constant(.i64, value) }
    @inlinable package mutating func i32(_ value: Int32) -> Value { constant(.i32, Int64(value)) }

    /// An address that the code being lifted computes from its own. Code in the lowest 4 GiB is taken for code that cannot be
    /// moved.
    package mutating func guestAddress(_ address: UInt64) -> Value {
        let immediate = Int64(bitPattern: address)
        guard function.isMovable else { return i64(immediate) }
        if !recentAddress.isNone, function[recentAddress].immediate == immediate { return recentAddress }
        recentAddress = emit(Instruction(.guestAddress, .i64, immediate: immediate))
        return recentAddress
    }

    @inlinable package mutating func read(_ slot: Int) -> Value {
        precondition(slot >= 0 && slot < slotTypes.count)
        if !known[slot].isNone { return known[slot] }
        let value = emit(Instruction(.read, slotTypes[slot], immediate: Int64(slot)))
        known[slot] = value
        return value
    }

    @inlinable package mutating func write(_ slot: Int, _ value: Value) {
        precondition(slot >= 0 && slot < slotTypes.count)
        if known[slot] == value { return }
        emit(Instruction(.write, slotTypes[slot], a: value, immediate: Int64(slot)))
        known[slot] = value
    }

    // MARK: Integer

    /// Two operands of `type`: arithmetic, logic, shifts.
    @inlinable package func binary(_ opcode: Opcode, _ type: Type, _ a: Value, _ b: Value) -> Value {
        emit(Instruction(opcode, type, a: a, b: b))
    }
    /// One operand: counts, byte swap, float unary.
    @inlinable package func unary(_ opcode: Opcode, _ type: Type, _ a: Value) -> Value { emit(Instruction(opcode, type, a: a)) }
    @inlinable package func add(_ a: Value, _ b: Value) -> Value { binary(.add, .i64, a, b) }
    @inlinable package func truncate(_ a: Value) -> Value { emit(Instruction(.truncate, .i32, a: a)) }
    /// The low `bits` (8, 16, 32) of a, sign-extended to `type`.
    @inlinable package func signExtend(_ a: Value, bits: UInt8, to type: Type = .i64) -> Value {
        emit(Instruction(.signExtend, type, a: a, detail: bits))
    }
    @inlinable package func zeroExtend(_ a: Value, bits: UInt8, to type: Type = .i64) -> Value {
        emit(Instruction(.zeroExtend, type, a: a, detail: bits))
    }
    /// 0 or 1 as i64.
    @inlinable package func compare(_ condition: Condition, _ a: Value, _ b: Value) -> Value {
        emit(Instruction(.compare, .i64, a: a, b: b, detail: condition.rawValue))
    }
    @inlinable package func select(_ type: Type, _ condition: Value, _ a: Value, _ b: Value) -> Value {
        emit(Instruction(.select, type, a: condition, b: a, c: b))
    }

    // MARK: Cryptography

    @inlinable package func aesRound(_ round: AESRound, _ low: Value, _ high: Value) -> Value {
        emit(Instruction(.aesRound, .i64, a: low, b: high, detail: round.rawValue))
    }
    @inlinable package func aesKeyRound(_ a: Value, _ round: Int) -> Value {
        emit(Instruction(.aesKeyRound, .i64, a: a, detail: UInt8(truncatingIfNeeded: round)))
    }
    @inlinable package func sm4Substitute(_ step: SM4Step, _ a: Value) -> Value {
        emit(Instruction(.sm4Substitute, .i32, a: a, detail: step.rawValue))
    }

    // MARK: Memory

    @inlinable package func load(_ type: Type, _ access: Access, _ base: Value, offset: Int64 = 0) -> Value {
        emit(Instruction(.load, type, a: base, detail: access.rawValue, immediate: offset))
    }
    @inlinable package func store(_ type: Type, _ access: Access, _ base: Value, offset: Int64 = 0, _ value: Value) {
        emit(Instruction(.store, type, a: base, c: value, detail: access.rawValue, immediate: offset))
    }
    @inlinable package func atomic(
        _ kind: AtomicKind, _ type: Type, _ access: Access, _ address: Value, _ operand: Value
    ) -> Value {
        emit(Instruction(.atomic, type, a: address, c: operand, detail: access.rawValue, detail2: kind.rawValue))
    }
    @inlinable package func compareExchange(
        _ type: Type, _ access: Access, _ address: Value, _ expected: Value, _ new: Value
    ) -> Value {
        emit(Instruction(.compareExchange, type, a: address, b: expected, c: new, detail: access.rawValue))
    }
    @inlinable package func fence() { emit(Instruction(.fence)) }

    // MARK: Floating point

    @inlinable package func fused(_ opcode: Opcode, _ type: Type, _ a: Value, _ b: Value, _ c: Value) -> Value {
        emit(Instruction(opcode, type, a: a, b: b, c: c))
    }
    /// See `Opcode.floatCompare` for `detail`.
    @inlinable package func floatCompare(_ detail: UInt8, _ a: Value, _ b: Value) -> Value {
        emit(Instruction(.floatCompare, .i64, a: a, b: b, detail: detail))
    }
    @inlinable package func integerToFloat(_ type: Type, _ a: Value, signed: Bool) -> Value {
        emit(Instruction(.integerToFloat, type, a: a, detail: signed ? 1 : 0))
    }
    @inlinable package func floatToInteger(_ type: Type, _ a: Value, signed: Bool, _ rounding: Rounding) -> Value {
        emit(Instruction(.floatToInteger, type, a: a, detail: rounding.rawValue | (signed ? 8 : 0)))
    }
    @inlinable package func roundToIntegral(_ type: Type, _ a: Value, raisingInexact: Bool, _ rounding: Rounding) -> Value {
        emit(Instruction(.roundToIntegral, type, a: a, detail: rounding.rawValue | (raisingInexact ? 8 : 0)))
    }

    // MARK: Vectors

    @inlinable package func broadcast(_ type: Type, _ a: Value) -> Value { emit(Instruction(.broadcast, type, a: a)) }
    @inlinable package func lane(_ index: Int, of a: Value) -> Value {
        emit(Instruction(.lane, function[a].type.element, a: a, detail: UInt8(truncatingIfNeeded: index)))
    }
    @inlinable package func sumLanes(_ a: Value) -> Value { emit(Instruction(.sumLanes, function[a].type.element, a: a)) }
    @inlinable package func anyBit(_ a: Value) -> Value { emit(Instruction(.anyBit, .i64, a: a)) }
    @inlinable package func compareLanes(_ condition: Condition, _ a: Value, _ b: Value) -> Value {
        emit(Instruction(.compare, function[a].type, a: a, b: b, detail: condition.rawValue))
    }
    @inlinable package func anyNaN(_ a: Value) -> Value { emit(Instruction(.anyNaN, .i64, a: a)) }

    // MARK: Control

    /// The interpreter executes the instruction at `address`; every slot is unknown afterwards.
    package mutating func interpretOne(_ address: UInt64) {
        emit(Instruction(.interpretOne, immediate: Int64(bitPattern: address)))
        forgetState()
    }
    /// - Parameter once: see `Opcode.exitIf`.
    @inlinable package func exitIf(_ condition: Value, to target: UInt64, once: Bool = false) {
        emit(Instruction(.exitIf, a: condition, detail: once ? 1 : 0, immediate: Int64(bitPattern: target)))
    }
    package mutating func exit(to target: UInt64, hint: TransferHint = .none, returnAddress: UInt64? = nil) {
        let link = returnAddress.map { guestAddress($0) } ?? .none
        endBlock(Instruction(.exit, b: link, detail: hint.rawValue, immediate: Int64(bitPattern: target)))
    }
    package mutating func exitIndirect(_ target: Value, hint: TransferHint = .none, returnAddress: UInt64? = nil) {
        let link = returnAddress.map { guestAddress($0) } ?? .none
        endBlock(Instruction(.exitIndirect, a: target, b: link, detail: hint.rawValue))
    }
    package func exitTrap(_ reason: TrapReason, at address: UInt64) {
        endBlock(Instruction(.exitTrap, detail: reason.rawValue, immediate: Int64(bitPattern: address)))
    }
    package func jump(_ block: Int, _ arguments: [Value] = []) {
        let start = function.arguments.count
        function.arguments += arguments
        endBlock(Instruction(.jump, a: Value(block), immediate: Int64(start) | Int64(arguments.count) << 32))
    }
    package func branch(
        _ condition: Value, then: Int, _ thenArguments: [Value] = [], else otherwise: Int, _ elseArguments: [Value] = []
    ) {
        let start = function.arguments.count
        function.arguments += thenArguments + elseArguments
        let counts = Int64(thenArguments.count) << 32 | Int64(elseArguments.count) << 48
        endBlock(
            Instruction(.branch, a: condition, b: Value(then), c: Value(otherwise), immediate: Int64(start) | counts))
    }
}

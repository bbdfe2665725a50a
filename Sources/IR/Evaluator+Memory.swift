// Memory operations of the evaluator. Atomics are plain sequences: tests run one thread.

extension Evaluator {
    func address(of instruction: Instruction, _ a: UInt64, _ b: UInt64) -> UInt64 {
        let hasIndex = [.load, .store, .hostAddress].contains(instruction.opcode)
        let index = hasIndex ? b &* UInt64(instruction.access.scale) : 0
        return a &+ index &+ UInt64(bitPattern: instruction.immediate)
    }

    func memoryResult(of instruction: Instruction, _ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
        let access = instruction.access
        // SAFETY: guest addresses are host addresses; the test provides the memory behind them.
        let pointer = UnsafeMutableRawPointer(bitPattern: UInt(address(of: instruction, a, b))).unsafelyUnwrapped
        if instruction.opcode == .store {
            store(pointer, bytes: access.bytes, c)
            return 0
        }
        let raw = load(pointer, bytes: access.bytes)
        let old = access.isSigned ? UInt64(bitPattern: IntegerEvaluation.signExtended(raw, bits: UInt8(access.bytes * 8))) : raw
        switch instruction.opcode {
        case .atomic: store(pointer, bytes: access.bytes, combined(instruction.atomicKind, access.bytes, raw, c))
        case .compareExchange:
            let mask = access.bytes == 8 ? UInt64.max : UInt64(1) << UInt64(access.bytes * 8) &- 1
            if raw == b & mask { store(pointer, bytes: access.bytes, c) }
        default: break
        }
        return old
    }

    private func combined(_ kind: AtomicKind, _ bytes: Int, _ old: UInt64, _ operand: UInt64) -> UInt64 {
        let bits = UInt8(bytes * 8)
        let (x, y) = (IntegerEvaluation.signExtended(old, bits: bits), IntegerEvaluation.signExtended(operand, bits: bits))
        let mask = bytes == 8 ? UInt64.max : UInt64(1) << UInt64(bits) &- 1
        return switch kind {
        case .exchange: operand
        case .add: old &+ operand
        case .and: old & operand
        case .or: old | operand
        case .xor: old ^ operand
        case .minimumSigned: x <= y ? old : operand
        case .maximumSigned: x >= y ? old : operand
        case .minimumUnsigned: old & mask <= operand & mask ? old : operand
        case .maximumUnsigned: old & mask >= operand & mask ? old : operand
        }
    }

    func load(_ pointer: UnsafeRawPointer, bytes: Int) -> UInt64 {
        switch bytes {
        case 1: UInt64(pointer.load(as: UInt8.self))
        case 2: UInt64(pointer.loadUnaligned(as: UInt16.self))
        case 4: UInt64(pointer.loadUnaligned(as: UInt32.self))
        default: pointer.loadUnaligned(as: UInt64.self)
        }
    }

    func store(_ pointer: UnsafeMutableRawPointer, bytes: Int, _ value: UInt64) {
        switch bytes {
        case 1: pointer.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
        case 2: pointer.storeBytes(of: UInt16(truncatingIfNeeded: value), as: UInt16.self)
        case 4: pointer.storeBytes(of: UInt32(truncatingIfNeeded: value), as: UInt32.self)
        default: pointer.storeBytes(of: value, as: UInt64.self)
        }
    }
}

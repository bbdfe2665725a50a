// Lifts of loads, stores and fences.

import IR

extension SuperblockLifter {
    mutating func load(_ i: DecodedInstruction, bytes: Int, signed: Bool) -> Successor {
        let value = loadValue(.i64, Access(bytes: bytes, signed: signed), x(i.rs1), offset: Int64(i.immediate))
        set(i.rd, value)
        return .next
    }

    mutating func store(_ i: DecodedInstruction, bytes: Int) -> Successor {
        storeValue(.i64, Access(bytes: bytes), x(i.rs1), offset: Int64(i.immediate), x(i.rs2))
        return .next
    }

    mutating func loadSingle(_ i: DecodedInstruction) -> Successor {
        let value = loadValue(.f32, Access(bytes: 4), x(i.rs1), offset: Int64(i.immediate))
        setSingle(i.rd, value)
        return .next
    }

    mutating func loadDouble(_ i: DecodedInstruction) -> Successor {
        let value = loadValue(.f64, Access(bytes: 8), x(i.rs1), offset: Int64(i.immediate))
        setDouble(i.rd, value)
        return .next
    }

    /// `fsw` stores the low half of the register whether it is a boxed value or not.
    mutating func storeSingle(_ i: DecodedInstruction) -> Successor {
        let register = double(i.rs2)
        let definition = builder.function[register]
        if definition.opcode == .box {
            storeValue(.f32, Access(bytes: 4), x(i.rs1), offset: Int64(i.immediate), definition.a)
        } else {
            let bits = unary(.bitcast, .i64, register)
            storeValue(.i64, Access(bytes: 4), x(i.rs1), offset: Int64(i.immediate), bits)
        }
        return .next
    }

    mutating func storeDouble(_ i: DecodedInstruction) -> Successor {
        storeValue(.f64, Access(bytes: 8), x(i.rs1), offset: Int64(i.immediate), double(i.rs2))
        return .next
    }

    /// The host's memory order already keeps all but an earlier store before a later load.
    mutating func fence(_ i: DecodedInstruction) -> Successor {
        let writesBefore = (i.immediate >> 4) & 0b0001 != 0
        let readsAfter = i.immediate & 0b0010 != 0
        if writesBefore && readsAfter { builder.fence() }
        return .next
    }
}

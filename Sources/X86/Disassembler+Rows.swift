// One row an instruction form, in the order of the opcode maps (Intel 64 manual, volume 2, appendix A.3).

enum DisassemblyTable {
    static let rows: [OpcodePlace: [DisassemblyRow]] = {
        var t = DisassemblyRows()
        t.oneByteMap()
        t.groups()
        t.twoByteMap()
        t.moves()
        t.floatArithmetic()
        t.conversions()
        t.packedIntegers()
        t.bitManipulation()
        t.fused()
        return t.rows
    }()
}

struct DisassemblyRows {
    var rows: [OpcodePlace: [DisassemblyRow]] = [:]
    static let conditions = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"]

    mutating func row(_ place: OpcodePlace, _ mnemonic: String, _ operands: String, _ digit: UInt8? = nil) {
        rows[place, default: []].append(
            DisassemblyRow(mnemonic: mnemonic, operands: operands.split(separator: ",").map(String.init), digit: digit))
    }
    mutating func one(_ opcode: UInt8, _ mnemonic: String, _ operands: String = "", digit: UInt8? = nil) {
        row(OpcodePlace(map: 0, prefix: 0, opcode: opcode), mnemonic, operands, digit)
    }
    mutating func two(
        _ opcode: UInt8, _ mnemonic: String, _ operands: String = "", digit: UInt8? = nil, _ prefix: OpcodePrefix = .none
    ) {
        row(OpcodePlace(map: 1, prefix: prefix.rawValue, opcode: opcode), mnemonic, operands, digit)
    }
    mutating func legacy(
        _ map: OpcodeMap, _ prefix: OpcodePrefix, _ opcode: UInt8, _ mnemonic: String, _ operands: String, digit: UInt8? = nil
    ) {
        row(OpcodePlace(map: map.rawValue, prefix: prefix.rawValue, opcode: opcode), mnemonic, operands, digit)
    }
    mutating func vex(
        _ map: OpcodeMap, _ prefix: OpcodePrefix, _ opcode: UInt8, _ mnemonic: String, _ operands: String, digit: UInt8? = nil
    ) {
        row(OpcodePlace(map: map.rawValue, prefix: prefix.rawValue, opcode: opcode, isVEX: true), mnemonic, operands, digit)
    }
    /// Both encodings, with the same operands but for the vector length.
    mutating func both(_ map: OpcodeMap, _ prefix: OpcodePrefix, _ opcode: UInt8, _ mnemonic: String, _ operands: String) {
        legacy(map, prefix, opcode, mnemonic, operands)
        vex(map, prefix, opcode, "v" + mnemonic.split(separator: "|").joined(separator: "|v"), operands)
    }
    /// Both encodings of an operation on two vectors; with VEX the destination is an operand of its own.
    mutating func binary(
        _ map: OpcodeMap, _ prefix: OpcodePrefix, _ opcode: UInt8, _ mnemonic: String, _ source: String = "Wx",
        _ more: String = ""
    ) {
        let size = source == "Wx" ? "x" : "o"
        legacy(map, prefix, opcode, mnemonic, "V\(size),\(source)\(more)")
        vex(map, prefix, opcode, "v" + mnemonic, "V\(size),H\(size),\(source)\(more)")
    }

    // MARK: General instructions

    mutating func oneByteMap() {
        for (number, name) in ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"].enumerated() {
            let first = UInt8(number * 8)
            one(first, name, "Eb,Gb")
            one(first + 1, name, "Ev,Gv")
            one(first + 2, name, "Gb,Eb")
            one(first + 3, name, "Gv,Ev")
            one(first + 4, name, "al,Ib")
            one(first + 5, name, "Av,Iz")
            one(0x80, name, "Eb,Ib", digit: UInt8(number))
            one(0x81, name, "Ev,Iz", digit: UInt8(number))
            one(0x83, name, "Ev,Is", digit: UInt8(number))
        }
        for register in 0 ..< 8 as Range<UInt8> {
            one(0x50 + register, "push", "Zq")
            one(0x58 + register, "pop", "Zq")
            one(0xB0 + register, "mov", "Zb,Ib")
            one(0xB8 + register, "mov|movabs", "Zv,Iv")
        }
        one(0x63, "movsxd", "Gv,Ed")
        one(0x68, "push", "Ip")
        one(0x69, "imul", "Gv,Ev,Iz")
        one(0x6A, "push", "Ir")
        one(0x6B, "imul", "Gv,Ev,Is")
        for (number, name) in DisassemblyRows.conditions.enumerated() { one(0x70 + UInt8(number), "j" + name, "Jb") }
        one(0x84, "test", "Eb,Gb")
        one(0x85, "test", "Ev,Gv")
        one(0x86, "xchg", "Eb,Gb")
        one(0x87, "xchg", "Ev,Gv")
        one(0x88, "mov", "Eb,Gb")
        one(0x89, "mov", "Ev,Gv")
        one(0x8A, "mov", "Gb,Eb")
        one(0x8B, "mov", "Gv,Ev")
        one(0x8D, "lea", "Gv,Mn")
        one(0x90, "nop")
        row(OpcodePlace(map: 0, prefix: OpcodePrefix.xF3.rawValue, opcode: 0x90), "pause", "")
        one(0x99, "cdq|cqo")
        one(0x9C, "pushf")
        one(0x9D, "popf")
        one(0x9E, "sahf")
        one(0x9F, "lahf")
        one(0xA8, "test", "al,Ib")
        one(0xA9, "test", "Av,Iz")
        one(0xC2, "ret", "Iw")
        one(0xC3, "ret")
        one(0xCC, "int3")
        one(0xE8, "call", "Jz")
        one(0xE9, "jmp", "Jz")
        one(0xEB, "jmp", "Jb")
        one(0xF5, "cmc")
        one(0xF8, "clc")
        one(0xF9, "stc")
    }

    /// Opcodes that the register field of ModRM belongs to.
    mutating func groups() {
        for (number, name) in ["rol", "ror", "rcl", "rcr", "shl", "shr", "", "sar"].enumerated() where !name.isEmpty {
            let digit = UInt8(number)
            one(0xC0, name, "Eb,Ib", digit: digit)
            one(0xC1, name, "Ev,Ib", digit: digit)
            one(0xD0, name, "Eb,1", digit: digit)
            one(0xD1, name, "Ev,1", digit: digit)
            one(0xD2, name, "Eb,cl", digit: digit)
            one(0xD3, name, "Ev,cl", digit: digit)
        }
        one(0x8F, "pop", "Eq", digit: 0)
        one(0xC6, "mov", "Eb,Ib", digit: 0)
        one(0xC7, "mov", "Ev,Iz", digit: 0)
        one(0xF6, "test", "Eb,Ib", digit: 0)
        one(0xF7, "test", "Ev,Iz", digit: 0)
        for (number, name) in ["not", "neg", "mul", "imul", "div", "idiv"].enumerated() {
            one(0xF6, name, "Eb", digit: UInt8(number) + 2)
            one(0xF7, name, "Ev", digit: UInt8(number) + 2)
        }
        one(0xFE, "inc", "Eb", digit: 0)
        one(0xFE, "dec", "Eb", digit: 1)
        one(0xFF, "inc", "Ev", digit: 0)
        one(0xFF, "dec", "Ev", digit: 1)
        one(0xFF, "call", "Eq", digit: 2)
        one(0xFF, "jmp", "Eq", digit: 4)
        one(0xFF, "push", "Eq", digit: 6)
        for (number, name) in ["bt", "bts", "btr", "btc"].enumerated() {
            two(0xBA, name, "Ev,Ib", digit: UInt8(number) + 4)
            two(0xA3 + UInt8(number) * 8, name, "Ev,Gv")
        }
        two(0xC7, "cmpxchg8b|cmpxchg16b", "MO", digit: 1)
        two(0xAE, "ldmxcsr", "Md", digit: 2)
        two(0xAE, "stmxcsr", "Md", digit: 3)
        two(0xAE, "lfence", digit: 5)
        two(0xAE, "mfence", digit: 6)
        two(0xAE, "sfence", digit: 7)
    }

    mutating func twoByteMap() {
        two(0x05, "syscall")
        two(0x0B, "ud2")
        two(0x1E, "endbr64", digit: 7, .xF3)
        two(0x1F, "nop", "Ev", digit: 0)
        two(0x31, "rdtsc")
        two(0xA2, "cpuid")
        for (number, name) in DisassemblyRows.conditions.enumerated() {
            two(0x40 + UInt8(number), "cmov" + name, "Gv,Ev")
            two(0x80 + UInt8(number), "j" + name, "Jz")
            two(0x90 + UInt8(number), "set" + name, "Eb")
        }
        two(0xA4, "shld", "Ev,Gv,Ib")
        two(0xA5, "shld", "Ev,Gv,cl")
        two(0xAC, "shrd", "Ev,Gv,Ib")
        two(0xAD, "shrd", "Ev,Gv,cl")
        two(0xAF, "imul", "Gv,Ev")
        two(0xB0, "cmpxchg", "Eb,Gb")
        two(0xB1, "cmpxchg", "Ev,Gv")
        two(0xC0, "xadd", "Eb,Gb")
        two(0xC1, "xadd", "Ev,Gv")
        two(0xB6, "movzx", "Gv,Eb")
        two(0xB7, "movzx", "Gv,Ew")
        two(0xBE, "movsx", "Gv,Eb")
        two(0xBF, "movsx", "Gv,Ew")
        two(0xBC, "bsf", "Gv,Ev")
        two(0xBD, "bsr", "Gv,Ev")
        two(0xB8, "popcnt", "Gv,Ev", .xF3)
        two(0xBC, "tzcnt", "Gv,Ev", .xF3)
        two(0xBD, "lzcnt", "Gv,Ev", .xF3)
        for register in 0 ..< 8 as Range<UInt8> { two(0xC8 + register, "bswap", "Zv") }
    }

    mutating func bitManipulation() {
        vex(.x0F38, .none, 0xF2, "andn", "Gy,By,Ey")
        vex(.x0F38, .none, 0xF3, "blsr", "By,Ey", digit: 1)
        vex(.x0F38, .none, 0xF3, "blsmsk", "By,Ey", digit: 2)
        vex(.x0F38, .none, 0xF3, "blsi", "By,Ey", digit: 3)
        vex(.x0F38, .none, 0xF5, "bzhi", "Gy,Ey,By")
        vex(.x0F38, .xF3, 0xF5, "pext", "Gy,By,Ey")
        vex(.x0F38, .xF2, 0xF5, "pdep", "Gy,By,Ey")
        vex(.x0F38, .xF2, 0xF6, "mulx", "Gy,By,Ey")
        vex(.x0F38, .none, 0xF7, "bextr", "Gy,Ey,By")
        vex(.x0F38, .x66, 0xF7, "shlx", "Gy,Ey,By")
        vex(.x0F38, .xF3, 0xF7, "sarx", "Gy,Ey,By")
        vex(.x0F38, .xF2, 0xF7, "shrx", "Gy,Ey,By")
        vex(.x0F3A, .xF2, 0xF0, "rorx", "Gy,Ey,Ib")
        legacy(.x0F38, .none, 0xF0, "movbe", "Gv,Mv")
        legacy(.x0F38, .none, 0xF1, "movbe", "Mv,Gv")
    }
}

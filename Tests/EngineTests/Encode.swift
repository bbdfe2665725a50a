// Guest code by hand: encodings, and programs whose branches name places.

/// A few encodings.
enum Encode {
    static func immediate(_ opcode: UInt32, _ function: UInt32, _ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 {
        opcode | rd << 7 | function << 12 | rs1 << 15 | UInt32(bitPattern: value) << 20
    }
    static func addi(_ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 { immediate(0x13, 0, rd, rs1, value) }
    static func ld(_ rd: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { immediate(0x03, 3, rd, rs1, offset) }
    static func sd(_ rs2: UInt32, _ rs1: UInt32) -> UInt32 { 0x23 | 3 << 12 | rs1 << 15 | rs2 << 20 }
    static func jal(_ rd: UInt32, _ distance: Int32) -> UInt32 { 0x6f | rd << 7 | GuestAssembler.jumpOffset(distance) }
    static func branch(_ function: UInt32, _ left: UInt32, _ right: UInt32, _ distance: Int32) -> UInt32 {
        0x63 | function << 12 | left << 15 | right << 20 | GuestAssembler.branchOffset(distance)
    }
    static func load(_ function: UInt32, _ rd: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 {
        immediate(0x03, function, rd, rs1, offset)
    }
    static func lbu(_ rd: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { load(4, rd, rs1, offset) }
    static func store(_ opcode: UInt32, _ function: UInt32, _ rs2: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: offset)
        return opcode | function << 12 | (bits & 31) << 7 | rs1 << 15 | rs2 << 20 | (bits >> 5 & 127) << 25
    }
    static func sb(_ rs2: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 { store(0x23, 0, rs2, rs1, offset) }
    static func register(_ function3: UInt32, _ function7: UInt32, _ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 {
        0x33 | function7 << 25 | function3 << 12 | rd << 7 | rs1 << 15 | rs2 << 20
    }
    static func add(_ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 { register(0, 0, rd, rs1, rs2) }
    static func mul(_ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 { register(0, 1, rd, rs1, rs2) }
    /// fadd, fsub, fmul, fdiv (0...3) of f32 or f64 (0, 1).
    static func float(_ operation: UInt32, _ format: UInt32, _ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 {
        0x53 | (operation << 2 | format) << 25 | 7 << 12 | rd << 7 | rs1 << 15 | rs2 << 20
    }
    /// flw, fld (2, 3).
    static func floatLoad(_ function: UInt32, _ rd: UInt32, _ rs1: UInt32, _ offset: Int32) -> UInt32 {
        immediate(0x07, function, rd, rs1, offset)
    }
    /// csrr rd, fflags
    static func readFlags(_ rd: UInt32) -> UInt32 { immediate(0x73, 2, rd, 0, 1) }
    static func jr(_ rs1: UInt32) -> UInt32 { 0x67 | rs1 << 15 }
}

func program(_ words: [UInt32], _ registers: [Int: UInt64] = [:]) -> GuestProgram {
    var start = [UInt64](repeating: 0, count: 64)
    for (register, value) in registers { start[register] = value }
    return GuestProgram(
        seed: 0, items: words.map { ProgramItem(content: .plain($0, byteCount: 4)) }, words: start, roundingMode: 0)
}

/// Items in the making: branches name the items that they go to.
struct ItemList {
    private(set) var items: [ProgramItem] = []
    var here: Int { items.count }

    mutating func words(_ words: UInt32...) {
        for word in words { items.append(ProgramItem(content: .plain(word, byteCount: 4))) }
    }

    /// A branch (function 0 eq, 1 ne, 4 lt, 5 ge) back to `target`, or to where `land` says.
    @discardableResult
    mutating func branch(_ function: UInt32, _ left: UInt32, _ right: UInt32, to target: Int = 0) -> Int {
        items.append(ProgramItem(content: .branch(0x63 | function << 12 | left << 15 | right << 20, target: target)))
        return items.count - 1
    }

    mutating func jump(to target: Int) { items.append(ProgramItem(content: .jump(0x6f, target: target))) }

    /// Bytes that are not executed.
    mutating func gap(_ byteCount: Int) { items.append(ProgramItem(content: .padding(byteCount: byteCount))) }

    /// `jal ra` to an item, or to where `land(call:)` says.
    mutating func call(_ target: Int) { items.append(ProgramItem(content: .jump(0x6f | 1 << 7, target: target))) }
    mutating func land(call item: Int) { items[item].content = .jump(0x6f | 1 << 7, target: items.count) }

    mutating func address(_ register: UInt32, of target: Int) {
        items.append(ProgramItem(content: .address(register: register, target: target)))
    }

    /// Writes `bits` over the item, then `fence.i`; uses x30 and x31.
    mutating func patch(_ target: Int, _ bits: UInt32) { items.append(ProgramItem(content: .patch(target: target, bits: bits))) }

    /// The branch goes here.
    mutating func land(_ branch: Int) {
        guard case .branch(let bits, _) = items[branch].content else { preconditionFailure("no branch") }
        items[branch].content = .branch(bits, target: items.count)
    }

    func program(_ registers: [Int: UInt64] = [:]) -> GuestProgram {
        var start = [UInt64](repeating: 0, count: 64)
        for (register, value) in registers { start[register] = value }
        return GuestProgram(seed: 0, items: items, words: start, roundingMode: 0)
    }
}

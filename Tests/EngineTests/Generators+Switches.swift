// Loops around jumps to one of many places, as interpreters are: one jump for all operations, or one behind each of them; by a
// table of jumps, or to operations of equal size. Where they go is at random, or changes with time; operations branch, loop,
// call, and change code.

import GuestRISCV

struct SwitchMaker {
    enum Special { case none, changesCode, leavesMemory }

    private let instructions: RandomInstruction
    private let special: Special
    private var items: [ProgramItem] = []
    private var endJumps: [Int] = []
    /// `address` items that are to load that of the operations, or of the table.
    private var tableLoads: [Int] = []
    private var calls: [Int] = []
    private var patches: [(item: Int, bits: UInt32)] = []
    private let count: Int
    /// Operations are of equal size, and jumped to without a table.
    private let isComputed: Bool
    private let isTableFirst: Bool
    /// Of an operation, when all are of equal size: instructions of four bytes, as a power of two.
    private static let stride = 3

    private static let (returnAddress, scratch, index): (UInt32, UInt32, UInt32) = (1, 6, 28)
    private static let kept: Set<UInt8> = [1, 5]

    init(instructions: RandomInstruction, special: Special, _ random: inout FuzzRandom) {
        self.instructions = instructions
        self.special = special
        isComputed = random.chance(oneIn: 3)
        // Branches reach the end.
        count = random.pick(isComputed ? [2, 4, 8, 16, 32] : [2, 4, 4, 8, 16])
        isTableFirst = random.chance(oneIn: 3)
    }

    mutating func make(_ random: inout FuzzRandom) -> [ProgramItem] {
        for _ in 0 ..< random.below(4) { computation(&random) }
        var table = 0, enter = 0
        if isTableFirst, !isComputed {
            enter = items.count
            add(.jump(0x6f, target: 0))
            table = addTable()
            items.retarget(enter, items.count)
        }
        let head = items.count
        for _ in 0 ..< random.below(3) { computation(&random) }
        dispatch(&random)
        if !isTableFirst, !isComputed { table = addTable() }
        if isComputed { table = items.count }
        for operation in 0 ..< count {
            if !isComputed { items.retarget(table + operation, random.chance(oneIn: 8) ? head : items.count) }
            if isComputed { equalOperation(head, &random) } else { self.operation(head, &random) }
        }
        add(.jump(0x6f, target: head))
        let callee = items.count
        for _ in 0 ..< 1 + random.below(3) { computation(&random) }
        word(Encode.jr(SwitchMaker.returnAddress))
        for item in tableLoads { items[item].content = .address(register: SwitchMaker.scratch, target: table) }
        for item in calls { items.retarget(item, callee) }
        for item in endJumps { items.retarget(item, items.count) }
        for (item, bits) in patches {
            let candidates = items.indices.filter(mayChange)
            items[item].content =
                candidates.isEmpty ? .plain(0x13, byteCount: 4) : .patch(target: random.pick(candidates), bits: bits)
        }
        return items
    }

    // MARK: Items

    private mutating func add(_ content: ProgramItem.Content) { items.append(ProgramItem(content: content)) }
    private mutating func word(_ bits: UInt32) { add(.plain(bits, byteCount: 4)) }

    /// - Parameter isWide: of four bytes.
    private mutating func computation(_ random: inout FuzzRandom, isWide: Bool = false) {
        add(instructions.computation(&random, keeping: SwitchMaker.kept, isWide: isWide))
    }

    private mutating func addTable() -> Int {
        let table = items.count
        for _ in 0 ..< count { add(.jump(0x6f, target: 0)) }
        return table
    }

    // MARK: Jumping

    /// Counts the fuel, and jumps to an operation.
    private mutating func dispatch(_ random: inout FuzzRandom) {
        burn()
        let mask = Int32(count - 1)
        switch random.below(4) {
        case 0:
            // The next in turn.
            word(Encode.immediate(0x13, 7, SwitchMaker.index, PointerRegister.fuel, mask))
        case 1:
            // Few at a time, others later.
            word(Encode.immediate(0x13, 5, SwitchMaker.index, PointerRegister.fuel, 5))
            if random.chance(oneIn: 2) { word(Encode.add(SwitchMaker.index, SwitchMaker.index, UInt32(10 + random.below(8)))) }
            word(Encode.immediate(0x13, 7, SwitchMaker.index, SwitchMaker.index, mask))
        default:
            let chosen = UInt32(10 + random.below(12))
            if random.chance(oneIn: 2) {
                word(Encode.add(SwitchMaker.index, chosen, PointerRegister.fuel))
                word(Encode.immediate(0x13, 7, SwitchMaker.index, SwitchMaker.index, mask))
            } else {
                word(Encode.immediate(0x13, 7, SwitchMaker.index, chosen, mask))
            }
        }
        tableLoads.append(items.count)
        add(.address(register: SwitchMaker.scratch, target: 0))
        word(Encode.immediate(0x13, 1, SwitchMaker.index, SwitchMaker.index, Int32(isComputed ? SwitchMaker.stride + 2 : 2)))
        word(Encode.add(SwitchMaker.scratch, SwitchMaker.scratch, SwitchMaker.index))
        // Bit 0 of a target is ignored.
        let isOdd = random.chance(oneIn: 6)
        if isOdd { word(Encode.immediate(0x13, 6, SwitchMaker.scratch, SwitchMaker.scratch, 1)) }
        word(Encode.immediate(0x67, 0, 0, SwitchMaker.scratch, !isOdd && random.chance(oneIn: 8) ? 1 : 0))
    }

    private mutating func burn() {
        word(Encode.addi(PointerRegister.fuel, PointerRegister.fuel, -1))
        endJumps.append(items.count)
        add(.branch(0x63 | 5 << 12 | PointerRegister.fuel << 20, target: 0))
    }

    // MARK: Operations

    /// One of the same size as all.
    private mutating func equalOperation(_ head: Int, _ random: inout FuzzRandom) {
        let filling = (1 << SwitchMaker.stride) - 1, wanted = random.below(filling + 1)
        for _ in 0 ..< wanted { computation(&random, isWide: true) }
        add(.jump(0x6f, target: head))
        if wanted < filling { add(.padding(byteCount: (filling - wanted) * 4)) }
    }

    private mutating func operation(_ head: Int, _ random: inout FuzzRandom) {
        let start = items.count
        for _ in 0 ..< random.below(4) { computation(&random) }
        if special == .leavesMemory, !random.chance(oneIn: 3) { items.append(walk(&random)) }
        if special == .changesCode, random.chance(oneIn: 4) { patch(&random) }
        switch random.below(8) {
        case 0:
            let over = items.count
            add(.branch(branchBits(&random), target: 0))
            for _ in 0 ..< 1 + random.below(3) { computation(&random) }
            items.retarget(over, items.count)
        case 1:
            burn()
            add(.branch(branchBits(&random), target: start))
        case 2:
            calls.append(items.count)
            add(.jump(0x6f | SwitchMaker.returnAddress << 7, target: 0))
        case 3: add(.branch(branchBits(&random), target: head))
        default: break
        }
        // On to the next operation, to the one jump, or by a jump of its own.
        switch random.below(5) {
        case 0: break
        case 1, 2: add(.jump(0x6f, target: head))
        default: dispatch(&random)
        }
    }

    private func branchBits(_ random: inout FuzzRandom) -> UInt32 {
        0x63 | random.pick([0, 1, 4, 5, 6, 7] as [UInt32]) << 12 | UInt32(random.below(32)) << 15 | UInt32(random.below(32)) << 20
    }

    /// Overwrites a computation anywhere in the program.
    private mutating func patch(_ random: inout FuzzRandom) {
        computation(&random, isWide: true)
        guard case .plain(let bits, _) = items[items.count - 1].content else { return }
        patches.append((items.count - 1, bits))
    }

    private func mayChange(_ item: Int) -> Bool {
        // What is to become a patch is not whole where it would be changed.
        guard case .plain(let old, 4) = items[item].content, !patches.contains(where: { $0.item == item }) else { return false }
        let instruction = RISCVDecoder.decode(old), destination = UInt32(instruction.rd)
        let matters = [SwitchMaker.scratch, SwitchMaker.index].contains(destination) || SwitchMaker.kept.contains(instruction.rd)
            || PointerRegister.isReserved(instruction.rd)
        return !instruction.opcode.transfersControl && instruction.opcode.hasDestination && !matters
    }
}

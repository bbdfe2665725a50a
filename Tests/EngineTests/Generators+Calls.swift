// Loops around calls: nested, recursive, through registers, in tail position, by the alternate link register; callees that return
// to other places, leave several frames at once, branch to one of several places by a register, or change code of theirs or of
// their callers.

import GuestRISCV

struct CallMaker {
    enum Special { case none, changesCode, leavesMemory }

    private let instructions: RandomInstruction
    private let special: Special
    private var items: [ProgramItem] = []
    private var functionStarts: [Int] = []
    /// Items that lead to a function, or to the end.
    private var callSites: [(item: Int, function: Int)] = []
    private var endJumps: [Int] = []
    private let functionCount: Int
    /// The link register of the last function, which calls nobody.
    private let lastLink: UInt32
    private var patches: [(item: Int, bits: UInt32)] = []

    private static let (returnAddress, alternate, stack): (UInt32, UInt32, UInt32) = (1, 5, 2)
    private static let (scratch, index): (UInt32, UInt32) = (6, 28)
    /// Where functions that give up go, and the stack there.
    private static let (landing, landingStack): (UInt32, UInt32) = (25, 24)
    private static let frameBytes: Int32 = 32
    private static let kept: Set<UInt8> = [1, 5, 24, 25]

    init(instructions: RandomInstruction, special: Special, _ random: inout FuzzRandom) {
        self.instructions = instructions
        self.special = special
        functionCount = 2 + random.below(4)
        lastLink = random.chance(oneIn: 3) ? CallMaker.alternate : CallMaker.returnAddress
    }

    mutating func make(_ random: inout FuzzRandom) -> [ProgramItem] {
        let landingAddress = items.count
        add(.address(register: CallMaker.landing, target: 0))
        word(Encode.addi(CallMaker.landingStack, CallMaker.stack, 0))
        let start = items.count
        pieces(&random, count: 2 + random.below(4), function: -1)
        call(random.below(functionCount), &random)
        items[landingAddress].content = .address(register: CallMaker.landing, target: items.count)
        burn()
        leave()
        add(.jump(0x6f, target: start))
        for function in 0 ..< functionCount { self.function(function, &random) }
        for (item, function) in callSites { items.retarget(item, functionStarts[function]) }
        for item in endJumps { items.retarget(item, items.count) }
        for (item, bits) in patches {
            let candidates = items.indices.filter(mayChange)
            guard !candidates.isEmpty else { continue }
            items[item].content = .patch(target: random.pick(candidates), bits: bits)
        }
        return items
    }

    // MARK: Items

    private mutating func add(_ content: ProgramItem.Content) { items.append(ProgramItem(content: content)) }
    private mutating func word(_ bits: UInt32) { add(.plain(bits, byteCount: 4)) }

    /// - Parameter isWide: of four bytes.
    private mutating func computation(_ random: inout FuzzRandom, isWide: Bool = false) {
        add(instructions.computation(&random, keeping: CallMaker.kept, isWide: isWide))
    }

    private mutating func leave() {
        endJumps.append(items.count)
        add(.branch(0x63 | 5 << 12 | PointerRegister.fuel << 20, target: 0))
    }

    private mutating func burn() { word(Encode.addi(PointerRegister.fuel, PointerRegister.fuel, -1)) }

    private mutating func loop(to start: Int, _ random: inout FuzzRandom) {
        burn()
        leave()
        if random.chance(oneIn: 2) { return add(.jump(0x6f, target: start)) }
        let function = random.pick([0, 1, 4, 5, 6, 7] as [UInt32])
        let left = UInt32(random.below(32)), right = UInt32(random.below(32))
        add(.branch(0x63 | function << 12 | left << 15 | right << 20, target: start))
    }

    // MARK: Functions

    private mutating func function(_ number: Int, _ random: inout FuzzRandom) {
        functionStarts.append(items.count)
        let isLeaf = number == functionCount - 1 || random.chance(oneIn: 4)
        if isLeaf {
            for _ in 0 ..< 1 + random.below(5) { computation(&random) }
            if random.chance(oneIn: 4) { choose(&random) }
        } else {
            word(Encode.addi(CallMaker.stack, CallMaker.stack, -CallMaker.frameBytes))
            word(Encode.store(0x23, 3, CallMaker.returnAddress, CallMaker.stack, CallMaker.frameBytes - 8))
            pieces(&random, count: 1 + random.below(3), function: number)
            word(Encode.ld(CallMaker.returnAddress, CallMaker.stack, CallMaker.frameBytes - 8))
            word(Encode.addi(CallMaker.stack, CallMaker.stack, CallMaker.frameBytes))
        }
        let link = self.link(of: number)
        let tails = (number + 1 ..< max(number + 1, functionCount)).filter { self.link(of: $0) == link }
        if random.chance(oneIn: 4), !tails.isEmpty {
            callSites.append((items.count, random.pick(tails)))
            return add(.jump(0x6f, target: 0))
        }
        if random.chance(oneIn: 8) {
            // Behind the call are two instructions of four bytes.
            word(Encode.immediate(0x13, 7, CallMaker.index, UInt32(10 + random.below(8)), random.chance(oneIn: 8) ? 1 : 7))
            word(Encode.immediate(0x13, 3, CallMaker.index, CallMaker.index, 1))  // seqz
            word(Encode.immediate(0x13, 1, CallMaker.index, CallMaker.index, 2))
            word(Encode.add(link, link, CallMaker.index))
        }
        word(Encode.jr(link))
    }

    /// Saves a register in the function's frame, or takes it from there.
    private mutating func frame(_ random: inout FuzzRandom) {
        let register = UInt32(10 + random.below(6)), place = Int32(8 * random.below(3))
        switch random.below(4) {
        case 0: word(Encode.addi(register, 0, Int32(random.below(32))))
        case 1: word(Encode.store(0x23, random.pick([2, 3, 3]), register, CallMaker.stack, place))
        default: word(Encode.load(random.pick([2, 3, 3, 4, 6]), register, CallMaker.stack, place))
        }
    }

    private func link(of function: Int) -> UInt32 { function == functionCount - 1 ? lastLink : CallMaker.returnAddress }

    private mutating func pieces(_ random: inout FuzzRandom, count: Int, function: Int) {
        for _ in 0 ..< count {
            let start = items.count
            for _ in 0 ..< 1 + random.below(4) { computation(&random) }
            if function >= 0, special != .changesCode, random.chance(oneIn: 2) { frame(&random) }
            if special == .leavesMemory { items.append(walk(&random)) }
            if special == .changesCode, random.chance(oneIn: 2) { patch(&random) }
            switch random.below(7) {
            case 0 ... 2 where function + 1 < functionCount:
                call(function + 1 + random.below(functionCount - function - 1), &random)
            case 3 where function >= 0: recurse(function, &random)
            case 4 where random.chance(oneIn: 3): choose(&random)
            case 5 where function >= 0 && random.chance(oneIn: 4): giveUp(&random)
            case 6 where random.chance(oneIn: 2): loop(to: start, &random)
            default: break
            }
        }
    }

    private mutating func call(_ function: Int, _ random: inout FuzzRandom) {
        callSites.append((items.count, function))
        if random.chance(oneIn: 4) {
            add(.indirect(scratch: CallMaker.scratch, link: link(of: function), target: 0))
        } else {
            add(.jump(0x6f | link(of: function) << 7, target: 0))
        }
        for _ in 0 ..< 2 { computation(&random, isWide: true) }
    }

    /// A few frames deep.
    private mutating func recurse(_ function: Int, _ random: inout FuzzRandom) {
        leave()
        burn()
        word(Encode.immediate(0x13, 7, CallMaker.index, PointerRegister.fuel, random.pick([1, 3, 7])))
        let over = items.count
        add(.branch(0x63 | CallMaker.index << 15, target: 0))
        call(function, &random)
        items.retarget(over, items.count)
    }

    /// Jumps to one of several places, as a register says.
    private mutating func choose(_ random: inout FuzzRandom) {
        let count = random.pick([2, 4, 8])
        add(.address(register: CallMaker.scratch, target: items.count + 5))
        word(Encode.immediate(0x13, 7, CallMaker.index, UInt32(10 + random.below(12)), Int32(count - 1)))
        word(Encode.immediate(0x13, 1, CallMaker.index, CallMaker.index, 2))
        word(Encode.add(CallMaker.scratch, CallMaker.scratch, CallMaker.index))
        word(Encode.jr(CallMaker.scratch))
        let table = items.count
        for _ in 0 ..< count { add(.jump(0x6f, target: 0)) }
        var ends: [Int] = []
        for place in 0 ..< count {
            items.retarget(table + place, items.count)
            for _ in 0 ..< random.below(3) { computation(&random) }
            if random.chance(oneIn: 2), place + 1 < count {
                ends.append(items.count)
                add(.jump(0x6f, target: 0))
            }
        }
        for end in ends { items.retarget(end, items.count) }
    }

    /// Leaves all frames, once in a while.
    private mutating func giveUp(_ random: inout FuzzRandom) {
        word(Encode.immediate(0x13, 7, CallMaker.index, UInt32(10 + random.below(12)), 7))
        let over = items.count
        add(.branch(0x63 | 1 << 12 | CallMaker.index << 15, target: 0))
        word(Encode.addi(CallMaker.stack, CallMaker.landingStack, 0))
        word(Encode.jr(random.chance(oneIn: 2) ? CallMaker.landing : moved(to: CallMaker.returnAddress)))
        items.retarget(over, items.count)
    }

    private mutating func moved(to register: UInt32) -> UInt32 {
        word(Encode.addi(register, CallMaker.landing, 0))
        return register
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
        let matters = [CallMaker.scratch, CallMaker.index].contains(destination) || CallMaker.kept.contains(instruction.rd)
            || PointerRegister.isReserved(instruction.rd)
        return !instruction.opcode.transfersControl && instruction.opcode.hasDestination && !matters
    }
}

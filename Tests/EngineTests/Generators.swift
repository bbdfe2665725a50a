// Makers of random programs: straight lines with branches over a few instructions, and programs of loops, calls, indirect
// jumps and code that changes itself. All of them end; `faulting` ones mostly by a pointer that leaves memory.

import GuestRISCV

enum ProgramKind: String, CaseIterable {
    case straight, loops, changing, faulting, vectors, vectorFaults, searches, searchFaults, calls, callChanges, callFaults
    case switches, switchChanges, switchFaults, nests, nestFaults, crowds, crowdFaults

    /// Mostly ends with a fault, for which the evaluator has no handler.
    var mayFault: Bool {
        [.faulting, .vectorFaults, .searchFaults, .callFaults, .switchFaults, .nestFaults, .crowdFaults].contains(self)
    }
    private var isOneLoop: Bool { [.vectors, .vectorFaults, .searches, .searchFaults].contains(self) }

    func program(seed: UInt64) -> GuestProgram {
        var random = FuzzRandom(seed: seed)
        var program = GuestProgram(seed: seed, items: [], words: [], roundingMode: 0)
        var instructions = RandomInstruction()
        instructions.adjustsStack = self == .straight
        switch self {
        case .straight: program.items = straightLine(60, instructions, &random)
        case .loops, .changing, .faulting:
            var maker = ControlFlowMaker(
                instructions: instructions, changesCode: self == .changing, leavesMemory: self == .faulting)
            program.items = maker.make(&random)
            program.modifiesCode = self == .changing
        case .vectors, .vectorFaults:
            var maker = VectorLoopMaker(leavesMemory: self == .vectorFaults)
            program.items = maker.make(&random)
        case .searches, .searchFaults:
            var maker = SearchMaker(leavesMemory: self == .searchFaults)
            program.items = maker.make(&random)
        case .calls, .callChanges, .callFaults:
            let special: CallMaker.Special = self == .callChanges ? .changesCode : self == .callFaults ? .leavesMemory : .none
            var maker = CallMaker(instructions: instructions, special: special, &random)
            program.items = maker.make(&random)
            program.modifiesCode = self == .callChanges
        case .switches, .switchChanges, .switchFaults:
            let special: SwitchMaker.Special =
                self == .switchChanges ? .changesCode : self == .switchFaults ? .leavesMemory : .none
            var maker = SwitchMaker(instructions: instructions, special: special, &random)
            program.items = maker.make(&random)
            program.modifiesCode = self == .switchChanges
        case .nests, .nestFaults:
            var maker = NestedLoopMaker(leavesMemory: self == .nestFaults)
            program.items = maker.make(&random)
        case .crowds, .crowdFaults:
            var maker = CrowdMaker(leavesMemory: self == .crowdFaults)
            program.items = maker.make(&random)
        }
        program.words = (0 ..< 32).map { _ in random.integer() } + (0 ..< 32).map { _ in random.float() }
        program.words[0] = 0
        program.words[Int(PointerRegister.fuel)] = isOneLoop ? UInt64(2 + random.below(2)) : UInt64(20 + random.below(30))
        if [.calls, .callChanges, .callFaults].contains(self) { program.words[Int(PointerRegister.fuel)] += 60 }
        if [.switches, .switchChanges, .switchFaults].contains(self) { program.words[Int(PointerRegister.fuel)] += 200 }
        program.roundingMode = UInt32(random.chance(oneIn: 2) ? 0 : random.below(random.chance(oneIn: 8) ? 5 : 4))
        return program
    }
}

private func plain(_ instructions: RandomInstruction, _ random: inout FuzzRandom) -> ProgramItem {
    let (bits, row) = instructions.next(&random)
    return ProgramItem(content: .plain(bits, byteCount: Int(row.byteCount)))
}

private let branchFunctions: [UInt32] = [0, 1, 4, 5, 6, 7]

/// A conditional branch between random registers, sometimes a register and zero.
private func branchBits(_ random: inout FuzzRandom) -> UInt32 {
    let left = UInt32(random.below(32)), right = random.chance(oneIn: 3) ? 0 : UInt32(random.below(32))
    return 0x63 | random.pick(branchFunctions) << 12 | left << 15 | right << 20
}

private func straightLine(_ count: Int, _ instructions: RandomInstruction, _ random: inout FuzzRandom) -> [ProgramItem] {
    var items: [ProgramItem] = []
    let branches = random.chance(oneIn: 2)
    while items.count < count {
        if branches, random.chance(oneIn: 12) {
            items.append(ProgramItem(content: .branch(branchBits(&random), target: min(count, items.count + 1 + random.below(4)))))
        } else if random.chance(oneIn: 30) {
            items.append(exchange(&random))
        } else if random.chance(oneIn: 20) {
            items += idiom(&random)
        } else {
            items.append(plain(instructions, &random))
        }
    }
    return Array(items.prefix(count))
}

/// `lr`, perhaps a branch over the store, `sc`: the compare-and-swap that compilers make, but for the way back. A
/// store-conditional alone may fail or not, as an executor likes, so it only occurs here.
private func exchange(_ random: inout FuzzRandom) -> ProgramItem {
    let width: UInt32 = random.chance(oneIn: 2) ? 2 : 3, pointer = random.pick(PointerRegister.all)
    let old = UInt32(10 + random.below(4)), expected = UInt32(10 + random.below(4)), new = UInt32(16 + random.below(4))
    let load = 0x2f | old << 7 | width << 12 | pointer << 15 | 2 << 27
    let store = 0x2f | UInt32(14) << 7 | width << 12 | pointer << 15 | new << 20 | 3 << 27
    // bne over the store; bnez around what would be the way back.
    let leave = 0x63 | UInt32(1) << 12 | old << 15 | expected << 20 | GuestAssembler.branchOffset(8)
    var bits: [UInt32] = [load]
    if random.chance(oneIn: 2) { bits.append(leave) }
    return ProgramItem(content: .sequence(bits + [store]))
}

/// A main part and functions. Every way back costs fuel, so that the program ends.
private struct ControlFlowMaker {
    let instructions: RandomInstruction
    let changesCode: Bool
    let leavesMemory: Bool
    private var items: [ProgramItem] = []
    private let functionCount = 3
    private var functionStarts: [Int] = []
    private var callSites: [(item: Int, function: Int)] = []
    private var endJumps: [Int] = []

    init(instructions: RandomInstruction, changesCode: Bool, leavesMemory: Bool) {
        self.instructions = instructions
        self.changesCode = changesCode
        self.leavesMemory = leavesMemory
    }

    mutating func make(_ random: inout FuzzRandom) -> [ProgramItem] {
        body(&random, depth: 0, pieces: 4 + random.below(5))
        endJumps.append(items.count)
        add(.jump(0x6f, target: 0))
        for depth in 1 ... functionCount {
            functionStarts.append(items.count)
            body(&random, depth: depth, pieces: 1 + random.below(3))
            // Returns through ra or t0, whichever calls of this depth set.
            add(.plain(0x67 | link(depth) << 15, byteCount: 4))
        }
        for (item, function) in callSites { items.retarget(item, functionStarts[function - 1]) }
        for item in endJumps { items.retarget(item, items.count) }
        return items
    }

    private func link(_ depth: Int) -> UInt32 { [1, 1, 5, 7][depth] }

    private mutating func add(_ content: ProgramItem.Content) { items.append(ProgramItem(content: content)) }

    private mutating func computation(_ random: inout FuzzRandom, depth: Int) {
        while true {
            let item = plain(instructions, &random)
            guard case .plain(let bits, _) = item.content else { continue }
            let instruction = RISCVDecoder.decode(bits)
            // Return addresses must survive inside of functions.
            if instruction.opcode.hasDestination, [1, 5, 7].contains(instruction.rd) { continue }
            items.append(item)
            return
        }
    }

    private mutating func body(_ random: inout FuzzRandom, depth: Int, pieces: Int) {
        for _ in 0 ..< pieces {
            let start = items.count
            for _ in 0 ..< 1 + random.below(6) { computation(&random, depth: depth) }
            if random.chance(oneIn: 6) { items.append(exchange(&random)) }
            if random.chance(oneIn: 4) { items += idiom(&random) }
            if random.chance(oneIn: 4) { chain(&random) }
            if leavesMemory {
                items.append(walk(&random))
                if random.chance(oneIn: 2) { loop(to: start, &random) }
            }
            switch random.below(changesCode ? 7 : 5) {
            case 0: loop(to: start, &random)
            case 1: forward(&random, depth: depth)
            case 2 where depth < functionCount: call(&random, from: depth)
            case 3: indirect(&random, depth: depth)
            case 4:
                endJumps.append(items.count)
                items.append(leave())
            case 5, 6: patch(start, &random)
            default: break
            }
        }
    }

    /// Ends the program when the fuel is used up.
    private func leave() -> ProgramItem {
        ProgramItem(content: .branch(0x63 | 5 << 12 | PointerRegister.fuel << 20, target: 0))
    }

    private mutating func loop(to start: Int, _ random: inout FuzzRandom) {
        let fuel = PointerRegister.fuel
        add(.plain(0x13 | fuel << 7 | fuel << 15 | UInt32(0xfff) << 20, byteCount: 4))
        endJumps.append(items.count)
        items.append(leave())
        if random.chance(oneIn: 3) { add(.jump(0x6f, target: start)) } else { add(.branch(branchBits(&random), target: start)) }
    }

    private mutating func forward(_ random: inout FuzzRandom, depth: Int) {
        let branch = items.count
        add(.branch(branchBits(&random), target: 0))
        for _ in 0 ..< random.below(4) { computation(&random, depth: depth) }
        items.retarget(branch, items.count)
    }

    /// A chain of floats, perhaps with a branch from its middle past its end.
    private mutating func chain(_ random: inout FuzzRandom) {
        let chain = floatChain(&random), end = items.count + chain.count + 1
        let middle = random.chance(oneIn: 2) ? random.below(chain.count) : chain.count
        items += chain.prefix(middle)
        add(.branch(branchBits(&random), target: end))
        items += chain.suffix(chain.count - middle)
    }

    private mutating func call(_ random: inout FuzzRandom, from depth: Int) {
        let callee = depth + 1 + random.below(functionCount - depth), register = link(callee)
        callSites.append((items.count, callee))
        if random.chance(oneIn: 3) {
            add(.indirect(scratch: 6, link: register, target: 0))
        } else {
            add(.jump(0x6f | register << 7, target: 0))
        }
    }

    /// Jumps forward to one of two places, as a register says.
    private mutating func indirect(_ random: inout FuzzRandom, depth: Int) {
        let choice = UInt32(10 + random.below(20))
        add(.address(register: 6, target: items.count + 5))
        add(.plain(0x13 | 28 << 7 | 7 << 12 | choice << 15 | 1 << 20, byteCount: 4))  // andi t3, choice, 1
        add(.plain(0x13 | 28 << 7 | 1 << 12 | 28 << 15 | 2 << 20, byteCount: 4))  // slli t3, t3, 2
        add(.plain(0x33 | 6 << 7 | 6 << 15 | 28 << 20, byteCount: 4))  // add t1, t1, t3
        add(.plain(0x67 | 6 << 15, byteCount: 4))  // jr t1
        for _ in 0 ..< 2 { wide(&random) }
    }

    /// A four-byte computation.
    private mutating func wide(_ random: inout FuzzRandom) {
        while true {
            let count = items.count
            computation(&random, depth: 0)
            if items[count].byteCount == 4 { return }
            items.removeLast()
        }
    }

    private mutating func patch(_ start: Int, _ random: inout FuzzRandom) {
        let before = items.count
        wide(&random)
        guard case .plain(let bits, _) = items.removeLast().content, before == items.count else { return }
        let candidates = items.indices.filter { index in
            guard case .plain(let old, 4) = items[index].content else { return false }
            // Not what counts the fuel or makes a target: the program must end.
            return old & 0x7f != 0x67 && old & 0x7f != 0x6f && ![6, 27, 28].contains(old >> 7 & 31)
        }
        guard !candidates.isEmpty else { return }
        // What is executed again: near the start of this piece, or anywhere before.
        let near = candidates.filter { $0 >= start }
        add(.patch(target: random.pick(near.isEmpty || random.chance(oneIn: 3) ? candidates : near), bits: bits))
        if random.chance(oneIn: 2) { loop(to: start, &random) }
    }
}

extension [ProgramItem] {
    /// Lets a branch or jump lead to another item.
    mutating func retarget(_ item: Int, _ target: Int) {
        switch self[item].content {
        case .branch(let bits, _): self[item].content = .branch(bits, target: target)
        case .jump(let bits, _): self[item].content = .jump(bits, target: target)
        case .indirect(let scratch, let link, _): self[item].content = .indirect(scratch: scratch, link: link, target: target)
        default: break
        }
    }
}

extension RandomInstruction {
    /// An item that computes something; seldom one that accesses control registers, which mostly ends a superblock and its region.
    /// - Parameters:
    ///   - kept: registers that it does not write.
    ///   - isWide: of four bytes.
    func computation(_ random: inout FuzzRandom, keeping kept: Set<UInt8>, isWide: Bool) -> ProgramItem.Content {
        while true {
            let (bits, row) = next(&random), instruction = RISCVDecoder.decode(bits)
            if isWide, row.byteCount != 4 { continue }
            if instruction.opcode.accessesControlRegister, !random.chance(oneIn: 16) { continue }
            if instruction.opcode.hasDestination, kept.contains(instruction.rd) { continue }
            return .plain(bits, byteCount: Int(row.byteCount))
        }
    }
}

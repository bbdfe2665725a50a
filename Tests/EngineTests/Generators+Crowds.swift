// Loops of long superblocks in which more registers are live than the host has: values that are used much later, registers that
// are written again without being read, and between them places where somebody may look: ways out that are seldom taken, and
// accesses. Each loop uses registers of its own most.

import GuestRISCV

struct CrowdMaker {
    /// A pointer walks out of memory.
    let leavesMemory: Bool
    private var items: [ProgramItem] = []
    private var registers: [UInt32] = []
    private var callSites: [Int] = []
    private static let free: [UInt32] = [3, 4, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 22, 23, 24, 25, 28, 29, 30, 31]
    private static let (outerCounter, innerCounter, walker, link): (UInt32, UInt32, UInt32, UInt32) = (21, 20, 5, 1)

    init(leavesMemory: Bool) { self.leavesMemory = leavesMemory }

    mutating func make(_ random: inout FuzzRandom) -> [ProgramItem] {
        add(Encode.addi(CrowdMaker.walker, PointerRegister.all[0], Int32(random.below(64)) * 8))
        add(Encode.addi(CrowdMaker.outerCounter, 0, Int32(3 + random.below(leavesMemory ? 40 : 6))))
        let outer = items.count
        for _ in 0 ..< 1 + random.below(3) {
            innerLoop(&random)
            crowd(random.below(6), &random)
        }
        add(Encode.addi(CrowdMaker.outerCounter, CrowdMaker.outerCounter, -1))
        branch(1, CrowdMaker.outerCounter, 0, to: outer)
        let end = items.count
        items.append(ProgramItem(content: .jump(0x6f, target: 0)))
        // What loops call.
        let callee = items.count
        crowd(1 + random.below(8), &random)
        add(Encode.jr(CrowdMaker.link))
        for site in callSites { items.retarget(site, callee) }
        items.retarget(end, items.count)
        return items
    }

    private mutating func add(_ bits: UInt32...) {
        for bits in bits { items.append(ProgramItem(content: .plain(bits, byteCount: 4))) }
    }

    @discardableResult
    private mutating func branch(_ function: UInt32, _ left: UInt32, _ right: UInt32, to target: Int = 0) -> Int {
        items.append(ProgramItem(content: .branch(0x63 | function << 12 | left << 15 | right << 20, target: target)))
        return items.count - 1
    }

    private mutating func innerLoop(_ random: inout FuzzRandom) {
        registers = Array(CrowdMaker.free.shuffled(using: &random).prefix(12 + random.below(11)))
        add(Encode.addi(CrowdMaker.innerCounter, 0, Int32(2 + random.below(14))))
        let start = items.count
        var leaving: [Int] = []
        for _ in 0 ..< 1 + random.below(3) {
            crowd(6 + random.below(16), &random)
            if leavesMemory, random.chance(oneIn: 2) { access(CrowdMaker.walker, &random) }
            switch random.below(6) {
            // Seldom, as counters go down to what they are compared with, or as values are equal.
            case 0, 1: leaving.append(branch(4, CrowdMaker.innerCounter, random.pick(registers)))
            case 2: leaving.append(branch(0, random.pick(registers), random.pick(registers)))
            case 3:
                let place = branch(random.pick([0, 1, 4, 5, 6, 7]), random.pick(registers), random.pick(registers))
                crowd(1 + random.below(4), &random)
                items.retarget(place, items.count)
            case 4 where random.chance(oneIn: 2):
                callSites.append(items.count)
                items.append(ProgramItem(content: .jump(0x6f | CrowdMaker.link << 7, target: 0)))
            default: break
            }
        }
        if leavesMemory {
            access(CrowdMaker.walker, &random)
            add(Encode.addi(CrowdMaker.walker, CrowdMaker.walker, Int32(8 * (1 + random.below(60)))))
            crowd(random.below(6), &random)
        }
        add(Encode.addi(CrowdMaker.innerCounter, CrowdMaker.innerCounter, -1))
        branch(1, CrowdMaker.innerCounter, 0, to: start)
        for place in leaving { items.retarget(place, items.count) }
    }

    /// New values, and then what is made of them in another order.
    private mutating func crowd(_ count: Int, _ random: inout FuzzRandom) {
        let registers = registers.shuffled(using: &random)
        for number in 0 ..< count where random.chance(oneIn: 2) {
            operation(registers[number % registers.count], registers, &random)
        }
        for _ in 0 ..< count / 2 { operation(random.pick(registers), registers, &random) }
    }

    private mutating func operation(_ rd: UInt32, _ registers: [UInt32], _ random: inout FuzzRandom) {
        let left = random.pick(registers), right = random.pick(registers), small = Int32(random.below(4096)) - 2048
        switch random.below(12) {
        case 0, 1: access(random.pick(PointerRegister.all), &random, rd)
        case 2: add(Encode.immediate(random.pick([0x13, 0x1b]), 0, rd, left, random.chance(oneIn: 3) ? 0 : small))
        case 3: add(Encode.immediate(0x13, random.pick([4, 6, 7]), rd, left, small))
        case 4: add(Encode.immediate(random.pick([0x13, 0x1b]), random.pick([1, 5]), rd, left, Int32(random.below(32))))
        case 5: add(Encode.register(random.pick([1, 2, 3, 5]), 0, rd, left, right))
        case 6: add(Encode.register(random.pick([0, 1, 3, 4, 6]), 1, rd, left, right))
        case 7: add(Encode.addi(rd, 0, small))
        case 8:
            // A rotation of a word, as hash functions have it.
            let amount = Int32(1 + random.below(31)), other = random.pick(registers)
            add(Encode.immediate(0x1b, 1, other, left, amount), Encode.immediate(0x1b, 5, rd, left, 32 - amount))
            add(Encode.register(6, 0, rd, rd, other))
        default: add(Encode.register(random.pick([0, 4, 6, 7]), 0, rd, left, right))
        }
    }

    private mutating func access(_ pointer: UInt32, _ random: inout FuzzRandom, _ register: UInt32? = nil) {
        let offset = pointer == CrowdMaker.walker ? 0 : Int32(random.below(64)) * 8, register = register ?? random.pick(registers)
        if random.chance(oneIn: 3) {
            add(Encode.store(0x23, random.pick([2, 3]), register, pointer, offset))
        } else {
            add(Encode.load(random.pick([0, 2, 3, 4, 5, 6]), register, pointer, offset))
        }
    }
}

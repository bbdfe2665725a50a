// Loops in loops, with branches in them and ways out of their middle, of floats and integers that are carried from one superblock
// to the next: a few registers, so that what one wrote another one reads, in another width or bit for bit.

import GuestRISCV

struct NestedLoopMaker {
    /// A pointer walks out of memory.
    let leavesMemory: Bool
    private var items: [ProgramItem] = []
    private var floats: [UInt32] = [], integers: [UInt32] = []
    private var usesFloats = true
    private let outerCounter: UInt32 = 21, innerCounter: UInt32 = 20, walker: UInt32 = 5

    init(leavesMemory: Bool) { self.leavesMemory = leavesMemory }

    mutating func make(_ random: inout FuzzRandom) -> [ProgramItem] {
        let free: [UInt32] = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 22, 23, 24, 25, 28, 29, 30, 31]
        integers = Array(free.shuffled(using: &random).prefix(4 + random.below(6)))
        floats = (0 ..< 2 + random.below(5)).map { _ in UInt32(random.below(32)) }
        usesFloats = !random.chance(oneIn: 4)
        add(Encode.addi(walker, PointerRegister.all[0], Int32(random.below(64)) * 8))
        add(Encode.addi(outerCounter, 0, Int32(3 + random.below(leavesMemory ? 40 : 8))))
        let outer = items.count
        operations(random.below(4), &random)
        for _ in 0 ..< 1 + random.below(2) {
            innerLoop(&random)
            operations(random.below(4), &random)
        }
        countDown(outerCounter, to: outer, &random)
        return items
    }

    private mutating func add(_ bits: UInt32...) {
        for bits in bits { items.append(ProgramItem(content: .plain(bits, byteCount: 4))) }
    }

    private mutating func branch(_ function: UInt32, _ left: UInt32, _ right: UInt32, to target: Int = 0) -> Int {
        items.append(ProgramItem(content: .branch(0x63 | function << 12 | left << 15 | right << 20, target: target)))
        return items.count - 1
    }

    private mutating func land(_ place: Int) {
        guard case .branch(let bits, _) = items[place].content else { return }
        items[place].content = .branch(bits, target: items.count)
    }

    private mutating func countDown(_ counter: UInt32, to target: Int, _ random: inout FuzzRandom) {
        // addi or addiw
        add(Encode.immediate(random.chance(oneIn: 2) ? 0x13 : 0x1b, 0, counter, counter, -1))
        if random.chance(oneIn: 3) {
            let out = branch(0, counter, 0)
            items.append(ProgramItem(content: .jump(0x6f, target: target)))
            land(out)
        } else {
            _ = branch(1, counter, 0, to: target)
        }
    }

    private mutating func innerLoop(_ random: inout FuzzRandom) {
        add(Encode.addi(innerCounter, 0, Int32(2 + random.below(14))))
        let inner = items.count
        var leaving: [Int] = []
        operations(1 + random.below(5), &random)
        for _ in 0 ..< random.below(3) {
            let right = random.chance(oneIn: 3) ? 0 : random.pick(integers)
            let place = branch(random.pick([0, 1, 4, 5, 6, 7]), random.pick(integers), right)
            if random.chance(oneIn: 4) {
                leaving.append(place)
            } else {
                operations(1 + random.below(4), &random)
                land(place)
            }
            operations(random.below(4), &random)
        }
        if leavesMemory {
            access(walker, &random)
            add(Encode.addi(walker, walker, Int32(8 * (1 + random.below(60)))))
            operations(random.below(3), &random)
        }
        countDown(innerCounter, to: inner, &random)
        for place in leaving { land(place) }
    }

    private mutating func operations(_ count: Int, _ random: inout FuzzRandom) {
        for _ in 0 ..< count {
            if random.chance(oneIn: 3) {
                frame(&random)
            } else if usesFloats, !random.chance(oneIn: 4) {
                float(&random)
            } else {
                integer(&random)
            }
        }
    }

    private mutating func access(_ pointer: UInt32, _ random: inout FuzzRandom) {
        let offset = pointer == walker ? 0 : Int32(random.below(64)) * 8, wide: UInt32 = random.chance(oneIn: 3) ? 2 : 3
        switch random.below(usesFloats ? 4 : 2) {
        case 0: add(Encode.load(random.pick([0, 2, 3, 4, 5, 6]), random.pick(integers), pointer, offset))
        case 1: add(Encode.store(0x23, wide, random.pick(integers), pointer, offset))
        case 2: add(Encode.floatLoad(wide, random.pick(floats), pointer, offset))
        default: add(Encode.store(0x27, wide, random.pick(floats), pointer, offset))
        }
    }

    /// A few words below the stack pointer, which are stored and loaded again and again, mostly whole; or what is a constant, a word or a
    /// byte for those who come next.
    private mutating func frame(_ random: inout FuzzRandom) {
        let place = -8 * Int32(1 + random.below(2)), register = random.pick(integers), other = random.pick(integers)
        switch random.below(10) {
        case 0: add(Encode.addi(register, 0, Int32(random.below(64))))
        case 1: add(Encode.immediate(0x1b, 0, register, other, 0))  // sext.w
        case 2: add(Encode.immediate(0x13, 7, register, other, random.pick([1, 7, 255])))
        case 3 ..< 6: add(Encode.store(0x23, random.pick([0, 2, 3, 3, 3, 3]), register, 2, place))
        default: add(Encode.load(random.pick([0, 2, 2, 3, 3, 3, 3, 3, 4, 6]), register, 2, place))
        }
    }

    private mutating func float(_ random: inout FuzzRandom) {
        let format: UInt32 = random.chance(oneIn: 4) ? 0 : 1
        let rd = random.pick(floats), left = random.pick(floats), right = random.pick(floats)
        /// The operation in the upper seven bits, without the format.
        func row(_ operation: UInt32, _ function: UInt32, _ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32) -> UInt32 {
            0x53 | (operation << 2 | format) << 25 | function << 12 | rd << 7 | rs1 << 15 | rs2 << 20
        }
        switch random.below(16) {
        case 0 ..< 7: add(row(UInt32(random.below(4)), 7, rd, left, right))
        case 7:
            let third = random.pick(floats)
            add(0x43 | UInt32(random.below(4)) << 2 | 7 << 12 | rd << 7 | left << 15 | right << 20 | format << 25 | third << 27)
        case 8: add(row(0b00100, UInt32(random.below(3)), rd, left, random.chance(oneIn: 2) ? left : right))  // fsgnj
        case 9: add(row(0b00101, UInt32(random.below(2)), rd, left, right))  // fmin, fmax
        case 10: add(row(0b01011, 7, rd, left, 0))  // fsqrt
        case 11: add(row(0b01000, 7, rd, left, 1 - format))  // fcvt.s.d, fcvt.d.s
        case 12: add(row(0b10100, UInt32(random.below(3)), random.pick(integers), left, right))  // fle, flt, feq
        case 13:
            // fcvt to and from integers, fmv either way.
            switch random.below(4) {
            case 0: add(row(0b11000, 1, random.pick(integers), left, UInt32(random.below(4))))
            case 1: add(row(0b11010, 7, rd, random.pick(integers), UInt32(random.below(4))))
            case 2: add(row(0b11100, 0, random.pick(integers), left, 0))
            default: add(row(0b11110, 0, rd, random.pick(integers), 0))
            }
        case 14 where random.chance(oneIn: 6): add(Encode.readFlags(random.pick(integers)))
        default: access(random.pick(PointerRegister.all), &random)
        }
    }

    private mutating func integer(_ random: inout FuzzRandom) {
        let rd = random.pick(integers), left = random.pick(integers), right = random.pick(integers)
        let small = Int32(random.below(4096)) - 2048
        switch random.below(12) {
        case 0, 1: add(Encode.immediate(random.chance(oneIn: 2) ? 0x1b : 0x13, 0, rd, left, random.chance(oneIn: 3) ? 0 : small))
        case 2, 3:
            // add, sub, addw, subw
            add(random.pick([0x33, 0x3b]) | (random.chance(oneIn: 2) ? 0 : 1 << 30) | rd << 7 | left << 15 | right << 20)
        case 4: add(Encode.register(random.pick([2, 3, 4, 6, 7]), 0, rd, left, right))
        case 5: add(Encode.immediate(0x13, random.pick([4, 6, 7]), rd, left, small))
        case 6:
            // Zero extension as pairs of shifts, all the way or to an index.
            add(Encode.immediate(0x13, 1, rd, left, 32), Encode.immediate(0x13, 5, rd, rd, 32 - Int32(random.below(4))))
        case 7: add(Encode.immediate(random.pick([0x13, 0x1b]), random.pick([1, 5]), rd, left, Int32(random.below(32))))
        case 8: add(Encode.immediate(random.pick([0x13, 0x1b]), 5, rd, left, 1 << 10 | Int32(random.below(32))))
        case 9: add(random.pick([Encode.mul(rd, left, right), Encode.addi(rd, 0, small)]))
        default: access(random.pick(PointerRegister.all), &random)
        }
    }
}

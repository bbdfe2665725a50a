// Loops over arrays, which the optimiser may make loops of vectors: pointers that overlap or not, across a page boundary or out of
// memory, short and long trips, all kinds of conditions, floats that are no numbers and integers that wrap.

import GuestRISCV

struct VectorLoopMaker {
    /// The pointers walk out of memory.
    let leavesMemory: Bool
    private var items: [ProgramItem] = []
    private let pointers: [UInt32] = [10, 11, 12, 13]
    private let end: UInt32 = 14, counter: UInt32 = 15
    private let integers: [UInt32] = [16, 17, 20, 21, 22, 23, 24], floats: [UInt32] = [3, 4, 10, 11, 12, 13, 20]

    init(leavesMemory: Bool) { self.leavesMemory = leavesMemory }

    private mutating func add(_ bits: UInt32) { items.append(ProgramItem(content: .plain(bits, byteCount: 4))) }

    /// The loop, two or three times over.
    mutating func make(_ random: inout FuzzRandom) -> [ProgramItem] {
        let isFloat = random.chance(oneIn: 2), format = UInt32(random.below(2))
        let widths = (0 ..< 4).map { _ in isFloat ? 2 + format : UInt32(random.below(4)) }
        let isUniform = isFloat || random.chance(oneIn: 2)
        let width = (0 ..< 4).map { isUniform ? widths[0] : widths[$0] }
        let trips = 1 + random.below(random.chance(oneIn: 4) ? 200 : 40)
        let leading = random.below(2)
        for (index, pointer) in pointers.enumerated() { start(pointer, width[index], &random) }
        let falls = random.chance(oneIn: 8)
        let step = Int32(1) << Int32(width[leading]) * (falls ? -1 : 1)
        add(Encode.addi(end, pointers[leading], max(-2048, min(2047, Int32(trips) * step))))
        add(Encode.addi(counter, 0, Int32(trips)))
        let loop = items.count
        body(isFloat, format, width, falls, &random)
        condition(loop, pointers[leading], step, &random)
        // Again, from outside of the loop.
        add(Encode.addi(PointerRegister.fuel, PointerRegister.fuel, -1))
        items.append(ProgramItem(content: .branch(0x63 | 4 << 12 | PointerRegister.fuel << 20, target: 0)))
        return items
    }

    private mutating func start(_ pointer: UInt32, _ width: UInt32, _ random: inout FuzzRandom) {
        let base = random.pick(Array(PointerRegister.all.prefix(2)))
        var offset = Int32(random.below(64) << Int(width)) - 128
        if random.chance(oneIn: 6) { offset += Int32(random.below(8)) }
        if random.chance(oneIn: 3) { offset += 1024 }
        add(Encode.addi(pointer, base, max(-2000, min(2000, offset))))
        guard leavesMemory, random.chance(oneIn: 2) else { return }
        // To the end of the data.
        add(0x37 | 28 << 7 | 2 << 12)
        add(Encode.add(pointer, pointer, 28))
        add(Encode.addi(pointer, pointer, -600))
    }

    // MARK: The body

    private mutating func body(_ isFloat: Bool, _ format: UInt32, _ width: [UInt32], _ falls: Bool, _ random: inout FuzzRandom) {
        var advanced: Set<Int> = []
        let registers = isFloat ? floats : integers
        func offset(_ index: Int) -> Int32 {
            advanced.contains(index) ? (falls ? 1 : -1) << Int32(width[index]) : 0
        }
        let loads = 1 + random.below(3), stores = random.chance(oneIn: 4) ? 2 : 1
        for index in 0 ..< loads {
            load(isFloat, width[index], random.pick(registers), pointers[index], offset(index), &random)
            if random.chance(oneIn: 3), advanced.insert(index).inserted { advance(index, width[index], falls) }
        }
        for _ in 0 ..< 1 + random.below(4) {
            if isFloat { floatOperation(format, &random) } else { integerOperation(&random) }
        }
        if !isFloat && random.chance(oneIn: 3) {
            add(Encode.register(0, 0, 28, 28, random.pick(registers)) | (random.chance(oneIn: 2) ? 8 : 0))  // add, addw
        }
        for store in 0 ..< (isFloat || random.chance(oneIn: 4) == false ? stores : 0) {
            let index = store == 0 ? random.below(4) : 3
            let opcode: UInt32 = isFloat ? 0x27 : 0x23
            add(Encode.store(opcode, width[index], random.pick(registers), pointers[index], offset(index)))
        }
        if random.chance(oneIn: 6) { add(Encode.addi(29, pointers[0], 12)) }
        for index in 0 ..< 4 where advanced.insert(index).inserted { advance(index, width[index], falls) }
        add(Encode.addi(counter, counter, -1) | (random.chance(oneIn: 2) ? 8 : 0))  // addi, addiw
    }

    private mutating func advance(_ index: Int, _ width: UInt32, _ falls: Bool) {
        add(Encode.addi(pointers[index], pointers[index], (falls ? -1 : 1) << Int32(width)))
    }

    private mutating func load(_ isFloat: Bool, _ width: UInt32, _ register: UInt32, _ pointer: UInt32, _ offset: Int32, _ random: inout FuzzRandom) {
        if isFloat { return add(Encode.floatLoad(width, register, pointer, offset)) }
        let isUnsigned: UInt32 = width < 3 && random.chance(oneIn: 2) ? 4 : 0
        add(Encode.load(width | isUnsigned, register, pointer, offset))
    }

    private mutating func floatOperation(_ format: UInt32, _ random: inout FuzzRandom) {
        let destination = random.pick(floats), left = random.pick(floats), right = random.chance(oneIn: 4) ? UInt32(random.below(32)) : random.pick(floats)
        switch random.below(10) {
        case 0 ... 5: add(Encode.float(UInt32(random.below(random.chance(oneIn: 3) ? 4 : 3)), format, destination, left, right))
        case 6: add(0x53 | (0x2c | format) << 25 | destination << 7 | 7 << 12 | left << 15)  // fsqrt
        case 7: add(0x53 | (0x10 | format) << 25 | destination << 7 | UInt32(random.below(3)) << 12 | left << 15 | right << 20)  // fsgnj
        default:
            let operands = destination << 7 | 7 << 12 | left << 15 | right << 20 | format << 25
            add(0x43 | UInt32(random.below(4)) << 2 | operands | random.pick(floats) << 27)
        }
    }

    private mutating func integerOperation(_ random: inout FuzzRandom) {
        let destination = random.pick(integers), left = random.pick(integers), right = random.pick(integers)
        let amount = Int32(random.below(random.chance(oneIn: 2) ? 8 : 32))
        switch random.below(14) {
        case 0: add(Encode.register(0, 0, destination, left, right))
        case 1: add(Encode.register(0, 0x20, destination, left, right))
        case 2: add(Encode.register(0, 0, destination, left, right) | 8)  // addw
        case 3: add(Encode.register(0, 0x20, destination, left, right) | 8)  // subw
        case 4: add(Encode.register(0, 1, destination, left, right) | 8)  // mulw
        case 5: add(Encode.register(random.pick([4, 6, 7]), 0, destination, left, right))
        case 6: add(Encode.immediate(0x13, random.pick([4, 6, 7]), destination, left, Int32(random.below(4096)) - 2048))
        case 7: add(Encode.immediate(0x13, 0, destination, left, Int32(random.below(256)) - 128))
        case 8: add(Encode.immediate(0x1b, 1, destination, left, amount))  // slliw
        case 9: add(Encode.immediate(0x1b, 5, destination, left, amount | (random.chance(oneIn: 2) ? 0x400 : 0)))  // srliw, sraiw
        case 10: add(Encode.immediate(0x13, 1, destination, left, amount))
        case 11: add(Encode.immediate(0x13, 5, destination, left, amount | (random.chance(oneIn: 2) ? 0x400 : 0)))
        case 12: add(Encode.immediate(0x1b, 0, destination, left, 0))  // sext.w
        default: add(Encode.immediate(0x13, 7, destination, left, 255))  // zext.b
        }
    }

    // MARK: The end

    private mutating func condition(_ loop: Int, _ leading: UInt32, _ step: Int32, _ random: inout FuzzRandom) {
        let rises = step > 0
        let (low, high) = rises ? (leading, end) : (end, leading)
        func branch(_ function: UInt32, _ left: UInt32, _ right: UInt32) {
            items.append(ProgramItem(content: .branch(0x63 | function << 12 | left << 15 | right << 20, target: loop)))
        }
        switch random.below(7) {
        case 0, 1: branch(1, leading, end)
        case 2: branch(6, low, high)  // bltu
        case 3: branch(4, low, high)  // blt
        case 4: branch(7, high, low)  // bgeu
        case 5: branch(1, counter, 0)
        default: branch(4, 0, counter)  // bgtz
        }
    }
}

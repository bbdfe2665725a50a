// Loops that search, compare or copy until something in memory ends them: bytes, words with a zero byte in them, values out of a
// range, buffers that differ; with or without a count; closed by a branch, by a jump, or over other ways back. What they look at is
// the same for a stretch, so that they go on for a while, and then is not, or memory ends.

import GuestRISCV

struct SearchMaker {
    /// The pointers walk out of memory.
    let leavesMemory: Bool
    private var items: [ProgramItem] = []
    private var leaving: [Int] = []
    private let pointers: [UInt32] = [10, 11], target: UInt32 = 12, end: UInt32 = 14, counter: UInt32 = 15
    private let values: [UInt32] = [16, 17], fill: UInt32 = 20, other: UInt32 = 21, scratch: [UInt32] = [22, 23, 24], ones: UInt32 = 18, highs: UInt32 = 19

    init(leavesMemory: Bool) { self.leavesMemory = leavesMemory }

    private mutating func add(_ bits: UInt32...) {
        for bits in bits { items.append(ProgramItem(content: .plain(bits, byteCount: 4))) }
    }

    private mutating func branch(_ function: UInt32, _ left: UInt32, _ right: UInt32, to target: Int) {
        items.append(ProgramItem(content: .branch(0x63 | function << 12 | left << 15 | right << 20, target: target)))
    }

    /// Out of the loop.
    private mutating func leave(_ function: UInt32, _ left: UInt32, _ right: UInt32) {
        leaving.append(items.count)
        branch(function, left, right, to: 0)
    }

    /// The search, two or three times over.
    mutating func make(_ random: inout FuzzRandom) -> [ProgramItem] {
        let width = UInt32(random.pick([0, 0, 0, 1, 2, 3, 3])), bytes = Int32(1) << Int32(width), pair = random.chance(oneIn: 3), stores = random.chance(oneIn: 4)
        constants(&random)
        let trips = 1 + random.below(random.chance(oneIn: 3) ? 180 : 60)
        for pointer in pointers.prefix(pair ? 2 : 1) { prepare(pointer, trips, bytes, &random) }
        add(Encode.addi(target, PointerRegister.all[1], Int32(random.below(128))))
        let counted = leavesMemory ? (random.chance(oneIn: 3) ? random.below(3) : 0) : 1 + random.below(2)
        add(Encode.addi(end, pointers[0], Int32(trips + random.below(40)) * bytes), Encode.addi(counter, 0, Int32(trips + random.below(40))))
        let loop = items.count
        body(width, pair, stores, counted, loop, &random)
        for place in leaving {
            guard case .branch(let bits, _) = items[place].content else { continue }
            items[place].content = .branch(bits, target: items.count)
        }
        // Again, from outside of the loop.
        add(Encode.addi(PointerRegister.fuel, PointerRegister.fuel, -1))
        items.append(ProgramItem(content: .branch(0x63 | 4 << 12 | PointerRegister.fuel << 20, target: 0)))
        return items
    }

    private mutating func constants(_ random: inout FuzzRandom) {
        add(Encode.addi(ones, 0, 1))
        for shift in [8, 16, 32] as [Int32] { add(Encode.immediate(0x13, 1, 23, ones, shift), Encode.add(ones, ones, 23)) }
        add(Encode.immediate(0x13, 1, highs, ones, 7), Encode.addi(fill, 0, Int32(random.below(256))), Encode.addi(other, 0, Int32(random.below(256))))
        if random.chance(oneIn: 8) { add(Encode.addi(fill, 0, Int32(random.below(512)) - 256)) }
    }

    /// Puts the pointer somewhere, the same byte from there on, and another one behind or in the middle.
    private mutating func prepare(_ pointer: UInt32, _ trips: Int, _ bytes: Int32, _ random: inout FuzzRandom) {
        var offset = Int32(random.below(200)) & -bytes
        if random.chance(oneIn: 3) { offset += Int32(random.below(8)) }
        add(Encode.addi(pointer, PointerRegister.all[0], offset - 1000))
        if leavesMemory || random.chance(oneIn: 4) {
            // Before the end of the data, or of a page in its middle.
            let pages: UInt32 = leavesMemory && !random.chance(oneIn: 6) ? 2 : UInt32(random.below(2))
            add(0x37 | 28 << 7 | pages << 12, Encode.add(pointer, PointerRegister.all[0], 28), Encode.addi(pointer, pointer, offset - 400))
        }
        let start: UInt32 = 24, count: UInt32 = 25
        let room = leavesMemory ? 400 - offset : 1400, length = leavesMemory && !random.chance(oneIn: 4) ? room : min(Int32(trips) * bytes, room)
        add(Encode.addi(start, pointer, 0), Encode.addi(count, 0, length))
        let loop = items.count
        add(Encode.sb(fill, start, 0), Encode.addi(start, start, 1), Encode.addi(count, count, -1))
        branch(1, count, 0, to: loop)
        if !leavesMemory || random.chance(oneIn: 4) { add(Encode.sb(random.pick([0, other]), pointer, Int32(random.below(Int(length))))) }
    }

    private mutating func body(_ width: UInt32, _ pair: Bool, _ stores: Bool, _ counted: Int, _ loop: Int, _ random: inout FuzzRandom) {
        let bytes = Int32(1) << Int32(width), unsigned: UInt32 = width < 3 && !random.chance(oneIn: 4) ? 4 : 0
        let early = random.chance(oneIn: 2), behind: Int32 = early ? -bytes : 0
        if counted == 1, random.chance(oneIn: 2) { leave(0, pointers[0], end) }
        if early { advance(bytes, pair, stores) }
        for index in 0 ..< (pair ? 2 : 1) { add(Encode.load(width | unsigned, values[index], pointers[index], behind)) }
        if stores, random.chance(oneIn: 2) { add(Encode.store(0x23, width, values[0], target, behind)) }
        if pair, random.chance(oneIn: 2) { leave(1, values[0], values[1]) }
        for _ in 0 ..< 1 + random.below(leavesMemory ? 1 : 2) { test(width, pair, &random) }
        if stores { add(Encode.store(0x23, width, random.pick([values[0], fill]), target, behind)) }
        if !early { advance(bytes, pair, stores) }
        if random.chance(oneIn: 4) { add(Encode.addi(scratch[0], pointers[0], 3)) }
        if counted == 2 { add(Encode.addi(counter, counter, -1)) }
        close(counted, loop, &random)
    }

    private mutating func advance(_ bytes: Int32, _ pair: Bool, _ stores: Bool) {
        for pointer in pointers.prefix(pair ? 2 : 1) { add(Encode.addi(pointer, pointer, bytes)) }
        if stores { add(Encode.addi(target, target, bytes)) }
    }

    /// Leaves by what was loaded.
    private mutating func test(_ width: UInt32, _ pair: Bool, _ random: inout FuzzRandom) {
        let value = values[pair ? random.below(2) : 0]
        switch random.below(10) {
        case 0, 1: leave(0, value, 0)
        case 2: leave(0, value, other)
        case 3: if width == 0 { leave(1, value, fill) } else { leave(0, value, 0) }
        case 4: leave(random.pick([4, 5, 6, 7]), value, other)
        case 5: leave(random.pick([4, 5, 6, 7]), other, value)
        case 6:
            // A range, as for digits or blanks.
            add(Encode.addi(scratch[1], value, -Int32(random.below(100))), Encode.immediate(0x13, 7, scratch[1], scratch[1], 255), Encode.addi(scratch[2], 0, Int32(random.below(256))))
            leave(random.pick([6, 7]), scratch[1], scratch[2])
        case 8:
            // The same as compilers test it.
            let lowest = Int32(random.below(200)), word: UInt32 = random.chance(oneIn: 2) ? 8 : 0
            add(Encode.addi(scratch[2], 0, Int32(random.below(256))), Encode.addi(scratch[1], value, -lowest) | word)
            if random.chance(oneIn: 2) { leave(random.pick([6, 7]), scratch[1], scratch[2]) } else { leave(random.pick([6, 7]), scratch[2], scratch[1]) }
        case 7:
            add(Encode.register(4, 0, scratch[1], value, random.pick([other, fill])))  // xor
            leave(random.pick([0, 0, 1]), scratch[1], 0)
        default:
            // A byte of a word is zero.
            add(Encode.register(0, 0x20, scratch[1], value, ones), Encode.immediate(0x13, 4, scratch[2], value, -1))  // sub, not
            add(Encode.register(7, 0, scratch[1], scratch[1], scratch[2]), Encode.register(7, 0, scratch[1], scratch[1], highs))
            leave(1, scratch[1], 0)
        }
    }

    private mutating func close(_ counted: Int, _ loop: Int, _ random: inout FuzzRandom) {
        if random.chance(oneIn: 3) {
            // Over something else that also leads back.
            add(Encode.register(7, 0, scratch[0], values[0], highs))
            let over = items.count
            branch(0, scratch[0], 0, to: 0)
            add(Encode.immediate(0x13, 7, scratch[0], values[0], 127))
            leave(0, scratch[0], 0)
            guard case .branch(let bits, _) = items[over].content else { return }
            items[over].content = .branch(bits, target: items.count)
        }
        switch counted {
        case 1: branch(random.pick([1, 6]), pointers[0], end, to: loop)
        case 2: branch(1, counter, 0, to: loop)
        default: branch(random.pick([0, 0, 5]), 0, 0, to: loop)
        }
        if counted == 0, random.chance(oneIn: 3) { add(Encode.addi(scratch[0], 0, 1)) }
    }
}

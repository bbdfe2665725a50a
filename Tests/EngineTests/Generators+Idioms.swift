// What random instructions seldom make: bytes that make words, instructions that belong together, chains of floats in one register, pointers that leave memory.

import GuestRISCV

/// Registers that nothing else depends on.
private let freeRegisters: [UInt32] = [10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22, 23]

private func word(_ bits: UInt32) -> ProgramItem { ProgramItem(content: .plain(bits, byteCount: 4)) }

func idiom(_ random: inout FuzzRandom) -> [ProgramItem] {
    switch random.below(5) {
    case 0: byteCopy(&random)
    case 1: byteNumber(&random)
    case 2: pair(&random)
    case 3: aesRounds(&random)
    default: floatChain(&random)
    }
}

/// 2, 4 or 8 bytes from one place to another, loaded in any order and stored in any order, or byte for byte: sometimes all but
/// a copy of a word.
func byteCopy(_ random: inout FuzzRandom) -> [ProgramItem] {
    let count = random.pick([2, 4, 8]), registers = freeRegisters.shuffled(using: &random)
    let from = random.pick(PointerRegister.all), to = random.pick(PointerRegister.all)
    let source = offset(&random), destination = random.chance(oneIn: 4) ? source &+ UInt32(random.below(8)) : offset(&random)
    var loads: [UInt32] = [], stores: [UInt32] = []
    for byte in 0 ..< count {
        // lbu, or lb once in a while.
        let load: UInt32 = random.chance(oneIn: 8) ? 0 : 4, place = source &+ UInt32(random.chance(oneIn: 40) ? 0 : byte)
        loads.append(0x03 | load << 12 | registers[byte] << 7 | from << 15 | (place & 0xfff) << 20)
        let stored = destination &+ UInt32(byte)
        stores.append(0x23 | (stored & 31) << 7 | to << 15 | registers[byte] << 20 | (stored >> 5 & 127) << 25)
    }
    if random.chance(oneIn: 4) { return zip(loads, stores).flatMap { [word($0), word($1)] } }
    if random.chance(oneIn: 2) { loads.shuffle(using: &random) }
    if random.chance(oneIn: 2) { stores.shuffle(using: &random) }
    return (loads + stores).map(word)
}

/// A number put together from 2, 4 or 8 bytes in either order, sometimes all but that, by shifts of words or doublewords.
func byteNumber(_ random: inout FuzzRandom) -> [ProgramItem] {
    let isWord = random.chance(oneIn: 2), count = random.pick(isWord ? [2, 4] : [2, 4, 8]), isReversed = random.chance(oneIn: 2)
    let registers = freeRegisters.shuffled(using: &random), from = random.pick(PointerRegister.all), source = offset(&random)
    var loads: [UInt32] = [], others: [UInt32] = []
    for byte in 0 ..< count {
        let load: UInt32 = random.chance(oneIn: 20) ? 0 : 4, place = source &+ UInt32(random.chance(oneIn: 40) ? 0 : byte)
        loads.append(0x03 | load << 12 | registers[byte] << 7 | from << 15 | (place & 0xfff) << 20)
    }
    if random.chance(oneIn: 2) { loads.shuffle(using: &random) }
    for byte in 0 ..< count {
        let shift = UInt32(8 * (isReversed ? count - 1 - byte : byte)), register = registers[byte]
        if shift > 0 { others.append((isWord ? 0x1b : 0x13) | 1 << 12 | register << 7 | register << 15 | shift << 20) }
    }
    // Parts of the number may stay behind in registers, neighbouring bytes or not.
    var parts = Array(registers[..<count])
    if random.chance(oneIn: 2) { parts.shuffle(using: &random) }
    var sum = parts[0]
    for part in parts.dropFirst() {
        let target = random.pick([sum, part])
        others.append(0x33 | 6 << 12 | target << 7 | sum << 15 | part << 20)
        sum = target
    }
    return (loads + others).map(word)
}

/// Two instructions of which one host instruction, or a few other ones, are made: the halves of a product, the parts of a
/// rotation, a division by a constant.
func pair(_ random: inout FuzzRandom) -> [ProgramItem] {
    let registers = freeRegisters.shuffled(using: &random), (a, b, c, d) = (registers[0], registers[1], registers[2], registers[3])
    func register(_ function: UInt32, _ high: UInt32, _ destination: UInt32, _ left: UInt32, _ right: UInt32, opcode: UInt32 = 0x33) -> UInt32 {
        opcode | function << 12 | destination << 7 | left << 15 | right << 20 | high << 25
    }
    switch random.below(4) {
    case 3:
        // Halves of a carry-less product: clmul, and clmulh or clmulr.
        let high = register(random.pick([2, 3]), 5, c, a, b), low = register(1, 5, d, b, a)
        return (random.chance(oneIn: 2) ? [low, high] : [high, low]).map(word)
    case 0:
        let high = register(random.pick([1, 3]), 1, c, a, b), low = register(0, 1, d, a, b)
        return (random.chance(oneIn: 2) ? [low, high] : [high, low]).map(word)
    case 1:
        let isWord = random.chance(oneIn: 2), width: UInt32 = isWord ? 32 : 64, left = 1 + UInt32(random.below(Int(width) - 1))
        let right = random.chance(oneIn: 8) ? left : width - left, opcode: UInt32 = isWord ? 0x1b : 0x13
        let up = opcode | 1 << 12 | c << 7 | a << 15 | left << 20, down = opcode | 5 << 12 | d << 7 | a << 15 | right << 20
        // or, xor
        return [up, down, register(random.pick([6, 4]), 0, b, c, d)].map(word)
    default:
        let divisor = UInt32(bitPattern: Int32(random.below(4096) - 2048)) & 0xfff
        let opcode: UInt32 = random.chance(oneIn: 2) ? 0x33 : 0x3b
        // addi, then div, divu, rem or remu.
        return [0x13 | b << 7 | divisor << 20, register(4 + UInt32(random.below(4)), 1, c, a, b, opcode: opcode)].map(word)
    }
}

/// Rounds of AES as programs compute them, both halves of a state and then its key, with a register that is none of them now and then.
func aesRounds(_ random: inout FuzzRandom) -> [ProgramItem] {
    let registers = freeRegisters.shuffled(using: &random), from = random.pick(PointerRegister.all), source = offset(&random)
    let high = registers[1]
    var low = registers[0], result: [UInt32] = []
    for _ in 0 ..< 1 + random.below(4) {
        // es, esm, ds, dsm
        let round: UInt32 = random.pick([0b0011001, 0b0011011, 0b0011101, 0b0011111])
        let newLow = registers[random.chance(oneIn: 8) ? 0 : 2], newHigh = registers[3]
        result.append(0x33 | newLow << 7 | low << 15 | high << 20 | round << 25)
        result.append(0x33 | newHigh << 7 | high << 15 | low << 20 | round << 25)
        // ld of both halves of the key
        for (key, place) in [(registers[4], source), (registers[5], source &+ 8)] {
            result.append(0x03 | 3 << 12 | key << 7 | from << 15 | (place & 0xfff) << 20)
        }
        let second = random.chance(oneIn: 8) ? registers[4] : registers[5]
        low = registers[random.pick([0, 2])]
        result.append(0x33 | 4 << 12 | low << 7 | newLow << 15 | registers[4] << 20)
        result.append(0x33 | 4 << 12 | high << 7 | second << 15 | newHigh << 20)
    }
    if random.chance(oneIn: 4) { result.append(0x33 | 4 << 12 | low << 7 | low << 15 | high << 20) }
    return result.map(word)
}

/// An offset from a pointer that leaves room for eight bytes.
private func offset(_ random: inout FuzzRandom) -> UInt32 { UInt32(bitPattern: Int32(random.below(4096 - 16) - 2048)) }

/// Computations and loads of f32 or f64 that write the same one or two registers again and again.
func floatChain(_ random: inout FuzzRandom) -> [ProgramItem] {
    let registers = (0 ..< 2).map { _ in UInt32(random.below(32)) }, isMixed = random.chance(oneIn: 4)
    var format = UInt32(random.below(2))
    return (0 ..< 3 + random.below(6)).map { _ in
        if isMixed { format = UInt32(random.below(2)) }
        let destination = random.pick(registers)
        if random.chance(oneIn: 4) {
            let place = offset(&random) & 0xfff
            return word(0x07 | (2 + format) << 12 | destination << 7 | random.pick(PointerRegister.all) << 15 | place << 20)
        }
        let left = random.chance(oneIn: 2) ? random.pick(registers) : UInt32(random.below(32)), right = UInt32(random.below(32))
        let operands = destination << 7 | 7 << 12 | left << 15 | right << 20
        // fmadd, fmsub, fnmsub, fnmadd; or fadd, fsub, fmul, fdiv.
        if random.chance(oneIn: 4) {
            return word(0x43 | UInt32(random.below(4)) << 2 | operands | format << 25 | UInt32(random.below(32)) << 27)
        }
        return word(0x53 | operands | (UInt32(random.below(4)) << 2 | format) << 25)
    }
}

/// Moves a pointer up: in a loop it leaves the data.
func walk(_ random: inout FuzzRandom) -> ProgramItem {
    let pointer = random.pick(PointerRegister.all)
    return word(0x13 | pointer << 7 | pointer << 15 | UInt32(8 * (64 + random.below(190))) << 20)
}

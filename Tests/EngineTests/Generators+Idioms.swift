// What random instructions seldom make: copies of bytes, chains of floats in one register, pointers that leave memory.

import GuestRISCV

/// Registers that nothing else depends on.
private let freeRegisters: [UInt32] = [10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22, 23]

private func word(_ bits: UInt32) -> ProgramItem { ProgramItem(content: .plain(bits, byteCount: 4)) }

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

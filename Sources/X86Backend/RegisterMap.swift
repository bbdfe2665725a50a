// Which guest registers live in host registers wherever translations meet, and which host registers are free inside.
//
// rbp holds the state pointer plus a bias, rsp the return stack. Ten general and eleven vector registers are homes of guest
// registers; what is left is scratch inside a translation and holds nothing between two.

import CHost
import IR
import X86

/// A guest register slot as the back end sees it.
package struct SlotLayout: Sendable {
    package let offset: Int32
    package let type: Type
    package init(offset: Int32, type: Type) {
        self.offset = offset
        self.type = type
    }
}

package struct RegisterMap: Sendable {
    static let homeRegisters: [Register] = [.rbx, .rsi, .r8, .r9, .r10, .r11, .r12, .r13, .r14, .r15]
    static let homeVectors: [XMM] = [.xmm5, .xmm6, .xmm7, .xmm8, .xmm9, .xmm10, .xmm11, .xmm12, .xmm13, .xmm14, .xmm15]
    /// Scratch registers in the order of preference; rax, rcx and rdx last, since instructions demand them.
    static let scratchRegisters: [Register] = [.rdi, .rcx, .rdx, .rax]
    static let scratchVectors: [XMM] = [.xmm0, .xmm1, .xmm2, .xmm3, .xmm4]

    let slots: [SlotLayout]
    /// Raw number of the home register of a slot, or `none`. Vector registers for slots of float type.
    let home: [UInt8]
    let programCounterOffset: Int32
    /// What the homes hold where translations meet.
    package let homes: [Home]
    /// (slot, register) of all homes, for the stubs.
    let integerHomes: [(slot: Int, register: Register)]
    let floatHomes: [(slot: Int, register: XMM)]
    static let none: UInt8 = 0xff

    /// - Parameters:
    ///   - hotIntegers: slots by falling heat; as many as there are home registers are pinned.
    package init(slots: [SlotLayout], hotIntegers: [Int], hotFloats: [Int], programCounterOffset: Int32) {
        self.slots = slots
        self.programCounterOffset = programCounterOffset
        integerHomes = Array(zip(hotIntegers, RegisterMap.homeRegisters)).map { ($0, $1) }
        floatHomes = Array(zip(hotFloats, RegisterMap.homeVectors)).map { ($0, $1) }
        var home = [UInt8](repeating: RegisterMap.none, count: slots.count)
        for (slot, register) in integerHomes { home[slot] = register.rawValue }
        for (slot, register) in floatHomes { home[slot] = register.rawValue }
        self.home = home
        homes = RegisterMap.homes(home, slots)
    }

    /// The same as a list.
    static func homes(_ home: [UInt8], _ slots: [SlotLayout]) -> [Home] {
        slots.indices.filter { home[$0] != none }
            .map { Home(offset: slots[$0].offset, register: home[$0], isVector: slots[$0].type.isFloat) }
    }

    /// The slot in the state block.
    func memory(ofSlot slot: Int) -> Memory { RegisterMap.state(slots[slot].offset) }

    /// `offset` bytes behind the state pointer.
    static func state(_ offset: Int32) -> Memory { .base(.rbp, offset - MYNAH_STATE_BIAS) }

    /// A field of the CPU header.
    static func header<Field>(_ field: KeyPath<mynah_cpu, Field>) -> Memory {
        state(Int32(MemoryLayout<mynah_cpu>.offset(of: field)!) - MYNAH_CPU_HEADER_BYTES)
    }

    /// Where a fault, or a call of a helper, keeps a register.
    static func saved(_ register: Register) -> Memory { header(\.registers).advanced(by: Int32(register.rawValue) * 8) }
    /// The same in bytes from the state pointer.
    static func savedOffset(_ register: Register) -> Int32 {
        Int32(MemoryLayout<mynah_cpu>.offset(of: \mynah_cpu.registers)!) - MYNAH_CPU_HEADER_BYTES + Int32(register.rawValue) * 8
    }
    static func saved(_ vector: XMM) -> Memory { header(\.vectors).advanced(by: Int32(vector.rawValue) * 8) }

    static let spillOffset = Int32(MemoryLayout<mynah_cpu>.offset(of: \mynah_cpu.spill)!) - MYNAH_CPU_HEADER_BYTES
    static func spill(_ index: Int) -> Memory { state(spillOffset + Int32(index) * 8) }
}

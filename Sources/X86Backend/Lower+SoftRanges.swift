// Memory in the user mode of machines: an access looks at the range that its pointer was in before.
//
//     lea  t, [base + displacement]
//     sub  t, [slot.low]; cmp t, [slot.starts]; jae miss
//     mov  t, [slot.distance]                                     what makes host addresses of the guest's
//     mov  result, [base + t + displacement]
//
// The loads do not wait for the address. Pointers have slots of their own, by what they come from, in the state block. A miss asks
// the look-aside buffer, and mostly leaves the slot as it is: only every now and then it is filled again.

import CHost
import IR
import X86

/// Where slots, records and their fields are (`SoftRange` of the guest's side): bytes from the state pointer, and in a range.
package struct SoftRangeLayout: Sendable {
    /// The slots for loads, and behind them those for stores.
    package var slots: Int32
    package var slotCount: Int
    /// A pointer to the records, one for each entry of the look-aside buffer.
    package var records: Int32
    package var epoch: Int32
    package var fills: Int32
    package var low: Int32, starts8: Int32, starts256: Int32, starts4096: Int32
    package var distance: Int32, host: Int32
    package var readEpoch: Int32, writeEpoch: Int32
    package var patience: Int32

    /// log2 of the bytes of a range.
    package static let recordBits = 6

    package init(
        slots: Int32, slotCount: Int, records: Int32, epoch: Int32, fills: Int32, low: Int32, starts8: Int32, starts256: Int32,
        starts4096: Int32, distance: Int32, host: Int32, readEpoch: Int32, writeEpoch: Int32, patience: Int32
    ) {
        self.slots = slots
        self.slotCount = slotCount
        self.records = records
        self.epoch = epoch
        self.fills = fills
        self.low = low
        self.starts8 = starts8
        self.starts256 = starts256
        self.starts4096 = starts4096
        self.distance = distance
        self.host = host
        self.readEpoch = readEpoch
        self.writeEpoch = writeEpoch
        self.patience = patience
    }

    /// The field with the number of places that an access of so many bytes may start at.
    func starts(_ byteCount: Int32) -> Int32 { byteCount <= 8 ? starts8 : byteCount <= 256 ? starts256 : starts4096 }

    /// A field of a slot.
    func place(_ slot: Int, _ field: Int32) -> Memory {
        RegisterMap.state(slots + Int32(slot << SoftRangeLayout.recordBits) + field)
    }
}

/// The C functions that fill what translated code looks at; arguments are state, address, and flags or the number of a slot.
package struct SoftMemoryFunctions {
    package var buffer: SoftBuffer
    package var fillBuffer: UInt64
    package var fillRange: UInt64
    package init(buffer: SoftBuffer, fillBuffer: UInt64, fillRange: UInt64) {
        self.buffer = buffer
        self.fillBuffer = fillBuffer
        self.fillRange = fillRange
    }
}

/// Which slot a pointer has: pointers out of the same guest register share one, other values of a superblock have one each.
struct RangeSlots {
    private var ofRegisters: [Int: Int] = [:]
    private var ofValues: [Int32: Int] = [:]
    private var count = 0

    mutating func removeAll() {
        ofRegisters.removeAll(keepingCapacity: true)
        ofValues.removeAll(keepingCapacity: true)
        count = 0
    }

    mutating func beginSuperblock() { ofValues.removeAll(keepingCapacity: true) }

    mutating func number(ofRegister slot: Int) -> Int {
        if let known = ofRegisters[slot] { return known }
        ofRegisters[slot] = count
        count += 1
        return count - 1
    }

    mutating func number(ofValue index: UInt32) -> Int {
        let key = Int32(truncatingIfNeeded: index)
        if let known = ofValues[key] { return known }
        ofValues[key] = count
        count += 1
        return count - 1
    }
}

/// What a look-up that misses in a slot goes on with.
struct RangeMiss {
    var slot: Int
    var byteCount: Int32
    var isWrite: Bool
    /// The result is the host address, and not what makes one of the guest's.
    var givesHost: Bool
    /// Of a group of accesses: where to leave when it cannot be looked up as a whole.
    var leave: Label?
    /// In the main path: where a fault is said to have happened.
    var start: Label
}

extension Translator {
    // MARK: Choosing slots

    /// - Parameter base: the pointer; constants that are added to it do not matter.
    private func rangeSlot(_ base: Value, isWrite: Bool, _ layout: SoftRangeLayout) -> Int {
        var root = base
        while true {
            let sum = function.instructions[Int(root.index)]
            guard sum.opcode == .add, sum.type == .i64, isImmediate(Int(sum.b.index)) else { break }
            root = sum.a
        }
        let origin = function.instructions[Int(root.index)]
        let own = origin.opcode == .read ? rangeSlots.number(ofRegister: origin.slot) : rangeSlots.number(ofValue: root.index)
        // Translations begin at different ones, so that those that take turns do not share.
        let first = (entries.first ?? function.entry) >> 1 &* 0x9e37_79b9_7f4a_7c15 >> 48
        return (Int(first) &+ own) & (layout.slotCount - 1) + (isWrite ? layout.slotCount : 0)
    }

    // MARK: Accesses

    /// Looks an access up, whose operands and result have registers by now; a fault finds everything where it is.
    /// - Returns: where it is.
    private func lookUpRange(_ address: RangeAddress, _ miss: RangeMiss, _ entry: Register, _ layout: SoftRangeLayout) -> Memory {
        let back = asm.makeLabel(), register = address.register
        asm.bind(miss.start)
        asm.lea(.quad, register, address.guest)
        asm.sub(.quad, register, layout.place(miss.slot, layout.low))
        asm.cmp(.quad, register, layout.place(miss.slot, layout.starts(miss.byteCount)))
        asm.jcc(.ae, cold(.rangeMiss(miss), back: back, register.rawValue, entry.rawValue, undone: undone(behind: false)))
        if let direct = address.direct {
            asm.mov(.quad, register, layout.place(miss.slot, layout.distance))
            asm.bind(back)
            return direct
        }
        asm.add(.quad, register, layout.place(miss.slot, layout.host))
        asm.bind(back)
        return .base(register)
    }

    /// The address of an access: in a scratch register, and, where a register can be added to it still, so.
    private struct RangeAddress {
        var guest: Memory
        var register: Register
        var direct: Memory?
    }

    private func rangeAddress(_ i: Instruction) -> RangeAddress {
        let kept = locked
        let guest = address(i)
        let register = allocate()
        if i.b.isNone, constant(i.a) == nil {
            // The base is needed still.
            let direct = Memory.base(use(i.a), index: register, scale: .one, Int32(truncatingIfNeeded: i.immediate))
            return RangeAddress(guest: guest, register: register, direct: direct)
        }
        locked = kept | 1 << UInt32(register.rawValue)
        return RangeAddress(guest: guest, register: register)
    }

    private func rangeMiss(_ i: Instruction, _ address: RangeAddress, isWrite: Bool, _ layout: SoftRangeLayout) -> RangeMiss {
        RangeMiss(
            slot: rangeSlot(i.a, isWrite: isWrite, layout), byteCount: Int32(i.access.bytes), isWrite: isWrite,
            givesHost: address.direct == nil, start: asm.makeLabel())
    }

    func lowerRangeLoad(_ i: Instruction, _ index: Int, _ buffer: SoftBuffer) {
        let layout = buffer.ranges, address = rangeAddress(i), entry = allocate()
        let miss = rangeMiss(i, address, isWrite: false, layout)
        if i.type.isFloat {
            let destination = defineVector(index)
            asm.movs(i.type.floatWidth, destination, lookUpRange(address, miss, entry, layout))
            if i.type == .f32, values[index].needsUpperHalf { setUpperHalf(destination) }
        } else if directTarget(index) != nil {
            let destination = define(index)
            loadInteger(destination, lookUpRange(address, miss, entry, layout), i.access, i.type)
        } else {
            loadInteger(address.register, lookUpRange(address, miss, entry, layout), i.access, i.type)
            define(index, in: address.register)
        }
    }

    func lowerRangeStore(_ i: Instruction, _ width: Width, _ buffer: SoftBuffer) {
        let layout = buffer.ranges, address = rangeAddress(i)
        store(i, width) { lookUpRange(address, rangeMiss(i, address, isWrite: true, layout), allocate(), layout) }
    }

    /// A `hostAddress`.
    func lowerRangeGroup(_ i: Instruction, _ index: Int, _ buffer: SoftBuffer) {
        let layout = buffer.ranges, isWrite = i.access.isSigned, kept = locked
        let guest = address(i), register = allocate()
        locked = kept | 1 << UInt32(register.rawValue)
        let entry = allocate(), link = makeLink(currentAddress, .jump)
        links[link].isSplit = true
        let leave = cold(.split, payload: link, undone: undone(behind: false))
        let miss = RangeMiss(
            slot: rangeSlot(i.a, isWrite: isWrite, layout), byteCount: Int32(i.detail2), isWrite: isWrite, givesHost: true,
            leave: leave, start: asm.makeLabel())
        _ = lookUpRange(RangeAddress(guest: guest, register: register), miss, entry, layout)
        define(index, in: register)
    }

    // MARK: Misses

    func emitRangeMiss(_ stub: ColdStub, _ miss: RangeMiss) {
        guard let buffer = softBuffer else { preconditionFailure("a look-up without a buffer") }
        let layout = buffer.ranges, address = Register(rawValue: stub.register).unsafelyUnwrapped
        let entry = Register(rawValue: stub.register2).unsafelyUnwrapped, back = stub.back.unsafelyUnwrapped
        let again = asm.makeLabel(), missed = asm.makeLabel(), fill = asm.makeLabel(), filled = asm.makeLabel()
        let tag = miss.isWrite ? buffer.writeTag : buffer.readTag
        asm.add(.quad, address, layout.place(miss.slot, layout.low))
        asm.bind(again)
        emitEntry(entry, of: address, buffer)
        asm.sub(.quad, address, .base(entry, tag))
        asm.cmp(.quad, address, imm: SoftBuffer.pageBytes - miss.byteCount)
        asm.jcc(.a, missed)
        asm.sub(.long, layout.place(miss.slot, layout.patience), imm: 1)
        asm.jcc(.s, fill)
        asm.bind(filled)
        if miss.givesHost {
            asm.add(.quad, address, .base(entry, buffer.host))
        } else {
            asm.mov(.quad, address, .base(entry, buffer.host))
            asm.sub(.quad, address, .base(entry, tag))
        }
        asm.jmp(back)

        asm.bind(fill)
        asm.add(.quad, address, .base(entry, tag))
        emitFillSlot(address, miss)
        asm.sub(.quad, address, .base(entry, tag))
        asm.jmp(filled)

        asm.bind(missed)
        asm.add(.quad, address, .base(entry, tag))
        let flags = (miss.isWrite ? 1 : 0) | Int32(miss.byteCount) << 1
        guard let leave = miss.leave else {
            noteUndone(stub.undone)
            asm.mov(.quad, RegisterMap.header(\.helper_scratch), address)
            asm.lea(.quad, entry, asm.memory(at: asm.executableAddress(atOffset: asm.offset(of: miss.start))))
            asm.mov(.quad, RegisterMap.header(\.fault_host_pc), entry)
            asm.mov(.quad, RegisterMap.header(\.helper_scratch).advanced(by: 8), imm: flags)
            asm.call(to: stubs.fillBuffer)
            return asm.jmp(again)
        }
        // Across pages there is nothing to fill but the slot.
        let across = asm.makeLabel()
        asm.mov(.long, entry, address)
        asm.and(.long, entry, imm: SoftBuffer.pageBytes - 1)
        asm.cmp(.long, entry, imm: SoftBuffer.pageBytes - miss.byteCount)
        asm.jcc(.a, across)
        asm.mov(.quad, RegisterMap.header(\.helper_scratch), address)
        asm.mov(.quad, RegisterMap.header(\.helper_scratch).advanced(by: 8), imm: flags | Int32(SoftBuffer.isSpeculative))
        asm.call(to: stubs.tryToFillBuffer)
        asm.jcc(.ne, leave)
        asm.jmp(again)

        asm.bind(across)
        asm.sub(.long, layout.place(miss.slot, layout.patience), imm: 1)
        asm.jcc(.ns, leave)
        emitFillSlot(address, miss)
        asm.sub(.quad, address, layout.place(miss.slot, layout.low))
        asm.cmp(.quad, address, layout.place(miss.slot, layout.starts(miss.byteCount)))
        asm.jcc(.ae, leave)
        asm.add(.quad, address, layout.place(miss.slot, layout.host))
        asm.jmp(back)
    }

    private func emitFillSlot(_ address: Register, _ miss: RangeMiss) {
        asm.mov(.quad, RegisterMap.header(\.helper_scratch), address)
        asm.mov(.quad, RegisterMap.header(\.helper_scratch).advanced(by: 8), imm: Int32(miss.slot))
        asm.call(to: miss.isWrite ? stubs.fillWriteSlot : stubs.fillReadSlot)
    }
}

extension CodeStubs {
    /// Copies the record of the address's page into the slot if it holds and has the address; else has `fill` find the range.
    /// - Returns: where it starts.
    func emitFillSlot(_ asm: inout Assembler, _ buffer: SoftBuffer, _ epoch: Int32, _ fill: UInt64) -> UInt64 {
        let layout = buffer.ranges, bits = UInt8(SoftRangeLayout.recordBits), finds = asm.makeLabel()
        let used: [Register] = [.rax, .rcx, .rdx]
        asm.align(to: 16)
        let start = asm.executableAddress
        for register in used { asm.mov(.quad, RegisterMap.saved(register), register) }
        asm.sub(.long, RegisterMap.state(layout.fills), imm: 1)
        asm.jcc(.s, finds)
        asm.mov(.quad, .rax, RegisterMap.header(\.helper_scratch))
        asm.mov(.long, .rcx, .rax)
        asm.shr(.long, .rcx, imm: SoftBuffer.pageBits - bits)
        asm.and(.long, .rcx, imm: Int32(buffer.entryCount - 1) << Int32(bits))
        asm.add(.quad, .rcx, RegisterMap.state(layout.records))
        asm.mov(.long, .rdx, .base(.rcx, epoch))
        asm.cmp(.long, .rdx, RegisterMap.state(layout.epoch))
        asm.jcc(.ne, finds)
        asm.and(.quad, .rax, imm: ~7)
        asm.sub(.quad, .rax, .base(.rcx, layout.low))
        asm.cmp(.quad, .rax, .base(.rcx, layout.starts8))
        asm.jcc(.ae, finds)
        asm.mov(.long, .rdx, RegisterMap.header(\.helper_scratch).advanced(by: 8))
        asm.shl(.long, .rdx, imm: bits)
        asm.lea(.quad, .rdx, .base(.rbp, index: .rdx, scale: .one, layout.slots - MYNAH_STATE_BIAS))
        for field in [layout.low, layout.starts8, layout.starts256, layout.starts4096, layout.distance, layout.host] {
            asm.mov(.quad, .rax, .base(.rcx, field))
            asm.mov(.quad, .base(.rdx, field), .rax)
        }
        asm.mov(.long, .rax, .base(.rcx, layout.patience))
        asm.mov(.long, .base(.rdx, layout.patience), .rax)
        for register in used { asm.mov(.quad, register, RegisterMap.saved(register)) }
        asm.ret()
        asm.bind(finds)
        for register in used { asm.mov(.quad, register, RegisterMap.saved(register)) }
        asm.jmp(to: fill)
        return start
    }
}

// Memory in machine mode: every access goes through the processor's look-aside buffer, inline.
//
//     lea   t, [address]
//     again: rorx u, t, 7; and u, index; add u, [table]           the entry, of 32 bytes
//     sub   t, [u + tag]; cmp t, 4096 - size; ja miss             the offset into the page
//     add   t, [u + host]                                         the host address
//
// A miss has the buffer filled and tries again; where it cannot be filled (a device, an exception), it leaves as a fault on this
// access, and the interpreter executes the instruction.
//
// Where several accesses of a superblock have one base, `hostAddress` looks all of them up at once. When their bytes are not in one
// page, or cannot all be accessed, nothing has happened yet: it leaves for a translation of the same code that looks each up.

import CHost
import IR
import X86

/// The look-aside buffer as translated code sees it: offsets in bytes.
package struct SoftBuffer: Sendable {
    /// In the state: pointers to the table for loads and stores, and to the 32-bit numbers of the pages of code.
    package var dataTable: Int32
    package var codePages: Int32
    /// Entries of the two, powers of two. Those for data have 32 bytes.
    package var entryCount: Int
    package var codePageCount: Int
    /// In an entry.
    package var readTag: Int32
    package var writeTag: Int32
    package var host: Int32
    package var ranges: SoftRangeLayout

    package init(
        dataTable: Int32, codePages: Int32, entryCount: Int, codePageCount: Int, readTag: Int32, writeTag: Int32, host: Int32, ranges: SoftRangeLayout
    ) {
        self.dataTable = dataTable
        self.codePages = codePages
        self.entryCount = entryCount
        self.codePageCount = codePageCount
        self.readTag = readTag
        self.writeTag = writeTag
        self.host = host
        self.ranges = ranges
    }

    static let pageBytes: Int32 = 4096
    static let pageBits: UInt8 = 12
    /// log2 of the bytes of an entry.
    static let entryBits: UInt8 = 5

    /// In what the filling function is told: the access may not come, and must leave no traces in page tables.
    package static let isSpeculative = 1 << 16

    /// Whether two addresses are in one page.
    static func areInOnePage(_ a: UInt64, _ b: UInt64) -> Bool { (a ^ b) >> UInt64(pageBits) == 0 }
}

/// What the inline look-up is done with.
struct SoftAccess {
    var address: Register
    var temporary: Register
    var byteCount: Int32
    var isWrite: Bool
}

extension Translator {
    /// The address of an access in a scratch register; the registers that it was made from are free again.
    func softAddress(_ i: Instruction, hasIndex: Bool = true) -> Register {
        let kept = locked
        let memory = address(i, hasIndex: hasIndex)
        let result = allocate()
        asm.lea(.quad, result, memory)
        locked = kept | 1 << UInt32(result.rawValue)
        return result
    }

    /// Turns the guest address in a register into the host's. All that the instruction evicts or loads has been before: a fault finds
    /// the values where they are now.
    /// - Parameter isAtomic: a misaligned address must not get through.
    func lookUp(_ access: SoftAccess, _ buffer: SoftBuffer, isAtomic: Bool = false) -> Memory {
        let again = asm.makeLabel()
        return lookUp(access, buffer, isAtomic: isAtomic, again: again, miss: coldMiss(access, back: again))
    }

    private func lookUp(_ access: SoftAccess, _ buffer: SoftBuffer, isAtomic: Bool, again: Label, miss: Label) -> Memory {
        let address = access.address, entry = access.temporary
        asm.bind(again)
        emitEntry(entry, of: address, buffer)
        asm.sub(.quad, address, .base(entry, access.isWrite ? buffer.writeTag : buffer.readTag))
        asm.cmp(.quad, address, imm: SoftBuffer.pageBytes - access.byteCount)
        asm.jcc(.a, miss)
        if isAtomic, access.byteCount > 1 {
            asm.test(.long, address, imm: access.byteCount - 1)
            asm.jcc(.ne, miss)
        }
        asm.add(.quad, address, .base(entry, buffer.host))
        return .base(address)
    }

    /// The entry that an address would be in.
    func emitEntry(_ entry: Register, of address: Register, _ buffer: SoftBuffer) {
        let shift = SoftBuffer.pageBits - SoftBuffer.entryBits
        if features.contains(.bmi2) {
            asm.rorx(.long, entry, address, imm: shift)
        } else {
            asm.mov(.long, entry, address)
            asm.shr(.long, entry, imm: shift)
        }
        asm.and(.long, entry, imm: Int32(buffer.entryCount - 1) << Int32(SoftBuffer.entryBits))
        asm.add(.quad, entry, RegisterMap.state(buffer.dataTable))
    }

    func coldMiss(_ access: SoftAccess, back: Label) -> Label {
        let flags = (access.isWrite ? 1 : 0) | Int(access.byteCount) << 1
        return cold(.softMiss(flags), back: back, access.address.rawValue, access.temporary.rawValue, undone: undone(behind: false))
    }

    // MARK: Groups of accesses

    /// The base is a host address.
    func isProven(_ i: Instruction) -> Bool { function.instructions[Int(i.a.index)].opcode == .hostAddress }

    func lowerHostAddress(_ i: Instruction, _ index: Int) {
        guard let softBuffer else { preconditionFailure("a look-up without a buffer") }
        if looksAtRanges { return lowerRangeGroup(i, index, softBuffer) }
        let access = SoftAccess(address: softAddress(i), temporary: allocate(), byteCount: Int32(i.detail2), isWrite: i.access.isSigned)
        let link = makeLink(currentAddress, .jump), again = asm.makeLabel()
        links[link].isSplit = true
        let leave = cold(.split, payload: link, undone: undone(behind: false))
        let flags = (access.isWrite ? 1 : 0) | SoftBuffer.isSpeculative | Int(access.byteCount) << 1
        let miss = cold(.softGroupMiss(flags, leave), back: again, access.address.rawValue, access.temporary.rawValue)
        let place = lookUp(access, softBuffer, isAtomic: false, again: again, miss: miss)
        asm.lea(.quad, access.address, place)
        define(index, in: access.address)
    }

    func emitSoftGroupMiss(_ stub: ColdStub, _ flags: Int, _ leave: Label) {
        guard let buffer = softBuffer else { preconditionFailure("a look-up without a buffer") }
        let address = Register(rawValue: stub.register).unsafelyUnwrapped
        let entry = Register(rawValue: stub.register2).unsafelyUnwrapped
        asm.add(.quad, address, .base(entry, flags & 1 != 0 ? buffer.writeTag : buffer.readTag))
        // Across pages there is nothing to fill.
        asm.mov(.long, entry, address)
        asm.and(.long, entry, imm: SoftBuffer.pageBytes - 1)
        asm.cmp(.long, entry, imm: SoftBuffer.pageBytes - Int32(flags >> 1 & 0xff))
        asm.jcc(.a, leave)
        asm.mov(.quad, RegisterMap.header(\.helper_scratch), address)
        asm.mov(.long, entry, imm: Int32(flags))
        asm.mov(.quad, RegisterMap.header(\.helper_scratch).advanced(by: 8), entry)
        asm.call(to: stubs.tryToFillBuffer)
        asm.jcc(.ne, leave)
        asm.jmp(stub.back.unsafelyUnwrapped)
    }

    func emitSoftMiss(_ stub: ColdStub, _ flags: Int) {
        guard let buffer = softBuffer else { preconditionFailure("a look-up without a buffer") }
        let address = Register(rawValue: stub.register).unsafelyUnwrapped
        let entry = Register(rawValue: stub.register2).unsafelyUnwrapped
        let back = stub.back.unsafelyUnwrapped
        asm.add(.quad, address, .base(entry, flags & 1 != 0 ? buffer.writeTag : buffer.readTag))
        asm.mov(.quad, RegisterMap.header(\.helper_scratch), address)
        // Where a fault is said to have happened.
        asm.lea(.quad, entry, asm.memory(at: asm.executableAddress(atOffset: asm.offset(of: back))))
        asm.mov(.quad, RegisterMap.header(\.fault_host_pc), entry)
        asm.mov(.long, entry, imm: Int32(flags))
        asm.mov(.quad, RegisterMap.header(\.helper_scratch).advanced(by: 8), entry)
        asm.call(to: stubs.fillBuffer)
        asm.jmp(back)
    }

    // MARK: Entry

    /// Whoever comes from another page may only go on when the processor still sees this page here.
    func emitPageCheck(_ number: UInt32, at address: UInt64, _ buffer: SoftBuffer, pagesBehind: UInt64 = 0) {
        let page = address >> UInt64(SoftBuffer.pageBits) &+ pagesBehind
        let place = Int32(truncatingIfNeeded: page & UInt64(buffer.codePageCount - 1))
        let miss = asm.makeLabel()
        coldStubs.append(ColdStub(kind: .pageMiss(address), label: miss))
        asm.mov(.quad, .rcx, RegisterMap.state(buffer.codePages))
        asm.cmp(.long, .base(.rcx, place * 4), imm: Int32(bitPattern: number))
        asm.jcc(.ne, miss)
    }

    func emitPageMiss(_ address: UInt64) {
        asm.movImmediate(.rax, address)
        asm.jmp(to: stubs.indirectMiss)
    }
}

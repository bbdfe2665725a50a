// Memory in machine mode: every access goes through the processor's look-aside buffer, inline.
//
//     lea   t, [address]
//     again: mov u, t; shr u, 7; and u, index; add u, [table]     the entry, of 32 bytes
//     sub   t, [u + tag]; cmp t, 4096 - size; ja miss             the offset into the page
//     add   t, [u + host]                                         the host address
//
// A miss has the buffer filled and tries again; where it cannot be filled (a device, an exception), it leaves as a fault on this
// access, and the interpreter executes the instruction.

import CHost
import IR
import X86

/// The look-aside buffer as translated code sees it: offsets in bytes.
package struct SoftBuffer: Sendable {
    /// In the state: pointers to the table for loads and stores, and to the 32-bit numbers of the pages of code.
    package var dataTable: Int32
    package var codePages: Int32
    /// Entries of either, a power of two. Those for data have 32 bytes.
    package var entryCount: Int
    /// In an entry.
    package var readTag: Int32
    package var writeTag: Int32
    package var host: Int32

    package init(dataTable: Int32, codePages: Int32, entryCount: Int, readTag: Int32, writeTag: Int32, host: Int32) {
        self.dataTable = dataTable
        self.codePages = codePages
        self.entryCount = entryCount
        self.readTag = readTag
        self.writeTag = writeTag
        self.host = host
    }

    static let pageBytes: Int32 = 4096
    static let pageBits: UInt8 = 12
    /// log2 of the bytes of an entry.
    static let entryBits: UInt8 = 5

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
        let again = asm.makeLabel(), address = access.address, entry = access.temporary
        let miss = coldMiss(access, back: again)
        asm.bind(again)
        asm.mov(.long, entry, address)
        asm.shr(.long, entry, imm: SoftBuffer.pageBits - SoftBuffer.entryBits)
        asm.and(.long, entry, imm: Int32(buffer.entryCount - 1) << Int32(SoftBuffer.entryBits))
        asm.add(.quad, entry, RegisterMap.state(buffer.dataTable))
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

    private func coldMiss(_ access: SoftAccess, back: Label) -> Label {
        let flags = (access.isWrite ? 1 : 0) | Int(access.byteCount) << 1
        return makeCold(.softMiss(flags), back: back, access.address.rawValue, access.temporary.rawValue)
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
        let place = Int32(truncatingIfNeeded: page & UInt64(buffer.entryCount - 1))
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

// Loops of vectors in machine mode: a group of iterations looks all its accesses up before it does anything. What the look-aside buffer
// does not have, or what lies in two pages, is left to the scalar code, which fills it. So nothing of a group can fault.

import IR
import X86

extension VectorEmitter {
    /// To `miss` unless the buffer serves the access.
    func emitLookUp(_ index: Int, _ buffer: SoftBuffer, miss: Label) {
        let i = instruction(index)
        guard i.opcode == .load || i.opcode == .store else { return }
        emitEntry(directMemory(i), buffer)
        translator.asm.sub(.quad, .rdi, .base(.rcx, i.opcode == .store ? buffer.writeTag : buffer.readTag))
        translator.asm.cmp(.quad, .rdi, imm: SoftBuffer.pageBytes - Int32(i.access.bytes * i.type.laneCount))
        translator.asm.jcc(.a, miss)
    }

    /// The host's memory of an access that has been looked up. Tags may be gone by now, as others may have decoded code of the page.
    func emitHostMemory(_ memory: Memory, _ buffer: SoftBuffer) -> Memory {
        emitEntry(memory, buffer)
        translator.asm.and(.long, .rdi, imm: SoftBuffer.pageBytes - 1)
        translator.asm.add(.quad, .rdi, .base(.rcx, buffer.host))
        return .base(.rdi)
    }

    /// rdi = address, rcx = entry.
    private func emitEntry(_ memory: Memory, _ buffer: SoftBuffer) {
        translator.asm.lea(.quad, .rdi, memory)
        translator.emitEntry(.rcx, of: .rdi, buffer)
    }
}

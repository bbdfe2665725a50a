// Loops of vectors in machine mode: each access keeps the page that it was in last, with what is added to its address there. A group of
// iterations compares all of them before it does anything; who comes into another page asks the look-aside buffer. What that does not
// have, or what lies in two pages, is left to the scalar code, which fills it. So nothing of a group can fault.
//
// Between two groups nothing changes what is accessible but fences of others and code that others decode, and both ask for an interrupt.

import IR
import X86

extension VectorEmitter {
    /// Positions of the accesses; those that are the same are one.
    static func accesses(_ plan: VectorLoopPlan) -> [Int] {
        var result: [Int] = []
        for index in plan.body {
            let i = plan.function.instructions[index]
            guard i.opcode == .load || i.opcode == .store else { continue }
            if !result.contains(where: { plan.function.instructions[$0] == i }) { result.append(index) }
        }
        return result
    }

    /// Where an access keeps the address of its page, and what makes host addresses of the guest's there. Nothing of the superblock has
    /// been spilled yet.
    private func page(_ number: Int) -> Memory { RegisterMap.spill(number * 2) }
    private func distance(_ number: Int) -> Memory { RegisterMap.spill(number * 2 + 1) }
    static let mostAccesses = 31

    private func limit(_ i: Instruction) -> Int32 { SoftBuffer.pageBytes - Int32(i.access.bytes * i.type.laneCount) }

    /// Asks the buffer for the page of an access.
    func emitLookUp(_ number: Int, _ buffer: SoftBuffer, miss: Label) {
        let i = instruction(accesses[number])
        translator.asm.lea(.quad, .rdi, directMemory(i))
        translator.emitEntry(.rcx, of: .rdi, buffer)
        translator.asm.mov(.quad, .rax, .base(.rcx, i.opcode == .store ? buffer.writeTag : buffer.readTag))
        translator.asm.sub(.quad, .rdi, .rax)
        translator.asm.cmp(.quad, .rdi, imm: limit(i))
        translator.asm.jcc(.a, miss)
        translator.asm.mov(.quad, page(number), .rax)
        translator.asm.mov(.quad, .rdi, .base(.rcx, buffer.host))
        translator.asm.sub(.quad, .rdi, .rax)
        translator.asm.mov(.quad, distance(number), .rdi)
    }

    /// To `other` unless the access is in its page.
    func emitPageComparison(_ number: Int, other: Label) {
        let i = instruction(accesses[number])
        translator.asm.lea(.quad, .rdi, directMemory(i))
        translator.asm.sub(.quad, .rdi, page(number))
        translator.asm.cmp(.quad, .rdi, imm: limit(i))
        translator.asm.jcc(.a, other)
    }

    /// The host's memory of an access that is in its page.
    func hostMemory(_ i: Instruction) -> Memory {
        let number = accesses.firstIndex { instruction($0) == i }.unsafelyUnwrapped
        translator.asm.lea(.quad, .rdi, directMemory(i))
        translator.asm.add(.quad, .rdi, distance(number))
        return .base(.rdi)
    }
}

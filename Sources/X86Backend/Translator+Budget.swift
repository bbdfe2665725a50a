// Counting guest instructions, so that a run can stop after exactly so many and time can be counted in them.
//
// A superblock takes all of its instructions off the budget where it starts, and does not start when they are more than what is left;
// whoever leaves it early gives back what is not executed. So the budget is what it would be if instructions were counted one by one at
// every place that can be seen: exits, faults, and calls for one instruction.

import CHost
import IR
import X86

extension Translator {
    private var budget: Memory { RegisterMap.header(\.budget) }

    func emitBudget(_ function: Function) {
        guard countsInstructions else { return }
        instructionCount = 0
        for index in 0 ..< function.count where function.instructions[index].opcode == .boundary { instructionCount += 1 }
        guard instructionCount > 0 else { return }
        asm.sub(.long, budget, imm: instructionCount)
        let stub = asm.makeLabel()
        coldStubs.append(ColdStub(kind: .budget(function.entry), label: stub, undone: instructionCount))
        asm.jcc(.s, stub)
    }

    /// Instructions of the superblock that are not executed when it is left at the present one.
    /// - Parameter behind: the present one is executed itself.
    func undone(behind: Bool) -> Int32 {
        guard countsInstructions else { return 0 }
        return instructionCount - Int32(positions.count - blockPosition) + (behind ? 0 : 1)
    }

    func giveBack(_ count: Int32) {
        if count != 0 { asm.add(.long, budget, imm: count) }
    }

    /// Counts instructions that are about to be executed after all.
    func takeOff(_ count: Int32) {
        if count != 0 { asm.sub(.long, budget, imm: count) }
    }

    /// Should the access fault, so many have not been executed.
    func noteUndone(_ count: Int32) {
        if countsInstructions { asm.mov(.long, RegisterMap.header(\.undone), imm: count) }
    }

    func emitBudgetExit(_ entry: UInt64) {
        emitRestoration()
        loadGuestAddress(.rax, entry)
        asm.mov(.quad, RegisterMap.state(map.programCounterOffset), .rax)
        asm.movImmediate(.rax, ExitKind.budget.rawValue)
        asm.jmp(to: stubs.exit)
    }
}

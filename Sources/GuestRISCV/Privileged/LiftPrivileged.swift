// Machine mode in the lifter: what depends on the privileged state is the interpreter's.

import Guest
import IR

extension SuperblockLifter {
    /// What becomes of an instruction in machine mode when it is not lifted as in user mode; nil when it is.
    mutating func leaveToInterpreter(_ i: DecodedInstruction) -> Successor? {
        switch i.opcode {
        case .mret, .sret, .wfi, .sfenceVma, .sinvalVma, .sfenceWInval, .sfenceInvalIr, .fenceI: return trap(.modeChanged, at: pc)
        case .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci:
            // Where they change how memory or instructions work, the interpreter's answer leaves the translation.
            return i.changesRounding ? trap(.modeChanged, at: pc) : interpret()
        case .cboZero where zeroesBlocks: return zeroBlock(i)
        default: return floatIsNoticed && i.opcode.isFloat ? trap(.modeChanged, at: pc) : nil
        }
    }

    /// The first store faults, when any of them does: they lie in one page.
    private mutating func zeroBlock(_ i: DecodedInstruction) -> Successor {
        let start = binary(.and, .i64, x(i.rs1), builder.i64(-64)), zero = builder.i64(0)
        for offset in stride(from: 0 as Int64, to: 64, by: 8) { storeValue(.i64, Access(bytes: 8), start, offset: offset, zero) }
        return .next
    }
}

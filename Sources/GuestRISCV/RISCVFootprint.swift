// What a RISC-V instruction does outside the registers; see `InstructionFootprint`.

import Guest

extension DecodedInstruction {
    package var footprint: InstructionFootprint {
        switch opcode {
        case .lb, .lbu: access(loads: 1)
        case .lh, .lhu: access(loads: 2)
        case .lw, .lwu, .flw: access(loads: 4)
        case .ld, .fld: access(loads: 8)
        case .sb: access(stores: 1)
        case .sh: access(stores: 2)
        case .sw, .fsw: access(stores: 4)
        case .sd, .fsd: access(stores: 8)
        case .ecall, .ebreak, .illegal, .mret, .sret, .wfi, .sfenceVma, .sinvalVma, .sfenceWInval, .sfenceInvalIr:
            InstructionFootprint(.leaves)
        case .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci: controlRegister
        case .fenceI, .cboInval, .cboClean, .cboFlush, .cboZero: InstructionFootprint(.outside)
        default: isAtomic ? InstructionFootprint(.outside) : InstructionFootprint(.repeatable)
        }
    }

    private var isAtomic: Bool {
        opcode.rawValue >= RISCVOpcode.lrW.rawValue && opcode.rawValue <= RISCVOpcode.amomaxuD.rawValue
    }

    private func access(loads: UInt8 = 0, stores: UInt8 = 0) -> InstructionFootprint {
        InstructionFootprint(
            .repeatable, loadedBytes: loads, storedBytes: stores, baseOffset: Int32(rs1) * 8, displacement: immediate)
    }

    /// Writes that may change the rounding mode end a translation; the counters are clocks.
    private var controlRegister: InstructionFootprint {
        if changesRounding { return InstructionFootprint(.leaves) }
        let number = immediate & 0xfff
        let isFloat = number >= ControlRegister.flags && number <= ControlRegister.floatControl
        return InstructionFootprint(isFloat ? .repeatable : .outside)
    }
}

// RV64GC with the bit-manipulation and other small extensions, as the engine sees it.

import CHost
import Guest
import IR

package final class RISCV64: GuestISA {
    package init() {}

    package var name: String { "riscv64" }
    package var stateByteCount: Int { RISCVState.byteCount }
    package var programCounterOffset: Int32 { Int32(RISCVState.programCounterOffset) }

    /// x0...x31, f0...f31, pc: a slot's number is its register-file index.
    package let slots: [RegisterSlot] = (0 ... RISCVRegister.programCounter).map { index in
        let isFloat = index >= RISCVRegister.firstFloat && index < RISCVRegister.programCounter
        return RegisterSlot(name: RISCVRegisterName.name(index), offset: Int32(index * 8), type: isFloat ? .f64 : .i64)
    }

    /// sp, a0...a5, s0, s1, ra, a6, a7, t0, t1, s2, s3, t3...t5, s4...s11, t2, t6, gp, tp
    package let hotIntegerSlots = [
        2, 10, 11, 12, 13, 14, 15, 8, 9, 1, 16, 17, 5, 6, 18, 19, 28, 29, 30, 20, 21, 22, 23, 24, 25, 26, 27, 7, 31, 3, 4,
    ]
    /// fa0...fa7, ft0...ft7, fs0...fs11, ft8...ft11
    package let hotFloatSlots =
        Array(42 ... 49) + Array(32 ... 39) + Array(40 ... 41) + Array(50 ... 59) + Array(60 ... 63)

    package func initialize(state: UnsafeMutableRawPointer) { RISCVState(state).reset() }

    package func mode(of state: UnsafeMutableRawPointer) -> TranslationMode { RISCVState(state).mode }

    package func lift(
        at address: GuestAddress, mode: TranslationMode, source: CodeSource, limits: LiftLimits, into builder: inout Builder
    ) -> LiftedCode {
        RISCVLifter.lift(at: address, mode: mode, source: source, limits: limits, into: &builder)
    }

    package func makeInterpreter(source: CodeSource) -> GuestInterpreter { RISCVInterpreter(source: source) }

    package func disassemble(at address: UInt64, in window: CodeWindow) -> DisassembledInstruction {
        RISCVDisassembler.disassemble(at: address, in: window)
    }

    package func footprint(of encoding: UInt32) -> InstructionFootprint { RISCVDecoder.decode(encoding).footprint }

    /// `addi x0, x0, 0` and `c.nop`.
    package func noOperation(byteCount: Int) -> UInt32? { byteCount == 4 ? 0x13 : byteCount == 2 ? 0x1 : nil }
}

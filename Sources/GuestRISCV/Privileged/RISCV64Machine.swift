// RISC-V with its privileged architecture, as the engine sees it: a state block with the hart's part behind it.

import CHost
import Guest
import IR

package final class RISCV64Machine: GuestISA {
    private let user = RISCV64()
    package init() {}

    package var name: String { user.name }
    package var stateByteCount: Int { RISCVState.hartByteCount }
    package var programCounterOffset: Int32 { user.programCounterOffset }
    package var slots: [RegisterSlot] { user.slots }
    package var hotIntegerSlots: [Int] { user.hotIntegerSlots }
    package var hotFloatSlots: [Int] { user.hotFloatSlots }

    package func initialize(state: UnsafeMutableRawPointer) { RISCVState(state).reset() }

    /// See `MachineMode`.
    package func mode(of state: UnsafeMutableRawPointer) -> TranslationMode {
        let mode = RISCVState(state).mode
        if mode == .interpretOnly { return mode }
        let floatBit: UInt32 = RISCVState(state).hart.pointee.floatIsDirty == 0 ? MachineMode.floatIsNoticed : 0
        let zeroBit: UInt32 = RISCVState(state).hart.pointee.zeroesBlocks != 0 ? MachineMode.zeroesBlocks : 0
        let userBit: UInt32 = RISCVState(state).hart.pointee.isUser != 0 ? MachineMode.user : 0
        return TranslationMode(rawValue: mode.rawValue | MachineMode.machine | floatBit | zeroBit | userBit)
    }

    package func lift(
        at address: GuestAddress, mode: TranslationMode, source: CodeSource, limits: LiftLimits, into builder: inout Builder
    ) -> LiftedCode {
        RISCVLifter.lift(at: address, mode: mode, source: source, limits: limits, into: &builder)
    }

    package func makeInterpreter(source: CodeSource) -> GuestInterpreter { MachineInterpreter() }

    package func disassemble(at address: UInt64, in window: CodeWindow) -> DisassembledInstruction {
        user.disassemble(at: address, in: window)
    }

    // MARK: Machine mode

    package let softMemory: SoftMemoryLayout? = SoftMemoryLayout(
        dataTable: Int32(RISCVState.hartOffset + MemoryLayout<HartStateTail>.offset(of: \.dataTLB)!),
        codePages: Int32(RISCVState.hartOffset + MemoryLayout<HartStateTail>.offset(of: \.codePages)!),
        rangeSlots: Int32(RISCVState.rangesOffset),
        rangeRecords: Int32(RISCVState.hartOffset + MemoryLayout<HartStateTail>.offset(of: \.ranges)!),
        rangeEpoch: Int32(RISCVState.rangeEpochOffset), rangeFills: Int32(RISCVState.rangeFillsOffset))

    package func hasRanges(_ mode: TranslationMode) -> Bool { mode.rawValue & MachineMode.user != 0 }

    package func fillRange(_ state: UnsafeMutableRawPointer, address: UInt64, slot: Int) {
        RISCVHart.of(state).fillRange(address, slot: slot)
    }

    package func mapFaulted(_ state: UnsafeMutableRawPointer, host: UInt64) { RISCVHart.of(state).mapFaulted(host: host) }

    package func fillBuffer(
        _ state: UnsafeMutableRawPointer, address: UInt64, byteCount: UInt64, isWrite: Bool, isSpeculative: Bool
    ) -> Bool {
        let hart = RISCVHart.of(state)
        hart.isSpeculative = isSpeculative
        defer { hart.isSpeculative = false }
        return hart.fill(address, byteCount, isWrite ? .write : .read)
    }

    package func codePage(_ state: UnsafeMutableRawPointer, at address: UInt64) -> CodePageLookup {
        RISCVHart.of(state).lookUpCode(address)
    }

    package func admitCodePage(_ state: UnsafeMutableRawPointer, at address: UInt64, number: UInt32) {
        RISCVHart.of(state).admitCode(address, number)
    }

    package func footprint(of encoding: UInt32) -> InstructionFootprint { user.footprint(of: encoding) }
    package func noOperation(byteCount: Int) -> UInt32? { user.noOperation(byteCount: byteCount) }
}

/// Bits of a `TranslationMode` above the rounding mode.
enum MachineMode {
    static let machine: UInt32 = 0x100
    static let floatIsNoticed: UInt32 = 0x200
    static let zeroesBlocks: UInt32 = 0x400
    static let user: UInt32 = 0x800
}

// The registers of a RISC-V program as a debugger numbers them, and what its instructions are about to do.

import GDBStub
import Guest
import GuestRISCV

extension RISCVLinuxABI {
    /// Registers by number: x0...x31, pc, f0...f31, fflags, frm, fcsr.
    private enum Number {
        static let programCounter = 32, firstFloat = 33, flags = 65, roundingMode = 66, control = 67
    }

    private static let description: TargetDescription = {
        let integers = (0 ..< 32).map { RISCVRegisterName.name($0) },
            floats = (0 ..< 32).map { RISCVRegisterName.name(RISCVRegister.firstFloat + $0) }
        let controls = ["fflags", "frm", "fcsr"].map { RegisterDescription($0, bitCount: 32, type: "int", group: "float") }
        return TargetDescription(
            architecture: "riscv:rv64", system: "GNU/Linux",
            features: [
                .riscvIntegers(integers), .riscvFloats(floats), RegisterFeature("org.gnu.gdb.riscv.csr", controls),
            ],
            programCounter: Number.programCounter, expedited: [Number.programCounter, 1, 2, 8])
    }()

    package var debugDescription: TargetDescription { Self.description }

    package func debugRegister(_ number: Int, _ state: UnsafeMutableRawPointer) -> UInt64? {
        let view = RISCVState(state)
        switch number {
        case 0 ..< 32: return view[number]
        case Number.programCounter: return view.programCounter
        case Number.firstFloat ..< Number.flags: return view[RISCVRegister.firstFloat + number - Number.firstFloat]
        case Number.flags: return UInt64(view.fcsr & 31)
        case Number.roundingMode: return UInt64(view.fcsr >> 5 & 7)
        case Number.control: return UInt64(view.fcsr)
        default: return nil
        }
    }

    package func setDebugRegister(_ number: Int, _ state: UnsafeMutableRawPointer, to value: UInt64) -> Bool {
        let view = RISCVState(state)
        let low = UInt32(truncatingIfNeeded: value)
        switch number {
        case 0: break
        case 1 ..< 32: view[number] = value
        // Instructions are two-byte aligned; jalr drops the lowest bit as well.
        case Number.programCounter: view.programCounter = value & ~1
        case Number.firstFloat ..< Number.flags: view[RISCVRegister.firstFloat + number - Number.firstFloat] = value
        case Number.flags: view.fcsr = view.fcsr & ~31 | low & 31
        case Number.roundingMode: view.fcsr = view.fcsr & 31 | (low & 7) << 5
        case Number.control: view.fcsr = low & 0xff
        default: return false
        }
        return true
    }

    /// c.ebreak, which fits in place of every instruction.
    package var breakpointInstruction: [UInt8] { [0x02, 0x90] }

    package func isBreakpointInstruction(at address: UInt64) -> Bool {
        guard let low = readGuest(UInt16.self, at: address) else { return false }
        return low == 0x9002 || low == 0x0073 && readGuest(UInt16.self, at: address &+ 2) == 0x0010
    }

    package func memoryAccess(_ state: UnsafeMutableRawPointer) -> AccessedMemory? {
        let pc = RISCVState(state).programCounter
        guard let low = readGuest(UInt16.self, at: pc) else { return nil }
        if low & 3 != 3 { return RISCVDecoder.decode(UInt32(low)).memoryAccess(state) }
        guard let high = readGuest(UInt16.self, at: pc &+ 2) else { return nil }
        return RISCVDecoder.decode(UInt32(high) << 16 | UInt32(low)).memoryAccess(state)
    }
}

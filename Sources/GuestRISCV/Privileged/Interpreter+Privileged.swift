// Instructions that act on the privileged state, and those of user mode that it restricts. Only in machine mode.

import CHost
import Guest

extension RISCVInterpreter {
    /// Whether an opcode is an instruction of the privileged architecture.
    @inline(__always)
    static func isPrivileged(_ opcode: RISCVOpcode) -> Bool {
        opcode.rawValue >= RISCVOpcode.mret.rawValue && opcode.rawValue <= RISCVOpcode.sfenceInvalIr.rawValue
    }

    /// Raises an exception at the instruction.
    static func raise(_ cause: UInt64, _ value: UInt64, _ hart: RISCVHart) -> UInt32 {
        hart.trapCause = cause
        hart.trapValue = value
        return InterpreterExit.trap.rawValue
    }

    private static func illegal(_ record: UnsafeMutablePointer<InterpreterRecord>, _ hart: RISCVHart) -> UInt32 {
        let encoding = hart.encoding(at: hart.words[RISCVRegister.programCounter])
        return raise(TrapCause.illegalInstruction, encoding ?? 0, hart)
    }

    /// What decodes as illegal: a floating-point instruction does so while `mstatus.FS` is not dirty.
    static func executeIllegal(_ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer) -> UInt32 {
        let hart = RISCVHart.of(state)
        let encoding = UInt32(bitPattern: record.pointee.immediate)
        if hart.mstatus & Status.fs != 0, RISCVDecoder.decode(encoding).opcode.isFloat {
            hart.mstatus |= Status.fs
            hart.contextChanged()
            return InterpreterStatus.again
        }
        return illegal(record, hart)
    }

    static func executePrivileged(_ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer) -> UInt32 {
        let hart = RISCVHart.of(state)
        let x = state.assumingMemoryBound(to: UInt64.self)
        let next = x[RISCVRegister.programCounter] &+ UInt64(record.pointee.byteCount)
        switch record.pointee.opcode {
        case .mret:
            guard hart.returnFromMachine() else { return illegal(record, hart) }
            return InterpreterExit.modeChanged.rawValue
        case .sret:
            guard hart.returnFromSupervisor() else { return illegal(record, hart) }
            return InterpreterExit.modeChanged.rawValue
        case .wfi:
            let isForbidden = hart.privilege == .user || (hart.privilege == .supervisor && hart.mstatus & Status.tw != 0)
            if isForbidden { return illegal(record, hart) }
            x[RISCVRegister.programCounter] = next
            return InterpreterExit.waitForInterrupt.rawValue
        case .sfenceVma, .sinvalVma:
            let isForbidden = hart.privilege == .user || (hart.privilege == .supervisor && hart.mstatus & Status.tvm != 0)
            if isForbidden { return illegal(record, hart) }
            hart.fence(
                address: record.pointee.rs1 == 0 ? nil : x[Int(record.pointee.rs1)],
                space: record.pointee.rs2 == 0 ? nil : x[Int(record.pointee.rs2)])
        default:
            // The fences of Svinval: invalidations take effect at once.
            if hart.privilege == .user { return illegal(record, hart) }
        }
        x[RISCVRegister.programCounter] = next
        return InterpreterExit.modeChanged.rawValue
    }

    static func executePrivilegedControlRegister(
        _ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer
    ) -> UInt32 {
        let hart = RISCVHart.of(state)
        let i = record.pointee
        if i.immediate >= ControlRegister.flags && i.immediate <= ControlRegister.floatControl {
            return executeFloatControl(record, state, hart)
        }
        let x = state.assumingMemoryBound(to: UInt64.self)
        let takesImmediate = i.opcode == .csrrwi || i.opcode == .csrrsi || i.opcode == .csrrci
        let operand = takesImmediate ? UInt64(i.rs1) : x[Int(i.rs1)]
        let alwaysWrites = i.opcode == .csrrw || i.opcode == .csrrwi
        let writes = alwaysWrites || i.rs1 != 0
        guard let row = ControlRegisters.row(Int(i.immediate), for: hart, writes: writes) else { return illegal(record, hart) }
        let old = i.immediate == ControlRegister.seed ? hart.nextSeed : row.read(hart)
        var effect = ControlRegisterEffect.none
        if writes && (row.number == 0x344 || row.number == 0x144) {
            modifyPending(row.number, i.opcode, operand, hart)
            effect = .interrupts
        } else if writes {
            let new =
                switch i.opcode {
                case .csrrw, .csrrwi: operand
                case .csrrs, .csrrsi: old | operand
                default: old & ~operand
                }
            effect = row.write(hart, new)
        }
        x[Int(i.rd)] = old
        if effect == .none { return InterpreterStatus.next }
        // An interrupt that is enabled now is taken before the next instruction: the block ends here.
        let isInterrupted = hart.interruptsChanged()
        if effect == .interrupts && !isInterrupted { return InterpreterStatus.next }
        x[RISCVRegister.programCounter] &+= UInt64(i.byteCount)
        return InterpreterExit.modeChanged.rawValue
    }

    /// Writes of `mip` and `sip`: what a line adds is not set or cleared, and bits that others may raise meanwhile are not
    /// touched.
    private static func modifyPending(_ number: Int, _ opcode: RISCVOpcode, _ operand: UInt64, _ hart: RISCVHart) {
        let writable = number == 0x344 ? hart.machineWritablePending : HartInterrupt.supervisorSoftware & hart.mideleg
        switch opcode {
        case .csrrw, .csrrwi: hart.setPending(operand & writable, clear: ~operand & writable)
        case .csrrs, .csrrsi: hart.setPending(operand & writable, clear: 0)
        default: hart.setPending(0, clear: operand & writable)
        }
    }

    /// A debugger's write of a register as `csrw` in machine mode, if it is `mip` or `sip`; otherwise false.
    static func writePending(_ number: Int, _ value: UInt64, _ hart: RISCVHart) -> Bool {
        guard number == 0x344 || number == 0x144 else { return false }
        modifyPending(number, .csrrw, value, hart)
        return true
    }

    /// `fflags`, `frm` and `fcsr` are part of the floating-point state, which may be off.
    private static func executeFloatControl(
        _ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer, _ hart: RISCVHart
    ) -> UInt32 {
        if hart.mstatus & Status.fs == 0 { return illegal(record, hart) }
        let wasDirty = hart.mstatus & Status.fs == Status.fs
        let status = executeControlRegister(record, state)
        if wasDirty { return status }
        hart.mstatus |= Status.fs
        hart.contextChanged()
        if status == InterpreterStatus.next { hart.words[RISCVRegister.programCounter] &+= UInt64(record.pointee.byteCount) }
        return InterpreterExit.modeChanged.rawValue
    }

    /// Management of a cache block, which `menvcfg` and `senvcfg` permit to the lower modes.
    static func executeCacheBlock(_ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer) -> UInt32 {
        let hart = RISCVHart.of(state)
        let field =
            switch record.pointee.opcode {
            case .cboZero: EnvironmentConfiguration.cbze
            case .cboInval: EnvironmentConfiguration.cbie
            default: EnvironmentConfiguration.cbcfe
            }
        if !hart.permitsCacheBlock(field) { return illegal(record, hart) }
        let address = state.assumingMemoryBound(to: UInt64.self)[Int(record.pointee.rs1)]
        if record.pointee.opcode == .cboZero {
            let block = address & ~63
            switch hart.resolve(block, 64, .write) {
            case .ram where hart.isWatched(block, 64): return InterpreterExit.trap.rawValue
            case .ram(let host): for word in 0 ..< UInt64(8) { mynah_store_word(host &+ word &* 8, 8, 0) }
            case .device: return raise(TrapCause.storeAccessFault, address, hart)
            case .fault: return raise(hart.trapCause, address, hart)
            }
            return InterpreterStatus.next
        }
        if hart.permitsCacheManagement(address) { return InterpreterStatus.next }
        hart.trapValue = address
        return InterpreterExit.trap.rawValue
    }
}

extension RISCVOpcode {
    /// Instructions of F, D and Zfa: they need `mstatus.FS`.
    var isFloat: Bool { rawValue >= RISCVOpcode.flw.rawValue && rawValue <= RISCVOpcode.fcvtmodWD.rawValue }
}

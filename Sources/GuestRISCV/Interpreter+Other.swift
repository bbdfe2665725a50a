// Less frequent integer instructions: division, Zbb, Zbs, fences, traps, cache blocks.

import CHost
import Guest

extension RISCVInterpreter {
    /// Executes what the loop has no case for. The program counter is stored.
    @inline(never)
    static func executeOther<Memory: InterpreterMemory>(
        _ memory: Memory.Type, _ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer
    ) -> UInt32 {
        let opcode = record.pointee.opcode
        if isFloat(opcode) { return executeFloat(record, state) }
        if isAtomic(opcode) { return executeAtomic(memory, record, state) }
        if Memory.isPrivileged {
            switch opcode {
            case .illegal: return executeIllegal(record, state)
            case .cboZero, .cboInval, .cboClean, .cboFlush: return executeCacheBlock(record, state)
            case .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci: return executePrivilegedControlRegister(record, state)
            case .fenceI: RISCVHart.of(state).memory.settleCode()
            default: if isPrivileged(opcode) { return executePrivileged(record, state) }
            }
        }
        switch opcode {
        case .aes64ds, .aes64dsm, .aes64im, .aes64es, .aes64esm, .aes64ks1i, .aes64ks2, .sha256sum0, .sha256sum1, .sha256sig0,
            .sha256sig1, .sha512sum0, .sha512sum1, .sha512sig0, .sha512sig1, .sm4ed, .sm4ks, .sm3p0, .sm3p1, .brev8, .clmul,
            .clmulh,
            .clmulr, .xperm4, .xperm8:
            executeCryptography(record, state)
            return InterpreterStatus.next
        case .illegal, .mret, .sret, .wfi, .sfenceVma, .sinvalVma, .sfenceWInval, .sfenceInvalIr:
            return InterpreterExit.illegalInstruction.rawValue
        case .ebreak: return InterpreterExit.breakpoint.rawValue
        case .fence:
            mynah_fence()
            return InterpreterStatus.next
        // Waiting for a write to the reservation may end at any time.
        case .fenceTso, .pause, .wrsNto, .wrsSto, .cboInval, .cboClean, .cboFlush: return InterpreterStatus.next
        case .fenceI:
            state.assumingMemoryBound(to: UInt64.self)[RISCVRegister.programCounter] &+= UInt64(record.pointee.byteCount)
            return InterpreterExit.codeChanged.rawValue
        case .cboZero:
            zeroCacheBlock(record, state)
            return InterpreterStatus.next
        case .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci: return executeControlRegister(record, state)
        default:
            executeInteger(record, state)
            return InterpreterStatus.next
        }
    }

    private static func isFloat(_ opcode: RISCVOpcode) -> Bool { opcode.isFloat }

    private static func isAtomic(_ opcode: RISCVOpcode) -> Bool {
        opcode.rawValue >= RISCVOpcode.lrW.rawValue && opcode.rawValue <= RISCVOpcode.amomaxuD.rawValue
    }

    /// The block of 64 bytes around the address, as the hardware probe reports it.
    private static func zeroCacheBlock(_ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer) {
        let start = state.assumingMemoryBound(to: UInt64.self)[Int(record.pointee.rs1)] & ~63
        for word in 0 ..< UInt64(8) { store(start &+ word &* 8, 0 as UInt64) }
    }

    private static func executeInteger(_ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer) {
        let i = record.pointee
        let x = state.assumingMemoryBound(to: UInt64.self)
        let rd = x + Int(i.rd)
        let a = x[Int(i.rs1)]
        let b = x[Int(i.rs2)]
        let bit = UInt64(bitPattern: Int64(i.immediate))
        let one: UInt64 = 1
        switch i.opcode {
        case .mulhsu:
            let high = a.multipliedFullWidth(by: b).high
            rd.pointee = high &- (signed(a) < 0 ? b : 0)
        case .div: rd.pointee = unsigned(quotient(signed(a), signed(b)))
        case .divu: rd.pointee = b == 0 ? .max : a / b
        case .rem: rd.pointee = unsigned(remainder(signed(a), signed(b)))
        case .remu: rd.pointee = b == 0 ? a : a % b
        case .divw: rd.pointee = extended(quotient(word(a), word(b)))
        case .divuw: rd.pointee = low(b) == 0 ? .max : extended(low(a) / low(b))
        case .remw: rd.pointee = extended(remainder(word(a), word(b)))
        case .remuw: rd.pointee = extended(low(b) == 0 ? low(a) : low(a) % low(b))
        case .andn: rd.pointee = a & ~b
        case .orn: rd.pointee = a | ~b
        case .xnor: rd.pointee = ~(a ^ b)
        case .clz: rd.pointee = UInt64(a.leadingZeroBitCount)
        case .ctz: rd.pointee = UInt64(a.trailingZeroBitCount)
        case .cpop: rd.pointee = UInt64(a.nonzeroBitCount)
        case .clzw: rd.pointee = UInt64(low(a).leadingZeroBitCount)
        case .ctzw: rd.pointee = UInt64(low(a).trailingZeroBitCount)
        case .cpopw: rd.pointee = UInt64(low(a).nonzeroBitCount)
        case .max: rd.pointee = unsigned(Swift.max(signed(a), signed(b)))
        case .maxu: rd.pointee = Swift.max(a, b)
        case .min: rd.pointee = unsigned(Swift.min(signed(a), signed(b)))
        case .minu: rd.pointee = Swift.min(a, b)
        case .rol: rd.pointee = a &<< b | a &>> (0 &- b)
        case .ror: rd.pointee = a &>> b | a &<< (0 &- b)
        case .rori: rd.pointee = a &>> bit | a &<< (0 &- bit)
        case .rolw: rd.pointee = extended(low(a) &<< low(b) | low(a) &>> (0 &- low(b)))
        case .rorw: rd.pointee = extended(rotatedRight(low(a), low(b)))
        case .roriw: rd.pointee = extended(rotatedRight(low(a), low(bit)))
        case .orcB: rd.pointee = combinedBytes(a)
        case .rev8: rd.pointee = a.byteSwapped
        case .pack: rd.pointee = UInt64(low(a)) | b &<< 32
        case .packh: rd.pointee = a & 0xff | (b & 0xff) &<< 8
        case .packw: rd.pointee = extended(low(a) & 0xffff | low(b) &<< 16)
        case .bclr: rd.pointee = a & ~(one &<< b)
        case .bclri: rd.pointee = a & ~(one &<< bit)
        case .bext: rd.pointee = a &>> b & 1
        case .bexti: rd.pointee = a &>> bit & 1
        case .binv: rd.pointee = a ^ one &<< b
        case .binvi: rd.pointee = a ^ one &<< bit
        case .bset: rd.pointee = a | one &<< b
        case .bseti: rd.pointee = a | one &<< bit
        case .mopR, .mopRR: rd.pointee = 0
        default: preconditionFailure("instruction without an interpreter")
        }
    }

    private static func rotatedRight(_ value: UInt32, _ amount: UInt32) -> UInt32 {
        value &>> amount | value &<< (0 &- amount)
    }

    /// Division as the manual wants it: by zero gives all ones, overflow the dividend.
    private static func quotient<T: FixedWidthInteger>(_ a: T, _ b: T) -> T {
        b == 0 ? -1 as T : a.dividedReportingOverflow(by: b).partialValue
    }

    private static func remainder<T: FixedWidthInteger>(_ a: T, _ b: T) -> T {
        b == 0 ? a : a.remainderReportingOverflow(dividingBy: b).partialValue
    }

    /// `orc.b`: every byte that is not zero becomes 0xff.
    private static func combinedBytes(_ value: UInt64) -> UInt64 {
        let low7: UInt64 = 0x7f7f_7f7f_7f7f_7f7f
        let nonzero = (((value & low7) &+ low7) | value) & ~low7
        return (nonzero >> 7) &* 255
    }
}

// The scalar cryptography extensions (RISC-V Cryptography Extensions, volume I). Ciphers and table permutations are computed as
// the evaluator of IR does; hash functions here, from the texts of FIPS 180-4 and GB/T 32905-2016.

import IR

extension RISCVInterpreter {
    static func executeCryptography(_ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer) {
        let i = record.pointee
        let x = state.assumingMemoryBound(to: UInt64.self)
        let rd = x + Int(i.rd)
        let a = x[Int(i.rs1)]
        let b = x[Int(i.rs2)]
        let w = UInt32(truncatingIfNeeded: a)
        switch i.opcode {
        case .brev8: rd.pointee = reversedBits(a)
        case .clmul: rd.pointee = cipher(.carrylessMultiply, a, b)
        case .clmulh: rd.pointee = cipher(.carrylessMultiplyHigh, a, b)
        case .clmulr: rd.pointee = cipher(.carrylessMultiplyHigh, a, b) &<< 1 | cipher(.carrylessMultiply, a, b) &>> 63
        case .xperm4: rd.pointee = cipher(.permuteNibbles, a, b)
        case .xperm8: rd.pointee = cipher(.permuteBytes, a, b)
        case .aes64ds: rd.pointee = cipher(.aesRound, a, b, detail: AESRound.decryptLast.rawValue)
        case .aes64dsm: rd.pointee = cipher(.aesRound, a, b, detail: AESRound.decrypt.rawValue)
        case .aes64es: rd.pointee = cipher(.aesRound, a, b, detail: AESRound.encryptLast.rawValue)
        case .aes64esm: rd.pointee = cipher(.aesRound, a, b, detail: AESRound.encrypt.rawValue)
        case .aes64im: rd.pointee = cipher(.aesInverseMixColumns, a, 0)
        case .aes64ks1i: rd.pointee = cipher(.aesKeyRound, a, 0, detail: UInt8(truncatingIfNeeded: i.immediate))
        case .aes64ks2:
            let first = UInt32(truncatingIfNeeded: a &>> 32) ^ UInt32(truncatingIfNeeded: b)
            let second = first ^ UInt32(truncatingIfNeeded: b &>> 32)
            rd.pointee = UInt64(second) &<< 32 | UInt64(first)
        case .sha256sum0: rd.pointee = extended(right(w, 2) ^ right(w, 13) ^ right(w, 22))
        case .sha256sum1: rd.pointee = extended(right(w, 6) ^ right(w, 11) ^ right(w, 25))
        case .sha256sig0: rd.pointee = extended(right(w, 7) ^ right(w, 18) ^ w &>> 3)
        case .sha256sig1: rd.pointee = extended(right(w, 17) ^ right(w, 19) ^ w &>> 10)
        case .sha512sum0: rd.pointee = right(a, 28) ^ right(a, 34) ^ right(a, 39)
        case .sha512sum1: rd.pointee = right(a, 14) ^ right(a, 18) ^ right(a, 41)
        case .sha512sig0: rd.pointee = right(a, 1) ^ right(a, 8) ^ a &>> 7
        case .sha512sig1: rd.pointee = right(a, 19) ^ right(a, 61) ^ a &>> 6
        case .sm3p0: rd.pointee = extended(w ^ right(w, 23) ^ right(w, 15))
        case .sm3p1: rd.pointee = extended(w ^ right(w, 17) ^ right(w, 9))
        case .sm4ed: rd.pointee = extended(w ^ sm4(.round, b, byte: i.immediate))
        case .sm4ks: rd.pointee = extended(w ^ sm4(.keySchedule, b, byte: i.immediate))
        default: preconditionFailure("instruction without an interpreter")
        }
    }

    private static func cipher(_ opcode: Opcode, _ a: UInt64, _ b: UInt64, detail: UInt8 = 0) -> UInt64 {
        CipherEvaluation.result(of: opcode, detail: detail, a, b)
    }

    private static func sm4(_ step: SM4Step, _ value: UInt64, byte: Int32) -> UInt32 {
        let shift = UInt64(byte) &* 8
        let word = UInt32(truncatingIfNeeded: cipher(.sm4Substitute, value &>> shift & 0xff, 0, detail: step.rawValue))
        return right(word, 32 &- UInt32(shift))
    }

    private static func right<T: FixedWidthInteger>(_ value: T, _ amount: T) -> T {
        value &>> amount | value &<< (0 &- amount)
    }

    /// Each byte with its bits in the opposite order.
    private static func reversedBits(_ value: UInt64) -> UInt64 {
        var result = value
        for (shift, mask) in [(1, 0x5555_5555_5555_5555), (2, 0x3333_3333_3333_3333), (4, 0x0f0f_0f0f_0f0f_0f0f)]
            as [(UInt64, UInt64)]
        {
            result = result &>> shift & mask | (result & mask) &<< shift
        }
        return result
    }
}

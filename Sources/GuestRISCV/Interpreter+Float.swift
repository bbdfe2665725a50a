// F, D and Zfa. The host computes with the guest's MXCSR loaded; a static rounding mode that is not the current one is set for
// the one instruction, and ties-away, which the host lacks, is computed in software.

import CHost
import Guest

extension RISCVInterpreter {
    private static let dynamicRounding: UInt8 = 7
    private static let tiesAway: UInt32 = 4

    /// - Returns: `next`, or `illegalInstruction` when the dynamic rounding mode is a reserved one.
    static func executeFloat(_ record: UnsafeMutablePointer<InterpreterRecord>, _ state: UnsafeMutableRawPointer) -> UInt32 {
        let x = state.assumingMemoryBound(to: UInt64.self)
        let rounding = record.pointee.rounding
        if rounding == InterpreterRecord.unrounded {
            computeUnrounded(record.pointee, x)
            return InterpreterStatus.next
        }
        let current = RISCVState(state).tail.pointee.fcsrRoundingMode
        let mode = rounding == dynamicRounding ? current : UInt32(rounding)
        if mode == current && mode < tiesAway {
            compute(record.pointee, x, mode)
            return InterpreterStatus.next
        }
        if mode > tiesAway { return InterpreterExit.illegalInstruction.rawValue }
        if mode == tiesAway {
            computeTiesAway(record.pointee, x)
            return InterpreterStatus.next
        }
        let saved = mynah_get_mxcsr()
        mynah_set_mxcsr(saved & ~FloatControl.roundingMask | FloatControl.roundingControl(mode))
        compute(record.pointee, x, mode)
        mynah_set_mxcsr(mynah_get_mxcsr() & ~FloatControl.roundingMask | saved & FloatControl.roundingMask)
        return InterpreterStatus.next
    }

    /// For results that need no rounding.
    static func computeNearest(_ i: InterpreterRecord, _ x: UnsafeMutablePointer<UInt64>) { compute(i, x, 0) }

    /// Rounding instructions; MXCSR rounds as `mode` says.
    private static func compute(_ i: InterpreterRecord, _ x: UnsafeMutablePointer<UInt64>, _ mode: UInt32) {
        let rd = x + Int(i.rd)
        let a = x[Int(i.rs1)]
        let b = x[Int(i.rs2)]
        switch i.opcode {
        case .faddD: rd.pointee = result(mynah_add_f64(double(a), double(b)))
        case .fsubD: rd.pointee = result(mynah_sub_f64(double(a), double(b)))
        case .fmulD: rd.pointee = result(mynah_mul_f64(double(a), double(b)))
        case .fdivD: rd.pointee = result(mynah_div_f64(double(a), double(b)))
        case .fsqrtD: rd.pointee = result(mynah_sqrt_f64(double(a)))
        case .fmaddD: rd.pointee = fused(a, b, x[Int(i.rs3)])
        case .fmsubD: rd.pointee = fused(a, b, x[Int(i.rs3)] ^ FloatBits.signDouble)
        case .fnmsubD: rd.pointee = fused(a ^ FloatBits.signDouble, b, x[Int(i.rs3)])
        case .fnmaddD: rd.pointee = fused(a ^ FloatBits.signDouble, b, x[Int(i.rs3)] ^ FloatBits.signDouble)
        case .faddS: rd.pointee = result(mynah_add_f32(single(a), single(b)))
        case .fsubS: rd.pointee = result(mynah_sub_f32(single(a), single(b)))
        case .fmulS: rd.pointee = result(mynah_mul_f32(single(a), single(b)))
        case .fdivS: rd.pointee = result(mynah_div_f32(single(a), single(b)))
        case .fsqrtS: rd.pointee = result(mynah_sqrt_f32(single(a)))
        case .fmaddS: rd.pointee = fusedSingle(a, b, x[Int(i.rs3)], 0, 0)
        case .fmsubS: rd.pointee = fusedSingle(a, b, x[Int(i.rs3)], 0, FloatBits.signSingle)
        case .fnmsubS: rd.pointee = fusedSingle(a, b, x[Int(i.rs3)], FloatBits.signSingle, 0)
        case .fnmaddS: rd.pointee = fusedSingle(a, b, x[Int(i.rs3)], FloatBits.signSingle, FloatBits.signSingle)
        case .fcvtSD: rd.pointee = result(mynah_f64_to_f32(double(a)))
        case .fcvtDS: rd.pointee = result(mynah_f32_to_f64(single(a)))
        case .fcvtDW: rd.pointee = mynah_i64_to_f64(Int64(word(a))).bitPattern
        case .fcvtDWu: rd.pointee = mynah_i64_to_f64(Int64(low(a))).bitPattern
        case .fcvtDL: rd.pointee = mynah_i64_to_f64(signed(a)).bitPattern
        case .fcvtDLu: rd.pointee = FloatConversion.double(unsigned: a).bitPattern
        case .fcvtSW: rd.pointee = FloatBits.boxed(mynah_i64_to_f32(Int64(word(a))).bitPattern)
        case .fcvtSWu: rd.pointee = FloatBits.boxed(mynah_i64_to_f32(Int64(low(a))).bitPattern)
        case .fcvtSL: rd.pointee = FloatBits.boxed(mynah_i64_to_f32(signed(a)).bitPattern)
        case .fcvtSLu: rd.pointee = FloatBits.boxed(FloatConversion.single(unsigned: a).bitPattern)
        case .froundD: rd.pointee = FloatRounding.rounded(a, mode, raisesInexact: false)
        case .froundnxD: rd.pointee = FloatRounding.rounded(a, mode, raisesInexact: true)
        case .froundS: rd.pointee = FloatBits.boxed(FloatRounding.rounded(FloatBits.unboxed(a), mode, raisesInexact: false))
        case .froundnxS: rd.pointee = FloatBits.boxed(FloatRounding.rounded(FloatBits.unboxed(a), mode, raisesInexact: true))
        default: rd.pointee = integer(i.opcode, a)
        }
    }

    /// Conversions to integer in MXCSR's rounding mode. A single is converted exactly to a double first.
    private static func integer(_ opcode: RISCVOpcode, _ a: UInt64) -> UInt64 {
        switch opcode {
        case .fcvtWD: extended(FloatConversion.int32(double(a)))
        case .fcvtWuD: extended(FloatConversion.uint32(double(a)))
        case .fcvtLD: unsigned(FloatConversion.int64(double(a)))
        case .fcvtLuD: FloatConversion.uint64(double(a))
        case .fcvtWS: extended(FloatConversion.int32(mynah_f32_to_f64(single(a))))
        case .fcvtWuS: extended(FloatConversion.uint32(mynah_f32_to_f64(single(a))))
        case .fcvtLS: unsigned(FloatConversion.int64(mynah_f32_to_f64(single(a))))
        case .fcvtLuS: FloatConversion.uint64(mynah_f32_to_f64(single(a)))
        default: preconditionFailure("instruction without an interpreter")
        }
    }

    /// Instructions without a rounding mode.
    private static func computeUnrounded(_ i: InterpreterRecord, _ x: UnsafeMutablePointer<UInt64>) {
        let rd = x + Int(i.rd)
        let a = x[Int(i.rs1)]
        let b = x[Int(i.rs2)]
        let sign = FloatBits.signDouble
        let singleSign = FloatBits.signSingle
        let singleA = FloatBits.unboxed(a)
        let singleB = FloatBits.unboxed(b)
        switch i.opcode {
        case .fsgnjnD: rd.pointee = a & ~sign | ~b & sign
        case .fsgnjxD: rd.pointee = a ^ b & sign
        case .fsgnjS: rd.pointee = FloatBits.boxed(singleA & ~singleSign | singleB & singleSign)
        case .fsgnjnS: rd.pointee = FloatBits.boxed(singleA & ~singleSign | ~singleB & singleSign)
        case .fsgnjxS: rd.pointee = FloatBits.boxed(singleA ^ singleB & singleSign)
        case .fminD: rd.pointee = FloatSelection.minimum(a, b)
        case .fmaxD: rd.pointee = FloatSelection.maximum(a, b)
        case .fminS: rd.pointee = FloatBits.boxed(FloatSelection.minimum(singleA, singleB))
        case .fmaxS: rd.pointee = FloatBits.boxed(FloatSelection.maximum(singleA, singleB))
        case .fminmD: rd.pointee = FloatSelection.propagating(a, b, FloatSelection.minimum(a, b))
        case .fmaxmD: rd.pointee = FloatSelection.propagating(a, b, FloatSelection.maximum(a, b))
        case .fminmS:
            let least = FloatSelection.minimum(singleA, singleB)
            rd.pointee = FloatBits.boxed(FloatSelection.propagating(singleA, singleB, least))
        case .fmaxmS:
            let greatest = FloatSelection.maximum(singleA, singleB)
            rd.pointee = FloatBits.boxed(FloatSelection.propagating(singleA, singleB, greatest))
        case .fltqD: rd.pointee = less(mynah_compare_quiet_f64(double(a), double(b)))
        case .fleqD: rd.pointee = lessOrEqual(mynah_compare_quiet_f64(double(a), double(b)))
        case .feqS: rd.pointee = UInt64(mynah_compare_quiet_f32(single(a), single(b)) >> 2)
        case .fltS: rd.pointee = less(mynah_compare_signalling_f32(single(a), single(b)))
        case .fleS: rd.pointee = lessOrEqual(mynah_compare_signalling_f32(single(a), single(b)))
        case .fltqS: rd.pointee = less(mynah_compare_quiet_f32(single(a), single(b)))
        case .fleqS: rd.pointee = lessOrEqual(mynah_compare_quiet_f32(single(a), single(b)))
        case .fclassD: rd.pointee = FloatBits.classMask(a)
        case .fclassS: rd.pointee = FloatBits.classMask(singleA)
        case .fmvXW: rd.pointee = extended(low(a))
        case .fmvWX: rd.pointee = FloatBits.boxed(low(a))
        case .fliD: rd.pointee = FloatConstants.double(i.rs1)
        case .fliS: rd.pointee = FloatBits.boxed(FloatConstants.single(i.rs1))
        case .fcvtmodWD: rd.pointee = extended(FloatConversion.modularInt32(a))
        default: preconditionFailure("instruction without an interpreter")
        }
    }

    // MARK: Operands and results

    @inline(__always) static func double(_ word: UInt64) -> Double { Double(bitPattern: word) }
    @inline(__always) static func single(_ word: UInt64) -> Float { Float(bitPattern: FloatBits.unboxed(word)) }
    @inline(__always) static func result(_ value: Double) -> UInt64 { FloatBits.canonical(value.bitPattern) }
    @inline(__always)
    static func result(_ value: Float) -> UInt64 { FloatBits.boxed(FloatBits.canonical(value.bitPattern)) }
    @inline(__always) static func less(_ comparison: UInt32) -> UInt64 { UInt64(comparison >> 1 & 1) }
    @inline(__always)
    static func lessOrEqual(_ comparison: UInt32) -> UInt64 { comparison & 6 != 0 ? 1 : 0 }

    static func fused(_ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
        let bits = mynah_fma_f64(double(a), double(b), double(c)).bitPattern
        guard FloatBits.isNaN(bits) else { return bits }
        // The host stays silent about infinity times zero when the addend is a quiet NaN.
        let isInvalid = FloatBits.isInfinite(a) && FloatBits.isZero(b) || FloatBits.isZero(a) && FloatBits.isInfinite(b)
        if isInvalid { FloatControl.raise(FloatControl.invalid) }
        return FloatBits.canonicalDouble
    }

    private static func fusedSingle(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ signA: UInt32, _ signC: UInt32) -> UInt64 {
        let left = FloatBits.unboxed(a) ^ signA
        let right = FloatBits.unboxed(b)
        let addend = FloatBits.unboxed(c) ^ signC
        let bits = mynah_fma_f32(Float(bitPattern: left), Float(bitPattern: right), Float(bitPattern: addend)).bitPattern
        guard FloatBits.isNaN(bits) else { return FloatBits.boxed(bits) }
        let isInvalid =
            FloatBits.isInfinite(left) && FloatBits.isZero(right) || FloatBits.isZero(left) && FloatBits.isInfinite(right)
        if isInvalid { FloatControl.raise(FloatControl.invalid) }
        return FloatBits.boxed(FloatBits.canonicalSingle)
    }
}

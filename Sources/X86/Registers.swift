// The names of x86-64 operands: registers, widths and condition codes, each with the number the processor uses.
// Intel 64 manual, volume 2, section 2.1 and appendix B.

/// A general register. The raw value is its encoding; bit 3 travels in a REX or VEX prefix.
@usableFromInline
package enum Register: UInt8, CaseIterable, Sendable {
    case rax = 0, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
}

/// A vector register, used here for scalar and 128-bit operations.
@usableFromInline
package enum XMM: UInt8, CaseIterable, Sendable {
    case xmm0 = 0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7
    case xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15
}

/// The operand width of an integer instruction: 8, 16, 32 or 64 bits. Writing a `long` register clears its upper half.
@usableFromInline
package enum Width: UInt8, CaseIterable, Sendable {
    case byte = 0, word, long, quad

    /// 1, 2, 4 or 8.
    @inlinable package var byteCount: Int { 1 << Int(rawValue) }
    /// 8, 16, 32 or 64.
    @inlinable package var bitCount: Int { 8 << Int(rawValue) }
}

/// The width of a vector operand: `xmm` or `ymm` registers.
@usableFromInline
package enum VectorWidth: UInt8, CaseIterable, Sendable {
    case x128 = 0, x256
}

/// The width of a floating-point operand: 32 or 64 bits.
@usableFromInline
package enum FloatWidth: UInt8, CaseIterable, Sendable {
    case single = 0, double
}

/// A condition code (`cc` of `jcc`, `setcc`, `cmovcc`).
@usableFromInline
package enum Condition: UInt8, CaseIterable, Sendable {
    case o = 0, no, b, ae, e, ne, be, a, s, ns, p, np, l, ge, le, g

    /// The condition that holds exactly when this one does not.
    @inlinable package var inverted: Condition { Condition(rawValue: rawValue ^ 1).unsafelyUnwrapped }

    /// The condition that, after `cmp b, a`, says what this one says after `cmp a, b`. Only equality and order survive
    /// the swap; asking for the overflow, sign or parity of a swapped comparison is a programming error.
    @inlinable package var swappedOperands: Condition {
        switch self {
        case .e, .ne: return self
        case .b: return .a
        case .a: return .b
        case .ae: return .be
        case .be: return .ae
        case .l: return .g
        case .g: return .l
        case .ge: return .le
        case .le: return .ge
        case .o, .no, .s, .ns, .p, .np: preconditionFailure("condition \(self) has no swapped form")
        }
    }
}

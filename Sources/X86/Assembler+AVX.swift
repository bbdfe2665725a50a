// AVX scalar arithmetic with three operands, and fused multiply-add (FMA3). Both need a check of the processor's
// features. The upper bits of the destination come from the first source (from the destination for FMA).

/// Which of the three operands are multiplied: `f132` is `destination * third + second`, and so on.
@usableFromInline
package enum FusedOrder: UInt8, CaseIterable, Sendable {
    case f132 = 0x90, f213 = 0xA0, f231 = 0xB0
}

/// The signs of a fused multiply-add. The raw value is the scalar opcode's last digit.
@usableFromInline
package enum FusedOperation: UInt8, CaseIterable, Sendable {
    /// `a * b + c`
    case multiplyAdd = 0x9
    /// `a * b - c`
    case multiplySubtract = 0xB
    /// `-(a * b) + c`
    case negatedMultiplyAdd = 0xD
    /// `-(a * b) - c`
    case negatedMultiplySubtract = 0xF
}

extension Assembler {
    // MARK: Shared forms

    /// `voperation destination, first, second` on the lowest element.
    @usableFromInline
    package mutating func vscalar(
        _ operation: FloatOperation, _ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM
    ) {
        let prefix: OpcodePrefix = width == .single ? .xF3 : .xF2
        emitVEX(prefix, .x0F, operation.rawValue, destination.rawValue, first.rawValue, second.rawValue)
    }

    @usableFromInline
    package mutating func vscalar(
        _ operation: FloatOperation, _ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory
    ) {
        let prefix: OpcodePrefix = width == .single ? .xF3 : .xF2
        emitVEX(prefix, .x0F, operation.rawValue, destination.rawValue, first.rawValue, second)
    }

    /// `voperationp… destination, first, second`, bitwise on 128 bits; memory may be unaligned.
    @usableFromInline
    package mutating func vlogic(
        _ operation: FloatLogic, _ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM
    ) {
        let prefix: OpcodePrefix = width == .single ? .none : .x66
        emitVEX(prefix, .x0F, operation.rawValue, destination.rawValue, first.rawValue, second.rawValue)
    }

    @usableFromInline
    package mutating func vlogic(
        _ operation: FloatLogic, _ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory
    ) {
        let prefix: OpcodePrefix = width == .single ? .none : .x66
        emitVEX(prefix, .x0F, operation.rawValue, destination.rawValue, first.rawValue, second)
    }

    /// A fused multiply-add of the lowest elements, rounded once.
    @usableFromInline
    package mutating func fused(
        _ operation: FusedOperation, _ order: FusedOrder, _ width: FloatWidth, _ destination: XMM, _ second: XMM,
        _ third: XMM
    ) {
        let opcode = order.rawValue | operation.rawValue
        let isDouble = width == .double
        emitVEX(
            .x66, .x0F38, wide: isDouble, opcode, destination.rawValue, second.rawValue, third.rawValue)
    }

    @usableFromInline
    package mutating func fused(
        _ operation: FusedOperation, _ order: FusedOrder, _ width: FloatWidth, _ destination: XMM, _ second: XMM,
        _ third: Memory
    ) {
        let opcode = order.rawValue | operation.rawValue
        let isDouble = width == .double
        emitVEX(.x66, .x0F38, wide: isDouble, opcode, destination.rawValue, second.rawValue, third)
    }

    /// `vmovs… destination, first, second`: the lowest element of `second`, the others of `first`.
    package mutating func vmovs(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        let prefix: OpcodePrefix = width == .single ? .xF3 : .xF2
        emitVEX(prefix, .x0F, 0x10, destination.rawValue, first.rawValue, second.rawValue)
    }

    package mutating func vzeroupper() {
        store(0x77_F8C5 as UInt32, length: 3)
    }

    // MARK: Names

    @inlinable
    package mutating func vadds(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vscalar(.add, width, destination, first, second)
    }
    @inlinable
    package mutating func vadds(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vscalar(.add, width, destination, first, second)
    }
    @inlinable
    package mutating func vsubs(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vscalar(.sub, width, destination, first, second)
    }
    @inlinable
    package mutating func vsubs(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vscalar(.sub, width, destination, first, second)
    }
    @inlinable
    package mutating func vmuls(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vscalar(.mul, width, destination, first, second)
    }
    @inlinable
    package mutating func vmuls(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vscalar(.mul, width, destination, first, second)
    }
    @inlinable
    package mutating func vdivs(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vscalar(.div, width, destination, first, second)
    }
    @inlinable
    package mutating func vdivs(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vscalar(.div, width, destination, first, second)
    }
    @inlinable
    package mutating func vsqrts(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vscalar(.sqrt, width, destination, first, second)
    }
    @inlinable
    package mutating func vsqrts(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vscalar(.sqrt, width, destination, first, second)
    }
    @inlinable
    package mutating func vmins(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vscalar(.min, width, destination, first, second)
    }
    @inlinable
    package mutating func vmins(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vscalar(.min, width, destination, first, second)
    }
    @inlinable
    package mutating func vmaxs(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vscalar(.max, width, destination, first, second)
    }
    @inlinable
    package mutating func vmaxs(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vscalar(.max, width, destination, first, second)
    }
    @inlinable
    package mutating func vandp(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vlogic(.and, width, destination, first, second)
    }
    @inlinable
    package mutating func vandp(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vlogic(.and, width, destination, first, second)
    }
    @inlinable
    package mutating func vandnp(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vlogic(.andn, width, destination, first, second)
    }
    @inlinable
    package mutating func vandnp(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vlogic(.andn, width, destination, first, second)
    }
    @inlinable
    package mutating func vorp(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vlogic(.or, width, destination, first, second)
    }
    @inlinable
    package mutating func vorp(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vlogic(.or, width, destination, first, second)
    }
    @inlinable
    package mutating func vxorp(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        vlogic(.xor, width, destination, first, second)
    }
    @inlinable
    package mutating func vxorp(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        vlogic(.xor, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmadd132s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.multiplyAdd, .f132, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmadd132s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.multiplyAdd, .f132, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmadd213s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.multiplyAdd, .f213, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmadd213s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.multiplyAdd, .f213, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmadd231s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.multiplyAdd, .f231, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmadd231s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.multiplyAdd, .f231, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmsub132s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.multiplySubtract, .f132, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmsub132s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.multiplySubtract, .f132, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmsub213s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.multiplySubtract, .f213, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmsub213s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.multiplySubtract, .f213, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmsub231s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.multiplySubtract, .f231, width, destination, first, second)
    }
    @inlinable
    package mutating func vfmsub231s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.multiplySubtract, .f231, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmadd132s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.negatedMultiplyAdd, .f132, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmadd132s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.negatedMultiplyAdd, .f132, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmadd213s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.negatedMultiplyAdd, .f213, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmadd213s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.negatedMultiplyAdd, .f213, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmadd231s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.negatedMultiplyAdd, .f231, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmadd231s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.negatedMultiplyAdd, .f231, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmsub132s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.negatedMultiplySubtract, .f132, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmsub132s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.negatedMultiplySubtract, .f132, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmsub213s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.negatedMultiplySubtract, .f213, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmsub213s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.negatedMultiplySubtract, .f213, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmsub231s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: XMM) {
        fused(.negatedMultiplySubtract, .f231, width, destination, first, second)
    }
    @inlinable
    package mutating func vfnmsub231s(_ width: FloatWidth, _ destination: XMM, _ first: XMM, _ second: Memory) {
        fused(.negatedMultiplySubtract, .f231, width, destination, first, second)
    }
}
